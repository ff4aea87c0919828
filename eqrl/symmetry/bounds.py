"""Bounds of actions: clipping to a box breaks the symmetry unless the group maps the box to itself."""

from __future__ import annotations

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from eqrl.symmetry.errors import BreaksSymmetryError
from eqrl.symmetry.exchange import exchanges
from eqrl.symmetry.group import Group
from eqrl.symmetry.orbits import orbits
from eqrl.symmetry.representation import Representation
from eqrl.symmetry.spaces import check_round, vector_blocks

_INFINITE = 1e12


def check_box(box: spaces.Box, representation: Representation, group: Group | None = None) -> None:
    """Refuse an action box that the group does not map to itself, because clipping to it would break the symmetry.

    Args:
        box: the action space.
        representation: representation of the actions.
        group: the group, by default that of the representation.

    Raises:
        BreaksSymmetryError: naming the field, its bounds and the generator.
    """
    group = group or representation.group
    try:
        check_round(box, representation)
    except ValueError as error:
        raise BreaksSymmetryError(str(error)) from error
    low = np.clip(box.low.astype(np.float64), -_INFINITE, _INFINITE)
    high = np.clip(box.high.astype(np.float64), -_INFINITE, _INFINITE)
    vectors = np.zeros(representation.dim, dtype=bool)
    for block in vector_blocks(representation):
        vectors[block] = True
    for name, element in (*group.generators, *exchanges(representation)):
        matrix = representation.matrix(element).numpy()
        up, down = matrix.clip(min=0.0), matrix.clip(max=0.0)
        moved_low, moved_high = up @ low + down @ high, up @ high + down @ low
        violating = ~vectors & ~(np.isclose(moved_low, low) & np.isclose(moved_high, high))
        _refuse(box, representation, violating, name)
    # exchanged vectors need equal radii; check_round has made sure that each is bounded by a ball
    index = orbits(representation, group).index.numpy()
    for orbit in np.unique(index[vectors]):
        members = vectors & (index == orbit)
        _refuse(box, representation, members & ~np.isclose(high, high[members].min()), "the exchange of vectors")


def check_padding(box: spaces.Box, padded: NDArray[np.bool_], representation: Representation, unit: bool) -> None:
    """Refuse a box in which padded entries cannot be zero.

    Args:
        box: the action space.
        padded: entries that may be padding, shape ``(dim,)``, bool.
        representation: representation of the actions.
        unit: whether the algorithm works in units of the bounds, so that its zero is the middle of the box.

    Raises:
        ValueError: naming the field and its bounds.
    """
    low, high = np.clip(box.low, -_INFINITE, _INFINITE), np.clip(box.high, -_INFINITE, _INFINITE)
    violating = padded & (~np.isclose(low, -high) if unit else (low > 0.0) | (high < 0.0))
    if violating.any():
        first = int(np.flatnonzero(violating)[0])
        field = _field_at(representation, first)
        need = "symmetric bounds, [-r, r]" if unit else "bounds on both sides of 0"
        raise ValueError(
            f"action field {field!r} has an entry bounded by {box.low[first]:g} .. {box.high[first]:g}; its slots may"
            f" be padding, whose actions are 0, so give it {need}"
        )


def _refuse(box: spaces.Box, representation: Representation, violating: NDArray[np.bool_], cause: str) -> None:
    if not violating.any():
        return
    first = int(np.flatnonzero(violating)[0])
    raise BreaksSymmetryError(
        f"action field {_field_at(representation, first)!r} has an entry bounded by {box.low[first]:g} .."
        f" {box.high[first]:g}, which {cause!r} does not map to the bounds of its partner; give exchanged entries equal"
        " bounds, and those that change sign symmetric ones"
    )


def _field_at(representation: Representation, coordinate: int) -> str:
    return next(name for name, where in representation.slices.items() if where.start <= coordinate < where.stop)
