"""The lock of Optuna's journal: given back by the operating system when its process is killed."""

from __future__ import annotations

import os
from pathlib import Path

from filelock import FileLock


class JournalLock:
    """A lock for ``optuna.storages.journal.JournalFileBackend``.

    Optuna's own lock is a file, which a killed process leaves behind, and others wait half a minute before they break
    it. The kill may also have cut off the last line, on which every later reader would fail: the next owner removes it.

    Args:
        journal: the file that is locked.
    """

    def __init__(self, journal: Path) -> None:
        self._journal = journal
        self._lock = FileLock(journal.with_suffix(".lock"))

    def acquire(self) -> bool:
        """Wait for the lock; always true."""
        self._lock.acquire()
        remove_cut_line(self._journal)
        return True

    def release(self) -> None:
        """Give the lock back."""
        self._lock.release()


def remove_cut_line(path: Path) -> None:
    """Remove a last line without an end. Only for the owner of the lock.

    Raises:
        OSError: if the file cannot be read or written.
    """
    with path.open("r+b") as file:
        size = file.seek(0, os.SEEK_END)
        if size == 0:
            return
        file.seek(-1, os.SEEK_END)
        if file.read(1) == b"\n":
            return
        file.seek(0)
        file.truncate(file.read().rfind(b"\n") + 1)
