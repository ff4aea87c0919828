"""The run folder: everything about one training run, readable by a person and loadable without pickle."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shlex
import subprocess
import sys
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml
from stable_baselines3.common.base_class import BaseAlgorithm

from eqrl.build import make_env, make_model
from eqrl.checkpoint import load_checkpoint
from eqrl.config import Config
from eqrl.errors import UsageError

_PACKAGES = ("eqrl", "torch", "stable-baselines3", "gymnasium", "mujoco", "numpy", "e3nn", "safetensors")


@dataclass(frozen=True)
class RunFolder:
    """Where the files of a run are.

    Attributes:
        path: the folder, ``<log folder>/<algo>/<environment>_<n>``.
    """

    path: Path

    # ------------------------------------------------------------------ make and find
    @classmethod
    def create(cls, config: Config) -> RunFolder:
        """Make the next free folder; two processes that do it at once get two folders.

        Raises:
            UsageError: if the log folder cannot be written.
        """
        parent = Path(config.log_folder) / config.algo
        stem = config.env.split(":")[-1].replace("/", "-")
        try:
            parent.mkdir(parents=True, exist_ok=True)
            taken = [p.name.removeprefix(f"{stem}_") for p in parent.glob(f"{stem}_*")]
            number = 1 + max((int(n) for n in taken if n.isdigit()), default=0)
            while True:
                path = parent / f"{stem}_{number}"
                try:
                    path.mkdir()  # exclusive: fails if another process was faster
                    break
                except FileExistsError:
                    number += 1
        except OSError as error:
            raise UsageError(f"log folder {parent} cannot be written ({error.strerror}); choose another with -f") from None
        folder = cls(path)
        folder.write_config(config)
        folder.write("command.txt", shlex.join([Path(sys.executable).name, *sys.orig_argv[1:]]) + "\n")
        folder.write("versions.txt", versions())
        return folder

    @classmethod
    def open(cls, path: str | Path) -> RunFolder:
        """A folder that a run made.

        Raises:
            UsageError: if it is not one, or the run never saved a model.
        """
        folder = cls(Path(path))
        what = f"{path} is not a run folder"
        if not folder.path.exists():
            raise UsageError(f"{what}: it does not exist; give the folder that 'eqrl train' printed{_nearby(folder.path)}")
        if not folder.config_file.is_file():
            raise UsageError(f"{what}: it has no config.yaml; give the folder that 'eqrl train' printed{_nearby(folder.path)}")
        if not folder.last.is_file():
            raise UsageError(f"{what} with a model: {folder.last} is missing; train again")
        return folder

    # ------------------------------------------------------------------ files
    @property
    def config_file(self) -> Path:
        """The resolved configuration; ``eqrl train --config`` repeats the run from it."""
        return self.path / "config.yaml"

    @property
    def last(self) -> Path:
        """Checkpoint at the end, or at the last save before an interruption."""
        return self.path / "model" / "last.safetensors"

    @property
    def best(self) -> Path:
        """Checkpoint with the best evaluation."""
        return self.path / "model" / "best.safetensors"

    @property
    def readme(self) -> Path:
        """What the run is and how it ended, for people."""
        return self.path / "README.md"

    def step(self, steps: int) -> Path:
        """Checkpoint after so many steps."""
        return self.path / "model" / f"step_{steps:010d}.safetensors"

    def checkpoint(self, which: str | int) -> Path:
        """A checkpoint by name.

        Args:
            which: ``"last"``, ``"best"`` or a number of steps.

        Raises:
            UsageError: if the run has no such checkpoint; the message lists those that it has.
        """
        path = self.step(int(which)) if str(which).isdigit() else self.path / "model" / f"{which}.safetensors"
        if not path.is_file():
            names = sorted(p.stem for p in path.parent.glob("*.safetensors"))
            have = ", ".join(str(int(n.removeprefix("step_"))) if n.startswith("step_") else n for n in names)
            raise UsageError(f"run {self.path} has no checkpoint {str(which)!r}; it has {have}")
        return path

    def config(self) -> Config:
        """The configuration of the run.

        Raises:
            UsageError: if the file is broken or from an incompatible version.
        """
        try:
            values = yaml.safe_load(self.config_file.read_text(encoding="utf-8"))
        except (OSError, yaml.YAMLError) as error:
            raise UsageError(f"{self.config_file} cannot be read: {error}") from None
        if not isinstance(values, Mapping):
            raise UsageError(f"{self.config_file} does not hold options")
        return Config.from_dict(values, str(self.config_file))

    def write_config(self, config: Config) -> None:
        """Store the configuration."""
        text = yaml.safe_dump(config.to_dict(), sort_keys=False)
        self.write("config.yaml", "# Repeat this run: eqrl train --config <this file>\n" + text)

    def write(self, name: str, text: str) -> None:
        """Write a text file as a whole: a reader sees the old or the new one, never half of it."""
        aside = self.path / f".{name}.{os.getpid()}.tmp"
        aside.write_text(text, encoding="utf-8")
        os.replace(aside, self.path / name)


def load_run(path: str | Path, checkpoint: str | int = "last", device: str | None = None) -> tuple[BaseAlgorithm, Config]:
    """Load the model of a run. No code in the folder is executed: only numbers and options are read.

    Args:
        path: the run folder.
        checkpoint: ``"last"``, ``"best"`` or a number of steps.
        device: PyTorch device, the run's own by default.

    Returns:
        The model, with an environment of one member, and the run's configuration.

    Raises:
        UsageError: if it is not a run folder or has no such checkpoint. An environment of another package must have
            been imported before.
    """
    folder = RunFolder.open(path)
    config = folder.config()
    with warnings.catch_warnings():
        # SB3 warns that a rollout of one environment does not fill a minibatch, but nothing is trained here
        warnings.filterwarnings("ignore", message="You have specified a mini-batch size")
        model = make_model(config.replace(device=device or config.device), make_env(config, 1, config.seed))
    load_checkpoint(model, folder.checkpoint(checkpoint))
    return model, config


def versions() -> str:
    """Versions of everything that decides the bits of a run, one a line."""
    lines = [f"python {platform.python_version()}", f"platform {platform.platform()}"]
    for package in _PACKAGES:
        try:
            lines.append(f"{package} {importlib.metadata.version(package)}")
        except importlib.metadata.PackageNotFoundError:
            lines.append(f"{package} (not installed)")
    git = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty", "--abbrev=40"]
    try:
        found = subprocess.run(git, capture_output=True, text=True, timeout=10, check=False)
        if found.returncode == 0:
            lines.append(f"commit {found.stdout.strip()}")
    except (OSError, subprocess.TimeoutExpired):
        pass  # no git, no commit: the versions above still say what ran
    return "\n".join(lines) + "\n"


def _nearby(path: Path) -> str:
    """The newest run folder close to a wrong path, as a half-sentence."""
    for root, pattern in ((path, "*/config.yaml"), (path, "*/*/config.yaml"), (Path("logs"), "*/*/config.yaml")):
        if root.is_dir() and (found := sorted(root.glob(pattern), key=lambda p: p.stat().st_mtime)):
            return f", for instance {found[-1].parent}"
    return ""
