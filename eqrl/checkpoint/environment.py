"""Capture and restore environments in the middle of their episodes.

A resumed training then continues with the very next step.

Environments and wrappers may define ``state_dict()`` and ``load_state_dict(state)``, with plain values and arrays; all
of eqrl's do. For other Gymnasium environments, the MuJoCo simulation and every attribute that is plain data or a random
number generator are captured. :func:`rehearse` tests whether that is everything.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import Any

import gymnasium
import mujoco
import numpy as np
import torch
from numpy.typing import NDArray
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import DummyVecEnv, VecEnv, VecEnvWrapper, VecMonitor, VecNormalize

from eqrl.checkpoint.values import Arrays, DamagedValuesError, NotPlainError, pack, set_generator, unpack
from eqrl.rng import preserved_rng

_SIMULATION = mujoco.mjtState.mjSTATE_INTEGRATION
_NOT_STATE = {"env", "spec", "metadata", "render_mode"}
# Monitor also stores every episode since the beginning, which nothing reads
_MONITOR = ("rewards", "needs_reset", "total_steps", "current_reset_info")
_REHEARSAL_STEPS = 8


class NoStateError(TypeError):
    """An environment whose state cannot be captured."""


def capture(env: VecEnv) -> dict[str, Any]:
    """The state of a vector environment and of all wrappers around it.

    Raises:
        NoStateError: for a vector environment of another kind, such as one that runs in other processes.
    """
    state: dict[str, Any] = {"class": type(env).__name__}
    if _has_state_dict(env):
        state["own"] = env.state_dict()  # type: ignore[attr-defined]
    elif isinstance(env, VecMonitor):
        state["own"] = {
            "returns": env.episode_returns,
            "lengths": env.episode_lengths,
            "count": env.episode_count,
            "age": time.time() - env.t_start,
        }
    elif isinstance(env, VecNormalize):
        rms = env.ret_rms
        state["own"] = {"mean": rms.mean, "var": rms.var, "count": rms.count, "returns": env.returns}
    elif isinstance(env, DummyVecEnv):
        state["own"] = {"envs": [_capture_single(single) for single in env.envs]}
    else:
        raise NoStateError(f"a {type(env).__name__} cannot be asked for its state")
    if isinstance(env, VecEnvWrapper):
        state["inner"] = capture(env.venv)
    return state


def restore(env: VecEnv, state: dict[str, Any]) -> None:
    """Put a captured state into a vector environment of the same structure.

    Raises:
        DamagedValuesError: if it does not fit.
    """
    if state.get("class") != type(env).__name__:
        raise DamagedValuesError(f"the state of a {state.get('class')} does not fit a {type(env).__name__}")
    if isinstance(env, VecEnvWrapper):
        restore(env.venv, state["inner"])
    stored = state["own"]
    if _has_state_dict(env):
        env.load_state_dict(stored)  # type: ignore[attr-defined]
    elif isinstance(env, VecMonitor):
        count, age = stored["count"], stored["age"]
        if type(count) is not int or type(age) is not float:
            raise DamagedValuesError("the statistics of episodes are none")
        env.episode_returns = _like(stored["returns"], np.zeros(env.num_envs, np.float32))
        env.episode_lengths = _like(stored["lengths"], np.zeros(env.num_envs, np.int32))
        env.episode_count, env.t_start = count, time.time() - age
    elif isinstance(env, VecNormalize):
        rms = env.ret_rms
        for name in ("mean", "var", "count"):
            setattr(rms, name, _like(stored[name], getattr(rms, name)))
        env.returns = _like(stored["returns"], np.zeros(env.num_envs))
    elif isinstance(env, DummyVecEnv):
        if len(stored["envs"]) != len(env.envs):
            raise DamagedValuesError(f"states of {len(stored['envs'])} environments do not fit {len(env.envs)}")
        for single, single_state in zip(env.envs, stored["envs"], strict=True):
            _restore_single(single, single_state)


def _like(value: Any, expected: Any) -> Any:
    """A stored value, if it has the shape and type of the expected one."""
    # NumPy sometimes turns arrays without axes into scalars
    if not isinstance(value, np.ndarray | np.generic | float) or np.shape(value) != np.shape(expected):
        raise DamagedValuesError("the state of the environments has another form")
    if np.result_type(value).kind != np.result_type(expected).kind:
        raise DamagedValuesError("the state of the environments has another type")
    return value.copy() if isinstance(value, np.ndarray) else value


def rehearse(make: Callable[[int], VecEnv]) -> str | None:
    """Test whether an environment resumes exactly: capture one in the middle of an episode, and continue in another.

    Args:
        make: builds the vector environment, of size one, from a seed.

    Returns:
        What goes wrong, or None if the two agree to the bit, also across the start of the next episode.
    """
    with preserved_rng():
        first, second = make(1), make(2)
        try:
            first.reset()
            actions = [np.stack([first.action_space.sample()] * first.num_envs) for _ in range(2 * _REHEARSAL_STEPS)]
            for action in actions[:_REHEARSAL_STEPS]:
                first.step(action)
            arrays: Arrays = {}
            stored = pack(capture(first), arrays)
            second.reset()
            restore(second, unpack(stored, {name: array.copy() for name, array in arrays.items()}))
            return _difference(_played(first, actions[_REHEARSAL_STEPS:]), _played(second, actions[_REHEARSAL_STEPS:]))
        except (NoStateError, NotPlainError, DamagedValuesError) as error:
            return str(error)
        except Exception as error:
            # methods of the environment may raise anything, and the training can do without them
            return f"going on from its state fails with {type(error).__name__}: {error}"
        finally:
            first.close()
            second.close()


def _played(env: VecEnv, actions: list[NDArray[Any]]) -> list[tuple[str, Any]]:
    # an environment may draw from the global generators, which a checkpoint stores separately
    random.seed(0)
    np.random.seed(0)
    torch.manual_seed(0)
    heard: list[tuple[str, Any]] = []
    for k, action in enumerate(actions):
        observation, reward, done, _ = env.step(action)
        parts = observation if isinstance(observation, dict) else {"observation": observation}
        heard += [
            (f"{name} at step {k + 1}", value) for name, value in {**parts, "reward": reward, "done": done}.items()
        ]
    again = env.reset()
    return heard + [
        (f"{n} after a reset", v) for n, v in (again if isinstance(again, dict) else {"observation": again}).items()
    ]


def _difference(a: list[tuple[str, Any]], b: list[tuple[str, Any]]) -> str | None:
    for (name, x), (_, y) in zip(a, b, strict=True):
        if not np.array_equal(x, y, equal_nan=True):
            size = float(np.abs(np.asarray(x, dtype=np.float64) - np.asarray(y, dtype=np.float64)).max())
            return f"{name} differs by {size:.1e} when it goes on from its state"
    return None


# ---------------------------------------------------------------------- single Gymnasium environments
def _capture_single(env: gymnasium.Env[Any, Any]) -> list[dict[str, Any]]:
    return [{"class": type(layer).__name__, "state": _state_of(layer)} for layer in _layers(env)]


def _restore_single(env: gymnasium.Env[Any, Any], state: list[dict[str, Any]]) -> None:
    env.reset()  # many environments create their attributes only here
    layers = _layers(env)
    if [layer_state["class"] for layer_state in state] != [type(layer).__name__ for layer in layers]:
        raise DamagedValuesError("the state is that of an environment with other wrappers")
    for layer, layer_state in zip(layers, state, strict=True):
        _put(layer, layer_state["state"])


def _layers(env: gymnasium.Env[Any, Any]) -> list[Any]:
    layers: list[Any] = [env]
    while isinstance(layers[-1], gymnasium.Wrapper):
        layers.append(layers[-1].env)
    return layers


def _state_of(layer: Any) -> dict[str, Any]:
    if _has_state_dict(layer):
        return {"own": layer.state_dict()}
    plain, simulations = {}, {}
    for name in _MONITOR if isinstance(layer, Monitor) else sorted(set(vars(layer)) - _NOT_STATE):
        value = vars(layer)[name]
        if isinstance(value, mujoco.MjData):
            simulations[name] = _simulation(_model(layer), value)
        else:
            try:
                pack(value, {})
            except NotPlainError:
                continue  # models, spaces, renderers; the rehearsal detects any that is state
            plain[name] = value
    return {"plain": plain, "simulations": simulations}


def _put(layer: Any, state: dict[str, Any]) -> None:
    if "own" in state:
        layer.load_state_dict(state["own"])
        return
    for name, value in state["plain"].items():
        now = getattr(layer, name, None)
        if isinstance(value, np.random.Generator | np.random.RandomState) and isinstance(now, type(value)):
            set_generator(now, value)
        elif callable(now) or name.startswith("__"):
            raise DamagedValuesError(f"{name!r} of {type(layer).__name__} is not state")
        else:
            setattr(layer, name, value)
    for name, simulation in state["simulations"].items():
        _put_simulation(_model(layer), getattr(layer, name), simulation)


def _simulation(model: mujoco.MjModel, data: mujoco.MjData) -> dict[str, Any]:
    state = np.empty(mujoco.mj_stateSize(model, _SIMULATION))
    mujoco.mj_getState(model, data, state, _SIMULATION)
    # after mj_step, positions of bodies lag one substep behind qpos, and environments compute rewards from them
    return {"state": state, "arrays": {name: getattr(data, name).copy() for name in _arrays_of(data)}}


def _put_simulation(model: mujoco.MjModel, data: mujoco.MjData, stored: dict[str, Any]) -> None:
    if stored["state"].shape != (mujoco.mj_stateSize(model, _SIMULATION),):
        raise DamagedValuesError("the state is that of another MuJoCo model")
    mujoco.mj_setState(model, data, stored["state"], _SIMULATION)
    mujoco.mj_forward(model, data)  # computes contacts and constraints, whose size is not fixed
    for name in _arrays_of(data):
        array = getattr(data, name)
        if name in stored["arrays"] and stored["arrays"][name].shape == array.shape:
            array[...] = stored["arrays"][name]


def _arrays_of(data: mujoco.MjData) -> list[str]:
    """Names of the float arrays of fixed size; the sizes of constraint arrays change with every step.

    Indices and pointers are left out: MuJoCo would follow those of a forged file, and it recomputes them anyway.
    """
    names = []
    for name in dir(data):
        if name.startswith(("_", "efc_", "iefc_", "island_", "contact")):
            continue
        value = getattr(data, name)
        if isinstance(value, np.ndarray) and value.dtype.kind == "f" and value.flags.writeable:
            names.append(name)
    return names


def _model(layer: Any) -> mujoco.MjModel:
    model = getattr(layer, "model", None)
    if not isinstance(model, mujoco.MjModel):
        raise NoStateError(f"{type(layer).__name__} has MuJoCo data but no attribute 'model' that says of what")
    return model


def _has_state_dict(layer: Any) -> bool:
    # the class is asked, because wrappers forward unknown attributes to the wrapped environment
    return hasattr(type(layer), "state_dict") and hasattr(type(layer), "load_state_dict")
