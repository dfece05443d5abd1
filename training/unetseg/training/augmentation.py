"""Augmentation of a whole batch at once, on the device that trains.

No left-right flips: sides are labels (left kidney, right kidney), and a CT always arrives upright.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Generator, Tensor
from torch.nn import functional
from UNetSegmenterLib.engine.errors import InputError


@dataclass(frozen=True)
class Augmentation:
    """Ranges of the random changes; each slice of a batch draws its own.

    rotation_degrees and shift (share of the patch) are half-widths, scale and gamma are drawn log-uniformly between 1/x and x,
    contrast is the half-width of a factor around 1, brightness of an offset and noise the largest deviation, both in units
    of the normalised window (-1 to 1), blur the largest weight of the blurred slice. `share` of the slices get each of
    gamma, noise and blur.
    """

    rotation_degrees: float = 15.0
    scale: float = 1.4
    shift: float = 0.1
    contrast: float = 0.25
    brightness: float = 0.15
    gamma: float = 1.5
    noise: float = 0.12
    blur: float = 1.0
    share: float = 0.3

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            low, high = 1.0 if name in ("scale", "gamma") else 0.0, 1.0 if name == "share" else math.inf
            if not low <= value <= high:
                expected = f"{low:g} to {high:g}" if high < math.inf else f"at least {low:g}"
                raise InputError(f"The augmentation's {name} is {value}; {expected} is expected.")

    def scaled(self, strength: float) -> Augmentation:
        """All ranges narrower (strength below 1) or wider; 0 changes nothing at all."""
        factors = {name: getattr(self, name) ** strength for name in ("scale", "gamma")}
        return Augmentation(
            **{name: value * strength for name, value in vars(self).items()} | factors | {"share": self.share}
        )


def augment(
    images: Tensor,
    labels: Tensor,
    patch: tuple[int, int],
    settings: Augmentation,
    generator: Generator,
    centres: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Random views of a batch of slices.

    images: (B, input slices, H, W) float32 in -1..1; labels: (B, H, W) uint8; centres: (B, 2) as `affine_grid` has them.
    Returns images (B, input slices, *patch) and labels (B, *patch) int64; what lies outside the slice is air (-1) and
    background.
    """
    grid = affine_grid(images.shape[0], (images.shape[2], images.shape[3]), patch, settings, generator, centres)
    # grid_sample fills with 0, which is mid-window, so the window's lower end is made 0 for the time of the sampling.
    moved = functional.grid_sample(images + 1, grid, mode="bilinear", align_corners=False) - 1
    targets = functional.grid_sample(labels[:, None].float(), grid, mode="nearest", align_corners=False)
    return change_intensity(moved, settings, generator), targets[:, 0].long()


def affine_grid(
    batch: int,
    size: tuple[int, int],
    patch: tuple[int, int],
    settings: Augmentation,
    generator: Generator,
    centres: Tensor | None = None,
) -> Tensor:
    """Sampling grid (B, *patch, 2) of random rotations, scales and shifts about the patches' centres.

    centres: (B, 2) row and column in pixels from the slice's edge, so that pixel i lies at i + 0.5; None is the middle of
    the slice.
    """
    angle = _symmetric(batch, math.radians(settings.rotation_degrees), generator)
    zoom = _log_uniform(batch, settings.scale, generator)
    cosine, sine = torch.cos(angle) / zoom, torch.sin(angle) / zoom
    (rows, columns), (patch_rows, patch_columns) = size, patch
    # Normalised coordinates run from -1 to 1 over unequal lengths, so the rotation is written in pixels and scaled back.
    matrix = torch.stack(
        [
            torch.stack([cosine * patch_columns / columns, -sine * patch_rows / columns], dim=1),
            torch.stack([sine * patch_columns / rows, cosine * patch_rows / rows], dim=1),
        ],
        dim=1,
    )
    shifts = (_symmetric(batch, settings.shift, generator) for _ in range(2))
    middles = (size[axis] / 2 if centres is None else centres[:, axis] for axis in (1, 0))
    offsets = [
        (2 * middle - side) / side + shift * 2 * part / side
        for middle, shift, part, side in zip(middles, shifts, patch[::-1], size[::-1], strict=True)
    ]
    translation = torch.stack(offsets, dim=1)[:, :, None]
    return functional.affine_grid(torch.cat([matrix, translation], dim=2), [batch, 1, *patch], align_corners=False)


def change_intensity(images: Tensor, settings: Augmentation, generator: Generator) -> Tensor:
    """Random gamma, contrast, brightness, noise and blur a slice; input and output in -1..1, (B, C, H, W)."""
    batch = images.shape[0]

    def a_slice(values: Tensor, otherwise: float) -> Tensor:
        chosen = torch.rand(batch, device=images.device, generator=generator) < settings.share
        return torch.where(chosen, values, otherwise)[:, None, None, None]

    exponent = a_slice(_log_uniform(batch, settings.gamma, generator), 1.0)
    images = ((images + 1) / 2).clamp(0, 1).pow(exponent) * 2 - 1
    factor = 1 + _symmetric(batch, settings.contrast, generator)[:, None, None, None]
    offset = _symmetric(batch, settings.brightness, generator)[:, None, None, None]
    images = images * factor + offset
    weight = a_slice(_symmetric(batch, settings.blur, generator).abs(), 0.0)
    images = torch.lerp(images, functional.avg_pool2d(images, 3, stride=1, padding=1, count_include_pad=False), weight)
    deviation = a_slice(_symmetric(batch, settings.noise, generator).abs(), 0.0)
    noise = torch.randn(images.shape, device=images.device, generator=generator)
    return (images + deviation * noise).clamp(-1, 1)


def _symmetric(batch: int, half_width: float, generator: Generator) -> Tensor:
    return (2 * torch.rand(batch, device=generator.device, generator=generator) - 1) * half_width


def _log_uniform(batch: int, largest: float, generator: Generator) -> Tensor:
    return torch.exp(_symmetric(batch, math.log(largest), generator))
