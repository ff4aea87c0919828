"""Canonicalisation and frame averaging about gravity around a plain multilayer perceptron.

A vector of the input proposes the rotation that turns the x axis towards it. The network sees the input turned by the
inverse rotation, and its output is turned by the rotation (Puny et al., Frame Averaging, arXiv 2110.03336). A single
frame jumps where its vector vanishes. Weighted frames (Dym et al., arXiv 2402.16077) do not: each frame counts with an
invariant weight that vanishes with its vector. With the default weighting, nearly all of these weights are 1 or 0. The
network is then evaluated once per sample, and continuity costs a second evaluation only where the first vector is
short.

The finite part of the group (a mirror, an exchange of limbs) is honoured by the mean over its elements.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal, Unpack, get_args

import torch
from torch import Tensor, nn

from eqrl.nn.anchors import LEARNED, Anchors, FieldAnchors, LearnedAnchor, anchor_fields, chosen_anchors, role_anchor
from eqrl.nn.backbone import Backbone, BackboneOptions
from eqrl.nn.perceptron import perceptron
from eqrl.nn.sharing import by_norm, priority, shared
from eqrl.nn.turn import Turn
from eqrl.symmetry import Group, Representation

Weighting = Literal["priority", "norm", "single", "pca"]


class Frame(Backbone):
    """A perceptron in frames that turn with the input.

    The group may be any finite group, or rotations about gravity extended by any finite group. Weightings:

    * ``"priority"``: the first anchor decides alone where its horizontal part is longer than ``eps``. Where it is
      shorter, the second one takes over smoothly, and so on. Where all are short, the output tends to a function of the
      invariants alone, so its horizontal vectors vanish. Continuous everywhere.
    * ``"norm"``: every anchor proposes a frame, with a weight proportional to its length (Dym et al.). Continuous
      everywhere; needs one evaluation for each anchor.
    * ``"single"``: the first anchor alone. Jumps where that vector is vertical or zero, and is not equivariant
      there.
    * ``"pca"``: the mean over both directions of the first principal axis of the horizontal vectors (Puny et al.).
      Jumps where their covariance is isotropic, and is not equivariant there. Autograd treats the axis as constant, as
      in the paper.

    Any vector may be an anchor under any supported group: anchors only determine the rotation, under which polar and
    axial vectors behave alike, and the mean over the finite part is taken outside.
    """

    label: ClassVar[str] = "frame"

    in_inverses: Tensor
    out_mean: Tensor

    def __init__(
        self,
        in_rep: Representation,
        out_rep: Representation,
        group: Group | None = None,
        *,
        anchors: Sequence[str] | Literal["learned"] | None = None,
        weighting: Weighting = "priority",
        eps: float = 0.1,
        **common: Unpack[BackboneOptions],
    ) -> None:
        """Build the perceptron and the constants of the group.

        Args:
            in_rep: representation of the input.
            out_rep: representation of the output.
            group: group to commute with; None means the world part of the input's group that keeps gravity.
            anchors: names of the fields whose vectors propose directions, best first; None means the goal, the heading,
                and then all other world vectors. ``"learned"`` puts a learned vector before these
                (:class:`~eqrl.nn.anchors.LearnedAnchor`).
            weighting: how the proposals share the output, see above.
            eps: horizontal length, in units of the (normalised) input, below which a vector gradually loses its weight.
            common: see :class:`~eqrl.nn.backbone.BackboneOptions`; by default there are two hidden layers of 256 units.

        Raises:
            ValueError: for SO3 and O3, for unknown anchors or weightings, and for ``"single"`` without a vector.
        """
        super().__init__(in_rep, out_rep, group, **common)
        if weighting not in get_args(Weighting):
            raise ValueError(f"unknown weighting {weighting!r}; choose one of {list(get_args(Weighting))}")
        if eps <= 0:
            raise ValueError(f"eps must be positive, got {eps}")
        self.weighting = weighting
        self.eps = eps
        self.turns = self.group.connected == "SO2"
        learned = anchors == LEARNED
        self.directions = self.proposals(None if learned else chosen_anchors(anchors, None, self.label))
        if self.turns and weighting == "single" and not self.directions.count:
            raise ValueError(f"weighting 'single' needs a world vector to turn into; the fields are\n{in_rep.table()}")
        if self.turns and learned:
            self.directions = LearnedAnchor(in_rep, self.directions)
        elements = self.averaged().cosets
        self.copies = elements.R.shape[0]
        in_matrices, out_matrices = in_rep.matrix(elements), out_rep.matrix(elements)
        # multiplied from the right: x -> k^-1 x for every element k, and y_k -> mean of k y_k
        self.register_constant("in_inverses", in_matrices.transpose(0, 1).reshape(in_rep.dim, -1))
        self.register_constant("out_mean", out_matrices.mT.reshape(-1, out_rep.dim) / self.copies)
        self.turn_in = Turn(in_rep)
        self.turn_out = Turn(out_rep)
        self.net = self.network()

    def network(self) -> nn.Module:
        """The network inside the frames, from turned inputs to turned outputs."""
        return perceptron(self.in_rep.dim, self.hidden, self.out_rep.dim, self.activation, self.output_gain)

    def averaged(self) -> Group:
        """The group whose finite part is honoured by a mean over its elements."""
        return self.group

    def proposals(self, names: Sequence[str] | None) -> Anchors:
        """The directions that fields propose, by default those of all world vectors."""
        return FieldAnchors(self.in_rep, anchor_fields(self.in_rep) if names is None else names)

    @classmethod
    def default_group(cls, in_rep: Representation) -> Group:
        """The world part of the input's group; for SO3 and O3, the subgroup that keeps gravity."""
        group = in_rep.group.world_part()
        return group.about_gravity() if group.connected == "SO3" else group

    @classmethod
    def check_group(cls, group: Group) -> None:
        """Refuse rotations other than those about gravity."""
        if group.connected == "SO3":
            raise ValueError(
                f"backbone {cls.label!r} turns about gravity only and cannot honour group {group}; ask for its part "
                "about gravity, group.about_gravity(), or take 'vector' or 'steerable'"
            )

    def compute(self, x: Tensor) -> Tensor:
        """Map ``(B, in_rep.dim)`` to ``(B, out_rep.dim)``, where padding is zero."""
        if self.copies == 1:
            return self._turned(x)
        moved = (x @ self.in_inverses).view(-1, self.in_rep.dim)
        return self._turned(moved).view(-1, self.copies * self.out_rep.dim) @ self.out_mean

    def _turned(self, x: Tensor) -> Tensor:
        """The network that commutes with the rotations, without the mean over the finite part."""
        if not self.turns:
            y: Tensor = self.net(x)
            return y
        if self.weighting == "pca":
            return self._principal(x)
        if self.weighting == "norm" or not self.directions.count:
            return self._shared(x, self.weighting == "norm")
        first = self.directions.first(x)
        length = torch.linalg.vector_norm(first, dim=1, keepdim=True)
        if self.weighting == "single":
            return self._in_frame(x, _direction(first, length))
        if not torch.compiler.is_exporting() and bool((length >= self.eps).all()):
            return self._in_frame(x, first / length)
        return self._shared(x, False)

    def _in_frame(self, x: Tensor, u: Tensor) -> Tensor:
        """Evaluate the perceptron in frames with cosine and sine ``u``, shape ``(B, 2)``."""
        return self.turn_out.back(self.net(self.turn_in.away(x, u)), u)

    def _shared(self, x: Tensor, by_length: bool) -> Tensor:
        vectors = self.directions(x)
        length = torch.linalg.vector_norm(vectors, dim=2)
        weights = by_norm(length, self.eps) if by_length else priority(length, self.eps, [1] * length.shape[1])
        return shared(self._in_frame, x, vectors, length, weights, self.eps)

    def _principal(self, x: Tensor) -> Tensor:
        with torch.no_grad():
            a, b = self.directions(x).unbind(2)
            angle = torch.atan2(2 * (a * b).sum(1), (a * a - b * b).sum(1)) / 2
            u = torch.stack([angle.cos(), angle.sin()], dim=1)
        y = self._in_frame(torch.cat([x, x]), torch.cat([u, -u]))
        return y.view(2, x.shape[0], -1).mean(0)


