"""Zero-shot evaluation of a model in memory: the same episodes under every rotation, with the numbers as a file."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any, Literal

from stable_baselines3.common.base_class import BaseAlgorithm

from eqrl.errors import UsageError
from eqrl.evaluation.protocol import ZeroShot, zero_shot
from eqrl.files.atomic import write_whole
from eqrl.runs.config import Config
from eqrl.runs.environments import make_env, turnable
from eqrl.runs.fleets import alone, members_of


def evaluate_model(
    model: BaseAlgorithm,
    config: Config,
    *,
    rotations: int,
    episodes: int,
    protocol: Literal["scene", "goal"],
    seed: int = 10_000,
) -> ZeroShot:
    """Play the same episodes under every rotation with a model in memory.

    Arguments as in :func:`eqrl.evaluate.evaluate`.

    Each member of a fleet plays the same number of episodes alone, so they do not depend on the other members.
    """
    for name, value in (("rotations", rotations), ("episodes", episodes)):
        if value < 1:
            raise UsageError(f"option {name!r}: {value} is too small, give at least 1")
    if protocol not in ("scene", "goal"):
        raise UsageError(f"option 'protocol': expected scene or goal, got {protocol!r}")
    if len(members := members_of(config, evaluation=True)) > 1:
        options: Any = {"rotations": rotations, "episodes": episodes, "protocol": protocol, "seed": seed}
        return ZeroShot.of_members({name: evaluate_model(model, alone(config, name), **options) for name in members})
    make = partial(make_env, config, evaluation=True)
    return zero_shot(model, make, rotations, episodes, protocol, seed, turnable(config))


def write_json(result: ZeroShot, path: str | Path, **extra: Any) -> None:
    """Write the numbers atomically."""
    write_whole(Path(path), json.dumps({**result.to_json(), **extra}, indent=2) + "\n")
