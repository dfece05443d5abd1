"""The 2D U-Net in plain PyTorch.

It follows Ronneberger, Fischer and Brox, "U-Net: Convolutional Networks for Biomedical Image Segmentation" (MICCAI 2015):
two 3x3 convolutions per level, 2x2 max pooling down, 2x2 transposed convolution up, skips joined by concatenation, channels
doubled at every level, a 1x1 convolution last. It differs from the paper in four ways: convolutions are padded, so the
output has the size of the input; batch normalisation follows every 3x3 convolution; width and depth are parameters (the
paper: 64 channels, 4 times down); and channels stop growing at `MAX_WIDTH`.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional

MAX_WIDTH = 512


class DoubleConvolution(nn.Sequential):
    """Two 3x3 convolutions, each with batch normalisation and ReLU: (B, in, H, W) -> (B, out, H, W)."""

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__(
            nn.Conv2d(channels_in, channels_out, kernel_size=3, padding=1, bias=False),
            nn.BatchNorm2d(channels_out),
            nn.ReLU(inplace=True),
            nn.Conv2d(channels_out, channels_out, kernel_size=3, padding=1, bias=False),
            nn.BatchNorm2d(channels_out),
            nn.ReLU(inplace=True),
        )


class UpBlock(nn.Module):
    """One level up: (B, below, h, w) and the skip (B, out, H, W) -> (B, out, H, W)."""

    def __init__(self, channels_below: int, channels_out: int, skip_connection: bool = True) -> None:
        super().__init__()
        self.skip_connection = skip_connection
        self.upsample = nn.ConvTranspose2d(channels_below, channels_out, kernel_size=2, stride=2)
        self.convolutions = DoubleConvolution(2 * channels_out if skip_connection else channels_out, channels_out)

    def forward(self, below: Tensor, skip: Tensor) -> Tensor:
        """Upsample `below` (B, channels below, h, w), concatenate the skip (B, channels, 2h, 2w or one more) and convolve."""
        up = self.upsample(below)  # (B, out, 2h, 2w)
        # Pooling rounds down, so an odd skip is one pixel larger than what comes up: repeat the border to its size.
        missing_rows, missing_columns = skip.shape[2] - up.shape[2], skip.shape[3] - up.shape[3]
        if missing_rows or missing_columns:
            up = functional.pad(up, (0, missing_columns, 0, missing_rows), mode="replicate")
        return self.convolutions(torch.cat([skip, up], dim=1) if self.skip_connection else up)


class UNet(nn.Module):
    """2D U-Net for slices of any size of at least 2**depth pixels per side.

    Args:
        input_slices: neighbouring slices given as channels (1, 3 or 5).
        classes: structures and background.
        base_width: channels of the first level.
        depth: how often the image is halved.
        skip_connections: without them a level up sees only the level below, which shows what they are for.
    """

    def __init__(
        self, input_slices: int, classes: int, base_width: int, depth: int, skip_connections: bool = True
    ) -> None:
        super().__init__()
        self.widths = widths = [min(base_width * 2**level, MAX_WIDTH) for level in range(depth + 1)]
        self.entry = DoubleConvolution(input_slices, widths[0])
        self.down = nn.ModuleList(DoubleConvolution(widths[level], widths[level + 1]) for level in range(depth))
        self.up = nn.ModuleList(
            UpBlock(widths[level + 1], widths[level], skip_connections) for level in reversed(range(depth))
        )
        self.exit = nn.Conv2d(widths[0], classes, kernel_size=1)

    def forward(self, slices: Tensor) -> Tensor:
        """Logits of every class: (B, input_slices, H, W) -> (B, classes, H, W)."""
        features = slices
        for level in self.decode(slices):  # one by one, so that coarser ones don't stay in memory
            features = level
        return self.exit(features)

    def decode(self, slices: Tensor) -> Iterator[Tensor]:
        """Features of the decoder's levels, coarsest first: (B, base_width * 2**level, H / 2**level, W / 2**level)."""
        features = self.entry(slices)  # (B, base_width, H, W)
        skips = []
        for convolutions in self.down:
            skips.append(features)
            features = convolutions(functional.max_pool2d(features, 2))  # (B, 2 width, H/2, W/2)
        for up in self.up:
            features = up(features, skips.pop())
            yield features
