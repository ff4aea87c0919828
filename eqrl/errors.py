"""Errors that a person can act upon, in one line."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class UsageError(Exception):
    """Something the user gave does not fit; the message is one line that names the thing and the fix.

    The command line prints it without a traceback and exits with its ``exit_code``.
    """

    exit_code = 2

    def __init__(self, message: str) -> None:
        super().__init__(" ".join(message.split()))


def suggestion(word: str, known: Iterable[str]) -> str:
    """A half-sentence that offers the closest known word, or lists them all.

    Args:
        word: what the user wrote.
        known: what would have been right.
    """
    words = sorted(known)
    close = difflib.get_close_matches(word, words, n=1, cutoff=0.6)
    if close:
        return f"did you mean {close[0]!r}?"
    return f"choose from {', '.join(words)}" if words else "there are none"
