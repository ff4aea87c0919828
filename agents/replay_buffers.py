"""Orbit augmentation for SAC, TD3 and similar algorithms: replay buffers that return transformed transitions.

This is the usual alternative to an equivariant network: an ordinary network learns the symmetry from data. If the world
has the symmetry, ``(g s, g a, r, g s')`` is as valid a transition as ``(s, a, r, s')``, so the updates stay unbiased.
"""

from __future__ import annotations

from typing import Any, Literal

import gymnasium
import numpy as np
import torch
from gymnasium import spaces
from stable_baselines3.common.buffers import DictReplayBuffer, ReplayBuffer
from stable_baselines3.common.vec_env import VecNormalize
from stable_baselines3.her.her_replay_buffer import HerReplayBuffer
from torch import Tensor

from eqrl.agents.algorithm import calling_algorithm
from eqrl.agents.networks import GroupChoice
from eqrl.agents.orbit import Orbit
from eqrl.agents.rewriting import refuse_normalised_observations, refuse_rewritten
from eqrl.symmetry import Element

Mode = Literal["random", "all"]
MODES: tuple[Mode, ...] = ("random", "all")


class SymmetricReplayBuffer(ReplayBuffer):
    """SB3's replay buffer, with every sampled transition transformed by an element of a group.

    ``SAC("MlpPolicy", env, replay_buffer_class=SymmetricReplayBuffer)``; also for TD3, DDPG and sb3-contrib's TQC. The
    stored transitions do not change; rewards and ends of episodes are invariant.

    Args:
        buffer_size: number of transitions.
        observation_space: a ``TypedBox``.
        action_space: a ``TypedBox``.
        args: further arguments of SB3's class.
        group: a subgroup of the environment's group, by name or as a ``Group``; None means the whole group.
        probability: probability with which each transition is transformed at all (mode ``"random"``).
        mode: ``"random"`` transforms each transition by a random element. ``"all"``, for finite groups, samples fewer
            transitions and returns the whole orbit of each, starting with the transition itself. The batch has the size
            that was asked for (TQC relies on it), so the last orbit is incomplete unless this size is a multiple of the
            order.
        kwargs: further arguments of SB3's class.

    Raises:
        UntypedSpaceError: if a space is not typed.
        BreaksSymmetryError: if the group does not map the box of actions to itself.
        ValueError: for a wrong group, probability or mode, or if the class does not fit the observation space.
    """

    def __init__(
        self,
        buffer_size: int,
        observation_space: gymnasium.Space[Any],
        action_space: gymnasium.Space[Any],
        *args: Any,
        group: GroupChoice | None = None,
        probability: float = 1.0,
        mode: Mode = "random",
        **kwargs: Any,
    ) -> None:
        _check_kind(self, observation_space)
        if (algorithm := calling_algorithm(self)) is not None and algorithm.env is not None:
            refuse_rewritten(algorithm.env)
        self.orbit = Orbit(observation_space, action_space, group)
        check_mode(self.orbit, probability, mode)
        self.probability = probability
        self.mode = mode
        super().__init__(buffer_size, observation_space, action_space, *args, **kwargs)

    def sample(self, batch_size: int, env: VecNormalize | None = None) -> Any:
        """Sample transitions and transform them; with hindsight, goals are relabelled first.

        Args:
            batch_size: number of transitions.
            env: SB3's normaliser, which may only normalise rewards.

        Raises:
            BreaksSymmetryError: if the normaliser changes observations.
        """
        refuse_normalised_observations(env)
        if self.mode == "random":
            return turned(
                self.orbit,
                super().sample(batch_size, env),
                self.orbit.draw(batch_size),
                coins(self.probability, batch_size),
            )
        elements = self.orbit.group.elements()
        order = len(elements.R)
        samples = super().sample(-(-batch_size // order), env)
        transition, element = np.divmod(np.arange(batch_size), order)
        return turned(self.orbit, picked(samples, torch.as_tensor(transition)), elements[element])


class SymmetricDictReplayBuffer(SymmetricReplayBuffer, DictReplayBuffer):
    """:class:`SymmetricReplayBuffer` for ``Dict`` observations."""


class SymmetricHerReplayBuffer(SymmetricReplayBuffer, HerReplayBuffer):
    """:class:`SymmetricReplayBuffer` with hindsight: goals are relabelled first and then turn with their transition."""


def check_mode(orbit: Orbit, probability: float, mode: str) -> None:
    """Refuse invalid values and combinations.

    Raises:
        ValueError: with the fix.
    """
    if mode not in MODES:
        raise ValueError(f"mode={mode!r} is unknown; use 'random' or 'all'")
    if not 0.0 <= probability <= 1.0:
        raise ValueError(f"probability={probability} is not between 0 and 1")
    if mode == "all" and orbit.group.order is None:
        raise ValueError(f"mode='all' needs a finite group, and {orbit.group} is continuous; use mode='random'")
    if mode == "all" and probability != 1.0:
        raise ValueError("mode='all' hands out all orientations; leave out probability, or use mode='random'")


def turned(orbit: Orbit, samples: Any, g: Element, which: Tensor | None = None) -> Any:
    """SB3's samples with observations and actions transformed, and everything else unchanged.

    Args:
        orbit: the action of the group.
        samples: any of SB3's named tuples of samples.
        g: one element for each sample.
        which: samples to transform, shape ``(B,)``, bool; None means all.
    """
    changes: dict[str, Any] = {"actions": orbit.actions(samples.actions, g)}
    for name in ("observations", "next_observations"):
        if hasattr(samples, name):
            changes[name] = orbit.observations(getattr(samples, name), g)
    if which is not None:
        changes = {name: _chosen_rows(which, new, getattr(samples, name)) for name, new in changes.items()}
    return samples._replace(**changes)


def picked(samples: Any, rows: Tensor) -> Any:
    """SB3's samples at the given rows, which may be repeated."""

    def pick(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: entry[rows.to(entry.device)] for key, entry in value.items()}
        return value if value is None else value[rows.to(value.device)]

    return type(samples)(*map(pick, samples))


def coins(probability: float, n: int) -> Tensor | None:
    """Which of ``n`` samples to transform, shape ``(n,)``, bool; None if all."""
    return None if probability == 1.0 else torch.as_tensor(np.random.random(n) < probability)


def _chosen_rows(which: Tensor, new: Any, old: Any) -> Any:
    if isinstance(new, dict):
        return {key: _chosen_rows(which, new[key], old[key]) for key in new}
    return torch.where(which[:, None].to(new.device), new, old)


def _check_kind(buffer: ReplayBuffer, space: gymnasium.Space[Any]) -> None:
    given, needed = isinstance(buffer, DictReplayBuffer), isinstance(space, spaces.Dict)
    if given != needed:
        fitting = "SymmetricDictReplayBuffer or SymmetricHerReplayBuffer" if needed else "SymmetricReplayBuffer"
        raise ValueError(
            f"{type(buffer).__name__} does not fit observations of a {type(space).__name__}; use {fitting}"
        )
