"""Rewards of hindsight replay, of which some terms come from the step's own ``info``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np


def with_terms(reward: Any, info: Any, names: Sequence[str]) -> Any:
    """Add terms of ``info`` to a reward that follows from goals.

    Args:
        reward: shape ``(*batch,)``.
        info: a dict, or one a pair; terms that it does not have count 0, as in the empty infos of SB3's replay buffer.
        names: of the terms, as ``info`` names them, in the order in which the step adds them.

    Returns:
        Rewards of the same shape; a float for a single pair.
    """
    if names and info is not None:
        for name in names:  # one by one, as the step adds them, so that both sums are equal to the bit
            terms = info.get(name, 0.0) if isinstance(info, dict) else np.array([i.get(name, 0.0) for i in info])
            reward = reward + terms
    return reward if np.ndim(reward) else float(reward)
