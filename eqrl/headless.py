"""Rendering where there is no display."""

from __future__ import annotations

import os
import sys


def choose_renderer() -> None:
    """Render through EGL where there is no display, unless the user has chosen a renderer.

    MuJoCo reads the choice when it is imported, so a command calls this first.
    """
    if sys.platform == "linux" and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        os.environ.setdefault("MUJOCO_GL", "egl")
