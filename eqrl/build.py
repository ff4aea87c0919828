"""From a configuration to environments and models; whatever does not fit is refused before any work is done."""

from __future__ import annotations

import difflib
import importlib
import inspect
import secrets
import sys
import warnings
from collections.abc import Iterable, Mapping
from contextlib import closing
from functools import partial
from typing import Any

import gymnasium
import numpy as np
import torch
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import DummyVecEnv, VecEnv

import eqrl
from eqrl.config import STOCK_POLICY, Config
from eqrl.declare import DeclarationError, SymmetryWarning, WithSymmetry
from eqrl.declare.layout import CannotTypeError
from eqrl.envs.divergence import OnDivergence, watched
from eqrl.errors import UsageError, suggestion
from eqrl.hints import argument_hint, known_arguments, one_line
from eqrl.hyperparams import ALGORITHMS, algorithm_arguments, normalised_rewards
from eqrl.symmetry import TRIVIAL, UntypedSpaceError, representation_of
from eqrl.values import fitting

_POLICIES = {"ppo": "EquivariantPolicy", "sac": "EquivariantSACPolicy", "td3": "EquivariantTD3Policy"}
_WITH_MIRROR_LOSS = {"ppo": "MirrorLossPPO", "sac": "MirrorLossSAC", "td3": "MirrorLossTD3"}
_WIDEST = 16_384
_FALLBACK: Mapping[str, Any] = {"n_timesteps": 1_000_000, "n_envs": 1, "network": "frame"}


def resolve(config: Config) -> Config:
    """Fill in the preset and every default that depends on other options; draw the seed if it is negative.

    Raises:
        UsageError: if the environment or the network is unknown.
    """
    import_packages(config.gym_packages)
    check_environment_id(config.env)
    with one_line(f"preset of {config.algo} on {config.env}"):
        preset = _as_options(importlib.import_module("eqrl.agents").preset(config.algo, config.env))
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


def make_env(
    config: Config, n_envs: int | None = None, seed: int | None = None, *, evaluation: bool = False, **kwargs: Any
) -> VecEnv:
    """The vector environment of a run.

    Args:
        config: a resolved configuration.
        n_envs: number of environments, the configuration's by default.
        seed: environment ``i`` gets ``seed + i``.
        evaluation: apply ``eval_env_kwargs`` and leave out what only training uses (normalised rewards, augmentation).
        kwargs: options of the environment that win over the configuration's.

    Raises:
        UsageError: if the environment refuses an option.
    """
    options = {**config.env_kwargs, **(config.eval_env_kwargs if evaluation else {}), **kwargs}
    _check_render_mode(options)
    # an evaluation never stops a training: its diverged episode has ended, and failed
    on_divergence: OnDivergence = "reset" if evaluation else config.on_divergence
    n_envs = n_envs or config.n_envs or 1
    check_environment_id(config.env)
    with one_line(f"environment {config.env}", repair=lambda text: _argument_hint(text, config.env)):
        if config.env.startswith("eqrl/") and (evaluation or config.vec_env == "auto"):
            env: VecEnv = eqrl.make_vec(
                config.env, n_envs, seed=seed, n_threads=config.num_threads or 0, **{"on_divergence": on_divergence, **options}
            )
        else:
            typing = _needs_types(config)
            env = DummyVecEnv(
                [partial(_single, config.env, _member(options, i), on_divergence, i, typing) for i in range(n_envs)]
            )
            env.seed(seed)
    if config.augment and not evaluation:
        with one_line("--augment"):
            env = importlib.import_module("eqrl.agents").RandomRotation(env)
    # outermost: SB3 takes the observations of a replay buffer from this wrapper
    return env if evaluation else normalised_rewards(config, env)


def _check_render_mode(options: Mapping[str, Any]) -> None:
    """Gymnasium takes the user's word for it."""
    if not isinstance(options.get("render_mode"), str | None):
        raise UsageError(
            f"environment option 'render_mode': {options['render_mode']!r} is not the name of a mode; give rgb_array"
        )


