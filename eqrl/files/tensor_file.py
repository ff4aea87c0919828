"""Read files of ``torch.save`` as numbers only: the pickle is interpreted as a list of instructions and never executed.

``torch.load(weights_only=True)`` calls what its allow-list names, with arguments from the file, and unpacks whatever
the file claims to hold. This reader knows the few instructions that a state dict consists of and calls nothing. It
lists the tensors before it reads any of them, so that their shapes can first be compared with those of a model.
"""

from __future__ import annotations

import io
import math
import pickletools
import struct
import sys
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from eqrl.files.zip_members import ZIP_ERRORS, read_member

_LONGEST = 2**20  # bytes of instructions; a tensor takes about 130
_MOST_AXES = 16
_DTYPES: Mapping[str, torch.dtype] = {
    "torch FloatStorage": torch.float32,
    "torch DoubleStorage": torch.float64,
    "torch HalfStorage": torch.float16,
    "torch BFloat16Storage": torch.bfloat16,
    "torch LongStorage": torch.int64,
    "torch IntStorage": torch.int32,
    "torch ShortStorage": torch.int16,
    "torch CharStorage": torch.int8,
    "torch ByteStorage": torch.uint8,
    "torch BoolStorage": torch.bool,
}
_TENSOR, _PARAMETER, _TABLE = (
    "torch._utils _rebuild_tensor_v2",
    "torch._utils _rebuild_parameter",
    "collections OrderedDict",
)


class TensorFileError(ValueError):
    """The file is broken, or holds something other than tensors and plain values; the message continues "it"."""


@dataclass(frozen=True)
class StoredTensor:
    """A tensor that is described but not read yet.

    Attributes:
        shape: its shape.
        dtype: its type.
    """

    shape: tuple[int, ...]
    dtype: torch.dtype
    _stride: tuple[int, ...]
    _offset: int
    _storage: _Storage

    def read(self) -> torch.Tensor:
        """Read the numbers, on the CPU.

        Raises:
            TensorFileError: if they are damaged.
        """
        if math.prod(self.shape) == 0:
            return torch.empty(self.shape, dtype=self.dtype)
        try:
            content = read_member(self._storage.archive, self._storage.record)
        except ZIP_ERRORS as error:
            raise TensorFileError(f"is damaged: {str(error)[:200]}") from None
        return torch.frombuffer(bytearray(content), dtype=self.dtype).as_strided(self.shape, self._stride, self._offset)


@dataclass(frozen=True)
class _Storage:
    archive: zipfile.ZipFile
    record: zipfile.ZipInfo
    dtype: torch.dtype
    length: int


@dataclass(frozen=True)
class _Name:
    """Stands for a class or function, of which only the name is used."""

    name: str


def read_tensor_file(content: bytes) -> Any:
    """Read dicts, lists, tuples, numbers and texts, with a :class:`StoredTensor` for each tensor.

    Args:
        content: the bytes of a ``.pth`` file; memory use is proportional to their number, whatever sizes the file
            claims.

    Raises:
        TensorFileError: if it holds anything else, or is damaged.
    """
    try:
        archive = zipfile.ZipFile(io.BytesIO(content))
        records = _records(archive)
        if records["data.pkl"].file_size > _LONGEST:
            raise TensorFileError(f"has instructions of more than {_LONGEST} bytes")
        if "byteorder" in records:
            order = read_member(archive, records["byteorder"]) if records["byteorder"].file_size < 9 else b"?"
            if order != b"little" or sys.byteorder != "little":
                raise TensorFileError(f"has byte order {order!r}, and only little is read")
        instructions = read_member(archive, records["data.pkl"])
    except TensorFileError:
        raise
    except ZIP_ERRORS as error:
        raise TensorFileError(f"is no file of tensors, or is damaged: {str(error)[:200]}") from None
    try:
        return _Follower(archive, records).follow(instructions)
    except TensorFileError:
        raise
    except (
        ValueError,
        IndexError,
        KeyError,
        TypeError,
        AttributeError,
        ArithmeticError,
        EOFError,
        struct.error,
    ) as error:
        raise TensorFileError(f"has broken instructions: {str(error)[:200]}") from None


