"""MuJoCo without its warnings: trial states may diverge, and that belongs neither on the screen nor in a file."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import mujoco


@contextmanager
def silenced() -> Iterator[None]:
    """No warnings of MuJoCo on stderr, and no MUJOCO_LOG.TXT in the working directory."""
    before, quiet = mujoco.MjLogConfig.get(), mujoco.MjLogConfig.get()
    quiet.logto_console = quiet.logto_file = False
    quiet.set()
    try:
        yield
    finally:
        before.set()
