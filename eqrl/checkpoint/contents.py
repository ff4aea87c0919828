"""The folder of one checkpoint: its files, its policy and its manifest."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stable_baselines3.common.base_class import BaseAlgorithm

from eqrl.checkpoint.manifest import NAME, Entry, Manifest
from eqrl.checkpoint.parameters import decode, load_policy, set_reward_scale
from eqrl.files.atomic import is_plain_file

POLICY, TRAINING, STATE, STATE_ARRAYS, EPISODES = (
    "policy.safetensors",
    "training.safetensors",
    "state.json",
    "state.npz",
    "episodes.npz",
)


@dataclass(frozen=True)
class Description:
    """What a run puts into the manifests of its checkpoints.

    Attributes:
        config: its resolved configuration.
        versions: versions of everything that determines its bits.
        inexact: why a resumed run will not be the same to the bit, or None.
    """

    config: Mapping[str, Any]
    versions: Mapping[str, str]
    inexact: str | None = None


def is_checkpoint(path: Path) -> bool:
    """Whether a folder looks like a checkpoint."""
    return is_plain_file(path / NAME)


def load_checkpoint(model: BaseAlgorithm, checkpoint: Path, manifest: Manifest) -> None:
    """Put the policy of a checkpoint into a model of the same architecture. Nothing in it is executed.

    Raises:
        UsageError: if it is damaged or of another architecture.
    """
    tensors, plain = decode(manifest.content(checkpoint, POLICY), f"{checkpoint / POLICY}")
    load_policy(model, tensors, f"{checkpoint / POLICY}")
    set_reward_scale(model, plain.get("rewards"), f"{checkpoint / POLICY}")
    model.num_timesteps = manifest.step


def write_manifest(
    aside: Path,
    model: BaseAlgorithm,
    about: Description,
    *,
    complete: bool,
    replay: Mapping[str, Entry] | None = None,
    extra: Mapping[str, Any] | None = None,
) -> None:
    """Write the manifest of a checkpoint whose other files are written already.

    Args:
        aside: the unfinished folder.
        model: the model.
        about: description of the run.
        complete: whether a training can resume from the checkpoint.
        replay: files of the replay log that make up the buffer.
        extra: plain values to store with it.
    """
    manifest = Manifest(
        step=model.num_timesteps,
        complete=complete,
        config=about.config,
        spaces={"observation": repr(model.observation_space), "action": repr(model.action_space)},
        versions=about.versions,
        files={path.name: Entry.of(path) for path in sorted(aside.iterdir())},
        replay=replay or {},
        inexact=about.inexact,
        created=time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        extra=extra or {},
    )
    (aside / NAME).write_text(manifest.text(), encoding="utf-8")
