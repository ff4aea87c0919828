"""Every call by which a process changes the disk, so that something can happen at a chosen one of them."""

from __future__ import annotations

import functools
import os
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

Harm = Callable[[str, Callable[[], Any], Callable[[], None]], Any]


def tamper(harm: Harm) -> None:
    """Pass every such call of this process through a function; for a forked child only.

    Args:
        harm: called with the name of the call, with something that performs it, and with something that performs half
            of it (of a write; of anything else nothing). It returns what the call returns.
    """
    for name in ("fsync", "replace", "rename", "mkdir", "unlink", "rmdir"):
        setattr(os, name, _through(harm, name, getattr(os, name)))
    for name in ("write_bytes", "write_text"):
        setattr(Path, name, _through(harm, name, getattr(Path, name), _half_a_file))
    member: Any = zipfile._ZipWriteFile  # type: ignore[attr-defined]
    member.write = _through(harm, "zip", member.write, functools.partial(_half_a_member, member.write))


def _through(harm: Harm, name: str, call: Callable[..., Any], half: Callable[..., None] = lambda *a, **k: None) -> Any:
    @functools.wraps(call)
    def passed(*args: Any, **kwargs: Any) -> Any:
        return harm(name, lambda: call(*args, **kwargs), lambda: half(*args, **kwargs))

    return passed


def _half_a_file(path: Path, content: bytes | str, *args: Any, **kwargs: Any) -> None:
    data = content.encode() if isinstance(content, str) else bytes(content)
    with open(path, "wb") as file:
        file.write(data[: len(data) // 2])


def _half_a_member(write: Callable[..., Any], member: Any, data: Any) -> None:
    content = memoryview(data).cast("B")
    write(member, content[: len(content) // 2])
    member._fileobj.flush()
