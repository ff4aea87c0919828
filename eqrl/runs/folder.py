"""The run folder: everything about one training run, readable by a person and loadable without pickle."""

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
        parent, stem = _place(config)
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
        return cls(path)

    def describe(self, config: Config) -> None:
        """Say what the run is. Only for the owner of its lock: a folder with a configuration may be gone on with by others.

        Raises:
            UsageError: if it cannot be written.
        """
        try:
            self.write("command.txt", shlex.join([Path(sys.executable).name, *sys.orig_argv[1:]]) + "\n")
            self.write("versions.txt", versions_text())
            self.write_config(config)
        except OSError as error:
            raise UsageError(f"run folder {self.path} cannot be written ({error.strerror}); choose another with -f") from None

    @classmethod
    def open(cls, path: str | Path, *, empty: bool = False) -> RunFolder:
        """A folder that a run made.

        Args:
            path: the folder.
            empty: accept one that was killed before its first checkpoint.

        Raises:
            UsageError: if it is not one, or the run never saved a model.
        """
        folder = cls(Path(path))
        what = f"{path} is not a run folder"
        if not folder.path.exists():
            raise UsageError(f"{what}: it does not exist; give the folder that 'eqrl train' printed{_nearby(folder.path)}")
        if not folder.config_file.is_file() and not folder.checkpoints.folder.is_dir():
            raise UsageError(f"{what}: it has no config.yaml; give the folder that 'eqrl train' printed{_nearby(folder.path)}")
        if not folder.checkpoints.steps() and not (empty and folder.config_file.is_file()):
            older = (folder.path / "model").is_dir()
            why = (
                "its checkpoints are those of eqrl 0.1, which this version does not read" if older else "it has no checkpoints"
            )
            raise UsageError(f"{what} with a model: {why}; train again")
        return folder

    def board(self, parent: Path, name: str) -> Path:
        """The run's own TensorBoard folder in one that runs share, the same again when it is resumed.

        A resumed run hides what it logged after its last checkpoint, and must not hide another run of the same name.

        Args:
            parent: the shared folder.
            name: of the run's own, which gets a number if it is taken.

        Raises:
            OSError: if it cannot be made.
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
        """Its checkpoints."""
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
        """Whether a guard stopped the run, and it has not got any further since."""
        reached = max(self.checkpoints.steps(), default=0)
        found = [path.name.removeprefix("failure_").split("_")[0] for path in self.path.glob("failure_*")]
        return any(steps.isdigit() and int(steps) >= reached for steps in found)

    def checkpoint(self, which: str | int) -> tuple[Path, Manifest]:
        """A checkpoint by name, with its policy verified.

        Args:
            which: ``"last"`` (the newest that is undamaged), ``"best"`` or a number of steps.

        Raises:
            UsageError: if the run has no such checkpoint, with a list of those that it has; or if it is damaged.
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
        place = store.at(int(which))
        return place, store.verified(place, complete=False)

    def config(self) -> Config:
        """The configuration of the run, from its newest undamaged checkpoint.

        Raises:
            UsageError: if there is none, or ``config.yaml`` says something else.
        """
        return self.stored_config(*self.checkpoint("last"))

    def stored_config(self, place: Path, manifest: Manifest) -> Config:
        """The configuration in a checkpoint, which is verified; ``config.yaml`` must not contradict it.

        Options that may change on the way are those of ``config.yaml``: a run that was given more steps may have been killed
        before its next checkpoint.

        Raises:
            UsageError: if it does, with all differences; or if it cannot be read.
        """
        stored = Config.from_dict(manifest.config, str(place))
        fix = "its checkpoints hold the configuration too: undo the change, or delete the file"
        if self.config_file.is_file():
            try:
                written = self.written_config()
            except UsageError as error:
                raise UsageError(f"{error}; {fix}") from None
            if found := forbidden_changes(stored, written):
                raise UsageError(f"{self.config_file} was changed: {'; '.join(found)}; {fix}")
            if self._config_is_whole():
                return written.replace(n_timesteps=written.n_timesteps or stored.n_timesteps, gym_packages=stored.gym_packages)
            if written != stored:
                text = f"{self.config_file} was changed after it was written, so what {place} says counts; give changes as options"
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
        text = "# Repeat this run: eqrl train --config <this file>\n" + yaml.safe_dump(config.to_dict(), sort_keys=False)
        self.write("config.yaml", text + _CHECKSUM.decode() + hashlib.sha256(text.encode()).hexdigest() + "\n")

    def write(self, name: str, text: str) -> None:
        """Write a text file as a whole: a reader sees the old or the new one, never half of it.

        Raises:
            OSError: if it cannot be written.
        """
        write_whole(self.path / name, text)


def unfinished(config: Config) -> list[Path]:
    """Runs in the log folder with this very configuration that were interrupted and are not being trained now.

    Args:
        config: resolved.
    """
    parent, stem = _place(config)
    found, told = [], []
    for path in parent.glob(f"{stem}_*"):
        folder = RunFolder(path)
        if not path.name.removeprefix(f"{stem}_").isdigit() or folder.result_file.exists() or folder.failed:
            continue
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", CheckpointWarning)
            try:
                # first what costs nothing: checkpoints may be large, and others may be training here
                if _elsewhere(folder.written_config(), config) != config or is_taken(path):
                    continue
                created = ""  # killed before its first checkpoint
                if folder.checkpoints.steps():
                    place, manifest = folder.checkpoints.newest(complete=True)
                    if _elsewhere(folder.stored_config(place, manifest), config) != config:
                        continue
                    if different := different_versions(manifest.versions):
                        told.append(f"{path} was interrupted with {'; '.join(different)}; --resume {path} goes on with it")
                        continue
                    created = manifest.created
                elif read_rows(path / "progress.csv"):
                    continue  # somebody deleted its checkpoints
            except UsageError:
                continue
        found.append((created, path))
    for text in told if not found else ():
        warnings.warn(text, stacklevel=2)
    return [path for _, path in sorted(found)]


def _elsewhere(there: Config, here: Config) -> Config:
    """A configuration without regard to where its log folder was: it may have been moved."""
    return there.replace(log_folder=here.log_folder)


def _place(config: Config) -> tuple[Path, str]:
    """The folder of a configuration's runs, and what their names begin with."""
    return Path(config.log_folder) / config.algo, config.env.split(":")[-1].replace("/", "-")


def _nearby(path: Path) -> str:
    """The newest run folder close to a wrong path, as a half-sentence."""
    for root, pattern in ((path, "*/config.yaml"), (path, "*/*/config.yaml"), (Path("logs"), "*/*/config.yaml")):
        if root.is_dir() and (found := sorted(root.glob(pattern), key=lambda p: p.stat().st_mtime)):
            return f", for instance {found[-1].parent}"
    return ""
