"""State of a training besides its parameters: counters, random numbers, current episodes and pending log values.

It is captured at the start of a rollout, where an iteration number is all that Stable-Baselines3 has in local
variables.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.distributions import StateDependentNoiseDistribution
from stable_baselines3.common.noise import OrnsteinUhlenbeckActionNoise, VectorizedActionNoise

from eqrl.checkpoint.manifest import DamagedCheckpointError
from eqrl.checkpoint.values import DamagedValuesError, set_generator

_COUNTERS = ("num_timesteps", "_n_updates", "_episode_num", "_n_calls")
_FRACTIONS = ("_current_progress_remaining", "exploration_rate")
_OBSERVATIONS = ("_last_obs", "_last_original_obs", "_last_episode_starts")
_LOGGER = ("name_to_value", "name_to_count", "name_to_excluded")
_LOGGED: Mapping[str, Callable[[Any], bool]] = {
    "name_to_value": lambda value: isinstance(value, str) or _is_number(value),
    "name_to_count": lambda value: type(value) is int,
    "name_to_excluded": lambda value: isinstance(value, tuple) and all(isinstance(name, str) for name in value),
}
_NOISE = ("exploration_mat", "exploration_matrices")


def capture_training(model: BaseAlgorithm) -> dict[str, Any]:
    """Counters, observations and statistics of episodes; :func:`capture_randomness` captures random numbers."""
    return {
        "counters": {
            **{name: getattr(model, name) for name in _COUNTERS if hasattr(model, name)},
            **{name: float(getattr(model, name)) for name in _FRACTIONS if hasattr(model, name)},
        },
        "observations": {name: getattr(model, name, None) for name in _OBSERVATIONS},
        "episodes": _columns(model.ep_info_buffer or ()),
        "successes": np.asarray(list(model.ep_success_buffer or ())),
        "priors": [{"name": prior.name, "state": prior.state()} for prior in _priors(model)],
    }


def restore_training(model: BaseAlgorithm, state: Mapping[str, Any]) -> None:
    """Restore :func:`capture_training` into a model that was just built.

    Raises:
        DamagedValuesError: if it is not a valid state.
    """
    try:
        for name, value in state["counters"].items():
            kind = float if name in _FRACTIONS else int
            if name not in (*_COUNTERS, *_FRACTIONS) or type(value) is not kind or not -(2**53) < value < 2**53:
                raise DamagedValuesError(f"{name!r} is not a counter")
            setattr(model, name, value)
        for name in _OBSERVATIONS:
            value = state["observations"][name]
            if not (value is None or _is_of(model, name, value)):
                raise DamagedValuesError(f"{name!r} does not fit the environment")
            if hasattr(model, name):
                setattr(model, name, value)
        window = model._stats_window_size
        model.ep_info_buffer = deque(_rows(state["episodes"]), maxlen=window)
        model.ep_success_buffer = deque(_column(state["successes"]), maxlen=window)
        _restore_priors(model, state.get("priors", []))
    except (LookupError, TypeError, AttributeError) as error:
        raise DamagedValuesError(f"the state of the training is damaged: {error!r}") from None


def _priors(model: BaseAlgorithm) -> Any:
    # networks take seconds to import, and who only looks for a checkpoint needs none
    from eqrl.agents.soft import priors_of

    return priors_of(model)


def _restore_priors(model: BaseAlgorithm, states: list[Mapping[str, Any]]) -> None:
    priors = _priors(model)
    if [prior.name for prior in priors] != [state["name"] for state in states]:
        raise DamagedValuesError("the priors are not those of the run")
    for prior, state in zip(priors, states, strict=True):
        try:
            prior.load_state(state["state"])
        except (LookupError, TypeError, ValueError, RuntimeError, AttributeError) as error:
            raise DamagedValuesError(f"the state of prior {prior.name!r} is damaged: {error!r}") from None


def capture_randomness(model: BaseAlgorithm) -> dict[str, Any]:
    """All random number generators of a training, and values that the logger has not written yet."""
    version, words, gauss = random.getstate()
    state: dict[str, Any] = {
        "python": (version, np.asarray(words, dtype=np.uint64), gauss),
        "numpy": np.random.mtrand._rand,  # the global generator itself
        "torch": torch.get_rng_state().numpy(),
        "cuda": [s.numpy() for s in torch.cuda.get_rng_state_all()] if torch.cuda.is_available() else [],
        "action_space": _space_generators(model.action_space),
        "logger": {name: dict(getattr(model.logger, name)) for name in _LOGGER},
        "noise": {},
        "action_noise": [getattr(noise, "noise_prev", None) for noise in _action_noises(model)],
    }
    if (noise := _exploration(model)) is not None:
        state["noise"] = {name: getattr(noise, name).detach().cpu().numpy() for name in _NOISE}
    return state


def restore_randomness(model: BaseAlgorithm, state: Mapping[str, Any]) -> None:
    """Restore :func:`capture_randomness` at the start of the first rollout: earlier code draws random numbers too.

    Raises:
        DamagedCheckpointError: if it is not a valid state.
    """
    try:
        version, words, gauss = state["python"]
        random.setstate((version, tuple(int(word) for word in words), gauss))
        set_generator(np.random.mtrand._rand, state["numpy"])
        torch.set_rng_state(torch.from_numpy(state["torch"].copy()))
        if state["cuda"] and torch.cuda.is_available():
            here = state["cuda"][: torch.cuda.device_count()]  # another machine may have fewer
            torch.cuda.set_rng_state_all([torch.from_numpy(s.copy()) for s in here])
        for generator, stored in zip(_space_generators(model.action_space), state["action_space"], strict=True):
            set_generator(generator, stored)
        for name in _LOGGER:
            table, stored = getattr(model.logger, name), state["logger"][name]
            if not (
                isinstance(stored, dict) and all(isinstance(key, str) and _LOGGED[name](v) for key, v in stored.items())
            ):
                raise DamagedValuesError(f"{name} is not a table of what waits to be logged")
            table.clear()
            table.update(stored)
        if (noise := _exploration(model)) is not None:
            for name in _NOISE:
                setattr(noise, name, torch.from_numpy(state["noise"][name].copy()).to(model.device))
        for action_noise, stored in zip(_action_noises(model), state["action_noise"], strict=True):
            if isinstance(action_noise, OrnsteinUhlenbeckActionNoise):
                if not (
                    isinstance(stored, np.ndarray)
                    and stored.shape == action_noise._mu.shape
                    and stored.dtype.kind == "f"
                ):
                    raise DamagedValuesError("the noise of the actions does not fit the action space")
                action_noise.noise_prev = stored
    except (LookupError, TypeError, ValueError, AttributeError, RuntimeError, OverflowError) as error:
        # raised within learn(), so this is the line that the user sees
        raise DamagedCheckpointError(f"the state of the random numbers in the checkpoint is damaged: {error}") from None


def _columns(episodes: Iterable[Mapping[str, Any]]) -> Any:
    """Statistics of episodes as one array per name, if all episodes have the same names."""
    rows = [dict(row) for row in episodes]
    names = set(rows[0]) if rows else set()
    if not rows or any(set(row) != names for row in rows):
        return rows
    table = {name: np.asarray([row[name] for row in rows]) for name in rows[0]}
    return rows if any(column.dtype.hasobject for column in table.values()) else table


def _rows(table: Any) -> list[dict[str, Any]]:
    if isinstance(table, list):
        if not all(isinstance(row, dict) and _is_number(row["r"]) and _is_number(row["l"]) for row in table):
            raise DamagedValuesError("the statistics of episodes are none")
        return table
    columns = {name: _column(values) for name, values in table.items()}
    length = len(columns["r"])
    if {len(column) for column in columns.values()} != {length} or "l" not in columns:
        raise DamagedValuesError("the statistics of episodes differ in length")
    return [{name: column[i] for name, column in columns.items()} for i in range(length)]


def _column(values: Any) -> list[Any]:
    if not isinstance(values, np.ndarray) or values.ndim != 1 or values.dtype.kind not in "biuf":
        raise DamagedValuesError("the statistics of episodes are not numbers")
    return list(values)


def _is_number(value: Any) -> bool:
    if isinstance(value, np.ndarray):  # a logged value may be an array of size one
        return value.size == 1 and value.dtype.kind in "biuf"
    return isinstance(value, int | float | np.bool_ | np.number)


def _is_of(model: BaseAlgorithm, name: str, value: Any) -> bool:
    """Whether a value has the form of one of ``_OBSERVATIONS``, with a row for each environment."""
    if name == "_last_episode_starts":
        return isinstance(value, np.ndarray) and value.shape == (model.n_envs,) and value.dtype.kind in "bf"
    space = model.observation_space
    if isinstance(space, spaces.Dict):
        return (
            isinstance(value, dict)
            and set(value) == set(space.spaces)
            and all(_fits(model, space[k], value[k]) for k in value)
        )
    return _fits(model, space, value)


def _fits(model: BaseAlgorithm, space: spaces.Space[Any], value: Any) -> bool:
    return (
        isinstance(value, np.ndarray)
        and value.shape == (model.n_envs, *(space.shape or ()))
        and value.dtype.kind == (np.dtype(space.dtype).kind)
    )


def _space_generators(space: spaces.Space[Any]) -> list[np.random.Generator]:
    """The generators that a space draws from; a space without one creates it here."""
    inner: Iterable[spaces.Space[Any]] = ()
    if isinstance(space, spaces.Dict):
        inner = space.spaces.values()
    elif isinstance(space, spaces.Tuple):
        inner = space.spaces
    return [space.np_random, *(g for part in inner for g in _space_generators(part))]


def _action_noises(model: BaseAlgorithm) -> list[Any]:
    noise = getattr(model, "action_noise", None)
    if noise is None:
        return []
    return list(noise.noises) if isinstance(noise, VectorizedActionNoise) else [noise]


def _exploration(model: BaseAlgorithm) -> StateDependentNoiseDistribution | None:
    """SB3's state-dependent exploration, whose noise outlives a rollout."""
    for owner in (model.policy, getattr(model.policy, "actor", None)):
        distribution = getattr(owner, "action_dist", None)
        if isinstance(distribution, StateDependentNoiseDistribution):
            return distribution
    return None
