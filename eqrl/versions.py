"""Versions of everything that decides the bits of a run."""

from __future__ import annotations

import contextlib
import importlib.metadata
import platform
import subprocess
from collections.abc import Mapping
from pathlib import Path

_PACKAGES = ("eqrl", "torch", "stable-baselines3", "gymnasium", "mujoco", "numpy", "e3nn", "safetensors")


def versions() -> dict[str, str]:
    """Versions of everything that decides the bits of a run."""
    found = {"python": platform.python_version(), "platform": platform.platform()}
    for package in _PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            found[package] = "not installed"
    git = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty", "--abbrev=40"]
    with contextlib.suppress(OSError, subprocess.TimeoutExpired):  # no git, no commit: the versions still say what ran
        described = subprocess.run(git, capture_output=True, text=True, timeout=10, check=False)
        if described.returncode == 0:
            found["commit"] = described.stdout.strip()
    return found


def versions_text() -> str:
    """The same, one a line."""
    return "".join(f"{name} {version}\n" for name, version in versions().items())


def different_versions(kept: Mapping[str, str]) -> list[str]:
    """Packages that are not those of a checkpoint, each as ``torch 2.8.0 then and 2.9.0 now``."""
    # not the commit: an installed package finds that of whatever repository its environment lies in
    now = versions()
    return [
        f"{name} {kept.get(name, 'unknown')} then and {now[name]} now"
        for name in ("python", *_PACKAGES)
        if kept.get(name) != now[name]
    ]
