"""A study in a folder: it may be killed at any moment, and several processes may work on it.

::

    study.yaml       what it tunes
    journal.log      Optuna's journal: every trial, its options and evaluations
    trials/<n>/      the training runs of trial n, and a lock that its process holds
    best.yaml        the best configuration so far, for ``eqrl train --config``
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from filelock import FileLock

from eqrl.errors import UsageError, import_extra
from eqrl.files.atomic import write_whole
from eqrl.files.lock import is_taken, locked
from eqrl.tuning.journal import JournalLock
from eqrl.tuning.setup import Setup

BEST = "best.yaml"
_ATTEMPTS = 3  # of a trial whose process is killed: perhaps it is the trial that kills it
_OF, _ATTEMPT, _WHY = "of", "attempt", "why"


@dataclass(frozen=True)
class Proposal:
    """A trial that this process has to run.

    Attributes:
        number: its number in the study; a trial that is tried again keeps its first one.
        attempt: 1, or more if its process was killed.
        values: the options that are tried, as nested tables.
        folder: for its training runs.
        trial: Optuna's object.
    """

    number: int
    attempt: int
    values: dict[str, Any]
    folder: Path
    trial: Any


@dataclass(frozen=True)
class Best:
    """The best trial so far.

    Attributes:
        number: its number in the study.
        value: what it reached.
        params: what was tried, by name in the search space.
        config_file: its configuration, for ``eqrl train --config``.
    """

    number: int
    value: float
    params: dict[str, Any]
    config_file: Path


class Study:
    """A study of Optuna.

    Args:
        folder: its folder; it is made if it does not exist.
        setup: what it tunes.

    Raises:
        UsageError: if Optuna is not installed, or the folder holds another study or cannot be written.
    """

    def __init__(self, folder: Path, setup: Setup) -> None:
        self._optuna: Any = import_extra("optuna", "eqrl tune", "tune")
        self.folder, self.setup = folder, setup
        self._lock = FileLock(folder / "lock")
        try:
            (folder / "trials").mkdir(parents=True, exist_ok=True)
            with self._lock:
                setup.keep(folder)
                self._study = self._open(folder / "journal.log")
        except OSError as error:
            raise UsageError(f"study {folder} cannot be written ({error.strerror}); choose another --study") from None

    def _open(self, journal: Path) -> Any:
        optuna = self._optuna
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        journal.touch()
        backend = optuna.storages.journal.JournalFileBackend(str(journal), lock_obj=JournalLock(journal))
        try:
            return optuna.create_study(
                study_name="eqrl",
                storage=optuna.storages.JournalStorage(backend),
                direction="maximize",
                load_if_exists=True,
            )
        except (ValueError, KeyError, TypeError) as error:
            raise UsageError(f"{journal} is damaged ({error}); give another folder with --study") from None

    def prune_behind(self, evaluations: int) -> None:
        """Stop trials that are worse than half of the others after as many evaluations.

        Args:
            evaluations: of a whole trial; the first third is too early to judge.
        """
        pruners = self._optuna.pruners
        self._study.pruner = (
            pruners.MedianPruner(n_startup_trials=self.setup.startup_trials, n_warmup_steps=evaluations // 3)
            if self.setup.pruner == "median"
            else pruners.NopPruner()
        )

    # ------------------------------------------------------------------ trials
    @contextmanager
    def next(self, total: int) -> Iterator[Proposal | None]:
        """Take the next trial, and hold its lock; None if there are enough.

        Trials whose process is gone come first.

        Args:
            total: trials of the whole study, by all processes.
        """
        with ExitStack() as stack:
            with self._lock:  # until the trial has its own lock: without it, its process would seem to be gone
                proposal = self._propose(total)
                if proposal:
                    stack.enter_context(locked(proposal.folder))
            yield proposal

    def handed(self, trial_id: int) -> Any:
        """Optuna's object of a trial that another process has taken and handed to this one."""
        return self._optuna.trial.Trial(self._study, trial_id)

    def _propose(self, total: int) -> Proposal | None:
        self._try_again()
        trials = self._study.get_trials(deepcopy=False)
        waiting = any(trial.state == self._states.WAITING for trial in trials)
        if not waiting and len({_number(trial) for trial in trials}) >= total:
            return None
        # a sampler of its own for each trial: the proposals of an interrupted study are those of an uninterrupted one,
        # and two processes never draw the same
        seed = int(self.setup.options.get("seed", 0)) + len(trials)
        self._study.sampler = self._optuna.samplers.TPESampler(
            n_startup_trials=self.setup.startup_trials, seed=seed % 2**32
        )
        trial = self._study.ask()
        number, attempt = _number(trial), trial.user_attrs.get(_ATTEMPT, 1)
        folder = self.folder / "trials" / str(number)
        folder.mkdir(exist_ok=True)
        return Proposal(number, attempt, self.setup.space.propose(trial), folder, trial)

    def _try_again(self) -> None:
        """Enqueue trials again that are said to run, but whose process is gone."""
        trials = self._study.get_trials(deepcopy=False)
        for trial in trials:
            folder = self.folder / "trials" / str(_number(trial))
            if trial.state == self._states.RUNNING and not (folder.is_dir() and is_taken(folder)):
                self._enqueue(trial, trial.user_attrs.get(_ATTEMPT, 1) + 1)

    def _enqueue(self, trial: Any, attempt: int) -> None:
        number = _number(trial)
        trials = self._study.get_trials(deepcopy=False)
        known = any(_number(other) == number and other.number > trial.number for other in trials)
        if attempt <= _ATTEMPTS and not known:
            self._study.enqueue_trial(trial.params, user_attrs={_OF: number, _ATTEMPT: attempt})
        self._study.tell(trial.number, state=self._states.FAIL)

    # ------------------------------------------------------------------ results
    def complete(self, proposal: Proposal, value: float) -> None:
        """Note the result of a trial, and write the best configuration so far."""
        with self._lock:
            self._study.tell(proposal.trial, value)
            self.write_best()

    def prune(self, proposal: Proposal, why: str) -> None:
        """Note that a trial was stopped; to the sampler it is a bad one."""
        proposal.trial.set_user_attr(_WHY, why)
        self._study.tell(proposal.trial, state=self._states.PRUNED)

    def fail(self, proposal: Proposal, why: str) -> None:
        """Note that a trial could not be run."""
        proposal.trial.set_user_attr(_WHY, why)
        self._study.tell(proposal.trial, state=self._states.FAIL)

    def interrupt(self, proposal: Proposal) -> None:
        """Note that the user stopped a trial, which goes on next time."""
        with self._lock:
            frozen = self._study.get_trials(deepcopy=False)[proposal.trial.number]
            self._enqueue(frozen, proposal.attempt)

    def write_best(self) -> Best | None:
        """Write the best configuration so far.

        Returns:
            The best trial, or None if none has come to its end.

        Raises:
            OSError: if it cannot be written.
        """
        done = self._study.get_trials(deepcopy=False, states=(self._states.COMPLETE,))
        if not done:
            return None
        trial = max(done, key=lambda trial: (trial.value, -trial.number))
        config = self.setup.result(self.setup.space.propose(self._optuna.trial.FixedTrial(trial.params)))
        head = f"# Trial {_number(trial)}, {self.setup.objective} {trial.value:.6g}: eqrl train --config <this file>\n"
        write_whole(self.folder / BEST, head + yaml.safe_dump(config.to_dict(), sort_keys=False))
        return Best(_number(trial), trial.value, trial.params, self.folder / BEST)

    @property
    def counts(self) -> dict[str, int]:
        """Number of trials by state: ``complete``, ``pruned``, ``failed``, ``running``."""
        last = {_number(trial): trial.state for trial in self._study.get_trials(deepcopy=False)}
        names = {"complete": "COMPLETE", "pruned": "PRUNED", "failed": "FAIL", "running": "RUNNING"}
        states = list(last.values())
        return {name: states.count(getattr(self._states, state)) for name, state in names.items()}

    @property
    def _states(self) -> Any:
        return self._optuna.trial.TrialState


def _number(trial: Any) -> int:
    return int(trial.user_attrs.get(_OF, trial.number))
