"""Augmentation of a whole batch at once, on the device that trains.

No left-right flips: sides are labels (left kidney, right kidney), and a CT always arrives upright.
"""

from __future__ import annotations

import math

import torch
from torch import Generator, Tensor
from torch.nn import functional

from .configuration import Augmentation

ELASTIC_POINTS = 5  # control points per side: a deformation as wide as an organ, not as a vessel


def augment(
    images: Tensor,
    labels: Tensor,
    patch: tuple[int, int],
    settings: Augmentation,
    generator: Generator,
    centres: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Random views of a batch of slices.

    Args:
        images: (B, input slices, H, W) float32 in -1..1.
        labels: (B, H, W) uint8.
        patch: rows and columns of the views.
        settings: ranges of the random changes.
        generator: random generator on the device of the images.
        centres: (B, 2), as `affine_grid` takes them.

    Returns:
        Images (B, input slices, *patch) and labels (B, *patch) int64; what is outside the slice is air (-1) and background.
    """
    size = (images.shape[2], images.shape[3])
    grid = affine_grid(images.shape[0], size, patch, settings, generator, centres)
    if settings.elastic:
        grid = grid + elastic_displacement(images.shape[0], size, patch, settings.elastic, generator)
    # grid_sample fills with 0, which is mid-window, so the window's lower end is 0 while it samples.
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

    Args:
        batch: number of slices.
        size: rows and columns of the slices.
        patch: rows and columns of the views.
        settings: ranges of the random changes.
        generator: random generator.
        centres: (B, 2) row and column in pixels from the slice's edge, so that pixel i is centred at i + 0.5; None is the
            middle of the slice.
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
        (2 * middle - side) / side + shift * 2 * patch_side / side
        for middle, shift, patch_side, side in zip(middles, shifts, patch[::-1], size[::-1], strict=True)
    ]
    translation = torch.stack(offsets, dim=1)[:, :, None]
    return functional.affine_grid(torch.cat([matrix, translation], dim=2), [batch, 1, *patch], align_corners=False)


def elastic_displacement(
    batch: int, size: tuple[int, int], patch: tuple[int, int], largest: float, generator: Generator
) -> Tensor:
    """Smooth random displacement (B, *patch, 2) of a sampling grid, after Simard, Steinkraus and Platt (ICDAR 2003).

    A coarse grid of control points is displaced at random and interpolated in between, as Ronneberger et al. (2015) did. How
    far the points of a slice may move is random as well, so that some slices hardly change.

    Args:
        batch: number of slices.
        size: rows and columns of the slices.
        patch: rows and columns of the views.
        largest: largest displacement of a control point, as a fraction of the patch.
        generator: random generator.
    """
    points = _symmetric(batch * 2 * ELASTIC_POINTS**2, largest, generator).view(
        batch, 2, ELASTIC_POINTS, ELASTIC_POINTS
    )
    points = points * torch.rand(batch, 1, 1, 1, device=generator.device, generator=generator)
    # Normalised coordinates run from -1 to 1: a patch is 2 * patch / size of them long. Columns come first, as in a grid.
    lengths = torch.tensor([2 * patch[axis] / size[axis] for axis in (1, 0)], device=generator.device)
    field = functional.interpolate(points, patch, mode="bicubic", align_corners=True)  # (B, 2, *patch)
    return field.permute(0, 2, 3, 1) * lengths


def change_intensity(images: Tensor, settings: Augmentation, generator: Generator) -> Tensor:
    """Random gamma, contrast, brightness, blur, resolution and noise per slice; input and output (B, C, H, W) in -1..1."""
    batch = images.shape[0]

    def for_some_slices(values: Tensor, otherwise: float) -> Tensor:
        chosen = torch.rand(batch, device=images.device, generator=generator) < settings.fraction
        return torch.where(chosen, values, otherwise)[:, None, None, None]

    exponent = for_some_slices(_log_uniform(batch, settings.gamma, generator), 1.0)
    images = ((images + 1) / 2).clamp(0, 1).pow(exponent) * 2 - 1
    factor = 1 + _symmetric(batch, settings.contrast, generator)[:, None, None, None]
    offset = _symmetric(batch, settings.brightness, generator)[:, None, None, None]
    images = images * factor + offset
    weight = for_some_slices(_symmetric(batch, settings.blur, generator).abs(), 0.0)
    images = torch.lerp(images, functional.avg_pool2d(images, 3, stride=1, padding=1, count_include_pad=False), weight)
    if settings.low_resolution:
        weight = for_some_slices(_symmetric(batch, settings.low_resolution, generator).abs(), 0.0)
        half = functional.avg_pool2d(images, 2, ceil_mode=True, count_include_pad=False)
        images = torch.lerp(images, functional.interpolate(half, images.shape[2:], mode="bilinear"), weight)
    deviation = for_some_slices(_symmetric(batch, settings.noise, generator).abs(), 0.0)
    noise = torch.randn(images.shape, device=images.device, generator=generator)
    return (images + deviation * noise).clamp(-1, 1)


def _symmetric(batch: int, half_width: float, generator: Generator) -> Tensor:
    return (2 * torch.rand(batch, device=generator.device, generator=generator) - 1) * half_width


def _log_uniform(batch: int, largest: float, generator: Generator) -> Tensor:
    return torch.exp(_symmetric(batch, math.log(largest), generator))
