"""Try one symmetry on an environment: dynamics, observation, reward and termination, one step at a time.

Chaos has no time to grow in one step, so that no nudges are needed here; :mod:`eqrl.proof.worlds` compares whole
episodes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import gymnasium
import numpy as np

from eqrl.arrays import Floats
from eqrl.proof.declared.motion import Motion
from eqrl.proof.declared.twins import Twin
from eqrl.proof.worlds import observe_at, step_from

_STATE, _OBSERVATION, _REWARD = 1e-8, 1e-6, 1e-6
_KICK = 4.0
_NEARLY = 0.2  # of the usual size: what an approximate symmetry may miss in observations and rewards


@dataclass(frozen=True)
class StepErrors:
    """How far single steps from related states miss a symmetry.

    Attributes:
        name: of the symmetry.
        state: largest difference of the states after one step.
        observation: largest relative difference of the observations of the same state, NaN if they were not compared.
        entry: the entry of the observation where that was.
        observation_share: largest root mean square difference of an entry, as a share of the entry's own.
        reward: largest relative difference of the rewards of one step.
        reward_share: median difference of the rewards, as a share of their median deviation from their median (means
            would be those of the few large rewards, next to which a reversed speed is small).
        terminated: steps of which one ended the episode and the other did not.
        samples: steps compared.
    """

    name: str
    state: float
    observation: float
    entry: int
    observation_share: float
    reward: float
    reward_share: float
    terminated: int
    samples: int

    def broken(self, dynamics: bool = True) -> str:
        """Why the symmetry does not hold, in words; empty if it does.

        Args:
            dynamics: whether the physics has to keep it too. Without, observations (which may hold contact forces) and
                rewards may differ by a fifth of their usual size, as far as the states differ.
        """
        dynamics = dynamics or self.state <= _STATE
        if dynamics and not self.state <= _STATE:
            return f"the physics breaks it: states differ by {self.state:.2g} after one step"
        if self.observation > _OBSERVATION and (dynamics or self.observation_share > _NEARLY):
            return f"the observation breaks it: entry {self.entry} differs by {self.observation:.2g}"
        if not self.reward <= _REWARD and (dynamics or self.reward_share > _NEARLY):
            return f"the reward breaks it: it differs by {self.reward:.2g}"
        if self.terminated > (0 if dynamics else self.samples // 8):
            return f"the end of the episode breaks it in {self.terminated} of {self.samples} steps"
        return ""


def on_actions(twin: Twin, matrix: Floats) -> Callable[[Any], Any]:
    """What a matrix does to actions; discrete ones keep their order or reverse it."""
    space = twin.env.action_space
    if isinstance(space, gymnasium.spaces.Discrete):
        last = int(space.n) - 1
        reverses = matrix.size > 0 and matrix.ravel()[0] < 0
        return lambda a: last - int(a) if reverses else int(a)
    assert isinstance(space, gymnasium.spaces.Box)
    dtype = space.dtype
    return lambda a: (matrix @ np.asarray(a, dtype=np.float64)).astype(dtype)


def try_motion(
    twin: Twin,
    motion: Motion,
    observation: Floats | None = None,
    *,
    samples: int = 24,
    seed: int = 0,
    action: Callable[[Any], Any] | None = None,
    wide: bool = True,
) -> StepErrors:
    """Step from random states and from their images, and compare.

    Args:
        twin: where to try.
        motion: the symmetry.
        observation: matrix by which it is claimed to act on observations, ``(dim, dim)``; None compares none.
        samples: number of states.
        seed: of the states and actions.
        action: what it does to actions; by default what it does to controls.
        wide: whether to start far from where the environment usually is too. That is where a wrong map shows, and where
            a symmetry that holds nearly does not.
    """
    rng = np.random.default_rng(seed)
    action = action or on_actions(twin, motion.control)
    state_error, ended = 0.0, 0
    seen, expected, rewards = [], [], []
    for k, start in enumerate(twin.spread(rng, samples) if wide else [twin.draw(rng) for _ in range(samples)]):
        if k % 3 == 1:  # fast states, which see limits and ends of episodes
            start = replace(start, qvel=_KICK * start.qvel)
        moved, a = motion.state(start), twin.random_action()
        if observation is not None:
            seen.append(observe_at(twin, moved))
            expected.append(observation @ observe_at(twin, start))
        one, other = step_from(twin, start, a), step_from(twin, moved, action(a))
        state_error = max(state_error, twin.difference(motion.state(one.state), other.state))
        rewards.append((one.reward, other.reward))
        ended += one.terminated != other.terminated
    gap, share, worst = float("nan"), 0.0, -1
    if observation is not None:
        gaps = np.abs(np.array(seen) - expected)
        relative = (gaps / np.maximum(1.0, np.abs(expected))).max(axis=0)
        worst, gap = int(relative.argmax()), float(relative.max())
        share = float(
            (_rms(gaps) / np.maximum(_rms(np.array(expected)), 1e-9))[relative > _OBSERVATION].max(initial=0.0)
        )
    first, second = np.array(rewards).T
    reward_gap = np.abs(first - second)
    reward = float((reward_gap / np.maximum(1.0, np.abs(first))).max())
    reward_share = float(np.median(reward_gap) / max(float(np.median(np.abs(first - np.median(first)))), 1e-9))
    return StepErrors(motion.name, state_error, gap, worst, share, reward, reward_share, int(ended), samples)


def _rms(x: Floats) -> Floats:
    size: Floats = np.sqrt(np.square(x).mean(axis=0))
    return size


def drift(
    twin: Twin, motion: Motion, steps: tuple[int, ...] = (1, 10, 50), episodes: int = 6, seed: int = 0
) -> list[float]:
    """Difference of a rollout and its image after some numbers of steps, the median over episodes."""
    rng = np.random.default_rng(seed)
    act = on_actions(twin, motion.control)
    by_episode: list[list[float]] = []
    for _ in range(episodes):
        a, errors = twin.draw(rng), []
        b = motion.state(a)
        for k in range(1, max(steps) + 1):
            control = twin.random_action()
            a, b = step_from(twin, a, control).state, step_from(twin, b, act(control)).state
            if k in steps:
                errors.append(twin.difference(motion.state(a), b))
        by_episode.append(errors)
    return [float(x) for x in np.median(np.array(by_episode), axis=0)]
