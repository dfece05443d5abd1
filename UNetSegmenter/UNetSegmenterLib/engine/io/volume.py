"""A scan: its array and geometry, and what a user should know before a network sees it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial

import numpy as np

from ..counting import counted
from ..errors import InputError
from .geometry import SHEAR_MM, Geometry, sheared_text, sizes_text
from .slicing import AXES, Slicing, slicing_along

SOFT_TISSUE_HU = (-160.0, 240.0)
"""The window of HU, lowest and highest, in which abdominal organs are shown by custom."""

HU = "HU"
ANY = "any"
"""What the values of a scan are: Hounsfield units, or numbers whose unit is not known, such as those of MR."""

_LIKE_AIR_HU = -900  # scanners of other modalities store no value below this
_MOST_LABELS, _VOXELS_LOOKED_AT = (
    40,
    200_000,
)  # of a label map; the labels of some hundred structures look like grey values
_DIFFERENT_BESIDE = 0.25  # of the labelled voxels of a label map: those at the surfaces, at most
_FEWEST_PIXELS = 8  # rows or columns of a slice that a network can see anything in


@dataclass(frozen=True)
class Note:
    """One remark on an input: `severity` is "info", "warning" or "error"; `details` says more than the line `text`."""

    severity: str
    text: str
    details: str = ""


@dataclass(frozen=True)
class SeriesIdentity:
    """By what other DICOM files name a series: its UID, and that of the frame of reference of its positions; empty if unknown.

    `modality` is what its images are: "CT", "MR", ...
    """

    series_uid: str
    frame_of_reference_uid: str
    modality: str = ""


@dataclass(frozen=True)
class Volume:
    """A scan: `array` of `(slices, rows, columns)`, its geometry, its name, and notes of its reader.

    `intensities` says what the values are, HU or ANY; whoever knows the network that reads them sets it. `modality` is that of
    its DICOM header ("CT", "MR", ...), empty if it is not known. `series` identifies the DICOM series that it was read from, None
    for other formats.
    """

    array: np.ndarray
    geometry: Geometry
    name: str = ""
    notes: tuple[Note, ...] = field(default=())
    intensities: str = HU
    modality: str = ""
    series: SeriesIdentity | None = None

    def __post_init__(self) -> None:
        if self.array.shape != self.geometry.shape:
            raise InputError(
                f"{self.name or 'The volume'} has an array of {self.array.shape} but a geometry of {self.geometry.shape}."
            )


def as_hu(array: np.ndarray) -> np.ndarray:
    """The same values as int16 if they fit without loss, else as float32; int16 and float32 arrays are not copied."""
    if array.dtype in (np.int16, np.float32):
        return array
    if np.issubdtype(array.dtype, np.integer):
        lowest, highest = int(array.min(initial=0)), int(array.max(initial=0))
        if lowest >= -32768 and highest <= 32767:
            return array.astype(np.int16)
    elif array.dtype == np.float64 and np.isfinite(array).all():
        rounded = array.astype(np.int16, casting="unsafe") if np.abs(array).max(initial=0) <= 32767 else None
        if rounded is not None and np.array_equal(rounded, array):
            return rounded
    with np.errstate(over="ignore"):  # what becomes infinite is refused by `check_volume`
        return array.astype(np.float32)


def shown_window(volume: Volume) -> tuple[float, float]:
    """Lowest and highest value that a picture of the scan tells apart: soft tissue, or nearly all values if they aren't HU."""
    if volume.intensities == HU or not volume.array.size:
        return SOFT_TISSUE_HU
    step = max(1, volume.array.size // 1_000_000)
    low, high = (float(value) for value in np.percentile(volume.array.reshape(-1)[::step], (0.5, 99.5)))
    return (low, high) if low < high else (low, low + 1)


def check_volume(volume: Volume, slicing: Slicing | None = None) -> list[Note]:
    """What a user should know before a network processes this volume; errors come first.

    Reads every voxel once. Errors: NaN or infinite voxels, a constant image, no voxels, shear. Warnings: another modality than
    the network's, values that can't be HU, few slices, unusual spacing. The notes of the volume itself (missing slices and
    the like) are included.

    Args:
        volume: the scan; its `intensities` are those that the network expects.
        slicing: how the network cuts it into slices; by default axially.
    """
    array = volume.array
    if array.size == 0:
        return [Note("error", "the scan holds no voxels; load it again.")]
    lowest, highest = float(array.min()), float(array.max())
    if not (np.isfinite(lowest) and np.isfinite(highest)):
        return [
            Note(
                "error",
                f"the scan holds NaN or infinite values where {'HU' if volume.intensities == HU else 'numbers'} are expected; "
                "repair or export it again.",
            )
        ]
    if lowest == highest:
        return [Note("error", f"every voxel is {lowest:g}, so the image is empty; choose the scan itself.")]
    values: Callable[[str, float, float], Iterable[Note]] = _check_hu if volume.intensities == HU else _check_not_hu
    if count := _label_values(array, lowest):
        values = partial(_check_labels, count)
    slicing = slicing or slicing_along(volume.geometry)
    grid = [*_check_grid(volume, slicing), *_check_slices(volume.geometry, slicing)]
    notes = [*volume.notes, *values(volume.modality, lowest, highest), *grid]
    return sorted(notes, key=lambda note: ("error", "warning", "info").index(note.severity))


def _label_values(array: np.ndarray, lowest: float) -> int:
    """How many values the voxels have, if these are few whole numbers from 0 on with the same one beside it, as in a label map.

    0 if they are not: grey values have noise.
    """
    if lowest != 0 or not np.issubdtype(array.dtype, np.integer):
        return 0
    step = max(1, array.size // _VOXELS_LOOKED_AT)
    count = np.unique(array.reshape(-1)[::step]).size
    some = array[:: max(1, len(array) // 8)]
    labelled = some[..., :-1] > 0
    differ = (some[..., 1:] != some[..., :-1])[labelled]
    return count if count <= _MOST_LABELS and differ.size and differ.mean() < _DIFFERENT_BESIDE else 0


def _check_labels(count: int, modality: str, lowest: float, highest: float) -> Iterable[Note]:
    yield Note(
        "warning",
        f"its voxels have {count} different values from {lowest:g} to {highest:g}, as in a label map: if it is the "
        "segmentation, choose its scan.",
    )


def _check_hu(modality: str, lowest: float, highest: float) -> Iterable[Note]:
    if modality not in ("", "CT"):
        yield Note(
            "warning",
            f"the scan is {modality} by its DICOM header, but a CT network expects HU: its labels here would mean nothing.",
        )
    elif lowest >= 0 and highest <= 255:
        yield Note(
            "warning",
            f"values run from {lowest:g} to {highest:g}: 8-bit grey values, it seems, but a CT network expects HU.",
        )
    elif lowest >= -10:
        yield Note(
            "warning",
            f"the lowest value is {lowest:g}: HU reach about -1000 in air, so this may be MR or lack its rescale.",
        )
    elif highest < 100:
        yield Note("warning", f"the highest value is {highest:g} HU: bone is missing, so this may not be a whole CT.")


def _check_not_hu(modality: str, lowest: float, highest: float) -> Iterable[Note]:
    found = "the scan is CT by its DICOM header"
    if not modality and lowest <= _LIKE_AIR_HU:
        found = f"values from {lowest:g} to {highest:g} look like the HU of a CT"
    elif modality != "CT":
        return
    yield Note("warning", f"{found}, but the model was not trained on HU: check that it is meant for this scan.")


def _check_grid(volume: Volume, slicing: Slicing) -> Iterable[Note]:
    geometry = volume.geometry
    if geometry.shear_mm() > SHEAR_MM:
        yield Note("error", sheared_text(geometry))
    between, *in_plane = geometry.axial_spacing_mm
    slices, rows, columns = slicing.shape
    if slices < 10:
        yield Note("warning", f"only {counted(slices, f'{slicing.axis} slice')}: 3D views and plausibility need more.")
    elif min(rows, columns) < _FEWEST_PIXELS and slicing.axis != AXES[0]:
        yield Note(
            "warning",
            f"its {slicing.axis} slices, which the model reads, have only {columns} x {rows} pixels: the scan was made of slices "
            "in another direction.",
        )
    if not all(0.2 <= value <= 5 for value in in_plane) or not 0.2 <= between <= 10:
        size = sizes_text((*in_plane, between), ".3g")
        what = "CT" if volume.intensities == HU else "a scan"
        yield Note("warning", f"voxels of {size} mm are unusual for {what}: check the spacing in the file.")


def _check_slices(geometry: Geometry, slicing: Slicing) -> Iterable[Note]:
    axial = slicing.axis == AXES[0]
    if slicing.axes[0] != 0 or (axial and geometry.axial()[0] != (0, 1, 2)):
        how = "in axial order" if axial else f"in {slicing.axis} slices"
        yield Note(
            "info", f"stored as {geometry.orientation()}: the scan is read {how} and the result returns to its grid."
        )
    if (angle := geometry.obliqueness_degrees()) > 1:
        how = "as acquired" if axial or slicing.axes[0] == 0 else "along the scan's own axes"
        yield Note("info", f"oblique by {angle:.0f} degrees: slices are taken {how}.")
