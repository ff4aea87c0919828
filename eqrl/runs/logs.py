"""Learning curves that continue with a resumed run and never stop a training."""

from __future__ import annotations

import contextlib
import csv
import io
import warnings
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from stable_baselines3.common.logger import KVWriter, TensorBoardOutputFormat, filter_excluded_keys
from torch.utils.tensorboard import SummaryWriter

from eqrl.files.atomic import write_whole

STEPS = "time/total_timesteps"


class Table(KVWriter):
    """SB3's log as one CSV file.

    Args:
        path: the file.
        since: environment steps at which the run continues, or None for a new run; later rows are dropped, because it
            writes them again.
    """

    def __init__(self, path: Path, since: int | None = None) -> None:
        self.path = path
        rows = [] if since is None else [row for row in read_rows(path) if _steps(row) <= since]
        self.names = list(rows[0]) if rows else []
        if rows or path.exists():
            write_whole(path, table_text(self.names, rows))

    def write(self, key_values: dict[str, Any], key_excluded: dict[str, tuple[str, ...]], step: int = 0) -> None:
        """Append a row; a new name adds a column, for which the file is rewritten."""
        row = filter_excluded_keys(key_values, key_excluded, "csv")
        if new := sorted(set(row) - set(self.names)):
            rows = read_rows(self.path)
            self.names += new
            write_whole(self.path, table_text(self.names, [*rows, row]))
        else:
            with self.path.open("a", newline="", encoding="utf-8") as file:
                csv.DictWriter(file, self.names, restval="", lineterminator="\n").writerow(row)

    def close(self) -> None:
        """Nothing to do: the file is open only while a row is written."""


class Board(TensorBoardOutputFormat):
    """TensorBoard; values that an interrupted run logged after its last checkpoint are hidden.

    Args:
        folder: for the event files.
        since: environment steps at which the run continues, or None for a new run.
    """

    def __init__(self, folder: Path, since: int | None = None) -> None:
        self.writer = SummaryWriter(log_dir=str(folder), purge_step=None if since is None else since + 1)
        self._is_closed = False
        with contextlib.suppress(AttributeError):
            # a full disk ends TensorBoard's thread; the next write raises the error again, and that one becomes a
            # warning
            files: Any = self.writer.file_writer
            files.event_writer._async_writer._worker._invoke_excepthook = lambda thread: None


class Forgiving(KVWriter):
    """Passes values to a writer, and lets the training continue when the disk is full.

    Args:
        writer: writes the values.
        what: its name in the warning, which is given once.
    """

    def __init__(self, writer: KVWriter, what: str) -> None:
        self.writer = writer
        self.what = what
        self._warned = False

    def write(self, key_values: dict[str, Any], key_excluded: dict[str, tuple[str, ...]], step: int = 0) -> None:
        """Write, or warn."""
        try:
            self.writer.write(key_values, key_excluded, step)
        except OSError as error:
            if not self._warned:
                self._warned = True
                warnings.warn(
                    f"{self.what} cannot be written ({error.strerror or error}); the training goes on", stacklevel=2
                )

    def close(self) -> None:
        """Close the writer, even if some values were not written."""
        with contextlib.suppress(OSError):
            self.writer.close()


def read_rows(path: Path) -> list[dict[str, str]]:
    """Rows of a CSV file, without a last line that a kill has cut off.

    Raises:
        OSError: if it cannot be read.
    """
    if not path.is_file():
        return []
    text = path.read_text(encoding="utf-8", errors="replace")
    whole = text if text.endswith("\n") else text[: text.rfind("\n") + 1]
    return [row for row in csv.DictReader(io.StringIO(whole)) if None not in row and None not in row.values()]


def table_text(names: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> str:
    """The text of a CSV file."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(names), restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _steps(row: Mapping[str, str]) -> float:
    try:
        return float(row.get(STEPS) or "inf")
    except ValueError:
        return float("inf")
