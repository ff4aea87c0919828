"""Stand-ins for environments that return known numbers, to see how a wrapper changes them."""

from __future__ import annotations

import copy
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray
from stable_baselines3.common.vec_env import VecEnv, VecEnvWrapper

_SCALES = (1.0, 30.0, 1e-2, 1e3)  # a wrapper that clips or rounds changes numbers of at least one of these scales


class Echo(gymnasium.Wrapper[Any, Any, Any, Any]):
    """Replaces an environment: returns random observations and records the actions that arrive, without a simulation.

    All attributes and methods other than ``reset`` and ``step`` are those of the environment.

    Attributes:
        shown: the last observation.
        acted: actions received since the list was cleared.
        rows: length of the leading axis of observations and actions, None for a single environment.
    """

    rows = None

    def __init__(self, env: gymnasium.Env[Any, Any]) -> None:
        super().__init__(env)
        self._observations = _Observations(env.observation_space, None)
        self._generator = np.random.default_rng(0)
        self.shown: Any = None
        self.acted: list[Any] = []

    @property  # type: ignore[misc]  # a trial needs no setter
    def np_random(self) -> np.random.Generator:
        """A separate generator, so that a trial does not advance that of the environment."""
        return self._generator

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Return an observation."""
        self.shown = self._observations.draw()
        return copy.deepcopy(self.shown), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Record the action and return the next observation."""
        self.acted.append(np.array(action))
        return *self.reset()[:1], 0.0, False, False, {}


class VecEcho(VecEnvWrapper):
    """:class:`Echo` for a ``VecEnv``."""

    def __init__(self, venv: VecEnv) -> None:
        super().__init__(venv)
        self.rows = venv.num_envs
        self._observations = _Observations(venv.observation_space, self.rows)
        self.shown: Any = None
        self.acted: list[Any] = []

    def reset(self) -> Any:
        """Return observations."""
        self.shown = self._observations.draw()
        return copy.deepcopy(self.shown)

    def step_async(self, actions: NDArray[Any]) -> None:
        """Record the actions."""
        self.acted.append(np.array(actions))

    def step_wait(self) -> Any:
        """Return the next observations."""
        zeros = np.zeros(self.num_envs, dtype=np.float32)
        return self.reset(), zeros, zeros.astype(bool), [{} for _ in range(self.num_envs)]


class _Observations:
    def __init__(self, space: gymnasium.Space[Any], rows: int | None) -> None:
        self._space = space
        self._rows = rows
        self._rng = np.random.default_rng(0)
        self._drawn = 0

    def draw(self) -> Any:
        scale = _SCALES[self._drawn % len(_SCALES)]
        self._drawn += 1
        if isinstance(self._space, spaces.Dict):
            return {key: sample(entry, self._rng, self._rows, scale) for key, entry in self._space.spaces.items()}
        return sample(self._space, self._rng, self._rows, scale)


def sample(
    space: gymnasium.Space[Any], rng: np.random.Generator, rows: int | None, scale: float = 1.0
) -> NDArray[np.floating[Any]]:
    """Points of a space, without advancing the space's own random numbers.

    Args:
        space: a box.
        rng: random numbers to use.
        rows: number of points, None for a single one without a leading axis.
        scale: scale of entries without bounds.
    """
    fresh = copy.deepcopy(space)
    fresh.seed(int(rng.integers(2**31)))
    drawn = np.stack([fresh.sample() for _ in range(rows or 1)])
    assert isinstance(space, spaces.Box)
    unbounded = ~(space.bounded_below & space.bounded_above)
    drawn = np.where(unbounded, drawn * scale, drawn).astype(space.dtype)
    return drawn if rows is not None else drawn[0]


def same(a: Any, b: Any) -> bool:
    """Whether two points of a space, arrays or dicts of arrays, are equal in every number."""
    if isinstance(b, dict):
        return isinstance(a, dict) and all(same(a.get(key), value) for key, value in b.items())
    return a is not None and np.array_equal(np.asarray(a), b)
