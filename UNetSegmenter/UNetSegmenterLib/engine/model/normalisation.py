"""Normalisation: how the values of a scan become the numbers that a network reads.

| name | formula | whose |
|---|---|---|
| `window` | clip to (low, high), map linearly to `range` | a window of HU, as a radiologist sets it; `unetseg train` |
| `ct` | clip to (low, high), then (x - mean) / sd, all four from the training data | CTNormalization of nnU-Net [1] |
| `z-score` | (x - mean) / sd, mean and sd of the scan or of each slice | ZScoreNormalization of nnU-Net [1] |
| `rescale` | map smallest and largest value of the scan or of each slice to `range` | RescaleTo01Normalization of nnU-Net [1] |
| `none` | x | the network normalises itself |

`z-score` and `rescale` clip first where a clip is given.

[1] Isensee et al., "nnU-Net: a self-configuring method for deep learning-based biomedical image segmentation", Nature Methods
18 (2021), supplement "Intensity normalization".
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import InputError

if TYPE_CHECKING:
    from torch import Tensor

NAMES = ("window", "ct", "z-score", "rescale", "none")
SMALLEST_SD = 1e-8  # of a scan of one value, as nnU-Net has it


@dataclass(frozen=True)
class Affine:
    """(x - centre) * scale + offset; `centre` and `scale` are numbers, or (slices,) tensors with one number per slice."""

    centre: float | Tensor
    scale: float | Tensor
    offset: float = 0.0

    def __call__(self, values: Tensor, slices: Tensor | None = None) -> Tensor:
        """Normalise gathered slices.

        Args:
            values: (..., rows, columns), of any type.
            slices: (...) the number of each slice, where each has numbers of its own.

        Returns:
            float32, of the shape of `values`.
        """
        centre, scale = (self._of(number, slices) for number in (self.centre, self.scale))
        result = (values.float() - centre) * scale
        return result + self.offset if self.offset else result

    @staticmethod
    def _of(number: float | Tensor, slices: Tensor | None) -> float | Tensor:
        return number if isinstance(number, (int, float)) else number[slices][..., None, None]


@dataclass(frozen=True)
class Normalisation:
    """A normalisation and its parameters; the formulas are at the top of this file.

    Args:
        name: one of `NAMES`.
        clip: smallest and largest value kept; needed by `window` and `ct`.
        range: what `window` and `rescale` map to.
        mean: of the training data, for `ct`.
        sd: of the training data, for `ct`.
        over: "scan" or "slice", which `z-score` and `rescale` measure.

    Raises:
        InputError: a parameter is missing or unusable.
    """

    name: str
    clip: tuple[float, float] | None = None
    range: tuple[float, float] = (-1.0, 1.0)
    mean: float = 0.0
    sd: float = 1.0
    over: str = "scan"

    def __post_init__(self) -> None:
        if self.name not in NAMES:
            raise InputError(f'The normalisation is "{self.name}"; {", ".join(NAMES)} are known.')
        if self.clip is None and self.name in ("window", "ct"):
            raise InputError(f'The normalisation "{self.name}" lacks "clip", the smallest and the largest value kept.')
        if self.clip is not None and not self.clip[0] < self.clip[1]:
            raise InputError(
                f"The normalisation clips to {self.clip[0]:g} to {self.clip[1]:g}; a rising range is expected."
            )
        if not self.range[0] < self.range[1] or self.sd <= 0 or self.over not in ("scan", "slice"):
            raise InputError(
                f'The normalisation has the range {self.range}, the sd {self.sd:g} and is over "{self.over}"; a rising range, '
                'a positive sd and "scan" or "slice" are expected.'
            )

    def to_json(self) -> dict[str, Any]:
        """The name and the parameters that it needs, as a JSON object."""
        needed = {
            "window": ("clip", "range"),
            "ct": ("clip", "mean", "sd"),
            "z-score": ("clip", "over"),
            "rescale": ("clip", "range", "over"),
            "none": (),
        }[self.name]
        return {"name": self.name} | {name: asdict(self)[name] for name in needed if asdict(self)[name] is not None}

    @classmethod
    def from_json(cls, plain: dict[str, Any]) -> Normalisation:
        """A normalisation from a JSON object that fits the card's schema."""
        pairs = {name: tuple(map(float, plain[name])) for name in ("clip", "range") if plain.get(name) is not None}
        return cls(**{**plain, **pairs})

    def text(self) -> str:
        """The normalisation in words, such as "-160 to 240" of a window, or "z-score, of the slice"."""
        parts = [self.name] if self.name != "window" else []
        if self.clip is not None:
            parts.append(f"{self.clip[0]:g} to {self.clip[1]:g}")
        if self.name == "ct":
            parts.append(f"mean {self.mean:g}, sd {self.sd:g}")
        if self.name in ("z-score", "rescale"):
            parts.append(f"of the {self.over}")
        return ", ".join(parts)

    @property
    def lowest(self) -> float:
        """The smallest value kept; raises InputError where nothing is clipped."""
        if self.clip is None:
            raise InputError(f'The normalisation "{self.name}" clips nothing; a window is expected.')
        return self.clip[0]

    def clipped(self, values: np.ndarray) -> np.ndarray:
        """The values within `clip`, or themselves."""
        return values if self.clip is None else np.clip(values, *self.clip)

    def affine(self, slices: np.ndarray | None = None) -> Affine:
        """The linear part, which comes after clipping.

        Args:
            slices: (slices, rows, columns) of one scan; `z-score` and `rescale` measure it.
        """
        low, high = self.range
        if self.name == "none":
            return Affine(0.0, 1.0)
        if self.name == "ct":
            return Affine(self.mean, 1.0 / max(self.sd, SMALLEST_SD))
        if self.name == "window":
            assert self.clip is not None
            return _mapping(*self.clip, low, high)
        assert slices is not None
        one: Any
        other: Any
        if self.over == "scan":
            one, other = self._measured(slices)
        else:
            import torch

            one, other = torch.tensor([self._measured(each) for each in slices], dtype=torch.float32).T
        return Affine(one, 1.0 / other) if self.name == "z-score" else _mapping(one, other, low, high)

    def _measured(self, values: np.ndarray) -> tuple[float, float]:
        """Mean and sd for `z-score`; smallest and largest value for `rescale`."""
        values = self.clipped(values)
        if self.name == "z-score":
            return float(values.mean(dtype=np.float64)), max(float(values.std(dtype=np.float64)), SMALLEST_SD)
        lowest, highest = float(values.min()), float(values.max())
        return lowest, highest if highest > lowest else lowest + 1


def window(low: float, high: float) -> Normalisation:
    """The normalisation of `unetseg train`: a window in HU that becomes -1..1."""
    return Normalisation("window", (low, high))


def _mapping(low: Any, high: Any, to_low: float, to_high: float) -> Affine:
    """The linear map of low..high to to_low..to_high."""
    return Affine((low + high) / 2, (to_high - to_low) / (high - low), (to_low + to_high) / 2)
