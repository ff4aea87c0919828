"""Rewards of hindsight replay, of which some terms come from the step's own ``info``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from eqrl.arrays import Floats
from eqrl.envs.core.world import World


def steps_left(world: World, steps: int, dt: float) -> Floats:
    """How many of the steps of an episode are left, ``(n,)``: the clock of published rewards."""
    left: Floats = steps - np.round(world.data.time / dt)
    return left


def from_info(info: Any, name: str, default: float) -> Any:
    """A number from each info, or from a single one; the default where there is none."""
    if info is None or isinstance(info, Mapping):
        return (info or {}).get(name, default)
    return np.array([one.get(name, default) for one in info])


def with_terms(reward: Any, info: Any, names: Sequence[str]) -> Any:
    """Add terms of ``info`` to a reward that follows from goals.

    Args:
        reward: shape ``(*batch,)``.
        info: a dict, one a pair, or None; terms that it does not have count 0, as in the empty infos of SB3's replay
            buffer.
        names: of the terms, as ``info`` names them, in the order in which the step adds them.

    Returns:
        Rewards of the same shape; a float for a single pair.
    """
    for name in names:  # one by one, as the step adds them, so that both sums are equal to the bit
        reward = reward + from_info(info, name, 0.0)
    return reward if np.ndim(reward) else float(reward)
