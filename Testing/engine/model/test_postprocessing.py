"""Largest components as nnU-Net keeps them."""

import numpy as np
from UNetSegmenterLib.engine.model.postprocessing import keep_largest_component, postprocess


def labels_of(*boxes):
    labels = np.zeros((6, 20, 20), np.uint8)
    for index, slices, rows, columns in boxes:
        labels[slices, rows, columns] = index
    return labels


BIG = (1, slice(0, 4), slice(0, 5), slice(0, 5))
SMALL = (1, slice(0, 2), slice(10, 12), slice(10, 12))
OTHER = (2, slice(0, 6), slice(15, 20), slice(15, 20))


def test_keeps_the_largest_component_of_one_structure_and_leaves_others_alone():
    labels = labels_of(BIG, SMALL, OTHER)
    assert keep_largest_component(labels, [1]) == 8
    assert np.array_equal(labels, labels_of(BIG, OTHER))


def test_structures_that_touch_count_as_one():
    touching = (2, slice(2, 4), slice(11, 20), slice(11, 20))
    labels = labels_of(BIG, SMALL, touching)
    assert keep_largest_component(labels, [1, 2]) == 100
    assert np.array_equal(labels, labels_of(SMALL, touching))


def test_voxels_that_share_a_corner_are_connected():
    corner = (1, slice(4, 5), slice(5, 6), slice(5, 6))
    labels = labels_of(BIG, corner)
    assert keep_largest_component(labels, [1]) == 0
    assert labels[4, 5, 5] == 1


def test_components_of_the_same_size_are_all_kept():
    twin = (1, slice(0, 2), slice(4, 6), slice(4, 6))
    labels = labels_of(SMALL, twin)
    assert keep_largest_component(labels, [1]) == 0


def test_a_structure_that_is_not_there_changes_nothing():
    labels = labels_of(BIG)
    assert keep_largest_component(labels, [2, 3]) == 0
    assert np.array_equal(labels, labels_of(BIG))


def test_steps_follow_each_other_and_write_through_a_view():
    labels = labels_of(BIG, SMALL, OTHER)
    steps = [{"keep_largest_component_of": [1, 2]}, {"keep_largest_component_of": [1]}]
    assert postprocess(labels[::-1].transpose(2, 0, 1), steps) == 8 + 100
    assert np.array_equal(labels, labels_of(OTHER))
