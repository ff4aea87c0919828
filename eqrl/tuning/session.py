"""A session of tuning: propose, train, judge, until there are enough trials."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from rich.console import Console
from rich.markup import escape

from eqrl.errors import UsageError
from eqrl.guards.errors import TrainingDiverged
from eqrl.runs.config import Config
from eqrl.tuning.setup import OBJECTIVES, Setup
from eqrl.tuning.study import Best, Proposal, Study
from eqrl.tuning.trials import FellBehind, result_of, run_trial


@dataclass(frozen=True)
class Tuned:
    """A session of tuning that has ended.

    Attributes:
        folder: the study.
        best: the best trial of all sessions so far, or None if none has come to its end.
        interrupted: whether a signal ended the session; the same call goes on.
    """

    folder: Path
    best: Best | None
    interrupted: bool = False


@dataclass(frozen=True)
class End:
    """How a trial has ended.

    Attributes:
        state: in one word.
        value: the number that is maximised, of a complete one.
        why: the reason in words, where there is one.
        short: the same within a line of progress.
    """

    state: Literal["complete", "pruned", "failed", "interrupted", "lost"]
    value: float = math.nan
    why: str = ""
    short: str = ""


def end_of(config: Config, trial: Any, column: str) -> End:
    """Run a trial to its end.

    Args:
        config: a resolved configuration, whose log folder is the trial's own.
        trial: Optuna's object.
        column: the number that is maximised.
    """
    try:
        run = run_trial(config, trial, column)
        return End("interrupted") if run.interrupted else End("complete", result_of(run, column))
    except FellBehind:
        return End("pruned", why="fell behind", short="pruned")
    except TrainingDiverged as error:
        return End("pruned", why=str(error), short=f"diverged ({error.finding.text})")
    except UsageError as error:
        return End("failed", why=str(error), short=f"failed ({error})")


@dataclass
class Session:
    """A session of tuning, which runs the trials in this process.

    ``evaluations`` is the number of evaluations of a whole trial.
    """

    study: Study
    console: Console
    evaluations: int
    _goes_well: bool = False  # whether the trial before could be run

    def __post_init__(self) -> None:
        """Say which trials are stopped."""
        self.study.prune_behind(self.evaluations)

    @staticmethod
    def prepare(setup: Setup) -> None:
        """Start what runs the trials, before the study's folder is made.

        Raises:
            UsageError: if it cannot be started.
        """

    def run(self, trials: int) -> Tuned:
        """Run trials until the study has enough, or a signal arrives.

        Raises:
            UsageError: if the first trial cannot be run, or two in a row: it is not their options, or all of them.
        """
        try:
            return self._run(trials)
        except OSError as error:
            raise UsageError(
                f"study {self.study.folder} cannot be written ({error.strerror or error}); the same command goes on"
            ) from None

    def _run(self, trials: int) -> Tuned:
        self._say(f"study    {self.study.folder}")
        if self._trials(trials):
            self._say("stopped  everything is saved; the same command goes on")
            return Tuned(self.study.folder, self.study.write_best(), interrupted=True)
        best = self.study.write_best()
        self._say("trials   " + ", ".join(f"{count} {state}" for state, count in self.study.counts.items() if count))
        if best:
            value = f"{self.study.setup.objective} {best.value:.4g}"
            self._say(f"best     trial {best.number}, {value}: {_in_words(best.params)}")
            self._say(f"train    eqrl train --config {best.config_file}")
        return Tuned(self.study.folder, best)

    def _trials(self, total: int) -> bool:
        """Run trials until there are enough.

        Returns:
            Whether a signal stopped them.
        """
        setup = self.study.setup
        while True:
            with self.study.next(total) as proposal:
                if proposal is None:
                    return False
                config = setup.trial(proposal.values, proposal.folder)
                if self._note(proposal, end_of(config, proposal.trial, OBJECTIVES[setup.objective])):
                    return True

    def _note(self, proposal: Proposal, end: End) -> bool:
        """Note the end of a trial.

        Returns:
            Whether a signal stopped it.

        Raises:
            UsageError: if it is the first one or the second in a row that could not be run.
        """
        match end.state:
            case "interrupted":
                self.study.interrupt(proposal)
                return True
            case "lost":  # it still seems to run, and without its lock it is tried again
                self._tell(proposal, end.short)
                return False
            case "complete":
                self.study.complete(proposal, end.value)
                self._tell(proposal, f"{self.study.setup.objective} {end.value:.4g}")
            case "pruned":
                self.study.prune(proposal, end.why)
                self._tell(proposal, end.short)
            case "failed":
                self.study.fail(proposal, end.why)
                if not self._goes_well:
                    raise UsageError(end.why)
                self._tell(proposal, end.short)
        self._goes_well = end.state != "failed"
        return False

    def _tell(self, proposal: Proposal, end: str) -> None:
        again = f" (attempt {proposal.attempt})" if proposal.attempt > 1 else ""
        self._say(f"trial {proposal.number:<3}{again} {end}: {_in_words(proposal.trial.params)}")

    def _say(self, text: str) -> None:
        self.console.print(escape(text), highlight=False, soft_wrap=True)


def _in_words(params: Mapping[str, Any]) -> str:
    return ", ".join(
        f"{name} {value:.4g}" if isinstance(value, float) else f"{name} {value}" for name, value in params.items()
    )
