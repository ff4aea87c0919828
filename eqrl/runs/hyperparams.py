"""Convert the hyperparameters of a configuration to the arguments of an algorithm of Stable-Baselines3."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

import numpy as np
from stable_baselines3.common.noise import ActionNoise, NormalActionNoise
from stable_baselines3.common.vec_env import VecEnv, VecNormalize

from eqrl.agents import BallNoise, StatisticsByMember
from eqrl.errors import UsageError, one_line, suggestion
from eqrl.runs.algorithms import ALGORITHMS, OUTSIDE_THE_ALGORITHM, known_hyperparams
from eqrl.runs.buffers import BUFFERS, buffer_named, check_buffer
from eqrl.runs.config import STOCK_POLICY, Config
from eqrl.runs.fleets import MEMBERS
from eqrl.runs.ranges import check_value, train_frequency
from eqrl.runs.schedules import rate_or_schedule, schedule_callbacks
from eqrl.runs.values import convert, fitting

_NOISE = ("sigma", "limit")
_NORMALIZE = {"norm_obs": bool, "norm_reward": bool, "clip_reward": float, "gamma": float, "epsilon": float}


def algorithm_arguments(config: Config, env: VecEnv) -> dict[str, Any]:
    """Arguments of the algorithm's constructor.

    Raises:
        UsageError: for an unknown hyperparameter, or a value that has the wrong type or is not possible.
    """
    known = known_hyperparams(config.algo)
    parameters = inspect.signature(ALGORITHMS[config.algo].__init__).parameters
    arguments: dict[str, Any] = {}
    for name, value in config.hyperparams.items():
        if name not in known:
            raise UsageError(f"unknown hyperparameter {name!r} of {config.algo}; {suggestion(name, known)}")
        if name not in OUTSIDE_THE_ALGORITHM:
            arguments[name] = _argument(name, value, parameters[name].annotation)
            check_value(name, arguments[name])
    if "train_freq" in arguments:
        arguments["train_freq"] = train_frequency(arguments["train_freq"], env.num_envs)
    if not isinstance(noise := arguments.get("action_noise"), ActionNoise | None):
        arguments["action_noise"] = _action_noise(noise, config, env)
    check_buffer(arguments, env)
    schedule_callbacks(config)  # refused here, before any work is done
    return arguments


def normalised_rewards(config: Config, env: VecEnv) -> VecEnv:
    """The environment with rewards scaled by the running spread of returns, if ``normalize`` asks for it.

    A reward is the same in every rotated world, so scaling it keeps the symmetry. Observations are not changed. In a
    fleet, PPO scales by the returns of each member; replay buffers know one scale only.

    Raises:
        UsageError: if observations are to be normalised too: only the policy may do that.
    """
    value = config.hyperparams.get("normalize")
    if not value:
        return env
    fix = "give normalize:{norm_obs: false, norm_reward: true}, in quotes, for the rewards alone"
    if value is True or (isinstance(value, Mapping) and value.get("norm_obs")):
        if config.network == STOCK_POLICY:
            why = "would scale observations outside the policy, and a run folder keeps nothing that lies outside of it"
        else:
            why = (
                "would scale observations component by component, which breaks the symmetry; "
                "the policy normalises its observations itself"
            )
        raise UsageError(f"hyperparameter 'normalize' {why}; leave it out, or {fix}")
    if not isinstance(value, Mapping):
        raise UsageError(f"hyperparameter 'normalize': {value!r} is not a table of options; {fix}")
    options = {}
    for name, entry in value.items():
        if name not in _NORMALIZE:
            raise UsageError(f"hyperparameter 'normalize': no option {name!r}; {suggestion(name, _NORMALIZE)}")
        with one_line(f"hyperparameter 'normalize', option {name!r}"):
            options[name] = convert(entry, _NORMALIZE[name])
    default = inspect.signature(ALGORITHMS[config.algo].__init__).parameters["gamma"].default
    gamma = config.hyperparams.get("gamma", default)
    normalised = VecNormalize(env, **{"gamma": gamma, **options, "norm_obs": False})
    if (members := getattr(env.unwrapped, MEMBERS, ())) and config.algo == "ppo":
        normalised.ret_rms = StatisticsByMember(members)
    return normalised


def _argument(name: str, value: Any, hint: Any) -> Any:
    """The value of an argument.

    Schedules, pairs and classes from their names, everything else converted to its type.
    """
    if name in BUFFERS:
        return buffer_named(name, value)
    if name in ("learning_rate", "clip_range") and isinstance(value, str):
        schedule = rate_or_schedule(name, value)
        if schedule is not None:
            return schedule
    if name == "train_freq" and isinstance(value, list):
        return value
    with one_line(f"hyperparameter {name!r}"):
        return fitting(value, hint)


def _action_noise(options: Any, config: Config, env: VecEnv) -> ActionNoise:
    """Action noise from a table of its arguments."""
    if not isinstance(options, Mapping):
        raise UsageError(
            f"hyperparameter 'action_noise': {options!r} is not a table of options, give for instance {{sigma: 0.1}}"
        )
    values = {}
    for name, value in options.items():
        if name not in _NOISE:
            raise UsageError(f"hyperparameter 'action_noise': no option {name!r}; {suggestion(name, _NOISE)}")
        with one_line(f"hyperparameter 'action_noise', option {name!r}"):
            values[name] = convert(value, float)
        check_value(f"action_noise.{name}", values[name])
    if config.network != STOCK_POLICY:
        space: Any = env.action_space  # if it is not typed, its policy refuses it
        return BallNoise(space, **values)
    dim = int(np.prod(env.action_space.shape or ()))
    return NormalActionNoise(np.zeros(dim), np.full(dim, values.get("sigma", 0.1)))
