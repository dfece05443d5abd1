"""What ITK does not tell of a NIfTI file: that it was cut off (it fills in zeros), and that voxels are NaN (zeros again)."""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

_CHUNK = 1 << 22
_FLOATS = {16: "f4", 64: "f8"}  # NIfTI's datatype codes of numbers that can be NaN


@dataclass(frozen=True)
class _Header:
    """byte_order "<" or ">"; datatype: NIfTI's code; bits a voxel; offset: bytes before the first of `voxels`."""

    byte_order: str
    datatype: int
    bits: int
    offset: int
    voxels: int


def is_whole(path: Path) -> bool:
    """Whether a .nii or .nii.gz file holds all the voxels that its header announces.

    A gzip file says its unpacked length in its last four bytes; only if that does not fit is the file unpacked to see.
    """
    try:
        header = _header(path)
        expected = header.offset + header.voxels * header.bits // 8
        if path.suffix.lower() != ".gz":
            return path.stat().st_size >= expected
        with path.open("rb") as file:
            file.seek(-4, 2)
            (length,) = struct.unpack("<I", file.read(4))
        return length == expected % 2**32 or _unpacked_bytes(path) >= expected
    except (OSError, EOFError, zlib.error, struct.error):
        return False


def non_finite(path: Path) -> np.ndarray:
    """Where a whole file's voxels are NaN or infinite: positions in the order of the file, the column fastest.

    Files of whole numbers are not read for it. ITK reads such voxels as 0, which would be water in a CT.
    """
    header = _header(path)
    if header.datatype not in _FLOATS:
        return np.empty(0, np.int64)
    kind = np.dtype(header.byte_order + _FLOATS[header.datatype])
    found, done = [], 0
    with _opened(path) as file:
        file.seek(header.offset)
        while done < header.voxels:
            part = file.read(min(_CHUNK, (header.voxels - done) * kind.itemsize))
            if not part:
                break
            values = np.frombuffer(part, kind, len(part) // kind.itemsize)
            found.append(done + np.flatnonzero(~np.isfinite(values)))
            done += len(values)
    return np.concatenate(found) if found else np.empty(0, np.int64)


def _opened(path: Path) -> BinaryIO:
    return gzip.open(path) if path.suffix.lower() == ".gz" else path.open("rb")  # type: ignore[return-value]


def _header(path: Path) -> _Header:
    """Header of a file (NIfTI-1: 348 bytes, NIfTI-2: 540 bytes, either byte order)."""
    with _opened(path) as file:
        header = file.read(540)
    order = "<" if struct.unpack_from("<i", header)[0] in (348, 540) else ">"
    if struct.unpack_from(order + "i", header)[0] == 348:
        sizes = struct.unpack_from(order + "8h", header, 40)
        datatype, bits = struct.unpack_from(order + "2h", header, 70)
        offset = int(struct.unpack_from(order + "f", header, 108)[0])
    else:
        sizes = struct.unpack_from(order + "8q", header, 16)
        datatype, bits = struct.unpack_from(order + "2h", header, 12)
        (offset,) = struct.unpack_from(order + "q", header, 168)
    return _Header(order, datatype, bits, offset, math.prod(max(1, size) for size in sizes[1 : 1 + sizes[0]]))


def _unpacked_bytes(path: Path) -> int:
    total = 0
    with gzip.open(path) as file:
        while part := file.read(_CHUNK):
            total += len(part)
    return total
