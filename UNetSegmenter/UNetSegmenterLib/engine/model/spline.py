"""Cubic resampling of slices as scikit-image and scipy do it, in two matrix products per slice.

nnU-Net resamples images with `skimage.transform.resize(order=3, mode="edge", anti_aliasing=False)`: the cubic B-spline
through the pixels (Unser, Aldroubi and Eden, "B-Spline Signal Processing", IEEE Trans. Signal Processing 41, 1993) is
evaluated at the new pixel centres, and values beyond the image's own range, which the spline overshoots to, are clipped.
The spline is separable and linear, so along each axis it is one matrix: the inverse of the interpolation's band matrix
(the "prefilter"), then four weights per new pixel.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np

BORDER = 12  # pixels repeated beyond each end before filtering, as scipy does; the filter falls by 3.7 for each
FAR_APART = 3  # ratio of spacings above which nnU-Net takes slices one by one


@lru_cache(maxsize=16)
def cubic_matrix(size: int, new_size: int) -> np.ndarray:
    """Matrix (new_size, size) that resamples `size` pixels to `new_size` over the same width; float64, rows sum to 1."""
    padded = size + 2 * BORDER
    # The spline's value at a pixel is 1/6, 4/6 and 1/6 of the coefficients there and beside it; mirrored at the ends.
    interpolation = (np.eye(padded) * 4 + np.eye(padded, k=1) + np.eye(padded, k=-1)) / 6
    interpolation[0, 0] = interpolation[-1, -1] = 5 / 6
    repeated = np.eye(size)[np.clip(np.arange(padded) - BORDER, 0, size - 1)]  # (padded, size)
    coefficients = np.linalg.solve(interpolation, repeated)  # (padded, size)
    positions = (np.arange(new_size) + 0.5) * (size / new_size) - 0.5 + BORDER
    first = np.floor(positions).astype(int) - 1
    result = np.zeros((new_size, size))
    for step in range(4):
        weights = _cubic_spline(positions - (first + step))
        result += weights[:, None] * coefficients[np.clip(first + step, 0, padded - 1)]
    return result


def _cubic_spline(distances: np.ndarray) -> np.ndarray:
    """The cubic B-spline at some distances from its centre, in pixels."""
    distances = np.abs(distances)
    near = 2 / 3 - distances**2 + distances**3 / 2
    far = np.clip(2 - distances, 0, None) ** 3 / 6
    return np.where(distances < 1, near, far)


def resample_cubic(slices: np.ndarray, size: tuple[int, int], limits: tuple[float, float] | None = None) -> np.ndarray:
    """Resample slices in-plane by cubic B-splines.

    Args:
        slices: (slices, rows, columns).
        size: new rows and columns.
        limits: smallest and largest value of the result; by default each slice's own.

    Returns:
        float32 (slices, *size); `slices` themselves where they have that size already.
    """
    slices = np.ascontiguousarray(slices, dtype=np.float32)
    if slices.shape[1:] == tuple(size):
        return slices
    rows = cubic_matrix(slices.shape[1], size[0]).astype(np.float32)
    columns = cubic_matrix(slices.shape[2], size[1]).astype(np.float32).T
    result = np.matmul(np.matmul(rows, slices), columns)
    low: Any
    high: Any
    low, high = limits or (slices.min(axis=(1, 2), keepdims=True), slices.max(axis=(1, 2), keepdims=True))
    return np.clip(result, low, high, out=result)


def slices_are_far_apart(spacing_mm: Sequence[float], new_spacing_mm: Sequence[float]) -> bool:
    """Whether nnU-Net resamples each slice by itself, and clips it to its own range: where the largest of a grid's three
    spacings is one alone and over three times the smallest. Otherwise it resamples, and clips, the scan as a whole.

    Args:
        spacing_mm: between slices, rows and columns.
        new_spacing_mm: after resampling; asked where the first ones are not far apart.
    """
    for spacings in (spacing_mm, new_spacing_mm):
        if max(spacings) / min(spacings) > FAR_APART:
            return sum(spacing == max(spacings) for spacing in spacings) == 1
    return False
