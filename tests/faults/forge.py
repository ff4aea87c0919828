"""Forge checkpoints with right checksums, as somebody who knows the format could do."""

from __future__ import annotations

import dataclasses
import io
import json
import pickle
import zipfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file

from eqrl.checkpoint.arrays import read_arrays
from eqrl.checkpoint.manifest import Entry, Manifest
from eqrl.checkpoint.store import Store


class Canary:
    """Makes a file when it is unpickled.

    Args:
        path: the file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


class Forgery:
    """A copy of a run of which the newest checkpoint, the only one left, is changed and signed again.

    Args:
        run: the run folder.
        outside: a folder with things that nobody may touch.
    """

    def __init__(self, run: Path, outside: Path) -> None:
        self.run, self.outside = run, outside
        store = Store(run)
        self.checkpoint = store.at(store.steps()[0])
        self.manifest = Manifest.read(self.checkpoint)

    # ------------------------------------------------------------------ files
    def pickle(self) -> bytes:
        """A pickle that makes the canary."""
        return pickle.dumps(Canary(self.outside / "canary"))

    def sign(self, **changes: Any) -> None:
        """Write the manifest for the files as they are, with some of its entries changed."""
        files = {
            name: Entry.of(self.checkpoint / name) for name in self.manifest.files if (self.checkpoint / name).is_file()
        }
        replay = {
            name: Entry.of(path) for name in self.manifest.replay if (path := self.run / "replay" / name).is_file()
        }
        body = dataclasses.replace(self.manifest, **{"files": files, "replay": replay, **changes})
        (self.checkpoint / "manifest.json").write_text(body.text())

    def raw_manifest(self, content: bytes) -> None:
        """Replace the manifest by anything."""
        (self.checkpoint / "manifest.json").write_bytes(content)

    def replace(self, name: str, content: bytes) -> None:
        """Replace a file by anything."""
        path = self.run / "replay" / name if name.startswith("rows_") else self.checkpoint / name
        path.write_bytes(content)
        self.sign()

    # ------------------------------------------------------------------ values
    def state(self, change: Callable[[Any], Any]) -> None:
        """Change ``state.json``."""
        path = self.checkpoint / "state.json"
        value = json.loads(path.read_text())
        path.write_text(json.dumps(change(value) or value))
        self.sign()

    def set_leaf(self, where: tuple[str | int, ...], value: Any) -> None:
        """Change one value in ``state.json``; ``DELETED`` takes it out."""

        def change(state: Any) -> None:
            for key in where[:-1]:
                state = state[key]
            if value is DELETED:
                del state[where[-1]]
            else:
                state[where[-1]] = value

        self.state(change)

    def leaves(self) -> list[tuple[str | int, ...]]:
        """Paths of the values in ``state.json``."""
        return list(_leaves(json.loads((self.checkpoint / "state.json").read_text()), ()))

    def arrays(self, name: str, change: Callable[[dict[str, NDArray[Any]]], Any]) -> None:
        """Change an archive of arrays."""
        path = self.run / "replay" / name if name.startswith("rows_") else self.checkpoint / name
        arrays = read_arrays(path)
        change(arrays)
        np.savez(path, allow_pickle=True, **arrays)
        self.sign()

    def tensors(self, name: str, change: Callable[[dict[str, NDArray[Any]], dict[str, Any]], Any]) -> None:
        """Change a file of tensors, and the plain values beside them."""
        path = self.checkpoint / name
        content = path.read_bytes()
        header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
        plain = json.loads(header["__metadata__"]["eqrl"])
        tensors = load_file(path)
        change(tensors, plain)
        save_file(tensors, path, metadata={"eqrl": json.dumps(plain)})
        self.sign()

    def names_of(self, name: str) -> list[str]:
        """Names of the arrays in an archive, or of the tensors in a file of them."""
        path = self.run / "replay" / name if name.startswith("rows_") else self.checkpoint / name
        return sorted(load_file(path) if name.endswith(".safetensors") else read_arrays(path))


DELETED = object()


def _leaves(value: Any, path: tuple[str | int, ...]) -> Iterator[tuple[str | int, ...]]:
    if path:
        yield path
    parts: Mapping[Any, Any] = (
        value if isinstance(value, dict) else dict(enumerate(value)) if isinstance(value, list) else {}
    )
    for key, entry in parts.items():
        yield from _leaves(entry, (*path, key))


def archive(member: bytes, name: str = "a0.npy", compression: int = zipfile.ZIP_STORED) -> bytes:
    """A zip file of one member."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as out:
        out.writestr(name, member)
    return file.getvalue()


def npy_header(text: str) -> bytes:
    """The beginning of a ``.npy`` file with a given header."""
    header = text.encode() + b"\n"
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header


def claiming(content: bytes, size: int) -> bytes:
    """A zip file whose only member claims to be as long as that."""
    changed = bytearray(content)
    entry = content.find(b"PK\x01\x02")
    for offset in (entry + 20, entry + 24, 18, 22):
        changed[offset : offset + 4] = size.to_bytes(4, "little")
    return bytes(changed)


def tensor_file(header: Mapping[str, Any] | bytes, data: bytes = b"", length: int | None = None) -> bytes:
    """A safetensors file with a given header."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return (len(text) if length is None else length).to_bytes(8, "little") + text + data
