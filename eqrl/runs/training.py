"""Begin a training, or resume one."""

from __future__ import annotations

import json
import shutil
import warnings
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.markup import escape
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.vec_env import DummyVecEnv, VecEnv

from eqrl.agents import priors_of
from eqrl.checkpoint import rehearse
from eqrl.errors import UsageError, one_line
from eqrl.files.lock import locked
from eqrl.runs.callbacks import Watch
from eqrl.runs.changes import forbidden_changes
from eqrl.runs.config import DEFAULT_JOB, Config, merged
from eqrl.runs.environments import make_env, turnable
from eqrl.runs.fleets import members_of
from eqrl.runs.folder import RunFolder
from eqrl.runs.logs import read_rows
from eqrl.runs.models import make_model
from eqrl.runs.packages import refuse_imports
from eqrl.runs.refusals import RefusedInTraining
from eqrl.runs.resolution import resolve
from eqrl.runs.session import Run, Session
from eqrl.runs.stored_models import load_run
from eqrl.runs.values import plain
from eqrl.versions import different_versions


def train(config: Config | None = None, console: Console | None = None) -> Run:
    """Train an agent and evaluate it on rotated worlds.

    Args:
        config: what to train; by default the job of ``eqrl train`` without options, ``eqrl.runs.config.DEFAULT_JOB``.
        console: where progress is printed; without one, nothing is printed.

    Returns:
        The run: its folder, model and final numbers.

    Raises:
        UsageError: if something does not fit, before any file is written; or during training if the environment or the
            training produces a NaN. The last good model stays in the run folder.
    """
    config = resolve(Config.from_dict(DEFAULT_JOB) if config is None else config)
    return begin(config, console or Console(quiet=True))


def resume(path: str | Path, console: Console | None = None, watch: Watch | None = None, **changes: Any) -> Run:
    """Resume a run in its folder, from its newest undamaged checkpoint.

    On a CPU, with the same versions and number of threads, the result is the same to the bit as that of a run that was
    never interrupted. A finished run is returned as it is.

    Args:
        path: the run folder.
        console: where progress is printed.
        watch: sees the evaluations, see :class:`eqrl.runs.callbacks.Evaluate`.
        changes: options of the run. Some may differ from those it began with, such as a larger ``n_timesteps``.

    Raises:
        UsageError: if it is not a run folder, if another process is training in it, or if an option differs that may
            not.
    """
    folder = RunFolder.open(path, empty=True)
    console = console or Console(quiet=True)
    with locked(folder.path):
        store = folder.checkpoints
        store.sweep()
        if not store.steps():
            if read_rows(folder.path / "progress.csv"):
                raise UsageError(f"{path} has been trained, but its checkpoints are gone; begin another run")
            written = folder.written_config()
            if "gym_packages" not in changes:
                refuse_imports(written.gym_packages, f"the configuration of {path}")
            return begin(resolve(_changed(path, written, changes)), console, folder, watch)
        checkpoint, manifest = store.newest(complete=True)
        stored = folder.stored_config(checkpoint, manifest)
        if "gym_packages" not in changes:
            refuse_imports(stored.gym_packages, f"the configuration of {path}")
        config = resolve(_changed(path, stored, changes))
        _use_threads(config)
        env = make_env(config, seed=config.seed)
        model = make_model(config, env)
        _check_turning(config)
        with closing(env), closing(_evaluation_env(config)) as eval_env:
            restored = store.resume(model, checkpoint, manifest)
            if model.num_timesteps >= (config.n_timesteps or 0) and folder.result_file.exists():
                return _finished(folder, model, config, console)
            _tell_versions(folder, manifest.versions)
            folder.result_file.unlink(missing_ok=True)
            if config != stored:
                folder.write_config(config)
            session = Session(config, folder, model, eval_env, console, manifest.inexact, restored, watch)
            session.store.log.entries = store.log.entries
            return session.run()


