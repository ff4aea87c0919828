"""A transformer over tokens in one frame for the whole scene."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Unpack

import torch
from torch import Tensor, nn

from eqrl.nn.anchors import anchor_fields, chosen_anchors
from eqrl.nn.backbone import BackboneOptions, same_group
from eqrl.nn.frame import Frame, Weighting
from eqrl.nn.padding import is_real
from eqrl.nn.transformer.network import TokenTransformer
from eqrl.nn.transformer.tokens_in_frame import reversed_by_mirror
from eqrl.symmetry import O2, SO2, Group, Representation, family
from eqrl.symmetry.representation import WORLD


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
                vectors without entities, and the means of vectors over sets.
            weighting: how the proposals share the output, see :class:`~eqrl.nn.frame.Frame`.
            eps: horizontal length below which a vector gradually loses its weight.
            common: see :class:`~eqrl.nn.backbone.BackboneOptions`; ``hidden=(64, 64)`` means two layers of width 64.

        Raises:
            ValueError: as for :class:`~eqrl.nn.frame.Frame`; for widths that differ or cannot be divided.
        """
        chosen_anchors(anchors, (), self.label)  # a learned anchor would tell slots apart
        self._options = {"heads": heads, "relations": relations}
        super().__init__(in_rep, out_rep, group, anchors=anchors, weighting=weighting, eps=eps, **common)
        names = () if anchors is not None else self._set_anchors(in_rep)
        self.set_anchors = names
        self.set_masks: list[slice | None] = []
        self.set_slices: list[tuple[slice, int, int]] = []
        for name in names:
            field = in_rep.field(name)
            entities = in_rep.entity_set(str(field.entities))
            self.set_slices.append((in_rep.slices[name], entities.size, 2 if field.horizontal else 3))
            self.set_masks.append(None if entities.mask is None else in_rep.slices[entities.mask])

    @classmethod
    def default_group(cls, in_rep: Representation) -> Group:
        """The largest group up to exchange that relabels nothing and keeps gravity."""
        group = family(in_rep).world_part()
        return group.about_gravity() if group.connected == "SO3" else group

    @classmethod
    def anchor_names(cls, in_rep: Representation) -> tuple[str, ...]:
        """Fields without entities that hold polar vectors; the order of slots must not matter."""
        return tuple(
            name for name in anchor_fields(in_rep) if in_rep.field(name).entities is None and _polar(in_rep, name)
        )

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
            output_gain=self.output_gain,
        )

    def _proposals(self, x: Tensor) -> Tensor:
        vectors = super()._proposals(x)
        if not self.set_anchors:
            return vectors
        return torch.cat([vectors, *(self._mean(x, k) for k in range(len(self.set_anchors)))], dim=1)

    def _first(self, x: Tensor) -> Tensor:
        return super()._first(x) if self.anchors else self._proposals(x)[:, 0]

    def _mean(self, x: Tensor, k: int) -> Tensor:
        where, size, width = self.set_slices[k]
        rows = x[:, where].view(len(x), size, -1, width)[..., :2]
        if (mask := self.set_masks[k]) is None:
            return rows.mean(dim=1)
        return rows.sum(dim=1) / is_real(x[:, mask]).sum(1).clamp_min(1)[:, None, None]

    @staticmethod
    def _set_anchors(in_rep: Representation) -> tuple[str, ...]:
        return tuple(
            name for name in anchor_fields(in_rep) if in_rep.field(name).entities is not None and _polar(in_rep, name)
        )


def _polar(rep: Representation, name: str) -> bool:
    field = rep.field(name)
    return field.frame == WORLD and all(kind == (1, -1) for kind in field.copies)
