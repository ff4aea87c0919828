"""Find the first number that is not finite in data from the environments."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from gymnasium import spaces


@dataclass(frozen=True)
class BadNumber:
    """A number that is not finite, and its position.

    Attributes:
        value: the number.
        row: index on the leading axis, 0 if there is none.
        name: position within the row, as in messages; empty if a row is a single number.
    """

    value: float
    row: int
    name: str = ""


def finite(values: Any) -> bool:
    """Whether all numbers of an array, or of a dict of arrays, are finite."""
    if isinstance(values, Mapping):
        return all(finite(part) for part in values.values())
    return bool(np.isfinite(values).all())


def first_bad(values: Any) -> BadNumber | None:
    """The first number that is not finite in an array with a leading axis."""
    array = np.asarray(values)
    bad = np.argwhere(~np.isfinite(array))
    if not len(bad):
        return None
    return BadNumber(float(array[tuple(bad[0])]), int(bad[0][0]) if array.ndim else 0)


def first_bad_observation(space: spaces.Space[Any], values: Any) -> BadNumber | None:
    """The first number that is not finite in observations; its name has the key of a dict and the field or component.

    Args:
        space: space of one observation, typed or not.
        values: an array with a leading axis, or a dict of such arrays.
    """
    for key, part in values.items() if isinstance(values, Mapping) else (("", values),):
        array = np.asarray(part)
        bad = np.argwhere(~np.isfinite(array))
        if len(bad):
            component = int(bad[0][1]) if array.ndim == 2 else None
            return BadNumber(float(array[tuple(bad[0])]), int(bad[0][0]), _name(space, str(key), component))
    return None


def _name(space: spaces.Space[Any], key: str, component: int | None) -> str:
    part = space.spaces.get(key) if isinstance(space, spaces.Dict) else space
    words = [f"{key!r}"] if key else []
    fields = getattr(part, "representation", None)
    if fields is not None and component is not None:
        words.append(f"field {next(name for name, s in fields.slices.items() if s.start <= component < s.stop)!r}")
    elif component is not None:
        words.append(f"component {component}")
    return " ".join(words)
