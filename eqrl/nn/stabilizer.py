"""The stabilizer of a direction: the part of a group that remains once a vector of the input has been turned to +x.

Let rotations about gravity be extended by finitely many elements k = (R, h), and let A be the horizontal block of R. In
a frame that turns a horizontal vector to +x, k acts as ``r k`` with the rotation r that brings ``A e_x`` back to +x.
These elements are the stabilizer of +x. They form a group with one element for each coset of the rotations: a mirror of
the world becomes the mirror y -> -y, and an element that only relabels stays as it is. A network that commutes with the
stabilizer, evaluated in the frame, commutes with the whole group once its output is turned back.

Vectors that the finite part exchanges, or maps to their opposites, propose directions together, in one rank.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from eqrl.symmetry import Generator, Group, Representation

_DIGITS = 9


def stabilizer(group: Group) -> Group:
    """The finite group of the elements that leave the direction +x of polar vectors unchanged.

    Args:
        group: rotations about gravity extended by a finite group, or a finite group, which is returned unchanged.
    """
    if group.connected == "1":
        return group
    generators = []
    for generator in group.finite:
        (a, b, _), (c, d, _), (_, _, up) = generator.R
        # exactly +-1: rounding errors of the matrix would become equivariance errors of the network
        matrix_in_frame = np.diag([1.0, 1.0 if a * d - b * c > 0 else -1.0, 1.0 if up > 0 else -1.0])
        relabelling = {name: np.array(matrix) for name, matrix in generator.h}
        generators.append(Generator.of(generator.name, matrix_in_frame, relabelling))
    return Group(f"stabilizer of +x in {group}", "1", tuple(generators))


def proposals(rep: Representation, group: Group, starts: Sequence[int]) -> tuple[Tensor, list[int]]:
    """Linear maps to horizontal polar vectors that the finite part only permutes, in ranks that it does not mix.

    Args:
        rep: representation of the input.
        group: rotations about gravity extended by a finite group.
        starts: the coordinate of x of each vector, best first; y follows it.

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
    maps = [rows for rank in ranks for rows in rank]
    columns = torch.cat(maps).mT.contiguous() if maps else torch.zeros(rep.dim, 0, dtype=torch.float64)
    return columns, [len(rank) for rank in ranks]


def _distinct(maps: Tensor) -> dict[tuple[float, ...], Tensor]:
    """The different ones among some maps, by their rounded entries."""
    return {tuple((rows.flatten().round(decimals=_DIGITS) + 0.0).tolist()): rows for rows in reversed(maps.unbind())}
