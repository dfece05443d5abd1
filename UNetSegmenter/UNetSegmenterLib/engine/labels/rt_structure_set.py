"""DICOM structure sets (modality RTSTRUCT): contours on slices, as labels on the grid of a scan (PS3.3, C.8.8.5 and C.8.8.6)."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..counting import counted
from ..errors import InputError
from ..io.dicom_file import DicomFile, read_dicom_file
from ..io.dicom_tags import (
    CONTOUR_DATA,
    CONTOUR_POINTS,
    CONTOUR_TYPE,
    CONTOURS,
    FRAME_OF_REFERENCE,
    REFERENCED_FRAMES,
    REFERENCED_ROI,
    ROI_CODES,
    ROI_COLOR,
    ROI_CONTOURS,
    ROI_FRAME_OF_REFERENCE,
    ROI_NAME,
    ROI_NUMBER,
    ROI_OBSERVATIONS,
    ROIS,
)
from ..io.file_names import file_stem
from ..io.geometry import Geometry
from ..io.volume import SeriesIdentity
from .contours import rasterised, without_repeats
from .dicom_codes import coded_terminology, segment_name
from .dicom_references import grid_of_series_beside, named_series
from .label_values import MAX_STRUCTURES
from .segmentation import Canvas, Segmentation
from .structures import Structure, known_structure, refuse_two_spellings

_CLOSED = ("CLOSED_PLANAR", "CLOSEDPLANAR_XOR")
_SAME_PLANE, _ROUNDED = 0.1, 1e-6
"""Points and planes this close (in slices) lie in one plane; differences of rounding are less than the second."""


@dataclass(frozen=True)
class _Region:
    """A region of interest: its structure, and its contours as points (n, 3) in LPS mm."""

    structure: Structure
    contours: list[np.ndarray]


def read_structure_set(path: Path, grid: Geometry | None = None, resample: bool = False) -> Segmentation:
    """The regions of interest of a file as structures on a grid.

    A pixel belongs to a region if its centre lies inside its contours by the even-odd rule, or on one of them. Each slice takes
    the contours of the nearest plane, if that lies within half the distance of the contours' planes.

    Args:
        path: the file.
        grid: the grid of the scan; without it that of the series which the file names and which lies beside it.
        resample: the series beside may be resampled to a straight grid, as its scan is.

    Raises:
        InputError: the file is damaged, no grid is known, or no contour lies on it.
    """
    file = read_dicom_file(path)
    if file is None:
        raise InputError(f"{path} is no DICOM file; copy or export it again.")
    drawn_on = _drawn_on(file)
    if not drawn_on.frame_of_reference_uid:
        raise InputError(
            f"{path} names no frame of reference (FrameOfReferenceUID), so its position in the patient is not known; export it "
            "again."
        )
    regions, notes = _regions(file)
    grid = grid or grid_of_series_beside(path, drawn_on.series_uid, resample)
    if grid is None:
        raise InputError(
            f"{path} is a DICOM structure set: its contours need the grid of their scan, which is not beside it; give the scan "
            "(--scan), or copy its series into a folder beside the file."
        )
    canvas = Canvas(grid.shape)
    to_index = np.linalg.inv(grid.affine_lps())
    for region in regions:
        planes, more = _planes(region, to_index)
        notes += more
        notes += _paint(canvas, region.structure, planes)
    if not canvas.labels.any():
        raise InputError(
            f"{path} has no contour on the slices of the scan ({grid.grid_text()}); choose the scan that it was drawn on."
        )
    structures = tuple(region.structure for region in regions)
    return Segmentation(
        canvas.labels,
        grid,
        structures,
        file_stem(path),
        overlaps=canvas.overlaps(),
        notes=tuple(f"{path.name}: {note}" for note in notes),
        drawn_on=drawn_on,
    )


# --- the file ------------------------------------------------------------------------------------------------------------


def _drawn_on(file: DicomFile) -> SeriesIdentity:
    """The one series that the file refers to, and the frame of reference of its regions; empty where there are several."""
    referenced = file.elements.get(REFERENCED_FRAMES, [])
    frames = {roi.get(ROI_FRAME_OF_REFERENCE, "") for roi in file.elements.get(ROIS, [])} - {""}
    if len(frames) > 1:
        raise InputError(
            f"{file.path} has regions in {len(frames)} frames of reference; export those of one scan alone."
        )
    frames = frames or {item.get(FRAME_OF_REFERENCE, "") for item in referenced}
    own = file.elements.get(FRAME_OF_REFERENCE, "")
    return SeriesIdentity(named_series(file), frames.pop() if len(frames) == 1 else own)


def _regions(file: DicomFile) -> tuple[list[_Region], list[str]]:
    """The regions that have a closed contour, and notes on what was left out."""
    drawn = {item.get(REFERENCED_ROI, ""): item for item in file.elements.get(ROI_CONTOURS, [])}
    codes = {item.get(REFERENCED_ROI, ""): item.get(ROI_CODES, []) for item in file.elements.get(ROI_OBSERVATIONS, [])}
    regions: list[_Region] = []
    others: Counter[str] = Counter()
    empty: list[str] = []
    for roi in file.elements.get(ROIS, []):
        number = roi.get(ROI_NUMBER, "")
        contours = drawn.get(number, {}).get(CONTOURS, [])
        kinds = [contour.get(CONTOUR_TYPE, "") for contour in contours]
        others.update(kind for kind in kinds if kind not in _CLOSED)
        closed = [_points(file, one) for one, kind in zip(contours, kinds, strict=True) if kind in _CLOSED]
        terminology = coded_terminology(file, codes.get(number, []))
        name = segment_name(file.words(roi, ROI_NAME), terminology, int(number) if number.isdigit() else 0)
        if not closed:
            empty.append(name)
            continue
        structure = known_structure(name, len(regions) + 1, int(number) if number.isdigit() else len(regions) + 1)
        color = _color(drawn[number].get(ROI_COLOR, "")) or structure.color
        terminology = terminology or structure.terminology
        regions.append(_Region(Structure(name, structure.index, structure.values, color, terminology), closed))
    if not regions:
        raise InputError(
            f"{file.path} has no region with a closed contour (CLOSED_PLANAR); export it with its contours."
        )
    if len(regions) > MAX_STRUCTURES:
        raise InputError(f"{file.path} holds {len(regions)} regions; at most {MAX_STRUCTURES} are expected.")
    refuse_two_spellings([region.structure.name for region in regions], file.path)
    notes = [f"{count} contours of the type {kind or 'unknown'} were left out." for kind, count in others.items()]
    if empty:
        notes.append(f"regions without a closed contour were left out: {', '.join(empty)}.")
    return regions, notes


def _points(file: DicomFile, contour: dict[int, Any]) -> np.ndarray:
    """Points (n, 3) in LPS mm."""
    try:
        values = np.array(contour.get(CONTOUR_DATA, "").split("\\"), float)
        announced = int(contour.get(CONTOUR_POINTS, len(values) // 3))
    except ValueError:
        values, announced = np.empty(0), -1
    if len(values) != 3 * announced or not announced or not np.isfinite(values).all():
        raise InputError(f"{file.path} is damaged: a contour's points are no list of x, y and z; export it again.")
    return values.reshape(-1, 3)


def _color(text: str) -> tuple[int, int, int] | None:
    parts = [part.strip() for part in text.split("\\")]
    if len(parts) != 3 or not all(part.isdigit() and int(part) <= 255 for part in parts):
        return None
    red, green, blue = map(int, parts)
    return red, green, blue


# --- planes --------------------------------------------------------------------------------------------------------------


def _planes(region: _Region, to_index: np.ndarray) -> tuple[dict[float, list[np.ndarray]], list[str]]:
    """Contours (n, 2) in columns and rows, by the position of their plane in slices, and a note on those across slices."""
    planes: dict[float, list[np.ndarray]] = {}
    across = 0
    for points in region.contours:
        index = points @ to_index[:3, :3].T + to_index[:3, 3]
        if np.ptp(index[:, 2]) > 2 * _SAME_PLANE:
            across += 1
            continue
        at = float(index[:, 2].mean())
        plane = next((one for one in planes if abs(one - at) <= _SAME_PLANE), at)
        planes.setdefault(plane, []).append(index[:, :2])
    if not across:
        return planes, []
    return planes, [f"{across} contours of {region.structure.name} run across the slices and were left out."]


def _paint(canvas: Canvas, structure: Structure, planes: dict[float, list[np.ndarray]]) -> list[str]:
    """Draw a region slice by slice; returns notes on planes that are no slices."""
    if not planes:
        return []
    at = np.array(sorted(planes))
    step = _step(at)
    slices = canvas.labels.shape[0]
    masks: dict[float, np.ndarray] = {}
    used: dict[int, float] = {}
    for number in range(max(0, int(np.ceil(at[0] - step / 2))), min(slices - 1, int(np.floor(at[-1] + step / 2))) + 1):
        nearest = float(at[np.abs(at - number).argmin()])
        if -step / 2 - _ROUNDED <= nearest - number < step / 2 - _ROUNDED:  # of two slices as far away, the upper one
            used[number] = nearest
    for number, plane in used.items():
        if plane not in masks:
            masks = {plane: rasterised(without_repeats(planes[plane]), canvas.labels.shape[1:])}
        canvas.paint(number, structure.index, masks[plane])
    return _plane_notes(structure.name, at, step, used, slices)


def _step(at: np.ndarray) -> float:
    """Thickness in slices of what a plane stands for: the distance of planes if most are equally far apart, at least 1."""
    gaps = np.diff(at)
    if len(gaps) < 2:
        return 1.0
    smallest = float(gaps.min())
    regular = np.count_nonzero(gaps < 1.1 * smallest) >= len(gaps) / 2
    return max(1.0, smallest) if regular else 1.0


def _plane_notes(name: str, at: np.ndarray, step: float, used: dict[int, float], slices: int) -> list[str]:
    notes = []
    beyond = int(np.count_nonzero((at < -0.5) | (at > slices - 0.5)))
    if beyond:
        notes.append(f"{beyond} of {counted(len(at), 'plane')} of {name} lie outside of the scan.")
    if step > 1.5:
        notes.append(f"the planes of {name} lie {step:.3g} slices apart; each slice took the nearest one.")
    off = max((abs(plane - number) for number, plane in used.items()), default=0.0)
    if off > _SAME_PLANE and step <= 1.5:
        notes.append(
            f"planes of {name} lie up to {off:.2g} slices off the scan's slices; each slice took the nearest one."
        )
    return notes
