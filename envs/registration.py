"""Gymnasium ids and the factory of SB3 vector environments."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import gymnasium

from eqrl.envs.locomotion.ids import MAX_EPISODE_STEPS, ROBOTS, RUN, SETS, sgrl_id
from eqrl.errors import argument_hint, known_arguments, suggestion

if TYPE_CHECKING:
    from stable_baselines3.common.vec_env import VecEnv

    from eqrl.envs.core.task import Task


Members = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class Registered:
    """A registered environment.

    Attributes:
        task: where its task is, ``"module:Class"``, so that registration imports nothing heavy; or the class itself.
        max_episode_steps: time limit in control steps.
        kwargs: arguments of the task, which its makers may override.
        members: for a set of robots or objects, the name and arguments of each; None for a single one.
        unseen: ids of environments with equal spaces and other bodies, on which a policy can be tested.
    """

    task: str | type[Task]
    max_episode_steps: int
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    members: Members | None = None
    unseen: tuple[str, ...] = ()


ENVIRONMENTS: dict[str, Registered] = {}


def register(
    env_id: str,
    task: str | type[Task],
    *,
    max_episode_steps: int,
    kwargs: Mapping[str, Any] | None = None,
    members: Members | None = None,
    unseen: Sequence[str] = (),
) -> None:
    """Register a task with Gymnasium and eqrl, or a set of robots or objects that share it.

    ``gymnasium.make``, ``gymnasium.make_vec``, :func:`make_vec` and ``eqrl train`` know it then. Of a set,
    ``gymnasium.make(env_id, member=name)`` makes one.

    Args:
        env_id: such as ``"eqrl/Push-v0"``.
        task: where its class is, ``"eqrl.envs.manipulation.push:Push"``, or the class itself.
        max_episode_steps: time limit in control steps.
        kwargs: arguments of the task, which its makers may override, such as ``{"shape": "T"}``.
        members: for a set, the name and arguments of each member, as :func:`make_vec` takes them.
        unseen: ids of environments with equal spaces and other bodies; ``eqrl evaluate RUN --unseen`` plays them.

    Raises:
        ValueError: for a set without members, or unseen ids that are not a sequence of names.
    """
    if members is not None:
        _check_members(members)
    if isinstance(unseen, str) or not all(isinstance(other, str) for other in unseen):
        raise ValueError(f"{env_id}: unseen={unseen!r} does not hold ids; give for instance unseen=('eqrl/Push-v0',)")
    kwargs = dict(kwargs or {})
    ENVIRONMENTS[env_id] = Registered(task, max_episode_steps, kwargs, members, tuple(unseen))
    gymnasium.register(
        env_id,
        entry_point="eqrl.envs.forms.single:TaskEnv",
        vector_entry_point="eqrl.envs.forms.vector:TaskVectorEnv",
        max_episode_steps=max_episode_steps,
        kwargs={"task": task, **kwargs, **({} if members is None else {"members": members})},
    )


def register_all() -> None:
    """Register every environment with Gymnasium, once."""
    if "eqrl/Push-v0" in gymnasium.registry:
        return
    register("eqrl/AntTarget-v0", "eqrl.envs.locomotion.ant_target:AntTarget", max_episode_steps=300)
    register("eqrl/Reach-v0", "eqrl.envs.manipulation.reach:Reach", max_episode_steps=50)
    register("eqrl/Push-v0", "eqrl.envs.manipulation.push:Push", max_episode_steps=100)
    register("eqrl/Sliding-v0", "eqrl.envs.manipulation.sliding:Sliding", max_episode_steps=100)
    register("eqrl/Insertion-v0", "eqrl.envs.manipulation.insertion:Insertion", max_episode_steps=100)
