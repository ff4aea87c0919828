"""Build environments from a configuration."""

from __future__ import annotations

import difflib
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from functools import partial
from typing import Any

import gymnasium
import numpy as np
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import DummyVecEnv, VecEnv

from eqrl.agents import RandomRotation
from eqrl.declare import DeclarationError, SymmetryWarning, with_symmetry
from eqrl.declare.layout import CannotTypeError
from eqrl.engines import ray
from eqrl.envs.core.divergence import OnDivergence, watched
from eqrl.envs.registration import ENVIRONMENTS, make_vec, task_class
from eqrl.errors import UsageError, argument_hint, known_arguments, one_line, suggestion
from eqrl.runs.config import STOCK_POLICY, Config
from eqrl.runs.fleets import first_member, in_order, members_of
from eqrl.runs.hyperparams import normalised_rewards
from eqrl.symmetry import UntypedSpaceError, representation_of


def make_env(
    config: Config, n_envs: int | None = None, seed: int | None = None, *, evaluation: bool = False, **kwargs: Any
) -> VecEnv:
    """The vector environment of a run.

    Args:
        config: a resolved configuration.
        n_envs: number of environments, at least one for each member of a fleet; by default that of the configuration.
        seed: environment ``i`` gets ``seed + i``.
        evaluation: apply ``eval_env_kwargs``, and leave out normalised rewards and augmentation, which only training
            uses.
        kwargs: options of the environment that win over the configuration's.

    Raises:
        UsageError: if the environment refuses an option.
    """
    options = in_order(config.env, {**config.env_kwargs, **(config.eval_env_kwargs if evaluation else {}), **kwargs})
    check_render_mode(options)
    # an evaluation never stops a training: an episode that diverges ends and counts as failed
    on_divergence: OnDivergence = "reset" if evaluation else config.on_divergence
    n_envs = max(n_envs, len(members_of(config, evaluation=evaluation))) if n_envs else config.n_envs or 1
    check_environment_id(config.env)
    with one_line(f"environment {config.env}", repair=lambda text: _argument_hint(text, config.env)):
        if config.vec_env == "ray" and config.env not in ENVIRONMENTS:
            raise UsageError(
                "option 'vec_env': ray shares out eqrl's own environments, and this one is another's; leave it out"
            )
        if config.env in ENVIRONMENTS and (evaluation or config.vec_env != "dummy"):
            on_ray = config.vec_env == "ray" and not evaluation
            make: Callable[..., VecEnv] = partial(ray.make_vec, shards=config.shards) if on_ray else make_vec
            env = make(
                config.env,
                n_envs,
                seed=seed,
                n_threads=config.num_threads or 0,
                **{"on_divergence": on_divergence, **options},
            )
        else:
            env = DummyVecEnv([partial(_single, config, _member(options, i), on_divergence, i) for i in range(n_envs)])
            env.seed(seed)
    if config.augment and not evaluation:
        with one_line("--augment"):
            env = RandomRotation(env)
    # outermost: SB3 takes the observations of a replay buffer from this wrapper
    return env if evaluation else normalised_rewards(config, env)


@contextmanager
def single(config: Config, options: Mapping[str, Any]) -> Iterator[gymnasium.Env[Any, Any]]:
    """A single environment of a configuration, for inspection; it is closed on exit. Of a fleet it is the first member.

    Args:
        config: names the environment.
        options: options of the environment; of an array with a number for each member, the first is taken.

    Raises:
        UsageError: if the environment refuses an option.
    """
    with (
        one_line(f"environment {config.env}", repair=lambda text: _argument_hint(text, config.env)),
        closing(gymnasium.make(config.env, **_member(first_member(config.env, options), 0))) as env,
    ):
        yield env


def turnable(config: Config) -> bool:
    """Whether the scene can be rotated: an environment that was typed from outside may have no option for it."""
    if config.env in ENVIRONMENTS:
        return True
    options = _member({**config.env_kwargs, **config.eval_env_kwargs}, 0)
    with one_line(f"environment {config.env}", repair=lambda text: _argument_hint(text, config.env)):
        with closing(gymnasium.make(config.env, **options)) as env:
            if is_typed(env):
                return True
        try:
            gymnasium.make(config.env, **options, scene_rotation=0.0).close()
        except TypeError:
            return False
    return True


