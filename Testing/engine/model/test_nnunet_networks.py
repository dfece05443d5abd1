"""nnU-Net's networks: the logits of nnU-Net's own code, and parameters that fit no network are refused by name."""

import json

import pytest
import torch
from UNetSegmenterLib.engine.errors import InputError
from UNetSegmenterLib.engine.model.architectures import NetworkDescription, build_network
from UNetSegmenterLib.engine.model.nnunet_networks import PlainConvUNet

from .nnunet_networks_reference import LOGITS_FILE, NETWORKS, PLAIN_THREE, RESIDUAL_THREE, slices, weight

REFERENCE = json.loads(LOGITS_FILE.read_text())
HEADS_OF_DEEP_SUPERVISION = "decoder.seg_layers."


def built(title):
    architecture, channels, classes, parameters = NETWORKS[title]
    return build_network(NetworkDescription(architecture, channels, classes, parameters)).eval()


@pytest.mark.parametrize("title", NETWORKS)
def test_logits_are_those_of_nnunet(title):
    network = built(title)
    own = {name: weight(name, tuple(tensor.shape)) for name, tensor in network.state_dict().items() if tensor.ndim}
    network.load_state_dict(own, strict=False)
    with torch.inference_mode():
        logits = network(slices(NETWORKS[title][1]))
    expected = torch.tensor(REFERENCE[title]["logits"]).reshape(logits.shape)
    assert torch.allclose(logits, expected, rtol=1e-4, atol=1e-4 * expected.abs().max().item())


@pytest.mark.parametrize("title", NETWORKS)
def test_weights_have_the_names_and_sizes_that_they_have_in_nnunet(title):
    ours = {name: list(tensor.shape) for name, tensor in built(title).state_dict().items()}
    theirs = REFERENCE[title]["weights"]
    (head,) = (name for name in ours if name.startswith(HEADS_OF_DEEP_SUPERVISION) and name.endswith("weight"))
    assert head == max(
        name for name in theirs if name.startswith(HEADS_OF_DEEP_SUPERVISION) and name.endswith("weight")
    )
    kept = {name for name in theirs if not name.startswith(HEADS_OF_DEEP_SUPERVISION)}
    assert {name: ours[name] for name in kept} == {name: theirs[name] for name in kept}
    others = set(ours) - kept
    assert all(name.startswith(HEADS_OF_DEEP_SUPERVISION) or name.endswith("num_batches_tracked") for name in others)


def test_says_of_what_rows_and_columns_are_multiples():
    assert PlainConvUNet(1, 2, PLAIN_THREE).divisor == (4, 2)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"features_per_stage": [4]}, "features_per_stage"),
        ({"features_per_stage": [4, 6, 10**6]}, "features_per_stage"),
        ({"features_per_stage": [4] * 40}, "features_per_stage"),
        ({"strides": [[1, 1], [2, 2]]}, "strides has 2 entries"),
        ({"strides": [[2, 2], [2, 2], [2, 2]]}, "first stride"),
        ({"strides": [[1, 1, 1], [2, 2, 2], [2, 2, 2]]}, "2D"),
        ({"strides": [[1, 1], [0, 2], [2, 2]]}, "strides"),
        ({"kernel_sizes": [[2, 2], [3, 3], [3, 3]]}, "odd"),
        ({"kernel_sizes": None}, "kernel_sizes"),
        ({"n_conv_per_stage": [1, 2, 3.5]}, "n_conv_per_stage"),
        ({"n_conv_per_stage": [1, True, 3]}, "n_conv_per_stage"),
        ({"n_conv_per_stage_decoder": [1, 2, 3]}, "n_conv_per_stage_decoder"),
        ({"norm_op": "GroupNorm"}, "norm_op"),
        ({"nonlin": "Sequential"}, "nonlin"),
        ({"norm_op": "InstanceNorm2d", "norm_op_kwargs": {"device": "meta"}}, "device"),
        ({"nonlin": "ReLU", "nonlin_kwargs": {"negative_slope": 0.1}}, "do not fit"),
        ({"norm_op_kwargs": [1]}, "norm_op_kwargs"),
        ({"conv_bias": "yes"}, "conv_bias"),
        ({"blocks": 3}, 'unknown parameter "blocks"'),
        ({"block": "BottleneckD"}, 'unknown parameter "block"'),
    ],
)
def test_parameters_that_fit_no_network_are_refused_by_name(change, words):
    with pytest.raises(InputError, match="network") as caught:
        build_network(NetworkDescription("PlainConvUNet", 1, 3, PLAIN_THREE | change), device="meta")
    assert words in str(caught.value)


def test_a_bottleneck_needs_its_channels():
    parameters = RESIDUAL_THREE | {"block": "BottleneckD"}
    with pytest.raises(InputError, match="bottleneck_channels"):
        build_network(NetworkDescription("ResidualEncoderUNet", 1, 3, parameters), device="meta")
