"""Build a model from a configuration; anything that does not fit is refused before any work is done."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

import gymnasium
import torch
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.vec_env import VecEnv

from eqrl.agents import (
    EquivariantPolicy,
    EquivariantSACPolicy,
    EquivariantTD3Policy,
    SymmetryPrior,
    make_prior,
)
from eqrl.agents.soft import remark_missing_prior
from eqrl.agents.stock_options import activation_named
from eqrl.errors import UsageError, one_line, suggestion
from eqrl.runs.algorithms import ALGORITHMS
from eqrl.runs.config import STOCK_POLICY, Config
from eqrl.runs.hyperparams import algorithm_arguments
from eqrl.runs.values import ConversionError, fitting, parse_name

_POLICIES: Mapping[str, Any] = {"ppo": EquivariantPolicy, "sac": EquivariantSACPolicy, "td3": EquivariantTD3Policy}
_WIDEST = 16_384


def make_model(config: Config, env: VecEnv) -> BaseAlgorithm:
    """The model of a run, with fresh parameters.

    Raises:
        UsageError: if something does not fit, such as an unknown hyperparameter, an untyped space or a box that is not
            a ball.
    """
    algorithm = ALGORITHMS[config.algo]
    kwargs = _named_optimizer(dict(config.policy_kwargs))
    if config.network == STOCK_POLICY:
        policy: Any = "MultiInputPolicy" if isinstance(env.observation_space, gymnasium.spaces.Dict) else STOCK_POLICY
        kwargs = _named_activation(kwargs)
    else:
        policy = _POLICIES[config.algo]
        known = policy.options()
        types_of = policy.option_types()
        for name, value in kwargs.items():
            if name not in known:
                raise UsageError(f"the policy has no option {name!r}; {suggestion(name, known)}")
            with one_line(f"option {name!r} of the policy"):
                kwargs[name] = fitting(value, types_of.get(name))
        kwargs = {"network": config.network, "group": config.group, **kwargs}
    _refuse_huge(kwargs, "policy_kwargs")
    hyperparams = algorithm_arguments(config, env)
    priors = _priors(config)
    try:
        torch.empty(0, device="cpu" if config.device == "auto" else config.device)
    except (RuntimeError, AssertionError) as error:
        raise UsageError(
            f"option 'device': {config.device!r} cannot be used here: {str(error).splitlines()[0]}"
        ) from None
    with one_line(f"{config.algo} with network {config.network} on {config.env}"):
        model = algorithm(policy, env, seed=config.seed, device=config.device, policy_kwargs=kwargs, **hyperparams)
        for prior in priors:
            prior.attach(model)
    remark_missing_prior(model)
    # a rollout buffer that evaluates the policy needs a reference to it
    if (bind := getattr(getattr(model, "rollout_buffer", None), "bind", None)) is not None:
        bind(model.policy)
    return model


def _priors(config: Config) -> list[SymmetryPrior]:
    """The priors of a run, for the group of the policy if they name none."""
    try:
        named = list(map(parse_name, config.prior or ()))
    except ConversionError as error:
        raise UsageError(f"option 'prior': {error}") from None
    if config.mirror_loss > 0.0:
        named.insert(0, ("mirror_loss", {"strength": config.mirror_loss}))
    group = {} if config.group in ("auto", "full") else {"group": config.group}
    with one_line("option 'prior'"):
        return [make_prior(name, **{**group, **options}) for name, options in named]


def _named_activation(kwargs: dict[str, Any]) -> dict[str, Any]:
    """Arguments of SB3's policy, with the name of an activation replaced by its class."""
    if not isinstance(name := kwargs.get("activation_fn"), str):
        return kwargs
    with one_line("policy_kwargs"):
        return {**kwargs, "activation_fn": activation_named(name)}


def _named_optimizer(kwargs: dict[str, Any]) -> dict[str, Any]:
    """Arguments of a policy, with the name of an optimizer of PyTorch replaced by its class."""
    if not isinstance(name := kwargs.get("optimizer_class"), str):
        return kwargs
    known = {kind.__name__: kind for kind in vars(torch.optim).values() if inspect.isclass(kind)}
    if name not in known:
        raise UsageError(f"policy_kwargs: unknown optimizer_class {name!r}; {suggestion(name, known)}")
    return {**kwargs, "optimizer_class": known[name]}


def _refuse_huge(value: Any, name: str) -> None:
    """Refuse layers that fit into no memory, because the system would kill the process without a message."""
    if isinstance(value, Mapping):
        for key, entry in value.items():
            _refuse_huge(entry, f"{name}.{key}")
    elif isinstance(value, list | tuple):
        for entry in value:
            _refuse_huge(entry, name)
    elif isinstance(value, int) and value > _WIDEST:
        raise UsageError(f"option {name!r}: {value:,} is too large, give at most {_WIDEST:,}")
