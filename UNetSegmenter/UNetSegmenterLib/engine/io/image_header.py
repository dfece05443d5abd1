"""The header of an image file, and its voxels, which must fit the header to the last byte."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ..errors import InputError
from .byte_stream import MAX_BYTES_PER_COMPRESSED_BYTE, RAW, ByteStream
from .geometry import Geometry, sizes_text
from .volume import Note, SeriesIdentity

TEXT, HEX = "text", "hex"


@dataclass(frozen=True)
class DataLocation:
    """Where voxels lie: in `files`, one after another, each from byte `start` on.

    `compression` is one of `byte_stream`, `coding` RAW, TEXT or HEX. `skip` decompressed bytes come before the first voxel; -1
    stands for all bytes but the voxels themselves.
    """

    files: tuple[Path, ...]
    compression: str = RAW
    start: int = 0
    skip: int = 0
    coding: str = RAW


@dataclass(frozen=True, kw_only=True)
class ImageHeader:
    """Size, type and location of an image's voxels.

    `stored_shape` is that of the file, slowest axis first; `component_axis` is the axis in it along which the values of one
    voxel lie, None if each has one. `scale` is slope and intercept. `fields` are the file's own keys and values.
    """

    path: Path
    stored_shape: tuple[int, ...]
    component_axis: int | None
    dtype: np.dtype
    geometry: Geometry
    data: DataLocation
    notes: tuple[Note, ...] = ()
    fields: dict[str, str] = field(default_factory=dict)
    scale: tuple[float, float] = (1.0, 0.0)

    @property
    def components(self) -> int:
        """Values per voxel."""
        return 1 if self.component_axis is None else self.stored_shape[self.component_axis]


@dataclass(frozen=True)
class StoredImage:
    """An image as its file holds it: `array` (slices, rows, columns), with a last axis if a voxel has several values.

    `series` identifies the DICOM series that it is.
    """

    array: np.ndarray
    geometry: Geometry
    notes: tuple[Note, ...] = ()
    fields: dict[str, str] = field(default_factory=dict)
    series: SeriesIdentity | None = None


def read_voxels(header: ImageHeader) -> StoredImage:
    """The image of a header; raises InputError unless the file holds just the voxels that it announces."""
    array = _read_text_voxels(header) if header.data.coding != RAW else None
    extra = 0
    if array is None:
        _refuse_impossible(header)
        array = np.empty(header.stored_shape, header.dtype)
        extra = _fill(header, array.reshape(-1).view(np.uint8).data)
    notes = header.notes
    if extra:
        text = f"the file holds {extra:,} bytes after the last voxel that its header announces; they were not read."
        notes += (Note("warning", text),)
    if header.component_axis is not None:
        array = np.moveaxis(array, header.component_axis, -1)
        array = array[..., 0] if array.shape[-1] == 1 else array
    several = array.shape[-1:] if header.components > 1 else ()
    array = array.reshape(*header.geometry.shape, *several)
    if not array.dtype.isnative:
        array = array.astype(array.dtype.newbyteorder("="))
    return StoredImage(scaled(array, *header.scale), header.geometry, notes, header.fields)


def is_file(path: Path) -> bool:
    """Whether there is such a file; no for a name that no file can have."""
    try:
        return path.is_file()
    except OSError:
        return False


def quoted(text: str) -> str:
    """Text of a file's header for a message: the first 60 characters, in one line, of what can be shown."""
    shown = "".join(letter if letter.isprintable() else "?" for letter in text[:61])
    return shown if len(text) <= 60 else f"{shown[:57]}..."


def scaled(array: np.ndarray, slope: float, intercept: float) -> np.ndarray:
    """array * slope + intercept: whole numbers stay whole, others become float32 (float64 from float64)."""
    if (slope, intercept) == (1.0, 0.0):
        return array
    if array.dtype.kind in "iu" and slope.is_integer() and intercept.is_integer():
        ends = [int(end) * int(slope) + int(intercept) for end in (array.min(initial=0), array.max(initial=0))]
        for kind in (np.int16, np.int32):
            if np.iinfo(kind).min <= min(ends) and max(ends) <= np.iinfo(kind).max:
                wide = array.astype(np.promote_types(array.dtype, np.int32), copy=False)
                return (wide * int(slope) + int(intercept)).astype(kind)
    result = np.empty(array.shape, np.float64 if array.dtype.itemsize == 8 else np.float32)
    with np.errstate(over="ignore", invalid="ignore"):  # what becomes infinite is refused by the checks of the volume
        for stored, values in zip(array, result, strict=True):
            values[...] = stored.astype(np.float64) * slope + intercept
    return result


