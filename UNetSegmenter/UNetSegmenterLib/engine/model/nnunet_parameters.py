"""Parameters of nnU-Net's networks: what a card or a plans file says of them, checked."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import nn

from ..errors import InputError
from ..plain_data import did_you_mean

Pair = tuple[int, int]  # rows, columns
MOST_STAGES, MOST_FEATURES, MOST_CONVOLUTIONS = 12, 4096, 32
MOST_KWARG = 1000.0  # of a slope, a momentum or an eps
ACTIVATIONS = {"LeakyReLU": nn.LeakyReLU, "ReLU": nn.ReLU, "GELU": nn.GELU, "SiLU": nn.SiLU, "ELU": nn.ELU}
NORMS = ("InstanceNorm2d", "BatchNorm2d")
BLOCKS = ("BasicBlockD", "BottleneckD")
_COMMON = ("features_per_stage", "kernel_sizes", "strides", "n_conv_per_stage_decoder")
_LAYERS = ("conv_bias", "norm_op", "norm_op_kwargs", "nonlin", "nonlin_kwargs")
_RESIDUAL = ("block", "bottleneck_channels", "stem_channels")
_KNOWN_PARAMETERS = {
    "n_conv_per_stage": (*_COMMON, "n_conv_per_stage", *_LAYERS, "nonlin_first"),
    "n_blocks_per_stage": (*_COMMON, "n_blocks_per_stage", *_LAYERS, *_RESIDUAL),
}
_KWARGS: dict[str, dict[str, tuple[type, ...]]] = {
    "norm_op_kwargs": {
        "eps": (float, int),
        "affine": (bool,),
        "momentum": (float, int, type(None)),
        "track_running_stats": (bool,),
    },
    "nonlin_kwargs": {
        "negative_slope": (float, int),
        "inplace": (bool,),
        "alpha": (float, int),
    },
}


@dataclass(frozen=True)
class Layers:
    """What the layers of a network have in common; names and meaning are those of nnU-Net's plans files.

    Args:
        conv_bias: whether convolutions have a bias.
        norm_op: "InstanceNorm2d", "BatchNorm2d" or None.
        norm_op_kwargs: its parameters, such as `eps` and `affine`.
        nonlin: the activation, one of `ACTIVATIONS`, or None.
        nonlin_kwargs: its parameters, such as `negative_slope`.
        nonlin_first: the activation comes before the normalisation.
    """

    conv_bias: bool = False
    norm_op: str | None = None
    norm_op_kwargs: Mapping[str, Any] = field(default_factory=dict)
    nonlin: str | None = None
    nonlin_kwargs: Mapping[str, Any] = field(default_factory=dict)
    nonlin_first: bool = False

    def norm(self, channels: int) -> nn.Module | None:
        """The normalisation of `channels` feature maps."""
        parameters = dict(self.norm_op_kwargs)
        if self.norm_op == "BatchNorm2d":
            return nn.BatchNorm2d(channels, **parameters)
        if self.norm_op is None:
            return None
        if parameters.get("track_running_stats"):
            return nn.InstanceNorm2d(channels, **parameters)
        # With one group per channel both are the same, and torch has a kernel for channels_last for this one alone:
        # seven times as fast on a CPU in bfloat16.
        return nn.GroupNorm(channels, channels, eps=parameters.get("eps", 1e-5), affine=parameters.get("affine", False))

    def activation(self) -> nn.Module | None:
        """The activation, in place where it can be."""
        if self.nonlin is None:
            return None
        return ACTIVATIONS[self.nonlin](**dict(self.nonlin_kwargs))


@dataclass(frozen=True)
class UNetShape:
    """Sizes of a network, one entry per stage from the finest to the bottleneck, named as in nnU-Net's plans files.

    Args:
        features_per_stage: channels.
        kernel_sizes: of the convolutions, odd.
        strides: of each stage's first convolution; those of the first stage are 1.
        n_conv_per_stage: convolutions, or residual blocks, of the encoder.
        n_conv_per_stage_decoder: convolutions of the decoder from the coarsest stage to the finest, one entry less.
    """

    features_per_stage: tuple[int, ...]
    kernel_sizes: tuple[Pair, ...]
    strides: tuple[Pair, ...]
    n_conv_per_stage: tuple[int, ...]
    n_conv_per_stage_decoder: tuple[int, ...]

    @property
    def divisor(self) -> Pair:
        """Rows and columns of the input must be multiples of it."""
        rows = columns = 1
        for stride in self.strides:
            rows, columns = rows * stride[0], columns * stride[1]
        return rows, columns


def read_parameters(parameters: Mapping[str, Any], encoder: str) -> tuple[UNetShape, Layers]:
    """Check the parameters of a network; raises InputError with the name of the first that does not fit."""
    known = _KNOWN_PARAMETERS[encoder]
    for name in parameters:
        if name not in known:
            raise InputError(f'The network has an unknown parameter "{name}"; {did_you_mean(str(name), known)}')
    stages = parameters.get("features_per_stage")
    if not isinstance(stages, (list, tuple)) or not 2 <= len(stages) <= MOST_STAGES:
        raise InputError(f"The network's features_per_stage is {stages}; 2 to {MOST_STAGES} numbers are expected.")
    count = len(stages)
    shape = UNetShape(
        _per_stage(parameters, "features_per_stage", count, 1, MOST_FEATURES),
        _pair_per_stage(parameters, "kernel_sizes", count, 15),
        _pair_per_stage(parameters, "strides", count, 8),
        _per_stage(parameters, encoder, count, 1, MOST_CONVOLUTIONS),
        _per_stage(parameters, "n_conv_per_stage_decoder", count - 1, 1, MOST_CONVOLUTIONS),
    )
    if any(size % 2 == 0 for kernel in shape.kernel_sizes for size in kernel):
        raise InputError(f"The network's kernel_sizes are {shape.kernel_sizes}; odd sizes are expected.")
    if shape.strides[0] != (1, 1):
        raise InputError(
            f"The network's first stride is {shape.strides[0]}; 1 is expected, so that every pixel is read."
        )
    return shape, _read_layers(parameters)


def _read_layers(parameters: Mapping[str, Any]) -> Layers:
    choices: Iterable[str]
    for name, choices in (("norm_op", NORMS), ("nonlin", ACTIVATIONS), ("block", BLOCKS)):
        if parameters.get(name) is not None and parameters[name] not in choices:
            raise InputError(f'The network\'s {name} is "{parameters[name]}"; known are {", ".join(choices)}.')
    for name in ("conv_bias", "nonlin_first"):
        if not isinstance(parameters.get(name, False), bool):
            raise InputError(f"The network's {name} is {parameters[name]}; true or false is expected.")
    for name, known in _KWARGS.items():
        values: Any = parameters.get(name) or {}
        if not isinstance(values, Mapping):
            raise InputError(f"The network's {name} is {values}; names with values are expected.")
        for key, value in values.items():
            if key not in known or type(value) not in known[key]:
                raise InputError(f'The network\'s {name} has "{key}": {value}, which is not known.')
            if isinstance(value, (int, float)) and not (abs(value) <= MOST_KWARG and (key != "eps" or value > 0)):
                raise InputError(
                    f'The network\'s {name} has "{key}": {value}; a number up to {MOST_KWARG:g}, of eps above 0, is expected.'
                )
    given = {name: parameters[name] for name in (*_LAYERS, "nonlin_first") if parameters.get(name) is not None}
    layers = Layers(**given)
    try:
        layers.norm(1), layers.activation()
    except TypeError as error:
        raise InputError(
            f"The network's normalisation or activation has parameters that do not fit ({error})."
        ) from error
    return layers


def _per_stage(parameters: Mapping[str, Any], name: str, count: int, least: int, most: int) -> tuple[int, ...]:
    """A whole number for each of `count` stages; one number stands for all."""
    value = parameters.get(name)
    values: list[Any] = list(value) if isinstance(value, (list, tuple)) else [value] * count
    if len(values) != count:
        raise InputError(f"The network's {name} has {len(values)} entries; {count} are expected.")
    for number in values:
        _check_number(name, number, least, most)
    return tuple(values)


def _pair_per_stage(parameters: Mapping[str, Any], name: str, count: int, most: int) -> tuple[Pair, ...]:
    """Rows and columns for each of `count` stages; one number stands for both or for all."""
    value = parameters.get(name)
    values = list(value) if isinstance(value, (list, tuple)) else [value] * count
    if len(values) != count:
        raise InputError(f"The network's {name} has {len(values)} entries; {count} are expected.")
    pairs = [tuple(item) if isinstance(item, (list, tuple)) else (item, item) for item in values]
    for pair in pairs:
        if len(pair) != 2:
            raise InputError(
                f"The network's {name} has an entry of {len(pair)} numbers; 2 are expected of a 2D network."
            )
        for number in pair:
            _check_number(name, number, 1, most)
    return tuple((pair[0], pair[1]) for pair in pairs)


def _check_number(name: str, number: Any, least: int, most: int) -> None:
    if type(number) is not int or not least <= number <= most:
        raise InputError(f"The network's {name} has {number!r}; a whole number from {least} to {most} is expected.")


def bottleneck_widths(parameters: Mapping[str, Any], stages: int) -> tuple[int, ...]:
    """Channels between the two 1x1 convolutions of a BottleneckD, per stage."""
    return _per_stage(parameters, "bottleneck_channels", stages, 1, MOST_FEATURES)


def stem_width(parameters: Mapping[str, Any], shape: UNetShape) -> int:
    """Channels of the convolution before the first residual block."""
    stem = parameters.get("stem_channels")
    stem = shape.features_per_stage[0] if stem is None else stem
    _check_number("stem_channels", stem, 1, MOST_FEATURES)
    return stem
