"""Robots: their models, their symmetry, and the layout of their state."""

from __future__ import annotations

import importlib
from typing import Any

_MODULES = {
    "RobotWarning": "loading",
    "derivation_of": "derived",
    "images_of_joints": "mirror_images",
    "load": "loading",
}
__all__ = ["RobotWarning", "derivation_of", "images_of_joints", "load"]


def __getattr__(name: str) -> Any:
    """Import on first use: tasks import single robots, and need not load what reads strangers' models.

    Raises:
        AttributeError: for other names.
    """
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)
