"""Slices of one size: cut about the middle of the patient's body, so that a pack holds less air and table."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from UNetSegmenterLib.engine.labels.structures import Structure

BODY_HU = -500


def body_region(hu: np.ndarray, size: tuple[int, int], window_low_hu: float) -> tuple[slice, slice]:
    """Rows and columns that stay when slices (slices, rows, columns) of HU, clipped to the window, are cut to `size`.

    They lie about the median of the body's pixels, those above air, and never reach beyond the slice; a side that is
    shorter than `size` stays whole.
    """
    body = hu > max(BODY_HU, window_low_hu)
    places = zip((body.sum(axis=(0, 2)), body.sum(axis=(0, 1))), hu.shape[1:], size, strict=True)
    rows, columns = (_about(_median(counts), own, wanted) for counts, own, wanted in places)
    return rows, columns


def _median(counts: np.ndarray) -> float:
    """The place that has as many counts before it as after it; the middle if there are none."""
    total = counts.sum()
    return float(np.searchsorted(np.cumsum(counts), total / 2, side="right")) if total else len(counts) / 2


def _about(middle: float, own: int, wanted: int) -> slice:
    if own <= wanted:
        return slice(0, own)
    start = min(max(round(middle - wanted / 2), 0), own - wanted)
    return slice(start, start + wanted)


def cut_off_text(
    whole: np.ndarray, kept: np.ndarray, structures: Sequence[Structure], voxel_ml: float, size: tuple[int, int]
) -> str:
    """What labels lose when they are cut from `whole` to `kept`, in ml and %; empty if nothing."""
    before, after = (np.bincount(labels.ravel(), minlength=len(structures) + 1) for labels in (whole, kept))
    lost = [
        f"{(before[part.index] - after[part.index]) * voxel_ml:.3g} ml "
        f"({100 * (1 - after[part.index] / before[part.index]):.2g} %) of {part.name}"
        for part in structures
        if after[part.index] < before[part.index]
    ]
    return f"slices of {size[0]} x {size[1]} pixels cut off {', '.join(lost)}" if lost else ""
