"""Whether a NIfTI file is whole. ITK reads a file that was cut off and fills what is missing with zeros, without a word."""

from __future__ import annotations

import gzip
import struct
import zlib
from pathlib import Path

_CHUNK = 1 << 22


def is_whole(path: Path) -> bool:
    """Whether a .nii or .nii.gz file holds all the voxels that its header announces.

    A gzip file says its unpacked length in its last four bytes; only if that does not fit is the file unpacked to see.
    """
    try:
        expected = _announced_bytes(path)
        if path.suffix != ".gz":
            return path.stat().st_size >= expected
        with path.open("rb") as file:
            file.seek(-4, 2)
            (length,) = struct.unpack("<I", file.read(4))
        return length == expected % 2**32 or _unpacked_bytes(path) >= expected
    except (OSError, EOFError, zlib.error, struct.error):
        return False


def _announced_bytes(path: Path) -> int:
    """Length of the unpacked file by its header (NIfTI-1: 348 bytes, NIfTI-2: 540 bytes, either byte order)."""
    with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
        header = file.read(540)
    order = "<" if struct.unpack_from("<i", header)[0] in (348, 540) else ">"
    if struct.unpack_from(order + "i", header)[0] == 348:
        sizes = struct.unpack_from(order + "8h", header, 40)
        (bits,) = struct.unpack_from(order + "h", header, 72)
        offset = int(struct.unpack_from(order + "f", header, 108)[0])
    else:
        sizes = struct.unpack_from(order + "8q", header, 16)
        (bits,) = struct.unpack_from(order + "h", header, 14)
        (offset,) = struct.unpack_from(order + "q", header, 168)
    voxels = 1
    for size in sizes[1 : 1 + sizes[0]]:
        voxels *= max(1, size)
    return offset + voxels * bits // 8


def _unpacked_bytes(path: Path) -> int:
    total = 0
    with gzip.open(path) as file:
        while part := file.read(_CHUNK):
            total += len(part)
    return total
