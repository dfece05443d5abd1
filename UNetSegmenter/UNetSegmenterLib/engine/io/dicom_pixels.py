"""The pixels of a DICOM file as HU, once there are as many as its header announces."""

from __future__ import annotations

import struct
from collections.abc import Sequence

import numpy as np

from ..counting import counted
from ..errors import InputError
from .dicom_file import DicomFile
from .dicom_tags import (
    ALLOCATED,
    COLUMNS,
    FRAMES,
    HIGH_BIT,
    MODALITY_LUT,
    PHOTOMETRIC,
    ROWS,
    SAMPLES,
    SIGNED,
    STORED,
)
from .file_names import refuse_undecodable
from .image_header import quoted, scaled

MOST_FRAMES = 1_000_000
_INTEGERS = 0x7FE00010
_RLE = "1.2.840.10008.1.2.5"
_NAMES = {
    "1.2.840.10008.1.2.4.50": "JPEG", "1.2.840.10008.1.2.4.51": "JPEG", "1.2.840.10008.1.2.4.57": "lossless JPEG",
    "1.2.840.10008.1.2.4.70": "lossless JPEG", "1.2.840.10008.1.2.4.80": "JPEG-LS", "1.2.840.10008.1.2.4.81": "JPEG-LS",
    "1.2.840.10008.1.2.4.90": "JPEG 2000", "1.2.840.10008.1.2.4.91": "JPEG 2000",
    "1.2.840.10008.1.2.4.201": "high-throughput JPEG 2000", "1.2.840.10008.1.2.4.202": "high-throughput JPEG 2000",
    "1.2.840.10008.1.2.4.203": "high-throughput JPEG 2000", "1.2.840.10008.1.2.4.110": "JPEG XL", _RLE: "RLE",
}  # fmt: skip
_STARTS, _END = (b"\xff\xd8", b"\xff\x4f", b"\0\0\0\x0cjP"), b"\xff\xd9"


def frames_of(file: DicomFile) -> int:
    """How many frames the header announces; raises InputError for more than the pixels have bits, or than any scan has."""
    frames = max(1, file.number(FRAMES, 1))
    if frames > min(MOST_FRAMES, max(1, 8 * file.announced)):
        raise InputError(
            f"{file.path} is damaged: its header announces {frames:,} frames, its pixels take {file.announced:,} bytes; copy or "
            "export it again."
        )
    return frames


def check_pixels(file: DicomFile) -> None:
    """Raise InputError for pixels that no CT has: colours, floats, single bits, or a number that contradicts the header."""
    if not file.pixel_tag:
        raise InputError(f"{file.path} has no pixels; copy or export it again.")
    photometric = file.elements.get(PHOTOMETRIC, "MONOCHROME2")
    if file.number(SAMPLES, 1) != 1 or not photometric.startswith("MONOCHROME"):
        raise InputError(
            f"{file.path} holds colour images ({quoted(photometric)}); a CT with one value per voxel is expected."
        )
    rows, columns, bits = (file.number(tag) for tag in (ROWS, COLUMNS, ALLOCATED))
    if (
        not rows
        or not columns
        or bits not in (8, 16, 32)
        or file.pixel_tag != _INTEGERS
        or MODALITY_LUT in file.elements
    ):
        what = "a table instead of a slope" if MODALITY_LUT in file.elements else f"{bits} bits per pixel"
        raise InputError(
            f"{file.path} has {rows} x {columns} pixels with {what}, which is not supported; export it as CT with whole numbers."
        )
    if file.compressed:
        return
    frame = rows * columns * bits // 8
    announced = frames_of(file)
    if file.announced < frame * announced:
        raise InputError(
            f"{file.path} is cut off: it holds {file.announced:,} bytes of pixels, and {frame * announced:,} are expected for "
            f"{counted(announced, 'frame')} of {columns} x {rows}; copy or export it again."
        )
    if file.announced >= frame * (announced + 1):
        raise InputError(
            f"{file.path} contradicts itself: its header announces {counted(announced, 'frame')} of {columns} x {rows}, its "
            f"pixels are {file.announced // frame} frames; export it again."
        )


def frames_hu(file: DicomFile, scales: Sequence[tuple[float, float]]) -> list[np.ndarray]:
    """Each frame (rows, columns) by its slope and intercept; raises InputError where pixels can't be decompressed.

    GDCM, which decompresses all encodings but RLE, applies them itself.
    """
    rows, columns, bits = (file.number(tag) for tag in (ROWS, COLUMNS, ALLOCATED))
    shape = (frames_of(file), rows, columns)
    if not file.compressed or file.transfer_syntax == _RLE:
        values = integer_frames(file, shape, bits)
    elif len(set(scales)) > 1:
        raise InputError(
            f"{file.path} has compressed frames with slopes of their own, which is not supported; decompress it first."
        )
    else:
        return list(_decoded(file, shape))
    numbers = _as_numbers(values, file, bits)
    return [scaled(frame, *scale) for frame, scale in zip(numbers, scales, strict=True)]


