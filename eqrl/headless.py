"""Rendering where there is no display."""

from __future__ import annotations

import ctypes
import os
import sys


def choose_renderer() -> None:
    """Render through EGL where there is no display, unless the user has chosen a renderer or EGL is not installed.

    MuJoCo reads the choice when it is imported, so a command calls this first. Without the library that import would
    fail, so nothing is chosen then, and only a command that renders says what to install.
    """
    has_display = bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
    if sys.platform == "linux" and not has_display and "MUJOCO_GL" not in os.environ and _has_egl():
        os.environ["MUJOCO_GL"] = "egl"


def _has_egl() -> bool:
    try:
        ctypes.CDLL("libEGL.so.1")
    except OSError:
        return False
    return True
