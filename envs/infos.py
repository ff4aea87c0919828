"""Info dictionaries from batched outcomes, built without a Python loop over terms."""

from __future__ import annotations

from typing import Any

import numpy as np

from eqrl.envs.task import Outcome


def info_rows(outcome: Outcome) -> list[dict[str, Any]]:
    """One ``info`` dict a simulation: ``is_success``, every reward term as ``reward_<name>``, and the metrics."""
    names = ("is_success", *(f"reward_{k}" for k in outcome.rewards), *outcome.metrics)
    numbers = np.stack([*outcome.rewards.values(), *outcome.metrics.values()], axis=-1).tolist()
    return [dict(zip(names, (s, *row), strict=True)) for s, row in zip(outcome.success.tolist(), numbers, strict=True)]


def info_columns(outcome: Outcome) -> dict[str, Any]:
    """The same as arrays over the simulations, as Gymnasium's vector environments give them."""
    return {
        "is_success": outcome.success,
        **{f"reward_{k}": v for k, v in outcome.rewards.items()},
        **outcome.metrics,
    }
