"""A shard: some of the simulations of a whole, in a process of Ray."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gymnasium import spaces
from numpy.typing import NDArray

from eqrl.envs.core.packing import Observation
from eqrl.envs.core.simulation import Simulation
from eqrl.envs.forms.episodes import Step
from eqrl.envs.forms.sb3 import TaskVecEnv
from eqrl.envs.registration import ENVIRONMENTS, Registered, make_vec
from eqrl.symmetry import TypedBox


@dataclass(frozen=True)
class Opened:
    """What a shard tells of itself when it is open.

    Attributes:
        observation_space: of one simulation, with its types.
        action_space: likewise.
        pid: its process.
    """

    observation_space: TypedBox | spaces.Dict
    action_space: TypedBox
    pid: int


class Shard:
    """``n`` simulations from the ``first`` on; Ray's actor is made of this class.

    Args:
        env_id: a registered id.
        registered: how it is registered where the shard is wanted; other processes know eqrl's own environments only.
        n: number of simulations.
        first: index of the first one within the whole, which errors name.
        options: of :func:`eqrl.make_vec`, for these simulations.
    """

    def __init__(self, env_id: str, registered: Registered, n: int, first: int, options: Mapping[str, Any]) -> None:
        self._id, self._registered, self._n, self._first, self._options = env_id, registered, n, first, options

    def open(self) -> Opened:
        """Make the simulations: not in ``__init__``, whose errors Ray reports as the death of the actor."""
        ENVIRONMENTS.setdefault(self._id, self._registered)
        env = make_vec(self._id, self._n, **self._options).unwrapped
        assert isinstance(env, TaskVecEnv)
        assert isinstance(env.simulation, Simulation)  # a fleet has been refused
        self._env = env
        env.simulation.first_member = self._first
        return Opened(env.simulation.observation_space, env.simulation.action_space, os.getpid())

    def reset(self, seeds: Sequence[int | None], options: list[dict[str, Any]]) -> Observation:
        """Start new episodes everywhere."""
        self._env.simulation.seed(seeds)
        self._env.set_options(options)
        observation: Observation = self._env.reset()
        return observation

    def step(self, actions: NDArray[Any]) -> Step:
        """Advance all simulations; those that are done start anew."""
        return self._env.advance(actions)

    def ask(self, method: str, *args: Any, **kwargs: Any) -> Any:
        """Call a method of the vector environment."""
        return getattr(self._env, method)(*args, **kwargs)
