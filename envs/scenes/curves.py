"""Plane curves to lay a rope along: smooth bends one after the other, each drawn again by its number."""

from __future__ import annotations

import numpy as np

from eqrl.arrays import Floats

CURVES = 1000  # of each split
SPLITS = {"train": 0, "test": 1}
_MILD, _WIDTH = 0.3, 0.5  # least bend as a share of the largest; width of a bend as a share of its room


def curve(number: int, split: str, bends: int, largest: float, points: int) -> Floats:
    """A curve of length 1 that bends some times, its mean at the origin and its mean direction along +x.

    Args:
        number: which one, from 0 to ``CURVES - 1``.
        split: ``"train"`` or ``"test"``, whose curves all differ.
        bends: how often it bends, to either side; where it does is drawn too.
        largest: angle of a bend, rad.
        points: how many points, evenly spaced along it.

    Returns:
        Shape ``(points, 2)``.
    """
    rng = np.random.default_rng([number, SPLITS[split], bends])
    angles = rng.choice([-1.0, 1.0], bends) * largest * rng.uniform(_MILD, 1.0, bends)
    where = (np.arange(bends) + rng.uniform(0.3, 0.7, bends)) / bends
    middles = (np.arange(points - 1) + 0.5) / (points - 1)
    share = np.clip((middles - where[:, None]) * bends / _WIDTH + 0.5, 0.0, 1.0)
    direction = angles @ (share * share * (3.0 - 2.0 * share))
    direction -= np.arctan2(np.sin(direction).mean(), np.cos(direction).mean())
    steps = np.stack([np.cos(direction), np.sin(direction)], axis=-1) / (points - 1)
    line = np.concatenate([np.zeros((1, 2)), np.cumsum(steps, axis=0)])
    centred: Floats = line - line.mean(axis=0)
    return centred
