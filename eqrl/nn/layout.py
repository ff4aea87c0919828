"""Sorting the coordinates of a representation by how a standard group acts on them.

Where the group keeps gravity, the vertical component of a vector is an invariant (odd under mirrors if the vector is
axial), and its horizontal part is a vector of the plane. In the plane, an axial vector turned by 90 degrees behaves as
a polar one, so one kind of vector suffices. Without mirrors, axial vectors count as polar and pseudoscalars as scalars.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from eqrl.symmetry import O2, O3, SO2, SO3, TRIVIAL, Group, Representation
from eqrl.symmetry.representation import WORLD


@dataclass
class Layout:
    """Coordinates of one representation under one of the groups 1, SO2, O2, SO3 and O3.

    A vector is given by the coordinates of its components and by their signs. Signs are -1 only for axial vectors of
    the plane, which are listed as polar vectors, turned by 90 degrees.

    Attributes:
        space: number of components of a vector: 3, 2 about gravity, 0 for the trivial group.
        even: coordinates of true invariants.
        odd: coordinates of pseudoscalars, which change sign with the determinant; empty without mirrors.
        polar: coordinates of the components of each polar vector, ``space`` of them.
        axial: the same for axial vectors; empty without mirrors, and in the plane.
        signs: sign with which each coordinate enters its vector, length ``dim``.
    """

    space: int
    even: list[int] = field(default_factory=list)
    odd: list[int] = field(default_factory=list)
    polar: list[tuple[int, ...]] = field(default_factory=list)
    axial: list[tuple[int, ...]] = field(default_factory=list)
    signs: list[float] = field(default_factory=list)

    @property
    def order(self) -> list[int]:
        """All coordinates: even, odd, then the components of polar and of axial vectors, one vector after another."""
        return self.even + self.odd + [i for vector in self.polar + self.axial for i in vector]

    def sign_of(self, index: Tensor) -> Tensor:
        """Signs of the given coordinates, float64."""
        return torch.tensor(self.signs, dtype=torch.float64)[index]


def layout(rep: Representation, group: Group, backbone: str) -> Layout:
    """Sort the coordinates of a representation.

    Args:
        rep: the representation.
        group: one of the objects TRIVIAL, SO2, O2, SO3 and O3.
        backbone: name of the backbone that asks, for messages.

    Raises:
        ValueError: if the representation holds irreps with ``l >= 2``.
    """
    mirrors = group in (O2, O3)
    coordinates = Layout(space={TRIVIAL: 0, SO2: 2, O2: 2, SO3: 3, O3: 3}[group], signs=[1.0] * rep.dim)
    for block in rep.blocks():
        where = tuple(block.where)
        if block.frame != WORLD or group == TRIVIAL:
            coordinates.even += where
        elif block.degree == 0:
            (coordinates.odd if mirrors and block.parity == -1 else coordinates.even).extend(where)
        elif block.degree == 1:
            _sort_vector(coordinates, where, mirrors and block.parity == 1)
        else:
            raise ValueError(
                f"field {block.field.name!r} holds {block.field.irreps!r}; backbone {backbone!r} knows scalars and"
                " vectors only, take 'steerable' or 'frame' for l >= 2"
            )
    return coordinates


def _sort_vector(coordinates: Layout, where: tuple[int, ...], axial: bool) -> None:
    if coordinates.space == 3:
        (coordinates.axial if axial else coordinates.polar).append(where)
        return
    x, y, *vertical = where
    (coordinates.odd if axial else coordinates.even).extend(vertical)
    if axial:
        coordinates.polar.append((y, x))
        coordinates.signs[y] = -1.0
    else:
        coordinates.polar.append((x, y))
