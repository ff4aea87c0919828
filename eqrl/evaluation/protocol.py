"""Evaluation protocols: the same episodes under every rotation, and the measured equivariance of a deployed policy.

*scene*: the goal and the initial state turn together; an agent that respects the symmetry must lose nothing.
*goal*: only the goal turns and the body keeps its heading; no agent gets this for free. The two are never mixed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import torch
from gymnasium import spaces
from numpy.typing import NDArray
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.vec_env import VecEnv

from eqrl.evaluation.statistics import mean_interval, wilson_interval
from eqrl.rng import preserved_rng
from eqrl.symmetry import Element, TypedBox, about_gravity, representation_of
from eqrl.threads import simulating

Observations = NDArray[Any] | dict[str, NDArray[Any]]
Protocol = Literal["scene", "goal"]
PROTOCOLS: tuple[Protocol, ...] = ("scene", "goal")
_OBSERVATION_EVERY = 10
_MOST_OBSERVATIONS = 512


@dataclass(frozen=True)
class Episodes:
    """One episode in every environment of a batch.

    Attributes:
        returns: sums of rewards, shape ``(n,)``.
        lengths: steps, shape ``(n,)``.
        successes: ``info["is_success"]`` at the end, shape ``(n,)``; None if the environment does not report it.
        observations: at most 512 observations from the first episodes.
    """

    returns: NDArray[np.float64]
    lengths: NDArray[np.int64]
    successes: NDArray[np.bool_] | None
    observations: Observations


@dataclass(frozen=True)
class ZeroShot:
    """Results of the same episodes under every rotation.

    Attributes:
        protocol: ``"scene"`` or ``"goal"``.
        angles_deg: rotations in degrees, the first one 0, shape ``(angles,)``.
        returns: shape ``(angles, episodes)``.
        successes: shape ``(angles, episodes)``, or None if the environment does not report success.
        equivariance_error: relative error of ``model.predict`` under each rotation, shape ``(angles,)``; None if the
            spaces are not typed.
        members: for a fleet, the results of each member alone, by name; the numbers above then cover all members.
    """

    protocol: Protocol
    angles_deg: NDArray[np.float64]
    returns: NDArray[np.float64]
    successes: NDArray[np.bool_] | None
    equivariance_error: NDArray[np.float64] | None
    members: Mapping[str, ZeroShot] = field(default_factory=dict)

    @classmethod
    def of_members(cls, members: Mapping[str, ZeroShot]) -> ZeroShot:
        """Combine the results of a fleet's members: all episodes together, and the largest equivariance error."""
        parts = list(members.values())
        successes, errors = [p.successes for p in parts], [p.equivariance_error for p in parts]
        return cls(
            parts[0].protocol,
            parts[0].angles_deg,
            np.concatenate([p.returns for p in parts], axis=1),
            None if any(s is None for s in successes) else np.concatenate(successes, axis=1),  # type: ignore[arg-type]
            None if any(e is None for e in errors) else np.max(errors, axis=0),  # type: ignore[arg-type]
            members,
        )

    @property
    def mean_return(self) -> NDArray[np.float64]:
        """Mean return at each angle."""
        return np.asarray(self.returns.mean(axis=1))

    @property
    def success(self) -> NDArray[np.float64] | None:
        """Success rate at each angle."""
        return None if self.successes is None else np.asarray(self.successes.mean(axis=1))

    @property
    def retention_of(self) -> Literal["success", "return"] | None:
        """What retention compares: success if there is any at angle 0, else a positive return, else nothing."""
        if self.success is not None and self.success[0] > 0:
            return "success"
        return "return" if self.mean_return[0] > 0 else None

    @property
    def retention(self) -> NDArray[np.float64] | None:
        """Success (or return) at each angle relative to that at angle 0."""
        if self.retention_of is None:
            return None
        values = self.success if self.retention_of == "success" else self.mean_return
        assert values is not None  # implied by retention_of
        return np.asarray(values / values[0])

    def success_interval(self) -> list[tuple[float, float]] | None:
        """95 percent Wilson interval of the success rate at each angle."""
        if self.successes is None:
            return None
        return [wilson_interval(int(row.sum()), row.size) for row in self.successes]

    def summary(self) -> dict[str, float]:
        """Means of ``return`` and ``success`` over the angles, ``retention_min``, largest ``equivariance_error``."""
        numbers = {"return": float(self.mean_return.mean())}
        if self.success is not None:
            numbers["success"] = float(self.success.mean())
        if self.retention is not None:
            numbers["retention_min"] = float(self.retention.min())
        if self.equivariance_error is not None:
            numbers["equivariance_error"] = float(self.equivariance_error.max())
        return numbers

    def to_json(self) -> dict[str, Any]:
        """Lists over the angles, as ``eqrl evaluate --json`` writes them; for a fleet also those of each member."""

        def listed(values: NDArray[Any] | None) -> list[float] | None:
            return None if values is None else [float(v) for v in values]

        return {
            "protocol": self.protocol,
            "angles_deg": listed(self.angles_deg),
            "return": listed(self.mean_return),
            "success": listed(self.success),
            "retention": listed(self.retention),
            "equivariance_error": None if self.equivariance_error is None else float(self.equivariance_error.max()),
            "equivariance_error_by_angle": listed(self.equivariance_error),
            "retention_of": self.retention_of,
            "return_interval": [list(mean_interval(row)) for row in self.returns],
            "success_interval": None if self.success is None else [list(i) for i in self.success_interval() or ()],
            "episodes_per_angle": int(self.returns.shape[1]),
            **({"members": {name: result.to_json() for name, result in self.members.items()}} if self.members else {}),
        }


