"""Reader for files of `torch.save` that runs nothing in them: tensors, numbers and text come out, all else is refused.

Such a file is a zip archive with the bytes of each tensor and a pickle that puts them together. A pickle is a program that
may call any function by its name, and both tools that restrict it (pickle.Unpickler.find_class, and `weights_only` of
torch.load: CVE-2025-32434 before torch 2.6, CVE-2026-24747 before 2.10) still hand it to a machine that can call. Here its
instructions are carried out one by one, and only those that build tensors, numbers, text, lists, tuples and dicts: names
are compared with a list and never looked up, so it is safe with every version of torch.

nnU-Net's checkpoints hold numpy's scalars and the name of a device beside tensors. Their few names are on the list too; a
scalar is decoded here from its bytes, and numpy is not asked to unpickle anything.
"""

from __future__ import annotations

import math
import pickletools
import re
import struct
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from ..errors import InputError

if TYPE_CHECKING:
    from torch import Tensor

ZIP_HEAD = b"PK\x03\x04"
MOST_PROGRAM_BYTES = 16 * 2**20  # of the pickle: the card and the names; the tensors are stored outside of it
# The shipped checkpoint has 3,200, a training state about 15,000; nnU-Net's log of 1,000 epochs 10 for each class and epoch.
MOST_INSTRUCTIONS = 5_000_000
_MEMBER = re.compile(
    r"data\.pkl|byteorder|version|\.format_version|\.storage_alignment|\.data/serialization_id|data/\d+"
)
_END_RECORD, _DESCRIPTOR = 22, 24  # bytes of the zip's last record, and at most of what may follow a member
_REBUILD, _DICT = "torch._utils _rebuild_tensor_v2", "collections OrderedDict"
_SCALARS = ("numpy.core.multiarray scalar", "numpy._core.multiarray scalar")  # before numpy 2, and since
_NUMPY_TYPE, _BYTES, _DEVICE = "numpy dtype", "_codecs encode", "torch device"
_LITTLE_ENDIAN = tuple((3, order, None, None, None, -1, -1, 0) for order in "<|")  # how numpy describes such a type
_SCALAR_TYPES = ("b1", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8")
# What zipfile, pickletools and the instructions below raise for bytes that torch.save did not write.
_READING_ERRORS = (
    ValueError,
    TypeError,
    LookupError,
    ArithmeticError,
    RuntimeError,
    AttributeError,
    EOFError,
    struct.error,
)
_DTYPES = {
    "torch DoubleStorage": "float64",
    "torch FloatStorage": "float32",
    "torch HalfStorage": "float16",
    "torch BFloat16Storage": "bfloat16",
    "torch LongStorage": "int64",
    "torch IntStorage": "int32",
    "torch ShortStorage": "int16",
    "torch CharStorage": "int8",
    "torch ByteStorage": "uint8",
    "torch BoolStorage": "bool",
}
_NAMES = frozenset((_REBUILD, _DICT, *_SCALARS, _NUMPY_TYPE, _BYTES, _DEVICE, *_DTYPES))


class _DamagedError(Exception):
    """The file is not what torch.save writes."""


class _CodeError(Exception):
    """The file holds something other than tensors, numbers and text."""


@dataclass(frozen=True)
class _GlobalName:
    """A name that the pickle mentions; it is never looked up."""

    text: str


@dataclass(frozen=True)
class _NumpyType:
    """The type of a numpy scalar, such as "f8"."""

    text: str


@dataclass(frozen=True)
class _Storage:
    """The elements that one or more tensors share, as a tensor of one dimension."""

    elements: Tensor


def read_tensor_file(path: Path) -> Any:
    """Read what torch.save wrote: tensors (on the CPU), numbers, text, None, and lists, tuples and dicts of them.

    Nothing in the file is run or imported.

    Raises:
        InputError: the file is missing, truncated, damaged (each member is compared with its checksum), of another format,
            or holds anything else.
    """
    if not path.is_file():
        found = "is not a file" if path.exists() else "does not exist"
        raise InputError(f"{path} {found}; choose a checkpoint (.pt) that training wrote.")
    import torch  # noqa: F401  so that the error of a broken installation is not taken for one of this file

    try:
        with path.open("rb") as file:
            _check_head(path, file.read(512))
            return _read(file)
    except OSError as error:
        raise InputError(
            f"{path} could not be read ({error.strerror}); check the drive and the file's rights."
        ) from error
    except _CodeError as error:
        raise InputError(
            f"{path} holds more than tensors, numbers and text ({error}), which could run code on opening, so it was "
            "refused; choose a checkpoint that training wrote."
        ) from error
    except InputError:
        raise
    except (_DamagedError, zipfile.BadZipFile, *_READING_ERRORS) as error:
        reason = "its content is inconsistent" if isinstance(error, _READING_ERRORS) else error
        raise InputError(
            f"{path} is damaged, cut off or not a file of torch.save ({reason}); copy it again from where it was trained."
        ) from error


def _check_head(path: Path, head: bytes) -> None:
    """Raise InputError, with what the file seems to be, unless it begins as a zip archive does."""
    if head.startswith(ZIP_HEAD):
        return
    what = "it begins with other bytes than a zip archive"
    if not head:
        what = "it is empty"
    elif head[:1] == b"\x80":
        what = "it is a bare pickle, which could run code on opening"
    elif head[257:262] == b"ustar":
        what = "it is a tar archive, which could run code on opening"
    raise InputError(
        f"{path} is not a checkpoint or is cut off: {what}; copy it again or choose a file that training wrote."
    )


def _read(file: BinaryIO) -> Any:
    with zipfile.ZipFile(file) as archive:
        members = _checked_members(file, archive)
        if members.get("byteorder") and archive.read(members["byteorder"]) != b"little":
            raise _DamagedError("its numbers are not little-endian")
        if "data.pkl" not in members:
            raise _DamagedError("it has no data.pkl")
        if members["data.pkl"].file_size > MOST_PROGRAM_BYTES:
            raise _DamagedError(f"its card and names take more than {MOST_PROGRAM_BYTES >> 20} MB")
        return _PickleReader(archive, members).read(archive.read(members["data.pkl"]))


def _checked_members(file: BinaryIO, archive: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    """The archive's members by their name below its one folder; raises _DamagedError for what torch.save would not have written.

    Members are uncompressed, so none grows on reading, and lie one after the other from the first byte to the directory at
    the end, so nothing else is hidden in the file and no two share bytes.
    """
    members: dict[str, zipfile.ZipInfo] = {}
    end = 0
    for info in sorted(archive.infolist(), key=lambda info: info.header_offset):
        name = info.filename.partition("/")[2]
        if name == "constants.pkl" or name.startswith("code/"):
            raise _CodeError("a TorchScript program")
        if not _MEMBER.fullmatch(name) or name in members:
            raise _DamagedError(f"it has an unexpected member {info.filename[:80]!r}")
        if info.compress_type != zipfile.ZIP_STORED or info.flag_bits & 1 or info.compress_size != info.file_size:
            raise _DamagedError(f"its member {name} is compressed or encrypted")
        if not 0 <= info.header_offset - end <= (_DESCRIPTOR if members else 0):
            raise _DamagedError(f"other bytes lie before its member {name}")
        file.seek(info.header_offset)
        name_length, extra_length = struct.unpack("<26xHH", file.read(30))
        end = info.header_offset + 30 + name_length + extra_length + info.file_size
        members[name] = info
    file.seek(-_END_RECORD, 2)
    last = file.read()
    if not 0 <= archive.start_dir - end <= _DESCRIPTOR or last[:4] != b"PK\x05\x06" or last[-2:] != b"\0\0":
        raise _DamagedError("other bytes follow its members or its end")
    if len({info.filename.partition("/")[0] for info in members.values()}) > 1:
        raise _DamagedError("its members lie in several folders")
    return members


class _PickleReader:
    """The few instructions of a pickle that build data, carried out on the members of one archive."""

    def __init__(self, archive: zipfile.ZipFile, members: dict[str, zipfile.ZipInfo]) -> None:
        self._archive, self._members = archive, members
        self._bytes: dict[str, Tensor] = {}  # storages that were read, uint8
        self._stack: list[Any] = []
        self._marks: list[int] = []
        self._memo: dict[int, Any] = {}

    def read(self, program: bytes) -> Any:
        """The data that the pickle `program` builds."""
        for number, (opcode, argument, _) in enumerate(pickletools.genops(program)):
            if number > MOST_INSTRUCTIONS:
                raise _DamagedError(f"it describes more than {MOST_INSTRUCTIONS:,} things")
            if opcode.name == "STOP":
                break
            self._carry_out(opcode.name, argument)
        (content,) = self._stack
        return content

    def _carry_out(self, name: str, argument: Any) -> None:
        stack = self._stack
        match name:
            case "PROTO":
                pass
            case "BININT" | "BININT1" | "BININT2" | "LONG1" | "BINFLOAT" | "BINUNICODE":
                stack.append(argument)
            case "NONE" | "NEWTRUE" | "NEWFALSE":
                stack.append({"NONE": None, "NEWTRUE": True, "NEWFALSE": False}[name])
            case "MARK":
                self._marks.append(len(stack))
            case "EMPTY_DICT" | "EMPTY_LIST" | "EMPTY_TUPLE":
                stack.append({"EMPTY_DICT": {}, "EMPTY_LIST": [], "EMPTY_TUPLE": ()}[name])
            case "TUPLE" | "TUPLE1" | "TUPLE2" | "TUPLE3":
                stack.append(tuple(self._since_mark() if name == "TUPLE" else self._last(int(name[-1]))))
            case "APPEND" | "APPENDS":
                values = self._last(1) if name == "APPEND" else self._since_mark()
                self._top(list).extend(values)
            case "SETITEM" | "SETITEMS":
                values = self._last(2) if name == "SETITEM" else self._since_mark()
                self._top(dict).update(_items(values))
            case "BINPUT" | "LONG_BINPUT":
                self._memo[argument] = stack[-1]
            case "BINGET" | "LONG_BINGET":
                stack.append(self._memo[argument])
            case _:
                self._build(name, argument)

    def _build(self, name: str, argument: Any) -> None:
        """The instructions with which a pickle looks up, calls and fills objects: none of them does so here."""
        stack = self._stack
        match name:
            case "GLOBAL":
                if argument not in _NAMES:
                    raise _CodeError(f"it asks for {argument.replace(' ', '.')[:80]!r}")
                stack.append(_GlobalName(argument))
            case "BINPERSID":
                stack.append(self._storage(*stack.pop()))
            case "REDUCE":
                called, arguments = self._last(2)
                if type(called) is not _GlobalName or type(arguments) is not tuple:
                    raise _DamagedError("it calls what is no tensor")
                stack.append(_built(called.text, arguments))
            case "BUILD":  # the versions of a state dict's modules, which nothing here asks for, or a type's byte order
                state = stack.pop()
                if type(stack[-1]) is not _NumpyType:
                    self._top(dict)
                elif state not in _LITTLE_ENDIAN:
                    raise _DamagedError("it has numpy numbers that are not little-endian")
            case _:
                raise _CodeError(f"the instruction {name}")

    def _top(self, kind: type) -> Any:
        if type(self._stack[-1]) is not kind:
            raise _DamagedError(f"something is put into what is no {kind.__name__}")
        return self._stack[-1]

    def _last(self, count: int) -> list[Any]:
        if len(self._stack) < count:
            raise _DamagedError("its data.pkl is incomplete")
        values = self._stack[-count:]
        del self._stack[-count:]
        return values

    def _since_mark(self) -> list[Any]:
        return self._last(len(self._stack) - mark) if (mark := self._marks.pop()) < len(self._stack) else []

    def _storage(self, kind: str, dtype: _GlobalName, key: str, _location: str, count: int) -> _Storage:
        """A storage by its key; `_location`, the device that it was on, is not taken up."""
        import torch

        if kind != "storage" or type(dtype) is not _GlobalName or dtype.text not in _DTYPES or type(key) is not str:
            raise _DamagedError("it has a storage of an unknown kind")
        if key not in self._bytes:
            read = bytearray(self._archive.read(self._members[f"data/{key}"]))
            self._bytes[key] = torch.frombuffer(read, dtype=torch.uint8) if read else torch.empty(0, dtype=torch.uint8)
        elements = self._bytes[key].view(getattr(torch, _DTYPES[dtype.text]))
        if count != len(elements):
            raise _DamagedError(f"the storage data/{key} has not the {count} elements that are announced")
        return _Storage(elements)


def _built(name: str, arguments: tuple[Any, ...]) -> Any:
    """What the function of that name makes of `arguments`, made here."""
    if name == _DICT and arguments == ():
        return {}
    if name == _REBUILD:
        return _tensor(*arguments)
    if name in _SCALARS:
        return _scalar(*arguments)
    if name == _NUMPY_TYPE and arguments[1:] == (False, True) and type(arguments[0]) is str:
        if arguments[0] not in _SCALAR_TYPES:
            raise _CodeError(f"numpy's type {arguments[0][:20]!r}")
        return _NumpyType(arguments[0])
    if name == _BYTES and len(arguments) == 2 and type(arguments[0]) is str and arguments[1] == "latin1":
        return arguments[0].encode("latin1")
    if name == _DEVICE and all(type(part) in (str, int) for part in arguments):
        return ":".join(map(str, arguments))
    raise _DamagedError("it calls what is no tensor")


def _scalar(dtype: _NumpyType, data: bytes) -> Any:
    """The number of a numpy scalar as Python's own."""
    import numpy as np

    if type(dtype) is not _NumpyType or type(data) is not bytes or len(data) != int(dtype.text[1]):
        raise _DamagedError("it has a numpy number of an unknown kind")
    return np.frombuffer(data, dtype=f"<{dtype.text}")[0].item()


def _items(values: list[Any]) -> Iterator[tuple[Any, Any]]:
    """Keys and values in turn; raises _DamagedError for keys that are neither text nor whole numbers."""
    keys = values[::2]
    if len(values) % 2 or not all(type(key) in (str, int) for key in keys):
        raise _DamagedError("it has a dict whose keys are neither text nor numbers")
    return zip(keys, values[1::2], strict=True)


def _tensor(
    storage: _Storage, offset: int, size: tuple[int, ...], stride: tuple[int, ...], _requires_grad: bool, _hooks: dict
) -> Tensor:
    """A view of the storage's elements; raises _DamagedError unless all of it lies inside of them, each of them once at most."""
    numbers = (offset, *size, *stride)
    if type(storage) is not _Storage or not all(type(number) is int and number >= 0 for number in numbers):
        raise _DamagedError("it has a tensor without elements or of an impossible size")
    last = offset + sum((length - 1) * step for length, step in zip(size, stride, strict=True))
    count = math.prod(size)
    if count > len(storage.elements) or (count and last >= len(storage.elements)):
        raise _DamagedError("it has a tensor that reaches beyond its elements")
    return storage.elements.as_strided(size, stride, offset)
