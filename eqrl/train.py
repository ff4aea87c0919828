"""Train an agent: ``python -m eqrl.train``, ``eqrl train``, or ``train(Config(...))`` from Python."""

from __future__ import annotations

import math
import sys
import time
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import CallbackList
from stable_baselines3.common.logger import CSVOutputFormat, KVWriter, Logger, TensorBoardOutputFormat
from stable_baselines3.common.off_policy_algorithm import OffPolicyAlgorithm
from stable_baselines3.common.vec_env import VecEnv

from eqrl.build import make_env, make_model, resolve
from eqrl.callbacks import Checkpoints, Equivariance, Evaluate, NanGuard, refuse_nan_parameters
from eqrl.checkpoint import load_checkpoint, save_checkpoint
from eqrl.config import DEFAULT_JOB, Config
from eqrl.errors import UsageError
from eqrl.evaluate import evaluate_model, write_json
from eqrl.interrupt import StopOnSignal
from eqrl.progress import ShowProgress
from eqrl.protocol import ZeroShot
from eqrl.report import plot_zero_shot, sector_width
from eqrl.run_folder import RunFolder
from eqrl.summary import readme
from eqrl.threads import ShareCores, simulating

__all__ = ["Config", "Run", "resume", "train"]

# What may change when a run is resumed; everything else defines the run.
_MAY_CHANGE = (
    "n_timesteps",
    "num_threads",
    "device",
    "progress",
    "eval_freq",
    "eval_episodes",
    "save_freq",
    "rotations",
    "gym_packages",
)


@dataclass(frozen=True)
class Run:
    """A run that has ended.

    Attributes:
        path: its folder.
        model: the trained model.
        config: its resolved configuration.
        metrics: final numbers: ``timesteps``, ``seconds``, and after a zero-shot evaluation ``success``, ``return`` (means over
            the angles), ``retention_min`` and ``equivariance_error`` (largest).
        zero_shot: the zero-shot evaluation, or None if there was none.
        interrupted: whether it was stopped by a signal and can be resumed.
    """

    path: Path
    model: BaseAlgorithm
    config: Config
    metrics: dict[str, float] = field(default_factory=dict)
    zero_shot: ZeroShot | None = None
    interrupted: bool = False


def train(config: Config | None = None, console: Console | None = None) -> Run:
    """Train an agent and evaluate it on rotated worlds.

    Args:
        config: what to train; by default the job of ``eqrl train`` without options, ``eqrl.config.DEFAULT_JOB``.
        console: where progress is printed; nothing is printed without one.

    Returns:
        The run: its folder, model and final numbers.

    Raises:
        UsageError: if something does not fit, before any file is written; or during training if the environment or the
            training produces a NaN, with the last good model kept.
    """
    config = resolve(Config.from_dict(DEFAULT_JOB) if config is None else config)
    _use_threads(config)
    env = make_env(config, seed=config.seed)
    model = make_model(config, env)
    _check_turning(config)
    with closing(env), closing(_evaluation_env(config)) as eval_env:
        folder = RunFolder.create(config)
        folder.write("README.md", readme(folder, config))
        return _Session(config, folder, model, eval_env, console or Console(quiet=True)).run()


def resume(path: str | Path, console: Console | None = None, **changes: Any) -> Run:
    """Continue a run in its folder: counters, parameters and optimisers go on where they were.

    The simulation starts new episodes and the random numbers a new stream, and a replay buffer is filled anew, so the
    result is not the same to the bit as that of a run without an interruption.

    Args:
        path: the run folder.
        console: where progress is printed.
        changes: options that may change, such as a larger ``n_timesteps``.

    Raises:
        UsageError: if it is not a run folder, is complete already, or an option may not change.
    """
    folder = RunFolder.open(path)
    stored = folder.config()
    for name in changes:
        if name not in _MAY_CHANGE:
            raise UsageError(f"option {name!r} cannot change when {path} is resumed; only {', '.join(_MAY_CHANGE)} can")
    config = resolve(stored.replace(**changes))
    _use_threads(config)
    env = make_env(config, seed=config.seed)
    model = make_model(config, env)
    _check_turning(config)
    load_checkpoint(model, folder.last)
    if model.num_timesteps >= (config.n_timesteps or 0):
        env.close()
        raise UsageError(f"run {path} has done its {model.num_timesteps:,} steps already; give more with -n")
    # the model was built with the seed of step 0; going on with it would replay the same random numbers
    model.set_random_seed(int(np.random.SeedSequence([config.seed, model.num_timesteps]).generate_state(1)[0] >> 1))
    if isinstance(model, OffPolicyAlgorithm):
        model.learning_starts += model.num_timesteps  # the replay buffer is empty: fill it first, as at the beginning
    with closing(env), closing(_evaluation_env(config)) as eval_env:
        folder.write_config(config)
        return _Session(config, folder, model, eval_env, console or Console(quiet=True)).run()


