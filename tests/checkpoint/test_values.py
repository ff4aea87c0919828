"""Plain values to JSON and arrays, and back."""

import io
import json
import zipfile

import numpy as np
import pytest

from eqrl.checkpoint.arrays import read_arrays, write_arrays
from eqrl.checkpoint.values import DamagedValuesError, NotPlainError, pack, set_generator, unpack


def there_and_back(value, tmp_path):
    arrays = {}
    text = json.dumps(pack(value, arrays))
    write_arrays(tmp_path / "a.npz", arrays)
    return unpack(json.loads(text), read_arrays(tmp_path / "a.npz"))


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        2**200,
        0.1 + 0.2,
        5e-324,
        float("inf"),
        "text with $ and ünïcode",
        (1, (2, [3.5])),
        {1: "a", (2, 3): "b"},
        {"$": "array", "name": "a0"},
        [],
        {},
        {"deep": [{"er": (None, {"$": 1})}]},
    ],
)
def test_values_come_back_with_their_types(value, tmp_path):
    again = there_and_back(value, tmp_path)
    assert again == value
    assert type(again) is type(value)


def test_arrays_and_scalars_come_back_to_the_bit(tmp_path):
    rng = np.random.default_rng(0)
    for dtype in ("f4", "f8", "i8", "u1", "?", "<U5"):
        for shape in ((), (0,), (3,), (2, 0, 4), (2, 3)):
            array = rng.integers(0, 2, shape).astype(dtype)
            again = there_and_back({"x": array}, tmp_path)["x"]
            assert (again.dtype, again.shape, again.tobytes()) == (array.dtype, array.shape, array.tobytes())
    scalar = there_and_back([np.float32(0.1)], tmp_path)[0]
    assert type(scalar) is np.float32
    assert np.isnan(there_and_back(float("nan"), tmp_path))


@pytest.mark.parametrize(
    "bits", [np.random.PCG64, np.random.MT19937, np.random.Philox, np.random.SFC64, np.random.PCG64DXSM]
)
def test_generators_go_on_where_they_were(bits, tmp_path):
    generator = np.random.Generator(bits(3))
    generator.standard_normal(7)
    stored = there_and_back(generator, tmp_path)
    other_generator = np.random.Generator(bits(99))
    alias = other_generator
    set_generator(other_generator, stored)
    assert alias.random() == generator.random()
    legacy = np.random.RandomState(5)
    legacy.normal()  # leaves half a pair behind
    other = np.random.RandomState(6)
    set_generator(other, there_and_back(legacy, tmp_path))
    assert other.normal() == legacy.normal()
    with pytest.raises(DamagedValuesError, match="do not fit"):
        set_generator(other_generator, legacy)


@pytest.mark.parametrize("value", [object(), {1, 2}, print, np.array([{}], dtype=object), b"bytes", [object()]])
def test_what_has_no_plain_form_is_refused(value):
    with pytest.raises(NotPlainError):
        pack(value, {})


@pytest.mark.parametrize(
    "stored",
    [
        {"$": "object"},
        {"$": ["tuple"]},
        {"$": "array", "name": "missing"},
        {"$": "array"},
        {"$": "tuple", "items": 3},
        {"$": "dict", "items": [[1]]},
        {"$": "dict", "items": [[[], 1]]},
        {"$": "float", "value": "__import__('os')"},
        {"$": "generator", "state": {"bit_generator": "os.system"}},
        {"$": "generator", "state": {"bit_generator": "PCG64", "state": 3}},
        {"$": "random_state", "state": {}},
    ],
)
def test_made_up_values_are_refused(stored):
    with pytest.raises(DamagedValuesError):
        unpack(stored, {})


def test_archives_with_more_than_they_hold_are_refused(tmp_path):
    path = tmp_path / "a.npz"
    write_arrays(path, {"x": np.arange(10.0)})
    content = path.read_bytes()
    assert read_arrays(content)["x"][-1] == 9.0
    member = zipfile.ZipFile(path).read("x.npy")
    for lie in (b"(99,)", b"(-9,)", b"(1,1)"):
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("x.npy", member.replace(b"(10,)", lie))
        with pytest.raises(DamagedValuesError):
            read_arrays(path)
    np.savez_compressed(path, x=np.zeros(1000))
    with pytest.raises(DamagedValuesError, match="not a plain array"):
        read_arrays(path)
    np.savez(path, x=np.array([{}], dtype=object), allow_pickle=True)
    with pytest.raises(DamagedValuesError):
        read_arrays(path)
    for cut in range(0, len(content), 7):
        with pytest.raises(DamagedValuesError):
            read_arrays(content[:cut])


def npz_with_header(text):
    """An archive of one member that has a header and no numbers."""
    header = text.encode() + b"\n"
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("x.npy", b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header)
    return file.getvalue()


@pytest.mark.parametrize(
    "header",
    [
        "{1: 0, 'a': 0}",  # keys that cannot be sorted
        "{'descr': '<f8', 'fortran_order': False, 'shape': (0, 10000000000000000000000000000)}",
        "{'descr': '|S0', 'fortran_order': False, 'shape': (1000000000000,)}",
        "{'descr': '|O', 'fortran_order': False, 'shape': (0,)}",
        "-" * 5000 + "1",
        "(" * 300,
        "",
    ],
)
def test_made_up_headers_are_refused_in_one_line(header):
    with pytest.raises(DamagedValuesError) as caught:
        read_arrays(npz_with_header(header))
    assert "\n" not in str(caught.value)


def test_no_memory_is_taken_for_numbers_that_are_not_there():
    numbers = 500_000_000
    content = bytearray(npz_with_header(f"{{'descr': '<f8', 'fortran_order': False, 'shape': ({numbers},)}}"))
    entry = content.find(b"PK\x01\x02")
    held = int.from_bytes(content[entry + 24 : entry + 28], "little")
    for offset in (entry + 20, entry + 24, 18, 22):  # sizes in the table of contents, and before the member
        content[offset : offset + 4] = (held + 8 * numbers).to_bytes(4, "little")
    with pytest.raises(DamagedValuesError, match="announce more than the"):
        read_arrays(bytes(content))


@pytest.mark.parametrize("position", [-1, 625, 10**8, 2.0])
def test_positions_within_random_numbers_stay_inside(position):
    arrays = {}
    packed = pack(np.random.RandomState(0), arrays)
    packed["state"]["state"]["pos"] = position
    with pytest.raises(DamagedValuesError, match="outside of its 624 words"):
        unpack(packed, arrays)
    packed = pack(np.random.Generator(np.random.Philox(0)), arrays)
    packed["state"]["buffer_pos"] = position
    with pytest.raises(DamagedValuesError, match="outside of its 4 words"):
        unpack(packed, arrays)
