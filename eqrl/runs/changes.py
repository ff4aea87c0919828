"""Which options of a run may change after it has begun, and which have changed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from eqrl.runs.config import Config

# Everything else defines the run.
MAY_CHANGE = (
    "n_timesteps",
    "num_threads",
    "shards",
    "device",
    "progress",
    "eval_freq",
    "eval_episodes",
    "save_freq",
    "keep_checkpoints",
    "rotations",
    "gym_packages",
    "on_divergence",
    "log_folder",
    "tensorboard_log",
    "track",
)


def forbidden_changes(there: Config, here: Config) -> list[str]:
    """Differences that would make it another run, each as ``option is X there and Y here``.

    Args:
        there: the configuration with which the run began.
        here: the configuration with which it would continue.
    """
    known, wanted = there.to_dict(), here.to_dict()
    return [
        f"{name} is {old!r} there and {new!r} here"
        for option in known
        if option not in MAY_CHANGE
        for name, old, new in _differences(option, known[option], wanted[option])
    ]


def _differences(name: str, there: Any, here: Any) -> Iterator[tuple[str, Any, Any]]:
    if isinstance(there, Mapping) and isinstance(here, Mapping):
        for key in sorted({*there, *here}, key=str):
            yield from _differences(f"{name}.{key}", there.get(key), here.get(key))
    elif there != here:
        yield name, there, here
