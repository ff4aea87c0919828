"""A multilayer perceptron that commutes with a finite group, or with rotations about gravity extended by one.

Hidden layers hold regular representations: one channel for each element of the group, in as many copies as the width
requires, with weights tied by group convolution. This is the network of morphological symmetries (Ordonez-Apraez et
al., arXiv 2302.10433). Of the weights of a plain perceptron of the same
width, only one in as many as the group has elements is free.

Rotations about gravity are honoured outside of this perceptron, by weighted frames as in :mod:`eqrl.nn.frame`. The
finite network inside commutes with the stabilizer of the frame's direction (:mod:`eqrl.nn.stabilizer`). One evaluation
therefore suffices, where ``frame`` needs one for each element of the finite part.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Self, Unpack

import torch
from torch import Tensor

from eqrl.nn.anchors import anchor_fields, anchor_starts, chosen_anchors
from eqrl.nn.backbone import Backbone, BackboneOptions
from eqrl.nn.finite import FinitePerceptron
from eqrl.nn.sharing import priority, shared
from eqrl.nn.stabilizer import proposals, stabilizer
from eqrl.nn.turn import Turn
from eqrl.symmetry import Group, Representation
from eqrl.symmetry.representation import WORLD


class Regular(Backbone):
    """A perceptron with regular representations in its hidden layers, in frames that turn with the input.

    The group may be any finite group, or rotations about gravity extended by any finite group. By default it is the
    whole group that the input declares.

    The first anchor decides alone where its horizontal part is longer than ``eps``. Where it is shorter, the next ones
    take over smoothly, and where all are short, the output tends to a function of the invariants alone. The network is
    continuous everywhere. Anchors that the group exchanges, such as the feet of several legs, have equal rank.
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
            group: group to commute with; None means the input's whole group, for SO3 and O3 the part that keeps
                gravity.
            anchors: names of the fields whose vectors propose directions, best first; None means the goal, the heading,
                and then all other world vectors. A finite group needs none.
            eps: horizontal length, in units of the (normalised) input, below which a vector gradually loses its weight.
            common: see :class:`~eqrl.nn.backbone.BackboneOptions`; by default there are two hidden layers of 256 units,
                rounded up to a multiple of the group's order.

        Raises:
            ValueError: for SO3 and O3, and for unknown anchors.
        """
        super().__init__(in_rep, out_rep, group, **common)
        if eps <= 0:
            raise ValueError(f"eps must be positive, got {eps}")
        self.eps = eps
        # rotations that move nothing of it, such as what a robot sees in its own frame, need no frame
        self.turns = self.group.connected == "SO2" and (_has_world_vectors(in_rep) or _has_world_vectors(out_rep))
        self.anchors = chosen_anchors(anchors, anchor_fields(in_rep), self.label)
        maps, self.ranks = proposals(in_rep, self.group, anchor_starts(in_rep, self.anchors) if self.turns else ())
        self.register_constant("anchor_maps", maps)
        self.turn_in = Turn(in_rep)
        self.turn_out = Turn(out_rep)
        finite = stabilizer(self.group)
        in_matrices, out_matrices = in_rep.matrix(finite.cosets), out_rep.matrix(finite.cosets)
        if self.turns:
            in_matrices, out_matrices = (
                self.turn_in.in_turning_basis(in_matrices),
                self.turn_out.in_turning_basis(out_matrices),
            )
        self.net = FinitePerceptron(finite, in_matrices, out_matrices, self.hidden, self.activation, self.output_gain)

    @classmethod
    def default_group(cls, in_rep: Representation) -> Group:
        """The input's whole group; for SO3 and O3, the subgroup that keeps gravity."""
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
        """Switch to evaluation mode and cache the dense weights, which makes the inner network a plain perceptron."""
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


def _has_world_vectors(rep: Representation) -> bool:
    return any(block.degree > 0 and block.frame == WORLD for block in rep.blocks())
