"""The asymmetric weighting of group-relative advantages of A-GRAE."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_SMALL = 1e-6


def asymmetric_advantages(
    scores: NDArray[np.float64], group_mean: float, overall_mean: float, alpha: float = 1.0
) -> NDArray[np.float64]:
    """Advantages of the rollouts of one group, relative to each other.

    ``z = (r - p) / (sigma + 1e-6)`` becomes ``P z_h + (1 - P) z_e``, where ``z_h = 0.5 z / (sqrt(p) + 1e-6)`` favours
    groups that succeed rarely and ``z_e = 0.5 z / (1 - sqrt(p) + 1e-6)`` those that succeed often. Positive ones are
    multiplied by ``min(1, P / alpha)``: as long as success is rare, failures count more.

    Args:
        scores: r of each rollout, from 0 to 1, shape ``(n,)``.
        group_mean: p, the mean score of the group.
        overall_mean: P, the mean of p over all groups.
        alpha: value of P from which positive advantages count in full.

    Returns:
        Shape ``(n,)``.
    """
    z = (scores - group_mean) / (scores.std() + _SMALL)
    root = np.sqrt(group_mean)
    hard, easy = 0.5 * z / (root + _SMALL), 0.5 * z / (1.0 - root + _SMALL)
    mixed = (1.0 - overall_mean) * easy + overall_mean * hard
    advantages: NDArray[np.float64] = np.where(mixed > 0.0, min(1.0, overall_mean / alpha) * mixed, mixed)
    return advantages
