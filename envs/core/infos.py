"""What a batched step returns: info dictionaries, built without a Python loop over terms, and mended observations."""

from __future__ import annotations

from typing import Any

import numpy as np

from eqrl.arrays import Bools
from eqrl.envs.core.packing import Observation
from eqrl.envs.core.task import Outcome


def info_rows(outcome: Outcome) -> list[dict[str, Any]]:
    """One ``info`` dict a simulation: ``is_success``, every reward term as ``reward_<name>``, and the metrics.

    Where the physics diverged there is ``diverged`` besides, and in a fleet the ``member``.
    """
    names = ("is_success", *(f"reward_{k}" for k in outcome.rewards), *outcome.metrics)
    numbers = np.stack([*outcome.rewards.values(), *outcome.metrics.values()], axis=-1).tolist()
    rows = [dict(zip(names, (s, *row), strict=True)) for s, row in zip(outcome.success.tolist(), numbers, strict=True)]
    if outcome.diverged is not None:
        for i in np.flatnonzero(outcome.diverged):
            rows[i]["diverged"] = True
    if outcome.members is not None:
        for row, name in zip(rows, outcome.members.tolist(), strict=True):
            row["member"] = name
    return rows


def info_columns(outcome: Outcome) -> dict[str, Any]:
    """The same as arrays over the simulations, as Gymnasium's vector environments give them."""
    return {
        "is_success": outcome.success,
        **{f"reward_{k}": v for k, v in outcome.rewards.items()},
        **outcome.metrics,
        **({} if outcome.diverged is None else {"diverged": outcome.diverged}),
        **({} if outcome.members is None else {"member": outcome.members}),
    }


def with_rows(observation: Observation, other: Observation, which: Bools) -> Observation:
    """The observation with the rows of another one where a simulation's own mean nothing."""
    if isinstance(observation, dict):
        assert isinstance(other, dict)  # both come from one task
        return {key: np.where(which[:, None], other[key], value) for key, value in observation.items()}
    assert not isinstance(other, dict)
    return np.where(which[:, None], other, observation)
