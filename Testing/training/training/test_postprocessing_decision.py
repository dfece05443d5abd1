"""Postprocessing is decided by what helps patients who had no part in the choice."""

import numpy as np
import pytest
from unetseg.training.postprocessing_decision import (
    UnseenCase,
    decide,
    filling_dice,
    removal_dice,
    removal_options,
    steps_of,
)
from unetseg.training.postprocessing_evidence import best_option, evidence
from UNetSegmenterLib.engine.labels.dice import dice_coefficient
from UNetSegmenterLib.engine.labels.structures import known_structure
from UNetSegmenterLib.engine.model.postprocessing import postprocess

LIVER, AORTA = known_structure("liver", 1, (1,)), known_structure("aorta", 2, (2,))
STRUCTURES = (LIVER, AORTA)
VOXEL_ML = 0.1


def case(name, prediction, reference):
    return UnseenCase.of(name, prediction, reference, VOXEL_ML)


def patient(number, small=(), holes=(), broken=True):
    """A liver in one component and an aorta in two; the prediction has small components and cavities more."""
    random = np.random.default_rng(number)
    reference = np.zeros((12, 30, 30), np.uint8)
    reference[1:10, 2:14, 2 : 12 + number % 3] = 1
    reference[0:3, 20:24, 20:25] = 2
    if broken:
        reference[6:12, 20:24, 20:24] = 2
    prediction = reference.copy()
    prediction[1, 2 : 2 + 1 + number % 2] = 0  # no prediction is perfect
    for index, size in small:
        row = 16 + int(random.integers(0, 2))
        prediction[9:11, row : row + size, 0:2] = index
    for index in holes:
        voxels = np.argwhere(prediction == index)
        z, y, x = np.round(voxels.mean(axis=0)).astype(int)
        prediction[z - 1 : z + 2, y - 1 : y + 2, x - 1 : x + 2] = 0
    return case(f"case{number}", prediction, reference)


def kept(cases):
    return {(one.structure, one.kind): one.step for one in decide(cases, STRUCTURES) if one.step}


# --- what is tried -------------------------------------------------------------------------------------------------------


def test_sizes_that_are_tried_come_from_the_smallest_true_component():
    options = removal_options([patient(0), patient(1)], STRUCTURES)
    smallest_ml = 3 * 4 * 5 * VOXEL_ML  # of the aorta
    sizes = [step.get("remove_components_smaller_than_ml") for step in options[2]]
    assert sizes[:-1] == pytest.approx([smallest_ml * f for f in (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1)], rel=0.05)
    assert options[2][-1] == {"keep_largest_component_of": [2]}


def test_a_slip_of_the_pen_in_a_reference_is_no_true_component():
    one = patient(0)
    one.reference[11, 0, 0] = 1
    options = removal_options([one], STRUCTURES)
    assert options[1][0]["remove_components_smaller_than_ml"] > 5 * VOXEL_ML


def test_the_tables_are_what_postprocessing_makes():
    one = patient(3, small=[(1, 4), (2, 1)], holes=[1])
    options = removal_options([one], STRUCTURES)
    table, filled = removal_dice(one, options), filling_dice(one, [], STRUCTURES)
    for index, steps in options.items():
        for column, step in enumerate([None, *steps]):
            assert table[index][column] == pytest.approx(dice_after(one, [step] if step else [], index))
        assert filled[index][1] == pytest.approx(dice_after(one, [{"fill_cavities_of": [index]}], index))
    assert len(set(table[1])) > 1
    assert filled[1][1] > filled[1][0]


def dice_after(one, steps, index):
    labels = one.prediction()
    postprocess(labels, steps, one.voxel_ml)
    ours, theirs = labels == index, one.reference == index
    return float(dice_coefficient((ours & theirs).sum(), ours.sum(), theirs.sum()))


# --- what is kept --------------------------------------------------------------------------------------------------------


