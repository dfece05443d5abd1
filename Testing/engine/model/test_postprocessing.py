"""What postprocessing removes and fills, and what it says of it."""

import numpy as np
import pytest
from UNetSegmenterLib.engine.labels.postprocessing_change import PostprocessingChange, changes_text
from UNetSegmenterLib.engine.model.postprocessing import keep_largest_component, postprocess

ML = 0.5  # of a voxel


def labels_of(*boxes):
    labels = np.zeros((6, 20, 20), np.uint8)
    for index, slices, rows, columns in boxes:
        labels[slices, rows, columns] = index
    return labels


BIG = (1, slice(0, 4), slice(0, 5), slice(0, 5))  # 100 voxels
SMALL = (1, slice(0, 2), slice(10, 12), slice(10, 12))  # 8
OTHER = (2, slice(0, 6), slice(15, 20), slice(15, 20))  # 150


def largest(labels, indices):
    return keep_largest_component(labels, indices, ML)


def removed(count, voxels):
    return PostprocessingChange(removed=count, removed_ml=voxels * ML)


# --- the largest component -----------------------------------------------------------------------------------------------


def test_keeps_the_largest_component_of_one_structure_and_leaves_others_alone():
    labels = labels_of(BIG, SMALL, OTHER)
    assert postprocess(labels, [{"keep_largest_component_of": [1]}], ML) == {1: removed(1, 8)}
    assert np.array_equal(labels, labels_of(BIG, OTHER))


def test_structures_that_touch_count_as_one():
    touching = (2, slice(2, 4), slice(11, 20), slice(11, 20))
    labels = labels_of(BIG, SMALL, touching)
    assert largest(labels, [1, 2]) == {1: removed(1, 100), 2: removed(0, 0)}
    assert np.array_equal(labels, labels_of(SMALL, touching))


def test_voxels_that_share_a_corner_are_connected():
    corner = (1, slice(4, 5), slice(5, 6), slice(5, 6))
    labels = labels_of(BIG, corner)
    assert not largest(labels, [1])[1]
    assert labels[4, 5, 5] == 1


def test_components_of_the_same_size_are_all_kept():
    twin = (1, slice(0, 2), slice(4, 6), slice(4, 6))
    labels = labels_of(SMALL, twin)
    assert not largest(labels, [1])[1]
    assert np.array_equal(labels, labels_of(SMALL, twin))


def test_a_structure_that_is_not_there_changes_nothing():
    labels = labels_of(BIG)
    assert largest(labels, [2, 3]) == {}
    steps = [{"remove_components_smaller_than_ml": 99, "of": [2]}, {"fill_cavities_of": [3]}]
    assert postprocess(labels, steps, ML) == {}
    assert np.array_equal(labels, labels_of(BIG))


def test_steps_follow_each_other_and_write_through_a_view():
    labels = labels_of(BIG, SMALL, OTHER)
    steps = [{"keep_largest_component_of": [1, 2]}, {"keep_largest_component_of": [1]}]
    assert postprocess(labels[::-1].transpose(2, 0, 1), steps, ML) == {1: removed(2, 108)}
    assert np.array_equal(labels, labels_of(OTHER))


# --- components by size --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("below_ml", "gone"), [(3.9, False), (4, False), (4.1, True), (1e6, True)])
def test_removes_components_by_their_volume_and_always_leaves_the_largest(below_ml, gone):
    labels = labels_of(BIG, SMALL, OTHER)
    changes = postprocess(labels, [{"remove_components_smaller_than_ml": below_ml, "of": [1]}], ML)
    assert changes == ({1: removed(1, 8)} if gone else {})
    assert np.array_equal(labels, labels_of(BIG, OTHER) if gone else labels_of(BIG, SMALL, OTHER))


def test_the_volume_follows_the_spacing():
    step = {"remove_components_smaller_than_ml": 4.1, "of": [1]}
    labels = labels_of(BIG, SMALL)
    assert postprocess(labels, [step], ML * 1.1) == {}
    assert postprocess(labels, [step], ML / 2) == {1: PostprocessingChange(removed=1, removed_ml=8 * ML / 2)}


def test_each_structure_of_a_step_counts_by_itself():
    labels = labels_of(BIG, SMALL, OTHER, (2, slice(0, 1), slice(0, 1), slice(10, 14)))
    changes = postprocess(labels, [{"remove_components_smaller_than_ml": 5, "of": [1, 2]}], ML)
    assert changes == {1: removed(1, 8), 2: removed(1, 4)}
    assert np.array_equal(labels, labels_of(BIG, OTHER))


