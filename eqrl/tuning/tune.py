"""The loop of a study: propose, train, judge, until there are enough trials."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape

from eqrl.errors import UsageError, import_extra
from eqrl.guards.errors import TrainingDiverged
from eqrl.runs.environments import make_env
from eqrl.runs.models import make_model
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


def tune(setup: Setup, folder: Path, trials: int, console: Console | None = None) -> Tuned:
    """Search for options; a study that was interrupted or killed goes on, and others may work on it meanwhile.

    Args:
        setup: what to tune.
        folder: the folder of the study.
        trials: number of trials of the study, by all sessions and processes.
        console: where progress is printed; without one, nothing is printed.

    Raises:
        UsageError: if something does not fit, before any file is written; or if the first trial cannot be run.
    """
    import_extra("optuna", "eqrl tune", "tune")
    evaluations = _rehearse(setup)
    session = _Session(Study(folder, setup), console or Console(quiet=True))
    session.study.prune_behind(evaluations)
    return session.run(trials)


def _rehearse(setup: Setup) -> int:
    """Make the environment and the model once: a wrong name shall not be found by a trial.

    Returns:
        Number of evaluations of a trial.
    """
    config = setup.trial(setup.space.corner, Path())
    if not config.eval_freq or config.eval_freq > (config.n_timesteps or 0):
        raise UsageError(
            f"option 'eval_freq': {config.eval_freq} leaves no evaluation by which to judge a trial of"
            f" {config.n_timesteps} steps; leave it out or give a smaller number"
        )
    with closing(make_env(config, seed=config.seed)) as env:
        make_model(config, env)
    return (config.n_timesteps or 0) // config.eval_freq


@dataclass
class _Session:
    study: Study
    console: Console
    _goes_well: bool = False  # whether the trial before could be run

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
        while True:
            with self.study.next(trials) as proposal:
                if proposal is None:
                    break
                if self._trial(proposal):
                    self._say("stopped  everything is saved; the same command goes on")
                    return Tuned(self.study.folder, self.study.write_best(), interrupted=True)
        best = self.study.write_best()
        self._say("trials   " + ", ".join(f"{count} {state}" for state, count in self.study.counts.items() if count))
        if best:
            value = f"{self.study.setup.objective} {best.value:.4g}"
            self._say(f"best     trial {best.number}, {value}: {_in_words(best.params)}")
            self._say(f"train    eqrl train --config {best.config_file}")
        return Tuned(self.study.folder, best)

    def _trial(self, proposal: Proposal) -> bool:
        """Run a trial and note its end.

        Returns:
            Whether a signal stopped it.
        """
        setup, study = self.study.setup, self.study
        column = OBJECTIVES[setup.objective]
        try:
            run = run_trial(setup.trial(proposal.values, proposal.folder), proposal.trial, column)
            if run.interrupted:
                study.interrupt(proposal)
                return True
            value = result_of(run, column)
        except FellBehind:
            study.prune(proposal, "fell behind")
            self._tell(proposal, "pruned")
        except TrainingDiverged as error:
            study.prune(proposal, str(error))
            self._tell(proposal, f"diverged ({error.finding.text})")
        except UsageError as error:
            study.fail(proposal, str(error))
            if not self._goes_well:
                raise
            self._goes_well = False
            self._tell(proposal, f"failed ({error})")
            return False
        else:
            study.complete(proposal, value)
            self._tell(proposal, f"{setup.objective} {value:.4g}")
        self._goes_well = True
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
