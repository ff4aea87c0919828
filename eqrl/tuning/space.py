"""Search spaces: which options of a training are tried, and with which values. They are data: nothing is executed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from eqrl.errors import UsageError, suggestion
from eqrl.runs.algorithms import known_hyperparams
from eqrl.runs.config import merged
from eqrl.runs.values import ConversionError, convert, parse, plain

# options of ``eqrl train`` that may be searched; all other keys are arguments of the algorithm
_OPTIONS = ("network", "group", "policy_kwargs", "augment", "mirror_loss", "prior", "n_envs", "env_kwargs")
_BOUNDS = ("range", "log", "integers")
_KINDS = (*_BOUNDS, "choice")
_EXAMPLE = "give for instance {log: [1.0e-4, 1.0e-2]} or {choice: [16, 32]}"


class Proposer(Protocol):
    """What proposes values: a trial of Optuna."""

    def suggest_float(self, name: str, low: float, high: float, *, log: bool = False) -> float:
        """A number."""

    def suggest_int(self, name: str, low: int, high: int) -> int:
        """A whole number."""

    def suggest_categorical(self, name: str, choices: list[Any]) -> Any:
        """One of several plain values."""


@dataclass(frozen=True)
class Dimension:
    """One option that is searched.

    Attributes:
        name: an option of ``eqrl train`` or an argument of the algorithm, with dots into tables.
        kind: ``"range"``, ``"log"``, ``"integers"`` or ``"choice"``.
        values: the two bounds, or the choices.
        form: text into which the value is put at ``{}``, or None for the value itself.
    """

    name: str
    kind: str
    values: tuple[Any, ...]
    form: str | None = None

    def propose(self, trial: Proposer) -> Any:
        """A value that a trial of Optuna proposes."""
        if self.kind == "choice":  # Optuna knows numbers and texts only
            labels = {v if isinstance(v, (bool, int, float, str)) else str(v): v for v in self.values}
            return self._formed(labels[trial.suggest_categorical(self.name, list(labels))])
        low, high = self.values
        if self.kind == "integers":
            return self._formed(trial.suggest_int(self.name, low, high))
        return self._formed(trial.suggest_float(self.name, low, high, log=self.kind == "log"))

    @property
    def first(self) -> Any:
        """The lower bound, or the first choice."""
        return self._formed(self.values[0])

    def _formed(self, value: Any) -> Any:
        if self.form is None:
            return value
        return self.form.replace("{}", f"{value:.6g}" if isinstance(value, float) else str(value))


@dataclass(frozen=True)
class Space:
    """A search space.

    Attributes:
        dimensions: what is searched.
        content: the same as plain values, as in a file.
    """

    dimensions: tuple[Dimension, ...]
    content: Mapping[str, Any]

    @classmethod
    def read(cls, content: Any, algo: str, source: str) -> Space:
        """Read a search space from plain values.

        Args:
            content: a table such as ``{"gamma": {"choice": [0.9, 0.99]}}``.
            algo: the algorithm.
            source: where it comes from, for error messages.

        Raises:
            UsageError: naming the entry that does not fit, and the closest one that would.
        """
        if not isinstance(content, Mapping) or not content:
            raise UsageError(
                f"search space {source} holds no entries; write for instance 'gamma: {{choice: [0.9, 0.99]}}'"
            )
        known = {*_OPTIONS, *known_hyperparams(algo)}
        for key in map(str, content):
            if key.split(".")[0] not in known:
                raise UsageError(
                    f"search space {source}: {key!r} is no argument of {algo} and no option that can be searched;"
                    f" {suggestion(key.split('.')[0], known)}"
                )
        return cls(
            tuple(
                _dimension(str(key), entry, f"search space {source}: {str(key)!r}") for key, entry in content.items()
            ),
            plain(content),
        )

    def propose(self, trial: Proposer) -> dict[str, Any]:
        """Options of a training that a trial of Optuna proposes, as nested tables."""
        return merged(*(_nested(d.name, d.propose(trial)) for d in self.dimensions))

    @property
    def corner(self) -> dict[str, Any]:
        """The options at the lower ends of all bounds: with them, every name can be checked before the first trial."""
        return merged(*(_nested(d.name, d.first) for d in self.dimensions))


def _nested(name: str, value: Any) -> dict[str, Any]:
    parts = name.split(".")
    if parts[0] not in _OPTIONS:
        parts = ["hyperparams", *parts]
    for part in reversed(parts):
        value = {part: value}
    return dict(value)


def _dimension(name: str, entry: Any, where: str) -> Dimension:
    kinds = [key for key in entry if key != "as"] if isinstance(entry, Mapping) else []
    if len(kinds) != 1:
        raise UsageError(f"{where}: {entry!r} is not one kind of values; {_EXAMPLE}")
    (kind,) = kinds
    if kind not in _KINDS:
        raise UsageError(f"{where}: unknown kind {kind!r}; {suggestion(str(kind), _KINDS)}")
    values, form = entry[kind], entry.get("as")
    if form is not None and (not isinstance(form, str) or form.count("{}") != 1):
        raise UsageError(f"{where}: 'as' is {form!r}, and needs one {{}} for the value, for instance \"lin_{{}}\"")
    if not isinstance(values, list) or not values:
        raise UsageError(f"{where}: {values!r} is not a list; {_EXAMPLE}")
    if kind in _BOUNDS:
        values = _bounds(kind, values, where)
    else:  # YAML reads 1e-4, without a point, as text
        values = [parse(value) if isinstance(value, str) else value for value in values]
    return Dimension(name, kind, tuple(values), form)


def _bounds(kind: str, values: list[Any], where: str) -> list[float]:
    try:
        numbers = [convert(value, float) for value in values]
    except ConversionError:
        numbers = []
    if len(numbers) != 2 or not numbers[0] < numbers[1]:
        raise UsageError(f"{where}: {values!r} is not a lower and an upper bound, in this order; {_EXAMPLE}")
    if kind == "log" and numbers[0] <= 0:
        raise UsageError(f"{where}: the lower bound {numbers[0]:g} of 'log' is not above 0; {_EXAMPLE}")
    if kind == "integers":
        if any(number != int(number) for number in numbers):
            raise UsageError(f"{where}: {values!r} are not whole numbers; use 'range' for others")
        return [int(number) for number in numbers]
    return numbers
