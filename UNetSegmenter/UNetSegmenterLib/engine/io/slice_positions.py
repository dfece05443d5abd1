"""Positions of a series' slices along their normal: even, rounded, missing, doubled, or resampled to be even."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..counting import counted
from ..errors import InputError
from .volume import Note

_EVEN = 0.01
"""Distances may differ from the median distance by this fraction of it."""

_ROUNDED_MM, _ROUNDED = 0.06, 0.2
"""Slices whose positions were rounded to 0.1 mm lie within this (mm, fraction of their distance) of an even grid."""

_SAME_POSITION_MM, _EXACT_MM = 1e-3, 5e-3


@dataclass(frozen=True)
class SlicePositions:
    """Even positions in mm along the normal, their distance, and whether slices have to be resampled to lie there."""

    positions_mm: np.ndarray
    spacing_mm: float
    resampled: bool = False
    notes: tuple[Note, ...] = ()


def even_positions(
    path: Path, positions_mm: np.ndarray, names: list[str], header_distances_mm: Sequence[float], resample: bool
) -> SlicePositions:
    """The even grid of some slices.

    Args:
        path: the series, for messages.
        positions_mm: position of each slice along the normal, rising.
        names: name of each slice, for messages.
        header_distances_mm: slice distances that the header gives; the first that rounded positions agree with is taken.
        resample: accept missing or uneven slices, which are then to be interpolated at the positions that are returned.

    Raises:
        InputError: slices are doubled or, without `resample`, missing or uneven.
    """
    gaps = np.diff(positions_mm)
    median_mm = float(np.median(gaps))
    if (gaps < _SAME_POSITION_MM).any():
        raise InputError(_doubled(path, positions_mm, names, gaps))
    even = SlicePositions(positions_mm, float(gaps.mean()))
    if np.abs(gaps - median_mm).max() <= max(_EVEN * median_mm, 0.01):
        return even
    if rounded := _before_rounding(positions_mm, header_distances_mm):
        text = (
            f"slices lie {gaps.min():.4g} to {gaps.max():.4g} mm apart by the header, which rounds their positions; "
            f"{rounded:.4g} mm was taken for all."
        )
        return SlicePositions(positions_mm, rounded, notes=(Note("info", text),))
    if not resample:
        raise InputError(_uneven(path, names, gaps, median_mm))
    count = max(2, round((positions_mm[-1] - positions_mm[0]) / median_mm) + 1)
    even_mm = np.linspace(positions_mm[0], positions_mm[-1], count)
    text = (
        f"slices lay {gaps.min():.4g} to {gaps.max():.4g} mm apart and were resampled to {even_mm[1] - even_mm[0]:.4g} mm, "
        "linearly; what lay within the largest distance is not known."
    )
    return SlicePositions(even_mm, float(even_mm[1] - even_mm[0]), True, (Note("warning", text),))


def _before_rounding(positions_mm: np.ndarray, header_distances_mm: Sequence[float]) -> float | None:
    """The distance of slices whose positions are those of an even grid but for rounding, None if they are not."""
    numbers = np.arange(len(positions_mm))
    slope = float(np.polyfit(numbers, positions_mm, 1)[0])
    for distance in (*header_distances_mm, slope):
        off = positions_mm - distance * numbers
        if distance > 0 and np.ptp(off) / 2 <= min(_ROUNDED_MM, _ROUNDED * distance):
            return distance
    return None


def numbered_positions(
    path: Path, positions_mm: np.ndarray, header_distances_mm: Sequence[float]
) -> tuple[np.ndarray, float]:
    """The slice of an even grid that each position is, where slices may be missing and occur several times.

    Args:
        path: the file, for messages.
        positions_mm: position of each frame along the normal, in any order.
        header_distances_mm: slice distances that may be right; the first that the positions agree with is taken, else the
            largest distance that all of them are a multiple of.

    Returns:
        Number of each frame's slice, the lowest being 0, and the distance of slices in mm.

    Raises:
        InputError: the positions lie on no even grid, or there is one alone and no distance.
    """
    from_first = positions_mm - positions_mm.min()
    gaps = np.diff(np.unique(np.round(from_first, 3)))
    smallest = gaps[gaps > _ROUNDED_MM].min(initial=np.inf)
    candidates = [(distance, _ROUNDED_MM) for distance in (*header_distances_mm, smallest)]
    candidates += [(smallest / parts, _EXACT_MM) for parts in (2, 3, 4)]  # many distances would fit rounded positions
    for distance, rounded_mm in candidates:
        if not 0 < distance < np.inf or distance > smallest * (1 + _EVEN) + _ROUNDED_MM:
            continue
        numbers = np.rint(from_first / distance).astype(int)
        slope = float(np.polyfit(numbers, from_first, 1)[0]) if len(gaps) else distance
        for even_mm in (float(distance), slope):  # a header's distance is rounded, which adds up
            if np.ptp(from_first - numbers * even_mm) / 2 <= min(rounded_mm, _ROUNDED * distance):
                return numbers, even_mm
    if not len(gaps):
        raise InputError(f"{path} has frames at one position alone and gives no slice distance; export it again.")
    raise InputError(
        f"{path} has frames {gaps.min():.4g} to {gaps.max():.4g} mm apart, which are slices of no even grid; export it again."
    )


def interpolate_slices(array: np.ndarray, positions_mm: np.ndarray, even_mm: np.ndarray) -> np.ndarray:
    """Slices at `even_mm`, interpolated linearly between their two neighbours in `array`, which lie at `positions_mm`."""
    after = np.clip(np.searchsorted(positions_mm, even_mm), 1, len(positions_mm) - 1)
    weight = np.clip((even_mm - positions_mm[after - 1]) / (positions_mm[after] - positions_mm[after - 1]), 0, 1)
    result = np.empty((len(even_mm), *array.shape[1:]), array.dtype)
    for number, (upper, fraction) in enumerate(zip(after, weight, strict=True)):
        between = array[upper - 1] * (1 - fraction) + array[upper] * fraction
        result[number] = between if array.dtype.kind == "f" else np.rint(between)
    return result


def _doubled(path: Path, positions_mm: np.ndarray, names: list[str], gaps: np.ndarray) -> str:
    twice = np.flatnonzero(gaps < _SAME_POSITION_MM)
    count = len(positions_mm)
    if len(twice) * 2 >= count:
        return (
            f"{path} has several slices at one position, {count} slices at {count - len(twice)} positions "
            "(time points or two reconstructions); keep one of them."
        )
    one = twice[0]
    more = f" and {len(twice) - 1} more pairs" if len(twice) > 1 else ""
    return (
        f"{path} has two slices at one position: {names[one]} and {names[one + 1]} both lie at {positions_mm[one]:.4g} mm along "
        f"the normal{more}; remove the copy, or export the series again if a position is wrong."
    )


def _uneven(path: Path, names: list[str], gaps: np.ndarray, median_mm: float) -> str:
    on_request = "or have the slices interpolated by --resample on the command line"
    missing = [i for i, gap in enumerate(gaps) if gap > 1.5 * median_mm]
    others = [gap for gap in gaps if gap <= 1.5 * median_mm]
    if missing and max(others) - min(others) <= max(2 * _EVEN * median_mm, 2 * _ROUNDED_MM):
        first = missing[0]
        return (
            f"{path} lacks {counted(round(sum(gaps[i] / median_mm - 1 for i in missing)), 'slice')}: after slice {first + 1} of "
            f"{len(gaps) + 1} ({names[first]}) the next one lies {gaps[first]:.4g} mm further on instead of {median_mm:.4g} mm; "
            f"copy the series again, {on_request}."
        )
    return (
        f"{path} has uneven slices ({gaps.min():.4g} to {gaps.max():.4g} mm apart, {median_mm:.4g} in most places): one distance "
        f"can't describe them; export the series again, {on_request}."
    )
