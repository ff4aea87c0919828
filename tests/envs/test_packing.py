"""Packing observations by the names of their fields."""

import numpy as np
import pytest
from gymnasium import spaces

from eqrl import EntitySet, Field, Representation, TypedBox
from eqrl.envs.core.packing import Packer

BOX = TypedBox(
    Representation((Field("height", "1x0e"), Field("feet", "1x1o", "legs")), (EntitySet("legs", ("leg",) * 2),))
)
GOOD = {"height": np.arange(3.0), "feet": np.arange(18.0).reshape(3, 2, 3)}


def test_fields_land_where_the_space_has_them():
    packed = Packer(BOX, 3)(GOOD)
    assert packed.dtype == np.float32
    np.testing.assert_array_equal(packed, np.c_[np.arange(3.0), np.arange(18.0).reshape(3, 6)])
    both = Packer(spaces.Dict({"a": BOX, "b": BOX}), 3)({"b": GOOD, "a": dict(reversed(GOOD.items()))})
    assert list(both) == ["a", "b"]
    for value in both.values():
        np.testing.assert_array_equal(value, packed)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"feet": np.zeros((3, 2, 2))}, r"field 'feet' of the observation has shape \(3, 2, 2\); it needs 6 numbers"),
        ({"feet": np.zeros((2, 2, 3))}, "field 'feet'.*each of the 3 simulations"),
        ({"height": 1.0}, "field 'height'.*1 numbers"),
        ({"heigth": np.zeros(3)}, "has field 'heigth', which its space does not declare; did you mean 'height'"),
        ({"feet": None}, "lacks field 'feet'"),
    ],
)
def test_what_does_not_fit_is_named(change, message):
    values = {k: v for k, v in {**GOOD, **change}.items() if v is not None}
    with pytest.raises(ValueError, match=message):
        Packer(BOX, 3)(values)
    nested = message.replace("of the observation has", "of the observation under 'a' has")
    with pytest.raises(ValueError, match=nested):
        Packer(spaces.Dict({"a": BOX}), 3)({"a": values})


def test_keys_are_checked_like_fields():
    pack = Packer(spaces.Dict({"observation": BOX}), 3)
    with pytest.raises(ValueError, match="lacks key 'observation'"):
        pack({})
    with pytest.raises(ValueError, match=r"has key 'observatoin'.*did you mean 'observation'"):
        pack({"observation": GOOD, "observatoin": GOOD})