def angles(rotations: int) -> NDArray[np.float64]:
    """Equally spaced rotations in degrees, beginning with 0.

    Raises:
        ValueError: if there are none.
    """
    if rotations < 1:
        raise ValueError(f"at least one rotation is needed, got {rotations}")
    return np.arange(rotations) * 360.0 / rotations


def zero_shot(
    model: BaseAlgorithm,
    make_env: Callable[..., VecEnv],
    rotations: int = 12,
    episodes: int = 20,
    protocol: Protocol = "scene",
    seed: int = 10_000,
    turnable: bool = True,
) -> ZeroShot:
    """Play the same episodes under every rotation, all of them as one batch.

    Args:
        model: the agent; its deterministic action is used.
        make_env: called with ``n_envs`` and ``scene_rotation`` or ``goal_rotation`` (degrees, one per environment).
        rotations: number of equally spaced angles.
        episodes: episodes at each angle; episode ``j`` has the same seed at every angle.
        protocol: ``"scene"`` or ``"goal"``.
        seed: of the first episode.
        turnable: whether the environment can be rotated. If not, it is played unrotated whatever ``rotations`` is, and
            the equivariance error is the largest one under the generators of the group that its spaces declare.
    """
    rotations = rotations if turnable else 1
    turns = angles(rotations)
    option = {f"{protocol}_rotation": np.repeat(turns, episodes)} if turnable else {}
    env = make_env(n_envs=rotations * episodes, **option)
    try:
        seeds = [seed + j for _ in range(rotations) for j in range(episodes)]
        played = play(model, env, seeds, watch=episodes)
    finally:
        env.close()
    error = None
    if typed(model.observation_space) and typed(model.action_space):
        if turnable:
            error = np.array(
                [equivariance_error(model, played.observations, about_gravity(a)) for a in np.deg2rad(turns)]
            )
        elif generators := representation_of(model.observation_space).group.generators:
            error = np.array([max(equivariance_error(model, played.observations, g) for _, g in generators)])
    shape = (rotations, episodes)
    return ZeroShot(
        protocol,
        turns,
        played.returns.reshape(shape),
        None if played.successes is None else played.successes.reshape(shape),
        error,
    )


