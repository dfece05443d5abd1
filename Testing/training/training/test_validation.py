"""The Dice of whole volumes, and its mean over structures."""

import math

import numpy as np
import pytest
from unetseg.training.validation import dice_of_volume, mean_over_structures


def test_dice_of_volumes():
    prediction, reference = np.zeros((2, 3, 4), np.uint8), np.zeros((2, 3, 4), np.uint8)
    prediction[0, 0], reference[0, 0, :2] = 1, 1
    reference[1, 2] = 2
    dice = dice_of_volume(prediction, reference, classes=4)
    assert dice[:2].tolist() == [pytest.approx(2 * 2 / 6), 0]
    assert math.isnan(dice[2])


def test_the_mean_over_structures_is_not_the_mean_of_all_values():
    """One structure in both cases at .9, one in a single case at .1: .5, where all values together give .63."""
    assert mean_over_structures(np.array([[0.9, 0.1], [0.9, np.nan]])) == pytest.approx(0.5)
