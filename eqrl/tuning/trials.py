"""One trial: an ordinary training run, which a pruner may stop after any evaluation."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from eqrl.errors import UsageError
from eqrl.runs.config import Config
from eqrl.runs.folder import RunFolder
from eqrl.runs.logs import read_rows
from eqrl.runs.session import Run
from eqrl.runs.training import begin, resume


class FellBehind(Exception):
    """Leaves a training that the pruner stops."""


class Judge:
    """Reports the evaluations of a training to Optuna, and ends it when the pruner says so.

    Args:
        trial: Optuna's object.
        column: the number that is maximised.
    """

    def __init__(self, trial: Any, column: str) -> None:
        self._trial = trial
        self._column = column
        self._reported = 0

    def __call__(self, rows: Sequence[Mapping[str, float]]) -> None:
        """Report the evaluations that are new; a training that goes on after a kill brings those before it with it.

        Raises:
            FellBehind: if the trial is not worth more steps.
        """
        for count in range(self._reported, len(rows)):
            # counted in evaluations, because those of two trials may differ by some steps
            self._trial.report(value_of(rows[count], self._column), count + 1)
        self._reported = len(rows)
        if self._trial.should_prune():
            raise FellBehind


def run_trial(config: Config, trial: Any, column: str) -> Run:
    """Train, or go on with the training that an earlier process began for the same trial.

    Args:
        config: a resolved configuration, whose log folder is the trial's own.
        trial: Optuna's object.
        column: the number that is maximised.

    Raises:
        FellBehind: if the pruner stops it.
        UsageError: as :func:`eqrl.runs.training.begin`.
    """
    silent, judge = Console(quiet=True), Judge(trial, column)
    begun = [path for path in sorted(Path(config.log_folder, config.algo).glob("*")) if _was_begun(path)]
    if begun:
        packages = {"gym_packages": config.gym_packages} if config.gym_packages else {}
        return resume(begun[-1], silent, judge, **packages)
    return begin(config, silent, watch=judge)


def result_of(run: Run, column: str) -> float:
    """The number of a run's last evaluation that is maximised.

    Raises:
        UsageError: if it was never evaluated, or the environment does not report the number.
    """
    rows = read_rows(run.path / "evaluations.csv")
    if not rows:
        raise UsageError(f"run {run.path} was never evaluated; give a smaller --eval-freq than its steps")
    return value_of({column: float(rows[-1][column] or "nan")}, column)


def value_of(row: Mapping[str, float], column: str) -> float:
    """A number of an evaluation.

    Raises:
        UsageError: if the environment does not report it.
    """
    value = float(row[column])
    if math.isnan(value):
        raise UsageError(f"the environment reports no {column}; give --objective return")
    return value


def _was_begun(path: Path) -> bool:
    return RunFolder(path).config_file.is_file()
