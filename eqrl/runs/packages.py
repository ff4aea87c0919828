"""Third-party packages that register environments: imported at the user's request, never at that of a file."""

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
    """Refuse packages that a file asks to import, because that would run code at the request of a file.

    Args:
        names: packages; those that are imported already are accepted.
        source: the file.

    Raises:
        UsageError: naming the option to give on the command line.
    """
    missing = [name for name in names or () if name not in sys.modules]
    if missing:
        raise UsageError(
            f"{source} asks to import {', '.join(missing)}, which would run code at the request of a file; "
            f"if you trust it, give --gym-packages {' '.join(missing)}"
        )
