"""Trials side by side in processes of Ray, on one machine or on several that share the study's folder.

The study stays in this process: it proposes, holds the locks of the trials that run, and notes their ends. Ray decides
where a trial runs, and tells if its process is gone.
"""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Any

from eqrl.engines.ray_session import connect
from eqrl.envs.core.crew import cores
from eqrl.runs.interrupt import StopOnSignal
from eqrl.runs.packages import import_packages
from eqrl.tuning.session import End, Session, end_of
from eqrl.tuning.setup import OBJECTIVES, Setup
from eqrl.tuning.study import Proposal, Study

_LOOK = 0.5  # seconds between looks for a signal


class RaySession(Session):
    """A session of tuning, which runs the trials in processes of Ray."""

    @staticmethod
    def prepare(setup: Setup) -> None:
        """Start Ray, or connect to the cluster that ``RAY_ADDRESS`` names."""
        _connect(setup)

    def _trials(self, total: int) -> bool:
        threads, ray = _threads(self.study.setup), _connect(self.study.setup)
        places = max(int(ray.cluster_resources().get("CPU", 0)) // threads, 1)
        # not tried again by Ray: a trial whose process is gone goes on as another attempt, which the study counts
        train = ray.remote(_train).options(num_cpus=threads, max_retries=0)
        running: dict[Any, tuple[Proposal, ExitStack]] = {}
        stopping = False
        try:
            with StopOnSignal() as stop:
                while True:
                    while len(running) < places and not stop.stopped and (taken := self._take(total)):
                        running[train.remote(*self._task(taken[0], threads))] = taken
                    if not running:
                        return stop.stopped
                    if stop.stopped and not stopping:
                        stopping = True
                        for reference in running:  # Ctrl-C in the trial's process, which saves a checkpoint and ends
                            ray.cancel(reference)
                    ended, _ = ray.wait(list(running), num_returns=1, timeout=_LOOK)
                    for reference in ended:
                        proposal, lock = running.pop(reference)
                        with lock:
                            self._note(proposal, _end(ray, reference))
        finally:
            for reference, (_, lock) in running.items():
                ray.cancel(reference, force=True)
                lock.close()

    def _take(self, total: int) -> tuple[Proposal, ExitStack] | None:
        """The next trial with its lock, or None if there are enough."""
        lock = ExitStack()
        proposal = lock.enter_context(self.study.next(total))
        if proposal is None:
            lock.close()
            return None
        return proposal, lock

    def _task(self, proposal: Proposal, threads: int) -> tuple[Any, ...]:
        return (
            self.study.folder.resolve(),
            self.study.setup,
            self.evaluations,
            proposal.trial._trial_id,
            proposal.values,
            proposal.folder.resolve(),
            threads,
        )


def _threads(setup: Setup) -> int:
    return int(setup.options.get("num_threads") or 1)


def _connect(setup: Setup) -> Any:
    return connect(max(cores(), _threads(setup)), "eqrl tune --engine ray")


def _train(
    study: Path, setup: Setup, evaluations: int, trial_id: int, values: dict[str, Any], folder: Path, threads: int
) -> End:
    """Run a trial in this process, which is one of Ray's."""
    import_packages(setup.options.get("gym_packages"))
    own = Study(study, setup)
    own.prune_behind(evaluations)
    config = setup.trial(values, folder).replace(num_threads=threads)
    return end_of(config, own.handed(trial_id), OBJECTIVES[setup.objective])


def _end(ray: Any, reference: Any) -> End:
    errors = ray.exceptions
    try:
        end: End = ray.get(reference)
        return end
    except errors.TaskCancelledError:  # the signal came before the training began
        return End("interrupted")
    except errors.RayTaskError as error:
        raise error.cause or error from None
    except errors.WorkerCrashedError:
        return End("lost", short="lost its process, and is tried again")
