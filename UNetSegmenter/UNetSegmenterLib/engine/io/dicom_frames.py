"""The frames of a DICOM file: position, direction and pixel size of each, and their order in the patient."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..errors import InputError
from .dicom_file import DicomFile
from .dicom_pixels import frames_of
from .dicom_tags import (
    BETWEEN,
    COLUMNS,
    FRAME_GROUPS,
    FRAME_PARTS,
    FRAME_SEGMENT,
    INTERCEPT,
    ORIENTATION,
    PIXEL_SPACING,
    POSITION,
    ROWS,
    SHARED_GROUPS,
    SLOPE,
    THICKNESS,
)
from .geometry import SHEAR_MM, Geometry, sizes_text
from .header_geometry import check_spacing, header_geometry
from .image_header import quoted


@dataclass(frozen=True, kw_only=True)
class FramePosition:
    """Position of a slice: direction cosines (6,), position (3,) LPS in mm, size of its pixels (row, column) in mm.

    `distances_mm` are the distances to the next slice that the header gives, the thickness last. `segment` is the number of the
    segment that a frame of a segmentation shows, 0 if the file does not say.
    """

    file: Path
    frame: int
    frames: int
    size: tuple[int, int]
    orientation: np.ndarray
    position: np.ndarray
    pixel_mm: np.ndarray
    scale: tuple[float, float]
    distances_mm: tuple[float, ...]
    segment: int = 0

    @property
    def name(self) -> str:
        """Name of the slice in messages."""
        return self.file.name if self.frames == 1 else f"frame {self.frame + 1} of {self.file.name}"


def frame_positions(file: DicomFile) -> list[FramePosition]:
    """One slice per frame; elements of a frame or of all frames of a multi-frame file override those of the file."""
    frames = frames_of(file)
    shared = _parts(file.elements.get(SHARED_GROUPS, []))
    own = file.elements.get(FRAME_GROUPS, [])
    if own and len(own) != frames:
        raise InputError(
            f"{file.path} contradicts itself: it announces {frames} frames and describes {len(own)}; export it again."
        )
    each = [file.elements | shared | _parts(own[frame : frame + 1]) for frame in range(frames)]
    return [_slice(file, frame, frames, elements) for frame, elements in enumerate(each)]


def _parts(items: list[dict]) -> dict:
    """The elements of a frame's functional groups, taken out of the sequences that hold them."""
    found: dict = {}
    for item in items:
        for tag in FRAME_PARTS:
            for part in item.get(tag, []):
                found |= part
    return found


def _slice(file: DicomFile, frame: int, frames: int, elements: dict) -> FramePosition:
    where = f"Frame {frame + 1} of {file.path}" if frames > 1 else f"{file.path}"
    orientation = _numbers(where, elements, ORIENTATION, 6, "direction (ImageOrientationPatient)")
    position = _numbers(where, elements, POSITION, 3, "position in the patient (ImagePositionPatient)")
    pixel_mm = _numbers(where, elements, PIXEL_SPACING, 2, "pixel size (PixelSpacing)")
    check_spacing(file.path, pixel_mm.tolist(), "PixelSpacing")
    lengths = np.linalg.norm(orientation.reshape(2, 3), axis=1)
    if not np.allclose(lengths, 1, atol=0.01) or abs(orientation[:3] @ orientation[3:]) > 0.01:
        raise InputError(f"{where} has directions that are no right angle of length 1; export the series again.")
    orientation = (orientation.reshape(2, 3) / lengths[:, None]).reshape(6)
    slope, intercept = (_number(where, elements, tag, default) for tag, default in ((SLOPE, 1.0), (INTERCEPT, 0.0)))
    return FramePosition(
        file=file.path,
        frame=frame,
        frames=frames,
        size=(file.number(ROWS), file.number(COLUMNS)),
        orientation=orientation,
        position=position,
        pixel_mm=pixel_mm,
        scale=(slope or 1.0, intercept),
        distances_mm=tuple(_number(where, elements, tag, 0.0) for tag in (BETWEEN, THICKNESS)),
        segment=elements.get(FRAME_SEGMENT, 0),
    )


