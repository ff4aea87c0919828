"""Files and folders that appear whole or not at all, also when the machine stops in the middle."""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_BLOCK = 1 << 20
HIDDEN = "."  # what is not finished, or about to be deleted, begins with it


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """A name beside ``path`` to write to; afterwards the file is flushed to the disk and takes its place.

    Args:
        path: the file; an older one is replaced in one step.

    Raises:
        OSError: if it cannot be written; the older file stays.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = _aside(path)
    try:
        yield aside
        sync(aside)
        os.replace(aside, path)
        sync(path.parent)
    finally:
        aside.unlink(missing_ok=True)


@contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """An empty folder beside ``path`` to fill; afterwards all its files are flushed and it takes its place.

    Args:
        path: the folder; an older one is moved away first and then deleted.

    Raises:
        OSError: if it cannot be written; the older folder stays.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = _aside(path)
    aside.mkdir()
    try:
        yield aside
        for file in aside.iterdir():
            sync(file)
        sync(aside)
        old = _aside(path) if path.exists() else None
        if old is not None:
            os.rename(path, old)
        try:
            os.rename(aside, path)
        except OSError:
            if old is not None:
                os.rename(old, path)
            raise
        sync(path.parent)
        if old is not None:
            shutil.rmtree(old, ignore_errors=True)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def write_whole(path: Path, content: str | bytes) -> None:
    """Replace a small file in one step.

    Raises:
        OSError: if it cannot be written; the older file stays.
    """
    with whole_file(path) as aside:
        aside.write_bytes(content.encode() if isinstance(content, str) else content)


def remove_folder(path: Path) -> None:
    """Delete a folder so that what is left after a kill does not look like one."""
    away = _aside(path)
    with contextlib.suppress(OSError):  # not deleting costs space, not results
        os.rename(path, away)
        shutil.rmtree(away)


def sweep(folder: Path) -> None:
    """Delete what earlier processes left half-written or half-deleted. Only for the owner of the run's lock."""
    for left in folder.glob(f"{HIDDEN}*.tmp"):
        if left.is_dir() and not left.is_symlink():
            shutil.rmtree(left, ignore_errors=True)
        else:
            left.unlink(missing_ok=True)


def sync(path: Path) -> None:
    """Flush a file or the entries of a folder to the disk.

    Raises:
        OSError: if the disk refuses.
    """
    on_windows = os.name == "nt"
    if on_windows and path.is_dir():
        return  # Windows has no such thing, and flushes entries by itself
    descriptor = os.open(path, os.O_RDWR if on_windows else os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sha256(path: Path) -> str:
    """Checksum of a file, as hexadecimal digits."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def is_plain_file(path: Path) -> bool:
    """Whether there is a file of its own: not a link that may lead anywhere, not a device that never ends."""
    try:
        return stat.S_ISREG(os.lstat(path).st_mode)
    except OSError:
        return False


def _aside(path: Path) -> Path:
    return path.with_name(f"{HIDDEN}{path.name}.{os.getpid()}.{secrets.token_hex(3)}.tmp")
