"""The bundle of a failure: a folder with its evidence, in files that hold numbers and text but no code."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from eqrl.checkpoint.parameters import encode
from eqrl.files.atomic import whole_folder
from eqrl.versions import versions


@dataclass
class Bundle:
    """The contents of a bundle.

    Attributes:
        record: plain values for ``failure.json``; versions are added.
        batch: arrays for ``batch.npz``; arrays that are not numeric are left out.
        parameters: tensors for ``parameters.safetensors``.
        state: arrays of the physics for ``state.npz``; without any, the file is left out.
    """

    record: dict[str, Any] = field(default_factory=dict)
    batch: dict[str, NDArray[Any]] = field(default_factory=dict)
    parameters: dict[str, torch.Tensor] = field(default_factory=dict)
    state: dict[str, NDArray[Any]] = field(default_factory=dict)

    def write(self, folder: Path, steps: int) -> Path:
        """Write ``failure_<steps>/`` atomically, so that the name never belongs to an incomplete bundle.

        Args:
            folder: the run folder.
            steps: environment steps so far.

        Raises:
            OSError: if it cannot be written.
        """
        path, number = folder / f"failure_{steps}", 1
        while path.exists():  # a run that was resumed may fail at the same step again
            number += 1
            path = folder / f"failure_{steps}_{number}"
        with whole_folder(path) as aside:
            record = {**self.record, "versions": versions()}
            (aside / "failure.json").write_text(json.dumps(record, indent=1, default=str) + "\n", encoding="utf-8")
            np.savez(aside / "batch.npz", allow_pickle=False, **_numbers(self.batch))
            if self.state:
                np.savez(aside / "state.npz", allow_pickle=False, **_numbers(self.state))
            (aside / "parameters.safetensors").write_bytes(encode(self.parameters))
        return path


def flat(prefix: str, values: Any) -> dict[str, NDArray[Any]]:
    """Flatten an array or tensor, or a nested dict of them, to arrays with dotted names."""
    if isinstance(values, Mapping):
        return {name: array for key, part in values.items() for name, array in flat(f"{prefix}.{key}", part).items()}
    return {prefix: values.detach().cpu().numpy() if isinstance(values, torch.Tensor) else np.asarray(values)}


def _numbers(arrays: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    return {name: array for name, array in arrays.items() if array.dtype.kind in "biufc"}
