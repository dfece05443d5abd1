"""The losses of page 5's four pixels are what the project's losses give."""

from __future__ import annotations

import pytest
import torch
from unetseg.training.losses import make_loss

from .pages import answers, commands, text_of

LOSSES = ("mse", "cross_entropy", "dice")


def losses(probabilities: list[float], truth: list[int]) -> list[float]:
    """The three losses of pixels in a row, of one structure and background."""
    p = torch.tensor(probabilities)
    logits = torch.stack([1 - p, p]).log()[None, :, None]  # (1, 2, 1, pixels)
    return [float(make_loss(name)(logits, torch.tensor(truth)[None, None])) for name in LOSSES]


def test_four_pixels():
    for value in losses([0.9, 0.6, 0.2, 0.1], [1, 1, 0, 0]):
        assert f"**{value:.3f}**" in text_of(5)


def test_a_confidently_wrong_pixel():
    before = losses([0.9, 0.6, 0.2, 0.1], [1, 1, 0, 0])
    mse, cross_entropy, dice = after = losses([0.9, 0.01, 0.2, 0.1], [1, 1, 0, 0])
    shown = f"Mean squared error {mse:.3f}, cross entropy {cross_entropy:.3f}, Dice loss {dice:.3f}."
    assert answers(5)[0].startswith(shown)
    growth = [new / old for new, old in zip(after, before, strict=True)]
    assert max(growth) == growth[1] == pytest.approx(5, abs=0.5)


def test_gradients_of_a_confidently_wrong_pixel():
    gradients = []
    for loss in ("cross_entropy", "mse"):
        logit = torch.tensor(0.01).logit().requires_grad_()
        logits = torch.stack([torch.zeros(()), logit])[None, :, None, None]
        make_loss(loss)(logits, torch.ones(1, 1, 1, dtype=torch.long)).backward()
        gradients.append(float(logit.grad))
    assert gradients[0] == pytest.approx(-0.99) and answers(5)[1].startswith("-0.99, and -0.99 x 0.0099 = -0.0098:")
    assert gradients[1] == pytest.approx(2 * -0.0098, abs=1e-4), "the constant of two classes is 2"


def test_a_small_structure():
    _, cross_entropy, dice = losses([0.01] * 4096, [1] * 10 + [0] * 4086)
    assert f"= {cross_entropy:.3f};" in answers(5)[2] and f"= {dice:.3f}," in answers(5)[2]


@pytest.mark.slow
def test_the_losses_of_one_run(trained, full_length):
    if not full_length:
        pytest.skip("a few steps don't tell losses apart: make course trains as long as the page")
    squared, cross_entropy, dice = (list(trained(command).values())[-1] for command in commands(5))
    both = list(trained(commands(4)[1]).values())[-1]
    for vessel in ("dice_ascending aorta", "dice_pulmonary artery"):
        assert squared[vessel] == cross_entropy[vessel] == 0 and both[vessel] > 0.7
    assert f"({squared['dice_mean']:.2f} and {cross_entropy['dice_mean']:.2f})" in text_of(5)
    ventricles = [cross_entropy[f"dice_{side} ventricle"] for side in ("left", "right")]
    assert "left {:.2f}, right {:.2f}.".format(*ventricles) in text_of(5)
    assert f"({both['dice_mean']:.2f})" in text_of(5)
    assert f"Pulmonary artery, with a Dice of {dice['dice_pulmonary artery']:.2f}." in answers(5)[4]
    assert f"`mse` ends near {squared['loss']:.3f}, `dice` near {dice['loss']:.2f}" in answers(5)[6]
    assert dice["dice_mean"] > squared["dice_mean"]
