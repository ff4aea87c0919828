"""The checkpoints of one run: written atomically, listed, verified and pruned.

::

    checkpoints/
      step_000000409600/      manifest.json, policy.safetensors, training.safetensors, state.json, state.npz,
      episodes.npz best_000000368640/      manifest.json, policy.safetensors
      latest, best            one line each: the name of a folder
    replay/                   chunks of the replay buffer, shared by the checkpoints
"""

from __future__ import annotations

import json
import re
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.off_policy_algorithm import OffPolicyAlgorithm

from eqrl.checkpoint.arrays import read_arrays, write_arrays
from eqrl.checkpoint.contents import (
    EPISODES,
    POLICY,
    STATE,
    STATE_ARRAYS,
    TRAINING,
    Description,
    load_checkpoint,
    write_manifest,
)
from eqrl.checkpoint.environment import capture, restore
from eqrl.checkpoint.manifest import DamagedCheckpointError, Entry, Manifest
from eqrl.checkpoint.parameters import decode, encode, load_training, policy_tensors, reward_scale, training_tensors
from eqrl.checkpoint.replay import ReplayLog, end_episodes, mutable_part, restore_mutable_part
from eqrl.checkpoint.training import capture_randomness, capture_training, restore_training
from eqrl.checkpoint.values import Arrays, DamagedValuesError, pack, unpack
from eqrl.errors import UsageError
from eqrl.files.atomic import remove_folder, sweep, whole_folder, write_whole

_STEP = re.compile(r"step_(\d{12})")
_BEST = re.compile(r"best_(\d{12})")


class CheckpointWarning(UserWarning):
    """A damaged checkpoint was passed over."""


