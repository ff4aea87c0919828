"""Errors that the user can act on, in one line. Gymnasium is the only heavy import."""

from __future__ import annotations

import difflib
import importlib
import inspect
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

import gymnasium


class UsageError(Exception):
    """An input of the user does not fit; the message is one line that names the input and the fix.

    The command line prints it without a traceback and exits with its ``exit_code``.
    """

    exit_code = 2

    def __init__(self, message: str) -> None:
        super().__init__(" ".join(message.split()))


def suggestion(word: str, known: Iterable[str]) -> str:
    """A clause that offers the closest known word, or lists all of them.

    Args:
        word: what the user wrote.
        known: the valid words.
    """
    words = sorted(known)
    close = difflib.get_close_matches(word, words, n=1, cutoff=0.6)
    if close:
        return f"did you mean {close[0]!r}?"
    return f"choose from {', '.join(words)}" if words else "there are none"


def import_extra(module: str, what: str, extra: str) -> ModuleType:
    """Import a package that an extra installs.

    Args:
        module: the package.
        what: what needs it, the subject of the error message.
        extra: the extra of eqrl that installs it.

    Raises:
        UsageError: if it cannot be imported; the message names the extra.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise UsageError(f"{what} needs {module} ({error}); pip install 'eqrl[{extra}]'") from None


def known_arguments(*owners: Any) -> set[str]:
    """Names of the constructor arguments of classes and their base classes.

    Args:
        owners: classes; anything else is skipped.
    """
    known: set[str] = set()
    for owner in owners:
        for base in inspect.getmro(owner) if inspect.isclass(owner) else ():
            # a class may declare the arguments of its __init__ in __signature__
            described = base if "__signature__" in vars(base) else vars(base).get("__init__")
            if described is not None:
                parameters = inspect.signature(described).parameters.values()
                known |= {p.name for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)}
    return known - {"self"}


def argument_hint(text: str, known: Iterable[str]) -> str:
    """Reword Python's message about an unexpected argument so that it names the closest known one.

    Args:
        text: the message of a ``TypeError``; any other message is returned unchanged.
        known: the valid arguments.
    """
    if "unexpected keyword argument" not in text:
        return text
    # newer versions of Python append their own guess to the name
    wrong = text.split("unexpected keyword argument", 1)[1].split("'")[1]
    return f"it has no option {wrong!r}; {suggestion(wrong, known)}"


@contextmanager
def one_line(what: str, repair: Callable[[str], str] = str) -> Iterator[None]:
    """Turn the errors of a constructor into one line that names what was being made."""
    try:
        yield
    except UsageError:
        raise
    except (
        gymnasium.error.Error,
        TypeError,
        ValueError,
        AssertionError,
        KeyError,
        FileNotFoundError,
        MemoryError,
    ) as error:
        text = str(error.args[0]) if isinstance(error, KeyError) and error.args else str(error)
        text = text.removeprefix(f"{what.split()[-1]}: ")
        raise UsageError(f"{what}: {repair(text) or type(error).__name__}") from error
    except RuntimeError as error:
        if "allocate memory" not in str(error):  # PyTorch raises no MemoryError
            raise
        raise UsageError(f"{what}: it is too large for the memory of this machine; make it smaller") from error
