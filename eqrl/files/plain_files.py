"""Read files of plain values (YAML, TOML, JSON) without executing anything, and with bounded memory.

PyYAML, ``tomllib`` and ``json`` do the parsing. This module adds what they lack: limits on aliases, which fill the
memory from a few lines, and on nesting, which ends in a ``RecursionError``; and one class for their undocumented
errors.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

from eqrl.errors import UsageError

LARGEST_FILE = 2**17
_LONGEST = 2000
_MOST_VALUES = 50_000
_DEEPEST = 40
_MOST_DOTS = 1000
_TOO_DEEP = f"is nested too deeply; write at most {_DEEPEST} tables into each other"
# PyYAML passes on the errors of Python's constructors: "!!int ''", "!!bool x", "!!timestamp x"
_BROKEN = (yaml.YAMLError, ValueError, LookupError, AttributeError, TypeError, OverflowError)
_TOO_LONG = f"holds a text or number of more than {_LONGEST} characters; keep options only in it"


class TooMuchError(ValueError):
    """More values, or deeper nesting, than any configuration needs; the message continues the name of the file."""


def read_plain_file(path: Path, what: str) -> Any:
    """The values of a ``.yaml``, ``.toml`` or ``.json`` file.

    Args:
        path: the file.
        what: its name in error messages, for instance ``"configuration file"``.

    Raises:
        UsageError: if it is missing, of another type, broken, too large, or nested too deeply (aliases are counted in
            full).
    """
    readers: Mapping[str, Callable[[str], Any]] = {
        ".yaml": parse_yaml,
        ".yml": parse_yaml,
        ".json": _json,
        ".toml": _toml,
    }
    if path.suffix not in readers:
        raise UsageError(f"{what} {path}: unknown kind {path.suffix!r}; use .yaml, .toml or .json")
    try:
        if path.exists() and not path.is_file():
            raise UsageError(f"{what} {path} is not a file; give a .yaml, .toml or .json file")
        with path.open("rb") as file:
            content = file.read(LARGEST_FILE + 1)
        if len(content) > LARGEST_FILE:
            raise UsageError(f"{what} {path} has more than {LARGEST_FILE // 1024} KiB; keep options only in it")
        return readers[path.suffix](content.decode("utf-8"))
    except OSError as error:
        raise UsageError(f"{what} {path} cannot be read: {error.strerror}") from None
    except RecursionError:
        raise UsageError(f"{what} {path} {_TOO_DEEP}") from None
    except TooMuchError as error:
        raise UsageError(f"{what} {path} {error}") from None
    except _BROKEN as error:
        raise UsageError(f"{what} {path} is not valid {path.suffix[1:]}: {str(error)[:400]}") from None


def parse_yaml(text: str) -> Any:
    """The values of a YAML text.

    Raises:
        ValueError: if it is broken, constructs an object, or is too large (:class:`TooMuchError`).
    """
    # aliases are counted before construction, which already copies what "<<" merges
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
        if node is None:
            return None
        _measure(node, _parts_of_node)
        return loader.construct_document(node)
    except _BROKEN as error:
        raise error if isinstance(error, ValueError) else ValueError(str(error)) from None


class _Loader(yaml.SafeLoader):
    """Stops at the greatest depth that is allowed; PyYAML itself recurses until Python raises an error."""

    depth = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        self.depth += 1
        if self.depth > _DEEPEST:
            raise TooMuchError(_TOO_DEEP)
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node


# a number in YAML 1.2 and in everybody's eyes, but a text for PyYAML, which reads 1.0e-4 and 1.5e+3 alone
_EXPONENT = re.compile(r"[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)[eE][-+]?[0-9]+$")
_Loader.add_implicit_resolver("tag:yaml.org,2002:float", _EXPONENT, list("-+.0123456789"))


def _json(text: str) -> Any:
    values = json.loads(text)
    _measure(values, _parts_of_value)
    return values


def _toml(text: str) -> Any:
    # the memory of tomllib grows with the square of the number of parts of a dotted key, and a key ends with its line
    if any(line.count(".") > _MOST_DOTS for line in text.split("\n")):
        raise TooMuchError(f"has a line with more than {_MOST_DOTS} dots; keep options only in it")
    values = tomllib.loads(text)
    _measure(values, _parts_of_value)
    return values


def _parts_of_node(node: Any) -> Iterable[Any]:
    if isinstance(node, yaml.MappingNode):
        return [part for pair in node.value for part in pair]
    if isinstance(node, yaml.ScalarNode) and len(node.value) > _LONGEST:
        raise TooMuchError(_TOO_LONG)
    return node.value if isinstance(node, yaml.SequenceNode) else ()


def _parts_of_value(value: Any) -> Iterable[Any]:
    if isinstance(value, dict):
        return [part for pair in value.items() for part in pair]
    # Python refuses to print integers of more than 4300 digits
    if (isinstance(value, str) and len(value) > _LONGEST) or (
        isinstance(value, int) and value.bit_length() > 3 * _LONGEST
    ):
        raise TooMuchError(_TOO_LONG)
    return value if isinstance(value, list) else ()


def _measure(root: Any, parts: Callable[[Any], Iterable[Any]]) -> None:
    """Refuse too many or too deeply nested values.

    A shared value counts at each of its occurrences but is visited once.

    Raises:
        TooMuchError: the message continues the file's name.
    """
    known: dict[int, tuple[int, int]] = {}

    def measured(value: Any, depth: int) -> tuple[int, int]:
        if id(value) not in known:
            if depth > _DEEPEST:  # also if a value contains itself
                raise TooMuchError(_TOO_DEEP)
            inner = [measured(part, depth + 1) for part in parts(value)]
            known[id(value)] = 1 + sum(count for count, _ in inner), 1 + max((height for _, height in inner), default=0)
        count, height = known[id(value)]
        if depth + height > _DEEPEST + 1:
            raise TooMuchError(_TOO_DEEP)
        if count > _MOST_VALUES:
            raise TooMuchError(
                f"holds more than {_MOST_VALUES} values, aliases counted in full; keep options only in it"
            )
        return count, height

    measured(root, 1)
