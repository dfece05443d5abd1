"""DICOM files written by hand, element by element (explicit VR, little endian), so that each can be left out or wrong."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

CT, ENHANCED_CT, STRUCTURE_SET = (f"1.2.840.10008.5.1.4.1.1.{kind}" for kind in ("2", "2.1", "481.3"))
SEG, LABEL_MAP_SEG = (f"1.2.840.10008.5.1.4.1.1.{kind}" for kind in ("66.4", "66.7"))
EXPLICIT, RLE = "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.5"
INTERCEPT = -1024
Elements = dict[tuple[int, int], tuple[str, object]]
PIXELS = (0x7FE0, 0x0010)
_LONG = ("OB", "OW", "SQ", "UC", "UN", "UT")


def element(tag: tuple[int, int], vr: str, value: object) -> bytes:
    """One element; a list of element dicts is a sequence, a list of bytes are the fragments of packed pixels."""
    if vr == "SQ":
        items = [_content(item) for item in value]  # type: ignore[attr-defined]
        body = b"".join(struct.pack("<HHI", 0xFFFE, 0xE000, len(item)) + item for item in items)
    elif isinstance(value, list):
        parts = [part + b"\0" * (len(part) % 2) for part in (b"", *value)]
        body = b"".join(struct.pack("<HHI", 0xFFFE, 0xE000, len(part)) + part for part in parts)
        body += struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)
        return struct.pack("<HH2sHI", *tag, vr.encode(), 0, 0xFFFFFFFF) + body
    elif vr == "US":
        body = b"".join(struct.pack("<H", one) for one in (value if isinstance(value, tuple) else (value,)))
    else:
        body = value if isinstance(value, bytes) else str(value).encode()
        body += b" " * (len(body) % 2) if vr not in ("OB", "OW") else b"\0" * (len(body) % 2)
    if vr in _LONG:
        return struct.pack("<HH2sHI", *tag, vr.encode(), 0, len(body)) + body
    return struct.pack("<HH2sH", *tag, vr.encode(), len(body)) + body


def _content(elements: Elements) -> bytes:
    return b"".join(element(tag, *elements[tag]) for tag in sorted(elements))


def write_dicom(path: Path, elements: Elements, syntax: str = EXPLICIT) -> Path:
    """A file of these elements with its preamble and meta group."""
    path.parent.mkdir(parents=True, exist_ok=True)
    uid = elements.get((0x0008, 0x0016))
    meta = (element((2, 2), "UI", uid[1]) if uid else b"") + element((2, 0x10), "UI", syntax)
    head = bytes(128) + b"DICM" + element((2, 0), "UL", struct.pack("<I", len(meta))) + meta
    path.write_bytes(head + _content(elements))
    return path


def slice_elements(hu: np.ndarray, position: Sequence[float], series: str = "1.2.3") -> Elements:
    """A CT slice of HU (rows, columns) with pixels of 3 mm at a position."""
    return _image(hu, series) | {
        (0x0008, 0x0016): ("UI", CT),
        (0x0018, 0x0050): ("DS", "5"),
        (0x0020, 0x0032): ("DS", "\\".join(f"{value:.10g}" for value in position)),
        (0x0020, 0x0037): ("DS", "1\\0\\0\\0\\1\\0"),
        (0x0028, 0x0030): ("DS", "3\\3"),
        (0x0028, 0x1052): ("DS", str(INTERCEPT)),
        (0x0028, 0x1053): ("DS", "1"),
    }


def _image(hu: np.ndarray, series: str) -> Elements:
    return {
        (0x0008, 0x0060): ("CS", "CT"),
        (0x0020, 0x000E): ("UI", series),
        (0x0028, 0x0002): ("US", 1),
        (0x0028, 0x0004): ("CS", "MONOCHROME2"),
        (0x0028, 0x0010): ("US", hu.shape[-2]),
        (0x0028, 0x0011): ("US", hu.shape[-1]),
        (0x0028, 0x0100): ("US", 16),
        (0x0028, 0x0101): ("US", 16),
        (0x0028, 0x0102): ("US", 15),
        (0x0028, 0x0103): ("US", 0),
        PIXELS: ("OW", (hu.astype(np.int32) - INTERCEPT).astype("<u2").tobytes()),
    }


def write_slices(
    folder: Path, hu: np.ndarray, positions: Sequence[Sequence[float]], change: Callable | None = None, **more: str
) -> Path:
    """A series, one file per slice of HU (slices, rows, columns); `change(number, elements)` may alter each."""
    for number, (part, position) in enumerate(zip(hu, positions, strict=True)):
        elements = slice_elements(part, position, **more)
        if change:
            change(number, elements)
        write_dicom(folder / f"{number:03d}.dcm", elements)
    return folder


def enhanced_elements(hu: np.ndarray, order: Sequence[int], spacing_mm: float = 5.0) -> Elements:
    """A multi-frame CT of the slices `order` of HU (slices, rows, columns), in that order, each at its own position."""
    measures: Elements = {(0x0018, 0x0050): ("DS", "5"), (0x0028, 0x0030): ("DS", "3\\3")}
    rescale: Elements = {(0x0028, 0x1052): ("DS", str(INTERCEPT)), (0x0028, 0x1053): ("DS", "1")}
    shared: Elements = {
        (0x0020, 0x9116): ("SQ", [{(0x0020, 0x0037): ("DS", "1\\0\\0\\0\\1\\0")}]),
        (0x0028, 0x9110): ("SQ", [measures]),
        (0x0028, 0x9145): ("SQ", [rescale]),
    }
    frames = [
        {(0x0020, 0x9113): ("SQ", [{(0x0020, 0x0032): ("DS", f"0\\0\\{spacing_mm * index:.10g}")}])} for index in order
    ]
    return _image(hu[list(order)], "1.2.4") | {
        (0x0008, 0x0016): ("UI", ENHANCED_CT),
        (0x0028, 0x0008): ("IS", str(len(order))),
        (0x5200, 0x9229): ("SQ", [shared]),
        (0x5200, 0x9230): ("SQ", frames),
    }


def rle(values: np.ndarray) -> bytes:
    """Pixels (rows, columns) uint16 as RLE of PS3.5 annex G, in literal runs."""
    segments = []
    for plane in ((values >> 8).astype(np.uint8).tobytes(), (values & 255).astype(np.uint8).tobytes()):
        runs = [plane[at : at + 128] for at in range(0, len(plane), 128)]
        segments.append(b"".join(bytes([len(run) - 1]) + run for run in runs))
    offsets = [64, 64 + len(segments[0])]
    return struct.pack("<16I", 2, *offsets, *[0] * 13) + b"".join(segments)
