"""Gymnasium ids and the factory of SB3 vector environments."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import gymnasium

from eqrl.errors import argument_hint, known_arguments, suggestion

if TYPE_CHECKING:
    from stable_baselines3.common.vec_env import VecEnv

    from eqrl.envs.core.task import Task


@dataclass(frozen=True)
class Registered:
    """A registered environment.

    Attributes:
        task: where its task is, ``"module:Class"``, so that registration imports nothing heavy; or the class itself.
        max_episode_steps: time limit in control steps.
    """

    task: str | type[Task]
    max_episode_steps: int


ENVIRONMENTS: dict[str, Registered] = {}


def register(env_id: str, task: str | type[Task], *, max_episode_steps: int) -> None:
    """Register a task with Gymnasium and eqrl: ``gymnasium.make``, ``gymnasium.make_vec``, :func:`make_vec` and ``eqrl train`` know it then.

    Args:
        env_id: such as ``"eqrl/Push-v0"``.
        task: where its class is, ``"eqrl.envs.manipulation.push:Push"``, or the class itself.
        max_episode_steps: time limit in control steps.
    """
    ENVIRONMENTS[env_id] = Registered(task, max_episode_steps)
    gymnasium.register(
        env_id,
        entry_point="eqrl.envs.forms.single:TaskEnv",
        vector_entry_point="eqrl.envs.forms.vector:TaskVectorEnv",
        max_episode_steps=max_episode_steps,
        kwargs={"task": task},
    )


def register_all() -> None:
    """Register every environment with Gymnasium, once."""
    if "eqrl/Push-v0" in gymnasium.registry:
        return
    register("eqrl/AntTarget-v0", "eqrl.envs.locomotion.ant_target:AntTarget", max_episode_steps=300)
    register("eqrl/Reach-v0", "eqrl.envs.manipulation.reach:Reach", max_episode_steps=50)
    register("eqrl/Push-v0", "eqrl.envs.manipulation.push:Push", max_episode_steps=100)


def task_class(task: str | type[Task]) -> type[Task]:
    """The class of a task, imported where it is given by its place."""
    if not isinstance(task, str):
        return task
    module, _, name = task.partition(":")
    imported: type[Task] = getattr(importlib.import_module(module), name)
    return imported


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
        env_id: a registered id, such as ``"eqrl/AntTarget-v0"``.
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

    from eqrl.envs.forms.sb3 import TaskVecEnv

    if env_id not in ENVIRONMENTS:
        raise ValueError(f"environment {env_id!r} is not one of eqrl's; {suggestion(env_id, ENVIRONMENTS)}")
    registered = ENVIRONMENTS[env_id]
    kind = task_class(registered.task)
    try:
        task = kind(**task_arguments)
    except TypeError as error:
        raise ValueError(f"{env_id}: {argument_hint(str(error), known_arguments(kind))}") from error
    env = TaskVecEnv(
        task,
        n_envs,
        n_threads,
        max_episode_steps=max_episode_steps or registered.max_episode_steps,
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
