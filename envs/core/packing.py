"""Observations by the names of their fields, packed into the flat vectors of a typed space."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import ArrayLike, NDArray

from eqrl.errors import suggestion
from eqrl.symmetry import TypedBox

Observation = NDArray[np.float32] | dict[str, NDArray[np.float32]]


class Packer:
    """Packs ``{field: array}`` for one space, or ``{key: {field: array}}`` for a dict of spaces.

    Args:
        space: a typed box, or a dict of typed boxes.
        n: number of simulations.
    """

    def __init__(self, space: TypedBox | spaces.Dict, n: int) -> None:
        self._keys = dict(space.spaces) if isinstance(space, spaces.Dict) else None
        self._n = n
        boxes: dict[str, Any] = self._keys if self._keys is not None else {"": space}
        self._slices = {key: dict(box.representation.slices) for key, box in boxes.items()}
        self._dims = {key: box.representation.dim for key, box in boxes.items()}

    def __call__(self, values: Mapping[str, Any]) -> Observation:
        """Float32 arrays of shape ``(n, dim)``, freshly allocated.

        Raises:
            ValueError: for a field that is missing, unknown or of another size; the message names it.
        """
        if self._keys is None:
            return self._pack("", values)
        self._check_names("key", values, self._keys)
        return {key: self._pack(key, values[key]) for key in self._keys}

    def _pack(self, key: str, values: Mapping[str, ArrayLike]) -> NDArray[np.float32]:
        slices, n = self._slices[key], self._n
        if values.keys() != slices.keys():
            self._check_names("field", values, slices, key)
        out = np.empty((n, self._dims[key]), dtype=np.float32)
        for name, at in slices.items():
            value = np.asarray(values[name])
            if value.ndim == 0 or len(value) != n or value.size != n * (at.stop - at.start):
                raise ValueError(
                    f"field {name!r} of the observation{self._of(key)} has shape {value.shape}; it needs {at.stop - at.start} numbers for "
                    f"each of the {n} simulations"
                )
            out[:, at] = value.reshape(n, -1)
        return out

    def _check_names(self, what: str, given: Mapping[str, Any], expected: Mapping[str, Any], key: str = "") -> None:
        for name in expected:
            if name not in given:
                raise ValueError(f"the observation{self._of(key)} lacks {what} {name!r}, which its space declares")
        for name in given:
            if name not in expected:
                raise ValueError(
                    f"the observation{self._of(key)} has {what} {name!r}, which its space does not declare; {suggestion(name, expected)}"
                )

    @staticmethod
    def _of(key: str) -> str:
        return f" under {key!r}" if key else ""
