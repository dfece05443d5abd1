"""The training configuration: every choice that, with the preprocessed data set, decides the weights."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field, fields, is_dataclass
from typing import Any, ClassVar, get_type_hints

from UNetSegmenterLib.engine.errors import InputError
from UNetSegmenterLib.engine.model.architectures import NetworkDescription, unet
from UNetSegmenterLib.engine.plain_data import from_mapping

RANGES = {
    "steps": (1, math.inf),
    "batch_size": (1, math.inf),
    "base_width": (1, 512),
    "depth": (1, 8),
    "learning_rate": (0, math.inf),
    "weight_decay": (0, math.inf),
    "warmup_fraction": (0, 1),
    "gradient_norm": (0, math.inf),
    "ema": (0, 1),
    "foreground_fraction": (0, 1),
    "neighbour_jitter": (0, 1),
    "seed": (0, math.inf),
}


FRACTIONS = ("low_resolution", "fraction")
"""Entries of the augmentation from 0 to 1: the weight of one picture of two, and the fraction of the slices."""


@dataclass(frozen=True)
class Augmentation:
    """Ranges of the random changes, sampled for each slice of a batch; `STORED_NAMES` has the keys that files keep.

    Args:
        rotation_degrees: largest rotation to either side.
        scale: zoom, sampled log-uniformly between 1/x and x.
        shift: largest shift, as a fraction of the patch.
        elastic: largest displacement of the deformation's control points, as a fraction of the patch.
        contrast: largest deviation of a factor from 1.
        brightness: largest offset, in units of the normalised window (-1 to 1).
        gamma: exponent, sampled log-uniformly between 1/x and x.
        noise: largest standard deviation of Gaussian noise, in units of the normalised window.
        blur: largest weight of the blurred slice.
        low_resolution: largest weight of the slice at half its resolution.
        fraction: fraction of the slices that get each of gamma, noise, blur and low resolution.
    """

    rotation_degrees: float = 15.0
    scale: float = 1.4
    shift: float = 0.1
    elastic: float = 0.0
    contrast: float = 0.25
    brightness: float = 0.15
    gamma: float = 1.5
    noise: float = 0.12
    blur: float = 1.0
    low_resolution: float = 0.0
    fraction: float = 0.3

    STORED_NAMES: ClassVar = {"fraction": "share"}

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            low, high = 1.0 if name in ("scale", "gamma") else 0.0, 1.0 if name in FRACTIONS else math.inf
            if not low <= value <= high:
                expected = f"{low:g} to {high:g}" if high < math.inf else f"at least {low:g}"
                raise InputError(f"The augmentation's {name} is {value}; {expected} is expected.")

    def scaled(self, strength: float) -> Augmentation:
        """All ranges narrower (strength below 1) or wider; a strength of 0 turns the augmentation off."""
        factors = {name: getattr(self, name) ** strength for name in ("scale", "gamma")}
        return Augmentation(
            **{name: value * strength for name, value in vars(self).items()}
            | factors
            | {"fraction": self.fraction, "low_resolution": min(1.0, self.low_resolution * strength)}
        )


@dataclass(frozen=True)
class TrainingConfig:
    """Hyperparameters of a run; the defaults are those that docs/models.md measured, and a plan replaces them.

    `STORED_NAMES` has the keys that files keep for fields with another name.

    Args:
        steps: optimiser steps.
        batch_size: slices per step.
        patch: rows and columns that an augmented slice is cut to; prediction sees whole slices.
        input_slices: neighbouring slices given as channels (1, 3 or 5).
        base_width: channels of the first level.
        depth: how often the network halves the image.
        skip_connections: true, or false for a network without them, which shows what they are for.
        loss: name of the loss (see docs/losses.md).
        deep_supervision: whether coarser levels of the decoder are trained on the labels too, each at its own resolution.
        learning_rate: AdamW's largest learning rate.
        weight_decay: AdamW's decay.
        schedule: how the learning rate falls: cosine, polynomial or constant.
        warmup_fraction: fraction of the steps in which the learning rate rises.
        gradient_norm: gradients are scaled down to this norm.
        ema: decay of the averaged weights, which are what is validated and released.
        foreground_fraction: fraction of a batch that foreground oversampling takes: slices with a randomly chosen structure.
        neighbour_jitter: fraction of slices whose neighbours come from another distance, half of them the slice itself.
        augmentation: random changes of each slice.
        train_split: cases to train on ("train", or "all" for a release once the figures are fixed).
        validation_split: cases to validate on; none if the data set has no such split.
        seed: seed of the weights, the batches and the augmentation.
    """

    steps: int = 7000
    batch_size: int = 8
    patch: tuple[int, int] = (128, 176)
    input_slices: int = 3
    base_width: int = 16
    depth: int = 4
    skip_connections: bool = True
    loss: str = "dice_ce"
    deep_supervision: bool = False
    learning_rate: float = 2e-3
    weight_decay: float = 1e-2
    schedule: str = "cosine"
    warmup_fraction: float = 0.05
    gradient_norm: float = 12.0
    ema: float = 0.998
    foreground_fraction: float = 0.67
    neighbour_jitter: float = 0.25
    augmentation: Augmentation = field(default_factory=Augmentation)
    train_split: str = "train"
    validation_split: str = "validation"
    seed: int = 0

    STORED_NAMES: ClassVar = {"warmup_fraction": "warmup_share", "foreground_fraction": "foreground_share"}

    def __post_init__(self) -> None:
        for name, (low, high) in RANGES.items():
            if not low <= getattr(self, name) <= high:
                expected = f"at least {low}" if high == math.inf else f"{low} to {high}"
                raise InputError(
                    f"The training configuration's {name} is {getattr(self, name)}; {expected} is expected."
                )
        if self.input_slices not in (1, 3, 5):
            raise InputError(
                f"The training configuration's input_slices is {self.input_slices}; 1, 3 or 5 are expected."
            )
        if min(self.patch) < 2 ** (self.depth + 1):
            raise InputError(
                f"A patch of {self.patch[0]} x {self.patch[1]} pixels can't be halved {self.depth} times; take a depth of less, "
                f"or a patch of at least {2 ** (self.depth + 1)} pixels a side."
            )

    def network(self, structures: int) -> NetworkDescription:
        """The network for so many structures, as a card describes it."""
        return unet(self.input_slices, structures + 1, self.base_width, self.depth, self.skip_connections)


def option_values(config: TrainingConfig) -> dict[str, Any]:
    """All values by the names of the options: those of the augmentation are called augmentation.NAME."""
    values = asdict(config)
    augmentation = values.pop("augmentation")
    return values | {f"augmentation.{name}": value for name, value in augmentation.items()}


def read_config(values: Any, where: str) -> TrainingConfig:
    """The training configuration of stored values; entries that are left out keep their default.

    Args:
        values: names and values, as a card or a plan has them.
        where: what error messages call the values.

    Raises:
        InputError: an entry is unknown or invalid.
    """
    return from_mapping(TrainingConfig, with_present_names(TrainingConfig, values), where)


def with_present_names(cls: Any, values: Any) -> Any:
    """Stored values of a configuration with the names of its fields; anything but a mapping is returned unchanged."""
    if not isinstance(values, dict):
        return values
    present = {stored: name for name, stored in cls.STORED_NAMES.items()}
    hints = get_type_hints(cls)
    renamed = {str(present.get(name, name)): value for name, value in values.items()}
    return {
        name: with_present_names(hints[name], value) if is_dataclass(hints.get(name)) else value
        for name, value in renamed.items()
    }


def stored_values(config: Any) -> dict[str, Any]:
    """A configuration as cards, states and plans keep it, by the names of `STORED_NAMES`."""
    values = {one.name: getattr(config, one.name) for one in fields(config)}
    return {
        config.STORED_NAMES.get(name, name): stored_values(value) if is_dataclass(value) else value
        for name, value in values.items()
    }
