"""Logits of slices that the network sees in patches, as nnU-Net's predictor makes them: overlapping, weighted, mirrored.

Formulas: Isensee et al., Nature Methods 2021 (inference: patches overlap by half their size; voxels near a patch's centre
count more, by a Gaussian; flipped copies are averaged). Steps, weights and padding are nnU-Net's to the pixel.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import lru_cache
from itertools import combinations

import torch
from torch import Tensor
from torch.nn import functional

SIGMA = 1 / 8  # of the weights, in patch sizes
PEAK = 10.0  # the largest weight: float16, to which the weights are rounded, is finer there

Network = Callable[[Tensor], Tensor]


def patch_starts(length: int, patch: int, step: float) -> list[int]:
    """Where patches begin along an axis of at least `patch` pixels, so that they are `step` patch sizes apart or less."""
    count = math.ceil((length - patch) / (patch * step)) + 1
    return [round((length - patch) / (count - 1) * i) if count > 1 else 0 for i in range(count)]


@lru_cache(maxsize=8)
def patch_weights(patch_size: tuple[int, int]) -> Tensor:
    """The weight of each pixel of a patch, float32 (rows, columns): a Gaussian, nowhere 0, rounded to float16 as nnU-Net's."""
    along = [
        torch.exp(-0.5 * ((torch.arange(size, dtype=torch.float64) - size // 2) / (size * SIGMA)) ** 2)
        for size in patch_size
    ]
    weights = (torch.outer(*along) * PEAK).to(torch.float16).float()
    return weights.clamp(min=weights[weights > 0].min().item())


def mirrorings(mirror_axes: Sequence[int]) -> list[tuple[int, ...]]:
    """Dimensions of (B, channels, rows, columns) to flip, each combination once; the first one flips none."""
    dimensions = [axis + 2 for axis in mirror_axes]
    return [axes for count in range(len(dimensions) + 1) for axes in combinations(dimensions, count)]


def mirrored_logits(network: Network, slices: Tensor, mirror_axes: Sequence[int]) -> Tensor:
    """Mean of the logits of slices (B, channels, rows, columns) and of their copies flipped along every subset of the axes.

    Args:
        network: gives logits (B, classes, rows, columns).
        slices: (B, channels, rows, columns).
        mirror_axes: 0 for rows, 1 for columns; with none of them the logits are the network's.

    Returns:
        float32 (B, classes, rows, columns).
    """
    total = network(slices).float()
    flips = mirrorings(mirror_axes)
    for flip in flips[1:]:
        total = total + network(slices.flip(flip)).flip(flip)
    return total / len(flips) if len(flips) > 1 else total


def padded_to(slices: Tensor, size: Sequence[int], padding: str, value: float) -> tuple[Tensor, tuple[slice, slice]]:
    """Slices (B, channels, rows, columns) of at least `size`, and where their own rows and columns lie in it.

    Args:
        slices: (B, channels, rows, columns).
        size: rows and columns.
        padding: "end", or "centre" for both sides (the odd pixel at the end).
        value: of added pixels.
    """
    rows, columns = slices.shape[2:]
    missing = [max(0, wanted - found) for wanted, found in zip(size, (rows, columns), strict=True)]
    top, left = (number // 2 if padding == "centre" else 0 for number in missing)
    if any(missing):
        slices = functional.pad(slices, (left, missing[1] - left, top, missing[0] - top), value=value)
    return slices, (slice(top, top + rows), slice(left, left + columns))


def patched_logits(network: Network, slices: Tensor, patch_size: tuple[int, int], step: float) -> Tensor:
    """Logits of slices from a network that reads patches.

    Args:
        network: gives logits (B, classes, *patch_size) of (B, channels, *patch_size).
        slices: (B, channels, rows, columns), of at least `patch_size`.
        patch_size: rows and columns of a patch.
        step: distance between patches in patch sizes, above 0 to 1.

    Returns:
        float32 (B, classes, rows, columns).
    """
    starts = [
        (row, column)
        for row in patch_starts(slices.shape[2], patch_size[0], step)
        for column in patch_starts(slices.shape[3], patch_size[1], step)
    ]
    if len(starts) == 1:
        return network(slices).float()
    weights = patch_weights(patch_size).to(slices.device)
    weight = torch.zeros(slices.shape[2:], device=slices.device)
    total = torch.zeros(())
    for row, column in starts:
        window = (slice(row, row + patch_size[0]), slice(column, column + patch_size[1]))
        logits = network(slices[:, :, window[0], window[1]]).float()
        if total.ndim == 0:
            total = logits.new_zeros((*logits.shape[:2], *slices.shape[2:]))
        total[:, :, window[0], window[1]] += logits * weights
        weight[window] += weights
    return total / weight
