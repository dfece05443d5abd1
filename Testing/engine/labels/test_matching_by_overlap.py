"""Structures whose names do not match: matches are proposed by overlap, and never made silently."""

from dataclasses import replace

import numpy as np
import pytest
from UNetSegmenterLib.engine.evaluation.comparison import compare
from UNetSegmenterLib.engine.evaluation.result_files import metrics_table
from UNetSegmenterLib.engine.evaluation.statistics import summary
from UNetSegmenterLib.engine.io.geometry import Geometry
from UNetSegmenterLib.engine.labels.matching_by_overlap import overlap_dice
from UNetSegmenterLib.engine.labels.segmentation import Segmentation
from UNetSegmenterLib.engine.labels.structures import known_structure
from UNetSegmenterLib.engine.worker.result_serialization import comparison_from_json, comparison_to_json

GRID = Geometry((10, 30, 30), (4.0, 2.0, 2.0))


def blocks(shift=0):
    """Three blocks: 1 small, 2 large, 3 between."""
    labels = np.zeros(GRID.shape, np.uint8)
    labels[2:5, 3:7, 3 + shift : 7 + shift], labels[2:8, 12:24, 4 + shift : 16 + shift] = 1, 2
    labels[4:7, 8:14, 20 + shift : 26 + shift] = 3
    return labels


def segmentation(names, labels=None, values=None, name="x"):
    structures = tuple(
        known_structure(one, index, (values or {}).get(one, index)) for index, one in enumerate(names, start=1)
    )
    return Segmentation(blocks() if labels is None else labels, GRID, structures, name)


NAMED = ("aorta", "liver", "spleen")


@pytest.mark.parametrize("nameless", ["Segment_1", "label 1", "1"])
def test_a_liver_without_a_name_is_proposed_and_not_compared_with_the_aorta(nameless):
    liver = segmentation((nameless,), (blocks(1) == 2).astype(np.uint8))
    comparison = compare(segmentation(NAMED), liver)
    assert not comparison.matching.pairs and all(row.status == "unmatched" for row in comparison.rows)
    (proposal,) = comparison.proposals
    assert (proposal.prediction, proposal.reference) == ("liver", nameless)
    expected = 2 * np.sum((blocks() == 2) & (blocks(1) == 2)) / np.sum((blocks() == 2) * 1.0 + (blocks(1) == 2))
    assert proposal.dice == pytest.approx(expected)
    assert proposal.text in comparison.notes
    notes = {row.structure: row.note for row in comparison.rows}
    assert f"overlaps “{nameless}” of the reference" in notes["liver"] and "overlaps" not in notes["aorta"]
    accepted = compare(segmentation(NAMED), liver, by_hand={"liver": nameless})
    assert accepted.rows[0].measures.dice == pytest.approx(expected) and accepted.rows[0].matched == "by hand"
    assert not accepted.proposals


def test_a_user_who_left_a_structure_alone_is_not_asked_again():
    liver = segmentation(("Segment_1",), (blocks() == 2).astype(np.uint8))
    assert not compare(segmentation(NAMED), liver, by_hand={"liver": None}).proposals


def test_little_overlap_and_known_structures_are_not_proposed():
    apart = segmentation(("label 1",), (np.roll(blocks(), 8, axis=2) == 2).astype(np.uint8))
    assert not compare(segmentation(NAMED), apart).proposals
    assert not compare(
        segmentation(("liver",), (blocks() == 2) * np.uint8(1)), segmentation(("aorta", "spleen"))
    ).proposals


def test_a_foreign_name_is_proposed():
    (proposal,) = compare(segmentation(NAMED), segmentation(("Aorta", "Leber", "Spleen"))).proposals
    assert (proposal.prediction, proposal.reference) == ("liver", "Leber")


def test_two_label_maps_of_one_scheme_are_paired_by_value_and_say_so():
    names = ("label 1", "label 2", "label 3")
    comparison = compare(segmentation(names), segmentation(names, blocks(1)))
    assert [row.matched for row in comparison.rows] == ["label value"] * 3 and not comparison.proposals
    assert all("by label value only" in row.note for row in comparison.rows)
    header, *cells = metrics_table(comparison.rows)
    assert {row[header.index("matched")] for row in cells} == {"label value"}
    assert summary(comparison.rows)["structures"]["label 2"]["matched"] == {"label value": 1}


def test_values_that_overlap_contradicts_are_questioned():
    names = ("label 1", "label 2", "label 3")
    swapped = np.array([0, 2, 1, 3], np.uint8)[blocks()]
    comparison = compare(segmentation(names), segmentation(names, swapped))
    assert [row.measures.dice for row in comparison.rows] == [0.0, 0.0, 1.0], "one scheme may be what was meant"
    found = {(one.prediction, one.reference, one.instead_of) for one in comparison.proposals}
    assert found == {("label 1", "label 2", "label 1"), ("label 2", "label 1", "label 2")}


def test_names_that_overlap_contradicts_are_doubted():
    """A label map of other values that was declared wrongly, or a network that swaps the kidneys."""
    names = ("left kidney", "right kidney")
    labels = blocks() * (blocks() < 3)
    comparison = compare(segmentation(names, labels), segmentation(names, np.array([0, 2, 1], np.uint8)[labels]))
    assert [row.measures.dice for row in comparison.rows] == [0.0, 0.0] and not comparison.proposals
    assert sum("check what the label values mean" in note for note in comparison.notes) == 2
    assert not any(
        "check what" in note for note in compare(segmentation(names, labels), segmentation(names, labels)).notes
    )


def test_overlap_counts_what_lies_under_another_structure():
    hidden = np.flatnonzero(blocks() == 2)
    names = ("label 1", "label 2", "label 3")
    labels = np.where(blocks() == 2, 3, blocks()).astype(np.uint8)
    covered = replace(segmentation(names, labels), overlaps={2: hidden})
    dice = overlap_dice(covered, segmentation(names))
    for ours in (1, 2, 3):
        for theirs in (1, 2, 3):
            one, other = covered.mask(ours), blocks() == theirs
            assert dice[ours, theirs] == pytest.approx(2 * (one & other).sum() / (one.sum() + other.sum()))
    both = overlap_dice(covered, covered)
    assert both[1, 1] == both[2, 2] == both[3, 3] == 1.0 and not both[0].any() and not both[:, 0].any()


def test_a_comparison_travels_with_its_proposals():
    liver = segmentation(("Segment_1",), (blocks() == 2).astype(np.uint8))
    comparison = compare(segmentation(NAMED), liver)
    assert comparison_from_json(comparison_to_json(comparison)).proposals == comparison.proposals


def test_names_in_the_same_language_pair_without_looking_at_voxels(monkeypatch):
    from UNetSegmenterLib.engine.labels import matching_by_overlap

    monkeypatch.setattr(matching_by_overlap, "overlap_dice", lambda *_: pytest.fail("costs a pass over all voxels"))
    more = segmentation((*NAMED, "stomach", "Femur"), np.where(blocks(), blocks(), 5).astype(np.uint8))
    assert [row.matched for row in compare(segmentation(NAMED), more).rows[:3]] == ["terminology"] * 3


@pytest.mark.parametrize("tolerance_mm", [-1.0, float("nan"), float("inf"), -1e-9])
def test_a_tolerance_that_is_no_length_is_refused(tolerance_mm):
    from UNetSegmenterLib.engine.errors import InputError

    with pytest.raises(InputError, match="tolerance"):
        compare(segmentation(NAMED), segmentation(NAMED), tolerance_mm=tolerance_mm)
