"""MetaImage, .mha or .mhd with its data file. Format: https://itk.org/Wiki/MetaIO/Documentation"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from ..errors import InputError
from .byte_stream import GZIP, GZIP_MAGIC, RAW, ZLIB
from .geometry import sizes_text
from .header_geometry import (
    SAME_SIZE,
    check_affine,
    check_sizes,
    check_spacing,
    header_geometry,
    missing_spacing,
    no_orientation_note,
)
from .image_header import TEXT, DataLocation, ImageHeader, is_file, numbered_file_names, quoted
from .volume import Note

_TYPES = {
    "MET_CHAR": "i1", "MET_UCHAR": "u1", "MET_SHORT": "i2", "MET_USHORT": "u2", "MET_INT": "i4", "MET_UINT": "u4",
    "MET_LONG": "i4", "MET_ULONG": "u4", "MET_LONG_LONG": "i8", "MET_ULONG_LONG": "u8", "MET_FLOAT": "f4", "MET_DOUBLE": "f8",
}  # fmt: skip
_MAX_HEADER_BYTES = 1 << 20
_LAST = "ElementDataFile"
_FROM = ("LR", "PA", "SI")
"""For L, P and S: the letter of the side from which an axis comes that runs in negative or in positive direction."""


def is_metaimage(head: bytes) -> bool:
    """Whether the first bytes are a MetaImage header."""
    return re.search(rb"(?m)^\s*(ObjectType\s*=\s*Image|NDims\s*=\s*\d)", head) is not None


def read_metaimage_header(path: Path) -> ImageHeader:
    """Header of a .mha or .mhd file; raises InputError where an entry is missing or has no valid meaning."""
    with path.open("rb") as file:
        content = file.read(_MAX_HEADER_BYTES)
    last = re.search(rb"(?m)^\s*ElementDataFile\s*=[^\r\n]*\r?\n?", content)
    if last is None:
        raise InputError(f"{path} is cut off within its header ({_LAST} is missing); copy or export it again.")
    lines = content[: last.end()].decode("latin-1").splitlines()
    fields = {key.strip(): value.strip() for key, _, value in (line.partition("=") for line in lines)}
    sizes = _integers(path, fields, "DimSize")
    check_sizes(path, sizes, fields.get("DimSize", "none"))
    while len(sizes) > 3 and sizes[-1] == 1:
        sizes.pop()
    components = (_integers(path, fields, "ElementNumberOfChannels") or [1])[0]
    check_sizes(path, [components], f"{components} values per voxel")
    if len(sizes) != 3:
        found = sizes_text(sizes)
        raise InputError(
            f"{path} is {found} ({len(sizes)} dimensions); a single 3D scan with one value per voxel is expected, so extract "
            "one first."
        )
    kind = _TYPES.get(fields.get("ElementType", ""))
    if kind is None:
        found = quoted(fields.get("ElementType", "none"))
        raise InputError(f"{path} holds voxels of type {found}; one number per voxel is expected.")
    affine, spacing, notes = _affine(path, fields)
    order = ">" if _true(fields, "BinaryDataByteOrderMSB") or _true(fields, "ElementByteOrderMSB") else "<"
    several = components > 1
    return ImageHeader(
        path=path,
        stored_shape=(*sizes[::-1], components) if several else tuple(sizes[::-1]),
        component_axis=3 if several else None,
        dtype=np.dtype(order + kind),
        geometry=header_geometry(path, sizes, affine, spacing),
        data=_data(path, fields, lines, last.end(), content, sizes),
        notes=tuple(notes),
        fields=fields,
    )


def _true(fields: dict[str, str], key: str) -> bool:
    return fields.get(key, "").lower() in ("true", "t", "1")


def _numbers(path: Path, fields: dict[str, str], *names: str) -> list[float]:
    """Numbers of the first of some entries that is there; empty if none is."""
    name = next((name for name in names if fields.get(name)), None)
    if name is None:
        return []
    try:
        return [float(part) for part in fields[name].split()]
    except ValueError as error:
        raise InputError(
            f'{path} has "{name} = {quoted(fields[name])}" where numbers are expected; export it again.'
        ) from error


def _integers(path: Path, fields: dict[str, str], name: str) -> list[int]:
    values = _numbers(path, fields, name)
    if not all(value.is_integer() for value in values):
        raise InputError(
            f'{path} has "{name} = {quoted(fields[name])}" where whole numbers are expected; export it again.'
        )
    return [int(value) for value in values]


def _affine(path: Path, fields: dict[str, str]) -> tuple[np.ndarray, list[float], list[Note]]:
    """4x4 affine from (column, row, slice) to LPS in mm, the spacing that the file gives in that order, and notes."""
    spacing = _numbers(path, fields, "ElementSpacing", "ElementSize")[:3]
    if not spacing:
        raise missing_spacing(path, "ElementSpacing")
    check_spacing(path, spacing, "ElementSpacing")
    matrix = _numbers(path, fields, "TransformMatrix", "Rotation", "Orientation")
    origin = _numbers(path, fields, "Offset", "Position", "Origin")
    notes = []
    dimensions = (_integers(path, fields, "NDims") or [3])[0]
    if dimensions < 3:
        raise InputError(f"{path} gives {dimensions} dimensions for three sizes; export it again.")
    if not matrix:
        notes.append(no_orientation_note(as_others=", as in Slicer"))
    elif len(matrix) != dimensions**2:
        raise InputError(f"{path} has a TransformMatrix of {len(matrix)} numbers; {dimensions**2} are expected.")
    if len(spacing) != 3 or (origin and len(origin) < 3):
        raise InputError(f"{path} has an ElementSpacing or Offset that is not three numbers; export it again.")
    axes = np.reshape(matrix, (dimensions, dimensions))[:3, :3] if matrix else np.eye(3)
    check_affine(path, axes)
    lengths = np.linalg.norm(axes, axis=1)
    if not np.allclose(lengths, 1, rtol=0, atol=10 * SAME_SIZE):
        notes.append(
            Note(
                "warning",
                "the TransformMatrix is no set of directions of length 1; ElementSpacing was multiplied by it.",
            )
        )
    affine = np.eye(4)
    with np.errstate(over="ignore", invalid="ignore"):  # `header_geometry` refuses what becomes infinite
        affine[:3, :3] = axes.T * spacing
    affine[:3, 3] = origin[:3] if origin else 0
    letters = fields.get("AnatomicalOrientation", "").upper()
    ours = "".join(_FROM[np.argmax(np.abs(axis))][int(axis[np.argmax(np.abs(axis))] > 0)] for axis in axes)
    if matrix and re.fullmatch("[RLAPIS]{3}", letters) and letters != ours:
        notes.append(
            Note(
                "info",
                f"AnatomicalOrientation is {letters}, the TransformMatrix {ours}; the matrix was taken, as in Slicer.",
            )
        )
    return affine, spacing, notes


def _data(
    path: Path, fields: dict[str, str], lines: list[str], end: int, content: bytes, sizes: list[int]
) -> DataLocation:
    target = fields[_LAST]
    coding = RAW if _true(fields, "BinaryData") or "BinaryData" not in fields else TEXT
    skip = (_integers(path, fields, "HeaderSize") or [0])[0]
    files: tuple[Path, ...] = (path,)
    start = 0
    if target.upper() == "LOCAL":
        start = end
    elif target.upper().startswith("LIST"):
        rest = content[end:].decode("latin-1").splitlines()
        files = tuple(path.parent / line.strip() for line in rest if line.strip())
    else:
        files = tuple(path.parent / name for name in numbered_file_names(target, sizes[2]) or [target])
    if not files:
        raise InputError(f"{path} lists no data files; export it again.")
    compression = RAW
    if _true(fields, "CompressedData"):
        compression = GZIP if _first_bytes(files[0], start) == GZIP_MAGIC else ZLIB
    return DataLocation(files, compression, start, max(-1, skip), coding)


def _first_bytes(file: Path, start: int) -> bytes:
    if not is_file(file):
        return b""
    with file.open("rb") as opened:
        opened.seek(start)
        return opened.read(2)
