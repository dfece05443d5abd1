"""A DICOM series as one volume: one series, every slice there, in the order of the patient."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..counting import counted
from ..errors import InputError
from .dicom_file import DicomFile, read_dicom_file
from .dicom_frames import FramePosition, frame_positions, grid_from, in_order, way_between
from .dicom_objects import NO_SLICES
from .dicom_pixels import check_pixels, frames_hu
from .dicom_tags import FRAME_OF_REFERENCE, MODALITY, SERIES_DESCRIPTION, SERIES_UID, SOP_CLASS
from .geometry import Geometry
from .image_header import StoredImage
from .resampling import straight_geometry, straightened
from .slice_positions import SlicePositions, even_positions, interpolate_slices
from .volume import Note, SeriesIdentity

_DICOM_ENDINGS = (".dcm", ".dicom", ".ima")


@dataclass(frozen=True, kw_only=True)
class DicomSeries:
    """The slices of a series in the order of the patient, and the grid that they are on.

    `positions_mm` (slices,) lie along the normal; `even` are those of the grid. `sheared` is the grid before slices that shift
    sideways were brought onto a straight one, which `geometry` is.
    """

    slices: list[FramePosition]
    positions_mm: np.ndarray
    even: SlicePositions
    sheared: Geometry
    geometry: Geometry
    notes: tuple[Note, ...]
    identity: SeriesIdentity

    @property
    def is_resampled(self) -> bool:
        """Whether a slice of the grid is no slice of the series."""
        return self.even.resampled or self.geometry is not self.sheared


def read_dicom_series(path: Path, resample: bool = False) -> DicomSeries:
    """The grid of the one series in a folder, or of one multi-frame file, without its pixels; see `read_dicom`."""
    files, notes = _image_files(path)
    slices = [part for file in files for part in frame_positions(file)]
    if len(slices) == 1:
        raise InputError(
            f"{path} holds one DICOM slice; a whole scan is expected: choose the folder of all its slices."
        )
    slices, normal = in_order(path, slices)
    positions_mm = np.array([part.position @ normal for part in slices])
    names = [part.name for part in slices]
    even = even_positions(path, positions_mm, names, slices[0].distances_mm, resample)
    step = way_between(path, slices, positions_mm, normal, resample)
    geometry = grid_from(path, slices[0], step, even.spacing_mm, len(even.positions_mm))
    elements = files[0].elements
    return DicomSeries(
        slices=slices,
        positions_mm=positions_mm,
        even=even,
        sheared=geometry,
        geometry=straight_geometry(geometry) if resample else geometry,
        notes=(*notes, *even.notes),
        identity=SeriesIdentity(
            elements.get(SERIES_UID, ""), elements.get(FRAME_OF_REFERENCE, ""), elements.get(MODALITY, "").strip()
        ),
    )


def read_dicom(path: Path, resample: bool = False) -> StoredImage:
    """The one series in a folder, or one multi-frame file, in HU.

    Args:
        path: the folder or the file.
        resample: resample slices that are uneven or shift sideways (a tilted gantry) to a straight, even grid; one spacing and
            direction can't describe them, so they are refused otherwise.

    Raises:
        InputError: there is no series or more than one, a slice or pixels are missing, or slices differ in size or direction.
    """
    series = read_dicom_series(path, resample)
    array = _voxels(series.slices)
    if series.even.resampled:
        array = interpolate_slices(array, series.positions_mm, series.even.positions_mm)
    image = StoredImage(array, series.sheared, series.notes, series=series.identity)
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
        elif file.elements.get(SOP_CLASS, "").startswith(NO_SLICES):
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
    return f"{name or 'without a name'}, {counted(len(files), 'file')}"


def _no_series(path: Path, others: Counter[str]) -> str:
    if others:
        kinds = ", ".join(others)
        return f"{path} holds no DICOM series of slices, only {kinds}; choose the scan itself."
    below = [folder.name for folder in sorted(path.iterdir()) if folder.is_dir()] if path.is_dir() else []
    hint = f" (it has the folder {below[0]})" if below else ""
    return f"{path} holds no DICOM series; choose the folder that has the slices of the scan itself{hint}."


def _voxels(slices: list[FramePosition]) -> np.ndarray:
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
