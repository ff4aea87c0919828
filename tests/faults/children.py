"""Run trainings to be killed in forked processes, because importing everything anew takes longer than the training."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

KILLED = -signal.SIGKILL


def in_child(work: Callable[[], Any], output: Path, kill_after: float | None = None, errors: Path | None = None) -> int:
    """Run in a forked process and wait for it.

    Args:
        work: what to do; an int that it returns is the exit code.
        output: file for what it prints.
        kill_after: seconds after which it is killed with SIGKILL.
        errors: another file for what it prints to stderr.

    Returns:
        Its exit code, or minus the signal that ended it.
    """
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        _be_the_child(work, output, errors or output)
    if kill_after is not None:
        deadline = time.monotonic() + kill_after
        while time.monotonic() < deadline:
            done, status = os.waitpid(child, os.WNOHANG)
            if done:
                return os.waitstatus_to_exitcode(status)
            time.sleep(min(0.005, max(deadline - time.monotonic(), 0.0)))
        with contextlib.suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status)


def _be_the_child(work: Callable[[], Any], output: Path, errors: Path) -> None:
    code = 70
    try:
        for number, path in ((1, output), (2, errors)):
            os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644), number)
        result = work()
        code = result if isinstance(result, int) else 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
