"""What goes into the bundle: the data at hand, the parameters, the seeds, the physics before the last step."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.buffers import ReplayBuffer, RolloutBuffer
from stable_baselines3.common.vec_env import VecEnv

from eqrl.envs.core.divergence import DivergenceError
from eqrl.guards.bundle import flat
from eqrl.guards.randomness import Randomness
from eqrl.guards.scene import Scene

_RECENT = 256
_STEP = {"actions": "actions", "rewards": "rewards", "dones": "dones", "new_obs": "next_observations"}  # SB3's names, ours
_KEPT = (
    "observations",
    "next_observations",
    "actions",
    "rewards",
    "dones",
    "episode_starts",
    "values",
    "advantages",
    "returns",
)


def batch_of(
    model: BaseAlgorithm, scene: Scene, error: BaseException, randomness: Randomness | None
) -> dict[str, NDArray[Any]]:
    """The data at hand: ``step.*`` of a step that failed, ``minibatch.*`` of an update, and what was collected before it.

    That is the rollout so far (``rollout.*``) or the latest transitions of the replay buffer (``recent.*``).
    """
    found: dict[str, NDArray[Any]] = {}
    if scene.rollout and not scene.update:
        found |= flat("step.observations", scene.rollout["self"]._last_obs)
        for variable, name in _STEP.items():
            # physics that diverged gave no reward; what the variables hold is of the step before
            known = variable == "actions" or not isinstance(error, DivergenceError)
            if known and (values := scene.rollout.get(variable)) is not None:
                found |= flat(f"step.{name}", values)
    for name, values in scene.minibatch.items():
        found |= flat(f"minibatch.{name}", values)
    for kind, buffer in (
        ("rollout", getattr(model, "rollout_buffer", None)),
        ("recent", getattr(model, "replay_buffer", None)),
    ):
        if buffer is not None:
            found |= _latest(kind, buffer)
    if randomness is not None:
        found |= randomness.arrays()
    return found


def physics_of(env: VecEnv, error: BaseException) -> dict[str, NDArray[Any]]:
    """MuJoCo's integration states before the last step, one row a member; empty where there is no MuJoCo.

    In a fleet the rows of robots with fewer numbers end with NaN.
    """
    if isinstance(error, DivergenceError):
        return {
            "members": np.asarray(error.members),
            "time": np.asarray(error.time),
            "state": error.state,
            "action": error.action,
        }
    bare: Any = env
    while hasattr(bare, "venv"):
        bare = bare.venv
    if (simulation := getattr(bare, "simulation", None)) is not None:
        states = simulation.states_before
    else:
        try:
            states = np.stack(env.get_attr("state_before"))
        except (AttributeError, ValueError):  # no MuJoCo, or one model a member
            return {}
    return {"members": np.arange(len(states)), "state": states}


def seeds_of(model: BaseAlgorithm) -> dict[str, Any]:
    """The seed of the run, and those that it gave its environments."""
    n = model.n_envs
    return {"seed": model.seed, "environment_seeds": None if model.seed is None else [model.seed + i for i in range(n)]}


def _latest(kind: str, buffer: RolloutBuffer | ReplayBuffer) -> dict[str, NDArray[Any]]:
    size = buffer.size()
    if isinstance(buffer, ReplayBuffer):
        rows = np.arange(buffer.pos - min(size, _RECENT), buffer.pos) % buffer.buffer_size
    elif getattr(buffer, "generator_ready", False):  # flattened for the update: steps and environments are one axis
        rows = np.arange(buffer.buffer_size * buffer.n_envs)
    else:
        rows = np.arange(size)
    found: dict[str, NDArray[Any]] = {}
    for name in _KEPT:
        if (values := getattr(buffer, name, None)) is not None:
            for key, array in flat(f"{kind}.{name}", values).items():
                found[key] = array[rows] if rows.size and rows.max() < len(array) else array[: len(rows)]
    return found
