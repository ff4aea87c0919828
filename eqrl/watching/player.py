"""One agent in one environment, an episode at a time, and what a spectator does to it."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
from stable_baselines3.common.base_class import BaseAlgorithm

from eqrl.arrays import Floats
from eqrl.rng import preserved_rng
from eqrl.symmetry import Element, about_gravity
from eqrl.watching.physics import physics_of

_PUSH_SECONDS = 0.1


class Player:
    """Plays an agent with its deterministic actions.

    Args:
        name: what the spectator reads.
        model: the agent.
        env: a single environment on MuJoCo with the agent's spaces.

    Attributes:
        physics: of the environment.
        done: whether the episode is over; then a step changes nothing.
        seconds: simulated time since the start of the episode.
        returned: sum of the rewards.
        success: what the environment last reported; None if it does not.

    Raises:
        UsageError: if the environment has no MuJoCo model.
    """

    def __init__(self, name: str, model: BaseAlgorithm, env: gymnasium.Env[Any, Any]) -> None:
        self.name = name
        self.physics = physics_of(env)
        self.dt = float(env.unwrapped.dt)  # type: ignore[attr-defined]  # seconds a control step
        self.done = True
        self.seconds = self.returned = 0.0
        self.success: bool | None = None
        self._model, self._env = model, env
        self._observation: Any = None
        self._force = np.zeros(3)  # what the environment itself exerts, while a push lasts
        self._pushed = 0  # control steps that the push goes on

    def start(self, seed: int, scene: float, goal: float) -> None:
        """Start an episode.

        Args:
            seed: of the episode.
            scene: degrees by which the scene is turned.
            goal: degrees by which the goal alone is turned.
        """
        options = {}
        if self.physics.turns_scene:
            options["scene_rotation"] = scene
        if self.physics.turns_goal:
            options["goal_rotation"] = goal
        self._observation, _ = self._env.reset(seed=seed, options=options)
        self.done, self.success = False, None
        self.seconds = self.returned = 0.0
        self._pushed = 0
        self.physics.states()

    def step(self) -> list[Floats]:
        """Advance one control step.

        Returns:
            The integration states on the way, the current one at the end.
        """
        if self.done:
            return [self.physics.state]
        with preserved_rng():
            action, _ = self._model.predict(self._observation, deterministic=True)
        self._observation, reward, terminated, truncated, info = self._env.step(action)
        self.seconds += self.dt
        self.returned += float(reward)
        self.success = bool(info["is_success"]) if "is_success" in info else self.success
        self.done = terminated or truncated
        if self._pushed:
            self._pushed -= 1
            if not self._pushed:
                self.physics.force[:] = self._force
        return self.physics.states()

    def push(self, velocity: Floats) -> None:
        """Push the body for a tenth of a second.

        Args:
            velocity: what the push alone would add to the velocity of the body and all that hangs on it, in the world's
                frame, ``(3,)`` in m/s.
        """
        steps = max(1, round(_PUSH_SECONDS / self.dt))
        if not self._pushed:
            self._force = self.physics.force.copy()
        mass = self.physics.model.body_subtreemass[self.physics.body]
        self.physics.force[:] = self._force + mass * velocity / (steps * self.dt)
        self._pushed = steps

    def turn_scene(self, g: Element) -> None:
        """Turn everything, in the middle of the episode."""
        self._observation = self.physics.turn_scene(g)

    def turn_goal(self, g: Element) -> None:
        """Turn the goal alone, in the middle of the episode."""
        self._observation = self.physics.turn_goal(g)

    def equivariance_error(self, degrees: float) -> float | None:
        """Relative error of the action for the current observation, if the world were turned; None without types."""
        # imported when it is needed: the figures in that package take a third of a second until the first frame
        from eqrl.evaluation.protocol import equivariance_error, typed

        if not (typed(self._model.observation_space) and typed(self._model.action_space)):
            return None
        return equivariance_error(self._model, _batch_of_one(self._observation), about_gravity(np.deg2rad(degrees)))


def _batch_of_one(observation: Any) -> Any:
    if isinstance(observation, dict):
        return {key: value[None] for key, value in observation.items()}
    return observation[None]
