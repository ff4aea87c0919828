"""Values of options: read from text and files and written back, without evaluating code."""

from __future__ import annotations

import ast
import re
import types
from collections.abc import Mapping
from typing import Any, Literal, Union, get_args, get_origin

import numpy as np

from eqrl.files.plain_files import parse_yaml

_WORDS: Mapping[str, Any] = {"true": True, "false": False, "none": None, "null": None}

_TIGHT_KEY = re.compile(r"([{,]\s*[\w'\"]+):(?=\S)")  # YAML needs a space after most colons, and shell users write none


class ConversionError(ValueError):
    """A value that does not have the type of its option."""


def parse(text: str) -> Any:
    """Read a Python or YAML literal; anything else stays text.

    ``"3e-4"``, ``"[1, 2]"``, ``"(-15, 15)"``, ``"{hidden: [64]}"``, ``"true"`` and ``"uniform"`` all mean what they
    look like.
    """
    if text.strip().lower() in _WORDS:
        return _WORDS[text.strip().lower()]
    try:
        return plain(ast.literal_eval(text.strip()))
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):  # unhashable keys, thousands of brackets
        return _flow(text)


def _flow(text: str) -> Any:
    """Read a table or list in YAML, which needs no quotes inside: a shell strips quotes."""
    if not text.strip().startswith(("{", "[")):
        return text
    try:
        return plain(parse_yaml(_TIGHT_KEY.sub(r"\1: ", text)))
    except ValueError:
        return text


def parse_pair(text: str) -> tuple[str, Any]:
    """Read ``key:value`` (or ``key=value``).

    Raises:
        ConversionError: if there is no key.
    """
    positions = [p for p in (text.find(":"), text.find("=")) if p > 0]
    if not positions:
        raise ConversionError(f"expected key:value, got {text!r}")
    cut = min(positions)
    return text[:cut].strip(), parse(text[cut + 1 :])


def parse_name(text: str) -> tuple[str, dict[str, Any]]:
    """Read ``name`` or ``name:{key:value}``.

    Raises:
        ConversionError: if what follows the name is no mapping.
    """
    if ":" not in text:
        return text.strip(), {}
    name, options = parse_pair(text)
    if not isinstance(options, dict):
        raise ConversionError(f"expected {name}:{{key:value}}, got {text!r}")
    return name, options


def plain(value: Any) -> Any:
    """The same value made of dicts, lists, numbers and text only, which YAML and JSON return unchanged."""
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple, set)):
        return [plain(v) for v in value]
    if isinstance(value, (np.ndarray, np.generic)):
        return value.tolist()
    return value


def convert(value: Any, hint: Any) -> Any:
    """Convert a value to the type of an option.

    Numbers that mean the same are accepted (``1e6`` or ``"1e6"`` for an integer); a wrong type is not.

    Args:
        value: a value from the command line, a file or Python.
        hint: ``int``, ``float``, ``str``, ``bool``, ``dict[str, Any]``, ``list[str]``, a ``Literal``, or one of them
            ``| None``.

    Raises:
        ConversionError: the message continues the option's name.
    """
    if get_origin(hint) in (Union, types.UnionType):
        inner = [h for h in get_args(hint) if h is not type(None)]
        return None if value is None else convert(value, inner[0])
    if get_origin(hint) is Literal:
        if value not in get_args(hint):
            raise ConversionError(f"expected one of {', '.join(get_args(hint))}, got {value!r}")
        return value
    kind = get_origin(hint) or hint
    converted = _CONVERTERS[kind](value)
    if converted is None:
        raise ConversionError(f"expected {_NAMES[kind]}, got {value!r}")
    return converted


def fitting(value: Any, hint: Any) -> Any:
    """Convert a plain value to an annotated type of a third-party class.

    Args:
        value: any value; one that is not plain is returned unchanged.
        hint: any annotation; if it names no type that this module knows, the value is returned unchanged.

    Raises:
        ConversionError: the message continues the name of the argument.
    """
    hints = get_args(hint) if get_origin(hint) in (Union, types.UnionType) else (hint,)
    kinds = [kind for kind in (bool, int, float, str, dict) if kind in (get_origin(h) or h for h in hints)]
    if not kinds or not isinstance(value, (bool, int, float, str, list, Mapping, type(None))):
        return value
    if value is None and type(None) in hints:
        return None
    reason = ConversionError()
    for kind in kinds:
        try:
            return convert(value, kind)
        except ConversionError as error:
            reason = error
    raise reason


def _integer(value: Any) -> int | None:
    number = _number(value)
    return int(number) if number is not None and number == int(number) else None


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, (int, float, str, np.integer, np.floating)):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):  # a whole number may be too long for a float
        return None
    return number if np.isfinite(number) else None


def _flag(value: Any) -> bool | None:
    value = parse(value) if isinstance(value, str) else value
    return value if isinstance(value, bool) else None


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _table(value: Any) -> dict[str, Any] | None:
    return plain(value) if isinstance(value, Mapping) else None


def _texts(value: Any) -> list[str] | None:
    value = [value] if isinstance(value, str) else value
    return list(value) if isinstance(value, (list, tuple)) and all(isinstance(v, str) for v in value) else None


_CONVERTERS: Mapping[Any, Any] = {int: _integer, float: _number, bool: _flag, str: _text, dict: _table, list: _texts}
_NAMES = {
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    str: "text",
    dict: "keys and values",
    list: "names",
}
