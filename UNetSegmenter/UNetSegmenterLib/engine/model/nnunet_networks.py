"""The two networks of nnU-Net's 2d configurations, PlainConvUNet and ResidualEncoderUNet, for prediction.

Written after the papers (Isensee et al., "nnU-Net: a self-configuring method for deep learning-based biomedical image
segmentation", Nature Methods 2021; "nnU-Net Revisited", MICCAI 2024; the residual blocks are those of ResNet-D, He et al.,
"Bag of Tricks for Image Classification", CVPR 2019) and checked, logits against logits, with the package
dynamic-network-architectures, from which the names of modules and parameters are taken, so that nnU-Net's checkpoints fit.
What only training needs is left out: dropout, the heads of deep supervision, and the second names of the same weights.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from .nnunet_parameters import Layers, Pair, UNetShape, bottleneck_widths, read_parameters, stem_width


class ConvolutionBlock(nn.Module):
    """Convolution, normalisation and activation: (B, in, H, W) -> (B, out, H / stride, W / stride)."""

    def __init__(
        self, channels_in: int, channels_out: int, kernel: Pair, stride: Pair, layers: Layers, activated: bool = True
    ) -> None:
        super().__init__()
        padding = ((kernel[0] - 1) // 2, (kernel[1] - 1) // 2)
        self.conv = nn.Conv2d(channels_in, channels_out, kernel, stride, padding, bias=layers.conv_bias)
        self.norm = layers.norm(channels_out)
        self.nonlin = layers.activation() if activated else None
        self.nonlin_first = layers.nonlin_first

    def forward(self, features: Tensor) -> Tensor:
        """Carry out what the network has of the three, in its order."""
        features = self.conv(features)
        order = (self.nonlin, self.norm) if self.nonlin_first else (self.norm, self.nonlin)
        for layer in order:
            if layer is not None:
                features = layer(features)
        return features


class ConvolutionStack(nn.Module):
    """Convolution blocks one after the other; the first has the stride."""

    def __init__(
        self, count: int, channels_in: int, channels_out: int, kernel: Pair, stride: Pair, layers: Layers
    ) -> None:
        super().__init__()
        first = ConvolutionBlock(channels_in, channels_out, kernel, stride, layers)
        others = (ConvolutionBlock(channels_out, channels_out, kernel, (1, 1), layers) for _ in range(count - 1))
        self.convs = nn.Sequential(first, *others)

    def forward(self, features: Tensor) -> Tensor:
        """(B, in, H, W) -> (B, out, H / stride, W / stride)."""
        return self.convs(features)


class ResidualBlock(nn.Module):
    """The part that both residual blocks share: the way around the convolutions, and the sum.

    The skip averages where the block has a stride, and a 1x1 convolution fits the channels where they change.
    """

    def __init__(self, channels_in: int, channels_out: int, stride: Pair, layers: Layers) -> None:
        super().__init__()
        skip: list[nn.Module] = []
        if stride != (1, 1):
            skip.append(nn.AvgPool2d(stride, stride))
        if channels_in != channels_out:
            projection = Layers(False, layers.norm_op, layers.norm_op_kwargs)
            skip.append(ConvolutionBlock(channels_in, channels_out, (1, 1), (1, 1), projection))
        self.skip = nn.Sequential(*skip)
        self.last_activation = layers.activation()

    def convolved(self, features: Tensor) -> Tensor:
        """The sum's other part; each kind of block has its own."""
        raise NotImplementedError

    def forward(self, features: Tensor) -> Tensor:
        """(B, in, H, W) -> (B, out, H / stride, W / stride)."""
        total = self.convolved(features) + self.skip(features)
        return total if self.last_activation is None else self.last_activation(total)


class BasicBlockD(ResidualBlock):
    """Two convolutions, the first with the stride; the activation follows the sum."""

    def __init__(self, channels_in: int, channels_out: int, stride: Pair, kernel: Pair, layers: Layers) -> None:
        super().__init__(channels_in, channels_out, stride, layers)
        self.conv1 = ConvolutionBlock(channels_in, channels_out, kernel, stride, layers)
        self.conv2 = ConvolutionBlock(channels_out, channels_out, kernel, (1, 1), layers, activated=False)

    def convolved(self, features: Tensor) -> Tensor:
        """Both convolutions."""
        return self.conv2(self.conv1(features))


class BottleneckD(ResidualBlock):
    """1x1 to `width` channels, a convolution with the stride, 1x1 back; the activation follows the sum."""

    def __init__(
        self, channels_in: int, channels_out: int, stride: Pair, kernel: Pair, layers: Layers, width: int
    ) -> None:
        super().__init__(channels_in, channels_out, stride, layers)
        self.conv1 = ConvolutionBlock(channels_in, width, (1, 1), (1, 1), layers)
        self.conv2 = ConvolutionBlock(width, width, kernel, stride, layers)
        self.conv3 = ConvolutionBlock(width, channels_out, (1, 1), (1, 1), layers, activated=False)

    def convolved(self, features: Tensor) -> Tensor:
        """All three convolutions."""
        return self.conv3(self.conv2(self.conv1(features)))


