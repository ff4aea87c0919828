"""Where the policy of a run lies and how it was made; PyTorch's networks are not needed to know."""

from __future__ import annotations

from pathlib import Path

from eqrl.checkpoint.contents import is_checkpoint
from eqrl.checkpoint.manifest import Manifest
from eqrl.runs.config import Config
from eqrl.runs.folder import RunFolder


def find_checkpoint(path: str | Path, which: str | int = "last") -> tuple[Path, Manifest, Config]:
    """A checkpoint's folder, its manifest, and the configuration of its run.

    Args:
        path: the run folder, or the folder of one of its checkpoints.
        which: of a run folder, ``"last"``, ``"best"`` or a number of steps.

    Raises:
        UsageError: if it is not a run folder, has no such checkpoint, or was changed after it was written.
    """
    path = Path(path)
    if is_checkpoint(path):
        manifest = Manifest.read(path)
        return path, manifest, Config.from_dict(manifest.config, str(path))
    folder = RunFolder.open(path)
    checkpoint_folder, manifest = folder.checkpoint(which)
    return checkpoint_folder, manifest, folder.stored_config(checkpoint_folder, manifest)
