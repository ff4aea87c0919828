"""Fleets in a configuration: ``env_kwargs`` with a table ``members``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from stable_baselines3.common.vec_env import VecEnv

from eqrl.envs.registration import ENVIRONMENTS
from eqrl.runs.config import Config

MEMBERS = "members"


def in_order(env_id: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """Options with the members of a fleet sorted by name, because manifests do not keep the order of a table."""
    members = options.get(MEMBERS)
    if env_id not in ENVIRONMENTS or not isinstance(members, Mapping):
        return dict(options)
    return {**options, MEMBERS: {name: members[name] for name in sorted(members, key=str)}}


def first_member(env_id: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """Options of the environment that a fleet's first member is alone; without a fleet as they are."""
    options = in_order(env_id, options)
    members = options.get(MEMBERS)
    if env_id not in ENVIRONMENTS or not isinstance(members, Mapping) or not members:
        return options
    del options[MEMBERS]
    own = next(iter(members.values()))
    return {**options, **own} if isinstance(own, Mapping) else options


def members_of(config: Config, *, evaluation: bool = False) -> tuple[str, ...]:
    """Names of a fleet's members in the order of its environments; empty without a fleet.

    Args:
        config: names the environment.
        evaluation: apply ``eval_env_kwargs``, which may have other members.
    """
    members = in_order(config.env, _options(config, evaluation)).get(MEMBERS)
    return tuple(members) if config.env in ENVIRONMENTS and isinstance(members, Mapping) else ()


def member_options(config: Config, name: str) -> dict[str, Any]:
    """Options of the environment in which one member of a fleet is evaluated alone."""
    options = _options(config, evaluation=True)
    members = options.pop(MEMBERS)
    return {**options, **members[name]}


def alone(config: Config, name: str) -> Config:
    """The configuration that evaluates one member of a fleet as a separate environment."""
    return config.replace(env_kwargs=member_options(config, name), eval_env_kwargs={})


def rows_of_members(env: VecEnv) -> dict[str, list[int]]:
    """Indices of the environments of each member within a vector environment; empty without a fleet."""
    rows: dict[str, list[int]] = {}
    for i, name in enumerate(getattr(env.unwrapped, MEMBERS, ())):
        rows.setdefault(name, []).append(i)
    return rows


def _options(config: Config, evaluation: bool) -> dict[str, Any]:
    return {**config.env_kwargs, **(config.eval_env_kwargs if evaluation else {})}
