"""Advantages relative to rollouts from the same orbit, after A-GRAE, whose groups are the answers to one prompt."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from stable_baselines3 import PPO
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.vec_env import VecEnv, VecEnvWrapper

from eqrl.agents.networks import GroupChoice
from eqrl.agents.orbit import Orbit
from eqrl.agents.orbit_starts import OrbitStarts
from eqrl.agents.soft.asymmetric import asymmetric_advantages
from eqrl.agents.soft.prior import SymmetryPrior, weight, whole_number
from eqrl.agents.symmetric_policy import SymmetricPolicy


class OrbitAdvantage(SymmetryPrior):
    """PPO learns from how an episode did among episodes that started from the same state, turned.

    A reconstruction for reinforcement learning. Attaching the prior makes the environments start in orbits
    (:class:`~eqrl.agents.OrbitStarts`). The generalised advantages of a rollout are divided by their standard
    deviation, and samples of episodes that end in the rollout get ``strength`` times the advantage of the episode
    within its group in addition, weighted as published. The score of an episode is its success, where the environment
    reports ``is_success``; else it is its return, scaled to [0, 1] by the smallest and largest return so far.

    Not all samples get one. Those of an episode that lie in earlier rollouts have been learnt from already, and
    episodes that go on have no score yet. An episode is compared with those of its group that have ended by then, so
    that one that ends in an earlier rollout than all others of its group is compared with nobody and gets exactly 0.
    Take rollouts that are longer than episodes.

    Logged are ``share``, the share of samples with an advantage other than 0; ``spread``, the standard deviation of
    returns within a group; and ``relative_spread``, the ratio of the spread to that of all episodes. With a
    deterministic policy that commutes with the group, the spread is 0 exactly if the world has the symmetry.
    Exploration adds to it.

    Args:
        group: a subgroup of the environment's group, by name or as a ``Group``; None means the whole group.
        strength: weight of the advantage within the group.
        size: environments in a group; by default the order of a finite group of at most 8 elements, otherwise 4.
        alpha: mean score from which positive advantages count in full.

    Attributes:
        starts: the wrapper that turns first states.

    Raises:
        ValueError: for a size below 2 or an ``alpha`` that is not positive.
    """

    name: ClassVar[str] = "orbit_advantage"
    algorithms: ClassVar[tuple[type[BaseAlgorithm], ...]] = (PPO,)

    def __init__(
        self, group: GroupChoice | None = None, strength: float = 1.0, size: int | None = None, alpha: float = 1.0
    ) -> None:
        super().__init__(group, strength)
        size = None if size is None else whole_number("size", size, "a number of environments in a group", 2)
        if weight("alpha", alpha) == 0.0:
            raise ValueError("alpha=0 divides by zero; give a positive number, such as 1")
        self.size, self.alpha = size, float(alpha)

    def bind(self, model: BaseAlgorithm) -> None:
        """See the base class."""
        self._lowest, self._highest = math.inf, -math.inf
        self._insert(model)

    def before_learning(self) -> None:
        """See the base class.

        Raises:
            ValueError: if there is only one environment.
        """
        model = self.model
        assert model is not None
        if model.n_envs < 2:
            raise ValueError(
                f"prior {self.name!r} compares environments, and there is one; give more, such as n_envs=8"
            )
        self._insert(model)  # in case the model has a new environment

    def before_update(self) -> None:
        """Add the advantages within groups to those of the rollout."""
        model: Any = self.model
        buffer = model.rollout_buffer
        episodes = self._episodes(buffer.episode_starts, model._last_episode_starts)
        extra = np.zeros_like(buffer.advantages)
        for i, k, advantage in self._scored():
            extra[:, i][episodes[:, i] == k] = advantage
        self.record("share", float(np.mean(extra != 0.0)))
        buffer.advantages = buffer.advantages / (buffer.advantages.std() + 1e-8) + self.strength * extra
        self._log_spread()
        self.starts.forget()

    def idle_on(self, policy: SymmetricPolicy) -> bool:
        """An exact policy learns from groups as well."""
        return False

    def state(self) -> dict[str, Any]:
        """The range of returns; the environment keeps the episodes."""
        return {"lowest": self._lowest, "highest": self._highest}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """See the base class."""
        self._lowest, self._highest = float(state["lowest"]), float(state["highest"])

    def _refuse_one(self) -> None:
        assert self.model is not None
        if self.model.n_envs < 2:
            raise ValueError(
                f"prior {self.name!r} compares environments, and there is one; give more, such as n_envs=8"
            )

    def _insert(self, model: BaseAlgorithm) -> None:
        if model.env is None:
            raise ValueError(f"prior {self.name!r} turns the first states of an environment; give the model one")
        starts = _starts_of(model.env)
        if starts is None:
            order = self.orbit.group.order
            size = self.size or (order if order is not None and 2 <= order <= 8 else 4)
            model.env, starts = _with_starts(model.env, self.orbit, min(size, model.n_envs), model.seed or 0)
        self.starts = starts

    def _episodes(self, started: NDArray[np.float32], over: NDArray[np.bool_]) -> NDArray[np.int64]:
        """Numbers of the episodes of all samples of a rollout.

        Args:
            started: whether an episode began with the sample, shape ``(steps, n)``.
            over: whether the episode of the last sample has ended, shape ``(n,)``.
        """
        begun = started.astype(np.int64)
        later = begun[::-1].cumsum(axis=0)[::-1] - begun
        last = self.starts.episodes - np.asarray(over).astype(np.int64)
        episodes: NDArray[np.int64] = last - later
        return episodes

    def _scored(self) -> list[tuple[int, int, float]]:
        """Environment, episode and advantage of all episodes that have ended."""
        totals = [total for scores in self.starts.finished.values() for total, _ in scores.values()]
        self._lowest, self._highest = min([self._lowest, *totals]), max([self._highest, *totals])
        groups = {key: self._scores(scores) for key, scores in self.starts.finished.items()}
        if not groups:
            return []
        overall = float(np.mean([scores.mean() for scores in groups.values()]))
        self.record("score", overall)
        scored = []
        for (j, k), scores in groups.items():
            advantages = asymmetric_advantages(scores, float(scores.mean()), overall, self.alpha)
            scored += [(i, k, float(a)) for i, a in zip(self.starts.finished[j, k], advantages, strict=True)]
        return scored

    def _scores(self, finished: Mapping[int, tuple[float, float]]) -> NDArray[np.float64]:
        totals, successes = np.array(list(finished.values())).T
        if np.isfinite(successes).all():
            return np.asarray(successes)
        return np.asarray((totals - self._lowest) / max(self._highest - self._lowest, 1e-12))

    def _log_spread(self) -> None:
        """Compare returns within the groups that have ended with those of all episodes."""
        starts = self.starts
        groups = [
            np.array([total for total, _ in scores.values()])
            for (j, _), scores in starts.finished.items()
            if len(scores) == starts.members(j) > 1
        ]
        if groups:
            spread, overall = float(np.mean([totals.std() for totals in groups])), float(np.concatenate(groups).std())
            self.record("spread", spread)
            if len(groups) > 1 and overall > 0.0:
                self.record("relative_spread", spread / overall)


def _starts_of(env: VecEnv) -> OrbitStarts | None:
    while isinstance(env, VecEnvWrapper):
        if isinstance(env, OrbitStarts):
            return env
        env = env.venv
    return None


def _with_starts(env: VecEnv, orbit: Orbit, size: int, seed: int) -> tuple[VecEnv, OrbitStarts]:
    """Wrap the innermost environment: returns are then those of the environment, whatever the layers around it do."""
    if not isinstance(env, VecEnvWrapper):
        starts = OrbitStarts(env, orbit.group, size, seed)
        return starts, starts
    layer = env
    while isinstance(layer.venv, VecEnvWrapper):
        layer = layer.venv
    layer.venv = starts = OrbitStarts(layer.venv, orbit.group, size, seed)
    return env, starts
