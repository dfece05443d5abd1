"""Cubic resampling is that of scipy, which nnU-Net's resampling calls through scikit-image."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from UNetSegmenterLib.engine.model.spline import cubic_matrix, resample_cubic, slices_are_far_apart

ndimage = pytest.importorskip("scipy.ndimage", reason="scipy comes with the extra 'training'")
sizes = st.tuples(st.integers(1, 40), st.integers(1, 40))


@given(size=sizes, new=sizes, seed=st.integers(0, 99))
@settings(max_examples=60, deadline=None)
def test_is_scipys_zoom_clipped_to_each_slice(size, new, seed):
    slices = np.random.default_rng(seed).normal(0, 300, (2, *size))
    zoom = [to / of for to, of in zip(new, size, strict=True)]
    expected = [
        np.clip(ndimage.zoom(each, zoom, order=3, mode="nearest", grid_mode=True), each.min(), each.max())
        for each in slices
    ]
    found = resample_cubic(slices, new)
    assert found.shape == (2, *new)
    assert found.dtype == np.float32
    assert np.abs(found - expected).max() <= 300 * 1e-4 or new == size


def test_a_spline_overshoots_an_edge_as_far_as_the_limits_let_it():
    edge = np.zeros((1, 8, 8), np.float32)
    edge[:, :, 4:] = 100
    assert resample_cubic(edge, (8, 20)).max() == 100
    assert resample_cubic(edge, (8, 20), limits=(-50.0, 150.0)).max() > 101


def test_keeps_what_is_constant():
    assert np.allclose(cubic_matrix(7, 19).sum(axis=1), 1)


@pytest.mark.parametrize(
    ("spacing_mm", "new_mm", "expected"),
    [
        ((3, 1, 1), (3, 1, 1), False),
        ((3.1, 1, 1), (3.1, 2, 2), True),
        ((2, 1, 1), (2, 0.5, 0.5), True),
        ((0.3, 1, 1), (0.3, 1, 1), False),
        ((1, 1, 1), (1, 1, 1), False),
    ],
)
def test_slices_are_resampled_one_by_one_where_one_spacing_is_three_times_another(spacing_mm, new_mm, expected):
    assert slices_are_far_apart(spacing_mm, new_mm) is expected