def _expected_bytes(header: ImageHeader) -> int:
    return math.prod(header.stored_shape) * header.dtype.itemsize


def _refuse_impossible(header: ImageHeader) -> None:
    """Refuse missing files and sizes that files of this length can't hold, before memory is allocated."""
    for file in header.data.files:
        if not is_file(file):
            raise InputError(
                f"{header.path} names the data file {quoted(file.name)}, which is not there; copy it beside the header."
            )
    stored_bytes = sum(file.stat().st_size for file in header.data.files)
    expected = _expected_bytes(header)
    if expected > stored_bytes * MAX_BYTES_PER_COMPRESSED_BYTE[header.data.compression]:
        raise _cut_off(header, max(0, stored_bytes - header.data.start - max(0, header.data.skip)))


def _cut_off(header: ImageHeader, found: int) -> InputError:
    size = sizes_text(header.stored_shape[::-1])
    compressed = "" if header.data.compression == RAW else f" ({header.data.compression})"
    return InputError(
        f"{header.path} is cut off or damaged: it holds {found:,} bytes of voxels{compressed}, and "
        f"{_expected_bytes(header):,} are expected for {size} of {header.dtype.name}; copy or export it again."
    )


def _fill(header: ImageHeader, view: memoryview) -> int:
    """Read all voxels into `view`; returns how many bytes the files hold besides them."""
    location, done, extra = header.data, 0, 0
    bytes_per_file, uneven = divmod(len(view), len(location.files))
    if uneven:
        raise InputError(
            f"{header.path} divides its voxels over {len(location.files)} files, which does not come out even."
        )
    for file in location.files:
        skip = file.stat().st_size - location.start - bytes_per_file if location.skip < 0 else location.skip
        with ByteStream(file, location.compression, location.start) as stream:
            stream.skip(skip)
            found = stream.fill(view[done : done + bytes_per_file])
            extra += stream.rest()
        if found < bytes_per_file:
            raise _cut_off(header, done + found)
        done += bytes_per_file
    return extra


def _read_text_voxels(header: ImageHeader) -> np.ndarray:
    """Voxels that are written as text: numbers with spaces between them, or the hexadecimal digits of their bytes."""
    location = header.data
    if len(location.files) != 1 or not is_file(location.files[0]):
        raise InputError(f"{header.path} names data files of text that are not there; save it again as raw or gzip.")
    content = location.files[0].read_bytes()[location.start :]
    try:
        if location.coding == HEX:
            values = np.frombuffer(bytes.fromhex(content.decode("ascii")), header.dtype)
        else:
            kind = np.float64 if header.dtype.kind == "f" else np.int64
            values = np.array(content.split(), dtype=kind)
            if values.astype(header.dtype).astype(kind).tobytes() != values.tobytes() and header.dtype.kind != "f":
                raise ValueError(f"a value is no {header.dtype.name}")
            values = values.astype(header.dtype)
    except (ValueError, OverflowError) as error:
        raise InputError(f"{header.path} is damaged: its voxels are no numbers ({error}); export it again.") from error
    if values.size != math.prod(header.stored_shape):
        raise _cut_off(header, values.nbytes)
    return values.reshape(header.stored_shape)


def numbered_file_names(text: str, slices: int) -> list[str]:
    """File names of "slice%03d.raw FIRST LAST STEP", at most one per slice; empty if `text` is no such pattern."""
    match = re.fullmatch(
        r"([^%]*)%(0?)(\d{0,2})d([^%]*?)\s+(-?\d{1,9})\s+(-?\d{1,9})\s+(-?\d{1,9})(\s+\d+)?", text.strip()
    )
    if match is None or int(match[7]) == 0:
        return []
    before, zero, width, after = match.group(1, 2, 3, 4)
    first, last, step = (int(match[group]) for group in (5, 6, 7))
    numbers = range(first, last + (1 if step > 0 else -1), step)[: max(1, slices)]
    return [f"{before}{number:{zero}{width}d}{after}" for number in numbers]
