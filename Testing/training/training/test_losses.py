"""Losses against values worked out by hand, on two pixels and three classes."""

from __future__ import annotations

import math

import pytest
import torch
from unetseg.training.losses import LOSSES, make_loss, over_levels
from UNetSegmenterLib.engine.errors import InputError

# Pixel 1 has the probabilities 1/2, 1/4, 1/4 and is class 1; pixel 2 has 1/4, 1/4, 1/2 and is class 2.
PROBABILITIES = torch.tensor([[0.5, 0.25, 0.25], [0.25, 0.25, 0.5]]).T.reshape(1, 3, 1, 2)
LOGITS = PROBABILITIES.log()
TARGETS = torch.tensor([1, 2]).reshape(1, 1, 2)
LN2 = math.log(2)


def sigmoid_cross_entropy(probability: float, target: int) -> float:
    sigmoid = probability / (1 + probability)  # the logit is ln(probability)
    return -math.log(sigmoid if target else 1 - sigmoid)


BY_HAND = {
    "mse": (0.25 + 0.5625 + 0.0625 + 0.0625 + 0.0625 + 0.25) / 6,
    "cross_entropy": (2 * LN2 + LN2) / 2,
    "binary_cross_entropy": sum(
        sigmoid_cross_entropy(p, y) for p, y in [(0.5, 0), (0.25, 1), (0.25, 0), (0.25, 0), (0.25, 0), (0.5, 1)]
    )
    / 6,
    # class 1: 2 * 0.25 / (0.5 + 1), class 2: 2 * 0.5 / (0.75 + 1)
    "dice": 1 - (0.5 / 1.5 + 1.0 / 1.75) / 2,
    "dice_ce": 1 - (0.5 / 1.5 + 1.0 / 1.75) / 2 + 1.5 * LN2,
    # weights 1 / (reference size)^2: 1 and 1; the background, absent here, gets the largest weight of the others
    "generalised_dice": 1 - 2 * (0 + 0.25 + 0.5) / (0.75 + 1.5 + 1.75),
    "focal": (0.75**2 * 2 * LN2 + 0.5**2 * LN2) / 6,
}


@pytest.mark.parametrize("name", LOSSES)
def test_value_by_hand(name):
    assert float(make_loss(name)(LOGITS, TARGETS)) == pytest.approx(BY_HAND[name], abs=2e-5)


@pytest.mark.parametrize("name", LOSSES)
def test_descending_the_loss_leads_to_the_targets(name):
    torch.manual_seed(0)
    targets = torch.randint(3, (2, 8, 8))
    logits = torch.zeros(2, 3, 8, 8, requires_grad=True)
    optimiser = torch.optim.Adam([logits], lr=0.3)
    for _ in range(60):
        loss = make_loss(name)(logits, targets)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert (logits.argmax(dim=1) == targets).float().mean() > 0.99


def test_dice_is_of_the_batch_so_an_empty_slice_does_not_count_against_it():
    logits = torch.full((2, 2, 4, 4), -20.0)
    logits[:, 0] = 20
    targets = torch.zeros(2, 4, 4, dtype=torch.long)
    targets[0, :2] = 1
    logits[0, :, :2] *= -1
    assert float(make_loss("dice")(logits, targets)) < 1e-5


def test_deep_supervision_weighs_each_resolution_by_half_of_the_finer_one():
    """Targets of 5 x 7 pixels: a level of 2 x 3 is every second of them, one of 1 x 1 every fourth."""
    torch.manual_seed(0)
    targets = torch.randint(3, (2, 5, 7))
    levels = [torch.randn(2, 3, *size) for size in ((5, 7), (2, 3), (1, 1))]
    loss = make_loss("cross_entropy")
    parts = loss(levels[0], targets), loss(levels[1], targets[:, :4:2, :6:2]), loss(levels[2], targets[:, :1, :1])
    expected = (parts[0] + parts[1] / 2 + parts[2] / 4) / 1.75
    assert float(over_levels(loss)(levels, targets)) == pytest.approx(float(expected), rel=1e-6)
    assert torch.equal(over_levels(loss)(levels[:1], targets), parts[0])


def test_unknown_loss_is_refused_with_the_likely_one():
    with pytest.raises(InputError, match="did you mean generalised_dice"):
        make_loss("generalized_dice")


def test_loss_is_small_when_right():
    targets = torch.randint(0, 3, (2, 8, 8))
    right = torch.nn.functional.one_hot(targets, 3).permute(0, 3, 1, 2).float() * 20
    loss = make_loss("dice_ce")
    assert loss(right, targets) < 1e-3
    assert loss(-right, targets) > 2
