"""A training session in a run folder: train, save, evaluate, report."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.markup import escape
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import CallbackList
from stable_baselines3.common.logger import KVWriter, Logger
from stable_baselines3.common.vec_env import VecEnv

from eqrl.checkpoint import DamagedCheckpointError, Description, Store
from eqrl.checkpoint.training import restore_randomness
from eqrl.engines.ray import ShardDiedError
from eqrl.errors import UsageError
from eqrl.evaluation.figures import plot_zero_shot, sector_width
from eqrl.evaluation.protocol import ZeroShot
from eqrl.guards import Guard
from eqrl.runs.callbacks import Checkpoints, Equivariance, Evaluate, Watch
from eqrl.runs.config import Config
from eqrl.runs.folder import RunFolder
from eqrl.runs.interrupt import StopOnSignal, StoppedBySignal
from eqrl.runs.logs import Board, Forgiving, Table
from eqrl.runs.progress import ShowProgress
from eqrl.runs.refusals import RefusedInTraining, refused
from eqrl.runs.schedules import schedule_callbacks
from eqrl.runs.summary import readme
from eqrl.runs.zero_shot import evaluate_model, write_json
from eqrl.threads import ShareCores, simulating
from eqrl.tracking import Tracker
from eqrl.versions import versions

_PATIENCE = 5.0  # seconds between attempts to write the last checkpoint to a full disk


@dataclass(frozen=True)
class Run:
    """A run that has ended.

    Attributes:
        path: its folder.
        model: the trained model.
        config: its resolved configuration.
        metrics: final numbers: ``timesteps``, ``seconds``, and after a zero-shot evaluation ``success``, ``return``
            (means over the angles), ``retention_min`` and ``equivariance_error`` (largest).
        zero_shot: the zero-shot evaluation, or None if there was none.
        interrupted: whether it was stopped by a signal and can be resumed.
    """

    path: Path
    model: BaseAlgorithm
    config: Config
    metrics: dict[str, float] = field(default_factory=dict)
    zero_shot: ZeroShot | None = None
    interrupted: bool = False


@dataclass
class Session:
    """A training session, from a start or a resume to its end.

    ``inexact`` is the reason why a resumed run will not be the same to the bit, if there is one; ``restored`` holds the
    contents of the checkpoint besides the model, and is None for a new run. ``watch`` sees the evaluations.
    """

    config: Config
    folder: RunFolder
    model: BaseAlgorithm
    eval_env: VecEnv
    console: Console
    inexact: str | None = None
    restored: dict[str, Any] | None = None
    watch: Watch | None = None

    def __post_init__(self) -> None:
        """Set up the store, the callbacks and the guard."""
        config = self.config
        self.store = Store(self.folder.path, config.keep_checkpoints)
        self.about = Description(config.to_dict(), versions(), self.inexact)
        self._learning = False
        self._begin = time.monotonic()
        table = self.folder.path / "evaluations.csv"
        self.evaluate = Evaluate(self.eval_env, config.eval_freq or 0, table, self._save_best, self._clock, self.watch)
        self.equivariance = Equivariance(max((config.n_timesteps or 0) // 50, 1))
        self.guard = Guard(config.env, self.folder.path, self._last)
        if self.restored:
            self._go_on_from(self.restored["progress"])

    def _go_on_from(self, progress: Any) -> None:
        """Restore the clock and the callbacks from a checkpoint."""
        try:
            self._begin -= float(progress["seconds"])
            for name, callback in self._stateful().items():
                callback.load_state_dict(progress[name])
        except (LookupError, TypeError, ValueError, AttributeError, OverflowError) as error:
            raise DamagedCheckpointError(
                f"the newest checkpoint of {self.folder.path} does not fit the run: its progress is damaged: {error!r}"
            ) from None

    def run(self) -> Run:
        """Train, save, evaluate, report."""
        self._say(
            f"[bold]{self.config.env}[/] with {self.config.algo}, network {self.config.network}, seed"
            f" {self.config.seed}"
        )
        since = f"  (goes on after {self.model.num_timesteps:,} steps)" if self.restored else ""
        self._say(f"run      {self._name}{since}")
        for word, line in zip(("symmetry", "mirror"), _symmetry_of(self.model), strict=False):
            self._say(f"{word:<8} {escape(line)}")
        if self.inexact:
            self._say(
                "note     after an interruption it will go on with new episodes, not to the bit:"
                f" {escape(self.inexact)}"
            )
        try:
            self.model.set_logger(self._logger())
            return self._run()
        except OSError as error:
            if self._learning:  # raised by an environment: eqrl's own writes in ``learn`` never raise OSError
                raise
            raise UsageError(
                f"{error.filename or self.folder.path} cannot be written ({error.strerror}); what is trained is safe in"
                f" {self._last()}: make room, then eqrl train --resume {self.folder.path}"
            ) from None
        except ShardDiedError as error:
            raise ShardDiedError(
                f"{error}; what is trained is safe in {self._last()}: eqrl train --resume {self.folder.path} goes on"
            ) from None
        finally:
            if hasattr(self.model, "_logger"):
                self.model.logger.close()

    def _run(self) -> Run:
        self.folder.write("README.md", readme(self.folder, self.config))
        first = self.model.num_timesteps
        with StopOnSignal() as stop:
            if first < (self.config.n_timesteps or 0):
                self._learn(stop)
            elif self.restored:  # values that wait for the logger belong to the row of the final evaluation
                restore_randomness(self.model, self.restored["randomness"])
            if self.model.num_timesteps > first or not self.store.steps():
                self._save_at_last(stop)
                self.evaluate.write_table()  # again, in case the disk was full when the last row was written
        metrics = {"timesteps": float(self.model.num_timesteps), "seconds": self._clock()}
        result, stopped = None, stop.stopped
        if not stopped:
            self._say(f"trained  {self.model.num_timesteps:,} steps in {metrics['seconds']:.0f} s")
            try:
                with StopOnSignal(at_once=True):
                    result = self._zero_shot(metrics)
                    self.folder.write("result.json", json.dumps(metrics, indent=1) + "\n")
            except StoppedBySignal:
                stopped = not self.folder.result_file.exists()
        if stopped:
            self._say(f"stopped after {self.model.num_timesteps:,} steps, everything is saved")
            self._say(
                f"resume   eqrl train --resume {self._name}{self._packages}, or the same command again (without --new)"
            )
        self.folder.write("README.md", readme(self.folder, self.config, None if stopped else metrics, result))
        return Run(self.folder.path, self.model, self.config, metrics, result, stopped)

    def _learn(self, stop: StopOnSignal) -> None:
        """Train to the end, or until a signal."""
        total, threads = self.config.n_timesteps or 0, torch.get_num_threads()
        updates = self.model._n_updates
        progress = ShowProgress(total, self.console)
        cores = ShareCores()  # made here, because it remembers the number of threads for updates
        try:
            with self.guard, simulating():
                self._learning = True
                self.model.learn(
                    total - self.model.num_timesteps,
                    callback=CallbackList([cores, *self._callbacks(stop, progress)]),
                    log_interval=1 if self.config.algo == "ppo" else 20,
                    reset_num_timesteps=False,
                )
            self._learning = False
        except StoppedBySignal:
            self._learning = False
        except (AssertionError, RuntimeError, TypeError, ValueError) as error:
            if self.model._n_updates > updates or not refused(error):
                raise
            raise RefusedInTraining(
                f"{self.config.algo} refuses to train on {self.config.env}: {error}; change that with -params or"
                " --n-envs"
            ) from error
        finally:
            torch.set_num_threads(threads)
            progress.close()

    def _callbacks(self, stop: StopOnSignal, progress: ShowProgress) -> list[Any]:
        randomness = self.restored["randomness"] if self.restored else None
        return [
            self.guard,
            Checkpoints(self.config.save_freq or 0, self._save, stop, randomness, self._say),
            *schedule_callbacks(self.config),
            self.evaluate,
            self.equivariance,
            *([progress] if self.config.progress else []),
        ]

    # ------------------------------------------------------------------ saving
    def _stateful(self) -> dict[str, Any]:
        return {"evaluate": self.evaluate, "equivariance": self.equivariance, "guard": self.guard}

    def _save(self) -> None:
        self.guard.check()
        progress = {name: callback.state_dict() for name, callback in self._stateful().items()}
        self.store.save(self.model, self.about, {"seconds": self._clock(), **progress})

    def _save_at_last(self, stop: StopOnSignal) -> None:
        """Save the end of the training; while the disk is full, retry until a signal arrives."""
        before = stop.stopped
        while True:
            try:
                return self._save()
            except OSError as error:
                if stop.stopped and not before:
                    raise KeyboardInterrupt from None
                self._say(
                    f"[yellow]warning[/]  the last checkpoint cannot be written ({error.strerror or error}); make room"
                    f" under {self._name}: it is tried again every {_PATIENCE:g} s. Ctrl-C gives up what is newer than"
                    f" {escape(self._last())}"
                )
                time.sleep(_PATIENCE)

    def _save_best(self, row: Mapping[str, float]) -> None:
        try:
            self.store.save_best(
                self.model, self.about, {"evaluation": {k: v for k, v in row.items() if math.isfinite(v)}}
            )
        except OSError as error:
            self._say(f"[yellow]warning[/]  the best model so far cannot be written ({error.strerror or error})")

    def _last(self) -> str:
        steps = self.store.steps()
        return str(self.store.at(steps[0])) if steps else "none yet"

    def _clock(self) -> float:
        """Seconds of training, over all sessions of the run."""
        return time.monotonic() - self._begin

    def _logger(self) -> Logger:
        since = self.model.num_timesteps if self.restored else None
        writers: list[KVWriter] = [Forgiving(Table(self.folder.path / "progress.csv", since), "progress.csv")]
        if self.config.tensorboard_log != "off":
            board = self.config.tensorboard_log
            name = f"{self.config.algo}_{self.folder.path.name}"
            board_folder = self.folder.board(Path(board), name) if board else self.folder.path / "tensorboard"
            writers.append(Forgiving(Board(board_folder, since), "the TensorBoard log"))
        if self.config.track != "off":
            name = f"{self.config.algo}_{self.folder.path.name}"
            writers.append(Tracker(self.config.track, self.folder.path, name, self.config.to_dict()))
        return Logger(str(self.folder.path), writers)

    def _zero_shot(self, metrics: dict[str, float]) -> ZeroShot | None:
        if self.config.rotations == 0:
            return None
        result = evaluate_model(
            self.model,
            self.config,
            rotations=self.config.rotations,
            episodes=self.config.eval_episodes,
            protocol="scene",
        )
        numbers, picture = self.folder.path / "zero_shot.json", self.folder.path / "zero_shot.png"
        write_json(
            result,
            numbers,
            env=self.config.env,
            algo=self.config.algo,
            network=self.config.network,
            run=str(self.folder.path),
        )
        picture.unlink(missing_ok=True)  # in a folder from somebody else it may be a link to a file of the user
        turned = len(result.angles_deg) > 1
        if turned:
            width = sector_width(self.config.env_kwargs)
            plot_zero_shot(
                result.members or {str(self.config.network): result}, picture, title=self.config.env, width=width
            )
        metrics.update(result.summary())
        _log_zero_shot(self.model, result)
        self._report(result)
        if turned:
            self._say(f"figure   {escape(str(picture))}")
        self._say(f"numbers  {escape(str(numbers))}")
        self._say(f"again    eqrl evaluate {self._name}{self._packages}")
        return result

    def _report(self, result: ZeroShot) -> None:
        turned = len(result.angles_deg) > 1
        what = f"{len(result.angles_deg)} rotations of the scene" if turned else "the scene as it is"
        self._say(f"result   {what}, {_in_words(result)}")
        width = max(map(len, result.members), default=0)
        for name, member in result.members.items():
            self._say(f"member   {escape(name.ljust(width))}  {_in_words(member)}")

    @property
    def _name(self) -> str:
        return escape(str(self.folder.path))  # rich would read [...] as markup

    @property
    def _packages(self) -> str:
        """What a command has to import for the environment; a file never does so by itself."""
        packages = self.config.gym_packages
        return escape(f" --gym-packages {' '.join(packages)}") if packages else ""

    def _say(self, text: str) -> None:
        self.console.print(text, highlight=False, soft_wrap=True)


def _symmetry_of(model: BaseAlgorithm) -> tuple[str, ...]:
    """What a robot's task says about its symmetry; the first one's of a fleet."""
    env: Any = model.get_env()
    simulation = getattr(env.unwrapped, "simulation", None)
    if simulation is None:
        return ()
    lines: tuple[str, ...] = simulation.at(0)[0].task.symmetry_in_words()
    return lines


def _in_words(result: ZeroShot) -> str:
    numbers = result.summary()
    words = f"return {numbers['return']:.2f}"
    if result.success is not None:
        words = f"success {numbers['success']:.2f} (least {result.success.min():.2f}, unturned {result.success[0]:.2f})"
    error = numbers.get("equivariance_error")
    return words if error is None else f"{words}, equivariance error {error:.1e}"


def _log_zero_shot(model: BaseAlgorithm, result: ZeroShot) -> None:
    for i, angle in enumerate(result.angles_deg):
        model.logger.record(f"zero_shot/return_at_{angle:03.0f}", float(result.mean_return[i]))
        if result.success is not None:
            model.logger.record(f"zero_shot/success_at_{angle:03.0f}", float(result.success[i]))
    for name, value in result.summary().items():
        if math.isfinite(value):
            model.logger.record(f"zero_shot/{name}", value)
    model.logger.dump(model.num_timesteps)