def begin(config: Config, console: Console, folder: RunFolder | None = None, watch: Watch | None = None) -> Run:
    """Train from the beginning.

    Args:
        config: a resolved configuration.
        console: where progress is printed.
        folder: the folder of a run that was killed before its first checkpoint; by default a new one.
        watch: sees the evaluations, see :class:`eqrl.runs.callbacks.Evaluate`.

    Raises:
        UsageError: as :func:`train`.
    """
    _use_threads(config)
    env = make_env(config, seed=config.seed)
    model = make_model(config, env)
    with one_line("option 'prior'"):
        for prior in priors_of(model):
            prior.prepare(lambda run: load_run(run)[0])
    _check_turning(config)
    with closing(env), closing(_evaluation_env(config)) as eval_env:
        if folder is not None:
            return Session(config, folder, model, eval_env, console, _inexact(config, env), watch=watch).run()
        folder = RunFolder.create(config)  # only here, after everything that does not fit has been refused
        try:
            with locked(folder.path):
                folder.describe(config)
                return Session(config, folder, model, eval_env, console, _inexact(config, env), watch=watch).run()
        except RefusedInTraining:
            shutil.rmtree(folder.path)  # nothing has been trained, and the same command would go on with it
            raise


def _inexact(config: Config, env: VecEnv) -> str | None:
    """Why the environment cannot resume from a checkpoint to the bit, or None if it can."""
    if isinstance(env.unwrapped, DummyVecEnv):
        return rehearse(lambda seed: make_env(config, 1, seed))
    return None  # eqrl's batch, whose resume the tests prove


def _tell_versions(folder: RunFolder, stored: Mapping[str, str]) -> None:
    if differences := different_versions(stored):
        warnings.warn(
            f"{folder.path} goes on with other versions, from the same state but perhaps not to the bit:"
            f" {'; '.join(differences)}",
            stacklevel=3,
        )


def _changed(path: str | Path, stored: Config, changes: Mapping[str, Any]) -> Config:
    """A stored configuration with changed options.

    Raises:
        UsageError: with all differences that are not allowed.
    """
    given = {name: plain(value) for name, value in changes.items() if name != "seed" or value >= 0}
    wanted = Config.from_dict(merged(stored.to_dict(), given), "the changes")
    if forbidden := forbidden_changes(stored, wanted):
        raise UsageError(
            f"{path} was begun with another configuration: {'; '.join(forbidden)}; leave that out, or begin a new run"
        )
    return wanted


def _finished(folder: RunFolder, model: BaseAlgorithm, config: Config, console: Console) -> Run:
    """A run that is finished already."""
    console.print(
        f"run      {escape(str(folder.path))} is finished ({model.num_timesteps:,} steps); -n with a larger number"
        " goes on",
        soft_wrap=True,
    )
    try:
        metrics = {
            str(name): float(value)
            for name, value in json.loads(folder.result_file.read_text(encoding="utf-8")).items()
        }
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise UsageError(
            f"{folder.result_file} is damaged ({error}); delete it, and the run is evaluated again"
        ) from None
    return Run(folder.path, model, config, metrics)


def _evaluation_env(config: Config) -> VecEnv:
    members = members_of(config, evaluation=True)
    return make_env(config, config.eval_episodes * max(len(members), 1), evaluation=True)


def _check_turning(config: Config) -> None:
    """Refuse, before the training, a zero-shot evaluation that the environment does not support."""
    if config.rotations == 0 or not turnable(config):
        return
    try:
        make_env(config, 1, evaluation=True, scene_rotation=0.0).close()
    except UsageError as error:
        if "scene_rotation" not in str(error):
            raise
        raise UsageError(
            f"environment {config.env} cannot be turned for the zero-shot evaluation, it has no option"
            " 'scene_rotation'; add the option to it or leave the evaluation out with --rotations 0"
        ) from None


def _use_threads(config: Config) -> None:
    if config.num_threads is not None:
        torch.set_num_threads(config.num_threads)
