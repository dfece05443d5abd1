"""Two segmentations compared: one row per structure, other grids, overlaps, curves, positions and cancelling."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from UNetSegmenterLib.engine.errors import InputError
from UNetSegmenterLib.engine.evaluation.comparison import compare
from UNetSegmenterLib.engine.evaluation.measures import measure
from UNetSegmenterLib.engine.io.geometry import Geometry
from UNetSegmenterLib.engine.labels.segmentation import Segmentation, resample_labels, resample_segmentation
from UNetSegmenterLib.engine.labels.structures import ABDOMEN8, HEART, known_structure

GRID = Geometry((30, 40, 50), (3.0, 0.8, 0.7), (-10.0, 20.0, 5.0))
DATA = Path(__file__).resolve().parents[4] / "shared" / "data"


def boxes(geometry=GRID, shift=0, structures=ABDOMEN8[:4], leave_out=()):
    labels = np.zeros(geometry.shape, dtype=np.uint8)
    for structure in structures:
        if structure.index not in leave_out:
            start = 2 + 6 * structure.index
            labels[start : start + 5, 5 + shift : 20 + shift, 10:30] = structure.index
    return Segmentation(labels, geometry, structures, "boxes")


def by_name(comparison):
    return {row.structure: row for row in comparison.rows}


def test_every_status_and_the_same_numbers_as_measure():
    prediction, reference = boxes(shift=1, leave_out=(2, 4)), boxes(leave_out=(3, 4))
    rows = by_name(compare(prediction, reference, "case 1"))
    assert {name: row.status for name, row in rows.items()} == {
        "aorta": "ok", "gallbladder": "missed", "left kidney": "spurious", "right kidney": "absent",
    }  # fmt: skip
    assert rows["aorta"].measures == measure(prediction.labels == 1, reference.labels == 1, GRID.spacing_mm)
    assert rows["aorta"].measures.dice == pytest.approx(14 / 15)
    assert rows["gallbladder"].measures.hd95_mm == math.inf and rows["gallbladder"].measures.dice == 0
    assert rows["right kidney"].measures is None
    assert {row.case for row in rows.values()} == {"case 1"}


def test_structures_are_matched_not_numbered():
    turned = tuple(replace(s, index=5 - s.index) for s in ABDOMEN8[:4])
    reference = boxes()
    prediction = Segmentation(
        np.where(reference.labels, 5 - reference.labels, 0).astype(np.uint8), GRID, turned[::-1], "turned"
    )
    comparison = compare(prediction, reference)
    assert [row.measures.dice for row in comparison.rows] == [1, 1, 1, 1]
    assert [row.structure for row in comparison.rows] == [s.name for s in ABDOMEN8[:4]]


def test_what_has_no_counterpart_is_shown():
    comparison = compare(boxes(structures=ABDOMEN8[:2]), boxes(structures=ABDOMEN8[1:4]))
    rows = by_name(comparison)
    assert {name: row.status for name, row in rows.items()} == {
        "gallbladder": "ok", "left kidney": "unmatched", "right kidney": "unmatched", "aorta": "unmatched",
    }  # fmt: skip
    assert "only in the reference (2.5 ml)" in rows["left kidney"].note
    assert rows["aorta"].prediction is not None and rows["aorta"].reference is None
    assert any("2 structures only in the reference" in note for note in comparison.notes)


def test_a_reference_of_other_structures_only():
    comparison = compare(boxes(), Segmentation(np.zeros(GRID.shape, np.uint8), GRID, HEART, "heart"))
    assert {row.status for row in comparison.rows} == {"unmatched"} and len(comparison.rows) == 11
    assert any("nothing was compared" in note for note in comparison.notes)


def test_another_grid_is_resampled_and_said():
    fine = Geometry((60, 80, 100), (1.5, 0.4, 0.35), (-10.175, 19.8, 4.25))
    reference = boxes()
    prediction = resample_segmentation(reference, fine)
    comparison = compare(prediction, reference)
    assert [row.measures.dice for row in comparison.rows] == [1, 1, 1, 1]
    assert any("nearest neighbour" in note for note in comparison.notes)
    assert not any("outside" in note for note in comparison.notes)


def test_what_lies_outside_the_reference_s_grid_is_counted():
    reference = boxes()
    lower = replace(GRID, shape=(20, 40, 50))
    part = Segmentation(resample_labels(reference.labels, GRID, lower), lower, ABDOMEN8[:4], "lower part")
    comparison = compare(reference, part)
    lost = np.count_nonzero(reference.labels[20:]) * GRID.voxel_ml
    assert any(
        note.startswith(f"{lost:.1f} ml of the prediction (") and "lie outside" in note for note in comparison.notes
    )


def test_grids_that_do_not_meet():
    with pytest.raises(InputError, match="don't overlap"):
        compare(boxes(replace(GRID, origin_lps=(500.0, 0.0, 0.0))), boxes())


def test_empty_prediction():
    comparison = compare(Segmentation(np.zeros(GRID.shape, np.uint8), GRID, ABDOMEN8[:4], "nothing"), boxes())
    assert {row.status for row in comparison.rows} == {"missed"}
    assert "The prediction is empty." in comparison.notes


def test_overlapping_structures_are_measured_whole():
    reference = boxes()
    hidden = np.flatnonzero(reference.labels == 2)
    prediction = replace(reference, overlaps={1: hidden})
    rows = by_name(compare(prediction, reference))
    assert rows["aorta"].measures.prediction_ml == pytest.approx(2 * rows["aorta"].measures.reference_ml)
    assert rows["gallbladder"].measures.dice == 1


@pytest.mark.parametrize("direction", [1.0, -1.0])
def test_slice_curve(direction):
    geometry = replace(GRID, direction=((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, direction)))
    reference, prediction = boxes(geometry), boxes(geometry)
    prediction.labels[9, 5:20, 10:20] = 0  # half of one slice of the aorta (slices 8..12)
    prediction.labels[13, 5:6, 10:20] = 1  # and a few voxels beyond its end
    curve = by_name(compare(prediction, reference))["aorta"].curve
    slices = [8, 9, 10, 11, 12, 13]
    assert list(curve.slices) == (slices if direction > 0 else slices[::-1])
    assert list(curve.position_mm) == sorted(curve.position_mm)
    assert curve.position_mm[curve.slices.index(10)] == pytest.approx(5.0 + direction * 30)
    at = {number: position for position, number in enumerate(curve.slices)}
    assert curve.dice[at[8]] == 1 and curve.dice[at[13]] == 0
    assert curve.dice[at[9]] == pytest.approx(2 * 150 / 450)
    assert curve.reference_mm2[at[9]] == pytest.approx(300 * 0.56)
    assert curve.prediction_mm2[at[13]] == pytest.approx(10 * 0.56)
    assert curve.slices[curve.worst_first()[0]] == 9  # not slice 13, whose Dice is lower and whose error is smaller


def test_slice_curve_of_a_sagittal_scan():
    """Slices run left to right here; the curve still goes from inferior to superior."""
    geometry = Geometry(
        (10, 20, 30), (2.0, 1.0, 0.5), (0.0, 0.0, 0.0), ((0.0, 0.0, 1.0), (0.0, 1.0, 0.0), (-1.0, 0.0, 0.0))
    )
    labels = np.zeros(geometry.shape, dtype=np.uint8)
    labels[2:6, 3:9, 4:14] = 1
    segmentation = Segmentation(labels, geometry, ABDOMEN8[:1])
    curve = compare(segmentation, segmentation).rows[0].curve
    assert curve.axis == 2 and curve.slices == tuple(range(13, 3, -1))
    assert curve.position_mm[0] == pytest.approx(-6.5)
    assert curve.reference_mm2[0] == pytest.approx(24 * 2.0)


@pytest.mark.parametrize(
    ("axis", "array_axis", "area", "positions"),
    [
        ("coronal", 1, 20 * 5 * 0.7 * 3.0, [-(20 + row * 0.8) for row in range(19, 4, -1)]),
        ("sagittal", 2, 15 * 5 * 0.8 * 3.0, [10 - column * 0.7 for column in range(29, 9, -1)]),
    ],
)
def test_the_slice_curve_follows_the_slicing_axis_of_the_prediction(axis, array_axis, area, positions):
    """From posterior to anterior and from left to right, as the offsets of Slicer's views rise."""
    prediction, reference = boxes(), boxes()
    prediction.labels[8:13, 12, 10:30] = 0  # all of one coronal slice of the aorta
    prediction.labels[8:13, 5:20, 17] = 0  # all of one sagittal slice
    comparison = compare(replace(prediction, slicing_axis=axis), replace(reference, slicing_axis="axial"))
    curve = by_name(comparison)["aorta"].curve
    assert comparison.slicing_axis == curve.slicing_axis == axis and curve.axis == array_axis
    assert curve.position_mm == pytest.approx(positions)
    assert curve.reference_mm2[0] == pytest.approx(area)
    assert curve.slices[curve.worst_first()[0]] == {"coronal": 12, "sagittal": 17}[axis]
    plain = compare(prediction, replace(reference, slicing_axis=axis))
    assert plain.slicing_axis == by_name(plain)["aorta"].curve.slicing_axis == "axial"


