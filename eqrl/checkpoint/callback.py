"""Exact resume in your own script: one callback for stock Stable-Baselines3 algorithms."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import BaseCallback

from eqrl.checkpoint.contents import Description
from eqrl.checkpoint.environment import NoStateError, capture
from eqrl.checkpoint.store import Store
from eqrl.checkpoint.training import restore_randomness
from eqrl.errors import UsageError


class SaveTraining(BaseCallback):
    """Saves the whole training at intervals, and resumes it to the bit.

    Run the script again after a kill and it continues::

        saver = SaveTraining("runs/mine", every=50_000)
        saver.restore(model)
        model.learn(1_000_000 - model.num_timesteps, callback=saver, reset_num_timesteps=False)

    Everything that determines the training is saved: parameters, optimisers, counters, all random numbers, the replay
    buffer, and the state of the environments as far as :func:`eqrl.checkpoint.capture` can read it
    (:func:`eqrl.checkpoint.rehearse` tests this). Build the model with the same code each time. Other callbacks have to
    save their state themselves.

    Args:
        folder: folder for the checkpoints.
        every: environment steps between two checkpoints, which are written at the start of a rollout.
        keep: number of newest checkpoints to keep; 0 for all.

    Raises:
        UsageError: while restoring, if there are checkpoints but none is undamaged and fits the model; while training,
            if there are checkpoints that were not restored; in both cases, if another process is training in the
            folder.
        OSError: while training, if a checkpoint cannot be written; older ones stay.
    """

    def __init__(self, folder: str | Path, every: int, keep: int = 3) -> None:
        super().__init__()
        if every < 1 or keep < 0:
            raise UsageError(f"every={every} and keep={keep} must be at least 1 and 0")
        self.every = every
        self.store = Store(Path(folder), keep)
        self._randomness: Mapping[str, Any] | None = None
        self._next = 0
        self._saved = -1
        # a lock of the process: a second callback for the same folder in one process, as in a notebook, shares it
        self._lock = FileLock(Path(folder) / "lock", timeout=0, is_singleton=True)

    def restore(self, model: BaseAlgorithm) -> bool:
        """Put the newest undamaged checkpoint into a model that was just built.

        Returns:
            Whether there was one.
        """
        if not self.store.steps():
            return False
        self._lock_folder()
        self.store.sweep()
        checkpoint, manifest = self.store.newest(complete=True)
        self._randomness = self.store.resume(model, checkpoint, manifest)["randomness"]
        self._saved = model.num_timesteps
        self._next = (model.num_timesteps // self.every + 1) * self.every
        return True

    def _on_training_start(self) -> None:
        self._lock_folder()
        newest = max(self.store.steps(), default=-1)
        if self._saved < 0 <= newest:
            raise UsageError(
                f"{self.store.folder} holds the checkpoints of a training of {newest:,} steps, which this one would"
                " replace; call restore(model) before learn, or give another folder"
            )
        if self.num_timesteps < self._saved:
            raise UsageError(f"{self._saved:,} steps are saved already; call learn with reset_num_timesteps=False")

    def _on_rollout_start(self) -> None:
        if self._randomness is not None:
            restore_randomness(self.model, self._randomness)
            self._randomness = None
        if self.num_timesteps >= self._next:
            self._save()
            self._next = (self.num_timesteps // self.every + 1) * self.every

    def _on_step(self) -> bool:
        return True

    def _on_training_end(self) -> None:
        if self.num_timesteps > self._saved:  # learn() may have had nothing to do
            self._save()

    def _lock_folder(self) -> None:
        """Lock the folder for the lifetime of the process."""
        if self._lock.is_locked:
            return
        try:
            self.store.folder.parent.mkdir(parents=True, exist_ok=True)
            self._lock.acquire()
        except Timeout:
            raise UsageError(
                f"{self.store.folder.parent} is being trained by another process; give another folder"
            ) from None

    def _save(self) -> None:
        env = self.model.get_env()
        assert env is not None
        try:
            capture(env)
            inexact = None
        except NoStateError as error:
            inexact = str(error)
        self.store.save(self.model, Description({"script": sys.argv[0]}, {}, inexact), {})
        self._saved = self.num_timesteps
