"""The numbers of page 3 are what torch computes from the page's own pixels, and what the network has."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional
from UNetSegmenterLib.engine.model.network import DoubleConvolution, UNet

from .pages import answers, blocks, run_python, text_of


@pytest.fixture(scope="module")
def names(tmp_path_factory):
    """The variables of the page's Python after both blocks ran."""
    names: dict = {}
    names["printed"] = [run_python(code, tmp_path_factory.mktemp("page"), names) for code in blocks(3, "python")]
    return names


def test_the_worked_example_and_the_first_exercise(names):
    output = functional.conv2d(names["pixels"][None, None], names["kernel"][None, None])[0, 0]
    assert "-104 -  119       = -223" in text_of(3) and output[0, 0] == -223
    assert f"= {output[1, 1]:.0f}." in answers(3)[0]


def test_the_mean(names):
    assert f"= {names['pixels'][:3, :3].mean():.0f}." in answers(3)[1]


def test_sizes():
    slice_ = torch.zeros(1, 1, 101, 122)
    kernel = torch.zeros(1, 1, 3, 3)
    outputs = (
        functional.conv2d(slice_, kernel),
        functional.conv2d(slice_, kernel, padding=1),
        functional.conv2d(slice_, kernel, padding=1, stride=2),
        functional.max_pool2d(slice_, 2),
    )
    plain, padded, strided, pooled = (f"{rows} x {columns}" for rows, columns in (one.shape[2:] for one in outputs))
    assert answers(3)[2].startswith(f"{plain}, {padded}, {strided}, and {pooled}:")


def test_weights():
    small, large = (DoubleConvolution(a, b)[0].weight.numel() for a, b in ((3, 16), (128, 256)))
    assert f"= {small} and" in answers(3)[3] and f"= {large:,}." in answers(3)[3]
    network = UNet(input_slices=3, classes=8, base_width=16, depth=4)
    of_level = [sum(p.numel() for p in level.parameters()) for level in (network.entry, *network.down)]
    assert of_level == sorted(of_level)


def test_receptive_field(names):
    fields = [names["pixels_seen"](depth) for depth in range(6)]
    assert names["printed"][1].strip() == str(fields)
    assert answers(3)[4].startswith(f"{fields[3]} x {fields[3]} and {fields[5]} x {fields[5]}.")
    assert ", ".join(map(str, fields)) in answers(3)[4]
    assert f"{fields[4]} pixels or {fields[4] * 2 / 10:.0f} cm" in page_end()


def test_the_network_sees_no_more_on_its_way_down():
    """The drawing's boxes are those of the real network: no pixel outside the box changes the lowest level."""
    torch.manual_seed(0)
    network = UNet(input_slices=1, classes=2, base_width=4, depth=3).eval()
    slice_ = torch.randn(1, 1, 128, 128, requires_grad=True)
    features = network.entry(slice_)
    for level in network.down:
        features = level(functional.max_pool2d(features, 2))
    features[0, :, 8, 8].sum().backward()
    rows = torch.nonzero(slice_.grad[0, 0].abs().sum(dim=1))[:, 0]
    assert rows.max() - rows.min() + 1 <= 68


def test_pooling_and_its_reverse():
    text = text_of(3)
    four_by_four = torch.tensor([[21, 29, 21, -8], [18, 27, 23, -1], [25, 22, 9, 29], [-15, 14, 20, 9]]).float()
    assert functional.max_pool2d(four_by_four[None], 2).int().tolist() == [[[29, 23], [25, 29]]]
    assert "29  23" in text and "25  29" in text
    small, kernel = torch.tensor([[1.0, 2], [3, 0]]), torch.tensor([[1.0, 2], [0, 1]])
    up = functional.conv_transpose2d(small[None, None], kernel[None, None], stride=2)[0, 0].int().tolist()
    assert up == [[1, 2, 2, 4], [0, 1, 0, 2], [3, 6, 0, 0], [0, 3, 0, 0]]
    for row in up:
        assert "   ".join(map(str, row)) in text


def page_end() -> str:
    from .pages import page

    return page(3).read_text(encoding="utf-8")
