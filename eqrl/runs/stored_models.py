"""Load models from run folders."""

from __future__ import annotations

import warnings
from pathlib import Path

from stable_baselines3.common.base_class import BaseAlgorithm

from eqrl.checkpoint.contents import load_checkpoint
from eqrl.checkpoint.manifest import DamagedCheckpointError, Manifest
from eqrl.runs.config import Config
from eqrl.runs.environments import make_env
from eqrl.runs.models import make_model
from eqrl.runs.stored import find_checkpoint


def load_run(
    path: str | Path, checkpoint: str | int = "last", device: str | None = None
) -> tuple[BaseAlgorithm, Config]:
    """Load the model of a run. No code in the folder is executed: only numbers and options are read.

    Args:
        path: the run folder, or the folder of one of its checkpoints.
        checkpoint: ``"last"``, ``"best"`` or a number of steps.
        device: PyTorch device; by default the run's.

    Returns:
        The model, with a vector environment of size one, and the run's configuration.

    Raises:
        UsageError: if it is not a run folder, has no such checkpoint, or was changed after it was written. The package
            of a third-party environment must have been imported before.
    """
    path = Path(path)
    while True:
        checkpoint_folder, manifest, config = find_checkpoint(path, checkpoint)
        try:
            return _loaded(checkpoint_folder, manifest, config, device)
        except DamagedCheckpointError:
            # a running training may have deleted it in the meantime; then there is a newer one
            if checkpoint_folder.is_dir() or checkpoint not in ("last", "best") or checkpoint_folder == path:
                raise


def _loaded(
    checkpoint_folder: Path, manifest: Manifest, config: Config, device: str | None
) -> tuple[BaseAlgorithm, Config]:
    with warnings.catch_warnings():
        # SB3 warns that a rollout of one environment does not fill a minibatch, but nothing is trained here
        warnings.filterwarnings("ignore", message="You have specified a mini-batch size")
        model = make_model(config.replace(device=device or config.device), make_env(config, 1, config.seed))
    load_checkpoint(model, checkpoint_folder, manifest)
    return model, config
