"""Schedules among the hyperparameters, as text: ``lin_1e-3``, ``adaptive_5e-4``, ``lin_0.6_0.3``."""

from __future__ import annotations

from typing import Any

from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.type_aliases import Schedule
from stable_baselines3.common.utils import LinearSchedule

from eqrl.agents import KLAdaptiveLR, StdSchedule
from eqrl.errors import UsageError, one_line
from eqrl.runs.config import Config
from eqrl.runs.ranges import check_value
from eqrl.runs.values import convert

DESIRED_KL, STD_SCHEDULE = "desired_kl", "std_schedule"
_ADAPTIVE, _LINEAR = "adaptive_", "lin_"


def rate_or_schedule(name: str, value: str) -> float | Schedule | None:
    """The value of ``learning_rate`` or ``clip_range`` that a text stands for; None for any other text.

    Args:
        name: the hyperparameter.
        value: ``lin_1e-3`` for a line from there to 0, or ``adaptive_5e-4`` for the first learning rate.

    Raises:
        UsageError: for a schedule with wrong numbers.
    """
    if value.startswith(_ADAPTIVE) and name == "learning_rate":
        return _numbers(name, value, "adaptive_5e-4", 1)[0]
    if not value.startswith(_LINEAR):
        return None
    (start,) = _numbers(name, value, "lin_3e-4", 1)
    return lambda remaining: max(remaining, 0.0) * start  # SB3 trains slightly beyond the end


def schedule_callbacks(config: Config) -> list[BaseCallback]:
    """The callbacks that the hyperparameters ask for.

    Raises:
        UsageError: for wrong values, or a learning rate that does not fit.
    """
    callbacks: list[BaseCallback] = []
    rate, desired_kl = (config.hyperparams.get(name) for name in ("learning_rate", DESIRED_KL))
    if isinstance(rate, str) and rate.startswith(_ADAPTIVE):
        if config.algo != "ppo":
            raise UsageError(f"hyperparameter 'learning_rate': {rate!r} adapts to PPO's KL divergence; take --algo ppo")
        callbacks.append(KLAdaptiveLR() if desired_kl is None else KLAdaptiveLR(_number(DESIRED_KL, desired_kl)))
    elif desired_kl is not None:
        raise UsageError(
            f"hyperparameter {DESIRED_KL!r}: {desired_kl!r} needs an adaptive learning rate; give"
            " learning_rate:adaptive_5e-4 too"
        )
    if (std := config.hyperparams.get(STD_SCHEDULE)) is not None:
        if config.hyperparams.get("use_sde"):
            raise UsageError(
                f"hyperparameter {STD_SCHEDULE!r}: {std!r} does not go with use_sde; leave one of them out"
            )
        callbacks.append(StdSchedule(_std(std)))
    return callbacks


def _std(value: Any) -> Schedule | float:
    if not isinstance(value, str) or not value.startswith(_LINEAR):
        return _number(STD_SCHEDULE, value)
    start, end, *fraction = _numbers(STD_SCHEDULE, value, "lin_0.6_0.3 or lin_0.6_0.3_0.5", 2, 3)
    end_fraction = fraction[0] if fraction else 1.0
    check_value(f"{STD_SCHEDULE}.end_fraction", end_fraction)
    return LinearSchedule(start, end, end_fraction)


def _number(name: str, value: Any) -> float:
    with one_line(f"hyperparameter {name!r}"):
        number: float = convert(value, float)
    check_value(name, number)
    return number


def _numbers(name: str, value: str, example: str, *counts: int) -> list[float]:
    """The numbers after the kind of a schedule, of which there may be one of several counts."""
    try:
        numbers = [float(number) for number in value.split("_")[1:]]
    except ValueError:
        numbers = []
    if len(numbers) not in counts:
        raise UsageError(f"hyperparameter {name!r}: {value!r} is not a schedule; write for instance {example}")
    for number in numbers:
        check_value(name, number)
    return numbers
