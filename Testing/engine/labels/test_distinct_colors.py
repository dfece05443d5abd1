"""The distinct colours: far apart for all kinds of colour vision where structures touch, and the same in every set."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
from UNetSegmenterLib.engine.evaluation.error_map import CLASSES
from UNetSegmenterLib.engine.labels.color_difference import VISIONS, oklab, smallest_differences
from UNetSegmenterLib.engine.labels.distinct_colors import COLORS, PALETTE, distinct_colors
from UNetSegmenterLib.engine.labels.structures import ABDOMEN8, HEART, known_names, known_structure
from UNetSegmenterLib.engine.model.checkpoint import read_card

from ...tools_as_modules import tool

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def chooser():
    return tool("choose_colors")


def difference(first, second):
    return smallest_differences([PALETTE[COLORS[first]], PALETTE[COLORS[second]]])[0, 1]


def lowest(pairs):
    return min((difference(*pair), pair) for pair in pairs)


def test_oklab_has_the_published_values_and_a_grey_is_one_for_every_vision():
    assert np.allclose(oklab([(255, 255, 255)]), (1, 0, 0), atol=1e-4)
    assert np.allclose(oklab([(255, 0, 0)]), (0.62796, 0.22486, 0.12585), atol=1e-4)
    assert np.allclose(oklab([(0, 0, 255)]), (0.45201, -0.03246, -0.31153), atol=1e-4)
    for vision in VISIONS:
        assert np.allclose(oklab([(128, 128, 128)], vision)[0, 1:], 0, atol=1e-3), vision
    red, green = (190, 60, 30), (90, 100, 30)  # the textbook confusion: all but one to who lacks a kind of cone
    assert np.linalg.norm(oklab([red]) - oklab([green])) > 0.15
    assert smallest_differences([red, green])[0, 1] < 0.05


def test_structures_that_touch_are_far_apart_and_those_of_one_model_are_not_alike(chooser):
    assert lowest(chooser.ABDOMEN_TOUCHES)[0] >= 0.21
    assert lowest(chooser.HEART_TOUCHES)[0] >= 0.16
    assert lowest(chooser.TOUCHES)[0] >= 0.09
    for structures in (ABDOMEN8, HEART):
        assert lowest(itertools.combinations([one.name for one in structures], 2))[0] >= 0.08
    for together in chooser.SETS:
        assert lowest(itertools.combinations(together, 2))[0] > 0.015
    own = [known_structure(name, 1, 1).color for name in ("liver", "stomach")]
    assert smallest_differences(own)[0, 1] < 0.01, "what it is for: Slicer's own two cannot be told apart"


def test_what_touches_in_the_training_labels_of_the_shipped_model_is_far_apart():
    card = read_card(ROOT / "UNetSegmenter/Resources/Models/abdomen8.pt")
    touching = [
        (name, key.removeprefix("contact|"))
        for name, facts in card.statistics["structures"].items()
        for key, values in facts["measures"].items()
        if key.startswith("contact|") and values["max"] > 0.02
    ]
    assert len(touching) > 6
    assert lowest(touching)[0] >= 0.12


def test_the_table_has_all_known_structures_and_only_colours_that_are_none_of_a_scans_greys():
    assert set(COLORS) == set(known_names()) and set(COLORS.values()) <= set(PALETTE)
    for vision in VISIONS:
        seen = oklab(list(PALETTE.values()), vision)
        assert np.hypot(seen[:, 1], seen[:, 2]).min() > 0.02, vision
        assert seen[:, 0].min() > 0.4


def test_a_known_structure_has_one_colour_among_whatever_others():
    liver = PALETTE[COLORS["liver"]]
    assert distinct_colors(["liver"]) == [liver]
    assert distinct_colors(["spleen", "Tumor", "Liver_"])[2] == liver
    assert distinct_colors(one.name for one in ABDOMEN8) == [PALETTE[COLORS[one.name]] for one in ABDOMEN8]


@pytest.mark.parametrize("names", [["bladder", "right atrium"], ["liver", "Liver"], [f"part {n}" for n in range(25)]])
def test_no_two_of_a_set_share_a_colour_while_there_are_enough(names):
    chosen = distinct_colors(names)
    assert len(set(chosen)) == len(names) and chosen[0] == distinct_colors(names[:1])[0]


def test_unknown_structures_get_colours_far_from_the_others():
    chosen = distinct_colors(["liver", "tumour", "vessel", "stomach"])
    assert smallest_differences(chosen)[np.triu_indices(4, 1)].min() > 0.09
    assert distinct_colors([]) == []
    assert len(distinct_colors(f"part {n}" for n in range(60))) == 60


def test_the_classes_of_the_error_map_can_be_told_apart():
    colors = [color for _, color in CLASSES.values()]
    assert smallest_differences(colors)[np.triu_indices(len(colors), 1)].min() > 0.11
