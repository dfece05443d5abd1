"""The error map: exact counts on shapes that can be counted by hand, against a second computation voxel by voxel."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from UNetSegmenterLib.engine.errors import InputError
from UNetSegmenterLib.engine.evaluation.error_map import (
    AGREEMENT,
    CONFUSED,
    FALSE_NEGATIVE,
    FALSE_POSITIVE,
    error_map,
    error_map_steps,
    pairs_of,
)
from UNetSegmenterLib.engine.io.geometry import Geometry
from UNetSegmenterLib.engine.labels.matching import match_structures
from UNetSegmenterLib.engine.labels.segmentation import Segmentation
from UNetSegmenterLib.engine.labels.structures import ABDOMEN8

GRID = Geometry((6, 20, 20), (5.0, 2.0, 1.0))  # a voxel is 0.01 ml
AORTA, GALLBLADDER = ABDOMEN8[:2]


def boxes(aorta=None, gallbladder=None, geometry=GRID, structures=(AORTA, GALLBLADDER)):
    """Boxes of 4 slices by 10 rows, from one column to another."""
    labels = np.zeros(geometry.shape, np.uint8)
    for structure, columns in ((AORTA, aorta), (GALLBLADDER, gallbladder)):
        if columns:
            labels[1:5, 5:15, slice(*columns)] = structure.index
    return Segmentation(labels, geometry, tuple(structures), "boxes")


def pairs(one, other):
    return match_structures(one.structures, other.structures).pairs


def mapped(prediction, reference, structure=None):
    return error_map(prediction, reference, pairs_of(pairs(prediction, reference), structure))


def counts(made):
    return np.bincount(made.labels.reshape(-1), minlength=5)[1:].tolist()


def test_counts_and_volumes_are_exact():
    made = mapped(boxes((2, 10)), boxes((4, 13)))
    assert counts(made) == [6 * 40, 2 * 40, 3 * 40, 0]
    assert [structure.name for structure in made.structures] == [
        "agreement (2.4 ml)", "false positive (0.8 ml)", "false negative (1.2 ml)", "confused (0.0 ml)",
    ]  # fmt: skip
    assert (made.labels[1:5, 5:15, 2:4] == FALSE_POSITIVE).all() and (made.labels[1:5, 5:15, 10:13] == 3).all()
    assert made.geometry == GRID and made.labels[0].max() == 0


def test_another_structure_than_the_references_is_confused_and_each_alone_is_not():
    prediction, reference = boxes(aorta=(2, 8), gallbladder=(8, 14)), boxes(aorta=(2, 10), gallbladder=(10, 14))
    assert counts(mapped(prediction, reference)) == [10 * 40, 0, 0, 2 * 40]
    alone = mapped(prediction, reference, "Aorta")
    assert counts(alone) == [6 * 40, 0, 2 * 40, 0] and len(alone.structures) == 3
    assert counts(mapped(prediction, reference, "gallbladder")) == [4 * 40, 2 * 40, 0, 0]


def test_one_empty_side_and_both():
    assert counts(mapped(boxes((2, 8)), boxes())) == [0, 240, 0, 0]
    assert counts(mapped(boxes(), boxes((2, 8)))) == [0, 0, 240, 0]
    assert counts(mapped(boxes(), boxes())) == [0, 0, 0, 0]


def test_what_one_side_does_not_know_is_background():
    known = boxes(aorta=(2, 8), structures=(AORTA,))
    both = boxes(aorta=(2, 8), gallbladder=(8, 14))
    assert counts(mapped(known, both)) == [240, 0, 0, 0] == counts(mapped(both, known))
    over = boxes(aorta=(2, 10), structures=(AORTA,))
    assert counts(mapped(over, both)) == [240, 80, 0, 0], "where the reference has a structure without counterpart"
    with pytest.raises(InputError, match=r"“gallbladder” is not on both sides.*on both sides: aorta"):
        mapped(known, both, "gallbladder")
    with pytest.raises(InputError, match="on both sides: none"):
        pairs_of([], "liver")


def test_structures_are_matched_not_numbered():
    reference = boxes((2, 10), (10, 14))
    turned = (replace(AORTA, index=2), replace(GALLBLADDER, index=1))
    labels = np.array([0, 2, 1], np.uint8)[reference.labels]
    assert counts(mapped(replace(reference, labels=labels, structures=turned), reference)) == [480, 0, 0, 0]


def test_where_structures_overlap_each_counts():
    reference = boxes(aorta=(2, 10))
    under = np.zeros(GRID.shape, bool)
    under[1:5, 5:15, 6:10] = True
    prediction = replace(boxes(aorta=(2, 6), gallbladder=(6, 10)), overlaps={AORTA.index: np.flatnonzero(under)})
    assert counts(mapped(prediction, reference)) == [160, 160, 0, 0], "the aorta is right there, the gallbladder is not"
    assert counts(mapped(prediction, reference, "aorta")) == [320, 0, 0, 0]
    assert counts(mapped(reference, prediction)) == [160, 0, 160, 0]
    assert counts(mapped(prediction, prediction)) == [320, 0, 0, 0]


def test_another_grid_is_resampled_and_one_elsewhere_refused():
    prediction = boxes((2, 10))
    fine = Geometry((6, 20, 40), (5.0, 2.0, 0.5), (-0.25, 0.0, 0.0))
    labels = np.repeat(boxes((4, 13)).labels, 2, axis=2)
    assert counts(mapped(prediction, Segmentation(labels, fine, (AORTA, GALLBLADDER), "fine"))) == [480, 160, 240, 0]
    with pytest.raises(InputError, match="don't overlap"):
        mapped(prediction, boxes((4, 13), geometry=replace(GRID, origin_lps=(500.0, 0.0, 0.0))))


def test_large_volumes_are_done_in_steps():
    large = Geometry((8, 512, 512), (1.0, 1.0, 1.0))
    empty = Segmentation(np.zeros(large.shape, np.uint8), large, (AORTA,), "empty")
    assert sum(1 for _ in error_map_steps(empty, empty, pairs(empty, empty))) >= 4


def by_hand(claims_ours, claims_theirs):
    """The class of one voxel, from the sets of structures that either side gives it to."""
    if not claims_ours | claims_theirs:
        return 0
    extra, missing = claims_ours - claims_theirs, claims_theirs - claims_ours
    return {(False, False): AGREEMENT, (True, False): FALSE_POSITIVE, (False, True): FALSE_NEGATIVE}.get(
        (bool(extra), bool(missing)), CONFUSED
    )


@given(st.integers(0, 2**32 - 1), st.booleans())
def test_random_labels_voxel_by_voxel(seed, overlapping):
    rng = np.random.default_rng(seed)
    grid = Geometry((3, 4, 5), (1.0, 1.0, 1.0))
    structures = ABDOMEN8[:3]
    sides = []
    for _ in range(2):
        labels = rng.integers(0, 4, grid.shape).astype(np.uint8)
        hidden = {}
        if overlapping:
            below = rng.integers(0, 60, 20)
            hidden = {2: np.unique(below[labels.reshape(-1)[below] != 2])}
        sides.append(Segmentation(labels, grid, structures, "random", overlaps=hidden))
    made = mapped(*sides).labels.reshape(-1)
    masks = [{s.index: side.mask(s.index).reshape(-1) for s in structures} for side in sides]
    for voxel in range(60):
        ours, theirs = ({index for index, mask in side.items() if mask[voxel]} for side in masks)
        assert made[voxel] == by_hand(ours, theirs)
