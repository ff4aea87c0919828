"""Check an archive by its table of contents and its plain values, before memory is allocated for its members."""

from __future__ import annotations

import json
import stat
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from eqrl.errors import UsageError
from eqrl.files.zip_members import ZIP_ERRORS, read_member

DATA, VARIABLES = "data", "pytorch_variables.pth"
SIZE_LIMITS: Mapping[str, int] = {DATA: 2**22, "_stable_baselines3_version": 2**10, "system_info.txt": 2**16}
# bytes that PyTorch writes around the numbers, for each tensor and for each file
TENSOR_OVERHEAD, FILE_OVERHEAD = 2**10, 2**16
SLOTS = ("exp_avg", "exp_avg_sq", "max_exp_avg_sq")
FIX = "give the env, network and policy_kwargs that it was trained with"
# for each algorithm, a plain value that only it stores
_MARKS = {"ppo": "n_epochs", "sac": "target_entropy", "td3": "policy_delay"}
_FOREIGN = ("top_quantiles_to_drop_per_net", "quantile_coefficients")  # TQC stores the marks of SAC too


@contextmanager
def opened(path: Path) -> Iterator[zipfile.ZipFile]:
    """Open an archive.

    Raises:
        UsageError: if it is not a zip archive.
    """
    try:
        archive = zipfile.ZipFile(path)
    except ZIP_ERRORS as error:
        raise UsageError(
            f"{path} is not loaded: it is no zip archive, or is cut off or damaged: {str(error)[:200]}"
        ) from None
    with archive:
        yield archive


def check_members(path: Path, archive: zipfile.ZipFile, size_limits: Mapping[str, int], needed: set[str]) -> None:
    """Refuse members that the model does not need, by the archive's table of contents alone."""
    seen: set[str] = set()
    for info in archive.infolist():
        name = info.orig_filename  # the attribute ``filename`` ends at a zero byte
        what = f"{path} is not loaded: its member {name[:80]!r}"
        if name not in size_limits:
            raise UsageError(f"{what} does not belong to the configured model, which has {', '.join(sorted(needed))}")
        if name in seen:
            raise UsageError(f"{what} is there twice")
        seen.add(name)
        mode = info.external_attr >> 16
        if mode and stat.S_IFMT(mode) not in (0, stat.S_IFREG):
            raise UsageError(f"{what} is a link or something else that is no file")
        if info.flag_bits & 0x1:
            raise UsageError(f"{what} is encrypted")
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise UsageError(f"{what} is compressed in a way that Stable-Baselines3 does not use")
        if info.file_size > size_limits[name]:
            raise UsageError(
                f"{what} would take {info.file_size} bytes, and the configured model needs at most {size_limits[name]};"
                f" {FIX}"
            )
    if missing := sorted(needed - seen):
        raise UsageError(
            f"{path} is not loaded: it has no member {missing[0]!r}, which the configured model needs; "
            "give the algo and hyperparams that it was trained with"
        )


def plain_values(path: Path, archive: zipfile.ZipFile) -> dict[str, Any]:
    """The plain values in ``data``; pickled values stay text."""
    try:
        if archive.getinfo(DATA).file_size > SIZE_LIMITS[DATA]:
            raise UsageError(f"{path} is not loaded: its member 'data' has more than {SIZE_LIMITS[DATA]} bytes")
        values = json.loads(read_member(archive, archive.getinfo(DATA)).decode("utf-8"))
    except KeyError:
        raise UsageError(f"{path} is not loaded: it has no member 'data', so model.save did not write it") from None
    except (*ZIP_ERRORS, RecursionError) as error:
        raise UsageError(f"{path} is not loaded: its member 'data' is broken: {str(error)[:200]}") from None
    if not isinstance(values, dict):
        raise UsageError(f"{path} is not loaded: its member 'data' is no table")
    return values


def algorithm_of(plain: Mapping[str, Any]) -> str | None:
    """The algorithm that wrote the values, recognised by a value that only it stores; None for an unknown algorithm."""
    matching = [algo for algo, mark in _MARKS.items() if mark in plain]
    return matching[0] if len(matching) == 1 and not any(mark in plain for mark in _FOREIGN) else None


def size_limit_of(owner: Any) -> int:
    """The largest size in bytes of a file with the state of a module or optimiser."""
    if isinstance(owner, torch.optim.Optimizer):
        parameters = [parameter for group in owner.param_groups for parameter in group["params"]]
        # the number of steps, and two or three tensors like the parameter
        sizes = [len(SLOTS) * int(p.nbytes) + (1 + len(SLOTS)) * TENSOR_OVERHEAD for p in parameters]
    else:
        # PyTorch stores the whole storage of a view
        sizes = [int(t.untyped_storage().nbytes()) + TENSOR_OVERHEAD for t in owner.state_dict().values()]
    return FILE_OVERHEAD + sum(sizes)
