"""How often a line in the plane goes round a point."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from eqrl.arrays import Floats
from eqrl.envs.scenes.goals import total


def turns(line: NDArray[Any], centre: NDArray[Any]) -> tuple[Floats, Floats]:
    """How often a line goes round a point, in turns; positive counterclockwise.

    Args:
        line: corners of the line, ``(*batch, n, 2)``.
        centre: the point, ``(*batch, 2)``.

    Returns:
        The open line's winding, any number, and that of the polygon that closes it, which is whole to rounding; shape
        ``(*batch,)`` each.
    """
    arm = np.asarray(line, dtype=np.float64) - np.asarray(centre, dtype=np.float64)[..., None, :]
    x, y = arm[..., 0], arm[..., 1]

    def angle(here: slice | list[int], there: slice | list[int]) -> Floats:
        sine = x[..., here] * y[..., there] - y[..., here] * x[..., there]
        cosine = x[..., here] * x[..., there] + y[..., here] * y[..., there]
        out: Floats = np.arctan2(sine, cosine)
        return out

    opened = total(angle(slice(None, -1), slice(1, None)))
    closed = opened + angle([-1], [0])[..., 0]
    return opened / (2 * np.pi), closed / (2 * np.pi)
