"""The arguments that constructors take, to name the closest one; imports nothing heavy."""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from typing import Any

from eqrl.errors import suggestion


def known_arguments(*owners: Any) -> set[str]:
    """Names of the arguments of classes, those of their base classes included.

    Args:
        owners: classes; whatever is not one is skipped.
    """
    known: set[str] = set()
    for owner in owners:
        for base in inspect.getmro(owner) if inspect.isclass(owner) else ():
            if "__init__" in vars(base):
                parameters = inspect.signature(vars(base)["__init__"]).parameters.values()
                known |= {p.name for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)}
    return known - {"self"}


def argument_hint(text: str, known: Iterable[str]) -> str:
    """Python's message about an unexpected argument in words that name the closest known one; other messages as they are.

    Args:
        text: the message of a ``TypeError``.
        known: what would have been right.
    """
    if "unexpected keyword argument" not in text:
        return text
    # newer Pythons add a guess of their own behind the name
    wrong = text.split("unexpected keyword argument", 1)[1].split("'")[1]
    return f"it has no option {wrong!r}; {suggestion(wrong, known)}"
