"""A CT volume: HU array and geometry, and what a user should know before a network sees it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from ..errors import InputError
from .geometry import SHEAR_MM, Geometry, sheared_text, sizes_text

SOFT_TISSUE_HU = (-160.0, 240.0)
"""The window of HU, lowest and highest, in which abdominal organs are shown by custom."""


@dataclass(frozen=True)
class Note:
    """One remark on an input: `severity` is "info", "warning" or "error"; `details` says more than the line `text`."""

    severity: str
    text: str
    details: str = ""


@dataclass(frozen=True)
class Volume:
    """A CT volume: HU `array` of `(slices, rows, columns)`, its geometry, its name, and notes of its reader."""

    array: np.ndarray
    geometry: Geometry
    name: str = ""
    notes: tuple[Note, ...] = field(default=())

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
    return array.astype(np.float32)


def check_volume(volume: Volume) -> list[Note]:
    """What a user should know before a CT network processes this volume; errors come first.

    Reads every voxel once. Errors: NaN or infinite voxels, a constant image, no voxels, shear. Warnings: values that can't be
    HU, few slices, unusual spacing. The notes of the volume itself (missing slices and the like) are included.
    """
    array = volume.array
    if array.size == 0:
        return [Note("error", "the scan holds no voxels; load it again.")]
    lowest, highest = float(array.min()), float(array.max())
    if not (np.isfinite(lowest) and np.isfinite(highest)):
        return [
            Note("error", "the scan holds NaN or infinite values where HU are expected; repair or export it again.")
        ]
    if lowest == highest:
        return [Note("error", f"every voxel is {lowest:g}, so the image is empty; choose the scan itself.")]
    notes = [*volume.notes, *_check_hu(lowest, highest), *_check_grid(volume.geometry)]
    return sorted(notes, key=lambda note: ("error", "warning", "info").index(note.severity))


def _check_hu(lowest: float, highest: float) -> Iterable[Note]:
    if lowest >= 0 and highest <= 255:
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


def _check_grid(geometry: Geometry) -> Iterable[Note]:
    if geometry.shear_mm() > SHEAR_MM:
        yield Note("error", sheared_text(geometry))
    between, *in_plane = geometry.axial_spacing_mm
    slices = geometry.axial_shape[0]
    if slices < 10:
        yield Note("warning", f"only {slices} axial slice(s): 3D views and plausibility need more.")
    if not all(0.2 <= value <= 5 for value in in_plane) or not 0.2 <= between <= 10:
        size = sizes_text((*in_plane, between), ".3g")
        yield Note("warning", f"voxels of {size} mm are unusual for CT: check the spacing in the file.")
    if geometry.axial()[0] != (0, 1, 2):
        yield Note(
            "info",
            f"stored as {geometry.orientation()}: the scan is read in axial order and the result returns to its grid.",
        )
    if (angle := geometry.obliqueness_degrees()) > 1:
        yield Note("info", f"oblique by {angle:.0f} degrees: slices are taken as acquired.")
