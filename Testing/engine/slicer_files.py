"""`.seg.nrrd` and DICOM files as other programs leave them, written byte by byte: no part of the product writes these."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path

import numpy as np
from UNetSegmenterLib.engine.io.geometry import Geometry

SEG, RTSTRUCT, CT = "1.2.840.10008.5.1.4.1.1.66.4", "1.2.840.10008.5.1.4.1.1.481.3", "1.2.840.10008.5.1.4.1.1.2"
DOSE = "1.2.840.10008.5.1.4.1.1.481.2"


def seg_nrrd(path, array, geometry, segments, extra=None, leave_out=()):
    """Write `array` (slices, rows, columns), or (layers, ...) of them; segments: {number: (name, label value, layer)}."""
    layered = array.ndim == 4
    affine = geometry.affine_lps()
    axes = [f"({','.join(repr(float(value)) for value in affine[:3, axis])})" for axis in range(3)]
    sizes = [*([len(array)] if layered else []), *array.shape[::-1][:3]]
    lines = [
        "NRRD0004",
        "type: unsigned char",
        f"dimension: {len(sizes)}",
        "space: left-posterior-superior",
        f"sizes: {' '.join(map(str, sizes))}",
        f"space directions: {' '.join((['none'] if layered else []) + axes)}",
        f"kinds: {' '.join((['list'] if layered else []) + ['domain'] * 3)}",
        "encoding: gzip",
        f"space origin: ({','.join(repr(float(value)) for value in geometry.origin_lps)})",
        "Segmentation_MasterRepresentation:=Binary labelmap",
    ]
    for number, (name, value, layer) in segments.items():
        extent = " ".join(f"0 {size - 1}" for size in geometry.shape[::-1])
        entry = {"ID": f"Segment_{number}", "Name": name, "LabelValue": value, "Layer": layer, "Extent": extent}
        lines += [f"Segment{number}_{key}:={text}" for key, text in entry.items() if key not in leave_out]
    lines += [f"{key}:={text}" for key, text in (extra or {}).items()]
    voxels = np.moveaxis(array, 0, -1) if layered else array
    Path(path).write_bytes("\n".join(lines).encode() + b"\n\n" + gzip.compress(np.ascontiguousarray(voxels).tobytes()))


def cropped(path, labels, geometry, segments):
    """As Slicer saves by default: the box of what is drawn, and in the header the grid that it was drawn on."""
    places = np.argwhere(labels)
    low, high = places.min(axis=0), places.max(axis=0) + 1
    origin = tuple(float(value) for value in (geometry.affine_lps() @ [*low[::-1], 1.0])[:3])
    box = Geometry(tuple(int(n) for n in high - low), geometry.spacing_mm, origin, geometry.direction)
    ras = np.diag([-1.0, -1.0, 1.0, 1.0]) @ geometry.affine_lps()
    numbers = [
        *(f"{value:.17g}" for value in ras.flatten()),
        *(str(n) for s in geometry.shape[::-1] for n in (0, s - 1)),
    ]
    header = {
        "Segmentation_ConversionParameters": "Smoothing factor|0.5|How smooth.&Reference image geometry|"
        + "".join(f"{number};" for number in numbers)
        + "|Image geometry description string.&",
        "Segmentation_ReferenceImageExtentOffset": " ".join(str(int(n)) for n in low[::-1]),
    }
    inside = labels[tuple(slice(a, b) for a, b in zip(low, high, strict=True))]
    seg_nrrd(path, inside, box, segments, header)


def dicom_of_class(path, uid):
    """The first bytes of a DICOM file of this SOP class: preamble and file meta information (PS3.10)."""

    def element(number, kind, content):
        content += b"\0" * (len(content) % 2)
        length = struct.pack("<HI", 0, len(content)) if kind == b"OB" else struct.pack("<H", len(content))
        return struct.pack("<HH", 2, number) + kind + length + content

    meta = element(1, b"OB", b"\0\1") + element(2, b"UI", uid.encode()) + element(3, b"UI", b"1.2.3.4")
    meta += element(16, b"UI", b"1.2.840.10008.1.2.1")
    Path(path).write_bytes(b"\0" * 128 + b"DICM" + element(0, b"UL", struct.pack("<I", len(meta))) + meta)
