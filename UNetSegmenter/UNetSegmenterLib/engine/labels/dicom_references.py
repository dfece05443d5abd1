"""The series that a DICOM segmentation or structure set was drawn on: found beside it, and compared with a scan."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from itertools import islice
from pathlib import Path

from ..errors import InputError
from ..io.dicom_file import DicomFile, read_dicom_file
from ..io.dicom_objects import NO_SLICES, label_object
from ..io.dicom_series import read_dicom_series
from ..io.dicom_tags import (
    REFERENCED_FRAMES,
    REFERENCED_SERIES,
    RT_REFERENCED_SERIES,
    RT_REFERENCED_STUDIES,
    SERIES_UID,
    SOP_CLASS,
)
from ..io.geometry import Geometry
from ..io.volume import Volume
from .segmentation import Segmentation

_MOST_FOLDERS = 200


def grid_of_series_beside(path: Path, series_uid: str, resample: bool = False) -> Geometry | None:
    """Grid of the series in the folder of a file, one around, below or beside it; None if it is not there, or unusable."""
    if not series_uid:
        return None
    for folder in islice(_folders_near(path), _MOST_FOLDERS):
        if _series_of(folder) == series_uid:
            with suppress(InputError):
                return read_dicom_series(folder, resample).geometry
    return None


def named_series(file: DicomFile) -> str:
    """UID of the one series that a segmentation or structure set names; empty if it names none or several."""
    series = {item.get(SERIES_UID, "") for item in file.elements.get(REFERENCED_SERIES, [])}
    series |= {
        item.get(SERIES_UID, "")
        for frame in file.elements.get(REFERENCED_FRAMES, [])
        for study in frame.get(RT_REFERENCED_STUDIES, [])
        for item in study.get(RT_REFERENCED_SERIES, [])
    }
    return series.pop() if len(series) == 1 else ""


def paired_by_series(images: Mapping[str, Path], labels: Mapping[str, Path]) -> dict[str, Path]:
    """Labels by case, where DICOM labels without an image of their name get that of the series that they name.

    Args:
        images: image files and folders of DICOM series, by case.
        labels: label files, by case.
    """
    alone = {_series_of(path): name for name, path in images.items() if name not in labels and path.is_dir()}
    paired = dict(labels)
    for name, path in labels.items():
        if name in images or not alone or label_object(path) is None:
            continue
        with suppress(InputError):
            file = read_dicom_file(path)
            case = alone.pop(named_series(file), None) if file is not None else None
            if case is not None:
                paired[case] = paired.pop(name)
    return paired


def check_same_patient_space(segmentation: Segmentation, volume: Volume) -> None:
    """Raise InputError if a DICOM segmentation was drawn on another series than the scan, in another frame of reference.

    Positions of two frames of reference can't be compared. A segmentation that names the scan's own series belongs to it,
    whatever frame of reference it names: tools that anonymise files change that number in one of them.
    """
    drawn_on, series = segmentation.drawn_on, volume.series
    if drawn_on is None or series is None or not (drawn_on.frame_of_reference_uid and series.frame_of_reference_uid):
        return
    if drawn_on.series_uid and drawn_on.series_uid == series.series_uid:
        return
    if drawn_on.frame_of_reference_uid != series.frame_of_reference_uid:
        raise InputError(
            f"{segmentation.name} lies in another frame of reference ({drawn_on.frame_of_reference_uid}) than the scan "
            f"{volume.name} ({series.frame_of_reference_uid}), so positions can't be compared; choose the scan that it was drawn "
            "on, or register the two and save the segmentation as .seg.nrrd."
        )


def _folders_near(path: Path) -> Iterator[Path]:
    own = path.absolute().parent
    yield own
    yield from (folder for folder in sorted(own.iterdir()) if folder.is_dir())
    yield own.parent
    yield from (folder for folder in sorted(own.parent.iterdir()) if folder.is_dir() and folder != own)


def _series_of(folder: Path) -> str:
    """Series UID of the first slice in a folder, by name; empty if there is none."""
    with suppress(OSError):
        for file in sorted(folder.iterdir()):
            if file.name.startswith(".") or not file.is_file():
                continue
            with suppress(InputError):
                found = read_dicom_file(file)
                if found is None:
                    return ""
                if not found.elements.get(SOP_CLASS, "").startswith(NO_SLICES):
                    return found.elements.get(SERIES_UID, "")
    return ""
