"""Statistics of returns for each member of a fleet, whose rewards may differ in size."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from stable_baselines3.common.running_mean_std import RunningMeanStd


class StatisticsByMember(RunningMeanStd):
    """Running mean and variance of discounted returns for each member of a fleet, as ``VecNormalize`` keeps for all.

    It takes the place of a wrapper's statistics; rewards are then scaled by the spread of their own member's returns::

        env = VecNormalize(eqrl.make_vec("eqrl/Push-v0", 12, members=members), norm_obs=False)
        env.ret_rms = StatisticsByMember(env.unwrapped.members)

    For on-policy algorithms: a replay buffer does not tell whose reward it returns.

    Args:
        members: name of the member of each environment.

    Attributes:
        rows: indices of the environments of each member, by its name.
        mean: mean of the returns of its member, for each environment.
        var: their variance, likewise.
        count: their number, likewise.
    """

    def __init__(self, members: Sequence[str]) -> None:
        super().__init__(shape=(len(members),))
        self.rows = {name: [i for i, other in enumerate(members) if other == name] for name in dict.fromkeys(members)}
        self.count = np.full(len(members), self.count)  # type: ignore[assignment]

    def update(self, arr: NDArray[np.float64]) -> None:
        """Add the returns of one step, shape ``(n_envs,)``."""
        mean, var, count = np.empty((3, len(arr)))
        for rows in self.rows.values():
            mean[rows], var[rows], count[rows] = arr[rows].mean(), arr[rows].var(), len(rows)
        self.update_from_moments(mean, var, count)  # type: ignore[arg-type]
