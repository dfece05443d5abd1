"""A DICOM folder as one volume: one series, every slice there, in the order of the patient."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..errors import InputError
from ..volume import Geometry, Note
from .image_header import StoredImage

_POSITION, _ORIENTATION, _PIXEL_SPACING = "0020|0032", "0020|0037", "0028|0030"
_SIDEWAYS_MM = 0.5
"""Slices whose corners leave the line through the first one by more are no box: the gantry was tilted."""


def read_dicom_folder(folder: Path) -> tuple[np.ndarray, Geometry, list[Note]]:
    """HU array, geometry and notes of the one series in a folder.

    Raises InputError for a folder without DICOM, with several series, with a missing slice or with slices that differ in size or
    direction. Slices that lie unevenly (over 1 % of their distance) or shift sideways (a tilted gantry) raise it too, because one
    spacing and direction can't describe them.
    """
    import SimpleITK as sitk

    sitk.ProcessObject.SetGlobalWarningDisplay(False)
    series = sitk.ImageSeriesReader.GetGDCMSeriesIDs(str(folder))
    if not series:
        raise InputError(f"{folder} holds no DICOM series; choose the folder that has the slices of the scan itself.")
    if len(series) > 1:
        counts = ", ".join(str(len(sitk.ImageSeriesReader.GetGDCMSeriesFileNames(str(folder), one))) for one in series)
        raise InputError(f"{folder} holds {len(series)} DICOM series ({counts} files); keep one series in the folder.")
    names = sitk.ImageSeriesReader.GetGDCMSeriesFileNames(str(folder), series[0])
    ordered, spacing_mm = _in_order(folder, names)
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(ordered)
    try:
        image = reader.Execute()
    except RuntimeError as error:
        raise InputError(
            f"{folder} has slices that differ in size or can't be decoded; export the series again."
        ) from error
    if image.GetNumberOfComponentsPerPixel() != 1:
        raise InputError(f"{folder} holds colour images; a CT with one value a voxel is expected.")
    geometry = Geometry.from_sitk(image)
    geometry = Geometry(geometry.shape, (spacing_mm, *geometry.spacing_mm[1:]), geometry.origin_lps, geometry.direction)
    return sitk.GetArrayFromImage(image), geometry, []


def _in_order(folder: Path, names: tuple[str, ...]) -> tuple[list[str], float]:
    """File names along the slice normal, and the distance between slices in mm."""
    places = [_place(folder, name) for name in names]
    first = places[0]
    if any(np.abs(place.orientation - first.orientation).max() > 1e-3 for place in places):
        raise InputError(
            f"{folder} has slices of different directions, a localiser perhaps; keep the axial series alone."
        )
    if any(np.abs(place.pixel_mm - first.pixel_mm).max() > 1e-3 for place in places):
        raise InputError(f"{folder} has slices of different pixel sizes (two scans?); keep the series of one of them.")
    normal = np.cross(first.orientation[:3], first.orientation[3:])
    places.sort(key=lambda place: (float(place.position @ normal), place.name))
    along = np.array([place.position @ normal for place in places])
    if len(places) == 1:
        raise InputError(f"{folder} holds one DICOM slice; a whole scan is expected.")
    _check_even(folder, np.diff(along))
    sideways = np.array([place.position - at * normal for place, at in zip(places, along, strict=True)])
    if (shift_mm := float(np.linalg.norm(sideways - sideways[0], axis=1).max())) > _SIDEWAYS_MM:
        raise InputError(
            f"{folder} has slices that shift sideways, {shift_mm:.1f} mm in all (a tilted gantry): they make no box; load "
            "them in 3D Slicer, which straightens them, and save that volume."
        )
    return [place.name for place in places], float(np.diff(along).mean())


def _check_even(folder: Path, gaps: np.ndarray) -> None:
    """Raise InputError if distances between slices (mm, in order) tell of missing, double or uneven ones."""
    usual = float(np.median(gaps))
    if usual < 1e-3:
        raise InputError(f"{folder} has several slices at one place (time points or two scans); keep one of them.")
    if missing := [i for i, gap in enumerate(gaps) if gap > 1.5 * usual]:
        raise InputError(
            f"{folder} lacks {round(sum(gaps[i] / usual - 1 for i in missing))} slice(s): after slice {missing[0] + 1} of "
            f"{len(gaps) + 1} the next one lies {gaps[missing[0]]:.2f} mm on instead of {usual:.2f} mm; copy the series again."
        )
    if np.abs(gaps - usual).max() > max(0.01 * usual, 0.01):
        raise InputError(
            f"{folder} has uneven slices ({gaps.min():.2f} to {gaps.max():.2f} mm apart); resample the scan to one spacing first."
        )


@dataclass(frozen=True)
class _Place:
    """Where a slice lies: direction cosines (6,), position (3,) LPS in mm, and the size of its pixels (2,) in mm."""

    name: str
    orientation: np.ndarray
    position: np.ndarray
    pixel_mm: np.ndarray


def _place(folder: Path, name: str) -> _Place:
    """Place of a slice by its header; raises InputError where it has none."""
    import SimpleITK as sitk

    reader = sitk.ImageFileReader()
    reader.SetFileName(name)
    try:
        reader.ReadImageInformation()
        orientation, position, pixel_mm = (
            np.array([float(part) for part in reader.GetMetaData(key).split("\\")])
            for key in (_ORIENTATION, _POSITION, _PIXEL_SPACING)
        )
    except (RuntimeError, ValueError) as error:
        raise InputError(
            f"{Path(name).name} in {folder} says no position in the patient; export the series again."
        ) from error
    return _Place(name, orientation, position, pixel_mm)


def read_dicom(path: Path, resample: bool = False) -> StoredImage:
    """Image of the one series in a folder; raises InputError as `read_dicom_folder` does."""
    array, geometry, notes = read_dicom_folder(path)
    return StoredImage(array, geometry, tuple(notes))
