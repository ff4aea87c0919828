"""Valid ranges of hyperparameters: Stable-Baselines3 notices many impossible values only in the middle of ``learn``."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from eqrl.errors import UsageError


@dataclass(frozen=True)
class Range:
    """A range of possible numbers.

    Attributes:
        least: lower end.
        most: upper end.
        inside: whether the lower end itself is excluded.
    """

    least: float
    most: float = math.inf
    inside: bool = False

    def __contains__(self, value: float) -> bool:
        """Whether a number is possible."""
        return self.least <= value <= self.most and not (self.inside and value == self.least)

    def __str__(self) -> str:
        """The range in words."""
        ends = f"above {self.least:g}" if self.inside else f"of at least {self.least:g}"
        return f"a number {ends}" + ("" if math.isinf(self.most) else f" and at most {self.most:g}")


_COUNT, _NOT_NEGATIVE, _POSITIVE = Range(1), Range(0), Range(0, inside=True)
_SHARE, _RATE = Range(0, 1), Range(0, 1, inside=True)
RANGES: Mapping[str, Range] = {
    "learning_rate": _NOT_NEGATIVE,
    "n_steps": _COUNT,
    "batch_size": _COUNT,
    "n_epochs": _COUNT,
    "buffer_size": _COUNT,
    "learning_starts": _NOT_NEGATIVE,
    "train_freq": _COUNT,
    "gradient_steps": Range(-1),
    "target_update_interval": _COUNT,
    "policy_delay": _COUNT,
    "gamma": _SHARE,
    "gae_lambda": _SHARE,
    "tau": _RATE,
    "clip_range": _POSITIVE,
    "clip_range_vf": _POSITIVE,
    "target_kl": _POSITIVE,
    "desired_kl": _POSITIVE,
    "std_schedule": _POSITIVE,
    "std_schedule.end_fraction": _RATE,
    "ent_coef": _NOT_NEGATIVE,
    "vf_coef": _NOT_NEGATIVE,
    "max_grad_norm": _POSITIVE,
    "target_policy_noise": _NOT_NEGATIVE,
    "target_noise_clip": _NOT_NEGATIVE,
    "stats_window_size": _COUNT,
    "sde_sample_freq": Range(-1),
    "action_noise.sigma": _NOT_NEGATIVE,
    "action_noise.limit": _POSITIVE,
    "replay_buffer_kwargs.n_sampled_goal": _NOT_NEGATIVE,
    "replay_buffer_kwargs.probability": _SHARE,
    "rollout_buffer_kwargs.probability": _SHARE,
}
# hyperparameters that accept a word instead of a number
_WORDS: Mapping[str, tuple[str, str]] = {
    "ent_coef": (r"auto(_[0-9.eE+-]+)?", "'auto', 'auto_0.1' or a number"),
    "target_entropy": (r"auto", "'auto' or a number"),
}


def check_value(name: str, value: Any) -> None:
    """Refuse an impossible value; a value that is neither a plain number nor a word is accepted.

    Args:
        name: a hyperparameter, or an entry of one after a dot.
        value: a value of the type in SB3's signature.

    Raises:
        UsageError: naming the hyperparameter, the value and the valid range.
    """
    if isinstance(value, bool):
        return
    if isinstance(value, int | float) and name in RANGES and value not in RANGES[name]:
        raise UsageError(f"hyperparameter {name!r}: {value} is not possible, give {RANGES[name]}")
    if isinstance(value, str) and name in _WORDS and not re.fullmatch(_WORDS[name][0], value):
        raise UsageError(f"hyperparameter {name!r}: {value!r} is not possible, give {_WORDS[name][1]}")


def train_frequency(value: Any, n_envs: int) -> Any:
    """``train_freq`` in the form that SB3 accepts: a number of steps, or a pair.

    Args:
        value: a number, or a list of a number and ``"step"`` or ``"episode"``.
        n_envs: number of environments that are stepped together.

    Raises:
        UsageError: for another form, or whole episodes of several environments, which SB3 cannot wait for.
    """
    if not isinstance(value, list | tuple):
        return value
    if len(value) != 2 or value[1] not in ("step", "episode") or type(value[0]) is not int:
        raise UsageError(
            f"hyperparameter 'train_freq': {list(value)} is not possible, give a number of steps, [4, step] or [1,"
            " episode] in quotes"
        )
    check_value("train_freq", value[0])
    if value[1] == "episode" and n_envs > 1:
        raise UsageError(
            f"hyperparameter 'train_freq': [{value[0]}, episode] needs a single environment, and there are {n_envs}; "
            "give --n-envs 1, or a number of steps"
        )
    return tuple(value)
