"""Try one symmetry on an environment: dynamics, observation, reward and termination, one step at a time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import gymnasium
import numpy as np

from eqrl.declare.motion import Floats, Motion, State
from eqrl.declare.world import World

_STATE, _OBSERVATION, _REWARD = 1e-8, 1e-6, 1e-6
_KICK = 4.0


@dataclass(frozen=True)
class Trial:
    """What trying a symmetry showed.

    Attributes:
        name: of the symmetry.
        state: largest difference of the states after one step.
        observation: largest relative difference of the observations of the same state, NaN if they were not compared.
        entry: the entry of the observation where that was.
        reward: largest relative difference of the rewards of one step.
        terminated: steps of which one ended the episode and the other did not.
        samples: steps compared.
    """

    name: str
    state: float
    observation: float
    entry: int
    reward: float
    terminated: int
    samples: int

    def broken(self, dynamics: bool = True) -> str:
        """Why the symmetry does not hold, in words; empty if it does.

        Args:
            dynamics: whether the physics has to keep it too. Without, rewards may differ as much as the states do.
        """
        if dynamics and not self.state <= _STATE:
            return f"the physics breaks it: states differ by {self.state:.2g} after one step"
        if self.observation > _OBSERVATION:
            return f"the observation breaks it: entry {self.entry} differs by {self.observation:.2g}"
        if not self.reward <= (_REWARD if dynamics else max(_REWARD, 30.0 * self.state)):
            return f"the reward breaks it: it differs by {self.reward:.2g}"
        if self.terminated > (0 if dynamics else self.samples // 8):
            return f"the end of the episode breaks it in {self.terminated} of {self.samples} steps"
        return ""


def controls_of(world: World, motion: Motion) -> Callable[[Any], Any]:
    """What a motion does to actions: its matrix on controls, or the reversed order of discrete actions."""
    space = world.env.action_space
    if isinstance(space, gymnasium.spaces.Discrete):
        last = int(space.n) - 1
        reverses = motion.control.size > 0 and motion.control.ravel()[0] < 0
        return lambda a: last - int(a) if reverses else int(a)
    assert isinstance(space, gymnasium.spaces.Box)
    dtype = space.dtype
    return lambda a: (motion.control @ np.asarray(a, dtype=np.float64)).astype(dtype)


def try_motion(
    world: World,
    motion: Motion,
    observation: Floats | None = None,
    *,
    samples: int = 24,
    seed: int = 0,
    action: Callable[[Any], Any] | None = None,
) -> Trial:
    """Step from random states and from their images, and compare.

    Args:
        world: where to try.
        motion: the symmetry.
        observation: matrix by which it is claimed to act on observations, ``(dim, dim)``; None compares none.
        samples: number of states.
        seed: of the states and actions.
        action: what it does to actions; by default what it does to controls.
    """
    rng = np.random.default_rng(seed)
    action = action or controls_of(world, motion)
    state_error, reward_error, ended = 0.0, 0.0, 0
    gap = np.zeros(0 if observation is None else len(observation))
    for k in range(samples):
        start = world.draw(rng)
        if k % 3 == 2:  # fast states, which see limits and ends of episodes
            start = State(start.qpos, _KICK * start.qvel, start.act, start.ctrl)
        moved, a = motion.state(start), world.random_action()
        if observation is not None:
            seen, expected = world.observe(moved), observation @ world.observe(start)
            gap = np.maximum(gap, np.abs(seen - expected) / np.maximum(1.0, np.abs(expected)))
        one, other = world.step(start, a), world.step(moved, action(a))
        state_error = max(state_error, world.difference(motion.state(one.state), other.state))
        reward_error = max(reward_error, abs(one.reward - other.reward) / max(1.0, abs(one.reward)))
        ended += one.terminated != other.terminated
    worst = int(gap.argmax()) if gap.size else -1
    return Trial(
        motion.name, state_error, float(gap[worst]) if gap.size else float("nan"), worst, reward_error, int(ended), samples
    )


def drift(world: World, motion: Motion, steps: tuple[int, ...] = (1, 10, 50), episodes: int = 6, seed: int = 0) -> list[float]:
    """Difference of a rollout and its image after some numbers of steps, the median over episodes."""
    rng = np.random.default_rng(seed)
    act = controls_of(world, motion)
    found: list[list[float]] = []
    for _ in range(episodes):
        a, errors = world.draw(rng), []
        b = motion.state(a)
        for k in range(1, max(steps) + 1):
            control = world.random_action()
            a, b = world.step(a, control).state, world.step(b, act(control)).state
            if k in steps:
                errors.append(world.difference(motion.state(a), b))
        found.append(errors)
    return [float(x) for x in np.median(np.array(found), axis=0)]
