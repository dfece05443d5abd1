"""The U-Net: sizes, skips, and what folding batch normalisation must not change."""

import pytest
import torch
from UNetSegmenterLib.engine.model.network import UNet
from UNetSegmenterLib.engine.model.prediction import fold_batch_norm


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


@pytest.mark.parametrize("size", [(32, 48), (33, 47), (16, 16), (61, 35)])
@pytest.mark.parametrize(("input_slices", "depth"), [(1, 2), (3, 4), (5, 3)])
def test_any_size_comes_back(size, input_slices, depth):
    network = UNet(input_slices, classes=4, base_width=4, depth=depth).eval()
    with torch.inference_mode():
        assert network(torch.zeros(2, input_slices, *size)).shape == (2, 4, *size)


def test_channels_double_and_stop_growing():
    network = UNet(input_slices=1, classes=2, base_width=128, depth=4)
    assert [block[0].out_channels for block in (network.entry, *network.down)] == [128, 256, 512, 512, 512]


def test_skips_carry_the_first_level():
    """With everything below the first level silenced, the output still follows the input through the top skip."""
    network = UNet(input_slices=1, classes=2, base_width=4, depth=3).eval()
    with torch.no_grad():
        for parameter in network.down.parameters():
            parameter.zero_()
        one, other = network(torch.zeros(1, 1, 16, 16)), network(torch.randn(1, 1, 16, 16))
    assert (one - other).abs().max() > 1e-3


def test_without_skips_nothing_passes_the_lowest_level_by():
    network = UNet(input_slices=1, classes=2, base_width=4, depth=3, skip_connections=False).eval()
    with torch.no_grad():
        for parameter in network.down.parameters():
            parameter.zero_()
        one, other = network(torch.zeros(1, 1, 17, 16)), network(torch.randn(1, 1, 17, 16))
    assert one.shape == (1, 2, 17, 16)
    assert torch.equal(one, other)


@pytest.mark.parametrize("skip_connections", [True, False])
def test_folded_network_says_the_same(skip_connections):
    network = UNet(3, classes=5, base_width=4, depth=2, skip_connections=skip_connections)
    for _ in range(3):
        network(torch.randn(4, 3, 32, 32) * 2 + 1)  # running statistics away from 0 and 1
    network.eval()
    slices = torch.randn(2, 3, 32, 32)
    with torch.inference_mode():
        expected = network(slices)
        torch.testing.assert_close(fold_batch_norm(network)(slices), expected, rtol=1e-4, atol=1e-5)
    assert not [module for module in network.modules() if isinstance(module, torch.nn.BatchNorm2d)]
