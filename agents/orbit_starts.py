"""Episodes that start from one orbit: several environments begin with the same state, each turned in its own way."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from stable_baselines3.common.vec_env import DummyVecEnv, VecEnv, VecEnvWrapper
from stable_baselines3.common.vec_env.base_vec_env import VecEnvObs, VecEnvStepReturn

from eqrl.symmetry import Element, Group

_METHODS = ("get_state", "set_state", "transform_state", "observe")


class OrbitStarts(VecEnvWrapper):
    """Consecutive environments form groups. All episodes number k of a group start from ``{g s0}``.

    In contrast to :class:`~eqrl.agents.RandomRotation`, the state of the world is turned and the world is not: where
    wind blows, it blows in the same direction in all of them. If group and world are right, the returns of a policy
    that commutes with the group are the same within a group; how they spread tells how far the symmetry is broken.

    The first environment of a group starts from ``s0`` itself. If the group is finite and a group of environments is as
    large, the others take all of its elements; otherwise they draw random ones.

    Args:
        venv: eqrl's vector environment, or SB3's ``DummyVecEnv`` of environments whose state can be set (``get_state``,
            ``set_state``, ``transform_state`` and ``observe``, as eqrl's have).
        group: the group.
        size: environments in a group; those that are left over form a smaller one.
        seed: from which first states and elements are drawn; ``venv.seed`` sets it as well.

    Attributes:
        episodes: for each environment, how many episodes it has begun before the current one, shape ``(n,)``.
        finished: by group and number of the episode, the return and success of each environment that has finished it;
            success is NaN where the environment does not report any.

    Raises:
        ValueError: if the states of the environments cannot be set.
    """

    def __init__(self, venv: VecEnv, group: Group, size: int, seed: int = 0) -> None:
        super().__init__(venv)
        _check_states(venv)
        self.group, self.size = group, size
        self._seed = seed
        self.episodes = np.full(self.num_envs, -1)  # the first reset begins number 0
        self.finished: dict[tuple[int, int], dict[int, tuple[float, float]]] = {}
        self._returns = np.zeros(self.num_envs)

    def reset(self) -> VecEnvObs:
        """Start all groups anew."""
        observations = self.venv.reset()
        self.episodes[:] = self.episodes.max() + 1  # no episode is counted as one that was left unfinished
        self.finished.clear()
        self._returns[:] = 0.0
        return self._started(observations, np.arange(self.num_envs))

    def step_wait(self) -> VecEnvStepReturn:
        """Receive a step; a new episode starts from the state that its group has for that number."""
        observations, rewards, dones, infos = self.venv.step_wait()
        self._returns += rewards
        ended = np.flatnonzero(dones)
        if not len(ended):
            return observations, rewards, dones, infos
        for i in ended.tolist():
            score = float(self._returns[i]), float(infos[i].get("is_success", np.nan))
            self.finished.setdefault((i // self.size, int(self.episodes[i])), {})[i] = score
        self.episodes[ended] += 1
        self._returns[ended] = 0.0
        return self._started(observations, ended), rewards, dones, infos

    def seed(self, seed: int | None = None) -> Sequence[int | None]:
        """Seed the environments and the first states."""
        self._seed = 0 if seed is None else int(seed)
        return self.venv.seed(seed)

    def members(self, group: int) -> int:
        """How many environments a group has."""
        return min(self.size, self.num_envs - group * self.size)

    def forget(self) -> None:
        """Forget finished episodes that no environment still plays."""
        oldest = [self.episodes[start : start + self.size].min() for start in range(0, self.num_envs, self.size)]
        self.finished = {(j, k): scores for (j, k), scores in self.finished.items() if k >= oldest[j]}

    def state_dict(self) -> dict[str, Any]:
        """The counters and unfinished groups, for checkpoints."""
        return {
            "seed": self._seed,
            "episodes": self.episodes.copy(),
            "returns": self._returns.copy(),
            "finished": [[j, k, i, *score] for (j, k), scores in self.finished.items() for i, score in scores.items()],
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from a state that :meth:`state_dict` returned."""
        self._seed = int(state["seed"])
        self.episodes[...] = state["episodes"]
        self._returns[...] = state["returns"]
        self.finished = {}
        for j, k, i, total, success in state["finished"]:
            self.finished.setdefault((int(j), int(k)), {})[int(i)] = float(total), float(success)

    def _started(self, observations: VecEnvObs, which: NDArray[np.intp]) -> VecEnvObs:
        """Put environments into the first states of their episodes; returns all observations."""
        seeds, elements = zip(*(self._start(int(i)) for i in which), strict=True)
        fresh = _restart(self.venv, which.tolist(), seeds, elements)
        if isinstance(observations, dict):
            return {key: _with_rows(rows, which, fresh[key]) for key, rows in observations.items()}
        assert isinstance(observations, np.ndarray)  # SB3's wrappers support no tuples
        return _with_rows(observations, which, fresh)

    def _start(self, i: int) -> tuple[int, Element]:
        """Seed and element of the current episode of an environment; they depend on nothing but their numbers."""
        group, member, episode = i // self.size, i % self.size, int(self.episodes[i])
        seed = int(np.random.default_rng((self._seed, group, episode)).integers(2**31))
        if self.group.order is not None and self.group.order == self.size:
            return seed, self.group.elements()[member]
        if member == 0:
            return seed, self.group.identity()
        return seed, self.group.sample(rng=np.random.default_rng((self._seed, group, episode, member)))


def _check_states(venv: VecEnv) -> None:
    base = venv.unwrapped
    if hasattr(base, "restart"):
        return
    missing = [name for name in _METHODS if not (isinstance(base, DummyVecEnv) and _has(base, name))]
    if missing:
        raise ValueError(
            f"the environment cannot be put into turned states: it has no method {missing[0]!r}; use one of eqrl's, or"
            f" give it {', '.join(_METHODS)}"
        )


def _has(venv: DummyVecEnv, name: str) -> bool:
    return all(env.has_wrapper_attr(name) for env in venv.envs)


def _restart(venv: VecEnv, which: list[int], seeds: Sequence[int], elements: Sequence[Element]) -> Any:
    """Start episodes in turned states; returns the observations of these environments, as an array or a dict."""
    if hasattr(venv.unwrapped, "restart"):
        return venv.unwrapped.restart(np.asarray(which), seeds, _stacked(elements))
    rows = []
    for i, seed, element in zip(which, seeds, elements, strict=True):
        venv.env_method("reset", seed=seed, indices=i)
        (state,) = venv.env_method("get_state", indices=i)
        (image,) = venv.env_method("transform_state", state, element, indices=i)
        venv.env_method("set_state", image, indices=i)
        rows += venv.env_method("observe", indices=i)
    if isinstance(rows[0], dict):
        return {key: np.stack([row[key] for row in rows]) for key in rows[0]}
    return np.stack(rows)


def _stacked(elements: Iterable[Element]) -> Element:
    """One batch of elements; those that relabel nothing get identities."""
    elements = list(elements)
    sizes = {name: matrix.shape[-1] for element in elements for name, matrix in element.h.items()}
    h = {name: torch.stack([element.matrix(name, size) for element in elements]) for name, size in sizes.items()}
    return Element(torch.stack([element.R for element in elements]), h)


def _with_rows(all_rows: NDArray[Any], which: NDArray[np.intp], rows: NDArray[Any]) -> NDArray[Any]:
    changed = all_rows.copy()
    changed[which] = rows
    return changed
