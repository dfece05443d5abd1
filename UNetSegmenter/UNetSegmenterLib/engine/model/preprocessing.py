"""Preprocessing: from HU to the network's input, the same for training, validation and prediction."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..errors import InputError

if TYPE_CHECKING:
    from torch import Tensor

RESAMPLING_BATCH = 16  # slices resampled at a time: a few MB of float32 at 512 x 512


@dataclass(frozen=True)
class Preprocessing:
    """How a scan becomes the network's input.

    Args:
        spacing_mm: in-plane pixel size.
        window_hu: HU are clipped to this range, which is mapped to -1..1.
        input_slices: neighbouring slices given as channels (1, 3 or 5).
        slice_distance_mm: wanted distance between them.
        size_multiple: rows and columns are padded to multiples of it.
        axis: the slicing axis; "axial" is the only one.
    """

    spacing_mm: float
    window_hu: tuple[float, float]
    input_slices: int = 1
    slice_distance_mm: float = 3.0
    size_multiple: int = 16
    axis: str = "axial"

    def __post_init__(self) -> None:
        if self.axis != "axial":
            raise InputError(f'The slicing axis is "{self.axis}"; "axial" is expected.')
        if self.input_slices not in (1, 3, 5):
            raise InputError(f"The network has {self.input_slices} input slices; 1, 3 or 5 are expected.")
        if not self.window_hu[0] < self.window_hu[1] or self.spacing_mm <= 0 or self.size_multiple < 1:
            raise InputError(
                f"Window {self.window_hu} HU, spacing {self.spacing_mm} mm and size multiple {self.size_multiple} "
                "are not usable; a rising window, a positive spacing and a multiple of at least 1 are expected."
            )


def network_size(size: tuple[int, int], in_plane_mm: tuple[float, float], spacing_mm: float) -> tuple[int, int]:
    """Rows and columns at the network's grid, `spacing_mm` per pixel, of a slice of `size` pixels of `in_plane_mm`."""
    rows, columns = (max(1, round(n * mm / spacing_mm)) for n, mm in zip(size, in_plane_mm, strict=True))
    return rows, columns


def network_slices(hu: np.ndarray, in_plane_mm: tuple[float, float], preprocessing: Preprocessing) -> np.ndarray:
    """Clip axial slices to the window and resample them in-plane (bilinear, antialiased when shrinking).

    Args:
        hu: (slices, rows, columns), any strides.
        in_plane_mm: size of a pixel, between rows and between columns.
        preprocessing: window and pixel size of the network.

    Returns:
        int16 HU (slices, network rows, network columns).
    """
    import torch
    from torch.nn import functional

    low, high = preprocessing.window_hu
    size = network_size((hu.shape[1], hu.shape[2]), in_plane_mm, preprocessing.spacing_mm)
    result = np.empty((hu.shape[0], *size), dtype=np.int16)
    for start in range(0, hu.shape[0], RESAMPLING_BATCH):
        clipped = np.clip(hu[start : start + RESAMPLING_BATCH], low, high)
        if size != clipped.shape[1:]:
            batch = torch.from_numpy(np.ascontiguousarray(clipped, dtype=np.float32))[:, None]
            shrinks = size[0] < clipped.shape[1] or size[1] < clipped.shape[2]
            batch = functional.interpolate(batch, size, mode="bilinear", align_corners=False, antialias=shrinks)
            clipped = batch[:, 0].numpy()
        result[start : start + RESAMPLING_BATCH] = np.rint(clipped)
    return result


def network_labels(
    labels: np.ndarray, in_plane_mm: tuple[float, float], preprocessing: Preprocessing, classes: int
) -> np.ndarray:
    """Resample axial label slices to the network's grid: each class linearly, then the largest fraction wins.

    Args:
        labels: (slices, rows, columns) class indices.
        in_plane_mm: size of a pixel, between rows and between columns.
        preprocessing: pixel size of the network.
        classes: structures and background.

    Returns:
        uint8 (slices, network rows, network columns).
    """
    import torch
    from torch.nn import functional

    size = network_size((labels.shape[1], labels.shape[2]), in_plane_mm, preprocessing.spacing_mm)
    if size == labels.shape[1:]:
        return np.ascontiguousarray(labels, dtype=np.uint8)
    result = np.empty((labels.shape[0], *size), dtype=np.uint8)
    shrinks = size[0] < labels.shape[1] or size[1] < labels.shape[2]
    for start in range(0, labels.shape[0], RESAMPLING_BATCH):
        batch = torch.from_numpy(np.ascontiguousarray(labels[start : start + RESAMPLING_BATCH], dtype=np.int64))
        fractions = functional.one_hot(batch, classes).permute(0, 3, 1, 2).float()
        fractions = functional.interpolate(fractions, size, mode="bilinear", align_corners=False, antialias=shrinks)
        result[start : start + RESAMPLING_BATCH] = fractions.argmax(dim=1).to(torch.uint8).numpy()
    return result


def neighbour_step(slice_spacing_mm: float, preprocessing: Preprocessing) -> int:
    """Slices of the scan from one input slice to the next, at least 1, so that they are about `slice_distance_mm` apart."""
    return max(1, round(preprocessing.slice_distance_mm / slice_spacing_mm))


def neighbour_offsets(input_slices: int, step: int) -> list[int]:
    """Slice offsets of the network's input channels, such as [-3, 0, 3]; the middle one is the slice itself."""
    reach = input_slices // 2
    return [step * offset for offset in range(-reach, reach + 1)]


def normalise(hu: Tensor, window_hu: tuple[float, float]) -> Tensor:
    """Map HU to float32 -1..1: the window's ends become -1 and 1, and values outside are clipped."""
    low, high = window_hu
    return (hu.float().clamp(low, high) - (low + high) / 2) * (2 / (high - low))


def stack_slices(hu: Tensor, centres: Tensor, offsets: list[int], window_hu: tuple[float, float]) -> Tensor:
    """Network input for the slices `centres` of one scan.

    Args:
        hu: int16 (slices, rows, columns) at the network's grid; beyond the ends the last slice is repeated.
        centres: slice numbers (B,).
        offsets: see `neighbour_offsets`.
        window_hu: the HU range that is mapped to -1..1.

    Returns:
        float32 (B, len(offsets), rows, columns).
    """
    index = centres[:, None] + hu.new_tensor(offsets, dtype=centres.dtype)
    return normalise(hu[index.clamp(0, hu.shape[0] - 1)], window_hu)


def pad_to_multiple(slices: Tensor, multiple: int) -> Tensor:
    """Pad rows and columns at their end to multiples of `multiple` with the window's lower end (air)."""
    from torch.nn import functional

    rows, columns = (-slices.shape[-2]) % multiple, (-slices.shape[-1]) % multiple
    return functional.pad(slices, (0, columns, 0, rows), value=-1.0) if rows or columns else slices
