"""Play a model in environments other than the one it was trained in: other bodies with equal spaces."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from typing import Any, Literal

import gymnasium
from stable_baselines3.common.base_class import BaseAlgorithm

from eqrl.envs.core.equal_spaces import first_difference
from eqrl.envs.registration import ENVIRONMENTS, task_class
from eqrl.errors import UsageError
from eqrl.evaluation.protocol import ZeroShot
from eqrl.runs.config import Config
from eqrl.runs.environments import check_environment_id, make_env
from eqrl.runs.fleets import merged, without_members
from eqrl.runs.zero_shot import evaluate_model
from eqrl.symmetry import UntypedSpaceError, representation_of


def in_environment(
    model: BaseAlgorithm, config: Config, env_id: str | None = None, env_kwargs: Mapping[str, Any] | None = None
) -> Config:
    """The configuration that plays a model in another environment.

    Args:
        model: the model.
        config: the configuration that it was trained with. Its options stay if the other environment has the same task,
            but for those that name members.
        env_id: the other environment; None for the same one with other options.
        env_kwargs: options that win over the configuration's.

    Raises:
        UsageError: for an unknown environment or option, or naming the first difference of the spaces.
    """
    if env_id is None and not env_kwargs:
        return config
    options = {**config.env_kwargs, **config.eval_env_kwargs}
    if env_id is not None:
        check_environment_id(env_id)
        options = {**_shared(env_id, config.env), **without_members(options)} if _same_task(env_id, config.env) else {}
    options = merged(env_id or config.env, options, env_kwargs or {})
    other = config.replace(env=env_id or config.env, env_kwargs=options, eval_env_kwargs={})
    with closing(make_env(other, 1, evaluation=True)) as env:
        for what in ("observation", "action"):
            ours, theirs = (getattr(owner, f"{what}_space") for owner in (model, env))
            if (difference := _difference(ours, theirs)) is not None:
                raise UsageError(
                    f"environment {other.env} does not fit the model, which was trained in {config.env}: its {what}"
                    f" space {difference}"
                )
    return other


def evaluate_unseen(
    model: BaseAlgorithm,
    config: Config,
    *,
    rotations: int,
    episodes: int,
    protocol: Literal["scene", "goal"],
    seed: int = 10_000,
) -> ZeroShot:
    """Play the unseen bodies that belong to the environment of a model; arguments as of :func:`evaluate_model`.

    Raises:
        UsageError: if the environment names none, or one does not fit the model.
    """
    registered = ENVIRONMENTS.get(config.env)
    if registered is None or not registered.unseen:
        raise UsageError(f"environment {config.env} names no unseen bodies; give one environment with --env ID")
    others = {env_id: in_environment(model, config, env_id) for env_id in registered.unseen}
    return ZeroShot.of_members(
        {
            env_id: evaluate_model(model, other, rotations=rotations, episodes=episodes, protocol=protocol, seed=seed)
            for env_id, other in others.items()
        }
    )


def _same_task(env_id: str, other_id: str) -> bool:
    tasks = [task_class(ENVIRONMENTS[one].task) for one in (env_id, other_id) if one in ENVIRONMENTS]
    return env_id == other_id or (len(tasks) == 2 and tasks[0] is tasks[1])


def _shared(env_id: str, trained: str) -> dict[str, Any]:
    """What the registration of the trained environment says and that of the other one leaves open, such as slots."""
    if env_id == trained or trained not in ENVIRONMENTS:
        return {}
    theirs = ENVIRONMENTS[env_id].kwargs
    return {name: value for name, value in ENVIRONMENTS[trained].kwargs.items() if name not in theirs}


def _difference(ours: gymnasium.Space[Any], theirs: gymnasium.Space[Any]) -> str | None:
    if ours == theirs:
        return None
    try:
        for space in (ours, theirs):
            representation_of(space)
    except UntypedSpaceError:
        return f"is {theirs}, not {ours}"
    difference: str | None = first_difference(ours, theirs)  # type: ignore[arg-type]
    return difference
