"""Which files of a run folder belong on a hub; nothing else is uploaded or downloaded."""

from __future__ import annotations

import re
from pathlib import Path

from eqrl.checkpoint.manifest import NAME, DamagedCheckpointError, Manifest
from eqrl.files.atomic import is_plain_file
from eqrl.runs.folder import RunFolder

CARD = "README.md"
_TOP = (
    *("config.yaml", "versions.txt", "progress.csv", "evaluations.csv"),
    *("result.json", "zero_shot.json", "zero_shot.png"),
)
_CHECKPOINT = r"checkpoints/(step|best)_\d{12}/[a-z0-9_]+\.(safetensors|npz|json)"
_KNOWN = re.compile(
    "|".join([*map(re.escape, (*_TOP, CARD)), r"checkpoints/(latest|best)", _CHECKPOINT, r"replay/[a-z0-9_]+\.npz"])
)


def belongs(name: str) -> bool:
    """Whether a file may be part of a run folder, by its path within it: no path leads out of the folder."""
    return _KNOWN.fullmatch(name) is not None


def files_to_push(folder: RunFolder, replay: bool) -> dict[str, Path]:
    """The files of a run that are uploaded: its newest and its best checkpoint, its curves and its results.

    Args:
        folder: the run.
        replay: with the replay buffer, without which SAC and TD3 cannot resume.

    Returns:
        Files by their path in the repository; all have been compared with what was written.

    Raises:
        UsageError: if a checkpoint is damaged.
    """
    last, manifest = folder.checkpoints.newest(complete=replay)
    checkpoints = {last: manifest}
    if any(folder.checkpoints.folder.glob("best_*")):
        checkpoints.update([folder.checkpoints.best()])
    paths = [folder.path / name for name in _TOP]
    for checkpoint, listed in checkpoints.items():
        listed.check(checkpoint)
        paths += [checkpoint / name for name in (NAME, *listed.files)]
    paths += [folder.checkpoints.folder / pointer for pointer in ("latest", "best")]
    if replay:
        paths += [folder.checkpoints.log.folder / name for name in manifest.replay]
    return {path.relative_to(folder.path).as_posix(): path for path in paths if is_plain_file(path)}


def check_download(folder: RunFolder) -> bool:
    """Compare every checkpoint of a downloaded run with its manifest.

    Returns:
        Whether a training can resume from it: a replay buffer may have been left out.

    Raises:
        DamagedCheckpointError: naming the first file that is missing, different or not listed.
    """
    resumable = True
    checkpoints = [path for path in sorted(folder.checkpoints.folder.iterdir()) if path.is_dir()]
    for checkpoint in checkpoints:
        manifest = Manifest.read(checkpoint)
        whole = not manifest.replay or folder.checkpoints.log.folder.is_dir()
        manifest.check(checkpoint, folder.checkpoints.log.folder if whole else None)
        resumable &= whole
        if strange := sorted(p.name for p in checkpoint.iterdir() if p.name not in (NAME, *manifest.files)):
            raise DamagedCheckpointError(f"{checkpoint / strange[0]} is not listed in its manifest")
    return resumable