def _numbers(where: str, elements: dict, tag: int, count: int, what: str) -> np.ndarray:
    text = " ".join(elements.get(tag, "").split())
    if not text:
        raise InputError(f"{where} has no {what}; export the series again.")
    try:
        values = np.array([float(part) for part in text.split("\\")])
    except ValueError:
        values = np.empty(0)
    if len(values) != count or not np.isfinite(values).all():
        raise InputError(
            f'{where} has "{quoted(text)}" as its {what}; {count} numbers are expected: export the series again.'
        )
    return values


def _number(where: str, elements: dict, tag: int, default: float) -> float:
    text = elements.get(tag, "")
    return float(_numbers(where, elements, tag, 1, f"number {tag:08x}")[0]) if text else default


def in_order(path: Path, slices: list[FramePosition]) -> tuple[list[FramePosition], np.ndarray]:
    """Slices in order along their normal, and the normal (3,), LPS; InputError unless direction and pixels of all agree."""
    first = slices[0]
    for part in slices:
        if np.abs(part.orientation - first.orientation).max() > 1e-3:
            raise InputError(
                f"{path} has slices of different directions, a localiser perhaps ({first.name}, {part.name}); keep the axial "
                "series alone."
            )
        if np.abs(part.pixel_mm - first.pixel_mm).max() > 1e-3:
            mm = [sizes_text(one.pixel_mm, ".6g") for one in (first, part)]
            raise InputError(
                f"{path} has slices of different pixel sizes, two scans perhaps ({first.name} {mm[0]} mm, {part.name} "
                f"{mm[1]} mm); keep the series of one of them."
            )
        if part.size != first.size:
            raise InputError(
                f"{path} has slices that differ in size ({first.name} {first.size[1]} x {first.size[0]}, {part.name} "
                f"{part.size[1]} x {part.size[0]} pixels); keep the series of one of them."
            )
    normal = np.cross(first.orientation[:3], first.orientation[3:])
    normal /= np.linalg.norm(normal)
    return sorted(slices, key=lambda part: (float(part.position @ normal), part.file.name, part.frame)), normal


def way_between(
    path: Path, slices: list[FramePosition], positions_mm: np.ndarray, normal: np.ndarray, resample: bool
) -> np.ndarray:
    """The way from slice to slice, for one mm along the normal: the normal itself, or oblique where the gantry was tilted.

    Raises InputError where slices shift sideways and `resample` was not asked for, or not all alike.
    """
    sideways = np.array([part.position - at * normal for part, at in zip(slices, positions_mm, strict=True)])
    sideways -= sideways[0]
    shift_mm = float(np.linalg.norm(sideways, axis=1).max())
    if shift_mm <= SHEAR_MM:
        return normal
    if not resample:
        raise InputError(
            f"{path} has slices that shift sideways, {shift_mm:.1f} mm in all (a tilted gantry): the voxels are sheared; "
            "resample them to a straight grid, by --resample on the command line, or load them in 3D Slicer, which does so."
        )
    way = sideways[-1] / (positions_mm[-1] - positions_mm[0])
    irregular = float(np.linalg.norm(sideways - np.outer(positions_mm - positions_mm[0], way), axis=1).max())
    if irregular > SHEAR_MM:
        raise InputError(
            f"{path} has slices that shift sideways, each in its own way (up to {irregular:.1f} mm off one line): two scans, "
            "it seems; keep one of them."
        )
    return normal + way


def grid_from(path: Path, first: FramePosition, way: np.ndarray, spacing_mm: float, slices: int) -> Geometry:
    """The grid of even slices from the first one on; `way` leads to the next slice, for one mm along the normal."""
    affine = np.eye(4)
    affine[:3, 0] = first.orientation[:3] * first.pixel_mm[1]
    affine[:3, 1] = first.orientation[3:] * first.pixel_mm[0]
    affine[:3, 2] = way * spacing_mm
    affine[:3, 3] = first.position
    rows, columns = first.size
    spacing = (first.pixel_mm[1], first.pixel_mm[0], spacing_mm)
    return header_geometry(path, (columns, rows, slices), affine, spacing)