class Heading(Frame):
    """The perceptron in the heading frame: turned into the first field with role ``"heading"``.

    This is the baseline that every comparison needs. It is discontinuous where the heading is vertical.
    """

    label: ClassVar[str] = "heading"

    def __init__(
        self,
        in_rep: Representation,
        out_rep: Representation,
        group: Group | None = None,
        **common: Unpack[BackboneOptions],
    ) -> None:
        """Build a :class:`Frame` with a single anchor.

        Raises:
            ValueError: as for :class:`Frame`, and if no world vector has the role.
        """
        if others := sorted(set(common) - set(BackboneOptions.__annotations__)):
            raise TypeError(f"{type(self).__name__}.__init__() got an unexpected keyword argument {others[0]!r}")
        super().__init__(
            in_rep,
            out_rep,
            group,
            anchors=(role_anchor(in_rep, self.label, self.label),),
            weighting="single",
            **common,
        )


class Goal(Heading):
    """The perceptron in the goal frame: turned into the first field with role ``"goal"``.

    It is discontinuous where the goal is reached.
    """

    label: ClassVar[str] = "goal"


def _direction(vector: Tensor, length: Tensor) -> Tensor:
    """Unit vectors, the x axis where the vector is zero, with finite gradients everywhere."""
    zero = length == 0
    unit = vector / torch.where(zero, torch.ones_like(length), length)
    return torch.where(zero, unit.new_tensor([1.0, 0.0]), unit)
