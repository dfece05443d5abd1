"""DICOM segmentations and structure sets written by hand: frames in any order, groups of a frame or of all, any encoding."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from UNetSegmenterLib.engine.io.geometry import Geometry

from .dicom_files import EXPLICIT, LABEL_MAP_SEG, SEG, STRUCTURE_SET, Elements, write_dicom

FRAME, SERIES = "1.2.9", "1.2.3"
LIVER, KIDNEY, LEFT = ("10200004", "Liver"), ("64033007", "Kidney"), ("7771000", "Left")


def numbers(values: Iterable[float]) -> str:
    """Numbers as DICOM's decimal strings."""
    return "\\".join(f"{value:.12g}" for value in values)


def code(value: str, meaning: str, scheme: str = "SCT") -> Elements:
    """A coded concept."""
    return {(8, 0x100): ("SH", value), (8, 0x102): ("SH", scheme), (8, 0x104): ("LO", meaning)}


def segment(number: int, label: str, kind=None, side=None, lab=None) -> Elements:
    """A segment's description; `kind` and `side` are value and meaning of SNOMED CT codes."""
    found: Elements = {(0x62, 4): ("US", number), (0x62, 5): ("LO", label)}
    if kind:
        modifiers = {(0x62, 0x11): ("SQ", [code(*side)])} if side else {}
        found[0x62, 3] = ("SQ", [code("123037004", "Anatomical Structure")])
        found[0x62, 0xF] = ("SQ", [code(*kind) | modifiers])
    if lab:
        found[0x62, 0xD] = ("US", lab)
    return found


def packed(masks: Sequence[np.ndarray]) -> bytes:
    """Single bits of all frames one after another, the lowest bit of each byte first."""
    return np.packbits(np.stack(masks).astype(bool).reshape(-1), bitorder="little").tobytes()


def seg_elements(
    grid: Geometry,
    frames: Sequence[tuple[int, int, np.ndarray]],
    segments: Sequence[Elements],
    kind: str = "BINARY",
    bits: int = 1,
    between: bool = True,
    own_groups: bool = False,
) -> dict[tuple[int, int], Any]:
    """A segmentation of frames (slice, segment number, mask or values), in that order.

    Args:
        grid: the grid of the slices.
        frames: what the frames show.
        segments: their descriptions.
        kind: BINARY, FRACTIONAL or LABELMAP.
        bits: bits per pixel.
        between: whether the file gives the distance of slices.
        own_groups: direction and pixel size stand in each frame instead of once for all.
    """
    direction = np.asarray(grid.direction)
    measures = {(0x28, 0x30): ("DS", numbers(grid.spacing_mm[1:])), (0x18, 0x50): ("DS", numbers(grid.spacing_mm[:1]))}
    if between:
        measures[0x18, 0x88] = ("DS", numbers(grid.spacing_mm[:1]))
    common = {
        (0x20, 0x9116): ("SQ", [{(0x20, 0x37): ("DS", numbers([*direction[:, 0], *direction[:, 1]]))}]),
        (0x28, 0x9110): ("SQ", [measures]),
    }
    groups = []
    for number, shown, _ in frames:
        group: Elements = {
            (0x20, 0x9113): ("SQ", [{(0x20, 0x32): ("DS", numbers(grid.position_lps_mm((number, 0, 0))))}])
        }
        if kind != "LABELMAP":
            group[0x62, 0xA] = ("SQ", [{(0x62, 0xB): ("US", shown)}])
        groups.append(group | (common if own_groups else {}))
    values = [frame for _, _, frame in frames]
    pixels = packed(values) if bits == 1 else np.stack(values).astype(f"<u{bits // 8}").tobytes()
    return {
        (8, 5): ("CS", "ISO_IR 192"),
        (8, 0x16): ("UI", LABEL_MAP_SEG if kind == "LABELMAP" else SEG),
        (8, 0x60): ("CS", "SEG"),
        (8, 0x1115): ("SQ", [{(0x20, 0xE): ("UI", SERIES)}]),
        (0x20, 0x52): ("UI", FRAME),
        (0x28, 2): ("US", 1),
        (0x28, 4): ("CS", "MONOCHROME2"),
        (0x28, 8): ("IS", str(len(frames))),
        (0x28, 0x10): ("US", grid.shape[1]),
        (0x28, 0x11): ("US", grid.shape[2]),
        (0x28, 0x100): ("US", bits),
        (0x28, 0x101): ("US", bits),
        (0x28, 0x102): ("US", bits - 1),
        (0x28, 0x103): ("US", 0),
        (0x62, 1): ("CS", kind),
        (0x62, 2): ("SQ", list(segments)),
        (0x62, 0xE): ("US", 255),
        (0x5200, 0x9229): ("SQ", [{} if own_groups else common]),
        (0x5200, 0x9230): ("SQ", groups),
        (0x7FE0, 0x10): ("OB", pixels),
    }


def write_seg(path: Path, *arguments, syntax: str = EXPLICIT, change=None, **options) -> Path:
    """Write `seg_elements`; `change(elements)` may alter them."""
    elements = seg_elements(*arguments, **options)
    if change:
        change(elements)
    return write_dicom(path, elements, syntax)


def binary_frames(labels: np.ndarray) -> list[tuple[int, int, np.ndarray]]:
    """A frame for each slice and value of labels (slices, rows, columns) that has a pixel there."""
    return [(k, int(v), part == v) for k, part in enumerate(labels) for v in np.unique(part) if v]


def structure_set(
    path: Path, regions: dict[str, list], frame: str = FRAME, series: str = SERIES, colors: dict[str, str] | None = None
) -> Path:
    """A structure set: by name the contours of each region, points (n, 3) in LPS mm, or (kind, points)."""
    rois, drawn = [], []
    for number, (name, contours) in enumerate(regions.items(), start=4):
        rois.append({(0x3006, 0x22): ("IS", number), (0x3006, 0x24): ("UI", frame), (0x3006, 0x26): ("LO", name)})
        items = []
        for contour in contours:
            kind, points = contour if isinstance(contour, tuple) else ("CLOSED_PLANAR", contour)
            text = numbers(np.ravel(points))
            items.append(
                {
                    (0x3006, 0x42): ("CS", kind),
                    (0x3006, 0x46): ("IS", len(points)),
                    (0x3006, 0x50): ("UN", text.encode()),
                }
            )
        roi: Elements = {(0x3006, 0x84): ("IS", number), (0x3006, 0x40): ("SQ", items)}
        if colors and name in colors:
            roi[0x3006, 0x2A] = ("IS", colors[name])
        drawn.append(roi)
    referenced = [
        {
            (0x20, 0x52): ("UI", frame),
            (0x3006, 0x12): ("SQ", [{(0x3006, 0x14): ("SQ", [{(0x20, 0xE): ("UI", series)}])}]),
        }
    ]
    elements: Elements = {
        (8, 5): ("CS", "ISO_IR 192"),
        (8, 0x16): ("UI", STRUCTURE_SET),
        (8, 0x60): ("CS", "RTSTRUCT"),
        (0x3006, 0x10): ("SQ", referenced),
        (0x3006, 0x20): ("SQ", rois),
        (0x3006, 0x39): ("SQ", drawn),
    }
    return write_dicom(path, elements)
