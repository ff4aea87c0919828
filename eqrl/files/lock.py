"""One training at a time in a run folder."""

from __future__ import annotations

import contextlib
import json
import os
import platform
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from eqrl.errors import UsageError
from eqrl.files.atomic import write_whole

_ASKING = 0.5  # seconds, because a process that only asks whether the lock is taken holds it for a moment


class RunIsTakenError(UsageError):
    """Another process trains in the run folder."""


@contextmanager
def locked(run: Path) -> Iterator[None]:
    """Lock a run folder. The operating system releases the lock when the process ends, in whatever way.

    Args:
        run: the folder.

    Raises:
        RunIsTakenError: if another process has locked it; the message names the process.
        UsageError: if the folder cannot be written.
    """
    lock, owner = FileLock(run / "lock", timeout=_ASKING), run / "owner.json"
    try:
        lock.acquire()
    except Timeout:
        raise RunIsTakenError(
            f"{run} is being trained by {_owner(owner)}; wait for it, stop it, or train in another folder"
        ) from None
    except OSError as error:
        raise UsageError(
            f"run folder {run} cannot be written ({error.strerror}); copy it to a writable folder"
        ) from None
    try:
        try:
            write_whole(
                owner,
                json.dumps({"pid": os.getpid(), "host": platform.node(), "since": time.strftime("%Y-%m-%d %H:%M:%S")}),
            )
        except OSError as error:
            raise UsageError(
                f"run folder {run} cannot be written ({error.strerror}); make room or copy it elsewhere"
            ) from None
        yield
    finally:
        with contextlib.suppress(OSError):  # the folder may have become read-only
            owner.unlink(missing_ok=True)
        lock.release()


def is_taken(run: Path) -> bool:
    """Whether a process is training in a run folder now."""
    lock = FileLock(run / "lock", timeout=0)
    try:
        lock.acquire()
    except Timeout:
        return True
    except OSError:
        return False
    lock.release()
    return False


def _owner(path: Path) -> str:
    try:
        owner = json.loads(path.read_text(encoding="utf-8"))
        return f"process {owner['pid']} on {owner['host']} since {owner['since']}"
    except (OSError, ValueError, KeyError, TypeError):
        return "another process"
