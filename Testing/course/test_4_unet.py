"""The drawing of page 4 is that of the network; sizes and numbers of weights are its own."""

from __future__ import annotations

import re

import pytest
import torch
from unetseg.data.preprocessed_dataset import read_preprocessed_dataset
from UNetSegmenterLib.engine.model.checkpoint import load_checkpoint, shipped_checkpoints
from UNetSegmenterLib.engine.model.network import UNet

from tools.course_pictures.network_drawing import drawing, parts_of

from .pages import COURSE, answers, blocks, commands, run_python, text_of


def weights(**options) -> int:
    return sum(one.numel() for one in UNet(1, classes=8, base_width=16, depth=4, **options).parameters())


def test_the_drawing_shows_the_sizes_of_the_network_that_ships():
    checkpoint = load_checkpoint(shipped_checkpoints()[0])
    network = checkpoint.networks()[0]
    parts = parts_of(network, torch.zeros(1, checkpoint.card.network.input_slices, 160, 192))
    shown = re.sub(r'href="[^"]*"', "", (COURSE / "pictures" / "unet.svg").read_text(encoding="utf-8"))
    assert re.sub(r'href="[^"]*"', "", drawing(parts)) == shown, "python -m tools.course_pictures unet.svg"
    assert "lowest level: 256 x 10 x 12" in shown


def test_the_input_of_the_drawing():
    card = load_checkpoint(shipped_checkpoints()[0]).card
    rows, columns = (round(pixels * 3 / card.preprocessing.spacing_mm[0]) for pixels in (101, 122))
    multiple = card.preprocessing.size_multiple
    assert f"{rows} x {columns} pixels, and the card asks for multiples of {multiple}" in answers(4)[2]
    assert [-(-size // multiple) * multiple for size in (rows, columns)] == [160, 192]


def test_sizes_of_the_small_network():
    parts = parts_of(UNet(3, classes=8, base_width=8, depth=3), torch.zeros(1, 3, 64, 64))
    down = ", ".join(parts[name].text() for name in ("entry", "down.0", "down.1", "down.2"))
    up = ", ".join(parts[name].text() for name in ("up.0", "up.1", "up.2"))
    assert answers(4)[0] == f"Down: {down}. Up: {up}. Out: {parts['exit'].text()}."


def test_numbers_of_weights(tmp_path):
    assert run_python(blocks(4, "python")[0], tmp_path).split()[-1] == str(weights())
    assert answers(4)[1].startswith(f"{weights():,}. ") and f" {weights(skip_connections=False):,}:" in answers(4)[1]


def test_why_the_pixels_measure_4_02_mm(student, preparing):
    assert "192 slices of 80 x 80 pixels of 4.02 mm" in preparing
    dataset = read_preprocessed_dataset(student / "preprocessed" / "hearts")
    facts = {one["name"]: one["spacing_mm"][1] for one in dataset.fingerprint["by_case"]}
    trained_on = sorted(facts[name] for name in dataset.splits["train"])
    *first, last = (f"{mm:.2f}" for mm in trained_on)
    assert f"{', '.join(first)} and {last} mm" in text_of(4)
    assert abs((trained_on[1] + trained_on[2]) / 2 - dataset.preprocessing.spacing_mm[0]) < 0.005


@pytest.mark.slow
def test_without_skips_less_is_found(trained, full_length):
    if not full_length:
        pytest.skip("a few steps don't tell the two apart: make course trains as long as the page")
    with_skips, without = (list(trained(command).values())[-1] for command in commands(4)[1:])
    assert with_skips["dice_mean"] > 0.85 and without["dice_mean"] < with_skips["dice_mean"] / 2
    found = sorted((f"{without['dice_' + name]:.2f}" for name in ("left ventricle", "right ventricle")), reverse=True)
    wall = without["dice_left ventricular myocardium"]
    assert f"the ventricles had {found[0]} and {found[1]} and the myocardium {wall:.2f}" in answers(4)[3]
