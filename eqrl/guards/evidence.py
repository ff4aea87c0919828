"""Evidence for the bundle: current data, seeds, and the physics before the last step."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.buffers import ReplayBuffer, RolloutBuffer
from stable_baselines3.common.vec_env import VecEnv

from eqrl.envs.core.divergence import DivergenceError
from eqrl.envs.core.finite import NotFiniteError
from eqrl.guards.bundle import flat
from eqrl.guards.randomness import Randomness
from eqrl.guards.scene import Scene

_RECENT = 256
_STEP = {
    "actions": "actions",
    "rewards": "rewards",
    "dones": "dones",
    "new_obs": "next_observations",
}  # SB3's names and eqrl's
_COLUMNS = (
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
    """The current data: ``step.*`` of a failed step, ``minibatch.*`` of a failed update, and the data collected before.

    The latter is the rollout so far (``rollout.*``) or the latest transitions of the replay buffer (``recent.*``).
    """
    arrays: dict[str, NDArray[Any]] = {}
    if scene.rollout and not scene.update:
        arrays |= flat("step.observations", scene.rollout["self"]._last_obs)
        for variable, name in _STEP.items():
            # a step that failed gave no reward; the other variables are still those of the previous one
            known = variable == "actions" or not isinstance(error, DivergenceError | NotFiniteError)
            if known and (values := scene.rollout.get(variable)) is not None:
                arrays |= flat(f"step.{name}", values)
    for name, values in scene.minibatch.items():
        arrays |= flat(f"minibatch.{name}", values)
    for kind, buffer in (
        ("rollout", getattr(model, "rollout_buffer", None)),
        ("recent", getattr(model, "replay_buffer", None)),
    ):
        if buffer is not None:
            arrays |= _latest(kind, buffer)
    if randomness is not None:
        arrays |= randomness.arrays()
    return arrays


def physics_of(env: VecEnv, error: BaseException) -> dict[str, NDArray[Any]]:
    """MuJoCo's integration states before the last step, one row per member; empty without MuJoCo.

    In a fleet, the rows of robots with fewer numbers are padded with NaN.
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
        except (AttributeError, ValueError):  # no MuJoCo, or a different model for each member
            return {}
    return {"members": np.arange(len(states)), "state": states}


def seeds_of(model: BaseAlgorithm) -> dict[str, Any]:
    """The seed of the run, and the seeds of its environments."""
    n = model.n_envs
    return {"seed": model.seed, "environment_seeds": None if model.seed is None else [model.seed + i for i in range(n)]}


def _latest(kind: str, buffer: RolloutBuffer | ReplayBuffer) -> dict[str, NDArray[Any]]:
    size = buffer.size()
    if isinstance(buffer, ReplayBuffer):
        rows = np.arange(buffer.pos - min(size, _RECENT), buffer.pos) % buffer.buffer_size
    elif getattr(buffer, "generator_ready", False):  # flattened for the update: steps and environments share one axis
        rows = np.arange(buffer.buffer_size * buffer.n_envs)
    else:
        rows = np.arange(size)
    arrays: dict[str, NDArray[Any]] = {}
    for name in _COLUMNS:
        if (values := getattr(buffer, name, None)) is not None:
            for key, array in flat(f"{kind}.{name}", values).items():
                arrays[key] = array[rows] if rows.size and rows.max() < len(array) else array[: len(rows)]
    return arrays
