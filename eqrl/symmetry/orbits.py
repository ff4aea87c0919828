"""Orbits: the sets of coordinates that a group mixes.

A diagonal map that must commute with the group (the scales of a normaliser, the widths of exploration noise)
has to be constant on orbits, and a constant offset may be added only where the group permutes coordinates without
changing signs. Both are read off the matrices of the generators. They therefore cover vectors (one scale for x, y and
z, with a separate one for z if the group keeps gravity), mirrored joints (no offset) and exchanged limbs (one statistic
for all) alike. The entities of an exchangeable set share their orbits under any group, since each of them may stand in
any slot.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components
from torch import Tensor

from eqrl.symmetry.exchange import exchanges
from eqrl.symmetry.group import Group
from eqrl.symmetry.representation import Representation

_ZERO = 1e-9


@dataclass(frozen=True)
class Orbits:
    """Partition of the coordinates of a representation under a group.

    Attributes:
        index: index of the orbit of each coordinate, shape ``(dim,)``, int64.
        count: number of orbits.
        offset: for each orbit, whether adding a common offset commutes with the group, shape ``(count,)``, bool.
    """

    index: Tensor
    count: int
    offset: Tensor


def orbits(representation: Representation, group: Group | None = None) -> Orbits:
    """Find the orbits of coordinates under a group.

    Args:
        representation: representation of the vector.
        group: the group, by default that of the representation.
    """
    group = group or representation.group
    matrices = [representation.matrix(g).numpy() for _, g in group.generators]
    mixed = np.eye(representation.dim, dtype=bool)
    permuted = np.ones(representation.dim, dtype=bool)
    for matrix in matrices:
        mixed |= np.abs(matrix) > _ZERO
        permuted &= np.isclose(matrix.max(axis=0), 1.0, atol=_ZERO)
    coordinates = torch.arange(representation.dim, dtype=torch.float64)
    for _, exchange in exchanges(representation):
        # a permutation without signs, so offsets remain possible
        mixed[np.arange(representation.dim), representation.transform(coordinates, exchange).long().numpy()] = True
    count, index = connected_components(csr_array(mixed), directed=False)
    offset = np.ones(count, dtype=bool)
    np.logical_and.at(offset, index, permuted)
    return Orbits(torch.as_tensor(index, dtype=torch.int64), int(count), torch.as_tensor(offset))
