"""The measures of page 9 are what the project's own code gives."""

from __future__ import annotations

import re

import numpy as np
import pytest
from UNetSegmenterLib.engine.evaluation.measures import measure

from tools.course_pictures.judgement_pictures import errors_of_one_dice, measured

from .pages import answers, text_of

ONE_MM = (1.0, 1.0, 1.0)


def voxels(row: str) -> np.ndarray:
    """A row of the page's example as (1, 1, 8)."""
    numbers = re.search(rf"^ +{row} +([01 ]+)$", text_of(9), re.MULTILINE)[1]
    return np.array([[numbers.split()]]) == "1"


def test_eight_voxels():
    found = measure(voxels("prediction"), voxels("reference"), ONE_MM)
    text = text_of(9)
    assert f"= **{found.dice:.2f}**" in text and f"**precision** {found.precision:.2f}" in text
    assert f"**recall** {found.recall:.2f}" in text and round(found.iou, 2) == 0.6
    assert "= 0.6." in answers(9)[1] and found.dice / (2 - found.dice) == pytest.approx(found.iou)


def test_empty_and_full_predictions():
    reference = voxels("reference")
    empty, full = (measure(np.full_like(reference, value), reference, ONE_MM) for value in (False, True))
    assert empty.dice == 0 and empty.recall == 0 and answers(9)[0].startswith("Empty: Dice 0, recall 0")
    shown = f"(8 + 4) = {full.dice:.2f}, precision {full.precision:.1f}, recall {full.recall:.0f}."
    assert shown in answers(9)[0]


@pytest.mark.parametrize(("small", "large"), [(30, 33), (5, 8)])
def test_two_balls(small, large):
    axis = np.arange(-36, 36.5, 0.5)  # a surface element has the size of a voxel, so voxels are small
    distance = np.sqrt(sum(coordinate**2 for coordinate in np.meshgrid(axis, axis, axis)))
    found = measure(distance <= small, distance <= large, (0.5, 0.5, 0.5))
    exact = 2 * small**3 / (small**3 + large**3)
    assert f"({small}³ + {large}³) = {exact:.2f}" in answers(9)[2]
    assert found.dice == pytest.approx(exact, abs=0.01) and found.assd_mm == pytest.approx(3, abs=0.3)


def test_three_errors_of_one_dice():
    organ, predictions = errors_of_one_dice()
    found = {name: measured(one, organ) for name, one in predictions.items()}
    assert max(one.dice for one in found.values()) - min(one.dice for one in found.values()) < 0.01
    rim, island = found["rim"], found["island"]
    distances = f"one has an HD95 of {rim.hd95_mm:.0f} mm, the other of {island.hd95_mm:.0f} mm"
    shown = f"a Dice of {rim.dice:.2f} each for the liver; {distances}"
    assert shown in " ".join(text_of(9).split())