def test_small_components_and_cavities_that_recur_are_dealt_with_and_the_broken_aorta_is_left_alone():
    cases = [patient(n, small=[(1, 3 + n % 3)], holes=[1]) for n in range(6)]
    steps = kept(cases)
    assert set(steps) == {("liver", "components"), ("liver", "cavities")}
    worth = steps["liver", "components"]["evidence"]
    assert worth["dice_with"] > worth["dice_without"]
    assert (worth["cases"], worth["better"], worth["worse"]) == (6, 6, 0)
    for one in cases:
        labels = one.prediction()
        postprocess(labels, steps_of(decide(cases, STRUCTURES)), one.voxel_ml)
        assert dice_after(one, [], 1) < dice_coefficient(*counts(labels == 1, one.reference == 1))
        assert np.array_equal(labels == 2, one.prediction() == 2)


def counts(ours, theirs):
    return (ours & theirs).sum(), ours.sum(), theirs.sum()


def test_where_the_reference_is_of_two_components_size_is_found_and_not_the_largest_alone():
    cases = [patient(n, small=[(2, 1)]) for n in range(5)]
    step = kept(cases)["aorta", "components"]
    assert step["of"] == [2]
    assert 4 * VOXEL_ML < step["remove_components_smaller_than_ml"] <= 60 * VOXEL_ML


def test_what_helps_one_patient_only_is_not_kept():
    cases = [patient(n, small=[(1, 3)] if n == 2 else ()) for n in range(8)]
    assert kept(cases) == {}
    one = next(one for one in decide(cases, STRUCTURES) if (one.structure, one.kind) == ("liver", "components"))
    assert "did not choose it" in one.reason


@pytest.mark.parametrize(("patients", "there"), [(3, False), (4, True)])
def test_few_patients_decide_nothing(patients, there):
    cases = [patient(n, small=[(1, 4)]) for n in range(patients)]
    assert (("liver", "components") in kept(cases)) == there
    if not there:
        assert "at least 4" in decide(cases, STRUCTURES)[0].reason


def test_reasons_are_told_where_there_is_nothing_to_decide():
    reasons = {
        (one.structure, one.kind): one.reason
        for one in decide([patient(n, broken=False) for n in range(5)], STRUCTURES)
    }
    assert reasons["liver", "components"] == "no prediction has a small component"
    assert reasons["aorta", "cavities"] == "no prediction has a cavity"
    assert decide([], STRUCTURES) == []


def test_a_structure_that_no_patient_has_is_not_decided():
    spleen = known_structure("spleen", 3, (3,))
    found = decide([patient(n) for n in range(5)], (*STRUCTURES, spleen))
    assert {one.reason for one in found if one.structure == "spleen"} == {
        "0 patients have it, at least 4 are needed to decide"
    }


# --- evidence ------------------------------------------------------------------------------------------------------------


def test_each_patient_is_measured_with_what_the_others_choose():
    dice = np.array([[0.5, 0.5], [0.5, 0.5], [0.5, 0.5], [0.5, 0.9]])
    found = evidence(dice)  # without the last patient the others choose nothing
    assert (found.option, found.dice_with, found.better, found.worse) == (1, 0.5, 0, 0)
    assert not found.is_enough
    found = evidence(np.array([[0.5, 0.4], [0.5, 0.6], [0.5, 0.6], [0.5, 0.6]]))
    assert (found.option, found.better, found.worse) == (1, 3, 1)
    assert found.dice_with == pytest.approx(0.55)


def test_one_patient_makes_no_option_bolder():
    dice = np.array([[0.5, 0.6, 0.6]] * 7 + [[0.5, 0.6, 0.9]])
    assert best_option(dice) == 1
    assert best_option(np.array([[0.5, 0.6, 0.62 + 0.001 * n] for n in range(8)])) == 2


def test_an_option_that_leaves_more_patients_worse_than_better_is_not_chosen():
    dice = np.array([[0.5, 0.9], [0.5, 0.45], [0.5, 0.45]])
    assert best_option(dice) == 0
    assert best_option(dice[:2]) == 1


def test_patients_without_the_structure_do_not_count():
    dice = np.array([[0.5, 0.6]] * 4 + [[np.nan, np.nan]] * 3)
    assert evidence(dice).cases == 4
    assert evidence(dice).is_enough
    assert evidence(dice[4:]).cases == 0


def test_a_rise_below_the_third_decimal_is_not_enough():
    dice = np.array([[0.5, 0.5004]] * 6)
    assert evidence(dice).option == 1
    assert not evidence(dice).is_enough
