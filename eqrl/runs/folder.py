"""The run folder: everything about one training run, readable by people and loadable without pickle."""

from __future__ import annotations

import contextlib
import hashlib
import re
import shlex
import sys
import warnings
from dataclasses import dataclass
from pathlib import Path

import yaml

from eqrl.checkpoint.manifest import Manifest
from eqrl.checkpoint.store import CheckpointWarning, Store
from eqrl.errors import UsageError
from eqrl.files.atomic import write_whole
from eqrl.files.lock import is_taken
from eqrl.runs.changes import forbidden_changes
from eqrl.runs.config import Config, read_config_file
from eqrl.runs.logs import read_rows
from eqrl.versions import different_versions, versions_text

_CHECKSUM = b"# SHA-256 of the lines above: "


@dataclass(frozen=True)
class RunFolder:
    """The files of a run.

    Attributes:
        path: the folder, ``<log folder>/<algo>/<environment>_<n>``.
    """

    path: Path

    # ------------------------------------------------------------------ make and find
    @classmethod
    def create(cls, config: Config) -> RunFolder:
        """Create the next free folder; two processes that do so at the same time get two folders.

        Raises:
            UsageError: if the log folder cannot be written.
        """
        parent, stem = _parent_and_stem(config)
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
            raise UsageError(
                f"log folder {parent} cannot be written ({error.strerror}); choose another with -f"
            ) from None
        return cls(path)

    def describe(self, config: Config) -> None:
        """Write what the run is. Only for the owner of its lock: others may resume a folder that has a configuration.

        Raises:
            UsageError: if it cannot be written.
        """
        try:
            self.write("command.txt", shlex.join([Path(sys.executable).name, *sys.orig_argv[1:]]) + "\n")
            self.write("versions.txt", versions_text())
            self.write_config(config)
        except OSError as error:
            raise UsageError(
                f"run folder {self.path} cannot be written ({error.strerror}); choose another with -f"
            ) from None

    @classmethod
    def open(cls, path: str | Path, *, empty: bool = False) -> RunFolder:
        """Open the folder of an existing run.

        Args:
            path: the folder.
            empty: accept a run that was killed before its first checkpoint.

        Raises:
            UsageError: if it is not a run folder, or the run never saved a model.
        """
        folder = cls(Path(path))
        what = f"{path} is not a run folder"
        if not folder.path.exists():
            raise UsageError(
                f"{what}: it does not exist; give the folder that 'eqrl train' printed{_nearby(folder.path)}"
            )
        if not folder.config_file.is_file() and not folder.checkpoints.folder.is_dir():
            raise UsageError(
                f"{what}: it has no config.yaml; give the folder that 'eqrl train' printed{_nearby(folder.path)}"
            )
        if not folder.checkpoints.steps() and not (empty and folder.config_file.is_file()):
            older = (folder.path / "model").is_dir()
            why = (
                "its checkpoints are those of eqrl 0.1, which this version does not read"
                if older
                else "it has no checkpoints"
            )
            raise UsageError(f"{what} with a model: {why}; train again")
        return folder

    def board(self, parent: Path, name: str) -> Path:
        """The run's TensorBoard folder within a shared one; a resumed run gets the same folder again.

        A resumed run hides what it logged after its last checkpoint, and must not hide another run of the same name.

        Args:
            parent: the shared folder.
            name: name of the run's folder, which gets a number if it is taken.

        Raises:
            OSError: if it cannot be created.
        """
        note, number, chosen = self.path / "tensorboard.txt", 1, name
        with contextlib.suppress(OSError, ValueError):
            known = note.read_text(encoding="utf-8").strip()
            if re.fullmatch(re.escape(name) + r"(-\d+)?", known) and (parent / known).is_dir():
                return parent / known
        parent.mkdir(parents=True, exist_ok=True)
        while True:
            try:
                (parent / chosen).mkdir()
                break
            except FileExistsError:
                number += 1
                chosen = f"{name}-{number}"
        self.write(note.name, chosen + "\n")
        return parent / chosen

    # ------------------------------------------------------------------ files
    @property
    def config_file(self) -> Path:
        """The resolved configuration; ``eqrl train --config`` repeats the run from it."""
        return self.path / "config.yaml"

    @property
    def checkpoints(self) -> Store:
        """The checkpoints of the run."""
        return Store(self.path)

    @property
    def readme(self) -> Path:
        """What the run is and how it ended, for people."""
        return self.path / "README.md"

    @property
    def result_file(self) -> Path:
        """The final numbers; the run is finished if, and only if, the file is there."""
        return self.path / "result.json"

    @property
    def failed(self) -> bool:
        """Whether a guard stopped the run, and the run has not advanced since."""
        reached = max(self.checkpoints.steps(), default=0)
        failure_steps = [path.name.removeprefix("failure_").split("_")[0] for path in self.path.glob("failure_*")]
        return any(steps.isdigit() and int(steps) >= reached for steps in failure_steps)

    def checkpoint(self, which: str | int) -> tuple[Path, Manifest]:
        """A checkpoint by name; its policy is verified.

        Args:
            which: ``"last"`` (the newest undamaged one), ``"best"`` or a number of steps.

        Raises:
            UsageError: if the run has no such checkpoint, with a list of the existing ones; or if it is damaged.
        """
        store = self.checkpoints
        if which == "last":
            return store.newest(complete=False)
        if which == "best":
            return store.best()
        steps = store.steps()
        if not str(which).isdigit() or int(which) not in steps:
            have = ", ".join(["best", "last", *map(str, sorted(steps))])
            raise UsageError(f"run {self.path} has no checkpoint {str(which)!r}; it has {have}")
        checkpoint = store.at(int(which))
        return checkpoint, store.verified(checkpoint, complete=False)

    def config(self) -> Config:
        """The configuration of the run, from its newest undamaged checkpoint.

        Raises:
            UsageError: if there is none, or ``config.yaml`` contradicts it.
        """
        return self.stored_config(*self.checkpoint("last"))

    def stored_config(self, checkpoint: Path, manifest: Manifest) -> Config:
        """The configuration in a verified checkpoint; ``config.yaml`` must not contradict it.

        Options that may change during a run are taken from ``config.yaml``: a run that was given more steps may have
        been killed before its next checkpoint.

        Raises:
            UsageError: if ``config.yaml`` contradicts it, with all differences; or if it cannot be read.
        """
        stored = Config.from_dict(manifest.config, str(checkpoint))
        fix = "its checkpoints hold the configuration too: undo the change, or delete the file"
        if self.config_file.is_file():
            try:
                written = self.written_config()
            except UsageError as error:
                raise UsageError(f"{error}; {fix}") from None
            if changes := forbidden_changes(stored, written):
                raise UsageError(f"{self.config_file} was changed: {'; '.join(changes)}; {fix}")
            if self._config_is_whole():
                return written.replace(
                    n_timesteps=written.n_timesteps or stored.n_timesteps, gym_packages=stored.gym_packages
                )
            if written != stored:
                text = (
                    f"{self.config_file} was changed after it was written, so the configuration in {checkpoint} counts;"
                    " give changes as options"
                )
                warnings.warn(CheckpointWarning(text), stacklevel=2)
        return stored

    def _config_is_whole(self) -> bool:
        """Whether ``config.yaml`` is, byte by byte, what :meth:`write_config` wrote."""
        try:
            content, _, last = self.config_file.read_bytes().rpartition(_CHECKSUM)
        except OSError:
            return False
        return last == hashlib.sha256(content).hexdigest().encode() + b"\n"

    def written_config(self) -> Config:
        """The configuration in ``config.yaml``.

        Raises:
            UsageError: if it cannot be read.
        """
        return Config.from_dict(read_config_file(self.config_file), str(self.config_file))

    def write_config(self, config: Config) -> None:
        """Store the configuration."""
        text = "# Repeat this run: eqrl train --config <this file>\n" + yaml.safe_dump(
            config.to_dict(), sort_keys=False
        )
        self.write("config.yaml", text + _CHECKSUM.decode() + hashlib.sha256(text.encode()).hexdigest() + "\n")

    def write(self, name: str, text: str) -> None:
        """Write a text file atomically: a reader sees the old or the new one, never half of it.

        Raises:
            OSError: if it cannot be written.
        """
        write_whole(self.path / name, text)


