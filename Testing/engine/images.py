"""Image files written by hand, header by header, as other programs write them and as they get damaged."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path

import numpy as np

CODES = {"u1": 2, "i2": 4, "i4": 8, "f4": 16, "f8": 64, "i1": 256, "u2": 512, "u4": 768, "i8": 1024, "u8": 1280}
LPS = ((-3.0, 0, 0, 0), (0, -3.0, 0, 0), (0, 0, 5.0, 0))
"""sform (RAS) of voxels of 3 x 3 x 5 mm stored LPS, as a CT is."""

STRAIGHT = (0.0, 0.0, 1.0, 0.0, 0.0, 0.0)
"""Quaternion b, c, d and offset of the same."""


def noise(shape=(12, 40, 44), seed=0) -> np.ndarray:
    """HU that do not pack well, so that a damaged byte is a damaged voxel."""
    return np.random.default_rng(seed).integers(-1000, 1000, shape).astype(np.int16)


def body(slices=12, size=48) -> tuple[np.ndarray, np.ndarray]:
    """HU (slices, rows, columns) int16 and labels uint8 of a round body; 1 is a liver, 2 a spleen."""
    z, y, x = np.mgrid[:slices, :size, :size]
    hu = np.full(z.shape, -1000, np.int16)
    inside = (x - size / 2) ** 2 + (y - size / 2) ** 2 < (0.42 * size) ** 2
    hu[inside] = 30
    labels = np.zeros(z.shape, np.uint8)
    labels[((x - 16) ** 2 + (y - 22) ** 2 + 4 * (z - 6) ** 2 < 90) & inside] = 1
    labels[((x - 34) ** 2 + (y - 28) ** 2 + 4 * (z - 6) ** 2 < 50) & inside] = 2
    hu[labels == 1], hu[labels == 2] = 110, 160
    return hu, labels


def nifti_bytes(
    array: np.ndarray, sform=LPS, quatern=STRAIGHT, codes=(1, 1), pixdim=(1.0, 3.0, 3.0, 5.0),
    scale=(0.0, 0.0), order="<", version=1, units=2, dim=None, datatype=None, magic=b"n+", offset=None,
) -> bytes:  # fmt: skip
    """A whole NIfTI file of `array` (slices, rows, columns); codes are those of qform and sform."""
    dim = dim or (array.ndim, *array.shape[::-1])
    kind = CODES[array.dtype.str[1:]] if datatype is None else datatype
    sizes = [*dim, *[1] * (8 - len(dim))]
    spacing = [*pixdim, *[1.0] * (8 - len(pixdim))]
    srow = [value for row in sform for value in row]
    bits = 8 * array.dtype.itemsize
    if version == 1:
        offset = 352 if offset is None else offset
        header = bytearray(352)
        struct.pack_into(order + "i", header, 0, 348)
        struct.pack_into(order + "8h", header, 40, *sizes)
        struct.pack_into(order + "2h", header, 70, kind, bits)
        struct.pack_into(order + "8f", header, 76, *spacing)
        struct.pack_into(order + "3f", header, 108, offset, *scale)
        header[123] = units
        struct.pack_into(order + "2h", header, 252, *codes)
        struct.pack_into(order + "6f", header, 256, *quatern)
        struct.pack_into(order + "12f", header, 280, *srow)
        header[344:348] = magic + b"1\0"
    else:
        header = bytearray(544)
        struct.pack_into(order + "i", header, 0, 540)
        header[4:12] = magic + b"2\0\r\n\x1a\n"
        struct.pack_into(order + "2h", header, 12, kind, bits)
        struct.pack_into(order + "8q", header, 16, *sizes)
        struct.pack_into(order + "8d", header, 104, *spacing)
        struct.pack_into(order + "q", header, 168, 544 if offset is None else offset)
        struct.pack_into(order + "2d", header, 176, *scale)
        struct.pack_into(order + "2i", header, 344, *codes)
        struct.pack_into(order + "6d", header, 352, *quatern)
        struct.pack_into(order + "12d", header, 400, *srow)
        struct.pack_into(order + "i", header, 500, units)
    voxels = array.astype(array.dtype.newbyteorder(order)).tobytes() if magic == b"n+" else b""
    return bytes(header[:348]) if magic == b"ni" else bytes(header) + voxels


def write_nifti(path: Path, array: np.ndarray, **header) -> Path:
    """A NIfTI file, packed if it is called .gz."""
    content = nifti_bytes(array, **header)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(content, 1) if path.name.endswith(".gz") else content)
    return path


def write_nrrd(path: Path, array: np.ndarray, *fields: str, voxels: bytes | None = None, directions=None) -> Path:
    """A NRRD file of `fields`; without them raw, and placed by the rows of `directions` (LPS, column axis first)."""
    if not fields:
        vectors = np.diag([3.0, 3.0, 5.0]) if directions is None else directions
        text = " ".join(f"({','.join(f'{value:.17g}' for value in vector)})" for vector in np.asarray(vectors))
        fields = (
            "space: left-posterior-superior",
            f"space directions: {text}",
            "space origin: (0,0,0)",
            "encoding: raw",
        )
    kind = {"i2": "short", "u1": "uchar", "f4": "float"}[array.dtype.str[1:]]
    sizes = " ".join(map(str, array.shape[::-1]))
    head = f"NRRD0004\ntype: {kind}\ndimension: {array.ndim}\nsizes: {sizes}\nendian: little\n"
    content = array.tobytes() if voxels is None else voxels
    path.write_bytes((head + "\n".join(fields) + "\n\n").encode() + content)
    return path


def write_metaimage(path: Path, array: np.ndarray, voxels: bytes | None = None, **entries: str) -> Path:
    """A .mha file; `entries` are added to the header or replace what stands there, and None takes an entry out."""
    kind = {"i2": "MET_SHORT", "u1": "MET_UCHAR", "f4": "MET_FLOAT"}[array.dtype.str[1:]]
    header: dict[str, str | None] = {
        "ObjectType": "Image", "NDims": "3", "BinaryData": "True", "BinaryDataByteOrderMSB": "False",
        "TransformMatrix": "1 0 0 0 1 0 0 0 1", "Offset": "0 0 0", "ElementSpacing": "3 3 5",
        "DimSize": " ".join(map(str, array.shape[::-1])), "ElementType": kind,
    } | entries  # fmt: skip
    header["ElementDataFile"] = header.pop("ElementDataFile", "LOCAL")
    text = "".join(f"{key} = {value}\n" for key, value in header.items() if value is not None)
    path.write_bytes(text.encode() + (array.tobytes() if voxels is None else voxels))
    return path


def flipped(content: bytes, start: int | None = None, count: int = 40) -> bytes:
    """The same with some bytes changed, in the middle by default."""
    changed = bytearray(content)
    start = len(content) // 2 if start is None else start
    for place in range(start, start + count):
        changed[place] ^= 0x5A
    return bytes(changed)
