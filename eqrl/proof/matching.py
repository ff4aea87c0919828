"""Explain transformed observations.

By signed permutations of entries first, then by orthogonal maps of what is left.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment

from eqrl.arrays import Floats

_SAME = 1e-7  # relative to the largest size of an entry, or 1
_LARGEST_FIT = 48  # entries that are fitted together; more would need too many samples
_NO_MATCH = 1e6


@dataclass(frozen=True, eq=False)
class EntryMatch:
    """How ``after = before @ matrix.T`` was explained.

    Attributes:
        matrix: ``(dim, dim)``; rows of unexplained entries are zero.
        unexplained: entries of ``after`` that nothing explains.
        guessed: entries that never changed, so that another place would explain them as well.
        offset: for an unexplained entry, the constant that would have to be added; empty if that does not help.
    """

    matrix: Floats
    unexplained: tuple[int, ...]
    guessed: tuple[int, ...]
    offset: dict[int, float]


def match(before: Floats, after: Floats, tolerance: float = _SAME) -> EntryMatch:
    """Find the matrix that takes observations to their images.

    Args:
        before: observations ``(n, dim)``.
        after: observations of the transformed states, ``(n, dim)``.
        tolerance: on differences, relative to the largest size of an entry, or 1.
    """
    dim = before.shape[1]
    scale = np.maximum(1.0, np.abs(after).max(axis=0))
    plus = _distance(before, after) / scale[:, None]
    minus = _distance(-before, after) / scale[:, None]
    constant = np.ptp(before, axis=0) <= _SAME * np.maximum(1.0, np.abs(before).max(axis=0))

    # prefer the same entry, then the same sign; what never changes must not take the place of what does
    cost = np.full((dim, dim), _NO_MATCH)
    cost[minus < tolerance] = 1.1
    cost[plus < tolerance] = 1.0
    itself = np.arange(dim)
    cost[itself, itself] = np.where(plus[itself, itself] < tolerance, 0.0, cost[itself, itself])
    rows, columns = linear_sum_assignment(cost)
    matrix = np.zeros((dim, dim))
    left: list[int] = []
    free: list[int] = []
    for i, j in zip(rows, columns, strict=True):
        if cost[i, j] >= _NO_MATCH:
            left.append(int(i))
            free.append(int(j))
        else:
            matrix[i, j] = 1.0 if plus[i, j] < tolerance else -1.0
    if left and _fit(before, after, left, free, matrix, scale):
        left = []
    offsets = {i: c for i in left if (c := _constant(before, after, i, scale[i])) is not None}
    guessed = tuple(int(i) for i in np.flatnonzero(constant) if i not in left)
    return EntryMatch(matrix, tuple(left), guessed, offsets)


def turning_vectors(before: Floats, after: Floats, R: Floats) -> tuple[list[tuple[int, int]], list[int], list[int]]:
    """Find what a rotation about gravity does to each entry.

    Returns:
        Blocks (first entry, width 3 or 2) that turn as vectors, entries that stay as they are, and entries that do
        neither.
    """
    dim = before.shape[1]
    scale = np.maximum(1.0, np.abs(after).max(axis=0))

    def explained(where: slice, matrix: Floats) -> bool:
        gap = np.abs(before[:, where] @ matrix.T - after[:, where]) / scale[where]
        return bool(gap.max() < _SAME) and bool(np.ptp(before[:, where], axis=0).max() > 0)

    blocks: list[tuple[int, int]] = []
    unchanged: list[int] = []
    left: list[int] = []
    i = 0
    while i < dim:
        if i + 3 <= dim and explained(slice(i, i + 3), R) and not explained(slice(i, i + 3), np.eye(3)):
            # three entries of which the third stays may be a vector or two entries and a scalar: the same thing about
            # gravity
            blocks.append((i, 3))
            i += 3
        elif i + 2 <= dim and explained(slice(i, i + 2), R[:2, :2]) and not explained(slice(i, i + 2), np.eye(2)):
            blocks.append((i, 2))
            i += 2
        else:
            same = np.abs(before[:, i] - after[:, i]).max() / scale[i] < _SAME
            (unchanged if same else left).append(i)
            i += 1
    return blocks, unchanged, left


def _fit(before: Floats, after: Floats, left: list[int], free: list[int], matrix: Floats, scale: Floats) -> bool:
    """Explain the rest by one orthogonal map, such as that of quaternions under a turn; fills ``matrix``."""
    n, k = len(before), len(left)
    if k > _LARGEST_FIT or n < 2 * k + 4:
        return False
    x, y = before[:, free], after[:, left]
    if np.linalg.matrix_rank(x, tol=1e-9) < k:
        return False
    fitted = np.linalg.lstsq(x, y, rcond=None)[0].T
    residual = np.abs(x @ fitted.T - y) / scale[left]
    if residual.max() > _SAME or not np.allclose(fitted @ fitted.T, np.eye(k), atol=1e-6):
        return False
    # the fit's own noise is not to end up in a group
    u, _, v = np.linalg.svd(np.where(np.abs(fitted) < 1e-8, 0.0, fitted))
    tidy = u @ v
    matrix[np.ix_(left, free)] = np.where(np.abs(tidy) < 1e-12, 0.0, tidy)
    return True


def _constant(before: Floats, after: Floats, i: int, scale: float) -> float | None:
    for sign in (1.0, -1.0):
        gap = after[:, i, None] - sign * before
        steady = np.flatnonzero(np.ptp(gap, axis=0) < _SAME * scale)
        steady = np.array([j for j in steady if np.ptp(before[:, j]) > _SAME], dtype=np.int64)
        if len(steady):
            j = i if i in steady else int(steady[0])
            return float(gap[0, j])
    return None


def _distance(x: Floats, y: Floats) -> Floats:
    """Largest difference of column j of x from column i of y, ``(dim, dim)``."""
    out = np.empty((y.shape[1], x.shape[1]))
    for i in range(y.shape[1]):
        out[i] = np.abs(x - y[:, i : i + 1]).max(axis=0)
    return out
