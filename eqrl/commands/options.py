"""Command-line options built from a dataclass, with one-line errors; shared by all commands."""

from __future__ import annotations

import argparse
import dataclasses
import types
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, NoReturn, TypeVar, Union, get_args, get_origin

from eqrl.errors import UsageError, suggestion
from eqrl.runs.config import hints, hyperparameter_hint
from eqrl.runs.values import ConversionError, parse_pair

_Options = TypeVar("_Options")
RUN = "folder that 'eqrl train' printed, or a .zip file of Stable-Baselines3"


class Parser(argparse.ArgumentParser):
    """A parser that raises one-line errors instead of printing its usage."""

    def __init__(self, prog: str, description: str) -> None:
        super().__init__(
            prog=prog,
            description=description,
            allow_abbrev=False,
            formatter_class=lambda prog: argparse.HelpFormatter(prog, max_help_position=34, width=110),
        )

    def error(self, message: str) -> NoReturn:
        """Raise instead of exiting.

        Raises:
            UsageError: always.
        """
        raise UsageError(f"{message} (see {self.prog} --help)")

    def read(self, argv: Sequence[str]) -> dict[str, Any]:
        """The options that the user gave, and only those.

        Raises:
            UsageError: for an unknown option, naming the closest one, or a value of the wrong type.
        """
        parsed, unknown = self.parse_known_args(list(argv))
        if unknown:
            flags = [flag for action in self._actions for flag in action.option_strings]
            wrong = unknown[0].split("=")[0]
            hint = hyperparameter_hint(wrong.lstrip("-"), flags, "-params {0}:VALUE")
            raise UsageError(f"unknown option {unknown[0]!r}; {hint or suggestion(wrong, flags)}")
        values: dict[str, Any] = vars(parsed)
        for name, value in values.items():
            if isinstance(value, _Pairs):
                values[name] = dict(value)
        return values


class _Pairs(list[tuple[str, Any]]):
    """Parsed ``key:value`` pairs, which become a dict once all of them are read."""


class _CollectPairs(argparse.Action):
    def __call__(
        self, parser: Any, namespace: argparse.Namespace, values: Any, option_string: str | None = None
    ) -> None:
        pairs = _Pairs(getattr(namespace, self.dest, None) or ())
        for text in values:
            try:
                pairs.append(parse_pair(text))
            except ConversionError as error:
                raise UsageError(f"option {option_string}: {error}") from None
        setattr(namespace, self.dest, pairs)


def add_options(parser: argparse.ArgumentParser, cls: type) -> None:
    """Add an option to a parser for every field of a dataclass made with :func:`eqrl.runs.config.option`."""
    headings: dict[str, argparse._ArgumentGroup] = {}
    types_of = hints(cls)
    for field in dataclasses.fields(cls):
        meta = field.metadata
        if meta["group"] not in headings:
            headings[meta["group"]] = parser.add_argument_group(meta["group"])
        target = headings[meta["group"]]
        hint = _without_none(types_of[field.name])
        kind = get_origin(hint) or hint
        names = [*meta["flags"], "--" + field.name.replace("_", "-")]
        help_text = meta["help"] + _default_text(field)
        common: dict[str, Any] = {"dest": field.name, "help": help_text, "default": argparse.SUPPRESS}
        if kind is bool:
            target.add_argument(*names, action=argparse.BooleanOptionalAction, **common)
        elif kind is dict:
            target.add_argument(*names, action=_CollectPairs, nargs="+", metavar=meta["metavar"], **common)
        elif kind is list:
            target.add_argument(*names, nargs="+", metavar=meta["metavar"], **common)
        elif kind is Literal:
            target.add_argument(*names, metavar="{" + ",".join(get_args(hint)) + "}", **common)
        else:
            target.add_argument(*names, metavar=meta["metavar"], **common)


def read_run(command: str, about: str, options: type[_Options], argv: Sequence[str]) -> tuple[str, _Options]:
    """The run folder and the options of a command that reads a run.

    Args:
        command: name of the command, for instance ``"eqrl evaluate"``.
        about: its description.
        options: dataclass of its options.
        argv: its arguments.

    Raises:
        UsageError: for an unknown option, or a value of the wrong type.
    """
    parser = Parser(command, about)
    parser.add_argument("run", metavar="RUN", help=RUN)
    add_options(parser, options)
    given = parser.read(argv)
    return given.pop("run"), options(**given)


def check_file(path: str | None, suffixes: tuple[str, ...]) -> None:
    """Refuse a file type that cannot be written, before any work is done.

    Raises:
        UsageError: listing the types that can be written.
    """
    if path is not None and Path(path).suffix not in suffixes:
        raise UsageError(f"file {path}: unknown kind {Path(path).suffix!r}; use {', '.join(suffixes)}")


def _without_none(hint: Any) -> Any:
    if get_origin(hint) in (Union, types.UnionType):
        return next(h for h in get_args(hint) if h is not type(None))
    return hint


def _default_text(field: dataclasses.Field[Any]) -> str:
    if field.default is None or field.default is dataclasses.MISSING or isinstance(field.default, bool):
        return ""
    return f" (default: {field.default})".replace("%", "%%")
