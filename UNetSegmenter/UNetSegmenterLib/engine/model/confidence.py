"""How sure the network was along the outline of each structure, gathered slice by slice while it predicts.

A whole volume of probabilities is never built: of each slice only the pixels on both sides of an outline are looked at,
at the network's own grid, and two whole numbers a structure are kept.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

_STEPS = 10_000  # a probability counts in ten-thousandths: sums of whole numbers don't depend on their order


class OutlineConfidence:
    """Sums and counts of the largest probability of pixels on an outline, for each of `classes` classes."""

    def __init__(self, classes: int) -> None:
        self._sums = np.zeros(classes, np.int64)
        self._counts = np.zeros(classes, np.int64)

    def add(self, sums: np.ndarray, counts: np.ndarray) -> None:
        """What `outline_sums` made of some slices."""
        self._sums += sums
        self._counts += counts

    def means(self) -> dict[int, float]:
        """Mean largest probability, 0 to 1, by structure index; structures without an outline are left out."""
        found = np.flatnonzero(self._counts[1:]) + 1
        return {int(i): float(self._sums[i]) / (_STEPS * int(self._counts[i])) for i in found}


def outline_sums(logits: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Sums (in ten-thousandths) and counts of the largest probability along the outlines, each (classes,) int64.

    logits: float32 (B, classes, rows, columns) at the network's grid. Wherever two neighbouring pixels of a slice have different
    labels, the mean of their largest probabilities counts for both labels.
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
        sure = (_largest(logits, batch, row, column) + _largest(logits, *beyond)) / 2
        steps = (sure * _STEPS).round().long().cpu().numpy()
        for side in (labels[batch, row, column], labels[beyond]):
            of = side.cpu().numpy()
            sums += np.bincount(of, weights=steps, minlength=classes).astype(np.int64)
            counts += np.bincount(of, minlength=classes)
    return sums, counts


def _largest(logits: Tensor, batch: Tensor, row: Tensor, column: Tensor) -> Tensor:
    """Largest class probability of single pixels, (n,)."""
    return logits[batch, :, row, column].softmax(dim=1).amax(dim=1)
