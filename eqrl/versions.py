"""Versions of everything that determines the bits of a run."""

from __future__ import annotations

import contextlib
import importlib.metadata
import platform
import subprocess
from collections.abc import Mapping
from pathlib import Path

_PACKAGES = ("eqrl", "torch", "stable-baselines3", "gymnasium", "mujoco", "numpy", "e3nn", "safetensors")


def versions() -> dict[str, str]:
    """Versions of everything that determines the bits of a run."""
    version_of = {"python": platform.python_version(), "platform": platform.platform()}
    for package in _PACKAGES:
        try:
            version_of[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            version_of[package] = "not installed"
    git = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty", "--abbrev=40"]
    with contextlib.suppress(OSError, subprocess.TimeoutExpired):  # without git there is no commit; the versions remain
        described = subprocess.run(git, capture_output=True, text=True, timeout=10, check=False)
        if described.returncode == 0:
            version_of["commit"] = described.stdout.strip()
    return version_of


def versions_text() -> str:
    """The same as text, one version per line."""
    return "".join(f"{name} {version}\n" for name, version in versions().items())


def different_versions(stored: Mapping[str, str]) -> list[str]:
    """Packages whose version differs from a checkpoint's, each as ``torch 2.8.0 then and 2.9.0 now``."""
    # the commit is left out: an installed package would report that of any repository around its environment
    now = versions()
    return [
        f"{name} {stored.get(name, 'unknown')} then and {now[name]} now"
        for name in ("python", *_PACKAGES)
        if stored.get(name) != now[name]
    ]
