"""A DICOM series as one volume: one series, every slice there, in the order of the patient."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..errors import InputError
from .dicom_file import (
    BETWEEN,
    COLUMNS,
    FRAME_GROUPS,
    FRAME_PARTS,
    INTERCEPT,
    MODALITY,
    ORIENTATION,
    PIXEL_SPACING,
    POSITION,
    ROWS,
    SERIES_DESCRIPTION,
    SERIES_UID,
    SHARED_GROUPS,
    SLOPE,
    SOP_CLASS,
    THICKNESS,
    DicomFile,
    read_dicom_file,
)
from .dicom_pixels import check_pixels, frames_hu, frames_of
from .geometry import SHEAR_MM, sizes_text
from .header_geometry import check_spacing, header_geometry
from .image_header import StoredImage
from .resampling import straightened
from .slice_positions import even_positions, interpolate_slices
from .volume import Note

_DICOM_ENDINGS = (".dcm", ".dicom", ".ima")
_NO_SLICES = tuple(
    f"1.2.840.10008.{kind}"
    for kind in ("1.3.10", *(f"5.1.4.1.1.{part}" for part in ("11.", "66", "88.", "104.", "481.")))
)
"""Classes of files that may lie beside slices: a DICOMDIR, presentations, segmentations and registrations, reports, documents,
radiotherapy (PS3.4, annex B.5)."""


@dataclass(frozen=True, kw_only=True)
class _SlicePosition:
    """Position of a slice: direction cosines (6,), position (3,) LPS in mm, size of its pixels (row, column) in mm.

    `distances_mm` are the distances to the next slice that the header gives, the thickness last.
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

    @property
    def name(self) -> str:
        """Name of the slice in messages."""
        return self.file.name if self.frames == 1 else f"frame {self.frame + 1} of {self.file.name}"


def read_dicom(path: Path, resample: bool = False) -> StoredImage:
    """The one series in a folder, or one multi-frame file, in HU.

    Args:
        path: the folder or the file.
        resample: resample slices that are uneven or shift sideways (a tilted gantry) to a straight, even grid; one spacing and
            direction can't describe them, so they are refused otherwise.

    Raises:
        InputError: there is no series or more than one, a slice or pixels are missing, or slices differ in size or direction.
    """
    files, notes = _image_files(path)
    slices = [part for file in files for part in _slices(file)]
    if len(slices) == 1:
        raise InputError(
            f"{path} holds one DICOM slice; a whole scan is expected: choose the folder of all its slices."
        )
    slices, normal = _in_order(path, slices)
    positions_mm = np.array([part.position @ normal for part in slices])
    names = [part.name for part in slices]
    even = even_positions(path, positions_mm, names, slices[0].distances_mm, resample)
    step = _step(path, slices, positions_mm, normal, resample)
    array = _voxels(slices)
    if even.resampled:
        array = interpolate_slices(array, positions_mm, even.positions_mm)
    first = slices[0]
    affine = np.eye(4)
    affine[:3, 0] = first.orientation[:3] * first.pixel_mm[1]
    affine[:3, 1] = first.orientation[3:] * first.pixel_mm[0]
    affine[:3, 2] = step * even.spacing_mm
    affine[:3, 3] = first.position
    rows, columns = first.size
    spacing = (first.pixel_mm[1], first.pixel_mm[0], even.spacing_mm)
    geometry = header_geometry(path, (columns, rows, len(array)), affine, spacing)
    image = StoredImage(array, geometry, (*notes, *even.notes))
    return straightened(image, labels=False) if resample else image


# --- files ---------------------------------------------------------------------------------------------------------------


