"""Convert nested plain values to JSON and named arrays, and back to the bit.

Anything else is refused, and nothing is pickled.

``json`` alone restores neither tuples nor NaN nor random generators, and libraries that do run constructors named in
the file.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

Arrays = dict[str, NDArray[Any]]
_KIND = "$"
_BIT_GENERATORS: Mapping[str, Any] = {
    c.__name__: c for c in (np.random.PCG64, np.random.PCG64DXSM, np.random.MT19937, np.random.Philox, np.random.SFC64)
}


class NotPlainError(TypeError):
    """A value that has no plain form."""


class DamagedValuesError(ValueError):
    """Stored values that do not follow the rules of this module."""


def pack(value: Any, arrays: Arrays) -> Any:
    """Convert a value to a form that JSON can hold.

    Args:
        value: None, bool, int, float, str, arrays and scalars of NumPy, its ``Generator`` and ``RandomState``, and
            lists, tuples and dicts of them.
        arrays: receives the arrays within the value, under new names.

    Raises:
        NotPlainError: for anything else.
    """
    if isinstance(value, np.ndarray | np.generic):
        array = np.asarray(value)
        if array.dtype.hasobject:
            raise NotPlainError("an array of objects")
        name = f"a{len(arrays)}"
        arrays[name] = array
        return {_KIND: "array" if isinstance(value, np.ndarray) else "scalar", "name": name}
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else {_KIND: "float", "value": repr(float(value))}
    if isinstance(value, list) and type(value) is list:
        return [pack(entry, arrays) for entry in value]
    if type(value) is tuple:
        return {_KIND: "tuple", "items": [pack(entry, arrays) for entry in value]}
    if isinstance(value, dict):
        if all(isinstance(key, str) for key in value) and _KIND not in value:
            return {key: pack(entry, arrays) for key, entry in value.items()}
        return {_KIND: "dict", "items": [[pack(key, arrays), pack(entry, arrays)] for key, entry in value.items()]}
    if isinstance(value, np.random.Generator):
        return {_KIND: "generator", "state": pack(value.bit_generator.state, arrays)}
    if isinstance(value, np.random.RandomState):
        return {_KIND: "random_state", "state": pack(value.get_state(legacy=False), arrays)}
    raise NotPlainError(f"a {type(value).__module__}.{type(value).__qualname__}")


def unpack(value: Any, arrays: Mapping[str, NDArray[Any]]) -> Any:
    """The inverse of :func:`pack`.

    Raises:
        DamagedValuesError: if a value does not have the form that ``pack`` writes.
    """
    if isinstance(value, list):
        return [unpack(entry, arrays) for entry in value]
    if not isinstance(value, dict):
        return value
    if _KIND not in value:
        return {key: unpack(entry, arrays) for key, entry in value.items()}
    kind = value[_KIND]
    reader = _READERS.get(kind) if isinstance(kind, str) else None
    if reader is None:
        raise DamagedValuesError(f"unknown kind of value {kind!r}")
    try:
        return reader(value, arrays)
    except DamagedValuesError:
        raise
    except (KeyError, ValueError, TypeError, IndexError, OverflowError) as error:
        raise DamagedValuesError(f"a value of kind {kind!r} is damaged: {error}") from None


def set_generator(generator: Any, stored: Any) -> None:
    """Set the state of a generator to that of another one, in place.

    Every holder of the generator then continues with it.

    Raises:
        DamagedValuesError: if they are of different kinds.
    """
    if isinstance(generator, np.random.RandomState) and isinstance(stored, np.random.RandomState):
        generator.set_state(stored.get_state(legacy=False))
    elif (
        isinstance(generator, np.random.Generator)
        and isinstance(stored, np.random.Generator)
        and type(generator.bit_generator) is type(stored.bit_generator)
    ):
        generator.bit_generator.state = stored.bit_generator.state
    else:
        raise DamagedValuesError(f"random numbers of a {type(stored).__name__} do not fit a {type(generator).__name__}")


def _float(value: Any, arrays: Mapping[str, NDArray[Any]]) -> float:
    if value["value"] not in ("nan", "inf", "-inf"):
        raise DamagedValuesError(f"{value['value']!r} is not a number")
    return float(value["value"])


def _array(value: Any, arrays: Mapping[str, NDArray[Any]]) -> NDArray[Any]:
    return arrays[value["name"]]


def _scalar(value: Any, arrays: Mapping[str, NDArray[Any]]) -> Any:
    return arrays[value["name"]][()]


def _tuple(value: Any, arrays: Mapping[str, NDArray[Any]]) -> tuple[Any, ...]:
    return tuple(unpack(entry, arrays) for entry in value["items"])


def _dict(value: Any, arrays: Mapping[str, NDArray[Any]]) -> dict[Any, Any]:
    return {unpack(key, arrays): unpack(entry, arrays) for key, entry in value["items"]}


def _generator(value: Any, arrays: Mapping[str, NDArray[Any]]) -> np.random.Generator:
    state = unpack(value["state"], arrays)
    _check_position(state)
    bits = _BIT_GENERATORS[state["bit_generator"]]()
    bits.state = state
    return np.random.Generator(bits)


def _random_state(value: Any, arrays: Mapping[str, NDArray[Any]]) -> np.random.RandomState:
    state = unpack(value["state"], arrays)
    _check_position(state)
    stored = np.random.RandomState()
    stored.set_state(state)
    return stored


def _check_position(state: Any) -> None:
    """Check the position within a generator's words, because NumPy reads whatever memory it points to."""
    for kind, words in (("MT19937", 624), ("Philox", 4)):
        if state["bit_generator"] == kind:
            position = state["state"]["pos"] if kind == "MT19937" else state["buffer_pos"]
            if not (isinstance(position, int | np.integer) and 0 <= position <= words):
                raise DamagedValuesError(
                    f"the random numbers of a {kind} stand at {position!r}, outside of its {words} words"
                )


_READERS: Mapping[str, Callable[[Any, Mapping[str, NDArray[Any]]], Any]] = {
    "float": _float,
    "array": _array,
    "scalar": _scalar,
    "tuple": _tuple,
    "dict": _dict,
    "generator": _generator,
    "random_state": _random_state,
}
