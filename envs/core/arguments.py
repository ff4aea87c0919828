"""Arguments of a task, declared with what they mean: read, checked and documented in one place."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar, overload

import numpy as np

from eqrl.errors import suggestion

T = TypeVar("T")


@dataclass(eq=False)
class Argument(Generic[T]):
    """One argument of a task, a class attribute; instances hold its checked value under the same name.

    Attributes:
        default: what a user would write.
        read: checks what a user wrote and gives what the task computes with; raises ``ValueError`` that names the
            argument.
        description: what it means.
        unit: of what a user writes.
        per_episode: whether ``reset(options={...})`` takes it too.
        name: of the attribute.
    """

    default: Any
    read: Callable[[str, Any], T]
    description: str
    unit: str = ""
    per_episode: bool = False
    name: str = ""

    def __set_name__(self, owner: type, name: str) -> None:
        """Learn the name of the attribute."""
        self.name = name

    @overload
    def __get__(self, instance: None, owner: type) -> Argument[T]: ...
    @overload
    def __get__(self, instance: object, owner: type) -> T: ...
    def __get__(self, instance: object | None, owner: type) -> Argument[T] | T:
        """The declaration; an instance's own value comes before this."""
        if instance is None:
            return self
        raise AttributeError(f"{owner.__name__} has not read its argument {self.name!r} yet")

    def value(self, given: Any) -> T:
        """Read a value, as the task computes with it.

        Raises:
            ValueError: naming the argument and the value.
        """
        return self.read(self.name, given)


def choice(*words: str, description: str) -> Argument[str]:
    """One of some words, the first by default."""
    return named({word: word for word in words}, description)


def named(values: Mapping[str, T], description: str) -> Argument[T]:
    """One of some values, which users give by name; the first by default."""
    default, *others = values

    def read(name: str, value: Any) -> T:
        if not isinstance(value, str) or value not in values:
            close = suggestion(str(value), values)
            hint = f"; {close}" if close.startswith("did") else ""
            raise ValueError(f"{name}={value!r} is not known; use one of {', '.join(map(repr, values))}{hint}")
        return values[value]

    words = ", ".join(f'`"{word}"`' for word in others)
    return Argument(default, read, f"{description}, or {words}")


def number(
    default: float, description: str, unit: str = "", least: float = 0.0, most: float = np.inf
) -> Argument[float]:
    """A finite number that is at least ``least`` and at most ``most``."""

    def read(name: str, value: Any) -> float:
        try:
            size = float(value)
        except (TypeError, ValueError):
            size = np.nan
        if not least <= size < np.inf:
            raise ValueError(f"{name}={value!r} must be a finite number >= {least:g}")
        if size > most:
            raise ValueError(f"{name}={value!r} must be a number from {least:g} to {most:g}")
        return size

    return Argument(default, read, description, unit)


def whole(default: int, description: str, least: int = 0) -> Argument[int]:
    """A whole number that is at least ``least``."""

    def read(name: str, value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise ValueError(f"{name}={value!r} must be a whole number >= {least}")
        return value

    return Argument(default, read, description)


def flag(default: bool, description: str) -> Argument[bool]:
    """Yes or no."""

    def read(name: str, value: Any) -> bool:
        if not isinstance(value, bool):
            raise ValueError(f"{name}={value!r} must be True or False")
        return value

    return Argument(default, read, description)


def anything(default: Any, description: str) -> Argument[Any]:
    """Something that the task reads itself, when it builds its model."""
    return Argument(default, lambda name, value: value, description)


def angle(default: float, description: str, most: float = np.inf, reason: str = "") -> Argument[float]:
    """An angle in degrees, from 0 to ``most``, for a reason; the task computes with radians."""
    degrees = number(default, description)

    def read(name: str, value: Any) -> float:
        size = degrees.read(name, value)
        if size > most:
            raise ValueError(f"{name}={value!r} must be at most {most:g}: {reason}")
        return float(np.deg2rad(size))

    limit = f", 0 to {most:g}: {reason}" if reason else ""
    return Argument(default, read, f"{description}{limit}", "degrees")


def lengths(default: tuple[float, float], description: str) -> Argument[tuple[float, float]]:
    """A range of lengths in metres."""
    return _range(default, description, "lengths in metres", "m")


def factors(default: tuple[float, float], description: str) -> Argument[tuple[float, float]]:
    """A range of factors."""
    return _range(default, description, "factors")


def _range(default: tuple[float, float], description: str, what: str, unit: str = "") -> Argument[tuple[float, float]]:
    def read(name: str, value: Any) -> tuple[float, float]:
        try:
            low, high = (float(v) for v in value)
        except (TypeError, ValueError):
            low, high = np.nan, np.nan
        if not 0.0 < low <= high < np.inf:
            raise ValueError(f"{name}={value!r} must be two {what} with 0 < low <= high, such as (0.5, 1.0)")
        return (low, high)

    return Argument(default, read, description, unit)


def disc(default: tuple[float, float, float], description: str) -> Argument[tuple[float, float, float]]:
    """A disc of the plane: x and y of its centre, and its radius."""

    def read(name: str, value: Any) -> tuple[float, float, float]:
        try:
            x, y, radius = (float(v) for v in value)
        except (TypeError, ValueError):
            x, y, radius = np.nan, np.nan, np.nan
        if not (np.isfinite([x, y]).all() and 0.0 < radius < np.inf):
            raise ValueError(f"{name}={value!r} must be x, y and a radius > 0 in metres, such as (2.0, 0.0, 1.5)")
        return (x, y, radius)

    return Argument(default, read, f"{description}, `(x, y, radius)`", "m")


def sector(description: str) -> Argument[tuple[float, float]]:
    """Directions about the vertical axis: ``"uniform"``, or lowest and highest angle in degrees.

    The task computes with radians.

    ``reset(options={...})`` takes it too.
    """

    def read(name: str, value: Any) -> tuple[float, float]:
        if isinstance(value, str) and value == "uniform":
            return (-np.pi, np.pi)
        try:
            low, high = (float(v) for v in value)
        except (TypeError, ValueError):
            raise ValueError(
                f"{name}={value!r} is not a sector; give 'uniform' or two angles in degrees, such as (-15, 15)"
            ) from None
        if not (np.isfinite(low) and np.isfinite(high) and low <= high <= low + 360.0):
            raise ValueError(
                f"{name}={value!r} is not a sector; the angles must be finite, in order and at most 360 degrees apart"
            )
        return (float(np.deg2rad(low)), float(np.deg2rad(high)))

    return Argument("uniform", read, f'{description}, `"uniform"` or `(low, high)`', "degrees", per_episode=True)
