"""Measures against shapes with known answers, a brute-force second computation, and MONAI where MONAI is right."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from UNetSegmenterLib.engine.evaluation.measures import (
    measure,
    measure_with_position,
    surface,
    weighted_percentile,
)

SPACINGS = [(1.0, 1.0, 1.0), (2.5, 0.5, 0.5), (5.0, 1.0, 1.0), (3.0, 0.8, 0.7)]


def ball(radius_mm, spacing_mm, middle_mm=(0.0, 0.0, 0.0), half_mm=40.0):
    axes = [
        np.arange(-half_mm, half_mm + mm / 2, mm) - centre for mm, centre in zip(spacing_mm, middle_mm, strict=False)
    ]
    z, y, x = np.meshgrid(*axes, indexing="ij", sparse=True)
    return z**2 + y**2 + x**2 <= radius_mm**2


def box(shape, start, stop):
    mask = np.zeros(shape, dtype=bool)
    mask[tuple(slice(a, b) for a, b in zip(start, stop, strict=False))] = True
    return mask


@pytest.mark.parametrize("spacing_mm", SPACINGS)
def test_concentric_spheres(spacing_mm):
    measures = measure(ball(30, spacing_mm), ball(33, spacing_mm), spacing_mm)
    inner, outer = 4 / 3 * math.pi * 30**3 / 1000, 4 / 3 * math.pi * 33**3 / 1000
    assert measures.dice == pytest.approx(2 * inner / (inner + outer), abs=0.01)
    assert measures.iou == pytest.approx(inner / outer, abs=0.01)
    assert (measures.precision, measures.recall) == (1.0, pytest.approx(inner / outer, abs=0.01))
    assert measures.prediction_ml == pytest.approx(inner, rel=0.01)
    assert measures.difference_ml == pytest.approx(inner - outer, rel=0.04)
    assert measures.hd95_mm == pytest.approx(3.0, abs=0.4 * max(spacing_mm) + 0.1)
    assert measures.assd_mm == pytest.approx(3.0, abs=np.linalg.norm(spacing_mm) / 2)
    assert measures.components == 1


@pytest.mark.parametrize("spacing_mm", SPACINGS)
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_shifted_box(spacing_mm, axis):
    start, stop = np.array([5, 6, 7]), np.array([25, 26, 27])
    shift = np.eye(3, dtype=int)[axis] * 4
    measures = measure(box((40, 40, 40), start + shift, stop + shift), box((40, 40, 40), start, stop), spacing_mm)
    shift_mm = 4 * spacing_mm[axis]
    assert measures.dice == measures.precision == measures.recall == pytest.approx(16 / 20)
    assert measures.iou == pytest.approx(16 / 24)
    assert measures.hd_mm == pytest.approx(shift_mm)
    assert 0 < measures.assd_mm < shift_mm
    assert measures.reference_ml == pytest.approx(8000 * np.prod(spacing_mm) / 1000)
    assert measures.difference_ml == 0
    exact = measure(
        box((40, 40, 40), start + shift, stop + shift), box((40, 40, 40), start, stop), spacing_mm, shift_mm
    )
    assert exact.nsd == pytest.approx(1.0)


def test_boxes_in_boxes_have_the_corner_as_largest_distance():
    inner, outer = box((30, 30, 30), (8, 8, 8), (22, 22, 22)), box((30, 30, 30), (5, 5, 5), (25, 25, 25))
    spacing_mm = (2.0, 1.0, 0.5)
    measures, position = measure_with_position(inner, outer, spacing_mm)
    assert measures.hd_mm == pytest.approx(3 * math.sqrt(4 + 1 + 0.25))
    assert all(value in (4.5, 24.5) for value in position)


def test_parallel_plates_have_one_distance_everywhere():
    """Two half spaces that fill the volume across: every element of the facing planes is exactly 2 slices away."""
    prediction, reference = (
        box((20, 200, 200), (0, 0, 0), (10, 200, 200)),
        box((20, 200, 200), (0, 0, 0), (12, 200, 200)),
    )
    spacing_mm = (3.0, 1.0, 1.0)
    assert measure(prediction, reference, spacing_mm).hd_mm == pytest.approx(6.0)
    assert measure(prediction, reference, spacing_mm, 5.9).nsd < 1
    assert measure(prediction, reference, spacing_mm, 6.0).nsd == pytest.approx(1.0)


@pytest.mark.parametrize("spacing_mm", SPACINGS)
def test_area_of_a_box_is_that_of_its_faces(spacing_mm):
    z, y, x = (20 * mm for mm in spacing_mm)
    area = surface(box((40, 40, 40), (10, 10, 10), (30, 30, 30)), spacing_mm).area_mm2.sum()
    assert area == pytest.approx(2 * (z * y + y * x + x * z), rel=0.06)


def test_area_of_a_diagonal_plane():
    z, y, x = np.ogrid[:30, :30, :30]
    for mask, factor in ((z + y < 30, math.sqrt(2)), (z + y + x < 44, math.sqrt(3))):
        one = surface(np.broadcast_to(mask, (30, 30, 30)), (1, 1, 1))
        inside = np.all((one.cells > 2) & (one.cells < 28), axis=1)
        columns = len({(b, c) for a, b, c in one.cells[inside]})
        full = [
            one.area_mm2[inside & (one.cells[:, 1] == b) & (one.cells[:, 2] == c)].sum()
            for b, c in ((14, 14), (15, 15), (16, 14))
        ]
        assert columns > 100
        assert np.mean(full) == pytest.approx(factor, rel=0.15)


def test_both_empty_is_nothing_to_compare():
    empty = np.zeros((4, 5, 6), dtype=bool)
    assert measure(empty, empty, (1, 1, 1)) is None


@pytest.mark.parametrize("missed", [True, False])
def test_one_empty(missed):
    empty, full = np.zeros((6, 6, 6), dtype=bool), box((6, 6, 6), (1, 1, 1), (3, 4, 5))
    measures, position = measure_with_position(*((empty, full) if missed else (full, empty)), (2.0, 1.0, 1.0))
    assert (measures.dice, measures.iou, measures.nsd) == (0, 0, 0)
    assert measures.hd95_mm == measures.hd_mm == measures.assd_mm == math.inf
    assert math.isnan(measures.precision if missed else measures.recall)
    assert measures.difference_ml == pytest.approx(-0.048 if missed else 0.048)
    assert (measures.components, measures.reference_components) == ((0, 1) if missed else (1, 0))
    assert position == (1.5, 2.0, 2.5)


def test_single_voxels():
    prediction, reference = box((9, 9, 9), (2, 2, 2), (3, 3, 3)), box((9, 9, 9), (2, 2, 7), (3, 3, 8))
    measures = measure(prediction, reference, (3.0, 2.0, 0.5))
    assert measures.dice == 0
    assert measures.hd_mm == pytest.approx(2.5)  # five voxels of 0.5 mm
    assert measures.assd_mm == pytest.approx(2.25)  # the near sides are four apart, the far sides five
    same = measure(prediction, prediction, (3.0, 2.0, 0.5))
    assert (same.dice, same.hd_mm, same.assd_mm, same.nsd) == (1, 0, 0, pytest.approx(1))


def test_structures_that_fill_the_volume_to_its_border():
    everything = np.ones((4, 5, 6), dtype=bool)
    half = everything.copy()
    half[2:] = False
    measures = measure(half, everything, (2.0, 1.0, 1.0))
    assert measures.hd_mm == pytest.approx(4.0)
    assert measures.recall == 0.5
    assert measure(everything, everything, (2.0, 1.0, 1.0)).hd_mm == 0


def test_single_slice():
    prediction, reference = box((1, 20, 20), (0, 5, 5), (1, 15, 15)), box((1, 20, 20), (0, 5, 5), (1, 15, 12))
    measures = measure(prediction, reference, (5.0, 0.5, 0.5))
    assert measures.dice == pytest.approx(140 / 170)
    assert measures.hd_mm == pytest.approx(1.5)


def test_components_count_diagonal_contact_as_one():
    mask = np.zeros((6, 6, 6), dtype=bool)
    mask[0, 0, 0] = mask[1, 1, 1] = mask[4, 4, 4] = True
    assert measure(mask, mask, (1, 1, 1)).components == 2


@pytest.mark.parametrize("spacing", [None, (1, 1), (1, 0, 1), (1, -1, 1), (1, float("nan"), 1)])
def test_spacing_is_required(spacing):
    mask = np.ones((2, 2, 2), dtype=bool)
    with pytest.raises((TypeError, ValueError)):
        measure(mask, mask) if spacing is None else measure(mask, mask, spacing)


def test_masks_of_different_shape_are_refused():
    with pytest.raises(ValueError, match="one grid"):
        measure(np.ones((2, 2, 2), dtype=bool), np.ones((2, 2, 3), dtype=bool), (1, 1, 1))


def test_weighted_percentile():
    values, weights = np.array([4.0, 1.0, 2.0, 3.0]), np.array([1.0, 10.0, 10.0, 10.0])
    assert weighted_percentile(values, weights, 95) == 3.0
    assert weighted_percentile(values, weights, 100) == 4.0
    assert weighted_percentile(values, np.ones(4), 95) == 4.0


SHAPES = st.tuples(st.integers(1, 7), st.integers(1, 7), st.integers(1, 7))
PAIRS = SHAPES.flatmap(lambda shape: st.tuples(arrays(bool, shape), arrays(bool, shape)))
MM = st.sampled_from([0.5, 0.7, 1.0, 2.5, 5.0])


@settings(max_examples=150, deadline=None)
@given(PAIRS, st.tuples(MM, MM, MM))
def test_distances_agree_with_brute_force(pair, spacing_mm):
    prediction, reference = pair
    measures = measure(prediction, reference, spacing_mm)
    if measures is None or not (prediction.any() and reference.any()):
        return
    ours, theirs = surface(prediction, spacing_mm), surface(reference, spacing_mm)
    between = (ours.cells[:, None] - theirs.cells[None]) * np.array(spacing_mm)
    distances = np.linalg.norm(between, axis=2)
    forward, backward = distances.min(axis=1), distances.min(axis=0)
    assert measures.hd_mm == pytest.approx(max(forward.max(), backward.max()), rel=1e-4)
    area = ours.area_mm2.sum() + theirs.area_mm2.sum()
    average = (forward @ ours.area_mm2 + backward @ theirs.area_mm2) / area
    assert measures.assd_mm == pytest.approx(average, rel=1e-4, abs=1e-6)
    assert 0 <= measures.nsd <= 1 + 1e-9
    assert measures.assd_mm <= measures.hd_mm + 1e-6
    assert measures.hd95_mm <= measures.hd_mm


@settings(max_examples=60, deadline=None)
@given(PAIRS, st.tuples(MM, MM, MM), st.permutations([0, 1, 2]))
def test_axis_order_and_roles_do_not_matter(pair, spacing_mm, axes):
    prediction, reference = pair
    one = measure(prediction, reference, spacing_mm)
    turned = measure(prediction.transpose(axes), reference.transpose(axes)[:, ::1], [spacing_mm[a] for a in axes])
    swapped = measure(np.pad(reference, 2), np.pad(prediction, 2), spacing_mm)
    if one is None:
        assert turned is None and swapped is None
        return
    for name in ("dice", "iou", "hd_mm", "assd_mm", "nsd", "prediction_ml"):
        assert getattr(turned, name) == pytest.approx(getattr(one, name), rel=1e-4)
    assert (one.precision, one.recall) == pytest.approx((swapped.recall, swapped.precision), nan_ok=True)
    for name in ("dice", "hd_mm", "hd95_mm", "assd_mm", "nsd"):
        assert getattr(swapped, name) == pytest.approx(getattr(one, name), rel=1e-6)
    assert one.difference_ml == pytest.approx(-swapped.difference_ml)


@pytest.mark.parametrize("spacing_mm", SPACINGS)
@pytest.mark.parametrize("tolerance_mm", [1.0, 2.0, 3.5])
def test_monai_agrees(spacing_mm, tolerance_mm):
    torch = pytest.importorskip("torch")
    metrics = pytest.importorskip("monai.metrics")
    prediction = ball(14, spacing_mm, (1.3, 2.1, -0.7), half_mm=24) & ~ball(5, spacing_mm, (8, 6, 2), half_mm=24)
    reference = ball(13, spacing_mm, half_mm=24)
    ours = measure(prediction, reference, spacing_mm, tolerance_mm)
    pair = [torch.from_numpy(np.stack([~mask, mask])[None].astype(np.float32)) for mask in (prediction, reference)]
    voxel_mm = np.linalg.norm(spacing_mm)
    dice = metrics.compute_dice(*pair, include_background=False).item()
    assert ours.dice == pytest.approx(dice, abs=1e-6)
    nsd = metrics.compute_surface_dice(*pair, [tolerance_mm], spacing=spacing_mm, use_subvoxels=True).item()
    assert ours.nsd == pytest.approx(nsd, abs=0.02)
    hd95 = metrics.compute_hausdorff_distance(*pair, percentile=95, spacing=spacing_mm).item()
    assert ours.hd95_mm == pytest.approx(hd95, abs=voxel_mm / 2)
    hd = metrics.compute_hausdorff_distance(*pair, spacing=spacing_mm).item()
    assert ours.hd_mm == pytest.approx(hd, abs=voxel_mm / 2)
    assd = metrics.compute_average_surface_distance(*pair, symmetric=True, spacing=spacing_mm).item()
    assert ours.assd_mm == pytest.approx(assd, abs=voxel_mm / 4)
