"""One slice of a scan as a model reads and segments it: what the panel shows of a model before it is imported."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from ..io.geometry import Geometry
from ..io.image_writing import png_bytes
from ..io.slicing import STORED, slicing_along
from ..io.volume import SOFT_TISSUE_HU, Volume
from ..model.normalisation import Normalisation
from ..model.preprocessing import neighbour_step, network_slices

if TYPE_CHECKING:
    from ..model.checkpoint import Checkpoint
    from ..model.preprocessing import Preprocessing

PICTURE_PIXELS = 360  # of the longer side
TINT = 0.45  # weight of a structure's colour inside it; its edge is drawn in full


@dataclass(frozen=True)
class ModelPreview:
    """A slice and its labels.

    Args:
        slice: its number along the slicing axis, of `slices`.
        rows, columns: of the network's input.
        values: smallest, largest and mean value of the network's input.
        pixels: of the scan that are labelled, by the structure's index as text.
        pixel_cm2: area of one of them.
        labels_png: the slice as a radiologist sees it, with the labels.
        input_png: what the network reads, as it reads it.
    """

    slice: int
    slices: int
    rows: int
    columns: int
    values: tuple[float, float, float]
    pixels: dict[str, int]
    pixel_cm2: float
    labels_png: bytes
    input_png: bytes


def preview_slice(checkpoint: Checkpoint, volume: Volume, number: int | None = None) -> ModelPreview:
    """Segment one slice of a volume, the middle one by default, as a prediction of the whole volume would.

    Postprocessing, which looks at the whole volume, is left out.

    Raises:
        InputError: the model can't segment this scan.
    """
    preprocessing = checkpoint.card.preprocessing
    slicing = preprocessing.slicing(volume.geometry)
    number = slicing.shape[0] // 2 if number is None else min(max(number, 0), slicing.shape[0] - 1)
    values = slicing.view(volume.array)
    box = _box(values, preprocessing)
    whole = np.zeros(volume.geometry.shape, np.uint8)
    read = np.zeros((1, 1), np.float32)
    if box[0].start <= number < box[0].stop:
        labels, read = _segmented(checkpoint, values[box], slicing.spacing_mm, number - box[0].start)
        slicing.view(whole)[number][box[1:]] = labels
    shown = slicing_along(volume.geometry, slicing.axis)
    at = number if shown.flips[0] == slicing.flips[0] else slicing.shape[0] - 1 - number
    seen, drawn = shown.view(volume.array)[at], shown.view(whole)[at]
    counts = np.bincount(drawn.ravel())
    return ModelPreview(
        number,
        slicing.shape[0],
        read.shape[0],
        read.shape[1],
        (float(read.min()), float(read.max()), float(read.mean())),
        {str(index): int(count) for index, count in enumerate(counts) if index and count},
        shown.spacing_mm[1] * shown.spacing_mm[2] / 100,
        png_bytes(_labelled(seen, drawn, shown.spacing_mm[1:], checkpoint, _grey_range(seen, preprocessing))),
        png_bytes(_grey(read, preprocessing.spacing_mm or slicing.spacing_mm[1:])),
    )


def _box(values: np.ndarray, preprocessing: Preprocessing) -> tuple[slice, slice, slice]:
    """What of the scan is read: (slices, rows, columns)."""
    from ..model.prediction import nonzero_box

    box = nonzero_box(values) if preprocessing.crop_to_nonzero else (slice(None),) * 3
    ends = (one.indices(size) for one, size in zip(box, values.shape, strict=True))
    slices, rows, columns = (slice(begin, end) for begin, end, _ in ends)
    return slices, rows, columns


def _segmented(
    checkpoint: Checkpoint, values: np.ndarray, spacing_mm: tuple[float, float, float], number: int
) -> tuple[np.ndarray, np.ndarray]:
    """Labels of slice `number` of some slices, and what the network reads of it, normalised, at its own grid."""
    import torch

    from ..model.prediction import Predictor

    before = checkpoint.card.preprocessing
    reach = neighbour_step(spacing_mm[0], before) * (before.input_slices // 2)
    first = max(0, number - reach)
    part = np.ascontiguousarray(values[first : number + reach + 1])
    own = replace(
        before,
        normalisation=_measured(before.normalisation, values),
        axis=STORED,
        stored_axes=(0, 1, 2),
        orientation="",
        crop_to_nonzero=False,
    )
    card = replace(checkpoint.card, preprocessing=own, postprocessing=())
    volume = Volume(part, Geometry(part.shape, spacing_mm), "")
    labels = Predictor(replace(checkpoint, card=card)).predict(volume).segmentation.labels
    centre = part[number - first : number - first + 1]
    resampled = torch.from_numpy(network_slices(centre, spacing_mm[1:], own))
    read = own.normalisation.affine(centre)(resampled, torch.zeros(1, dtype=torch.long))
    return labels[number - first], read[0].numpy()


def _measured(normalisation: Normalisation, values: np.ndarray) -> Normalisation:
    """The normalisation with what it measures over the whole scan as numbers: a part of the scan then gives the same."""
    if normalisation.name not in ("z-score", "rescale") or normalisation.over == "slice" or not values.size:
        return normalisation
    clipped = normalisation.clipped(values)
    low, high = float(clipped.min()), float(clipped.max())
    if not low < high:
        return normalisation
    if normalisation.name == "z-score":
        mean, sd = float(clipped.mean(dtype=np.float64)), float(clipped.std(dtype=np.float64))
    else:
        to_low, to_high = normalisation.range
        sd = (high - low) / (to_high - to_low)
        mean = (low + high) / 2 - sd * (to_low + to_high) / 2
    return Normalisation("ct", (low, high), mean=mean, sd=sd)


def _grey_range(values: np.ndarray, preprocessing: Preprocessing) -> tuple[float, float]:
    """The values that are shown black and white."""
    if preprocessing.intensities == "HU":
        return SOFT_TISSUE_HU
    low, high = np.percentile(values, (1, 99))
    return float(low), float(high)


def _labelled(
    values: np.ndarray,
    labels: np.ndarray,
    spacing_mm: tuple[float, ...],
    checkpoint: Checkpoint,
    grey_range: tuple[float, float],
) -> np.ndarray:
    """A slice as RGB (rows, columns, 3) with square pixels, labels tinted and their edges in full colour."""
    grey, labels = _square(values, spacing_mm), _square(labels, spacing_mm)
    colors = np.zeros((256, 3), np.float32)
    for structure in checkpoint.card.structures:
        colors[structure.index] = structure.color
    inside = np.pad(labels, 1, mode="edge")
    edge = np.zeros(labels.shape, bool)
    for shifted in (inside[:-2, 1:-1], inside[2:, 1:-1], inside[1:-1, :-2], inside[1:-1, 2:]):
        edge |= shifted != labels
    weight = np.where(labels > 0, np.where(edge, 1.0, TINT), 0.0)[..., None]
    return np.asarray(_shades(grey, *grey_range)[..., None] * (1 - weight) + colors[labels] * weight, dtype=np.uint8)


def _grey(values: np.ndarray, spacing_mm: tuple[float, ...]) -> np.ndarray:
    shades = _shades(_square(values, spacing_mm), float(values.min()), float(values.max()))
    return np.repeat(shades[..., None], 3, axis=2).astype(np.uint8)


def _shades(values: np.ndarray, low: float, high: float) -> np.ndarray:
    """Values from low to high as 0 to 255."""
    return np.clip((values.astype(np.float32) - low) / max(high - low, 1e-6), 0, 1) * 255


def _square(values: np.ndarray, spacing_mm: tuple[float, ...]) -> np.ndarray:
    """A slice with square pixels, its longer side `PICTURE_PIXELS` long; each pixel is the nearest one of the slice."""
    sides_mm = [n * mm for n, mm in zip(values.shape, spacing_mm, strict=True)]
    size = [max(1, round(PICTURE_PIXELS * side / max(sides_mm))) for side in sides_mm]
    return values[np.ix_(*(np.arange(n) * old // n for n, old in zip(size, values.shape, strict=True)))]
