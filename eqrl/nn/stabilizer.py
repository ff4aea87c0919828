"""What is left of a group once the world has been turned into a direction of the input.

Let rotations about gravity be extended by finitely many elements k = (R, h). A horizontal vector of the world is mapped by
the horizontal block A of R; after it has been turned to +x, k acts as ``r^-1 k`` with the rotation r that brings ``A e_x``
back to +x. These elements are the stabilizer of +x. They form a group, one element for each coset of the rotations: a mirror
of the world has become the mirror y -> -y, and an element that only relabels is itself. A network that commutes with them,
evaluated in the turned world, commutes with the whole group when its output is turned back.

Vectors that k exchanges, or maps to their opposites, propose their directions together.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from eqrl.symmetry import Generator, Group, Representation

_DIGITS = 9


def stabilizer(group: Group) -> Group:
    """The finite group of those elements that leave the horizontal direction +x of polar vectors alone.

    Args:
        group: rotations about gravity extended by a finite group, or a finite group, which is returned as it is.
    """
    if group.connected == "1":
        return group
    kept = []
    for generator in group.finite:
        (a, b, _), (c, d, _), (_, _, up) = generator.R
        # exactly +-1: a rounded matrix would round the symmetry of the network
        moved = np.diag([1.0, 1.0 if a * d - b * c > 0 else -1.0, 1.0 if up > 0 else -1.0])
        kept.append(Generator.of(generator.name, moved, {name: np.array(matrix) for name, matrix in generator.h}))
    return Group(f"stabilizer of +x in {group}", "1", tuple(kept))


def proposals(rep: Representation, group: Group, starts: Sequence[int]) -> tuple[Tensor, list[int]]:
    """Linear maps to horizontal polar vectors that the group only permutes, in ranks that it does not mix.

    Args:
        rep: representation of the input.
        group: rotations about gravity extended by a finite group.
        starts: where the vectors begin, the best first; x stands there and y behind it.

    Returns:
        The maps as the columns of a matrix ``(dim, 2 n)``, float64, and the number of maps in each rank.
    """
    matrices = rep.matrix(group.cosets)
    back = group.cosets.R[:, :2, :2].mT
    quarter = torch.tensor([[0.0, -1.0], [1.0, 0.0]], dtype=torch.float64)
    ranks: list[list[Tensor]] = []
    known: set[tuple[float, ...]] = set()
    for start in starts:
        rows = matrices[:, start : start + 2]
        # an axial vector turned by 90 degrees behaves as a polar one under vertical mirrors
        plain, turned = _distinct(back @ rows), _distinct(back @ quarter @ rows)
        orbit = turned if len(turned) < len(plain) else plain
        if known.isdisjoint(orbit):
            known.update(orbit)
            ranks.append(list(orbit.values()))
    maps = [one for rank in ranks for one in rank]
    columns = torch.cat(maps).mT.contiguous() if maps else torch.zeros(rep.dim, 0, dtype=torch.float64)
    return columns, [len(rank) for rank in ranks]


def _distinct(maps: Tensor) -> dict[tuple[float, ...], Tensor]:
    return {tuple((one.flatten().round(decimals=_DIGITS) + 0.0).tolist()): one for one in reversed(maps.unbind())}
