"""A step of many environments whose episodes end one by one: what all batched forms share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from eqrl.arrays import Bools, Floats
from eqrl.envs.core.fleet import JoinedOutcome
from eqrl.envs.core.infos import with_rows
from eqrl.envs.core.packing import Observation, concatenated
from eqrl.envs.core.simulated import Simulated
from eqrl.envs.core.task import Outcome


@dataclass
class Step:
    """What a step gave.

    Attributes:
        outcome: rewards, successes and ends.
        truncated: episodes that end by the time limit or a divergence, ``(n,)``.
        final: observations after the step, before any episode starts anew; where the physics diverged, the last good
            ones.
        observation: the same, with the first observations of new episodes.
    """

    outcome: Outcome
    truncated: Bools
    final: Observation
    observation: Observation

    @property
    def dones(self) -> Bools:
        """Episodes that end, ``(n,)``."""
        return self.outcome.terminated | self.truncated

    @classmethod
    def joined(cls, parts: Sequence[Step]) -> Step:
        """The steps of several batches, one after the other, as that of one."""
        return cls(
            outcome=JoinedOutcome.of([part.outcome for part in parts]),
            truncated=np.concatenate([part.truncated for part in parts]),
            final=concatenated([part.final for part in parts]),
            observation=concatenated([part.observation for part in parts]),
        )


def advance(simulation: Simulated, action: Floats, limit: int, last: Observation | None) -> Step:
    """Advance all environments; those that are done start anew.

    Args:
        simulation: the physics.
        action: shape ``(n, action dim)``.
        limit: control steps of an episode.
        last: the observations before.
    """
    outcome = simulation.step(action)
    truncated = simulation.elapsed >= limit
    if outcome.diverged is not None:
        truncated = truncated | outcome.diverged
    observation = simulation.observe()
    if outcome.diverged is not None and last is not None:
        observation = with_rows(observation, last, outcome.diverged)
    step = Step(outcome, truncated, observation, observation)
    if (dones := step.dones).any():
        simulation.reset(np.flatnonzero(dones))
        step.observation = simulation.observe()
    return step
