"""Buffers of a run: their classes by name, and their options, checked before SB3 receives them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, get_type_hints

from gymnasium import spaces
from stable_baselines3 import HerReplayBuffer
from stable_baselines3.common.buffers import DictReplayBuffer, DictRolloutBuffer, ReplayBuffer, RolloutBuffer
from stable_baselines3.common.vec_env import VecEnv
from stable_baselines3.her.goal_selection_strategy import KEY_TO_GOAL_STRATEGY

from eqrl import agents
from eqrl.errors import UsageError, known_arguments, one_line, suggestion
from eqrl.runs.fleets import rows_of_members
from eqrl.runs.ranges import check_value
from eqrl.runs.values import fitting

# classes of eqrl.agents, except HerReplayBuffer, which is SB3's
BUFFERS: Mapping[str, tuple[str, ...]] = {
    "replay_buffer_class": (
        "HerReplayBuffer",
        "SymmetricReplayBuffer",
        "SymmetricDictReplayBuffer",
        "SymmetricHerReplayBuffer",
    ),
    "rollout_buffer_class": ("SymmetricRolloutBuffer", "SymmetricDictRolloutBuffer"),
}
_GIVEN_BY_SB3 = {
    "buffer_size",
    "observation_space",
    "action_space",
    "env",
    "device",
    "n_envs",
    "optimize_memory_usage",
    "gamma",
    "gae_lambda",
}


def buffer_named(name: str, value: Any) -> type | None:
    """The class of a buffer, or None for SB3's default for the observation space.

    Args:
        name: the hyperparameter, a key of ``BUFFERS``.
        value: name of the class, or None.

    Raises:
        UsageError: for an unknown name; the message offers the closest one.
    """
    if value is None:
        return None
    if value not in BUFFERS[name]:
        raise UsageError(f"hyperparameter {name!r}: {value!r} is unknown; {suggestion(str(value), BUFFERS[name])}")
    kind: type = HerReplayBuffer if value == "HerReplayBuffer" else getattr(agents, value)
    return kind


def check_buffer(arguments: dict[str, Any], env: VecEnv) -> None:
    """Check the options of the buffers and convert them to their types.

    Args:
        arguments: arguments of an algorithm, with buffer classes instead of their names; modified in place.
        env: the environment of the run.

    Raises:
        UsageError: for an unknown option, an impossible value, or hindsight replay without goals.
    """
    dicts = isinstance(env.observation_space, spaces.Dict)
    for kind, default in (
        ("replay_buffer", DictReplayBuffer if dicts else ReplayBuffer),
        ("rollout_buffer", DictRolloutBuffer if dicts else RolloutBuffer),
    ):
        buffer, options = arguments.get(f"{kind}_class") or default, arguments.get(f"{kind}_kwargs")
        if issubclass(buffer, HerReplayBuffer):
            _refuse_without_goals(buffer, env)
            if rows_of_members(env):
                options = arguments[f"{kind}_kwargs"] = _with_infos(options)
        # if not, the buffer raises its own error
        fits = issubclass(buffer, DictReplayBuffer | DictRolloutBuffer) == dicts
        if options and fits:
            arguments[f"{kind}_kwargs"] = _checked(f"{kind}_kwargs", options, buffer)


def _checked(name: str, options: Mapping[str, Any], buffer: type) -> dict[str, Any]:
    """Options of a buffer, converted to the types that its constructors annotate."""
    known = known_arguments(buffer) - _GIVEN_BY_SB3
    types_of: dict[str, Any] = {}
    for base in reversed(buffer.__mro__):
        if "__init__" in vars(base) and base is not object:
            types_of |= get_type_hints(vars(base)["__init__"])
    checked = {}
    for option, value in options.items():
        if option not in known:
            raise UsageError(
                f"hyperparameter {name!r}: {buffer.__name__} has no option {option!r}; {suggestion(option, known)}"
            )
        with one_line(f"hyperparameter {name!r}, option {option!r}"):
            checked[option] = fitting(value, types_of.get(option))
        check_value(f"{name}.{option}", checked[option])
        if option == "goal_selection_strategy" and str(value).lower() not in KEY_TO_GOAL_STRATEGY:
            raise UsageError(
                f"hyperparameter {name!r}, option {option!r}: {value!r}; {suggestion(str(value), KEY_TO_GOAL_STRATEGY)}"
            )
    return checked


def _with_infos(options: Mapping[str, Any] | None) -> dict[str, Any]:
    """Make hindsight replay pass ``info`` to the environment: in a fleet the reward depends on the member it names.

    Raises:
        UsageError: if the options forbid it.
    """
    if options and not options.get("copy_info_dict", True):
        raise UsageError(
            "hyperparameter 'replay_buffer_kwargs', option 'copy_info_dict': False hides from a fleet which member a"
            " transition is of, and the reward depends on it; leave it out"
        )
    return {**(options or {}), "copy_info_dict": True}


def _refuse_without_goals(buffer: type, env: VecEnv) -> None:
    goals = {"observation", "achieved_goal", "desired_goal"}
    if not goals <= set(getattr(env.observation_space, "spaces", ())):
        raise UsageError(
            f"hyperparameter 'replay_buffer_class': {buffer.__name__} needs an environment with goals, whose"
            f" observations are a Dict of {', '.join(sorted(goals))}; leave it out"
        )