@dataclass
class _Session:
    """One stretch of training within a run folder."""

    config: Config
    folder: RunFolder
    model: BaseAlgorithm
    eval_env: VecEnv
    console: Console

    def run(self) -> Run:
        """Train, save, evaluate, report."""
        self._say(
            f"[bold]{self.config.env}[/] with {self.config.algo}, network {self.config.network}, seed {self.config.seed}"
        )
        self._say(f"run      {self.folder.path}")
        self.model.set_logger(self._logger())
        try:
            return self._run()
        finally:
            self.model.logger.close()

    def _run(self) -> Run:
        start, first = time.monotonic(), self.model.num_timesteps
        stopped = self._learn()
        metrics = {"timesteps": float(self.model.num_timesteps), "seconds": time.monotonic() - start}
        refuse_nan_parameters(self.model, self.folder.last, self.model.num_timesteps)
        save_checkpoint(self.model, self.folder.last)
        result = None
        if stopped:
            self._say(f"stopped after {self.model.num_timesteps:,} steps, everything is saved")
            self._say(f"resume   eqrl train --resume {self.folder.path}")
        else:
            self._say(f"trained  {self.model.num_timesteps - first:,} steps in {metrics['seconds']:.0f} s")
            result = self._zero_shot(metrics)
        self.folder.write("README.md", readme(self.folder, self.config, metrics, result))
        return Run(self.folder.path, self.model, self.config, metrics, result, stopped)

    def _learn(self) -> bool:
        """Train to the end; whether a signal stopped it before."""
        total = self.config.n_timesteps or 0
        progress, cores = ShowProgress(total, self.console), ShareCores()
        try:
            with StopOnSignal() as stop, simulating():
                self.model.learn(
                    total - self.model.num_timesteps,
                    callback=CallbackList([cores, *self._callbacks(stop, progress)]),
                    log_interval=1 if self.config.algo == "ppo" else 20,
                    reset_num_timesteps=False,
                )
        except ValueError as error:
            # PyTorch's distributions raise it in the middle of an update for a mean or width that is not finite
            if "Expected parameter" not in str(error):
                raise
            raise UsageError(
                f"the action distribution is not finite after {self.model.num_timesteps} steps, the training diverged; "
                f"lower learning_rate and train again (last good model: {self.folder.last})"
            ) from None
        finally:
            progress.close()
        return stop.stopped

    def _callbacks(self, stop: StopOnSignal, progress: ShowProgress) -> list[Any]:
        config, folder = self.config, self.folder
        return [
            NanGuard(config.env, folder.last),
            Checkpoints(config.save_freq or 0, folder),
            Evaluate(self.eval_env, config.eval_freq or 0, folder),
            Equivariance(max((config.n_timesteps or 0) // 50, 1)),
            *([progress] if config.progress else []),
            stop,
        ]

    def _logger(self) -> Logger:
        # SB3's CSV writer empties its file, so a resumed run gets a file of its own
        steps = self.model.num_timesteps
        name = "progress.csv" if steps == 0 else f"progress_from_{steps}.csv"
        writers: list[KVWriter] = [CSVOutputFormat(str(self.folder.path / name))]
        if self.config.tensorboard_log != "off":
            board = self.config.tensorboard_log
            place = Path(board) / f"{self.config.algo}_{self.folder.path.name}" if board else self.folder.path / "tensorboard"
            writers.append(TensorBoardOutputFormat(str(place)))
        return Logger(str(self.folder.path), writers)

    def _zero_shot(self, metrics: dict[str, float]) -> ZeroShot | None:
        if self.config.rotations == 0:
            return None
        result = evaluate_model(
            self.model, self.config, rotations=self.config.rotations, episodes=self.config.eval_episodes, protocol="scene"
        )
        numbers, picture = self.folder.path / "zero_shot.json", self.folder.path / "zero_shot.png"
        write_json(
            result, numbers, env=self.config.env, algo=self.config.algo, network=self.config.network, run=str(self.folder.path)
        )
        width = sector_width(self.config.env_kwargs)
        plot_zero_shot({str(self.config.network): result}, picture, title=self.config.env, width=width)
        metrics.update(result.summary())
        _log_zero_shot(self.model, result)
        self._report(result)
        self._say(f"figure   {picture}")
        self._say(f"numbers  {numbers}")
        self._say(f"again    eqrl evaluate {self.folder.path}")
        return result

    def _report(self, result: ZeroShot) -> None:
        numbers = result.summary()
        parts = [f"{result.returns.shape[0]} rotations of the scene"]
        if "success" in numbers:
            assert result.success is not None  # summary took it from there
            parts.append(
                f"success {numbers['success']:.2f} (least {result.success.min():.2f}, unturned {result.success[0]:.2f})"
            )
        else:
            parts.append(f"return {numbers['return']:.2f}")
        if "equivariance_error" in numbers:
            parts.append(f"equivariance error {numbers['equivariance_error']:.1e}")
        self._say("result   " + ", ".join(parts))

    def _say(self, text: str) -> None:
        self.console.print(text, highlight=False, soft_wrap=True)


def _log_zero_shot(model: BaseAlgorithm, result: ZeroShot) -> None:
    for i, angle in enumerate(result.angles_deg):
        model.logger.record(f"zero_shot/return_at_{angle:03.0f}", float(result.mean_return[i]))
        if result.success is not None:
            model.logger.record(f"zero_shot/success_at_{angle:03.0f}", float(result.success[i]))
    for name, value in result.summary().items():
        if math.isfinite(value):
            model.logger.record(f"zero_shot/{name}", value)
    model.logger.dump(model.num_timesteps)


def _evaluation_env(config: Config) -> VecEnv:
    return make_env(config, config.eval_episodes, evaluation=True)


def _check_turning(config: Config) -> None:
    """Refuse, before the training and not after it, a zero-shot evaluation that the environment does not offer."""
    if config.rotations == 0:
        return
    try:
        make_env(config, 1, evaluation=True, scene_rotation=np.zeros(1)).close()
    except UsageError as error:
        if "scene_rotation" not in str(error):
            raise
        raise UsageError(
            f"environment {config.env} cannot be turned for the zero-shot evaluation, it has no option 'scene_rotation'; "
            "add the option to it or leave the evaluation out with --rotations 0"
        ) from None


def _use_threads(config: Config) -> None:
    if config.num_threads is not None:
        torch.set_num_threads(config.num_threads)


if __name__ == "__main__":
    from eqrl.cli import main

    sys.exit(main(["train", *sys.argv[1:]]))