def test_place_of_the_largest_error():
    reference, prediction = boxes(), boxes()
    prediction.labels[2, 35, 45] = 1
    row = by_name(compare(prediction, reference))["aorta"]
    lps = np.array([-10 + 45 * 0.7, 20 + 35 * 0.8, 5 + 2 * 3.0])
    assert np.abs(np.array(row.largest_error_ras) - lps * [-1, -1, 1]).max() <= 1.5
    missed = by_name(compare(boxes(leave_out=(1,)), reference))["aorta"]
    assert missed.largest_error_ras == pytest.approx((-(-10 + 19.5 * 0.7), -(20 + 12 * 0.8), 5 + 10 * 3.0))


def test_progress_and_cancel():
    seen = []
    full = compare(boxes(), boxes(), progress=lambda done, total: seen.append((done, total)))
    assert seen == [(1, 4), (2, 4), (3, 4), (4, 4)] and full.complete
    part = compare(boxes(), boxes(), cancelled=lambda: len(seen) > 5, progress=lambda *step: seen.append(step))
    assert not part.complete and [row.structure for row in part.rows] == ["aorta", "gallbladder"]


def test_more_structures_than_bits():
    labels = np.arange(4 * 5 * 10, dtype=np.uint8).reshape(4, 5, 10) % 130
    structures = tuple(known_structure(f"part {chr(97 + i // 26)}{chr(97 + i % 26)}", i + 1, i + 1) for i in range(130))
    segmentation = Segmentation(labels, Geometry(labels.shape, (1, 1, 1)), structures)
    comparison = compare(segmentation, segmentation)
    assert [row.status for row in comparison.rows] == ["ok"] * 129 + ["absent"]
    assert all(row.measures.dice == 1 for row in comparison.rows[:129])
