"""Packages of others that register environments: imported because a person says so, never because a file does."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterable

from eqrl.errors import UsageError


def import_packages(names: Iterable[str] | None) -> None:
    """Import packages that register environments.

    Raises:
        UsageError: if one cannot be imported.
    """
    for name in names or ():
        try:
            importlib.import_module(name)
        except ImportError as error:
            raise UsageError(f"package {name!r} of --gym-packages cannot be imported: {error}") from None


def refuse_imports(names: Iterable[str] | None, source: str) -> None:
    """Refuse packages that a file asks to be imported: that would run code because a file says so.

    Args:
        names: packages; those that are imported already are no matter.
        source: the file.

    Raises:
        UsageError: with what to give on the command line.
    """
    missing = [name for name in names or () if name not in sys.modules]
    if missing:
        raise UsageError(
            f"{source} asks to import {', '.join(missing)}, which would run code because a file says so; "
            f"if you trust it, give --gym-packages {' '.join(missing)}"
        )
