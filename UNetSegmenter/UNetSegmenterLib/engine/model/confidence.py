"""Confidence of the network along the outline of each structure, summed up slice by slice during prediction.

The confidence of a pixel is its largest class probability (softmax). A volume of probabilities is never built: only the pixels on
both sides of an outline count, at the network's grid, and two whole numbers per structure are kept.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

_UNITS = 10_000  # probabilities are rounded to ten-thousandths: sums of whole numbers do not depend on their order


class OutlineConfidence:
    """Sums and counts of the confidence of outline pixels, for each of `classes` classes (background included)."""

    def __init__(self, classes: int) -> None:
        self._sums = np.zeros(classes, np.int64)
        self._counts = np.zeros(classes, np.int64)

    def add(self, sums: np.ndarray, counts: np.ndarray) -> None:
        """Add the sums and counts, each (classes,), that `outline_sums` found in some slices."""
        self._sums += sums
        self._counts += counts

    def means(self) -> dict[int, float]:
        """Mean confidence, 0 to 1, by structure index; structures without an outline are left out."""
        found = np.flatnonzero(self._counts[1:]) + 1
        return {int(i): float(self._sums[i]) / (_UNITS * int(self._counts[i])) for i in found}


def outline_sums(logits: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Sum up the confidence along the outlines in a batch of slices.

    Wherever two neighbouring pixels of a slice have different labels, the mean of their confidences counts for both labels.

    Args:
        logits: float32 (B, classes, rows, columns) at the network's grid.

    Returns:
        Sums, in ten-thousandths, and counts, each (classes,) int64.
    """
    labels = logits.argmax(dim=1).to(torch.uint8)
    classes = logits.shape[1]
    sums, counts = np.zeros(classes, np.int64), np.zeros(classes, np.int64)
    for axis in (1, 2):
        size = labels.shape[axis]
        if size < 2:
            continue
        here, there = labels.narrow(axis, 0, size - 1), labels.narrow(axis, 1, size - 1)
        batch, row, column = (here != there).nonzero(as_tuple=True)
        beyond = (batch, row + 1, column) if axis == 1 else (batch, row, column + 1)
        confidence = (_confidence(logits, batch, row, column) + _confidence(logits, *beyond)) / 2
        units = (confidence * _UNITS).round().long().cpu().numpy()
        for side in (labels[batch, row, column], labels[beyond]):
            label = side.cpu().numpy()
            sums += np.bincount(label, weights=units, minlength=classes).astype(np.int64)
            counts += np.bincount(label, minlength=classes)
    return sums, counts


def _confidence(logits: Tensor, batch: Tensor, row: Tensor, column: Tensor) -> Tensor:
    """Largest class probability of n single pixels, (n,)."""
    return logits[batch, :, row, column].softmax(dim=1).amax(dim=1)