def check_environment_id(env_id: str) -> None:
    """Refuse an id that Gymnasium does not know.

    Raises:
        UsageError: naming the closest id.
    """
    if env_id not in gymnasium.registry:
        close = difflib.get_close_matches(env_id, gymnasium.registry, n=1, cutoff=0.7)
        raise UsageError(
            f"unknown environment {env_id!r}; {suggestion(env_id, close or ENVIRONMENTS)} "
            "(an environment of another package needs --gym-packages PACKAGE)"
        )


def check_render_mode(options: Mapping[str, Any]) -> None:
    """Refuse a ``render_mode`` that is not a string, because Gymnasium does not check it.

    Raises:
        UsageError: naming the value.
    """
    if not isinstance(options.get("render_mode"), str | None):
        raise UsageError(
            f"environment option 'render_mode': {options['render_mode']!r} is not the name of a mode; give rgb_array"
        )


def _needs_types(config: Config) -> bool:
    return config.network != STOCK_POLICY or config.augment or config.mirror_loss > 0.0 or bool(config.prior)


def _single(
    config: Config, options: Mapping[str, Any], on_divergence: OnDivergence, member: int
) -> gymnasium.Env[Any, Any]:
    env = gymnasium.make(config.env, **options)
    if _needs_types(config):
        env = typed_env(env, config.env, config.approximate)
    return Monitor(watched(env, on_divergence, member))


def is_typed(env: gymnasium.Env[Any, Any]) -> bool:
    """Whether the observations of an environment are typed, that is, declare how they transform."""
    try:
        representation_of(env.observation_space)
    except UntypedSpaceError:
        return False
    return True


def typed_env(env: gymnasium.Env[Any, Any], env_id: str, approximate: bool = False) -> gymnasium.Env[Any, Any]:
    """The environment with typed spaces: as it is, or with the types that ``with_symmetry`` knows or derives.

    Args:
        env: a single environment.
        env_id: its id, for messages.
        approximate: whether symmetries count that the model keeps only nearly.

    Raises:
        UsageError: if it cannot be typed without a declaration.
    """
    if is_typed(env):
        return env
    if not isinstance(env.action_space, gymnasium.spaces.Box):
        raise UsageError(
            f"environment {env_id} has actions {env.action_space}, and equivariant policies need a Box of numbers; "
            f"--network {STOCK_POLICY} trains Stable-Baselines3's own policy"
        )
    try:
        with warnings.catch_warnings():
            # a missing symmetry is reported where a network needs one
            warnings.simplefilter("ignore", SymmetryWarning)
            return with_symmetry(env, approximate=approximate)
    except (DeclarationError, CannotTypeError) as error:
        raise UsageError(
            f"environment {env_id} cannot be typed without a declaration: {error}; register an environment that is"
            " wrapped in eqrl.with_symmetry with its fields, as docs/your_environment.md shows"
        ) from None


def _member(options: Mapping[str, Any], i: int) -> dict[str, Any]:
    """Options of member ``i`` of a batch; an array holds one number for each member."""
    return {k: v[i].item() if isinstance(v, np.ndarray) else v for k, v in options.items()}


def _argument_hint(text: str, env_id: str) -> str:
    """Add the closest known option to Python's message about an unexpected one."""
    known = {"scene_rotation", "goal_rotation", "max_episode_steps"} if env_id in ENVIRONMENTS else set()
    creator: Any = gymnasium.spec(env_id).entry_point
    if isinstance(creator, str):
        creator = gymnasium.envs.registration.load_env_creator(creator)
    task = task_class(ENVIRONMENTS[env_id].task) if env_id in ENVIRONMENTS else None
    known |= known_arguments(creator, task)
    return argument_hint(text, known - {"render_mode", "width", "height", "task"})
