"""Gymnasium ids and the factory of SB3 vector environments."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import gymnasium

from eqrl.errors import argument_hint, known_arguments, suggestion

if TYPE_CHECKING:
    from stable_baselines3.common.vec_env import VecEnv


@dataclass(frozen=True)
class Registered:
    """Where an environment lives; strings, so that registration imports nothing heavy.

    Attributes:
        module: module of its classes.
        name: stem of the class names: ``<name>Env``, ``<name>VectorEnv`` and the task ``<name>``.
        max_episode_steps: time limit in control steps.
    """

    module: str
    name: str
    max_episode_steps: int


ENVIRONMENTS = {
    "eqrl/AntTarget-v0": Registered("eqrl.envs.locomotion.ant_target", "AntTarget", 300),
    "eqrl/Reach-v0": Registered("eqrl.envs.manipulation.reach", "Reach", 50),
    "eqrl/Push-v0": Registered("eqrl.envs.manipulation.push", "Push", 100),
}


def register_all() -> None:
    """Register every environment with Gymnasium, once."""
    for env_id, where in ENVIRONMENTS.items():
        if env_id not in gymnasium.registry:
            gymnasium.register(
                env_id,
                entry_point=f"{where.module}:{where.name}Env",
                vector_entry_point=f"{where.module}:{where.name}VectorEnv",
                max_episode_steps=where.max_episode_steps,
            )


def make_vec(
    env_id: str,
    n_envs: int = 1,
    seed: int | None = None,
    n_threads: int = 0,
    *,
    max_episode_steps: int | None = None,
    render_mode: str | None = None,
    scene_rotation: Any = 0.0,
    goal_rotation: Any = 0.0,
    on_divergence: str = "stop",
    width: int = 480,
    height: int = 360,
    **task_arguments: Any,
) -> VecEnv:
    """Make an SB3 vector environment that steps all its members in one native batch.

    Args:
        env_id: an id of eqrl, such as ``"eqrl/AntTarget-v0"``.
        n_envs: number of environments.
        seed: environment ``i`` is seeded with ``seed + i``.
        n_threads: threads for the physics, 0 for all cores.
        max_episode_steps: time limit in control steps, the environment's own by default.
        render_mode: ``"rgb_array"``, ``"human"`` or None.
        scene_rotation: degrees by which initial scenes are turned, one number or one an environment.
        goal_rotation: degrees by which goals alone are turned, likewise.
        on_divergence: what to do when the physics of a member diverges: ``"stop"`` with an error, or ``"reset"`` to end that
            member's episode: truncated, with reward 0 and its last good observation.
        width: of rendered frames, pixels.
        height: likewise.
        task_arguments: the environment's own arguments.

    Raises:
        ValueError: for an unknown id (naming the closest one) or an unknown argument.
    """
    from stable_baselines3.common.vec_env import VecMonitor

    from eqrl.envs.sb3 import TaskVecEnv

    if env_id not in ENVIRONMENTS:
        raise ValueError(f"environment {env_id!r} is not one of eqrl's; {suggestion(env_id, ENVIRONMENTS)}")
    where = ENVIRONMENTS[env_id]
    task_class = getattr(importlib.import_module(where.module), where.name)
    try:
        task = task_class(**task_arguments)
    except TypeError as error:
        raise ValueError(f"{env_id}: {argument_hint(str(error), known_arguments(task_class))}") from error
    env = TaskVecEnv(
        task,
        n_envs,
        n_threads,
        max_episode_steps=max_episode_steps or where.max_episode_steps,
        render_mode=render_mode,
        scene_rotation=scene_rotation,
        goal_rotation=goal_rotation,
        on_divergence=on_divergence,
        width=width,
        height=height,
    )
    if seed is not None:
        env.seed(seed)
    return VecMonitor(env)
