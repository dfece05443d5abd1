"""The recipe of a training run: every choice that, with the pack, decides the weights."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from UNetSegmenterLib.engine.errors import InputError

from .augmentation import Augmentation

RANGES = {
    "steps": (1, math.inf),
    "batch_size": (1, math.inf),
    "base_width": (1, 512),
    "depth": (1, 8),
    "learning_rate": (0, math.inf),
    "weight_decay": (0, math.inf),
    "warmup_share": (0, 1),
    "gradient_norm": (0, math.inf),
    "ema": (0, 1),
    "foreground_share": (0, 1),
    "neighbour_jitter": (0, 1),
    "seed": (0, math.inf),
}


@dataclass(frozen=True)
class TrainingConfig:
    """Defaults are what docs/models.md measured; the plan of a pack takes their place.

    Args:
        steps: optimiser steps.
        batch_size: slices a step.
        patch: rows and columns that an augmented slice is cut to; prediction sees whole slices.
        input_slices: neighbouring slices given as channels (1, 3 or 5).
        base_width: channels of the first level.
        depth: how often the network halves the image.
        loss: name of the loss (see docs/losses.md).
        learning_rate: AdamW's largest learning rate.
        weight_decay: AdamW's decay.
        schedule: how the learning rate falls: cosine, polynomial or constant.
        warmup_share: share of the steps in which the learning rate rises.
        gradient_norm: gradients are scaled down to this norm.
        ema: decay of the averaged weights, which are what is validated and released.
        foreground_share: share of a batch drawn for holding a structure that was chosen at random.
        neighbour_jitter: share of slices whose neighbours come from another distance, half of them the slice itself.
        augmentation: random changes of each slice.
        train_split: cases to train on ("train", or "all" for a release once the figures are fixed).
        validation_split: cases whose Dice is followed; none if the pack has no such split.
        seed: of the weights, the batches and the augmentation.
    """

    steps: int = 7000
    batch_size: int = 8
    patch: tuple[int, int] = (128, 176)
    input_slices: int = 3
    base_width: int = 16
    depth: int = 4
    loss: str = "dice_ce"
    learning_rate: float = 2e-3
    weight_decay: float = 1e-2
    schedule: str = "cosine"
    warmup_share: float = 0.05
    gradient_norm: float = 12.0
    ema: float = 0.998
    foreground_share: float = 0.67
    neighbour_jitter: float = 0.25
    augmentation: Augmentation = field(default_factory=Augmentation)
    train_split: str = "train"
    validation_split: str = "validation"
    seed: int = 0

    def __post_init__(self) -> None:
        for name, (low, high) in RANGES.items():
            if not low <= getattr(self, name) <= high:
                expected = f"at least {low}" if high == math.inf else f"{low} to {high}"
                raise InputError(f"The recipe's {name} is {getattr(self, name)}; {expected} is expected.")
        if self.input_slices not in (1, 3, 5):
            raise InputError(f"The recipe's input_slices is {self.input_slices}; 1, 3 or 5 are expected.")
        if min(self.patch) < 2 ** (self.depth + 1):
            raise InputError(
                f"A patch of {self.patch[0]} x {self.patch[1]} pixels can't be halved {self.depth} times; take a depth of less, "
                f"or a patch of at least {2 ** (self.depth + 1)} pixels a side."
            )
