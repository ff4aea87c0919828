"""Write and read NumPy archives (``.npz``) safely: without pickle, and with the announced sizes checked.

``numpy.load`` allocates the memory that a header announces before it reads the data, so each header is first compared
with the file.
"""

from __future__ import annotations

import io
import math
import struct
import tokenize
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from eqrl.checkpoint.values import DamagedValuesError

# errors of Python's zip reader and NumPy's header reader on broken files
_BROKEN = (
    zipfile.BadZipFile,
    struct.error,
    EOFError,
    OSError,
    ValueError,
    TypeError,
    LookupError,
    OverflowError,
    MemoryError,
    RuntimeError,  # includes NotImplementedError and RecursionError
    SyntaxError,
    tokenize.TokenError,
)


def write_arrays(path: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write arrays without compression; views of large arrays are written in pieces, not copied as a whole.

    Raises:
        OSError: if the file cannot be written.
    """
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                npy.write_array(member, np.asanyarray(array), allow_pickle=False)


def read_arrays(source: bytes | Path) -> dict[str, NDArray[Any]]:
    """Read what :func:`write_arrays` wrote.

    Args:
        source: the path of the file, or its content.

    Raises:
        DamagedValuesError: if it is not such a file, or a member announces more data than it has.
    """
    try:
        length = len(source) if isinstance(source, bytes) else source.stat().st_size
        with zipfile.ZipFile(io.BytesIO(source) if isinstance(source, bytes) else source) as archive:
            # NumPy allocates what a header announces; overlapping members announce too much together
            if sum(info.file_size for info in archive.infolist() if info.compress_type == zipfile.ZIP_STORED) > length:
                raise DamagedValuesError(f"its members announce more than the {length:,} bytes that it has")
            return {info.filename.removesuffix(".npy"): _member(archive, info) for info in archive.infolist()}
    except DamagedValuesError:
        raise
    except _BROKEN as error:
        # NumPy's messages quote headers over several lines
        why = " ".join(str(error).split())[:200] or type(error).__name__
        raise DamagedValuesError(f"not a readable archive of arrays: {why}") from None


def _member(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> NDArray[Any]:
    if info.compress_type != zipfile.ZIP_STORED or not info.filename.endswith(".npy"):
        raise DamagedValuesError(f"member {info.filename!r} is not a plain array")
    with archive.open(info) as file:
        shape, dtype = _header(file)
        size = info.file_size - file.tell()
        if not dtype.itemsize and 0 not in shape:
            raise DamagedValuesError(f"member {info.filename!r} announces numbers of no size")
        if dtype.hasobject or min(shape, default=0) < 0 or math.prod(shape) * dtype.itemsize != size:
            raise DamagedValuesError(
                f"member {info.filename!r} announces shape {shape} of {dtype} but holds {size} bytes"
            )
    with archive.open(info) as file:
        array: NDArray[Any] = npy.read_array(file, allow_pickle=False)
    return array


def _header(file: IO[bytes]) -> tuple[tuple[int, ...], np.dtype[Any]]:
    version = npy.read_magic(file)
    shape, _, dtype = (npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0)(file)
    return shape, dtype
