"""Observations by the names of their fields, packed into the flat vectors of a typed space."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import ArrayLike, NDArray

from eqrl.errors import suggestion
from eqrl.symmetry import TypedBox

Observation = NDArray[np.float32] | dict[str, NDArray[np.float32]]


def concatenated(parts: Sequence[Observation]) -> Observation:
    """The observations of several batches, one after the other, freshly allocated."""
    first = parts[0]
    if isinstance(first, dict):
        return {key: np.concatenate([part[key] for part in parts]) for key in first}  # type: ignore[call-overload]
    return np.concatenate(parts)  # type: ignore[arg-type]


class Packer:
    """Packs ``{field: array}`` for one space, or ``{key: {field: array}}`` for a dict of spaces.

    Args:
        space: a typed box, or a dict of typed boxes.
        n: number of simulations.
    """

    def __init__(self, space: TypedBox | spaces.Dict, n: int) -> None:
        self._keyed = isinstance(space, spaces.Dict)
        self._n = n
        boxes: dict[str, Any] = dict(space.spaces) if isinstance(space, spaces.Dict) else {"": space}
        self._dims = {key: box.representation.dim for key, box in boxes.items()}
        # of each field: where it lies, and the shape in which it needs no more than a copy
        self._fields = {
            key: {name: (at, (n, at.stop - at.start)) for name, at in box.representation.slices.items()}
            for key, box in boxes.items()
        }

    def __call__(self, values: Mapping[str, Any]) -> Observation:
        """Float32 arrays of shape ``(n, dim)``, freshly allocated.

        Raises:
            ValueError: for a field that is missing, unknown or of another size; the message names it.
        """
        if not self._keyed:
            return self._pack("", values)
        if values.keys() != self._fields.keys():
            self._check_names("key", values, self._fields)
        return {key: self._pack(key, values[key]) for key in self._fields}

    def _pack(self, key: str, values: Mapping[str, Any]) -> NDArray[np.float32]:
        fields = self._fields[key]
        if values.keys() != fields.keys():
            self._check_names("field", values, fields, key)
        if len(fields) == 1:  # nothing to put together
            ((name, (_, shape)),) = fields.items()
            return np.array(self._in_shape(name, values[name], shape, key), dtype=np.float32)
        out = np.empty((self._n, self._dims[key]), dtype=np.float32)
        for name, (at, shape) in fields.items():
            out[:, at] = self._in_shape(name, values[name], shape, key)
        return out

    def _in_shape(self, name: str, value: ArrayLike, shape: tuple[int, int], key: str) -> NDArray[Any]:
        if getattr(value, "shape", None) == shape:
            return value  # type: ignore[return-value]  # an array, by its shape
        array = np.asarray(value)
        if array.ndim == 0 or len(array) != shape[0] or array.size != shape[0] * shape[1]:
            raise ValueError(
                f"field {name!r} of the observation{self._of(key)} has shape {array.shape}; it needs {shape[1]} numbers"
                f" for each of the {shape[0]} simulations"
            )
        return array.reshape(shape)

    def _check_names(self, what: str, given: Mapping[str, Any], expected: Collection[str], key: str = "") -> None:
        for name in expected:
            if name not in given:
                raise ValueError(f"the observation{self._of(key)} lacks {what} {name!r}, which its space declares")
        for name in given:
            if name not in expected:
                raise ValueError(
                    f"the observation{self._of(key)} has {what} {name!r}, which its space does not declare;"
                    f" {suggestion(name, expected)}"
                )

    @staticmethod
    def _of(key: str) -> str:
        return f" under {key!r}" if key else ""
