"""Is the distribution of initial states invariant? A coarse test: it finds gross differences only."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eqrl.arrays import Floats

SAMPLES = 200
_LARGEST_Z = 6.0
_NOTHING = 1e-6


def reset_difference(samples: Floats, turn: Callable[[Floats], NDArray[np.floating[Any]]]) -> tuple[int, float] | None:
    """Compare one half of the samples with the other half transformed, by means and second moments of every entry.

    Args:
        samples: initial states or observations, ``(n, size)``.
        turn: the action of the symmetry, ``(n, size) -> (n, size)``.

    Returns:
        The entry that differs most and by how many standard errors; None if none differs by more than six.
    """
    half = len(samples) // 2
    a, b = samples[:half], turn(samples[half : 2 * half])
    worst: tuple[int, float] | None = None
    for moment in (1, 2):
        x, y = a**moment, b**moment
        gap = np.abs(x.mean(0) - y.mean(0))
        error = np.sqrt((x.var(0) + y.var(0)) / half)
        z = np.where(gap <= _NOTHING, 0.0, gap / np.maximum(error, 1e-12))
        k = int(z.argmax())
        if z[k] > max(_LARGEST_Z, worst[1] if worst else 0.0):
            worst = k, float(z[k])
    return worst
