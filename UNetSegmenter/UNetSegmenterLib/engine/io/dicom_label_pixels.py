"""The pixels of a DICOM segmentation, frame by frame: single bits, or whole numbers (PS3.5, 8.1.1 and annex A)."""

from __future__ import annotations

import zlib
from collections.abc import Callable

import numpy as np

from ..counting import counted
from ..errors import InputError
from .dicom_file import DicomFile
from .dicom_pixels import compressed_frames, frames_of, integer_frames
from .dicom_tags import ALLOCATED, COLUMNS, ROWS

_DEFLATED_FRAMES = "1.2.840.10008.1.2.8.1"


def label_frames(file: DicomFile) -> Callable[[int], np.ndarray]:
    """A function that gives the frame of a number from 0 as an array (rows, columns): bool for single bits, else integers.

    Raises InputError where pixels are missing, or are encoded in a way that can't be decoded.
    """
    rows, columns, bits = (file.number(tag) for tag in (ROWS, COLUMNS, ALLOCATED))
    frames = frames_of(file)
    if not file.pixel_tag or not rows or not columns or bits not in (1, 8, 16):
        raise InputError(
            f"{file.path} holds {rows} x {columns} pixels of {bits} bits, where a segmentation has 1, 8 or 16; export it again."
        )
    if not file.compressed:
        expected = -(-frames * rows * columns * bits // 8)
        if len(file.pixels) < expected:
            raise InputError(
                f"{file.path} is cut off: it holds {len(file.pixels):,} bytes of pixels, and {expected:,} are expected for "
                f"{counted(frames, 'frame')} of {columns} x {rows}; copy or export it again."
            )
        if bits == 1 and file.order == "<":
            return lambda frame: _bits(file.pixels, frame * rows * columns, rows, columns)
    elif file.transfer_syntax == _DEFLATED_FRAMES:
        return _deflated(file, rows, columns, bits)
    if bits == 1:
        raise InputError(
            f"{file.path} has single bits encoded as {file.transfer_syntax}, which can't be read; export it uncompressed."
        )
    values = integer_frames(file, (frames, rows, columns), bits)
    return lambda frame: values[frame]


def _bits(packed: bytes | memoryview, first: int, rows: int, columns: int) -> np.ndarray:
    """Frame of single bits, the lowest of each byte first, from bit `first` on; frames need not begin with a byte."""
    start, count = first // 8, rows * columns
    some = np.frombuffer(packed, np.uint8, -(-(first + count) // 8) - start, start)
    skip = first - 8 * start
    return np.unpackbits(some, bitorder="little")[skip : skip + count].reshape(rows, columns).astype(bool)


def _deflated(file: DicomFile, rows: int, columns: int, bits: int) -> Callable[[int], np.ndarray]:
    parts = compressed_frames(file)

    def frame(number: int) -> np.ndarray:
        try:
            content = zlib.decompressobj(-15).decompress(parts[number], rows * columns * bits // 8 + 1)
        except zlib.error as error:
            raise InputError(f"{file.path} is damaged within frame {number + 1}; copy or export it again.") from error
        if len(content) * 8 < rows * columns * bits:
            raise InputError(f"{file.path} is cut off within frame {number + 1}; copy or export it again.")
        if bits == 1:
            return _bits(content, 0, rows, columns)
        return np.frombuffer(content, f"<u{bits // 8}", rows * columns).reshape(rows, columns)

    return frame
