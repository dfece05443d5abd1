"""Logits from the network's grid to the scan's own pixels, and the labels that they come to."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

CLASSES_AT_A_TIME = 16  # classes whose logits are resampled together: a hundred would take 400 MB per batch


@torch.inference_mode()
def upsampled_labels(logits: Tensor, size: tuple[int, ...]) -> Tensor:
    """Class indices uint8 (B, *size): the class with the largest logit after bilinear resampling to `size`."""
    if tuple(logits.shape[2:]) == tuple(size):
        return logits.argmax(dim=1).to(torch.uint8)
    largest: Tensor | None = None
    winner: Tensor | None = None
    for first in range(0, logits.shape[1], CLASSES_AT_A_TIME):
        values, classes = upsampled_logits(logits[:, first : first + CLASSES_AT_A_TIME], size).max(dim=1)
        classes = (classes + first).to(torch.uint8)
        if largest is not None and winner is not None:
            classes = torch.where(values > largest, classes, winner)
            values = torch.maximum(values, largest)
        largest, winner = values, classes
    assert winner is not None
    return winner


@torch.inference_mode()
def upsampled_logits(logits: Tensor, size: tuple[int, ...]) -> Tensor:
    """Logits (B, classes, *size), resampled bilinearly."""
    if tuple(logits.shape[2:]) == tuple(size):
        return logits
    logits = logits.float().contiguous(memory_format=torch.channels_last)
    return functional.interpolate(logits, tuple(size), mode="bilinear", align_corners=False)
