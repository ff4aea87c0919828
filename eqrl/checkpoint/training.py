"""Everything of a training that is not a parameter: counters, random numbers, episodes under way, pending log values.

Taken at the beginning of a rollout, where Stable-Baselines3 keeps nothing in local variables but an iteration number.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.distributions import StateDependentNoiseDistribution

from eqrl.checkpoint.values import DamagedValuesError, set_generator

_COUNTERS = ("num_timesteps", "_n_updates", "_episode_num", "_current_progress_remaining")
_OBSERVATIONS = ("_last_obs", "_last_original_obs", "_last_episode_starts")
_LOGGER = ("name_to_value", "name_to_count", "name_to_excluded")
_NOISE = ("exploration_mat", "exploration_matrices")


def capture_training(model: BaseAlgorithm) -> dict[str, Any]:
    """Plain values and arrays; everything random is captured by :func:`capture_randomness`."""
    return {
        "counters": {name: getattr(model, name) for name in _COUNTERS if hasattr(model, name)},
        "observations": {name: getattr(model, name, None) for name in _OBSERVATIONS},
        "episodes": _columns(model.ep_info_buffer or ()),
        "successes": np.asarray(list(model.ep_success_buffer or ())),
    }


def restore_training(model: BaseAlgorithm, state: Mapping[str, Any]) -> None:
    """Put it back into a model that was just built.

    Raises:
        DamagedValuesError: if it is not such a state.
    """
    try:
        for name, value in state["counters"].items():
            kind = float if name == "_current_progress_remaining" else int
            if name not in _COUNTERS or type(value) is not kind or not -(2**53) < value < 2**53:
                raise DamagedValuesError(f"{name!r} is not a counter")
            setattr(model, name, value)
        for name in _OBSERVATIONS:
            if hasattr(model, name):
                setattr(model, name, state["observations"][name])
        window = model._stats_window_size
        model.ep_info_buffer = deque(_rows(state["episodes"]), maxlen=window)
        model.ep_success_buffer = deque(list(state["successes"]), maxlen=window)
    except (KeyError, TypeError, AttributeError, IndexError) as error:
        raise DamagedValuesError(f"the state of the training is damaged: {error!r}") from None


def capture_randomness(model: BaseAlgorithm) -> dict[str, Any]:
    """All random number generators of a training, and values that wait for the logger to write them."""
    state: dict[str, Any] = {
        "python": random.getstate(),
        "numpy": np.random.mtrand._rand,  # the global generator itself
        "torch": torch.get_rng_state().numpy(),
        "cuda": [s.numpy() for s in torch.cuda.get_rng_state_all()] if torch.cuda.is_available() else [],
        "action_space": _space_generators(model.action_space),
        "logger": {name: dict(getattr(model.logger, name)) for name in _LOGGER},
        "noise": {},
    }
    state["python"] = (state["python"][0], np.asarray(state["python"][1], dtype=np.uint64), state["python"][2])
    if (noise := _exploration(model)) is not None:
        state["noise"] = {name: getattr(noise, name).detach().cpu().numpy() for name in _NOISE}
    return state


def restore_randomness(model: BaseAlgorithm, state: Mapping[str, Any]) -> None:
    """Put it back, at the beginning of the first rollout: everything before draws random numbers too.

    Raises:
        DamagedValuesError: if it is not such a state.
    """
    try:
        version, words, gauss = state["python"]
        random.setstate((version, tuple(int(word) for word in words), gauss))
        set_generator(np.random.mtrand._rand, state["numpy"])
        torch.set_rng_state(torch.from_numpy(state["torch"].copy()))
        if state["cuda"] and torch.cuda.is_available():
            torch.cuda.set_rng_state_all([torch.from_numpy(s.copy()) for s in state["cuda"]])
        for own, kept in zip(_space_generators(model.action_space), state["action_space"], strict=True):
            set_generator(own, kept)
        for name in _LOGGER:
            table = getattr(model.logger, name)
            table.clear()
            table.update(state["logger"][name])
        if (noise := _exploration(model)) is not None:
            for name in _NOISE:
                setattr(noise, name, torch.from_numpy(state["noise"][name].copy()).to(model.device))
    except (KeyError, TypeError, ValueError, AttributeError, RuntimeError) as error:
        raise DamagedValuesError(f"the state of the random numbers is damaged: {error!r}") from None


def _columns(episodes: Iterable[Mapping[str, Any]]) -> Any:
    """Statistics of episodes as one array a name, if they all have the same names."""
    rows = [dict(row) for row in episodes]
    names = set(rows[0]) if rows else set()
    if not rows or any(set(row) != names for row in rows):
        return rows
    table = {name: np.asarray([row[name] for row in rows]) for name in rows[0]}
    return rows if any(column.dtype.hasobject for column in table.values()) else table


def _rows(table: Any) -> list[dict[str, Any]]:
    if isinstance(table, list):
        return table
    length = len(next(iter(table.values())))
    return [{name: column[i] for name, column in table.items()} for i in range(length)]


def _space_generators(space: spaces.Space[Any]) -> list[np.random.Generator]:
    """The generators that a space draws from; asking a space for its generator makes one where there is none."""
    inner: Iterable[spaces.Space[Any]] = ()
    if isinstance(space, spaces.Dict):
        inner = space.spaces.values()
    elif isinstance(space, spaces.Tuple):
        inner = space.spaces
    return [space.np_random, *(g for part in inner for g in _space_generators(part))]


def _exploration(model: BaseAlgorithm) -> StateDependentNoiseDistribution | None:
    """SB3's state-dependent exploration, whose noise outlives a rollout."""
    for owner in (model.policy, getattr(model.policy, "actor", None)):
        found = getattr(owner, "action_dist", None)
        if isinstance(found, StateDependentNoiseDistribution):
            return found
    return None
