"""Everything that a training leaves behind, as a flat table for comparing two runs bit for bit."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file

from eqrl.checkpoint.arrays import read_arrays
from eqrl.checkpoint.replay import span
from eqrl.checkpoint.store import Store

# the clock on the wall, which no two runs share
_CLOCK = ("seconds", "age", "t_start", "time_elapsed", "fps", "iterations", "episodes/t")


def fingerprint(run: Path) -> dict[str, Any]:
    """Everything that a run leaves: parameters, optimisers, counters, random numbers, environment, buffer, logs.

    Args:
        run: a run folder; its newest checkpoint counts.
    """
    store = Store(run)
    checkpoint, manifest = store.newest(complete=True)
    table: dict[str, Any] = {"step": manifest.step}
    for name in ("policy", "training"):
        for key, value in load_file(checkpoint / f"{name}.safetensors").items():
            table[f"{name}/{key}"] = value.tobytes()
    arrays = read_arrays(checkpoint / "state.npz")
    flatten("state", json.loads((checkpoint / "state.json").read_text()), arrays, table)
    if (checkpoint / "episodes.npz").exists():
        table |= {
            f"episodes/{name}": value.tobytes() for name, value in read_arrays(checkpoint / "episodes.npz").items()
        }
    table |= _replay(store, manifest)
    for row in _rows(run / "evaluations.csv"):
        table |= {f"evaluation/{row['timesteps']}/{key}": value for key, value in row.items() if key != "seconds"}
    for i, row in enumerate(_rows(run / "progress.csv")):
        for key, value in row.items():
            if not str(key).startswith("time/") or str(key).endswith("total_timesteps"):
                table[f"progress/{i}/{key}"] = value
    return table | _board(run / "tensorboard")


def differences(a: Mapping[str, Any], b: Mapping[str, Any]) -> list[str]:
    """Names of the entries that differ."""
    return [name for name in sorted({*a, *b}) if name not in a or name not in b or a[name] != b[name]]


def flatten(path: str, value: Any, arrays: Mapping[str, Any], table: dict[str, Any]) -> None:
    """Put packed values into the table, one entry a leaf; wall-clock times are left out."""
    if path.endswith(_CLOCK):
        return
    if isinstance(value, dict) and value.get("$") in ("array", "scalar"):
        array = arrays[value["name"]]
        table[path] = (str(array.dtype), array.shape, array.tobytes())
    elif isinstance(value, dict):
        for key, entry in value.items():
            flatten(f"{path}/{key}", entry, arrays, table)
    elif isinstance(value, list):
        table[f"{path}/length"] = len(value)
        for i, entry in enumerate(value):
            flatten(f"{path}/{i}", entry, arrays, table)
    else:
        table[path] = value


def _rows(path: Path) -> list[dict[str, str]]:
    """A table, which may be missing or damaged."""
    text = path.read_text(errors="replace").replace("\0", "?") if path.exists() else ""
    return [{**row, "timesteps": row.get("timesteps", "")} for row in csv.DictReader(io.StringIO(text))]


def _replay(store: Store, manifest: Any) -> dict[str, Any]:
    """The rows of the replay buffer; where one chunk ends and the next begins depends on when checkpoints were made."""
    columns: dict[str, list[Any]] = {}
    first = None
    for name in sorted(manifest.replay):
        first = span(name)[0] if first is None else first
        for column, rows in read_arrays(store.log.folder / name).items():
            columns.setdefault(column, []).append(rows)
    return {
        "replay/first": first,
        **{f"replay/{name}": np.concatenate(parts).tobytes() for name, parts in columns.items()},
    }


def _board(folder: Path) -> dict[str, Any]:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    if not folder.is_dir():
        return {}
    events = EventAccumulator(str(folder), size_guidance={"scalars": 0}, purge_orphaned_data=True)
    events.Reload()
    return {
        f"tensorboard/{tag}": [(event.step, event.value) for event in events.Scalars(tag)]
        for tag in events.Tags()["scalars"]
        if not tag.startswith("time/")
    }
