"""The console of the commands: a training does not end because its output cannot be written."""

from __future__ import annotations

import contextlib
import io
import os
import sys
from typing import IO, Any, TextIO, cast

from rich.console import Console


def standard_output() -> Console:
    """A console on the standard output that drops text that cannot be written."""
    return Console(highlight=False, file=cast(IO[str], Unfailing(sys.stdout)))


class Unfailing:
    """A stream for messages: text that cannot be written (closed pipe, full disk) is dropped, and nothing is raised.

    Args:
        stream: for instance ``sys.stdout``, which is None if the process was started without one.
    """

    def __init__(self, stream: TextIO | None) -> None:
        self._stream = io.StringIO() if stream is None else stream

    def write(self, text: str) -> int:
        """Write a text, or drop it."""
        try:
            return self._stream.write(text)
        except OSError:
            self._drop()
        return len(text)

    def flush(self) -> None:
        """Flush the stream, or drop its buffer."""
        try:
            self._stream.flush()
        except OSError:
            self._drop()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def _drop(self) -> None:
        """Empty the stream's buffer into the null device; otherwise Python would fail on it again at exit."""
        with contextlib.suppress(OSError, ValueError):
            descriptor = self._stream.fileno()
            original, null_device = os.dup(descriptor), os.open(os.devnull, os.O_WRONLY)
            try:
                os.dup2(null_device, descriptor)
                self._stream.flush()
            finally:
                os.dup2(original, descriptor)
                os.close(original)
                os.close(null_device)
