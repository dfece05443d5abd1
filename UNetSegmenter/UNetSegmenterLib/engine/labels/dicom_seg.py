"""DICOM segmentations (modality SEG) of every kind: single bits, fractions and label maps (PS3.3, A.51 and C.8.20)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import InputError
from ..io.dicom_file import DicomFile, read_dicom_file
from ..io.dicom_frames import FramePosition, frame_positions, grid_from, in_order, way_between
from ..io.dicom_label_pixels import label_frames
from ..io.dicom_tags import (
    FRACTIONAL_MAXIMUM,
    FRAME_OF_REFERENCE,
    LAB_COLOR,
    PADDING,
    SEGMENT_LABEL,
    SEGMENT_NUMBER,
    SEGMENTATION_TYPE,
    SEGMENTS,
)
from ..io.file_names import file_stem
from ..io.geometry import Geometry
from ..io.resampling import straight_geometry
from ..io.slice_positions import numbered_positions
from ..io.volume import SeriesIdentity
from .dicom_codes import color_of, segment_name, terminology_of
from .dicom_references import named_series
from .label_values import MAX_STRUCTURES
from .segmentation import Canvas, Segmentation, resample_segmentation
from .structures import Structure, refuse_two_spellings

_KINDS = ("BINARY", "FRACTIONAL", "LABELMAP")


def read_dicom_seg(path: Path, grid: Geometry | None = None, resample: bool = False) -> Segmentation:
    """The segments of a file, on the grid of their frames.

    Frames without labels are usually left out, so that the grid may end anywhere (`Segmentation.with_known_grid`). A fraction
    counts from one half on.

    Args:
        path: the file.
        grid: the grid of the scan if it is known; its slice distance is taken if the file gives none.
        resample: resample sheared frames to a straight grid instead of refusing them.

    Raises:
        InputError: the file is damaged, has no frame of reference, contradicts itself, or its frames are on no even grid.
    """
    file = read_dicom_file(path, pixels=True)
    if file is None:
        raise InputError(f"{path} is no DICOM file; copy or export it again.")
    kind = file.elements.get(SEGMENTATION_TYPE, "")
    if kind not in _KINDS:
        raise InputError(f'{path} is a segmentation of the type "{kind}"; {", ".join(_KINDS)} can be read.')
    if not file.elements.get(FRAME_OF_REFERENCE):
        raise InputError(
            f"{path} names no frame of reference (FrameOfReferenceUID), so its position in the patient is not known; export it "
            "again."
        )
    structures = _structures(file)
    frames = frame_positions(file)
    layout = _layout(path, frames, grid, resample)
    canvas = Canvas(layout.geometry.shape)
    indices = {structure.values[0]: structure.index for structure in structures}
    for number, index, mask in _masks(file, kind, frames, layout.numbers, indices):
        canvas.paint(number, index, mask)
    found = Segmentation(
        canvas.labels,
        layout.geometry,
        structures,
        file_stem(path),
        overlaps=canvas.overlaps(),
        notes=_notes(file, kind),
        grid_is_complete=False,
        drawn_on=SeriesIdentity(named_series(file), file.elements[FRAME_OF_REFERENCE]),
    )
    straight = straight_geometry(found.geometry)
    return found if straight is found.geometry else resample_segmentation(found, straight)


@dataclass(frozen=True)
class _Layout:
    """The grid of some frames, and the number of the slice that each frame, in the file's order, shows."""

    geometry: Geometry
    numbers: np.ndarray


def _layout(path: Path, frames: list[FramePosition], grid: Geometry | None, resample: bool) -> _Layout:
    ordered, normal = in_order(path, frames)
    positions_mm = np.array([frame.position @ normal for frame in ordered])
    between, thickness = ordered[0].distances_mm
    distances = [between]
    if grid is not None and (not thickness or abs(thickness - grid.spacing_mm[0]) < 0.1 * grid.spacing_mm[0]):
        distances.append(grid.spacing_mm[0])
    if np.ptp(positions_mm) < 1e-3:
        distances.append(thickness)
    numbers, spacing_mm = numbered_positions(path, positions_mm, distances)
    way = way_between(path, ordered, positions_mm, normal, resample)
    geometry = grid_from(path, ordered[0], way, spacing_mm, int(numbers.max()) + 1)
    by_frame = np.empty(len(frames), int)
    by_frame[[frame.frame for frame in ordered]] = numbers
    return _Layout(geometry, by_frame)


def _masks(
    file: DicomFile, kind: str, frames: Sequence[FramePosition], numbers: np.ndarray, indices: dict[int, int]
) -> Iterator[tuple[int, int, np.ndarray]]:
    """Slice, structure index and mask of what the frames show, by slice and, in a slice, by structure index."""
    pixels = label_frames(file)
    if kind == "LABELMAP":
        yield from _label_map_masks(file, pixels, numbers, indices)
        return
    if unknown := {frame.segment for frame in frames} - set(indices):
        raise InputError(
            f"{file.path} contradicts itself: frames show segment {min(unknown)}, which it does not describe; export it again."
        )
    order = sorted(range(len(frames)), key=lambda frame: (numbers[frame], indices[frames[frame].segment]))
    maximum = file.number(FRACTIONAL_MAXIMUM, 255) if kind == "FRACTIONAL" else 1
    for frame in order:
        values = pixels(frame)
        mask = values if values.dtype == bool else values >= max(1, (maximum + 1) // 2)
        yield int(numbers[frame]), indices[frames[frame].segment], mask


def _label_map_masks(
    file: DicomFile, pixels: Callable[[int], np.ndarray], numbers: np.ndarray, indices: dict[int, int]
) -> Iterator[tuple[int, int, np.ndarray]]:
    background = {0, file.number(PADDING)} - set(indices)
    for frame, number in enumerate(numbers):
        values = pixels(frame)
        for value in np.unique(values):
            if int(value) in background:
                continue
            if int(value) not in indices:
                raise InputError(
                    f"{file.path} contradicts itself: it holds segment {value}, which it does not describe; export it again."
                )
            yield int(number), indices[int(value)], values == value


def _structures(file: DicomFile) -> tuple[Structure, ...]:
    segments = [segment for segment in file.elements.get(SEGMENTS, []) if segment.get(SEGMENT_NUMBER, 0)]
    numbers = [segment[SEGMENT_NUMBER] for segment in segments]
    if not segments or len(set(numbers)) < len(numbers):
        what = f"two segments of the number {max(numbers, key=numbers.count)}" if segments else "no segment"
        raise InputError(f"{file.path} describes {what}; export it again.")
    if len(segments) > MAX_STRUCTURES:
        raise InputError(f"{file.path} holds {len(segments)} segments; at most {MAX_STRUCTURES} are expected.")
    structures = tuple(_structure(file, segment, index) for index, segment in enumerate(segments, start=1))
    refuse_two_spellings([structure.name for structure in structures], file.path)
    return structures


def _structure(file: DicomFile, segment: dict[int, Any], index: int) -> Structure:
    number = segment[SEGMENT_NUMBER]
    terminology = terminology_of(file, segment)
    name = segment_name(file.words(segment, SEGMENT_LABEL), terminology, number)
    return Structure(name, index, (number,), color_of(segment.get(LAB_COLOR), name, index), terminology)


def _notes(file: DicomFile, kind: str) -> tuple[str, ...]:
    if kind != "FRACTIONAL":
        return ()
    return (f"{file.path.name} holds fractions; voxels count to a segment from one half on.",)
