"""Voxels that a reference leaves undecided count in no measure, and the cuts along them are no surfaces."""

import math
from dataclasses import replace

import numpy as np
import pytest
from UNetSegmenterLib.engine.errors import InputError
from UNetSegmenterLib.engine.evaluation.comparison import compare
from UNetSegmenterLib.engine.io.geometry import Geometry
from UNetSegmenterLib.engine.labels.ignored import IGNORED, indices_with_ignored, with_value_ignored
from UNetSegmenterLib.engine.labels.segmentation import Segmentation, resample_segmentation
from UNetSegmenterLib.engine.labels.structures import known_structure
from UNetSegmenterLib.engine.model.normalisation import window
from UNetSegmenterLib.engine.model.preprocessing import Preprocessing, network_labels

LIVER, SPLEEN = known_structure("liver", 1, (1,)), known_structure("spleen", 2, (2,))
GRID = Geometry((12, 20, 30), (2.0, 1.0, 1.0))


def box(*bounds, index=1) -> Segmentation:
    labels = np.zeros(GRID.shape, np.uint8)
    for z, y, x in bounds:
        labels[slice(*z), slice(*y), slice(*x)] = index
    return Segmentation(labels, GRID, (LIVER, SPLEEN))


def ignoring(segmentation: Segmentation, *where: slice) -> Segmentation:
    ignored = np.zeros(GRID.shape, bool)
    ignored[where] = True
    return replace(segmentation, labels=np.where(ignored, 0, segmentation.labels).astype(np.uint8), ignored=ignored)


def liver(prediction, reference):
    comparison = compare(prediction, reference)
    return next(row for row in comparison.rows if row.structure == "liver"), comparison


def test_errors_in_ignored_voxels_count_nowhere():
    reference = ignoring(box(((2, 10), (4, 16), (4, 14))), slice(None), slice(None), slice(14, 30))
    prediction = box(((2, 10), (4, 16), (4, 28)))  # 14 columns too many, all of them where nobody decided
    row, comparison = liver(prediction, reference)
    assert row.measures.dice == 1.0
    assert row.measures.hd_mm == 0.0
    assert row.measures.prediction_ml == row.measures.reference_ml == pytest.approx(8 * 12 * 10 * 2 / 1000)
    assert any("labelled to be ignored" in note for note in comparison.notes)
    wrong, _ = liver(prediction, replace(reference, ignored=None))
    assert wrong.measures.dice < 0.7


def test_the_cut_is_no_surface():
    """Without the cut's zeros the mean distance is that of the surfaces that an annotator drew."""
    reference = ignoring(box(((0, 12), (4, 16), (0, 30))), slice(None), slice(None), slice(10, 30))
    prediction = box(((0, 12), (4, 18), (0, 30)))  # two rows too many on one side
    row, _ = liver(prediction, reference)
    whole, _ = liver(box(((0, 12), (4, 18), (0, 10))), box(((0, 12), (4, 16), (0, 10))))
    assert row.measures.hd_mm == pytest.approx(2.0)
    assert row.measures.dice == pytest.approx(whole.measures.dice)
    assert row.measures.assd_mm > whole.measures.assd_mm  # the second has the cut as a surface, at distance 0


def test_a_structure_whose_surface_is_all_undecided_has_no_distance():
    reference = box(((4, 8), (6, 14), (6, 14)))
    shell = np.zeros(GRID.shape, bool)
    shell[3:9, 5:15, 5:15] = True
    shell[5:7, 7:13, 7:13] = False
    reference = replace(reference, labels=np.where(shell, 0, reference.labels).astype(np.uint8), ignored=shell)
    row, _ = liver(box(((4, 8), (6, 14), (6, 14))), reference)
    assert row.measures.dice == 1.0
    assert math.isnan(row.measures.hd95_mm)
    assert math.isnan(row.measures.nsd)


def test_everything_ignored_measures_nothing():
    row, _ = liver(box(((2, 10), (4, 16), (4, 14))), ignoring(box(((2, 10), (4, 16), (4, 14)))))
    assert row.status == "absent"


def test_without_ignored_voxels_nothing_changes():
    prediction, reference = box(((2, 10), (4, 16), (4, 14))), box(((3, 10), (4, 15), (4, 16)))
    assert liver(prediction, reference)[0] == liver(prediction, replace(reference, ignored=None))[0]
    row, comparison = liver(prediction, replace(reference, ignored=np.zeros(GRID.shape, bool)))
    assert row.measures == liver(prediction, reference)[0].measures
    assert not any("0.0 ml" in note for note in comparison.notes)


def test_a_value_of_any_label_map_can_be_ignored():
    segmentation = replace(box(((2, 10), (4, 16), (4, 14)), index=2))
    ignored = with_value_ignored(segmentation, 2)
    assert not ignored.labels.any()
    assert ignored.ignored.sum() == 8 * 12 * 10
    assert [one.name for one in ignored.structures] == ["liver"]
    with pytest.raises(InputError, match="no label value 7"):
        with_value_ignored(segmentation, 7)


def test_resampling_keeps_what_is_ignored():
    reference = ignoring(box(((2, 10), (4, 16), (4, 14))), slice(None), slice(None), slice(10, 30))
    finer = Geometry((12, 40, 60), (2.0, 0.5, 0.5), (-0.25, -0.25, 0.0))
    on_finer = resample_segmentation(reference, finer)
    assert on_finer.ignored.sum() == 4 * reference.ignored.sum()


def test_a_pixel_that_is_mostly_ignored_is_ignored():
    labels = np.zeros((1, 4, 6), np.uint8)
    labels[:, :, :3] = 1
    segmentation = Segmentation(labels, Geometry(labels.shape, (1.0, 1.0, 1.0)), (LIVER,))
    ignored = np.zeros(labels.shape, bool)
    ignored[0, :2, 1:5] = True
    both = indices_with_ignored(
        replace(segmentation, labels=np.where(ignored, 0, labels).astype(np.uint8), ignored=ignored)
    )
    preprocessing = Preprocessing((2.0, 2.0), window(-100.0, 100.0))
    coarse = network_labels(both, (1.0, 1.0), preprocessing)
    assert coarse[0, 0, 1] == IGNORED  # all four of its pixels are
    assert coarse[0, 1].tolist() == [1, coarse[0, 1, 1], 0]