class ResidualStack(nn.Module):
    """Residual blocks one after the other, made by `block(channels_in, channels_out, stride)`; the first has the stride."""

    def __init__(
        self,
        block: Callable[[int, int, Pair], ResidualBlock],
        count: int,
        channels_in: int,
        channels_out: int,
        stride: Pair,
    ) -> None:
        super().__init__()
        first = block(channels_in, channels_out, stride)
        others = (block(channels_out, channels_out, (1, 1)) for _ in range(count - 1))
        self.blocks = nn.Sequential(first, *others)

    def forward(self, features: Tensor) -> Tensor:
        """(B, in, H, W) -> (B, out, H / stride, W / stride)."""
        return self.blocks(features)


class Encoder(nn.Module):
    """The way down: one stage per resolution; every stage's output is a skip, the last one the bottleneck."""

    def __init__(self, stages: Sequence[nn.Module], stem: nn.Module | None = None) -> None:
        super().__init__()
        self.stem = stem
        self.stages = nn.Sequential(*stages)

    def forward(self, slices: Tensor) -> list[Tensor]:
        """(B, input slices, H, W) -> the outputs of all stages, the finest first."""
        features = slices if self.stem is None else self.stem(slices)
        skips = []
        for stage in self.stages:
            features = stage(features)
            skips.append(features)
        return skips


class Decoder(nn.Module):
    """The way up: transposed convolution, skip concatenated behind it, convolutions; a 1x1 convolution last."""

    def __init__(self, shape: UNetShape, classes: int, layers: Layers) -> None:
        super().__init__()
        features, levels = shape.features_per_stage, range(len(shape.features_per_stage) - 2, -1, -1)
        self.transpconvs = nn.ModuleList(
            nn.ConvTranspose2d(
                features[level + 1],
                features[level],
                shape.strides[level + 1],
                shape.strides[level + 1],
                bias=layers.conv_bias,
            )
            for level in levels
        )
        self.stages = nn.ModuleList(
            ConvolutionStack(
                convolutions, 2 * features[level], features[level], shape.kernel_sizes[level], (1, 1), layers
            )
            for level, convolutions in zip(levels, shape.n_conv_per_stage_decoder, strict=True)
        )
        # nnU-Net has a head for every level, which deep supervision trains; the finest one predicts and keeps its number.
        self.seg_layers = nn.ModuleDict({str(len(levels) - 1): nn.Conv2d(features[0], classes, 1)})

    def forward(self, skips: list[Tensor]) -> Tensor:
        """The encoder's outputs, the finest first -> logits (B, classes, H, W)."""
        *skips, features = skips
        for transposed, stage in zip(self.transpconvs, self.stages, strict=True):
            features = stage(torch.cat([transposed(features), skips.pop()], dim=1))
        (head,) = self.seg_layers.values()
        return head(features)


class PlainConvUNet(nn.Module):
    """nnU-Net's U-Net of plain convolutions: (B, input_slices, H, W) -> logits (B, classes, H, W).

    H and W are multiples of `divisor`. The parameters' names are those of a plans file's `arch_kwargs`.
    """

    def __init__(self, input_slices: int, classes: int, parameters: Mapping[str, Any]) -> None:
        super().__init__()
        shape, layers = read_parameters(parameters, "n_conv_per_stage")
        widths = (input_slices, *shape.features_per_stage)
        stages = [
            nn.Sequential(ConvolutionStack(count, widths[stage], widths[stage + 1], kernel, stride, layers))
            for stage, (count, kernel, stride) in enumerate(
                zip(shape.n_conv_per_stage, shape.kernel_sizes, shape.strides, strict=True)
            )
        ]
        self.divisor = shape.divisor
        self.encoder = Encoder(stages)
        self.decoder = Decoder(shape, classes, layers)

    def forward(self, slices: Tensor) -> Tensor:
        """Logits of every class: (B, input_slices, H, W) -> (B, classes, H, W)."""
        return self.decoder(self.encoder(slices))


class ResidualEncoderUNet(nn.Module):
    """nnU-Net's U-Net with a residual encoder: (B, input_slices, H, W) -> logits (B, classes, H, W).

    H and W are multiples of `divisor`. The parameters' names are those of a plans file's `arch_kwargs`.
    """

    def __init__(self, input_slices: int, classes: int, parameters: Mapping[str, Any]) -> None:
        super().__init__()
        shape, layers = read_parameters(parameters, "n_blocks_per_stage")
        stem = stem_width(parameters, shape)
        widths = (stem, *shape.features_per_stage)
        stages = []
        for stage, kernel in enumerate(shape.kernel_sizes):
            block: Callable[[int, int, Pair], ResidualBlock] = partial(BasicBlockD, kernel=kernel, layers=layers)
            if parameters.get("block") == "BottleneckD":
                width = bottleneck_widths(parameters, len(shape.kernel_sizes))[stage]
                block = partial(BottleneckD, kernel=kernel, layers=layers, width=width)
            count, stride = shape.n_conv_per_stage[stage], shape.strides[stage]
            stages.append(ResidualStack(block, count, widths[stage], widths[stage + 1], stride))
        self.divisor = shape.divisor
        self.encoder = Encoder(stages, ConvolutionStack(1, input_slices, stem, shape.kernel_sizes[0], (1, 1), layers))
        self.decoder = Decoder(shape, classes, layers)

    def forward(self, slices: Tensor) -> Tensor:
        """Logits of every class: (B, input_slices, H, W) -> (B, classes, H, W)."""
        return self.decoder(self.encoder(slices))
