"""Networks of nnU-Net in many shapes, with weights that follow from their names, and the logits that nnU-Net's own code gives.

Run with dynamic-network-architectures installed, it writes `nnunet_logits.json`, which the tests compare with:

    python Testing/engine/model/nnunet_networks_reference.py
"""

import json
import zlib
from pathlib import Path

import numpy as np
import torch

LOGITS_FILE = Path(__file__).with_name("nnunet_logits.json")
INSTANCE = {"norm_op": "InstanceNorm2d", "norm_op_kwargs": {"eps": 1e-5, "affine": True}}
BATCH = {"norm_op": "BatchNorm2d", "norm_op_kwargs": {"eps": 1e-3, "affine": True}}
LEAKY = {"nonlin": "LeakyReLU", "nonlin_kwargs": {"inplace": True, "negative_slope": 0.05}}
RELU = {"nonlin": "ReLU", "nonlin_kwargs": {"inplace": True}}
TWO = {"features_per_stage": [4, 6], "kernel_sizes": [[3, 3], [3, 3]], "strides": [[1, 1], [2, 2]]}
THREE = {
    "features_per_stage": [4, 6, 8],
    "kernel_sizes": [[3, 3], [1, 3], [3, 5]],
    "strides": [[1, 1], [2, 1], [2, 2]],
}
PLAIN_THREE = THREE | {"n_conv_per_stage": [1, 2, 3], "n_conv_per_stage_decoder": [2, 1]}
RESIDUAL_THREE = THREE | {"n_blocks_per_stage": [1, 2, 2], "n_conv_per_stage_decoder": [1, 2]}
NETWORKS = {
    "plain": ("PlainConvUNet", 1, 3, PLAIN_THREE | INSTANCE | LEAKY | {"conv_bias": True}),
    "three slices": ("PlainConvUNet", 3, 2, PLAIN_THREE | INSTANCE | LEAKY),
    "batch norm": ("PlainConvUNet", 1, 3, PLAIN_THREE | BATCH | RELU),
    "activation first": ("PlainConvUNet", 1, 3, PLAIN_THREE | INSTANCE | RELU | {"nonlin_first": True}),
    "running statistics": (
        "PlainConvUNet",
        1,
        3,
        PLAIN_THREE
        | LEAKY
        | {"norm_op": "InstanceNorm2d", "norm_op_kwargs": {"affine": True, "track_running_stats": True}},
    ),
    "no norm": (
        "PlainConvUNet",
        1,
        2,
        TWO | {"n_conv_per_stage": 2, "n_conv_per_stage_decoder": 1, "conv_bias": True} | RELU,
    ),
    "one number for all": (
        "PlainConvUNet",
        1,
        2,
        TWO | {"kernel_sizes": 3, "n_conv_per_stage": 1, "n_conv_per_stage_decoder": 1} | INSTANCE | LEAKY,
    ),
    "residual": ("ResidualEncoderUNet", 1, 3, RESIDUAL_THREE | INSTANCE | LEAKY | {"conv_bias": True}),
    "residual, batch norm": ("ResidualEncoderUNet", 3, 2, RESIDUAL_THREE | BATCH | RELU | {"stem_channels": 5}),
    "bottleneck": (
        "ResidualEncoderUNet",
        1,
        3,
        RESIDUAL_THREE | INSTANCE | LEAKY | {"block": "BottleneckD", "bottleneck_channels": [2, 3, 4]},
    ),
}


def weight(name: str, shape: tuple[int, ...]) -> torch.Tensor:
    """Numbers that follow from the weight's name alone."""
    generator = np.random.RandomState(zlib.crc32(name.encode()))
    values = generator.normal(0, 0.4, shape) + (1.0 if name.endswith(("norm.weight", "running_var")) else 0.0)
    return torch.from_numpy(np.abs(values) if name.endswith("running_var") else values).float()


def slices(channels: int) -> torch.Tensor:
    """The network's input, (1, channels, 8, 12)."""
    return weight("input", (1, channels, 8, 12)) * 3


def _reference_network(architecture: str, channels: int, classes: int, parameters: dict) -> torch.nn.Module:
    from dynamic_network_architectures.architectures import unet
    from dynamic_network_architectures.building_blocks.residual import BottleneckD
    from torch import nn

    stages = len(parameters["features_per_stage"])
    arguments = {"n_stages": stages, "conv_op": nn.Conv2d, "dropout_op": nn.Dropout2d, "dropout_op_kwargs": {"p": 0.5}}
    arguments |= parameters
    for name in ("norm_op", "nonlin"):
        arguments[name] = getattr(nn, parameters[name]) if name in parameters else None
    if "block" in arguments:
        arguments["block"] = BottleneckD
    return getattr(unet, architecture)(channels, num_classes=classes, deep_supervision=False, **arguments)


def main() -> None:
    """Write the logits, and the names and shapes of the weights, of nnU-Net's own networks."""
    written = {}
    for title, (architecture, channels, classes, parameters) in NETWORKS.items():
        network = _reference_network(architecture, channels, classes, parameters).eval()
        state = {name: tensor for name, tensor in network.state_dict().items() if tensor.is_floating_point()}
        own = {  # without the second names of the same tensors
            name: weight(name, tuple(tensor.shape))
            for name, tensor in state.items()
            if ".all_modules." not in name and not name.startswith("decoder.encoder.")
        }
        network.load_state_dict(own, strict=False)
        with torch.inference_mode():
            logits = network(slices(channels))
        written[title] = {
            "weights": {
                name: list(tensor.shape) for name, tensor in sorted(network.state_dict().items()) if name in own
            },
            "logits": [float(f"{value:.6g}") for value in logits.flatten().tolist()],
        }
    LOGITS_FILE.write_text(json.dumps(written, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
