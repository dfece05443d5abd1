"""Slices cut to a size about the body, and what that cuts off."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from UNetSegmenterLib.engine.labels.structures import Structure

BODY_HU = -500  # what is above it is body, not air


def body_region(hu: np.ndarray, size: tuple[int, int], window_low_hu: float) -> tuple[slice, slice]:
    """Rows and columns that stay when slices are cut to `size` about the median of the body's pixels.

    They never reach beyond the slice; a side that is shorter than `size` stays whole.

    Args:
        hu: (slices, rows, columns), clipped to the window.
        size: rows and columns that are wanted.
        window_low_hu: lower end of the window; what is above it and above air is body.
    """
    body = hu > max(BODY_HU, window_low_hu)
    counts_by_axis = (body.sum(axis=(0, 2)), body.sum(axis=(0, 1)))
    rows, columns = (
        _about(_median(counts), own, wanted)
        for counts, own, wanted in zip(counts_by_axis, hu.shape[1:], size, strict=True)
    )
    return rows, columns


def _median(counts: np.ndarray) -> float:
    """The index with as many counts before it as after it; the middle if there are no counts."""
    total = counts.sum()
    return float(np.searchsorted(np.cumsum(counts), total / 2, side="right")) if total else len(counts) / 2


def _about(middle: float, own: int, wanted: int) -> slice:
    """`wanted` of `own` pixels about a middle, moved inwards at the border."""
    if own <= wanted:
        return slice(0, own)
    start = min(max(round(middle - wanted / 2), 0), own - wanted)
    return slice(start, start + wanted)


def cut_off_text(
    whole: np.ndarray, kept: np.ndarray, structures: Sequence[Structure], voxel_ml: float, size: tuple[int, int]
) -> str:
    """The warning on labels (slices, rows, columns) lost by cutting `whole` to `kept`, in ml and %; empty if none are."""
    before, after = (np.bincount(labels.ravel(), minlength=len(structures) + 1) for labels in (whole, kept))
    lost = [
        f"{(before[one.index] - after[one.index]) * voxel_ml:.3g} ml "
        f"({100 * (1 - after[one.index] / before[one.index]):.2g} %) of {one.name}"
        for one in structures
        if after[one.index] < before[one.index]
    ]
    return f"slices of {size[0]} x {size[1]} pixels cut off {', '.join(lost)}" if lost else ""
