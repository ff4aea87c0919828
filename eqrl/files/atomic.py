"""Write files and folders atomically: each appears whole or not at all, even if the machine stops in between."""

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
HIDDEN = "."  # first character of names that are unfinished or about to be deleted


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Yield a temporary name beside ``path`` to write to.

    On exit the file is flushed to the disk and renamed to ``path``.

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
    """Yield an empty folder beside ``path``; on exit its files are flushed to the disk and it is renamed to ``path``.

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
    """Delete a folder so that the remains after a kill do not look like a valid one."""
    away = _aside(path)
    with contextlib.suppress(OSError):  # a folder that stays costs space, not results
        os.rename(path, away)
        shutil.rmtree(away)


def sweep(folder: Path) -> None:
    """Delete files and folders that earlier processes left half-written or half-deleted.

    Only for the owner of the lock.
    """
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
        return  # Windows cannot flush a folder, and flushes its entries by itself
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
    """Whether the path is a regular file: not a link, which may lead anywhere, nor a device, which may never end."""
    try:
        return stat.S_ISREG(os.lstat(path).st_mode)
    except OSError:
        return False


def _aside(path: Path) -> Path:
    return path.with_name(f"{HIDDEN}{path.name}.{os.getpid()}.{secrets.token_hex(3)}.tmp")