def integer_frames(file: DicomFile, shape: tuple[int, int, int], bits: int) -> np.ndarray:
    """The unsigned numbers of all frames (frames, rows, columns) as they are stored, all bits of them."""
    frames, rows, columns = shape
    kind = np.dtype(f"{file.order}u{bits // 8}")
    if not file.compressed:
        values = np.frombuffer(file.pixels, kind, frames * rows * columns).reshape(shape)
    elif file.transfer_syntax == _RLE:
        parts = compressed_frames(file)
        values = np.stack([_rle(file, part, rows * columns, bits // 8) for part in parts]).reshape(shape)
    else:
        values = _decoded(file, shape)
    return values.astype(kind.newbyteorder("="), copy=False)


def _as_numbers(values: np.ndarray, file: DicomFile, bits: int) -> np.ndarray:
    """The bits in use as whole numbers, with their sign; the other bits may hold an overlay."""
    stored = file.number(STORED, bits)
    if not 1 <= stored <= bits:
        raise InputError(f"{file.path} is damaged: {stored} of {bits} bits are in use by its header; export it again.")
    signed = file.number(SIGNED) == 1
    if stored == bits:
        return values.view(np.dtype(f"i{bits // 8}")) if signed else values
    values = (values >> max(0, file.number(HIGH_BIT, stored - 1) + 1 - stored)) & ((1 << stored) - 1)
    if not signed:
        return values
    sign = 1 << (stored - 1)
    return ((values.astype(np.int64) ^ sign) - sign).astype(f"i{bits // 8}")


def compressed_frames(file: DicomFile) -> list[bytes]:
    """The compressed bytes of each frame; raises InputError unless there are as many as the header announces."""
    announced = frames_of(file)
    table, parts = (file.fragments[0], list(file.fragments[1:])) if file.fragments else (b"", [])
    if announced == 1:
        parts = [b"".join(parts)] if parts else []
    elif len(parts) != announced and len(table) == 4 * announced:
        parts = _by_table(table, parts)
    if len(parts) != announced or not all(parts):
        raise InputError(
            f"{file.path} is cut off or contradicts itself: its header announces {counted(announced, 'frame')}, its compressed "
            f"pixels hold {len(parts)}; copy or export it again."
        )
    return parts


def _by_table(table: bytes, parts: list[bytes]) -> list[bytes]:
    """Fragments put together to frames by the offset table, whose offsets count the eight bytes before each fragment."""
    starts = set(struct.unpack(f"<{len(table) // 4}I", table))
    frames: list[bytes] = []
    at = 0
    for part in parts:
        if at in starts:
            frames.append(part)
        elif frames:
            frames[-1] += part
        at += len(part) + 8
    return frames


def _rle(file: DicomFile, compressed: bytes, pixels: int, width: int) -> np.ndarray:
    """One frame of PS3.5 annex G: a segment for each byte of a pixel, the highest first, run-length encoded."""
    damaged = InputError(f"{file.path} is cut off or damaged within its RLE pixels; copy or export it again.")
    if len(compressed) < 64:
        raise damaged
    count, *offsets = struct.unpack_from("<16I", compressed)
    if count != width or offsets[0] != 64 or sorted(offsets[:count]) != offsets[:count]:
        raise damaged
    planes = []  # no array before it is known that the pixels are there: the header may announce any number
    for start, end in zip(offsets[:count], [*offsets[1:count], len(compressed)], strict=True):
        plane = _runs(compressed[start:end], pixels)
        if len(plane) < pixels:
            raise damaged
        planes.append(np.frombuffer(plane, np.uint8, pixels))
    return np.stack(planes, axis=1).reshape(-1).view(f">u{width}").astype(f"{file.order}u{width}")


def _runs(compressed: bytes, count: int) -> bytearray:
    plane, at = bytearray(), 0
    while len(plane) < count and at < len(compressed) - 1:
        control = compressed[at]
        if control < 128:
            plane += compressed[at + 1 : at + 2 + control]
            at += 2 + control
        else:
            plane += compressed[at + 1 : at + 2] * (257 - control if control > 128 else 0)
            at += 2
    return plane


def _decoded(file: DicomFile, shape: tuple[int, ...]) -> np.ndarray:
    """HU of a JPEG kind, decompressed by GDCM, once each frame is known to have its end."""
    import SimpleITK as sitk

    for part in compressed_frames(file):
        if not part.startswith(_STARTS) or not part.rstrip(b"\0").endswith(_END):
            raise InputError(
                f"{file.path} is cut off or damaged within its compressed pixels; copy or export it again."
            )
    name = _NAMES.get(file.transfer_syntax, "an unknown kind")
    try:
        refuse_undecodable(file.path)
        image = sitk.ReadImage(str(file.path))
    except RuntimeError as error:
        raise InputError(
            f"{file.path} has pixels compressed as {name} ({file.transfer_syntax}) that could not be decompressed; decompress "
            "them first, for example with gdcmconv --raw, or export the series uncompressed."
        ) from error
    array = sitk.GetArrayFromImage(image)
    if array.size != shape[0] * shape[1] * shape[2]:
        raise InputError(
            f"{file.path} decompresses to {array.shape} pixels, its header announces {shape}; export it again."
        )
    return array.reshape(shape)
