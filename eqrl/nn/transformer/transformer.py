"""A transformer over tokens in one frame for the whole scene."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Unpack

from torch import nn

from eqrl.nn.anchors import Anchors, chosen_anchors
from eqrl.nn.backbone import BackboneOptions, same_group
from eqrl.nn.frame import Frame, Weighting
from eqrl.nn.transformer.anchors import TokenAnchors, polar_fields
from eqrl.nn.transformer.network import TokenTransformer
from eqrl.nn.transformer.tokens_in_frame import reversed_by_mirror
from eqrl.symmetry import O2, SO2, Group, Representation, family


class Transformer(Frame):
    """A transformer over the entities of all sets, in a frame that turns with the input.

    The frame is one for the whole scene, as in :class:`~eqrl.nn.frame.Frame`, whose weightings it shares. In it, a
    mirror whose plane holds the frame's x axis and the vertical reverses some coordinates and leaves the others: the y
    of polar vectors, the x and z of axial ones, pseudoscalars. Under O(2), hidden channels are even or odd in the same
    sense, so the mirror costs no second evaluation. The group decides:

    * O(2): even and odd channels, half of the width each; exact for rotations and mirrors;
    * SO(2): plain channels in the frame; exact for rotations;
    * other finite parts: the mean over their elements;
    * the trivial group: a common transformer without a frame, for comparison.

    It commutes with every exchange of entities in exchangeable sets, of which it knows the kinds alone; entities of
    other sets have codes of their own. Attention is that of Vaswani et al. (arXiv 1706.03762); transformers over limbs
    go back to Kurin et al. (Amorpheus, arXiv 2010.01856).
    """

    label: ClassVar[str] = "transformer"
    exchanges: ClassVar[bool] = True
    default_hidden: ClassVar[tuple[int, ...]] = (64, 64)

    def __init__(
        self,
        in_rep: Representation,
        out_rep: Representation,
        group: Group | None = None,
        *,
        heads: int = 1,
        relations: bool = False,
        anchors: Sequence[str] | None = None,
        weighting: Weighting = "priority",
        eps: float = 0.1,
        **common: Unpack[BackboneOptions],
    ) -> None:
        """Build embeddings, layers and heads.

        Args:
            in_rep: representation of the input.
            out_rep: representation of the output.
            group: group to commute with; None means the largest one that keeps gravity, up to exchange
                (:func:`eqrl.symmetry.family`).
            heads: of the attention.
            relations: whether attention depends on who is whose parent, by the field with role ``"parent"``.
            anchors: names of the fields that propose the frame, best first; None means the goal, the heading, other
                polar vectors without entities, and then those over sets, which propose their means.
            weighting: how the proposals share the output, see :class:`~eqrl.nn.frame.Frame`.
            eps: horizontal length below which a vector gradually loses its weight.
            common: see :class:`~eqrl.nn.backbone.BackboneOptions`; ``hidden=(64, 64)`` means two layers of width 64.

        Raises:
            ValueError: as for :class:`~eqrl.nn.frame.Frame`; for widths that differ or cannot be divided, and for
                ``relations`` without edges.
        """
        chosen_anchors(anchors, None, self.label)  # a learned anchor would tell slots apart
        if relations and not any(field.role == "parent" for field in in_rep.fields):
            raise ValueError(
                f"relations=True needs edges, a field with role 'parent'; the fields are\n{in_rep.table()}"
            )
        self._options = {"heads": heads, "relations": relations}
        super().__init__(in_rep, out_rep, group, anchors=anchors, weighting=weighting, eps=eps, **common)

    @classmethod
    def default_group(cls, in_rep: Representation) -> Group:
        """The largest group up to exchange that relabels nothing and keeps gravity."""
        group = family(in_rep).world_part()
        return group.about_gravity() if group.connected == "SO3" else group

    def proposals(self, names: Sequence[str] | None) -> Anchors:
        """Vectors without entities and means over sets, by default the polar ones."""
        return TokenAnchors(self.in_rep, polar_fields(self.in_rep) if names is None else names)

    def averaged(self) -> Group:
        """Rotations alone where parity takes care of the mirror."""
        return SO2 if self.parts == 2 else self.group

    @property
    def parts(self) -> int:
        """2 where even and odd channels are kept apart, else 1."""
        apart = all(reversed_by_mirror(rep) is not None for rep in (self.in_rep, self.out_rep))
        return 2 if apart and same_group(self.group, O2) else 1

    def network(self) -> nn.Module:
        """The transformer inside the frames."""
        widths = set(self.hidden)
        if len(widths) != 1:
            raise ValueError(f"hidden={self.hidden} must hold one width for each layer, all equal, such as (64, 64)")
        (width,) = widths
        heads = self._options["heads"]
        if heads < 1 or width % (self.parts * heads):
            raise ValueError(
                f"hidden={self.hidden} cannot be divided into {self.parts} parts of {heads} heads; give a multiple of"
                f" {self.parts * max(heads, 1)}"
            )
        return TokenTransformer(
            self.in_rep,
            self.out_rep,
            width // self.parts,
            width // 2 if self.parts == 2 else 0,
            len(self.hidden),
            heads=heads,
            relations=bool(self._options["relations"]),
            activation=self.activation,
            output_gain=self.output_gain,
        )