def _image_files(path: Path) -> tuple[list[DicomFile], list[Note]]:
    """The files of the one series at `path`, and a note on files that were left out."""
    series: dict[str, list[DicomFile]] = {}
    others: Counter[str] = Counter()
    there = [path] if path.is_file() else sorted(file for file in path.iterdir() if file.is_file())
    for name in there:
        if name.name.startswith("."):
            continue
        file = read_dicom_file(name)
        if file is None:
            if name.suffix.lower() in _DICOM_ENDINGS:
                raise InputError(
                    f"{name} is no DICOM file ({_begins(name)}), so a slice may be lost; copy the series again."
                )
        elif file.elements.get(SOP_CLASS, "").startswith(_NO_SLICES):
            others[file.elements.get(MODALITY, "") or "DICOMDIR"] += 1
        else:
            series.setdefault(file.elements.get(SERIES_UID, ""), []).append(file)
    if not series:
        raise InputError(_no_series(path, others))
    if len(series) > 1:
        raise InputError(
            f"{path} holds {len(series)} DICOM series ({'; '.join(_called(files) for files in series.values())}); keep one "
            "series in the folder."
        )
    notes = []
    if others:
        left_out = ", ".join(f"{count} {kind}" for kind, count in others.items())
        notes = [Note("info", f"files that are no slices of the scan were left out: {left_out}.")]
    (files,) = series.values()
    for file in files:
        check_pixels(file)
    return files, notes


def _begins(path: Path) -> str:
    return "it is empty" if path.stat().st_size == 0 else "it does not begin as one"


def _called(files: Sequence[DicomFile]) -> str:
    elements = files[0].elements
    name = " ".join(part for part in (elements.get(MODALITY, ""), elements.get(SERIES_DESCRIPTION, "")) if part)
    return f"{name or 'without a name'}, {len(files)} file{'s' * (len(files) != 1)}"


def _no_series(path: Path, others: Counter[str]) -> str:
    if others:
        kinds = ", ".join(others)
        return f"{path} holds no DICOM series of slices, only {kinds}; choose the scan itself."
    below = [folder.name for folder in sorted(path.iterdir()) if folder.is_dir()] if path.is_dir() else []
    hint = f" (it has the folder {below[0]})" if below else ""
    return f"{path} holds no DICOM series; choose the folder that has the slices of the scan itself{hint}."


# --- slices --------------------------------------------------------------------------------------------------------------


def _slices(file: DicomFile) -> list[_SlicePosition]:
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


def _slice(file: DicomFile, frame: int, frames: int, elements: dict) -> _SlicePosition:
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
    return _SlicePosition(
        file=file.path,
        frame=frame,
        frames=frames,
        size=(file.number(ROWS), file.number(COLUMNS)),
        orientation=orientation,
        position=position,
        pixel_mm=pixel_mm,
        scale=(slope or 1.0, intercept),
        distances_mm=tuple(_number(where, elements, tag, 0.0) for tag in (BETWEEN, THICKNESS)),
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
        raise InputError(f'{where} has "{text}" as its {what}; {count} numbers are expected: export the series again.')
    return values


def _number(where: str, elements: dict, tag: int, default: float) -> float:
    text = elements.get(tag, "")
    return float(_numbers(where, elements, tag, 1, f"number {tag:08x}")[0]) if text else default


def _in_order(path: Path, slices: list[_SlicePosition]) -> tuple[list[_SlicePosition], np.ndarray]:
    """Slices in order along their normal, and the normal; raises InputError unless direction and pixels of all agree."""
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


def _step(
    path: Path, slices: list[_SlicePosition], positions_mm: np.ndarray, normal: np.ndarray, resample: bool
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


def _voxels(slices: list[_SlicePosition]) -> np.ndarray:
    """HU (slices, rows, columns) in the order of `slices`; each file is read once."""
    by_file: dict[Path, list[int]] = {}
    for number, part in enumerate(slices):
        by_file.setdefault(part.file, []).append(number)
    frames: dict[int, np.ndarray] = {}
    for path, numbers in by_file.items():
        file = read_dicom_file(path, pixels=True)
        if file is None:
            raise InputError(f"{path} was changed while it was read; try again.")
        by_frame = sorted(numbers, key=lambda number: slices[number].frame)
        own = frames_hu(file, [slices[number].scale for number in by_frame])
        frames.update(zip(by_frame, own, strict=True))
    return np.stack([frames[number] for number in range(len(slices))])
