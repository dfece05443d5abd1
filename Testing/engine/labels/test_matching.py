"""Which structure is which: terminology, name, label value, by hand; matches by overlap are proposed, never made silently."""

from dataclasses import replace

import numpy as np
import pytest
from UNetSegmenterLib.engine.errors import InputError
from UNetSegmenterLib.engine.evaluation.comparison import compare
from UNetSegmenterLib.engine.evaluation.result_files import metrics_table
from UNetSegmenterLib.engine.evaluation.statistics import summary
from UNetSegmenterLib.engine.io.geometry import Geometry
from UNetSegmenterLib.engine.labels.matching import match_structures, pair_by_hand, remaining_matches
from UNetSegmenterLib.engine.labels.matching_by_overlap import overlap_dice
from UNetSegmenterLib.engine.labels.segmentation import Segmentation
from UNetSegmenterLib.engine.labels.structures import ABDOMEN8, Structure, known_structure
from UNetSegmenterLib.engine.worker.result_serialization import comparison_from_json, comparison_to_json


def plain(name, index, value=None):
    return Structure(name, index, (value or index,), (1, 2, 3), None)


def names(matching):
    return [(pair.prediction.name, pair.reference.name, pair.how) for pair in matching.pairs]


def test_terminology_goes_before_names():
    prediction = [Structure("Leber", 1, (1,), (0, 0, 0), known_structure("liver", 1, 1).terminology)]
    matching = match_structures(prediction, ABDOMEN8)
    assert names(matching) == [("Leber", "liver", "terminology")]
    assert len(matching.only_reference) == 7


def test_sides_are_different_structures():
    kidneys = [known_structure(name, i, i) for i, name in enumerate(("right kidney", "left kidney"), start=1)]
    assert names(match_structures(kidneys, ABDOMEN8)) == [
        ("left kidney", "left kidney", "terminology"),
        ("right kidney", "right kidney", "terminology"),
    ]


def test_names_whatever_their_spelling():
    prediction = [plain("Kidney_Left", 1), plain("LV", 2), plain("my femur", 3)]
    reference = [plain("left kidney", 8), plain("Left_Ventricle", 9), plain("My_Femur", 10)]
    assert names(match_structures(prediction, reference)) == [
        ("Kidney_Left", "left kidney", "name"),
        ("LV", "Left_Ventricle", "name"),
        ("my femur", "My_Femur", "name"),
    ]


def test_values_pair_only_what_has_no_name_on_either_side():
    ours = [plain("label 420", 1, 420), plain("Segment_9", 2, 9), plain("layer 3", 3, 7)]
    matching = match_structures(ours, [plain("label 420", 1, 420), plain("label 9", 2, 9), plain("label 3", 3, 3)])
    assert names(matching) == [("label 420", "label 420", "label value"), ("Segment_9", "label 9", "label value")]
    assert all("by label value only" in pair.note for pair in matching.pairs)


@pytest.mark.parametrize("nameless", ["label 1", "Segment_1", "Segment 1 1", "1", "mask", "class-1", "Label_Layer_0"])
def test_a_number_is_never_paired_with_a_name(nameless):
    """A liver drawn as Segment_1 is not the aorta because that has the value 1; nor is a tumour."""
    for name in ("aorta", "my femur", "tumour"):
        assert not match_structures([plain(name, 1, 1)], [plain(nameless, 1, 1)]).pairs
        assert not match_structures([plain(nameless, 1, 1)], [plain(name, 1, 1)]).pairs
    assert not match_structures([plain("tumour", 1, 1)], [plain("aorta", 1, 1)]).pairs


def test_a_value_that_is_there_twice_pairs_nothing():
    twice = [plain("Segment_1", 1, 1), plain("Segment_2", 2, 1)]
    assert not match_structures(twice, [plain("label 1", 1, 1)]).pairs


def test_two_known_structures_are_never_paired_by_value():
    matching = match_structures([known_structure("liver", 1, 1)], [known_structure("spleen", 1, 1)])
    assert not matching.pairs
    assert (matching.only_prediction[0].name, matching.only_reference[0].name) == ("liver", "spleen")


def test_what_is_there_twice_goes_by_name():
    lesion = known_structure("liver", 1, 1).terminology
    twice = [Structure(name, i, (i,), (0, 0, 0), lesion) for i, name in enumerate(("lesion a", "lesion b"), start=1)]
    again = [
        Structure(name, i, (i + 4,), (0, 0, 0), lesion) for i, name in enumerate(("lesion b", "lesion a"), start=1)
    ]
    assert names(match_structures(twice, again)) == [("lesion b", "lesion b", "name"), ("lesion a", "lesion a", "name")]


def test_by_hand_wins():
    matching = match_structures(ABDOMEN8, ABDOMEN8, {"liver": "spleen", "aorta": None})
    assert ("liver", "spleen", "by hand") in names(matching)
    assert "aorta" in [structure.name for structure in matching.only_prediction]
    assert {structure.name for structure in matching.only_reference} == {"aorta", "liver"}
    with pytest.raises(InputError, match="no structure “lung”"):
        match_structures(ABDOMEN8, ABDOMEN8, {"lung": "liver"})


def test_numbered_segments_are_not_names():
    matching = match_structures([plain("Segment_1", 1, 3)], [plain("label 1", 1, 1), plain("label 3", 2, 3)])
    assert names(matching) == [("Segment_1", "label 3", "label value")]


def test_the_last_wish_by_hand_counts():
    wishes = pair_by_hand({}, "a", "x")
    assert wishes == {"a": "x"}
    assert pair_by_hand(wishes, "b", "x") == {"b": "x"}, "a structure has one counterpart"
    assert pair_by_hand(wishes, "a", "y") == {"a": "y"}
    assert pair_by_hand({"a": None, "b": "x"}, "a", "x") == {"a": "x"}
    assert pair_by_hand({"a": None, "b": "x"}, "b", None) == {"a": None, "b": None}
    assert pair_by_hand({"a": None}, "c", "x") == {"a": None, "c": "x"}


def test_wishes_about_structures_that_are_gone_are_left_out():
    sides = [plain("a", 1), plain("b", 2)], [plain("x", 1)]
    assert remaining_matches({"a": "x", "b": None, "c": "x", "d": None}, *sides) == {"a": "x", "b": None}
    assert remaining_matches({"a": "y"}, *sides) == {}


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
