"""What goals of several tasks share; sums over short rows are written out, for the same bits in every batch."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from eqrl.arrays import Floats


def in_ball(rng: np.random.Generator, radius: float, sector: tuple[float, float]) -> Floats:
    """A point uniform in a ball about the origin whose azimuth lies in a sector, shape ``(3,)``."""
    azimuth, height, length = rng.uniform(*sector), rng.uniform(-1.0, 1.0), radius * rng.random() ** (1 / 3)
    flat = np.sqrt(1.0 - height * height)
    point: Floats = length * np.array([flat * np.cos(azimuth), flat * np.sin(azimuth), height])
    return point


def total(values: Floats) -> Floats:
    """Sums over the last axis, ``(*batch, n)`` to ``(*batch,)``, each with the same bits in every batch.

    NumPy adds up in an order that depends on how an array lies in memory, so here it always lies alike.
    """
    out: Floats = np.ascontiguousarray(values).sum(axis=-1)
    return out


def length(vector: Floats) -> Floats:
    """Lengths of vectors of two or three components, shape ``(*batch,)``."""
    squares = vector * vector
    total = squares[..., 0] + squares[..., 1]
    if vector.shape[-1] == 3:
        total = total + squares[..., 2]
    out: Floats = np.sqrt(total)
    return out


def distance(a: NDArray[Any], b: NDArray[Any]) -> Floats:
    """Distances between points of two or three coordinates, shape ``(*batch,)``."""
    return length(np.asarray(a, dtype=np.float64) - np.asarray(b, dtype=np.float64))


def dot(a: Floats, b: Floats) -> Floats:
    """Products of vectors of three components, shape ``(*batch,)``."""
    product: Floats = a[..., 0] * b[..., 0] + a[..., 1] * b[..., 1] + a[..., 2] * b[..., 2]
    return product


def flat_direction(vector: Floats) -> Floats:
    """Unit vectors along the horizontal part of vectors, shape ``(n, 2)``."""
    length = np.maximum(np.sqrt(vector[:, 0] * vector[:, 0] + vector[:, 1] * vector[:, 1]), 1e-9)
    direction: Floats = vector[:, :2] / length[:, None]
    return direction


def angle_between(a: NDArray[Any], b: NDArray[Any], order: int) -> Floats:
    """Angles between directions in the plane, rad, modulo the symmetry of a shape that ``order`` turns leave as it is.

    Args:
        a: unit vectors, ``(*batch, 2)``.
        b: likewise.
        order: number of turns.
    """
    a, b = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    sine = b[..., 0] * a[..., 1] - b[..., 1] * a[..., 0]
    cosine = b[..., 0] * a[..., 0] + b[..., 1] * a[..., 1]
    period, turn = 2 * np.pi / order, np.arctan2(sine, cosine)
    angle: Floats = np.abs(turn - period * np.round(turn / period))
    return angle