def unfinished(config: Config) -> list[Path]:
    """Interrupted runs in the log folder that have exactly this configuration and that nobody is training now.

    Args:
        config: a resolved configuration.
    """
    parent, stem = _parent_and_stem(config)
    interrupted, notices = [], []
    for path in parent.glob(f"{stem}_*"):
        folder = RunFolder(path)
        if not path.name.removeprefix(f"{stem}_").isdigit() or folder.result_file.exists() or folder.failed:
            continue
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", CheckpointWarning)
            try:
                # cheap checks first: checkpoints may be large, and other processes may be training here
                if _with_log_folder_of(folder.written_config(), config) != config or is_taken(path):
                    continue
                created = ""  # killed before its first checkpoint
                if folder.checkpoints.steps():
                    checkpoint, manifest = folder.checkpoints.newest(complete=True)
                    if _with_log_folder_of(folder.stored_config(checkpoint, manifest), config) != config:
                        continue
                    if different := different_versions(manifest.versions):
                        notices.append(
                            f"{path} was interrupted with {'; '.join(different)}; --resume {path} goes on with it"
                        )
                        continue
                    created = manifest.created
                elif read_rows(path / "progress.csv"):
                    continue  # somebody deleted its checkpoints
            except UsageError:
                continue
        interrupted.append((created, path))
    for text in notices if not interrupted else ():
        warnings.warn(text, stacklevel=2)
    return [path for _, path in sorted(interrupted)]


def _with_log_folder_of(there: Config, here: Config) -> Config:
    """The configuration ``there`` with the log folder of ``here``: the folder may have been moved."""
    return there.replace(log_folder=here.log_folder)


def _parent_and_stem(config: Config) -> tuple[Path, str]:
    """The folder that holds a configuration's runs, and the common start of their names."""
    return Path(config.log_folder) / config.algo, config.env.split(":")[-1].replace("/", "-")


def _nearby(path: Path) -> str:
    """A clause that names the newest run folder near a wrong path, or nothing."""
    for root, pattern in ((path, "*/config.yaml"), (path, "*/*/config.yaml"), (Path("logs"), "*/*/config.yaml")):
        if root.is_dir() and (config_files := sorted(root.glob(pattern), key=lambda p: p.stat().st_mtime)):
            return f", for instance {config_files[-1].parent}"
    return ""
