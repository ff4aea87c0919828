"""Resolve a configuration: fill in the preset and every default that depends on other options."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Any

from eqrl.agents import preset as preset_of
from eqrl.declare import WithSymmetry
from eqrl.errors import UsageError, one_line, suggestion
from eqrl.nn import BACKBONES
from eqrl.runs.config import STOCK_POLICY, Config
from eqrl.runs.environments import check_environment_id, check_render_mode, is_typed, single, typed_env
from eqrl.runs.packages import import_packages
from eqrl.symmetry import TRIVIAL, representation_of
from eqrl.tracking import check_tracker

_FALLBACK: Mapping[str, Any] = {"n_timesteps": 1_000_000, "n_envs": 1, "network": "frame"}


def resolve(config: Config) -> Config:
    """Fill in the preset and every default that depends on other options; draw the seed if it is negative.

    Raises:
        UsageError: if the environment or the network is unknown.
    """
    import_packages(config.gym_packages)
    if config.track != "off":
        check_tracker(config.track)
    check_environment_id(config.env)
    with one_line(f"preset of {config.algo} on {config.env}"):
        preset = _as_options(preset_of(config.algo, config.env))
    if config.network == STOCK_POLICY:
        preset["policy_kwargs"] = _for_stock_policy(preset["policy_kwargs"])
    if config.network is None and not config.env.startswith("eqrl/"):
        preset["network"] = _network_for(config, preset)
    config = config.with_preset(preset).with_preset(_FALLBACK)
    _check_network(str(config.network))
    steps = config.n_timesteps or 1
    return config.replace(
        seed=config.seed if config.seed >= 0 else secrets.randbelow(2**31),
        eval_freq=max(steps // 10, 1) if config.eval_freq is None else config.eval_freq,
        save_freq=max(steps // 20, 1) if config.save_freq is None else config.save_freq,
    )


def _network_for(config: Config, preset: Mapping[str, Any]) -> str:
    """The network for a third-party environment.

    The preset's, or ``regular`` if its symmetry only permutes parts of a body.

    Raises:
        UsageError: if the environment was typed from outside and has no symmetry.
    """
    usual = str(preset.get("network", _FALLBACK["network"]))
    check_render_mode(config.env_kwargs)
    with single(config, config.env_kwargs) as env:
        if is_typed(env):
            return usual
        typed = typed_env(env, config.env, config.approximate)
    group = representation_of(typed.observation_space).group
    if group == TRIVIAL:
        notes = typed.types.notes if isinstance(typed, WithSymmetry) else ()
        raise UsageError(
            f"environment {config.env} has no symmetry that a network could keep{''.join(f'; {n}' for n in notes)};"
            " --network mlp trains without one, and docs/your_environment.md shows how to declare one"
        )
    only_relabels = group.world_part().generators == () and config.group == "auto"
    return "regular" if only_relabels else usual


def _as_options(preset: Mapping[str, Any]) -> dict[str, Any]:
    """A preset with eqrl's option names: the policy class follows from the algorithm, and the network is an option."""
    options = {name: value for name, value in preset.items() if name != "policy"}
    kwargs = dict(options.get("policy_kwargs") or {})
    options.update({name: kwargs.pop(name) for name in ("network", "group") if name in kwargs})
    return {**options, "policy_kwargs": kwargs}


def _for_stock_policy(kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """The preset for SB3's stock policy.

    The same widths and noise, without the arguments that only eqrl's policies take.
    """
    stock_kwargs = {name: value for name, value in kwargs.items() if name == "log_std_init"}
    hidden = (kwargs.get("network_kwargs") or {}).get("hidden")
    return {**stock_kwargs, "net_arch": list(hidden)} if hidden else stock_kwargs


def _check_network(name: str) -> None:
    known = {*BACKBONES, STOCK_POLICY}
    if name not in known:
        raise UsageError(f"unknown network {name!r}; {suggestion(name, known)}")