def make_model(config: Config, env: VecEnv) -> BaseAlgorithm:
    """The model of a run, with fresh parameters.

    Raises:
        UsageError: for an unknown hyperparameter, an untyped space, bounds that are not a ball, ...
    """
    algorithm = ALGORITHMS[config.algo]
    kwargs = _named_optimizer(dict(config.policy_kwargs))
    if config.network == STOCK_POLICY:
        policy: Any = "MultiInputPolicy" if isinstance(env.observation_space, gymnasium.spaces.Dict) else STOCK_POLICY
        kwargs = _named_activation(kwargs)
    else:
        policy = getattr(importlib.import_module("eqrl.agents"), _POLICIES[config.algo])
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
    if config.mirror_loss > 0.0:
        algorithm = getattr(importlib.import_module("eqrl.agents"), _WITH_MIRROR_LOSS[config.algo])
        hyperparams["mirror_coef"] = config.mirror_loss
        hyperparams["mirror_group"] = None if config.group in ("auto", "full") else config.group
    try:
        torch.empty(0, device="cpu" if config.device == "auto" else config.device)
    except (RuntimeError, AssertionError) as error:
        raise UsageError(f"option 'device': {config.device!r} cannot be used here: {str(error).splitlines()[0]}") from None
    with one_line(f"{config.algo} with network {config.network} on {config.env}"):
        model = algorithm(policy, env, seed=config.seed, device=config.device, policy_kwargs=kwargs, **hyperparams)
    # a rollout buffer that evaluates the policy has to be told of it
    if (bind := getattr(getattr(model, "rollout_buffer", None), "bind", None)) is not None:
        bind(model.policy)
    return model


def import_packages(names: Iterable[str] | None) -> None:
    """Import packages that register environments.

    Raises:
        UsageError: if one cannot be imported.
    """
    for name in names or ():
        try:
            importlib.import_module(name)
        except ImportError as error:
            raise UsageError(f"package {name!r} of --gym-packages cannot be imported: {error}") from None


def refuse_imports(names: Iterable[str] | None, source: str) -> None:
    """Refuse packages that a file asks to be imported: that would run code because a file says so.

    Args:
        names: packages; those that are imported already are no matter.
        source: the file.

    Raises:
        UsageError: with what to give on the command line.
    """
    missing = [name for name in names or () if name not in sys.modules]
    if missing:
        raise UsageError(
            f"{source} asks to import {', '.join(missing)}, which would run code because a file says so; "
            f"if you trust it, give --gym-packages {' '.join(missing)}"
        )


def check_environment_id(env_id: str) -> None:
    """Refuse an id that Gymnasium does not know.

    Raises:
        UsageError: naming the closest id.
    """
    if env_id not in gymnasium.registry:
        close = difflib.get_close_matches(env_id, gymnasium.registry, n=1, cutoff=0.7)
        raise UsageError(
            f"unknown environment {env_id!r}; {suggestion(env_id, close or eqrl.ENVIRONMENTS)} "
            "(an environment of another package needs --gym-packages PACKAGE)"
        )


def _refuse_huge(value: Any, name: str) -> None:
    """Refuse layers that no memory holds: the system would kill the process instead of telling."""
    if isinstance(value, Mapping):
        for key, entry in value.items():
            _refuse_huge(entry, f"{name}.{key}")
    elif isinstance(value, list | tuple):
        for entry in value:
            _refuse_huge(entry, name)
    elif isinstance(value, int) and value > _WIDEST:
        raise UsageError(f"option {name!r}: {value:,} is too large, give at most {_WIDEST:,}")


def turnable(config: Config) -> bool:
    """Whether rotations of the scene can be asked for; not of an environment that was typed from outside and has no such option."""
    if config.env.startswith("eqrl/"):
        return True
    options = _member({**config.env_kwargs, **config.eval_env_kwargs}, 0)
    with one_line(f"environment {config.env}", repair=lambda text: _argument_hint(text, config.env)):
        with closing(gymnasium.make(config.env, **options)) as env:
            if _is_typed(env):
                return True
        try:
            gymnasium.make(config.env, **options, scene_rotation=0.0).close()
        except TypeError:
            return False
    return True


def _network_for(config: Config, preset: Mapping[str, Any]) -> str:
    """The network for another's environment: the preset's, or ``regular`` where all symmetry relabels a body.

    Raises:
        UsageError: if the environment was typed from outside and has no symmetry.
    """
    usual = str(preset.get("network", _FALLBACK["network"]))
    _check_render_mode(config.env_kwargs)
    with (
        one_line(f"environment {config.env}", repair=lambda text: _argument_hint(text, config.env)),
        closing(gymnasium.make(config.env, **_member(config.env_kwargs, 0))) as env,
    ):
        if _is_typed(env):
            return usual
        typed = _typed(env, config.env)
    group = representation_of(typed.observation_space).group
    if group == TRIVIAL:
        notes = typed.types.notes if isinstance(typed, WithSymmetry) else ()
        raise UsageError(
            f"environment {config.env} has no symmetry that a network could keep{''.join(f'; {n}' for n in notes)}; --network mlp "
            "trains without one, and docs/your_environment.md shows how to declare one"
        )
    only_relabels = group.world_part().generators == () and config.group == "auto"
    return "regular" if only_relabels else usual


