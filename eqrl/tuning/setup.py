"""What a study tunes, and how: written down when it begins, and compared when it goes on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import yaml

from eqrl.errors import UsageError
from eqrl.files.atomic import write_whole
from eqrl.files.plain_files import read_plain_file
from eqrl.runs.config import Config, merged
from eqrl.runs.resolution import resolve
from eqrl.tuning.space import Space

OBJECTIVES = {"return": "mean_reward", "success": "success_rate"}  # and their columns in evaluations.csv
FILE = "study.yaml"
# they decide how a trial runs, not how it ends
_MAY_DIFFER = (
    *("num_threads", "shards", "device", "progress", "log_folder", "tensorboard_log", "track", "gym_packages"),
    *("save_freq", "keep_checkpoints", "rotations"),
)
# a trial is judged by its evaluations: no rotated worlds at the end, no more files than an interruption needs
_OF_TRIALS = {"rotations": 0, "tensorboard_log": "off", "keep_checkpoints": 1, "progress": False}


@dataclass(frozen=True)
class Setup:
    """What a study tunes.

    Attributes:
        options: options of ``eqrl train`` that were given; presets fill in the rest in every trial.
        space: what is searched.
        objective: what is maximised at the last evaluation, ``"return"`` or ``"success"``.
        pruner: ``"median"`` stops trials that fall behind, ``"none"`` lets all run to their end.
        startup_trials: trials with random options before proposals and pruning begin.
    """

    options: Mapping[str, Any]
    space: Space
    objective: str = "return"
    pruner: str = "median"
    startup_trials: int = 10

    def trial(self, values: Mapping[str, Any], folder: Path) -> Config:
        """The resolved configuration of a trial, with its runs in a folder of its own.

        Raises:
            UsageError: if the values do not fit.
        """
        return resolve(Config.from_dict(merged(self.options, values, _OF_TRIALS, {"log_folder": str(folder)})))

    def result(self, values: Mapping[str, Any]) -> Config:
        """The resolved configuration to train with after the search.

        Raises:
            UsageError: if the values do not fit.
        """
        return resolve(Config.from_dict(merged(self.options, values)))

    def keep(self, folder: Path) -> None:
        """Write the setup into the folder of a new study, or compare it with that of an older one.

        Raises:
            UsageError: if the folder holds another study, with all differences.
            OSError: if it cannot be written.
        """
        here = self._content()
        if not (folder / FILE).exists():
            text = "# What this study tunes; eqrl tune compares it when it goes on.\n"
            write_whole(folder / FILE, text + yaml.safe_dump(here, sort_keys=False))
            return
        there = read_plain_file(folder / FILE, "study")
        if differences := list(_differences(there if isinstance(there, Mapping) else {}, here)):
            raise UsageError(
                f"study {folder} is another one: {'; '.join(differences)}; give another folder with --study"
            )

    def _content(self) -> dict[str, Any]:
        config = Config.from_dict(self.options).to_dict()
        return {
            **{name: value for name, value in asdict(self).items() if name not in ("options", "space")},
            "options": {name: value for name, value in config.items() if name not in _MAY_DIFFER},
            "space": dict(self.space.content),
        }


def _differences(there: Mapping[str, Any], here: Mapping[str, Any], path: str = "") -> Iterator[str]:
    for key in dict.fromkeys([*here, *there]):
        old, new = there.get(key), here.get(key)
        if isinstance(old, Mapping) and isinstance(new, Mapping):
            yield from _differences(old, new, f"{path}{key}.")
        elif old != new:
            name = f"{path}{key}".removeprefix("options.")
            yield f"{name} is {old!r} there and {new!r} here"
