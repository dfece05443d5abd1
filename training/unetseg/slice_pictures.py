"""A picture of a result without Slicer: one axial slice, the reference beside the prediction."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from UNetSegmenterLib.engine.comparison import Comparison
from UNetSegmenterLib.engine.segmentation import Segmentation, resample
from UNetSegmenterLib.engine.volume import Volume

WINDOW_HU = (-160.0, 240.0)  # soft tissue
TINT = 0.35  # share of a structure's colour inside it; its edge is drawn in full
SHORTEST_SIDE = 256  # pixels; smaller slices are enlarged by a whole number


def worst_slice(
    volume: Volume, prediction: Segmentation, reference: Segmentation, comparison: Comparison
) -> tuple[tuple[str, bytes], ...]:
    """(Caption, PNG) of the axial slice in which the largest area is labelled differently; reference left.

    `comparison` says which structure of the prediction is which of the reference. Empty if the reference is not on the
    scan's grid, or nothing is labelled at all.
    """
    if not reference.geometry.is_close(volume.geometry):
        return ()
    if not prediction.geometry.is_close(volume.geometry):
        prediction = resample(prediction, volume.geometry)
    geometry = volume.geometry
    hu, theirs = geometry.to_axial(volume.array), geometry.to_axial(reference.labels)
    ours = geometry.to_axial(_renumbered(prediction, comparison))
    areas = np.array([np.count_nonzero(a != b) for a, b in zip(ours, theirs, strict=True)])
    if not areas.any():
        areas = np.array([np.count_nonzero(part) for part in theirs])
    if not areas.any():
        return ()
    place = int(areas.argmax())
    spacing = geometry.axial_spacing_mm[1:]
    sides = [_drawn(hu[place], labels[place], reference, spacing) for labels in (theirs, ours)]
    gap = np.zeros((sides[0].shape[0], 6, 3), np.uint8)
    area_cm2 = np.count_nonzero(ours[place] != theirs[place]) * spacing[0] * spacing[1] / 100
    caption = (
        f"Axial slice {place + 1} of {len(hu)} from below, where most is labelled differently ({area_cm2:.1f} cm²): "
        "reference left, prediction right"
    )
    return ((caption, _png(np.concatenate([sides[0], gap, sides[1]], axis=1))),)


def _renumbered(prediction: Segmentation, comparison: Comparison) -> np.ndarray:
    """The prediction's labels with the reference's indices; a structure without counterpart is left out."""
    table = np.zeros(256, np.uint8)
    for row in comparison.rows:
        if row.prediction is not None and row.reference is not None:
            table[row.prediction.index] = row.reference.index
    return table[prediction.labels]


def _drawn(hu: np.ndarray, labels: np.ndarray, reference: Segmentation, spacing: tuple[float, ...]) -> np.ndarray:
    """One slice as RGB (rows, columns, 3) with square pixels, labels tinted and their edges in full colour."""
    low, high = WINDOW_HU
    grey = np.clip((hu.astype(np.float32) - low) / (high - low), 0, 1) * 255
    rows, columns = (max(1, round(n * mm / min(spacing))) for n, mm in zip(hu.shape, spacing, strict=True))
    times = max(1, -(-SHORTEST_SIDE // min(rows, columns)))
    at = np.ix_(
        *(np.arange(n * times) * size // (n * times) for n, size in zip((rows, columns), hu.shape, strict=True))
    )
    grey, labels = grey[at], labels[at]
    colors = np.zeros((256, 3), np.float32)
    for structure in reference.structures:
        colors[structure.index] = structure.color
    inside = np.pad(labels, 1)
    edge = np.zeros(labels.shape, bool)
    for shifted in (inside[:-2, 1:-1], inside[2:, 1:-1], inside[1:-1, :-2], inside[1:-1, 2:]):
        edge |= shifted != labels
    share = np.where(labels > 0, np.where(edge, 1.0, TINT), 0.0)[..., None]
    return np.asarray(grey[..., None] * (1 - share) + colors[labels] * share, dtype=np.uint8)


def _png(rgb: np.ndarray) -> bytes:
    """PNG bytes of an RGB image (rows, columns, 3)."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "slice.png"
        sitk.WriteImage(sitk.GetImageFromArray(rgb, isVector=True), str(path), useCompression=True, compressionLevel=9)
        return path.read_bytes()
