"""``eqrl.load``: load a model from a run folder or file, without running code from it unless the user allows it."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, overload

from stable_baselines3.common.base_class import BaseAlgorithm

from eqrl.errors import UsageError
from eqrl.loading.archive import load_archive
from eqrl.runs.config import Config
from eqrl.runs.stored_models import load_run

_ZIP, _PICKLE = b"PK", b"\x80"
# file types that hold something other than a model, and what to do with them
_OTHERS = {
    ".safetensors": "the parameters of a run alone; give the run folder, and which of its models with checkpoint=",
    ".yaml": "a configuration; train it with 'eqrl train --config'",
    ".yml": "a configuration; train it with 'eqrl train --config'",
    ".toml": "a configuration; train it with 'eqrl train --config'",
    ".json": "a text file; give the folder that it lies in",
    ".onnx": "an exported policy, which needs no eqrl: run it with onnxruntime",
    ".pt2": "an exported policy, which needs no eqrl: run it with torch.export.load",
}
_PICKLED = (".pkl", ".pickle", ".pt", ".pth", ".ckpt", ".bin", ".joblib", ".npy", ".npz")
_ACCEPTED = "give a run folder, or a .zip file that model.save of Stable-Baselines3 wrote"


@overload
def load(
    path: str | Path,
    checkpoint: str | int = ...,
    device: str | None = ...,
    *,
    config: Config | str | Path | None = ...,
    trusted: Literal[False] = ...,
) -> tuple[BaseAlgorithm, Config]: ...
@overload
def load(
    path: str | Path,
    checkpoint: str | int = ...,
    device: str | None = ...,
    *,
    config: Config | str | Path | None = ...,
    trusted: bool,
) -> tuple[BaseAlgorithm, Config | None]: ...
def load(
    path: str | Path,
    checkpoint: str | int = "last",
    device: str | None = None,
    *,
    config: Config | str | Path | None = None,
    trusted: bool = False,
) -> tuple[BaseAlgorithm, Config | None]:
    """Load a model. No code in the file or folder is executed unless ``trusted`` is set.

    Args:
        path: a run folder, or a ``.zip`` file of Stable-Baselines3.
        checkpoint: which model of a run folder: ``"last"``, ``"best"`` or a number of steps.
        device: PyTorch device; by default that of the configuration.
        config: for a ``.zip`` file, the configuration that it was trained with, or a file that holds it. The model is
            built from it and gets the archive's parameters, optimisers and counters. A run folder contains its
            configuration.
        trusted: for a ``.zip`` file, call ``load`` of Stable-Baselines3, **which runs code from the file**: its author
            can do with this computer what you can.

    Returns:
        The model and its configuration, which is None for a ``trusted`` ``.zip`` file without one.

    Raises:
        UsageError: if it is neither, is damaged, or does not fit the configuration. The package of a third-party
            environment must have been imported before.
    """
    path = Path(path)
    if path.is_dir() or not (path.exists() or path.suffix == ".zip"):
        for name, given in (("config", config is not None), ("trusted", trusted)):
            if given and path.is_dir():
                raise UsageError(
                    f"{name!r} is for .zip files of Stable-Baselines3, and {path} is a folder, which has its"
                    f" configuration with it; leave {name!r} out"
                )
        return load_run(path, checkpoint, device)
    _refuse_other_kinds(path)
    if checkpoint != "last":
        raise UsageError(
            f"{path} holds one model, and checkpoint {checkpoint!r} is for run folders; leave 'checkpoint' out"
        )
    return load_archive(path, config, device, trusted=trusted)


def _refuse_other_kinds(path: Path) -> None:
    """Refuse a file that is not a zip archive of a model; the error says what the file is instead."""
    if not path.exists():
        return
    if not path.is_file():
        raise UsageError(f"{path} is neither a file nor a folder; {_ACCEPTED}")
    try:
        with path.open("rb") as file:
            start = file.read(2)
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from None
    suffix = path.suffix.lower()
    if suffix in _OTHERS:
        raise UsageError(f"{path} is not loaded: it is {_OTHERS[suffix]}")
    if suffix in _PICKLED or start[:1] == _PICKLE:
        raise UsageError(
            f"{path} is not loaded: it is a pickle or may hold one, which runs code when it is read; {_ACCEPTED}"
        )
    if start != _ZIP:
        raise UsageError(
            f"{path} is not loaded: it is no zip archive, so Stable-Baselines3 did not write it; {_ACCEPTED}"
        )
