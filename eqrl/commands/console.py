"""Where commands print to: a training does not end because nobody reads what it says."""

from __future__ import annotations

import contextlib
import io
import os
import sys
from typing import IO, Any, TextIO, cast

from rich.console import Console


def standard_output() -> Console:
    """A console on the standard output that drops what cannot be written."""
    return Console(highlight=False, file=cast(IO[str], Unfailing(sys.stdout)))


class Unfailing:
    """A stream for messages, which are not worth a training: what cannot be written (pipe closed, disk full) is dropped.

    Args:
        stream: such as ``sys.stdout``, which is None where the process was started without one.
    """

    def __init__(self, stream: TextIO | None) -> None:
        self._stream = io.StringIO() if stream is None else stream

    def write(self, text: str) -> int:
        """Write, or drop it."""
        try:
            return self._stream.write(text)
        except OSError:
            self._drop()
        return len(text)

    def flush(self) -> None:
        """Flush, or drop what waits."""
        try:
            self._stream.flush()
        except OSError:
            self._drop()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def _drop(self) -> None:
        """Empty the stream's buffer into nothing, or Python would fail on it again when it exits."""
        with contextlib.suppress(OSError, ValueError):
            number = self._stream.fileno()
            kept, nothing = os.dup(number), os.open(os.devnull, os.O_WRONLY)
            try:
                os.dup2(nothing, number)
                self._stream.flush()
            finally:
                os.dup2(kept, number)
                os.close(kept)
                os.close(nothing)
