"""Gymnasium ids and the factory of SB3 vector environments."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
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
    register("eqrl/RopeClosing-v0", "eqrl.envs.manipulation.rope_closing:RopeClosing", max_episode_steps=200)
    register("eqrl/PickAndPlace-v0", "eqrl.envs.manipulation.pick_and_place:PickAndPlace", max_episode_steps=30)
    register("eqrl/ClothHanging-v0", "eqrl.envs.manipulation.cloth_hanging:ClothHanging", max_episode_steps=100)
    register("eqrl/RopeShaping-v0", "eqrl.envs.manipulation.rope_shaping:RopeShaping", max_episode_steps=200)
    register(
        "eqrl/InsertionTwoHands-v0",
        "eqrl.envs.manipulation.insertion_two_hands:InsertionTwoHands",
        max_episode_steps=100,
    )
    register("eqrl/TeamReach-v0", "eqrl.envs.locomotion.team_reach:TeamReach", max_episode_steps=1000)
    register("eqrl/Velocity-v0", "eqrl.envs.locomotion.velocity:Velocity", max_episode_steps=500)
    register("eqrl/Run-v0", RUN, max_episode_steps=MAX_EPISODE_STEPS, kwargs={"reward": "progress"})
    for robot in ROBOTS:
        register(sgrl_id(robot), RUN, max_episode_steps=MAX_EPISODE_STEPS, kwargs={"robot": robot})
    for name, (members, unseen, slots) in SETS.items():
        register(
            sgrl_id(name),
            RUN,
            max_episode_steps=MAX_EPISODE_STEPS,
            kwargs={"slots": slots, "symmetry": "rotations"},  # equal spaces; some robots have a mirror, some have not
            members={robot: {"robot": robot} for robot in members},
            unseen=[sgrl_id(robot) for robot in unseen],
        )


def task_class(task: str | type[Task]) -> type[Task]:
    """The class of a task, imported where it is given by its place."""
    if not isinstance(task, str):
        return task
    module, _, name = task.partition(":")
    imported: type[Task] = getattr(importlib.import_module(module), name)
    return imported


def fleet_members(task: str | type[Task], members: Members | None, arguments: Mapping[str, Any]) -> Members | None:
    """The members of a fleet that are given, or those that a task's arguments ask for; None for no fleet."""
    return task_class(task).fleet(arguments) if members is None else members


def make_tasks(
    task: str | type[Task], members: Members | None, arguments: Mapping[str, Any], member: str | None = None
) -> Task | dict[str, Task]:
    """A task, or one for each member of a fleet.

    Args:
        task: its class, or where it is.
        members: each member's name and its arguments, which win over ``arguments``; None for those that the arguments
            ask for, if any.
        arguments: of the task, or those that all members share.
        member: name of the one member to make alone; None for all.

    Raises:
        TypeError: without a fleet, for an argument that the task does not have.
        ValueError: for a wrong value; in a fleet, naming the member, for whatever does not fit.
    """
    kind = task_class(task)
    members = fleet_members(kind, members, arguments)
    if members is None:
        if member is not None:
            raise ValueError(f"member={member!r} names one of a fleet, and this is a single environment; leave it out")
        return kind(**arguments)
    _check_members(members)
    if member is not None:
        if member not in members:
            raise ValueError(f"no member is named {member!r}; {suggestion(member, members)}")
        return _member_task(kind, member, members[member], arguments)
    return {str(name): _member_task(kind, name, own, arguments) for name, own in members.items()}


def _member_task(kind: type[Task], name: str, own: Mapping[str, Any], arguments: Mapping[str, Any]) -> Task:
    try:
        return kind(**{**arguments, **own})
    except (TypeError, ValueError) as error:
        raise ValueError(f"member {name!r}: {argument_hint(str(error), known_arguments(kind))}") from error


def _check_members(members: Any) -> None:
    example = "members={'T': {'shape': 'T'}, 'bar': {'shape': 'bar'}}"
    if not isinstance(members, Mapping) or not members:
        raise ValueError(f"members={members!r} does not hold the members of a fleet; give for instance {example}")
    for name, own in members.items():
        if not isinstance(own, Mapping):
            raise ValueError(f"member {name!r} is {own!r}, not a table of arguments; give for instance {example}")


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
    members: Members | None = None,
    member: str | None = None,
    **task_arguments: Any,
) -> VecEnv:
    """Make an SB3 vector environment that steps one native batch, or a fleet of several robots or objects.

    Args:
        env_id: a registered id, such as ``"eqrl/AntTarget-v0"``.
        n_envs: number of environments.
        seed: environment ``i`` is seeded with ``seed + i``.
        n_threads: threads for the physics, 0 for all cores.
        max_episode_steps: time limit in control steps, the environment's own by default.
        render_mode: ``"rgb_array"``, ``"human"`` or None.
        scene_rotation: degrees by which initial scenes are turned, one number or one an environment.
        goal_rotation: degrees by which goals alone are turned, likewise.
        on_divergence: what to do when the physics of a member diverges: ``"stop"`` with an error, or ``"reset"`` to end
            that member's episode: truncated, with reward 0 and its last good observation.
        width: of rendered frames, pixels.
        height: likewise.
        members: for a fleet, the name and arguments of each member, such as ``{"T": {"shape": "T"}, "bar": {"shape":
            "bar"}}``. Their spaces must be equal; the environments are shared out to them evenly and in order, and
            every ``info`` names its ``"member"``. By default the members of a registered set.
        member: name of the one member to make alone; None for all.
        task_arguments: the environment's own arguments; in a fleet, those that all members share.

    Raises:
        ValueError: for an unknown id (naming the closest one) or an unknown argument; for a fleet, naming the member
            that does not fit and why.
    """
    from stable_baselines3.common.vec_env import VecMonitor

    from eqrl.envs.forms.sb3 import TaskVecEnv

    if env_id not in ENVIRONMENTS:
        raise ValueError(f"environment {env_id!r} is not one of eqrl's; {suggestion(env_id, ENVIRONMENTS)}")
    registered = ENVIRONMENTS[env_id]
    kind = task_class(registered.task)
    try:
        members = registered.members if members is None else members
        task = make_tasks(kind, members, {**registered.kwargs, **task_arguments}, member)
    except TypeError as error:
        raise ValueError(f"{env_id}: {argument_hint(str(error), known_arguments(kind))}") from error
    max_episode_steps = max_episode_steps or registered.max_episode_steps
    alone = {"members": members, "member": member} if members is not None else {}
    env = TaskVecEnv(
        task,
        n_envs,
        n_threads,
        max_episode_steps=max_episode_steps,
        render_mode=render_mode,
        scene_rotation=scene_rotation,
        goal_rotation=goal_rotation,
        on_divergence=on_divergence,
        width=width,
        height=height,
        spec=replace(
            gymnasium.spec(env_id),
            max_episode_steps=max_episode_steps,
            kwargs={**gymnasium.spec(env_id).kwargs, **task_arguments, **alone},
        ),
    )
    if seed is not None:
        env.seed(seed)
    return VecMonitor(env)
