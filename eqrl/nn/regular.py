"""A multilayer perceptron over a finite group, and over rotations about gravity extended by one.

Hidden layers hold regular representations: one channel for each element of the group, in as many copies as the width asks
for, with weights tied by group convolution. This is the network of morphological symmetries (Ordonez-Apraez et al., arXiv
2302.10433). It has one free weight where a plain perceptron of its width has as many as the group has elements.

Rotations about gravity are taken care of outside, by weighted frames as in :mod:`eqrl.nn.frame`. The finite network
inside commutes with what the group leaves of itself in such a frame (:mod:`eqrl.nn.stabilizer`), so one evaluation does for
which ``frame`` needs one for each finite element.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Self, Unpack

import torch
from torch import Tensor

from eqrl.nn.anchors import anchor_fields, anchor_starts
from eqrl.nn.backbone import Backbone, BackboneOptions
from eqrl.nn.finite import FinitePerceptron
from eqrl.nn.sharing import priority, shared
from eqrl.nn.stabilizer import proposals, stabilizer
from eqrl.nn.turn import Turn
from eqrl.symmetry import Group, Representation


class Regular(Backbone):
    """A perceptron with regular representations inside, in frames that turn with the input.

    The group may be any finite group, or rotations about gravity extended by any finite group. By default it is all that
    the input declares.

    The first anchor decides alone where its horizontal part is longer than ``eps``; below, the next ones take over
    smoothly, and where all are short the output goes to what the invariants of the input allow. Continuous everywhere.
    Anchors that the group exchanges, such as the points of several legs, share their say equally.
    """

    label: ClassVar[str] = "regular"

    anchor_maps: Tensor

    def __init__(
        self,
        in_rep: Representation,
        out_rep: Representation,
        group: Group | None = None,
        *,
        anchors: Sequence[str] | None = None,
        eps: float = 0.1,
        **common: Unpack[BackboneOptions],
    ) -> None:
        """Build the perceptron and the constants of the group.

        Args:
            in_rep: representation of the input.
            out_rep: representation of the output.
            group: group to commute with; None is the input's whole group, of SO3 and O3 the part that keeps gravity.
            anchors: names of the fields whose vectors propose directions, the best first; None takes the goal, the heading,
                and all other world vectors. A finite group needs none.
            eps: horizontal length, in units of the (normalised) input, below which a vector loses its say.
            common: see :class:`~eqrl.nn.backbone.BackboneOptions`; hidden layers have by default ``(256, 256)`` units, rounded up
                to whole regular representations.

        Raises:
            ValueError: for SO3 and O3, and for unknown anchors.
        """
        super().__init__(in_rep, out_rep, group, **common)
        if eps <= 0:
            raise ValueError(f"eps must be positive, got {eps}")
        self.eps = eps
        self.turns = self.group.connected == "SO2"
        self.anchors = anchor_fields(in_rep) if anchors is None else tuple(anchors)
        maps, self.ranks = proposals(in_rep, self.group, anchor_starts(in_rep, self.anchors) if self.turns else ())
        self.register_constant("anchor_maps", maps)
        self.turn_in = Turn(in_rep)
        self.turn_out = Turn(out_rep)
        inside = stabilizer(self.group)
        acts_in, acts_out = in_rep.matrix(inside.cosets), out_rep.matrix(inside.cosets)
        if self.turns:
            acts_in, acts_out = self.turn_in.inside(acts_in), self.turn_out.inside(acts_out)
        self.net = FinitePerceptron(inside, acts_in, acts_out, self.hidden, self.activation, self.output_gain)

    @classmethod
    def default_group(cls, in_rep: Representation) -> Group:
        """The input's whole group; of SO3 and O3, what keeps gravity."""
        group = in_rep.group
        return group.world_part().about_gravity() if group.connected == "SO3" else group

    @classmethod
    def check_group(cls, group: Group) -> None:
        """Refuse rotations other than those about gravity."""
        if group.connected == "SO3":
            raise ValueError(
                f"backbone {cls.label!r} turns about gravity only and cannot honour group {group}; ask for its part "
                "about gravity, group.about_gravity(), or take 'vector' or 'steerable'"
            )

    def freeze(self) -> Self:
        """Switch to evaluation and keep the dense weights, which makes the network a plain perceptron."""
        super().freeze()
        self.net.freeze()
        return self

    def compute(self, x: Tensor) -> Tensor:
        """Map ``(B, in_rep.dim)`` to ``(B, out_rep.dim)``, where padding is zero."""
        if not self.turns:
            y: Tensor = self.net(x)
            return y
        if self.ranks and self.ranks[0] == 1 and not torch.compiler.is_exporting():
            first = x @ self.anchor_maps[:, :2]
            length = torch.linalg.vector_norm(first, dim=1, keepdim=True)
            if bool((length >= self.eps).all()):
                return self._in_frame(x, first / length)
        vectors = (x @ self.anchor_maps).view(x.shape[0], -1, 2)
        lengths = torch.linalg.vector_norm(vectors, dim=2)
        return shared(self._in_frame, x, vectors, lengths, priority(lengths, self.eps, self.ranks), self.eps)

    def _in_frame(self, x: Tensor, u: Tensor) -> Tensor:
        """Evaluate the perceptron in frames with cosine and sine ``u``, shape ``(B, 2)``."""
        return self.turn_out.back(self.net(self.turn_in.away(x, u)), u)
