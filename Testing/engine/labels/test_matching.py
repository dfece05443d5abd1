"""Which structure is which: terminology, name, label value, by hand."""

import pytest
from UNetSegmenterLib.engine.errors import InputError
from UNetSegmenterLib.engine.labels.matching import match_structures, pair_by_hand, remaining_matches
from UNetSegmenterLib.engine.labels.structures import ABDOMEN8, Structure, known_structure


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
