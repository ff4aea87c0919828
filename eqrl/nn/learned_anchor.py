"""A learned direction to turn into, made of all that the input holds."""

from __future__ import annotations

import torch
from torch import Tensor

from eqrl.nn.constants import ExactModule
from eqrl.nn.vector import Vector
from eqrl.symmetry import SO2, Field, Representation
from eqrl.symmetry.representation import WORLD

LEARNED = "learned"
_HIDDEN = (64, 64)
_GAIN = 4.0  # which makes most of the vectors longer than a frame's eps at the start of training


class LearnedAnchor(ExactModule):
    """A horizontal vector that turns with the input, by a small network.

    The frame of SHNN (Chen et al., arXiv 2407.12505) is the direction of such a vector. Here the network is
    :class:`~eqrl.nn.vector.Vector`, which reads all scalars and vectors and leaves higher irreps out. It need not know
    about mirrors or exchanges, because an anchor determines a rotation only.
    """

    index: Tensor

    def __init__(self, in_rep: Representation) -> None:
        """Build the network.

        Args:
            in_rep: representation of the input.
        """
        super().__init__()
        fields = tuple(f for f in in_rep.fields if f.frame != WORLD or all(degree < 2 for degree, _ in f.copies))
        where = [i for f in fields for i in range(in_rep.slices[f.name].start, in_rep.slices[f.name].stop)]
        self.register_constant("index", torch.tensor(where, dtype=torch.int64))
        direction = Representation((Field("direction", "1x1o", horizontal=True),), (), SO2)
        self.net = Vector(
            Representation(fields, in_rep.entities, SO2), direction, SO2, hidden=_HIDDEN, output_gain=_GAIN
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(B, in_rep.dim)`` to the x and y of the vector, ``(B, 2)``."""
        y: Tensor = self.net(x.index_select(1, self.index))
        return y
