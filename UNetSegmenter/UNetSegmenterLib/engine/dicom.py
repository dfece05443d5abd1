"""A DICOM folder as one volume: one series, every slice there, in the order of the patient."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from .errors import InputError
from .volume import Geometry, Note

_POSITION, _ORIENTATION = "0020|0032", "0020|0037"


def read_dicom_folder(folder: Path) -> tuple[np.ndarray, Geometry, list[Note]]:
    """HU array, geometry and notes of the one series in a folder.

    Raises InputError for a folder without DICOM, with several series, with a missing slice or with slices that differ in size or
    direction. Slices that lie unevenly (over 1 % of their distance) raise it too, because one spacing can't describe them.
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
    places = []
    for name in names:
        orientation, position = _place(folder, name)
        places.append((orientation, position, name))
    first = places[0][0]
    if any(np.abs(orientation - first).max() > 1e-3 for orientation, _, _ in places):
        raise InputError(
            f"{folder} has slices of different directions, a localiser perhaps; keep the axial series alone."
        )
    normal = np.cross(first[:3], first[3:])
    along = sorted((float(position @ normal), name) for _, position, name in places)
    if len(along) == 1:
        raise InputError(f"{folder} holds one DICOM slice; a whole scan is expected.")
    gaps = np.diff([place for place, _ in along])
    usual = float(np.median(gaps))
    if usual < 1e-3:
        raise InputError(f"{folder} has several slices at one place (time points or two scans); keep one of them.")
    if missing := [i for i, gap in enumerate(gaps) if gap > 1.5 * usual]:
        raise InputError(
            f"{folder} lacks {round(sum(gaps[i] / usual - 1 for i in missing))} slice(s): after slice {missing[0] + 1} of "
            f"{len(along)} the next one lies {gaps[missing[0]]:.2f} mm on instead of {usual:.2f} mm; copy the series again."
        )
    if np.abs(gaps - usual).max() > max(0.01 * usual, 0.01):
        raise InputError(
            f"{folder} has uneven slices ({gaps.min():.2f} to {gaps.max():.2f} mm apart); resample the scan to one spacing first."
        )
    return [name for _, name in along], float(gaps.mean())


def _place(folder: Path, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Direction cosines (6,) and position (3,) of a slice, LPS in mm."""
    import SimpleITK as sitk

    reader = sitk.ImageFileReader()
    reader.SetFileName(name)
    try:
        reader.ReadImageInformation()
        values = [
            np.array([float(part) for part in reader.GetMetaData(key).split("\\")]) for key in (_ORIENTATION, _POSITION)
        ]
    except (RuntimeError, ValueError) as error:
        raise InputError(
            f"{Path(name).name} in {folder} says no position in the patient; export the series again."
        ) from error
    return values[0], values[1]
