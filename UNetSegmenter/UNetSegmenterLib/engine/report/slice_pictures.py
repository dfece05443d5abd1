"""Pictures of a result without Slicer: the worst, a median and the best slice, reference beside prediction."""

from __future__ import annotations

import numpy as np

from ..evaluation.comparison import Comparison
from ..io.image_writing import png_bytes
from ..io.slicing import slicing_along
from ..io.slicing_axis import slice_positions_mm, slicing_axis
from ..io.volume import Volume, shown_window
from ..labels.dice import dice_coefficient
from ..labels.segmentation import Segmentation, resample_segmentation
from .niivue_viewer import row_numbers

TITLES = ("Worst slice", "Median slice", "Best slice")
_TINT = 0.35  # weight of a structure's colour inside it; its edge is drawn in full
_SHORTEST_SIDE = 256  # pixels; smaller slices are enlarged by a whole number
_SMALLEST_FRACTION = 0.25  # of the largest labelled area: where organs end, Dice says little


def slice_pictures(
    volume: Volume, prediction: Segmentation, reference: Segmentation, comparison: Comparison, most: int = 3
) -> tuple[tuple[str, bytes], ...]:
    """Draw at most `most` slices along the network's slicing axis, reference left, prediction right: worst, median, best.

    The worst is the one with the largest area that is labelled differently. Median and best go by Dice over all structures,
    among slices with at least a quarter of the largest labelled area. A structure without counterpart is left out.

    Returns:
        (caption, PNG bytes) of each; nothing if no voxel is labelled.
    """
    geometry, axis = volume.geometry, slicing_axis(comparison.slicing_axis)
    slicing = slicing_along(geometry, axis.name)
    sides = []
    for side, name in ((reference, "reference"), (prediction, "prediction")):
        own = side if side.geometry.is_close(geometry) else resample_segmentation(side, geometry)
        sides.append(slicing.view(row_numbers(own, comparison, name, matched=True)))
    hu, window = slicing.view(volume.array), shown_window(volume)
    spacing = slicing.spacing_mm[1:]
    colors = np.array([(0, 0, 0), *(row.color for row in comparison.rows[:255])], np.float32)
    positions_mm = slice_positions_mm(geometry, axis.name)
    pictures = []
    for title, position, remark in _chosen_slices(sides[0], sides[1], spacing[0] * spacing[1] / 100)[:most]:
        drawn = [_drawn(hu[position], labels[position], colors, spacing, window) for labels in sides]
        gap = np.zeros((drawn[0].shape[0], 6, 3), np.uint8)
        index = len(hu) - 1 - position if slicing.flips[0] else position  # as the slice curves count
        where = f"{axis.name} slice {index} ({axis.letter} {positions_mm[index]:.0f} mm)"
        caption = f"{title}: {where}{remark}; reference left, prediction right"
        pictures.append((caption, png_bytes(np.concatenate([drawn[0], gap, drawn[1]], axis=1))))
    return tuple(pictures)


def _chosen_slices(reference: np.ndarray, prediction: np.ndarray, pixel_cm2: float) -> list[tuple[str, int, str]]:
    """What to draw: (title, slice, remark). `reference` and `prediction` are labels (slices, rows, columns)."""
    wrong, right, area = (np.zeros(len(prediction), int) for _ in range(3))
    for position, (a, b) in enumerate(zip(reference, prediction, strict=True)):
        wrong[position] = np.count_nonzero(a != b)
        right[position] = np.count_nonzero((a == b) & (a > 0))
        area[position] = np.count_nonzero(a) + np.count_nonzero(b)
    if not area.any():
        return []
    worst = int(wrong.argmax()) if wrong.any() else int(area.argmax())
    found = [("Worst slice", worst, f", where most is labelled differently ({wrong[worst] * pixel_cm2:.1f} cm²)")]
    dice = dice_coefficient(right, area, 0)  # both areas are one sum
    large = np.flatnonzero(area >= _SMALLEST_FRACTION * area.max())
    ranked = large[np.argsort(dice[large], kind="stable")]
    for title, position in zip(TITLES[1:], (int(ranked[len(ranked) // 2]), int(ranked[-1])), strict=True):
        if position not in {known for _, known, _ in found}:
            found.append((title, position, f", Dice {dice[position]:.2f} over all structures"))
    return found


def _drawn(
    hu: np.ndarray, labels: np.ndarray, colors: np.ndarray, spacing: tuple[float, ...], window: tuple[float, float]
) -> np.ndarray:
    """One slice as RGB (rows, columns, 3) with square pixels, labels tinted and their edges in full colour."""
    low, high = window
    grey = np.clip((hu.astype(np.float32) - low) / (high - low), 0, 1) * 255
    rows, columns = (max(1, round(n * mm / min(spacing))) for n, mm in zip(hu.shape, spacing, strict=True))
    times = max(1, -(-_SHORTEST_SIDE // min(rows, columns)))
    at = np.ix_(
        *(np.arange(n * times) * size // (n * times) for n, size in zip((rows, columns), hu.shape, strict=True))
    )
    grey, labels = grey[at], labels[at]
    inside = np.pad(labels, 1)
    edge = np.zeros(labels.shape, bool)
    for shifted in (inside[:-2, 1:-1], inside[2:, 1:-1], inside[1:-1, :-2], inside[1:-1, 2:]):
        edge |= shifted != labels
    weight = np.where(labels > 0, np.where(edge, 1.0, _TINT), 0.0)[..., None]
    return np.asarray(grey[..., None] * (1 - weight) + colors[labels] * weight, dtype=np.uint8)
