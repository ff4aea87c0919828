"""The manifest of a checkpoint: every file with its size and SHA-256, and everything needed to rebuild the model."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from eqrl.errors import UsageError
from eqrl.files.atomic import is_plain_file, sha256

NAME = "manifest.json"
FORMAT = "eqrl-checkpoint-2"
_FILE_NAME = re.compile(r"[a-z0-9_]+\.(safetensors|npz|json)")
_LARGEST_MANIFEST = 64 << 20


class DamagedCheckpointError(UsageError):
    """A checkpoint that differs from what was written: incomplete, changed or forged."""


@dataclass(frozen=True)
class Entry:
    """A file of a checkpoint.

    Attributes:
        bytes: size of the file.
        sha256: checksum of the file.
    """

    bytes: int
    sha256: str

    @classmethod
    def of(cls, path: Path) -> Entry:
        """Measure a file.

        Raises:
            OSError: if it cannot be read.
        """
        return cls(path.stat().st_size, sha256(path))

    def check(self, path: Path) -> None:
        """Compare a file with what was written.

        Raises:
            DamagedCheckpointError: if it is missing, a link, or different.
        """
        if not is_plain_file(path):
            raise DamagedCheckpointError(f"{path} is missing or not a regular file")
        try:
            size = path.stat().st_size
            if size != self.bytes:
                raise DamagedCheckpointError(f"{path} has {size:,} bytes where {self.bytes:,} were written")
            if sha256(path) != self.sha256:
                raise DamagedCheckpointError(f"{path} is not what was written (its checksum differs)")
        except OSError as error:  # the training that owns it has deleted it in the meantime, or the disk is broken
            raise DamagedCheckpointError(f"{path} cannot be read ({error.strerror or error})") from None


@dataclass(frozen=True)
class Manifest:
    """The contents of a checkpoint.

    Attributes:
        step: environment steps done.
        complete: whether a training can resume from it; otherwise it holds the policy only.
        config: the run's resolved configuration.
        spaces: observation and action space, as text for people.
        versions: versions of everything that determines the bits of a run.
        files: files in the checkpoint's folder.
        replay: files of the replay log that make up the buffer, in order.
        inexact: why a resumed run will not be the same to the bit, or None if it will.
        created: local time.
        extra: plain values such as the evaluation that made it the best one.
    """

    step: int
    complete: bool
    config: Mapping[str, Any]
    spaces: Mapping[str, str]
    versions: Mapping[str, str]
    files: Mapping[str, Entry]
    replay: Mapping[str, Entry] = field(default_factory=dict)
    inexact: str | None = None
    created: str = ""
    extra: Mapping[str, Any] = field(default_factory=dict)

    def text(self) -> str:
        """The text of the file: JSON in a canonical form, with a checksum, so that no changed byte goes unnoticed."""
        body = {"format": FORMAT, **asdict(self)}
        return _canonical({**body, "checksum": _checksum(body)})

    @classmethod
    def read(cls, folder: Path) -> Manifest:
        """Read the manifest of a checkpoint; the files that it lists are not checked yet.

        Raises:
            DamagedCheckpointError: if it is missing, of another format, or changed.
        """
        path = folder / NAME
        if not is_plain_file(path):
            raise DamagedCheckpointError(f"{folder} is not a checkpoint: it has no {NAME}")
        try:
            if path.stat().st_size > _LARGEST_MANIFEST:
                raise ValueError("it is too large")
            content = path.read_bytes()
            body = json.loads(content)
            format_name = body.pop("format", None)
            if format_name != FORMAT:
                raise DamagedCheckpointError(
                    f"{path} has format {format_name!r}, this version of eqrl reads {FORMAT!r}"
                )
            checksum = body.pop("checksum", None)
            files = {name: Entry(**entry) for name, entry in body.pop("files").items()}
            replay = {name: Entry(**entry) for name, entry in body.pop("replay").items()}
            manifest = cls(**body, files=files, replay=replay)
            # the checksum detects accidents; the comparison of the text leaves no byte that could be changed unnoticed
            if checksum != _checksum({"format": FORMAT, **asdict(manifest)}) or content != manifest.text().encode():
                raise ValueError("its checksum differs")
            manifest._check_types()
        except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            raise DamagedCheckpointError(f"{path} is not what was written: {error}") from None
        return manifest

    def check(self, folder: Path, replay: Path | None = None, names: Iterable[str] | None = None) -> None:
        """Compare the files with what was written.

        Args:
            folder: the checkpoint.
            replay: the folder of the replay log; None leaves it unchecked.
            names: names of the files to check; by default all.

        Raises:
            DamagedCheckpointError: naming the first file that differs.
        """
        for name in self.files if names is None else names:
            if name not in self.files:
                raise DamagedCheckpointError(f"checkpoint {folder} has no {name}")
            self.files[name].check(folder / name)
        if replay is not None:
            for name, entry in self.replay.items():
                entry.check(replay / name)

    def content(self, folder: Path, name: str) -> bytes:
        """The verified content of a file.

        Raises:
            DamagedCheckpointError: if it is missing or different.
        """
        entry, path = self.files.get(name), folder / name
        if entry is None:
            raise DamagedCheckpointError(f"checkpoint {folder} has no {name}")
        try:
            if not is_plain_file(path) or path.stat().st_size != entry.bytes:
                raise DamagedCheckpointError(f"{path} is missing or not as long as it was written")
            content = path.read_bytes()
        except OSError as error:
            raise DamagedCheckpointError(f"{path} cannot be read ({error.strerror or error})") from None
        if hashlib.sha256(content).hexdigest() != entry.sha256:
            raise DamagedCheckpointError(f"{path} is not what was written (its checksum differs)")
        return content

    def _check_types(self) -> None:
        """Check types and file names, because a forged manifest has a correct checksum too."""
        if not (isinstance(self.step, int) and self.step >= 0 and isinstance(self.complete, bool)):
            raise ValueError("its step is not a number of steps")
        for table in (self.config, self.spaces, self.versions, self.extra):
            if not isinstance(table, dict):
                raise ValueError("one of its tables is not a table")
        texts = [
            self.created,
            *self.spaces.values(),
            *self.versions.values(),
            "" if self.inexact is None else self.inexact,
        ]
        if not all(isinstance(text, str) for text in texts):
            raise ValueError("one of its texts is not a text")
        for name, entry in {**self.files, **self.replay}.items():
            if not _FILE_NAME.fullmatch(name):  # in particular, no path out of the folder
                raise ValueError(f"{name!r} is not the name of one of its files")
            if not (isinstance(entry.bytes, int) and isinstance(entry.sha256, str)):
                raise ValueError(f"the entry of {name!r} is not one")


def _canonical(body: Mapping[str, Any]) -> str:
    return json.dumps(body, indent=1, sort_keys=True, allow_nan=False) + "\n"


def _checksum(body: Mapping[str, Any]) -> str:
    return hashlib.sha256(_canonical(body).encode()).hexdigest()
