"""The search of a study: what is checked before it, and who runs its trials."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Literal

from rich.console import Console

from eqrl.errors import UsageError, import_extra
from eqrl.runs.environments import make_env
from eqrl.runs.models import make_model
from eqrl.tuning.on_ray import RaySession
from eqrl.tuning.session import Session, Tuned
from eqrl.tuning.setup import Setup
from eqrl.tuning.study import Study


def tune(
    setup: Setup, folder: Path, trials: int, console: Console | None = None, engine: Literal["local", "ray"] = "local"
) -> Tuned:
    """Search for options; a study that was interrupted or killed goes on, and others may work on it meanwhile.

    Args:
        setup: what to tune.
        folder: the folder of the study.
        trials: number of trials of the study, by all sessions and processes.
        console: where progress is printed; without one, nothing is printed.
        engine: what runs the trials: this process one after the other, or Ray's processes side by side.

    Raises:
        UsageError: if something does not fit, before any file is written; or if the first trial cannot be run.
    """
    import_extra("optuna", "eqrl tune", "tune")
    kind = RaySession if engine == "ray" else Session
    evaluations = _rehearse(setup)
    kind.prepare(setup)
    return kind(Study(folder, setup), console or Console(quiet=True), evaluations).run(trials)


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
