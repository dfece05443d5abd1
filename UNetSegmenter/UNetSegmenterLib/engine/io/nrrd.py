"""NRRD, attached or with data files beside it. Format: http://teem.sourceforge.net/nrrd/format.html"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ..errors import InputError
from .byte_stream import BZIP2, GZIP, RAW
from .geometry import sizes_text
from .header_geometry import (
    check_sizes,
    check_spacing,
    header_geometry,
    missing_spacing,
    no_orientation_note,
)
from .image_header import HEX, TEXT, DataLocation, ImageHeader, is_file, numbered_file_names, quoted
from .volume import Note

MAGIC = b"NRRD"
_TYPES = {
    "i1": ("signed char", "int8", "int8_t"),
    "u1": ("uchar", "unsigned char", "uint8", "uint8_t"),
    "i2": ("short", "short int", "signed short", "signed short int", "int16", "int16_t"),
    "u2": ("ushort", "unsigned short", "unsigned short int", "uint16", "uint16_t"),
    "i4": ("int", "signed int", "int32", "int32_t"),
    "u4": ("uint", "unsigned int", "uint32", "uint32_t"),
    "i8": ("longlong", "long long", "long long int", "signed long long", "signed long long int", "int64", "int64_t"),
    "u8": ("ulonglong", "unsigned long long", "unsigned long long int", "uint64", "uint64_t"),
    "f4": ("float",),
    "f8": ("double",),
}
_KIND_OF = {name: kind for kind, names in _TYPES.items() for name in names}
_ENCODINGS = {
    "raw": (RAW, RAW), "gzip": (GZIP, RAW), "gz": (GZIP, RAW), "bzip2": (BZIP2, RAW), "bz2": (BZIP2, RAW),
    "ascii": (RAW, TEXT), "text": (RAW, TEXT), "txt": (RAW, TEXT), "hex": (RAW, HEX),
}  # fmt: skip
_TO_LPS = {"lps": (1, 1), "ras": (-1, -1), "las": (1, -1)}
_UNITS_MM = {"m": 1000.0, "meter": 1000.0, "cm": 10.0, "um": 0.001, "µm": 0.001, "micron": 0.001}
_MAX_HEADER_BYTES = 1 << 24


def read_nrrd_header(path: Path) -> ImageHeader:
    """Header of a .nrrd or .nhdr file; raises InputError where a field is missing or has no valid meaning."""
    with path.open("rb") as file:
        content = file.read(_MAX_HEADER_BYTES)
    end = re.search(rb"\r?\n\r?\n", content)
    lines = content[: end.start() if end else len(content)].decode("utf-8", "replace").splitlines()
    fields, keys, listed = _fields(lines[1:])
    if end is None and "data file" not in fields:
        raise InputError(f"{path} is cut off within its header; copy or export it again.")
    sizes = _numbers(path, fields, "sizes", int)
    check_sizes(path, sizes, fields.get("sizes", "none"))
    if _numbers(path, fields, "dimension", int) != [len(sizes)]:
        dimension = quoted(fields.get("dimension", "none"))
        raise InputError(
            f"{path} is damaged: its header gives {len(sizes)} sizes for {dimension} dimensions; export it again."
        )
    sizes, vectors, component = _axes(path, fields, sizes)
    spatial = [size for axis, size in enumerate(sizes) if axis != component]
    affine, notes = _affine(path, fields, vectors, component)
    kind = _KIND_OF.get(fields.get("type", "").lower())
    if kind is None:
        found = quoted(fields.get("type", "none"))
        raise InputError(f"{path} holds voxels of type {found}; one number per voxel is expected.")
    return ImageHeader(
        path=path,
        stored_shape=tuple(sizes[::-1]),
        component_axis=None if component is None else len(sizes) - 1 - component,
        dtype=np.dtype(_byte_order(path, fields, kind) + kind),
        geometry=header_geometry(path, spatial, affine),
        data=_data(path, fields, listed, end.end() if end else len(content), sizes[-1]),
        notes=tuple(notes),
        fields=keys,
    )


def _fields(lines: Sequence[str]) -> tuple[dict[str, str], dict[str, str], list[str]]:
    """Fields, key/value pairs, and the file names that follow "data file: LIST"."""
    fields: dict[str, str] = {}
    keys: dict[str, str] = {}
    listed: list[str] = []
    for line in lines:
        if fields.get("data file", "").upper().startswith("LIST"):
            listed.append(line.strip())
        elif line.startswith("#"):
            continue
        elif ":=" in line and (": " not in line or line.index(":=") < line.index(": ")):
            key, value = line.split(":=", 1)
            keys[key] = value.replace("\\n", "\n").replace("\\\\", "\\")
        elif ":" in line:
            name, value = line.split(":", 1)
            name = {"datafile": "data file", "byteskip": "byte skip", "lineskip": "line skip"}.get(
                name.strip().lower(), name.strip().lower()
            )
            fields[name] = value.strip()
    return fields, keys, [name for name in listed if name]


def _numbers(path: Path, fields: dict[str, str], name: str, kind: type) -> list:
    try:
        return [kind(part) for part in fields.get(name, "").split()]
    except ValueError as error:
        raise InputError(
            f'{path} has "{name}: {quoted(fields[name])}" where numbers are expected; export it again.'
        ) from error


def _vector(path: Path, text: str) -> np.ndarray:
    try:
        return np.array([float(part) for part in text.strip("() ").split(",")])
    except ValueError as error:
        raise InputError(f'{path} has the vector "{quoted(text)}", which is not numbers; export it again.') from error


def _axes(
    path: Path, fields: dict[str, str], sizes: list[int]
) -> tuple[list[int], list[np.ndarray] | None, int | None]:
    """Sizes (fastest first, trailing axes of one point dropped), vectors of the spatial axes, and which axis is none."""
    sizes, count = list(sizes), len(sizes)
    texts = re.findall(r"none|\([^)]*\)", fields.get("space directions", ""), re.IGNORECASE)
    if texts and len(texts) != count:
        raise InputError(f"{path} has {len(texts)} space directions for {count} axes; export it again.")
    kinds = fields.get("kinds", "").lower().split()
    spatial = ("domain", "space", "???", "none")
    others = [
        axis
        for axis in range(count)
        if (texts[axis].lower() == "none" if texts else len(kinds) == count and kinds[axis] not in spatial)
    ]
    while len(sizes) > 3 and sizes[-1] == 1:
        sizes.pop()
    others = [axis for axis in others if axis < len(sizes)]
    if len(sizes) - len(others) != 3 or len(others) > 1:
        found = sizes_text(sizes)
        raise InputError(
            f"{path} is {found} with {len(sizes) - len(others)} axes in space; a single 3D scan with one value per voxel is "
            "expected, so extract one first."
        )
    vectors = [_vector(path, texts[axis]) for axis in range(len(sizes)) if axis not in others] if texts else None
    return sizes, vectors, others[0] if others else None


def _affine(
    path: Path, fields: dict[str, str], vectors: list[np.ndarray] | None, component: int | None
) -> tuple[np.ndarray, list[Note]]:
    """4x4 affine from (column, row, slice) to LPS in mm, and notes."""
    notes: list[Note] = []
    affine = np.eye(4)
    space = _space(fields.get("space", ""))
    if vectors is None:
        spacing = _numbers(path, fields, "spacings", float)
        if not spacing:
            raise missing_spacing(path, '"space directions" or "spacings"')
        spacing = [value for axis, value in enumerate(spacing) if axis != component][:3]
        check_spacing(path, spacing, "spacings")
        affine[:3, :3] = np.diag(spacing)
        space = ""
    else:
        if any(len(vector) != 3 for vector in vectors):
            raise InputError(f"{path} has space directions of {len(vectors[0])} numbers; three are expected.")
        affine[:3, :3] = np.stack(vectors, axis=1)
    if fields.get("space origin"):
        origin = _vector(path, fields["space origin"])
        if len(origin) != 3:
            raise InputError(f"{path} has a space origin of {len(origin)} numbers; three are expected.")
        affine[:3, 3] = origin
    units = re.findall(r'"([^"]*)"', fields.get("space units", ""))
    if factor := next((_UNITS_MM[unit.lower()] for unit in units if unit.lower() in _UNITS_MM), None):
        affine[:3] *= factor
        notes.append(Note("warning", f"the header gives lengths in {units[0]}; they were converted to mm."))
    if space in _TO_LPS:
        affine[:2] *= np.array(_TO_LPS[space])[:, None]
    else:
        notes.append(no_orientation_note(as_others=", as in Slicer"))
    return affine, notes


def _space(text: str) -> str:
    text = text.strip().strip('"').lower()
    return "".join(word[:1] for word in text.split("-")) if text.count("-") == 2 and text.endswith("superior") else text


def _byte_order(path: Path, fields: dict[str, str], kind: str) -> str:
    order = {"little": "<", "big": ">"}.get(fields.get("endian", "").lower())
    if order is None and kind[1] != "1" and _encoding(path, fields)[1] != TEXT:
        raise InputError(
            f'{path} lacks "endian: little" or "endian: big", without which its voxels mean nothing; add it.'
        )
    return order or "<"


def _encoding(path: Path, fields: dict[str, str]) -> tuple[str, str]:
    encoding = fields.get("encoding", "").lower()
    if encoding not in _ENCODINGS:
        raise InputError(f"{path} has the encoding {quoted(encoding or 'none')}; known are {', '.join(_ENCODINGS)}.")
    return _ENCODINGS[encoding]


def _data(path: Path, fields: dict[str, str], listed: list[str], end: int, slices: int) -> DataLocation:
    compression, coding = _encoding(path, fields)
    skip = (_numbers(path, fields, "byte skip", int) or [0])[0]
    lines = (_numbers(path, fields, "line skip", int) or [0])[0]
    if skip < -1 or lines < 0 or (skip == -1 and compression != RAW):
        raise InputError(f'{path} has a "byte skip" or "line skip" that can\'t be; export it again.')
    start = end
    files: tuple[Path, ...] = (path,)
    if target := fields.get("data file"):
        start = 0
        names = listed if target.upper().startswith("LIST") else numbered_file_names(target, slices) or [target]
        files = tuple(path.parent / name for name in names)
        if not files:
            raise InputError(f"{path} lists no data files; export it again.")
    return DataLocation(files, compression, _after_lines(files[0], start, lines), skip, coding)


def _after_lines(file: Path, start: int, lines: int) -> int:
    """The byte at which the voxels begin, after `lines` lines that are skipped."""
    if not lines or not is_file(file):
        return start
    with file.open("rb") as opened:
        opened.seek(start)
        for _ in range(lines):
            if not opened.readline():
                break
        return opened.tell()
