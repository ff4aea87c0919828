"""What makes the errors of constructors readable: one line, and the closest known argument. Imports nothing heavy but Gymnasium."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, get_args, get_type_hints

import gymnasium

from eqrl.errors import UsageError, suggestion


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


def whole_signature(owner: type, root: type) -> inspect.Signature:
    """The signature of a constructor that hands ``**options`` on to its base classes, with their arguments by name.

    Options that are typed, ``**options: Unpack[SomeTypedDict]``, are no more than those.

    Args:
        owner: the class.
        root: the base class that takes the last of the options; what lies beyond it is not looked at.
    """
    positional: list[inspect.Parameter] = []
    named: dict[str, inspect.Parameter] = {}
    allowed: set[str] | None = None
    for base in owner.__mro__:
        if not issubclass(base, root) or "__init__" not in vars(base):
            continue
        parameters = list(inspect.signature(vars(base)["__init__"]).parameters.values())[1:]
        positional = positional or [p for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD]
        for p in parameters:
            taken = allowed is None or p.name in allowed
            if taken and p not in positional and p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY):
                named.setdefault(p.name, p.replace(kind=p.KEYWORD_ONLY))
        rest = [p for p in parameters if p.kind is p.VAR_KEYWORD]
        if not rest:
            break
        if allowed is None and "Unpack[" in str(rest[0].annotation):
            allowed = set(get_args(get_type_hints(vars(base)["__init__"])[rest[0].name])[0].__annotations__)
    known = {p.name for p in positional}
    return inspect.Signature([*positional, *(p for name, p in named.items() if name not in known), *rest])


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


@contextmanager
def one_line(what: str, repair: Callable[[str], str] = str) -> Iterator[None]:
    """Turn the errors of a constructor into one line that says what was being made."""
    try:
        yield
    except UsageError:
        raise
    except (gymnasium.error.Error, TypeError, ValueError, AssertionError, KeyError, FileNotFoundError, MemoryError) as error:
        text = str(error.args[0]) if isinstance(error, KeyError) and error.args else str(error)
        text = text.removeprefix(f"{what.split()[-1]}: ")
        raise UsageError(f"{what}: {repair(text) or type(error).__name__}") from error
    except RuntimeError as error:
        if "allocate memory" not in str(error):  # PyTorch has no MemoryError of its own
            raise
        raise UsageError(f"{what}: it is too large for the memory of this machine; make it smaller") from error
