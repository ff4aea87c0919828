"""Values by name: views into arrays whose last axis is laid out by somebody else."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from eqrl.arrays import Floats
from eqrl.errors import suggestion
from eqrl.symmetry import Representation

Index = slice | NDArray[np.int64]


class Views:
    """Named parts of an array, read and written as attributes.

    ``views.target`` is a view, so that ``views.target[i] = x`` writes into the array, and so does ``views.target = x``.

    Args:
        owner: what the parts belong to, for errors.
        array: shape ``(*batch, size)``.
        parts: where each part lies in the last axis, and its shape; ``()`` for a single number.
    """

    _owner: str
    _array: Floats
    _scattered: dict[str, tuple[Index, tuple[int, ...]]]

    def __init__(self, owner: str, array: Floats, parts: Mapping[str, tuple[Index, tuple[int, ...]]]) -> None:
        batch = array.shape[:-1]
        # what is no even stretch of the array has no view: it is copied when read, and written when assigned
        scattered = {name: part for name, part in parts.items() if not isinstance(part[0], slice)}
        views = {
            name: array[..., at].reshape((*batch, *shape))
            for name, (at, shape) in parts.items()
            if name not in scattered
        }
        self.__dict__.update(views, _owner=owner, _array=array, _scattered=scattered)

    def __getattr__(self, name: str) -> Floats:
        scattered = self.__dict__.get("_scattered", {})
        if name not in scattered:
            raise AttributeError(self._unknown(name))
        at, shape = scattered[name]
        array: Floats = self._array
        return array[..., at].reshape((*array.shape[:-1], *shape))

    def __setattr__(self, name: str, value: ArrayLike) -> None:
        if name in self._scattered:
            at, shape = self._scattered[name]
            batch = self._array.shape[:-1]
            self._array[..., at] = np.broadcast_to(value, (*batch, *shape)).reshape(*batch, -1)
        elif name in self.__dict__ and not name.startswith("_"):
            self.__dict__[name][...] = value
        else:
            raise AttributeError(self._unknown(name))

    def __dir__(self) -> list[str]:
        return self._names()

    def _names(self) -> list[str]:
        return [name for name in self.__dict__ if not name.startswith("_")] + list(self.__dict__.get("_scattered", ()))

    def _unknown(self, name: str) -> str:
        return f"{self.__dict__.get('_owner')} has no {name!r}; {suggestion(name, self._names())}"


def of_representation(owner: str, array: Floats, representation: Representation) -> Views:
    """Views of the fields of a typed array.

    A field of width w has shape ``(*batch, w)``, over n entities ``(*batch, n, w)``; an axis of width 1 is left out.
    """
    parts: dict[str, tuple[Index, tuple[int, ...]]] = {}
    for field in representation.fields:
        over = () if field.entities is None else (representation.count(field),)
        parts[field.name] = (representation.slices[field.name], over if field.width == 1 else (*over, field.width))
    return Views(owner, array, parts)


def evenly(addresses: Any) -> Index:
    """A slice of these addresses where they are evenly spaced, the addresses themselves where they are not."""
    at = np.asarray(addresses, dtype=np.int64)
    step = int(at[1] - at[0]) if len(at) > 1 else 1
    if len(at) and step > 0 and np.array_equal(at, at[0] + step * np.arange(len(at))):
        return slice(int(at[0]), int(at[-1]) + 1, step)
    return at