def _needs_types(config: Config) -> bool:
    return config.network != STOCK_POLICY or config.augment or config.mirror_loss > 0.0


def _single(
    env_id: str, options: Mapping[str, Any], on_divergence: OnDivergence, member: int, typing: bool
) -> gymnasium.Env[Any, Any]:
    env = gymnasium.make(env_id, **options)
    return Monitor(watched(_typed(env, env_id) if typing else env, on_divergence, member))


def _is_typed(env: gymnasium.Env[Any, Any]) -> bool:
    try:
        representation_of(env.observation_space)
    except UntypedSpaceError:
        return False
    return True


def _typed(env: gymnasium.Env[Any, Any], env_id: str) -> gymnasium.Env[Any, Any]:
    """The environment with spaces that say how they turn: its own, or what ``with_symmetry`` knows or derives.

    Raises:
        UsageError: if it cannot be typed without a declaration.
    """
    if _is_typed(env):
        return env
    if not isinstance(env.action_space, gymnasium.spaces.Box):
        raise UsageError(
            f"environment {env_id} has actions {env.action_space}, and equivariant policies need a Box of numbers; "
            f"--network {STOCK_POLICY} trains Stable-Baselines3's own policy"
        )
    try:
        with warnings.catch_warnings():
            # that there is none is told where a network needs one
            warnings.simplefilter("ignore", SymmetryWarning)
            return eqrl.with_symmetry(env)
    except (DeclarationError, CannotTypeError) as error:
        raise UsageError(
            f"environment {env_id} cannot be typed without a declaration: {error}; register an environment that is wrapped in "
            "eqrl.with_symmetry with its fields, as docs/your_environment.md shows"
        ) from None


def _member(options: Mapping[str, Any], i: int) -> dict[str, Any]:
    """Options of one member of a batch, where an array holds one number for each."""
    return {k: v[i].item() if isinstance(v, np.ndarray) else v for k, v in options.items()}


def _as_options(preset: Mapping[str, Any]) -> dict[str, Any]:
    """A preset with the names of our options: the policy class follows from the algorithm, the network is an option."""
    options = {name: value for name, value in preset.items() if name != "policy"}
    kwargs = dict(options.get("policy_kwargs") or {})
    options.update({name: kwargs.pop(name) for name in ("network", "group") if name in kwargs})
    return {**options, "policy_kwargs": kwargs}


def _for_stock_policy(kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """The preset for SB3's own policy: the same widths and noise, and none of the arguments that only ours take."""
    kept = {name: value for name, value in kwargs.items() if name == "log_std_init"}
    hidden = (kwargs.get("network_kwargs") or {}).get("hidden")
    return {**kept, "net_arch": list(hidden)} if hidden else kept


def _named_activation(kwargs: dict[str, Any]) -> dict[str, Any]:
    """The arguments of SB3's own policy, with the activation that a name stands for."""
    if not isinstance(name := kwargs.get("activation_fn"), str):
        return kwargs
    with one_line("policy_kwargs"):
        return {**kwargs, "activation_fn": importlib.import_module("eqrl.agents.stock_options").activation_named(name)}


def _named_optimizer(kwargs: dict[str, Any]) -> dict[str, Any]:
    """The arguments of a policy, with the optimizer of PyTorch that a name stands for."""
    if not isinstance(name := kwargs.get("optimizer_class"), str):
        return kwargs
    known = {kind.__name__: kind for kind in vars(torch.optim).values() if inspect.isclass(kind)}
    if name not in known:
        raise UsageError(f"policy_kwargs: unknown optimizer_class {name!r}; {suggestion(name, known)}")
    return {**kwargs, "optimizer_class": known[name]}


def _check_network(name: str) -> None:
    known = {*importlib.import_module("eqrl.nn").BACKBONES, STOCK_POLICY}
    if name not in known:
        raise UsageError(f"unknown network {name!r}; {suggestion(name, known)}")


def _argument_hint(text: str, env_id: str) -> str:
    """Add the closest known option to Python's message about an unexpected one."""
    known = {"scene_rotation", "goal_rotation", "max_episode_steps"} if env_id.startswith("eqrl/") else set()
    creator: Any = gymnasium.spec(env_id).entry_point
    if isinstance(creator, str):
        creator = gymnasium.envs.registration.load_env_creator(creator)
    known |= known_arguments(creator, getattr(creator, "task_class", None))
    return argument_hint(text, known - {"render_mode", "width", "height"})
