"""Signs that numbers of a scan or a data set are not those of the scanner: clipped HU, and a spacing that nobody measured.

Both are guesses from what files hold, worded as such; limits were chosen so that true CTs of the trunk show neither.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from UNetSegmenterLib.engine.io.volume import HU, Volume

SAMPLE = 1_000_000  # about as many voxels are looked at
FEWEST_VALUES = 50  # fewer are a drawing and no scan
CLIPPED_FRACTION = 1e-3  # of all voxels at the end of the range
CLIPPED_RATIO = 10.0  # voxels at the end, over those at the values beside it
AIR_HU = -900.0  # a range that ends below is that of a whole CT, most of whose voxels are air
METAL_HU = 2500.0  # scanners themselves store nothing above about 3071
FEWEST_PATIENTS = 6  # so many scans have one field of view by chance only if nobody chose it
WIDEST_FIELD_MM = 500.0  # of scanners

Ends = tuple[float | None, float | None]


def clipped_ends(volume: Volume) -> Ends:
    """Where the HU of a scan were cut off, below and above; None where they were not."""
    if volume.intensities != HU or not volume.array.size:
        return None, None
    step = max(1, round((volume.array.size / SAMPLE) ** (1 / 3)))
    values, counts = np.unique(np.rint(volume.array[::step, ::step, ::step]), return_counts=True)
    if len(values) < FEWEST_VALUES:
        return None, None
    lowest, highest = float(values[0]), float(values[-1])
    below = lowest > AIR_HU and _is_heaped(counts)
    above = highest < METAL_HU and _is_heaped(counts[::-1])
    return lowest if below else None, highest if above else None


def _is_heaped(counts: np.ndarray) -> bool:
    """Whether the first value has far more voxels than those beside it."""
    return counts[0] >= CLIPPED_FRACTION * counts.sum() and counts[0] >= CLIPPED_RATIO * counts[1:6].mean()


def clipped_text(ends: Ends) -> str:
    """The finding on clipped HU, empty where nothing was clipped."""
    known = [
        f"{'below' if low else 'above'} {end:g}"
        for low, end in zip((True, False), ends, strict=True)
        if end is not None
    ]
    if not known:
        return ""
    return (
        f"HU seem to be clipped {' and '.join(known)}, as in copies made of windowed pictures: what lies beyond looks alike, and "
        "statistics of HU end there."
    )


def beyond_clipped(ends: Mapping[str, Ends], window_hu: tuple[float, float]) -> list[str]:
    """Cases whose HU were cut off inside of a window, in which a network would then be shown a difference of the source."""
    return [
        name
        for name, (low, high) in ends.items()
        if (low is not None and low > window_hu[0] + 1) or (high is not None and high < window_hu[1] - 1)
    ]


def default_spacing_text(spacing_mm: Sequence[float], size: Sequence[int]) -> str:
    """The finding on voxels of 1 x 1 x 1 mm in a scan that would be wider than scanners are; (slice, row, column) of both."""
    field_mm = max(size[1], size[2])
    if any(abs(mm - 1) > 1e-6 for mm in spacing_mm) or field_mm <= WIDEST_FIELD_MM:
        return ""
    return (
        f"voxels of exactly 1 x 1 x 1 mm make a field of view of {field_mm} mm, wider than scanners have: the file may have lost "
        "its spacing, and mm and ml mean nothing then."
    )


def nominal_spacing_text(scans: Iterable[tuple[str, Sequence[float], Sequence[int]]]) -> str:
    """The finding on a data set in which all patients have the very same field of view.

    Args:
        scans: of each one the patient, spacing in mm and size, both as (slice, row, column).
    """
    known = list(scans)
    patients = {patient for patient, _, _ in known}
    pixels = {(*(round(float(mm), 4) for mm in spacing[1:]), *size[1:]) for _, spacing, size in known}
    if len(patients) < FEWEST_PATIENTS or len(pixels) != 1:
        return ""
    row_mm, column_mm, rows, columns = next(iter(pixels))
    return (
        f"all {len(known)} scans have {columns} x {rows} pixels of {column_mm:g} x {row_mm:g} mm: a field of view is chosen for "
        "each patient, so this spacing may be nominal; if so, mm and ml are too, and unetseg release takes --nominal-spacing."
    )