def play(model: BaseAlgorithm, env: VecEnv, seeds: Sequence[int], watch: int | None = None) -> Episodes:
    """Play exactly one episode in every environment of a batch; steps after its end are not counted.

    Args:
        model: the agent; its deterministic action is used.
        env: the batch.
        seeds: one for each environment.
        watch: number of environments, from the first on, whose observations are collected; by default all.
    """
    n = env.num_envs
    returns, lengths = np.zeros(n), np.zeros(n, dtype=np.int64)
    successes, reported = np.zeros(n, dtype=bool), np.zeros(n, dtype=bool)
    active = np.ones(n, dtype=bool)
    samples: list[Observations] = []
    with preserved_rng(), simulating():
        set_seeds(env, seeds)
        observation: Any = env.reset()
        step = 0
        while active.any():
            if step % _OBSERVATION_EVERY == 0:
                alive = np.flatnonzero(active[: watch or n])
                samples.append(_rows(observation, alive))
            action, _ = model.predict(observation, deterministic=True)
            observation, rewards, dones, infos = env.step(action)
            returns += np.where(active, rewards, 0.0)
            lengths += active
            for i in np.flatnonzero(active & dones):
                reported[i] = "is_success" in infos[i]
                successes[i] = bool(infos[i].get("is_success", False))
            active &= ~dones
            step += 1
    return Episodes(returns, lengths, successes if reported.all() else None, _thinned(samples))


def set_seeds(env: VecEnv, seeds: Sequence[int]) -> None:
    """Give every environment of a batch its own seed for the next reset."""
    innermost: Any = env.unwrapped
    try:
        innermost.seed([int(s) for s in seeds])
    except TypeError:  # SB3's VecEnv.seed takes one number and counts up from it; this is the list that it fills
        innermost._seeds = [int(s) for s in seeds]


def equivariance_error(model: BaseAlgorithm, observations: Observations, g: Element) -> float:
    """Largest relative error of ``predict(g s) = g predict(s)``, measured on the deployed policy.

    Args:
        model: the agent, with typed spaces.
        observations: a batch.
        g: one group element.

    Returns:
        The largest difference over the batch, relative to the largest action in it.
    """
    space, action_space = model.observation_space, model.action_space
    turned: Any
    if isinstance(observations, dict):
        assert isinstance(space, spaces.Dict)
        turned = {k: _representation(space[k]).transform(x, g) for k, x in observations.items()}
    else:
        turned = _representation(space).transform(observations, g)
    with preserved_rng(), torch.no_grad():
        here = np.asarray(model.predict(observations, deterministic=True)[0], dtype=np.float64)
        there = np.asarray(model.predict(turned, deterministic=True)[0], dtype=np.float64)
    expected = _representation(action_space).transform(here, g)
    scale = max(float(np.linalg.norm(here, axis=-1).max()), 1e-8)
    return float(np.linalg.norm(there - expected, axis=-1).max() / scale)


def typed(space: spaces.Space[Any]) -> bool:
    """Whether a space is typed, that is, declares how it transforms."""
    if isinstance(space, spaces.Dict):
        return all(isinstance(s, TypedBox) for s in space.values())
    return isinstance(space, TypedBox)


def _representation(space: spaces.Space[Any]) -> Any:
    assert isinstance(space, TypedBox)
    return space.representation


def _rows(x: Any, which: NDArray[np.int64]) -> Any:
    """Copies of some members of a batch."""
    return {k: v[which] for k, v in x.items()} if isinstance(x, dict) else x[which]


def _thinned(batches: Sequence[Any]) -> Any:
    first = batches[0]
    if isinstance(first, dict):
        return {k: _thinned([b[k] for b in batches]) for k in first}
    total = np.concatenate(batches)
    return total[:: max(1, -(-len(total) // _MOST_OBSERVATIONS))]