class Store:
    """The checkpoints of a run.

    Args:
        run: the run folder.
        keep: number of newest checkpoints to keep besides the best one; 0 for all.
    """

    def __init__(self, run: Path, keep: int = 0) -> None:
        self.folder = run / "checkpoints"
        self.keep = keep
        self.log = ReplayLog(run / "replay")

    # ------------------------------------------------------------------ write
    def save(self, model: BaseAlgorithm, about: Description, progress: Mapping[str, Any]) -> Path:
        """Write a complete checkpoint, make it the latest and delete those that are too old.

        Args:
            model: at the beginning of a rollout, or after ``learn``.
            about: description of the run.
            progress: state of the callbacks, as plain values.

        Returns:
            Its folder.

        Raises:
            FloatingPointError: if a parameter is not finite; nothing is written.
            OSError: if the checkpoint cannot be written; all older ones stay.
        """
        policy = policy_tensors(model)
        training, optimizers = training_tensors(model)
        arrays: Arrays = {}
        env = model.get_env()
        assert env is not None
        parts: dict[str, Any] = {
            "training": capture_training(model),
            "randomness": capture_randomness(model),
            "environment": None if about.inexact else capture(env),
            "progress": dict(progress),
            "rows": None,
        }
        replay: dict[str, Entry] = {}
        buffer = model.replay_buffer if isinstance(model, OffPolicyAlgorithm) else None
        if buffer is not None:
            parts["rows"] = model.num_timesteps // model.n_envs
            replay = self.log.append(buffer, parts["rows"])
        state = json.dumps(pack(parts, arrays))
        checkpoint = self.folder / f"step_{model.num_timesteps:012d}"
        with whole_folder(checkpoint) as aside:
            (aside / POLICY).write_bytes(encode(policy, {"rewards": reward_scale(model)}))
            (aside / TRAINING).write_bytes(encode(training, {"optimizers": optimizers}))
            (aside / STATE).write_text(state, encoding="utf-8")
            write_arrays(aside / STATE_ARRAYS, arrays)
            if buffer is not None:
                write_arrays(aside / EPISODES, mutable_part(buffer))
            write_manifest(aside, model, about, complete=True, replay=replay)
        self._point("latest", checkpoint)
        self.prune(model.num_timesteps)
        return checkpoint

    def save_best(self, model: BaseAlgorithm, about: Description, extra: Mapping[str, Any]) -> Path:
        """Write the policy alone as the best one so far.

        Raises:
            FloatingPointError: if a parameter is not finite.
            OSError: if it cannot be written; the previous best one stays.
        """
        policy = policy_tensors(model)
        checkpoint = self.folder / f"best_{model.num_timesteps:012d}"
        with whole_folder(checkpoint) as aside:
            (aside / POLICY).write_bytes(encode(policy, {"rewards": reward_scale(model)}))
            write_manifest(aside, model, about, complete=False, extra=extra)
        self._point("best", checkpoint)
        for old in self._folders(_BEST):
            if old != checkpoint:
                remove_folder(old)
        return checkpoint

    def prune(self, step: int) -> None:
        """Delete checkpoints beyond those to keep, and chunks of the replay buffer that no remaining one lists.

        Args:
            step: step of the newest good checkpoint. Newer ones are damaged and were passed over, and must not displace
                good ones.
        """
        checkpoints = self._folders(_STEP)
        newer = [checkpoint for checkpoint in checkpoints if checkpoint > self.at(step)]
        older = [checkpoint for checkpoint in checkpoints if checkpoint not in newer]
        for old in [*newer, *(older[self.keep :] if self.keep else [])]:
            remove_folder(old)
        needed = set(self.log.entries)
        for checkpoint in self._folders(_STEP):
            try:
                needed |= set(Manifest.read(checkpoint).replay)
            except DamagedCheckpointError:
                continue
        self.log.prune(needed)

    def sweep(self) -> None:
        """Delete files and folders that a killed process left half-written. Only for the owner of the run's lock."""
        for folder in (self.folder.parent, self.folder, self.log.folder):
            # a link may lead anywhere, to files that are not the run's
            if folder.is_dir() and (folder == self.folder.parent or not folder.is_symlink()):
                sweep(folder)

    # ------------------------------------------------------------------ find
    def steps(self) -> list[int]:
        """Environment steps of all checkpoints, newest first; the checkpoints are not verified."""
        return [int(checkpoint.name.removeprefix("step_")) for checkpoint in self._folders(_STEP)]

    def newest(self, complete: bool) -> tuple[Path, Manifest]:
        """The newest undamaged checkpoint; damaged ones are passed over with a warning.

        Args:
            complete: verify everything that a resume needs; otherwise the policy only.

        Raises:
            UsageError: if there is none; the message gives the reason.
        """
        newest, why = self._first(_STEP, complete)
        if newest is None:
            raise UsageError(
                f"{self.folder.parent} has no usable checkpoint: {why or 'the run ended before it wrote one'}"
            )
        return newest

    def best(self) -> tuple[Path, Manifest]:
        """The checkpoint with the best evaluation.

        Raises:
            UsageError: if there is none.
        """
        best, why = self._first(_BEST, complete=False)
        if best is None:
            raise UsageError(why or f"run {self.folder.parent} has no checkpoint 'best'; it was never evaluated")
        return best

    def at(self, step: int) -> Path:
        """The folder of the checkpoint at a step."""
        return self.folder / f"step_{step:012d}"

    def verified(self, checkpoint: Path, complete: bool) -> Manifest:
        """The manifest of a checkpoint, with its files verified.

        Raises:
            DamagedCheckpointError: if a file differs from what was written.
        """
        manifest = Manifest.read(checkpoint)
        if checkpoint.name != f"{checkpoint.name[:4]}_{manifest.step:012d}":
            raise DamagedCheckpointError(f"{checkpoint} holds the checkpoint of step {manifest.step}")
        if complete:
            if not manifest.complete:
                raise DamagedCheckpointError(f"{checkpoint} holds a policy only")
            manifest.check(checkpoint, self.log.folder)
        else:
            manifest.check(checkpoint, names=[POLICY])
        return manifest

    # ------------------------------------------------------------------ read
    def resume(self, model: BaseAlgorithm, checkpoint: Path, manifest: Manifest) -> dict[str, Any]:
        """Put a complete checkpoint into a model that was just built from the run's configuration.

        Returns:
            ``progress`` as it was saved, and ``randomness`` for
            :func:`~eqrl.checkpoint.training.restore_randomness` at the beginning of the first rollout.

        Raises:
            UsageError: if the checkpoint does not fit the model.
        """
        load_checkpoint(model, checkpoint, manifest)
        tensors, plain = decode(manifest.content(checkpoint, TRAINING), f"{checkpoint / TRAINING}")
        load_training(model, tensors, plain.get("optimizers", {}), f"{checkpoint / TRAINING}")
        try:
            arrays = read_arrays(manifest.content(checkpoint, STATE_ARRAYS))
            parts = unpack(json.loads(manifest.content(checkpoint, STATE)), arrays)
            restore_training(model, parts["training"])
            if model.num_timesteps != manifest.step:
                raise DamagedValuesError(f"its state is that of step {model.num_timesteps}")
            self.log.entries = dict(manifest.replay)
            if isinstance(model, OffPolicyAlgorithm) and model.replay_buffer is not None:
                self.log.fill(model.replay_buffer, parts["rows"])
                restore_mutable_part(model.replay_buffer, read_arrays(manifest.content(checkpoint, EPISODES)))
            if parts["environment"] is None:
                model._last_obs = None  # learn() then starts new episodes
                if isinstance(model, OffPolicyAlgorithm) and model.replay_buffer is not None:
                    end_episodes(model.replay_buffer)
            else:
                env = model.get_env()
                assert env is not None
                restore(env, parts["environment"])
            return {"progress": parts["progress"], "randomness": parts["randomness"]}
        except (
            DamagedValuesError,
            KeyError,
            TypeError,
            ValueError,
            AttributeError,
            IndexError,
            RecursionError,
        ) as error:
            raise DamagedCheckpointError(f"checkpoint {checkpoint} does not fit the run: {error}") from None

    def _first(self, pattern: re.Pattern[str], complete: bool) -> tuple[tuple[Path, Manifest] | None, str]:
        """The newest checkpoint that is undamaged, and the damage of the last one that is not."""
        why, again = "", True
        while again:
            again = False
            for checkpoint in self._folders(pattern):
                try:
                    return (checkpoint, self.verified(checkpoint, complete)), why
                except DamagedCheckpointError as error:
                    if not checkpoint.is_dir():  # a running training has deleted it, after it wrote a newer one
                        again = True
                        continue
                    why = str(error)
                    warnings.warn(
                        CheckpointWarning(f"checkpoint {checkpoint.name} is passed over: {error}"), stacklevel=3
                    )
        return None, why

    def _folders(self, pattern: re.Pattern[str]) -> list[Path]:
        if not self.folder.is_dir():
            return []
        folders = [p for p in self.folder.iterdir() if pattern.fullmatch(p.name) and p.is_dir() and not p.is_symlink()]
        return sorted(folders, reverse=True)

    def _point(self, name: str, checkpoint: Path) -> None:
        write_whole(self.folder / name, checkpoint.name + "\n")