# --- cavities ------------------------------------------------------------------------------------------------------------

HOLLOW = (1, slice(0, 6), slice(2, 12), slice(2, 12))
HOLE = (0, slice(2, 4), slice(5, 8), slice(5, 7))  # 12 voxels
FILL = [{"fill_cavities_of": [1]}]


def test_fills_a_closed_cavity_and_counts_it():
    labels = labels_of(HOLLOW, HOLE, (0, slice(1, 2), slice(10, 11), slice(10, 11)), OTHER)
    assert postprocess(labels, FILL, ML) == {1: PostprocessingChange(filled=2, filled_ml=13 * ML)}
    assert np.array_equal(labels, labels_of(HOLLOW, OTHER))


@pytest.mark.parametrize(
    "opening",
    [
        (0, slice(2, 3), slice(2, 5), slice(5, 6)),  # a channel to the outside
        (0, slice(0, 3), slice(5, 6), slice(5, 6)),  # a channel to the end of the scan
    ],
)
def test_a_cavity_with_a_way_out_is_none(opening):
    labels = labels_of(HOLLOW, HOLE, opening)
    before = labels.copy()
    assert postprocess(labels, FILL, ML) == {}
    assert np.array_equal(labels, before)


def test_a_wall_that_touches_itself_at_an_edge_is_closed():
    labels = labels_of(HOLLOW, HOLE, (0, slice(2, 3), slice(2, 5), slice(4, 5)))  # meets the hole at an edge only
    assert postprocess(labels, FILL, ML) == {1: PostprocessingChange(filled=1, filled_ml=12 * ML)}


def test_another_structure_in_a_cavity_stays():
    guest = (2, slice(2, 4), slice(5, 7), slice(5, 7))
    labels = labels_of(HOLLOW, HOLE, guest)
    assert postprocess(labels, FILL, ML) == {1: PostprocessingChange(filled=1, filled_ml=4 * ML)}
    assert np.array_equal(labels, labels_of(HOLLOW, guest))


def test_what_was_removed_from_a_cavity_is_filled_after_it():
    guest = (2, slice(2, 4), slice(5, 7), slice(5, 7))
    labels = labels_of(HOLLOW, HOLE, guest, OTHER)
    steps = [{"keep_largest_component_of": [2]}, *FILL]
    assert postprocess(labels, steps, ML) == {2: removed(1, 8), 1: PostprocessingChange(filled=1, filled_ml=12 * ML)}
    assert np.array_equal(labels, labels_of(HOLLOW, OTHER))


def test_a_cavity_inside_a_component_that_was_removed_is_not_looked_for():
    far = (1, slice(1, 6), slice(14, 19), slice(14, 19))
    labels = labels_of(HOLLOW, far, (0, slice(3, 4), slice(16, 17), slice(16, 17)), HOLE)
    steps = [{"keep_largest_component_of": [1]}, *FILL]
    assert postprocess(labels[:, ::-1], steps, ML)[1] == removed(1, 124) + PostprocessingChange(
        filled=1, filled_ml=12 * ML
    )
    assert np.array_equal(labels, labels_of(HOLLOW))


# --- words ---------------------------------------------------------------------------------------------------------------


def test_a_change_survives_its_tag():
    change = PostprocessingChange(3, 2.125, 1, 0.3)
    assert PostprocessingChange.from_tag(change.tag) == change


@pytest.mark.parametrize("ml", ["nan", "x", "inf"])
def test_other_tags_are_no_change(ml):
    assert PostprocessingChange.from_tag("") is None
    assert PostprocessingChange.from_tag(f"removed 1 of {ml} ml, filled 0 of 0 ml") is None


def test_changes_in_words():
    changes = [("liver", PostprocessingChange(3, 2.14, 1, 0.34)), ("spleen", PostprocessingChange()),
               ("aorta", PostprocessingChange(removed=1, removed_ml=0.004))]  # fmt: skip
    assert changes_text(changes) == (
        "Postprocessing changed liver: 3 components removed (2.1 ml), 1 cavity filled (0.34 ml); "
        "aorta: 1 component removed (less than 0.01 ml)."
    )
    assert changes_text(changes[1:2]) == ""
