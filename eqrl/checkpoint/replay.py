"""Store a replay buffer as a log: each checkpoint appends the rows that were added since the last one.

The buffer is a ring. The log counts its rows from the beginning of the run: row ``k`` lies at ``k % size``. A chunk is
a file of consecutive rows, named by these rows and its content, and never changes. A checkpoint lists the chunks that
make up its buffer, so several checkpoints share them.
"""

from __future__ import annotations

import json
import re
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from stable_baselines3.common.buffers import ReplayBuffer
from stable_baselines3.her.her_replay_buffer import HerReplayBuffer

from eqrl.checkpoint.arrays import read_arrays, write_arrays
from eqrl.checkpoint.manifest import Entry
from eqrl.checkpoint.values import Arrays, DamagedValuesError, pack, unpack
from eqrl.files.atomic import HIDDEN, whole_file

_CHUNK_BYTES = 32 << 20
_NAME = re.compile(r"rows_(\d{12})_(\d{12})_[0-9a-f]{12}\.npz")
_INFOS = "infos"
_SHARED_ROW = "shared_row"


class ReplayLog:
    """The chunks of one run's replay buffer.

    Args:
        folder: folder of the chunks.
        entries: chunks of the checkpoint that the run resumes from, in order.
    """

    def __init__(self, folder: Path, entries: Mapping[str, Entry] | None = None) -> None:
        self.folder = folder
        self.entries: dict[str, Entry] = dict(entries or {})

    @property
    def rows(self) -> int:
        """Number of rows that were ever written."""
        return max((span(name)[1] for name in self.entries), default=0)

    def append(self, buffer: ReplayBuffer, rows: int) -> dict[str, Entry]:
        """Write the new rows.

        Args:
            buffer: the buffer.
            rows: number of rows that were ever added to it.

        Returns:
            The chunks that make up the buffer now.

        Raises:
            OSError: if they cannot be written; chunks that were written before the failure are not written again.
        """
        size, begin = buffer.buffer_size, max(self.rows, rows - buffer.buffer_size)
        row_bytes = sum(c[:1].nbytes for c in _columns(buffer).values()) or 1
        most = max(_CHUNK_BYTES // row_bytes, 1)
        while begin < rows:
            # a chunk never crosses the end of the ring, so that it is a view
            end = min(rows, begin + most, (begin // size + 1) * size)
            name, entry = self._write(buffer, begin, end)
            self.entries[name] = entry
            begin = end
        self.entries = {name: e for name, e in self.entries.items() if span(name)[1] > rows - size}
        return dict(self.entries)

    def fill(self, buffer: ReplayBuffer, rows: int) -> None:
        """Put the rows back into an empty buffer.

        Raises:
            DamagedValuesError: if the chunks do not fit the buffer.
        """
        size, columns, filled = buffer.buffer_size, _columns(buffer), max(rows - buffer.buffer_size, 0)
        for name in sorted(self.entries):
            begin, end = span(name)
            if begin > filled or end > rows:
                raise DamagedValuesError(f"rows {filled} to {begin} of the replay buffer are missing")
            stored = read_arrays(self.folder / name)
            where = slice(max(begin, rows - size) % size, (end - 1) % size + 1)
            for column, ring in columns.items():
                values = stored.get(column)
                if values is None or values.shape != (end - begin, *ring.shape[1:]) or values.dtype != ring.dtype:
                    raise DamagedValuesError(f"{name} has no column {column!r} of this buffer")
                ring[where] = values[where.start - where.stop :]
            if _keeps_infos(buffer):
                infos = unpack(json.loads(stored[_INFOS].tobytes()), stored)
                for k, row in enumerate(infos[where.start - where.stop :]):
                    buffer.infos[where.start + k] = row  # type: ignore[attr-defined]
            filled = end
        if filled != rows:
            raise DamagedValuesError(f"rows {filled} to {rows} of the replay buffer are missing")
        buffer.pos, buffer.full = rows % size, rows >= size

    def prune(self, needed: set[str]) -> None:
        """Delete chunks that no checkpoint lists."""
        if self.folder.is_dir():
            for path in self.folder.iterdir():
                if _NAME.fullmatch(path.name) and path.name not in needed:
                    path.unlink(missing_ok=True)

    def _write(self, buffer: ReplayBuffer, begin: int, end: int) -> tuple[str, Entry]:
        start = begin % buffer.buffer_size
        chunk: Arrays = {name: ring[start : start + end - begin] for name, ring in _columns(buffer).items()}
        if _keeps_infos(buffer):
            infos = [list(row) for row in buffer.infos[start : start + end - begin]]  # type: ignore[attr-defined]
            chunk[_INFOS] = np.frombuffer(json.dumps(pack(infos, chunk)).encode(), dtype=np.uint8)
        # the name contains the content's checksum, which is known only afterwards
        draft = self.folder / f"{HIDDEN}rows_{begin:012d}.npz.tmp"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            write_arrays(draft, chunk)
            entry = Entry.of(draft)
            name = f"rows_{begin:012d}_{end:012d}_{entry.sha256[:12]}.npz"
            with whole_file(self.folder / name) as aside:
                draft.rename(aside)
        finally:
            draft.unlink(missing_ok=True)
        return name, entry


def mutable_part(buffer: ReplayBuffer) -> Arrays:
    """Data that may change in rows already written: it is small, and every checkpoint stores all of it."""
    part: Arrays = {}
    if isinstance(buffer, HerReplayBuffer):
        used = buffer.size()
        part["ep_length"], part["current_ep_start"] = buffer.ep_length[:used], buffer._current_ep_start
    if buffer.optimize_memory_usage:  # the newest transition's next observation lies in the row that comes next
        part[_SHARED_ROW] = buffer.observations[buffer.pos]
    return part


def restore_mutable_part(buffer: ReplayBuffer, part: Mapping[str, NDArray[Any]]) -> None:
    """The inverse of :func:`mutable_part`, to be called after the rows are restored.

    Raises:
        DamagedValuesError: if it does not fit.
    """
    current = mutable_part(buffer)
    if set(current) != set(part) or any(
        current[n].shape != part[n].shape or current[n].dtype != part[n].dtype for n in current
    ):
        raise DamagedValuesError("the episodes of the replay buffer do not fit its rows")
    if isinstance(buffer, HerReplayBuffer):
        if (part["ep_length"] < 0).any() or (part["ep_length"] > buffer.buffer_size).any():
            raise DamagedValuesError("the replay buffer has episodes of impossible length")
        within = (np.arange(buffer.size())[:, None] - buffer.ep_start[: buffer.size()]) % buffer.buffer_size
        # hindsight samples goals from the rest of the episode
        if ((part["ep_length"] > 0) & (within >= part["ep_length"])).any():
            raise DamagedValuesError("the replay buffer has rows outside of their episodes")
        buffer.ep_length[: buffer.size()] = part["ep_length"]
        buffer._current_ep_start[:] = part["current_ep_start"]
    if _SHARED_ROW in part:
        buffer.observations[buffer.pos] = part[_SHARED_ROW]


def end_episodes(buffer: ReplayBuffer) -> None:
    """End the current episodes, which are not continued: hindsight must not take their goals from later episodes."""
    if isinstance(buffer, HerReplayBuffer):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # SB3 warns that it truncates
            buffer.truncate_last_trajectory()


def span(name: str) -> tuple[int, int]:
    """The first row of a chunk, and the row after its last.

    Raises:
        DamagedValuesError: if it is not the name of a chunk.
    """
    match = _NAME.fullmatch(name)
    if not match or int(match[1]) >= int(match[2]):
        raise DamagedValuesError(f"{name!r} is not the name of a chunk of a replay buffer")
    return int(match[1]), int(match[2])


def buffer_bytes(buffer: ReplayBuffer) -> int:
    """Size in bytes of the arrays of a replay buffer that a checkpoint stores row by row."""
    return sum(column.nbytes for column in _columns(buffer).values())


def _columns(buffer: ReplayBuffer) -> dict[str, NDArray[Any]]:
    """The arrays of the ring by name, without those in :func:`mutable_part`."""
    rings: dict[str, Any] = {"observations": buffer.observations}
    if not buffer.optimize_memory_usage:
        rings["next_observations"] = buffer.next_observations
    rings |= {name: getattr(buffer, name) for name in ("actions", "rewards", "dones", "timeouts")}
    if isinstance(buffer, HerReplayBuffer):
        rings["ep_start"] = buffer.ep_start
    flat: dict[str, NDArray[Any]] = {}
    for name, ring in rings.items():
        flat |= {f"{name}.{key}": part for key, part in ring.items()} if isinstance(ring, dict) else {name: ring}
    return flat


def _keeps_infos(buffer: ReplayBuffer) -> bool:
    return isinstance(buffer, HerReplayBuffer) and buffer.copy_info_dict
