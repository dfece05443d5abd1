"""Boxes hold all voxels and no more; Dice comes from counts."""

import numpy as np
import pytest
from UNetSegmenterLib.engine.io.geometry import Geometry
from UNetSegmenterLib.engine.labels.bounding_boxes import bounding_box, joint_box, label_boxes, structure_boxes
from UNetSegmenterLib.engine.labels.dice import dice_coefficient
from UNetSegmenterLib.engine.labels.segmentation import Segmentation, paint
from UNetSegmenterLib.engine.labels.structures import known_structure


def box_of(mask):
    """The box by another way: the ends of all indices."""
    found = np.argwhere(mask)
    return tuple(slice(low, high + 1) for low, high in zip(found.min(axis=0), found.max(axis=0), strict=True))


@pytest.mark.parametrize("count", [1, 7, 8, 9, 32, 33, 64, 65, 255])
def test_boxes_of_labels(count):
    random = np.random.default_rng(count)
    labels = random.integers(0, count + 1, (4, 9, 11)).astype(np.uint8)
    labels[random.random(labels.shape) < 0.8] = 0
    boxes = label_boxes(labels, range(1, count + 1))
    assert boxes == {index: box_of(labels == index) for index in range(1, count + 1) if (labels == index).any()}
    assert label_boxes(labels.transpose(2, 0, 1), [1]).get(1) == bounding_box(labels.transpose(2, 0, 1) == 1)


def test_boxes_of_masks():
    one, other = np.zeros((2, 5, 6, 7), bool)
    assert bounding_box(one, other) is None
    one[2, 3, 4] = True
    assert bounding_box(one, other) == bounding_box(one) == (slice(2, 3), slice(3, 4), slice(4, 5))
    other[4, 0, 4:6] = True
    both = (slice(2, 5), slice(0, 4), slice(4, 6))
    assert bounding_box(one, other) == both == joint_box(bounding_box(one), bounding_box(other))
    assert joint_box(None, both) == joint_box(both, None) == both and joint_box(None, None) is None


def test_hidden_voxels_count_for_the_box_of_a_structure():
    lower, upper = np.zeros((2, 3, 6, 6), bool)
    lower[1, 1:4, 1:4] = upper[1, 2:6, 2:6] = True
    labels, overlaps = paint(lower.shape, [lower, upper])
    structures = tuple(
        known_structure(name, index, index) for index, name in enumerate(("liver", "spleen", "aorta"), 1)
    )
    segmentation = Segmentation(labels, Geometry(labels.shape, (1.0, 1.0, 1.0)), structures, overlaps=overlaps)
    assert structure_boxes(segmentation) == {1: box_of(lower), 2: box_of(upper)}


def test_dice_of_counts():
    assert float(dice_coefficient(3, 4, 5)) == 6 / 9
    assert dice_coefficient([2, 0, 0], [2, 1, 0], [2, 3, 0], if_empty=0.5).tolist() == [1.0, 0.0, 0.5]
    assert dice_coefficient(np.zeros((2, 3)), np.ones((2, 1)), np.ones((1, 3))).shape == (2, 3)
    assert np.isnan(dice_coefficient(0, 0, 0, if_empty=np.nan))
