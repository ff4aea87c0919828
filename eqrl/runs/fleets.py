"""Fleets in a configuration: ``env_kwargs`` with a table ``members``, or an id that stands for a set."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from stable_baselines3.common.vec_env import VecEnv

from eqrl.envs.registration import ENVIRONMENTS, fleet_members, task_class
from eqrl.errors import one_line
from eqrl.runs.config import Config

MEMBERS, MEMBER = "members", "member"


def fleet(env_id: str, options: Mapping[str, Any]) -> Mapping[str, Any]:
    """Options of each member by its name; empty for a single environment.

    They are those of the table ``members``, of the set that the id names, or those that the task's own arguments ask
    for, such as a split of shapes. ``member`` chooses one of them, which is a single environment.

    Raises:
        UsageError: for arguments that name members which do not exist.
    """
    if env_id not in ENVIRONMENTS or options.get(MEMBER) is not None:
        return {}
    registered = ENVIRONMENTS[env_id]
    members = registered.members if options.get(MEMBERS) is None else options[MEMBERS]
    with one_line(env_id):
        members = fleet_members(registered.task, members, {**registered.kwargs, **options})
    return members if isinstance(members, Mapping) else {}


def in_order(env_id: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """Options with a table of members sorted by name, because manifests do not keep the order of a table."""
    members = fleet(env_id, options)
    if not members or options.get(MEMBERS) is None:
        return dict(options)
    return {**options, MEMBERS: {name: members[name] for name in sorted(members, key=str)}}


def first_member(env_id: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """Options of the environment that a fleet's first member is alone; without a fleet as they are."""
    options = in_order(env_id, options)
    members = fleet(env_id, options)
    return _single(env_id, options, next(iter(members))) if members else options


def members_of(config: Config, *, evaluation: bool = False) -> tuple[str, ...]:
    """Names of a fleet's members in the order of its environments; empty without a fleet.

    Args:
        config: names the environment.
        evaluation: apply ``eval_env_kwargs``, which may have other members.
    """
    return tuple(fleet(config.env, in_order(config.env, _options(config, evaluation))))


def member_options(config: Config, name: str) -> dict[str, Any]:
    """Options of the environment in which one member of a fleet is evaluated alone."""
    return _single(config.env, _options(config, evaluation=True), name)


def alone(config: Config, name: str) -> Config:
    """The configuration that evaluates one member of a fleet as a separate environment."""
    return config.replace(env_kwargs=member_options(config, name), eval_env_kwargs={})


def without_members(options: Mapping[str, Any]) -> dict[str, Any]:
    """Options that do not say which robots or objects there are."""
    return {name: value for name, value in options.items() if name not in (MEMBERS, MEMBER)}


def merged(env_id: str, options: Mapping[str, Any], others: Mapping[str, Any]) -> dict[str, Any]:
    """Options with others that win, also over those arguments of the task that name members in another way."""
    names = task_class(ENVIRONMENTS[env_id].task).fleet_arguments if env_id in ENVIRONMENTS else ()
    dropped = names if set(names) & set(others) else ()
    return {**{name: value for name, value in options.items() if name not in dropped}, **others}


def rows_of_members(env: VecEnv) -> dict[str, list[int]]:
    """Indices of the environments of each member within a vector environment; empty without a fleet."""
    rows: dict[str, list[int]] = {}
    for i, name in enumerate(getattr(env.unwrapped, MEMBERS, ())):
        rows.setdefault(name, []).append(i)
    return rows


def _single(env_id: str, options: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Options of one member alone."""
    if ENVIRONMENTS[env_id].members is not None:  # the id stands for all of them until one is named
        return {**options, MEMBER: name}
    own = fleet(env_id, options)[name]
    return {**without_members(options), **(own if isinstance(own, Mapping) else {})}


def _options(config: Config, evaluation: bool) -> dict[str, Any]:
    return {**config.env_kwargs, **(config.eval_env_kwargs if evaluation else {})}