def _records(archive: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    """The parts of the file, by name without the common folder; all must be uncompressed, as PyTorch writes them."""
    records: dict[str, zipfile.ZipInfo] = {}
    folder = None
    for info in archive.infolist():
        first, _, name = info.orig_filename.partition("/")
        folder = first if folder is None else folder
        if first != folder or name in records:
            raise TensorFileError("has parts with names that PyTorch does not give")
        if info.compress_type != zipfile.ZIP_STORED or info.compress_size != info.file_size or info.flag_bits & 1:
            raise TensorFileError("has compressed or encrypted parts")
        records[name] = info
    if "data.pkl" not in records:
        raise TensorFileError("is no file that torch.save of PyTorch 1.6 or newer wrote")
    return records


class _Follower:
    """Interprets the instructions of one file with a stack, as the pickle format defines it."""

    def __init__(self, archive: zipfile.ZipFile, records: Mapping[str, zipfile.ZipInfo]) -> None:
        self.archive, self.records = archive, records
        self.stack: list[Any] = []
        self.marks: list[int] = []
        self.memo: dict[int, Any] = {}

    def follow(self, instructions: bytes) -> Any:
        argument: Any
        for opcode, argument, _ in pickletools.genops(instructions):
            match opcode.name:
                case "PROTO":
                    pass
                case "STOP":
                    return self.stack.pop()
                case "MARK":
                    self.marks.append(len(self.stack))
                case "NONE" | "NEWTRUE" | "NEWFALSE":
                    self.stack.append({"NONE": None, "NEWTRUE": True, "NEWFALSE": False}[opcode.name])
                case "BININT" | "BININT1" | "BININT2" | "LONG1" | "BINFLOAT" | "BINUNICODE":
                    self.stack.append(argument)
                case "EMPTY_DICT":
                    self.stack.append({})
                case "EMPTY_LIST":
                    self.stack.append([])
                case "EMPTY_TUPLE":
                    self.stack.append(())
                case "TUPLE":
                    self.stack.append(tuple(self.since_mark()))
                case "TUPLE1" | "TUPLE2" | "TUPLE3":
                    self.stack.append(tuple(self.take(int(opcode.name[-1]))))
                case "BINPUT" | "LONG_BINPUT":
                    self.memo[int(argument)] = self.stack[-1]
                case "BINGET" | "LONG_BINGET":
                    self.stack.append(self.memo[int(argument)])
                case "APPEND":
                    self.extend(self.take(1))
                case "APPENDS":
                    self.extend(self.since_mark())
                case "SETITEM":
                    self.update(self.take(2))
                case "SETITEMS":
                    self.update(self.since_mark())
                case "GLOBAL":
                    if argument not in (_TENSOR, _PARAMETER, _TABLE, *_DTYPES):
                        raise TensorFileError(
                            f"asks for {str(argument)[:80].replace(' ', '.')!r}, which is no tensor and is not run"
                        )
                    self.stack.append(_Name(str(argument)))
                case "BINPERSID":
                    self.stack.append(self.storage(self.stack.pop()))
                case "REDUCE":
                    self.stack.append(self.built(*self.take(2)))
                case "BUILD":  # the module versions that PyTorch attaches to a state dict
                    target, _ = self.take(2)
                    if not isinstance(target, dict):
                        raise TensorFileError("sets the inside of an object, which no tensor needs")
                    self.stack.append(target)
                case other:
                    raise TensorFileError(f"holds an instruction that no tensor needs: {other}")
        raise TensorFileError("has instructions without an end")

    def take(self, count: int) -> list[Any]:
        """Pop the topmost values off the stack."""
        if count > len(self.stack):
            raise IndexError("the stack is too short")
        values = self.stack[-count:]
        del self.stack[-count:]
        return values

    def since_mark(self) -> list[Any]:
        start = self.marks.pop()
        values = self.stack[start:]
        del self.stack[start:]
        return values

    def extend(self, values: list[Any]) -> None:
        if not isinstance(self.stack[-1], list):
            raise TypeError("values for something that is no list")
        self.stack[-1].extend(values)

    def update(self, values: list[Any]) -> None:
        keys = values[::2]
        # other keys may be nested so deeply that hashing them overflows C's stack
        if not isinstance(self.stack[-1], dict) or len(values) % 2 or not all(type(key) in (str, int) for key in keys):
            raise TypeError("a table with keys that are neither text nor whole numbers")
        self.stack[-1].update(zip(keys, values[1::2], strict=True))

    def storage(self, described: Any) -> _Storage:
        kind, name, key, _, length = described
        if kind != "storage" or not isinstance(name, _Name) or type(key) is not str or type(length) is not int:
            raise TypeError("a storage of an unknown kind")
        dtype = _DTYPES[name.name]
        record = self.records[f"data/{key}"]
        if length * dtype.itemsize != record.file_size:
            claimed = str(length) if 0 <= length < 2**63 else "more"
            raise TensorFileError(f"claims {claimed} numbers where {record.file_size} bytes are")
        return _Storage(self.archive, record, dtype, length)

    def built(self, what: Any, arguments: Any) -> Any:
        if not isinstance(what, _Name) or type(arguments) is not tuple:
            raise TypeError("a call of something that is no tensor")
        if what.name == _TABLE and arguments == ():
            return {}
        if what.name == _PARAMETER and isinstance(arguments[0], StoredTensor):
            return arguments[0]
        if what.name != _TENSOR:
            raise TypeError("a call that no tensor needs")
        storage, offset, shape, stride = arguments[:4]
        numbers = (offset, *shape, *stride)
        if not isinstance(storage, _Storage) or not all(type(n) is int and 0 <= n < 2**63 for n in numbers):
            raise TypeError("a tensor of an unknown kind")
        if len(shape) != len(stride) or len(shape) > _MOST_AXES:
            raise TypeError("a tensor with impossible axes")
        last = offset + sum((n - 1) * step for n, step in zip(shape, stride, strict=True))
        if 0 not in shape and last >= storage.length:
            raise TensorFileError("has a tensor that reaches beyond its numbers")
        return StoredTensor(tuple(shape), storage.dtype, tuple(stride), offset, storage)
