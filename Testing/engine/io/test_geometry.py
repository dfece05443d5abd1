"""A grid agrees with ITK, has one axial order, and is compared with other grids by one rule."""

from dataclasses import replace

import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import given, settings
from hypothesis import strategies as st
from UNetSegmenterLib.engine.io.geometry import Geometry, grid_difference, same_grid_note, texts_apart
from UNetSegmenterLib.engine.io.resampling import resample_array

GRID = Geometry((12, 48, 40), (5.0, 3.0, 2.5), (10.0, -20.0, 30.0))
TURNED = replace(GRID, direction=((0.0, -0.6, 0.8), (-1.0, 0.0, 0.0), (0.0, -0.8, -0.6)))
PERMUTATIONS = [(0, 1, 2), (0, 2, 1), (1, 0, 2), (1, 2, 0), (2, 0, 1), (2, 1, 0)]


def rotation(x: float, y: float, z: float) -> np.ndarray:
    """Rotation matrix of three small angles in radians."""
    cx, cy, cz, sx, sy, sz = *np.cos([x, y, z]), *np.sin([x, y, z])
    return (
        np.array([[cz, -sz, 0], [sz, cz, 0], [0, 0, 1]])
        @ np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
        @ np.array([[1, 0, 0], [0, cx, -sx], [0, sx, cx]])
    )


@st.composite
def geometries(draw, oblique=True):
    """Every axis order and every flip, left-handed ones too, turned by up to 20 degrees."""
    columns = np.eye(3)[:, draw(st.sampled_from(PERMUTATIONS))] * draw(st.tuples(*[st.sampled_from((1, -1))] * 3))
    angles = draw(st.tuples(*[st.floats(-0.35, 0.35)] * 3)) if oblique else (0, 0, 0)
    direction = rotation(*angles) @ columns
    return Geometry(
        draw(st.tuples(*[st.integers(2, 6)] * 3)),
        draw(st.tuples(*[st.floats(0.3, 6)] * 3)),
        draw(st.tuples(*[st.floats(-300, 300)] * 3)),
        tuple(tuple(row) for row in direction.tolist()),
    )


@given(geometries())
@settings(max_examples=80, deadline=None)
def test_axial_view_runs_superior_posterior_left(geometry):
    indices = np.indices(geometry.shape)[::-1].reshape(3, -1)
    lps = geometry.affine_lps() @ np.vstack([indices, np.ones(indices.shape[1])])
    for lps_axis, view_axis in ((2, 0), (1, 1), (0, 2)):
        coordinate = geometry.to_axial(lps[lps_axis].reshape(geometry.shape))
        assert (np.diff(coordinate, axis=view_axis) > 0).all()


@given(geometries())
@settings(max_examples=40, deadline=None)
def test_axial_view_writes_into_the_array(geometry):
    array = np.zeros(geometry.shape, dtype=np.int32)
    view = geometry.to_axial(array)
    view[...] = np.arange(view.size).reshape(view.shape)
    assert np.shares_memory(view, array)
    assert sorted(array.ravel()) == list(range(array.size))
    steps = dict(zip(geometry.axial()[0], geometry.axial_spacing_mm, strict=True))
    assert tuple(steps[axis] for axis in range(3)) == geometry.spacing_mm


def test_geometry_agrees_with_itk():
    image = sitk.Image([4, 5, 6], sitk.sitkInt16)
    image.SetSpacing((0.7, 0.8, 2.5))
    image.SetOrigin((-10, 20, 30))
    image.SetDirection([0, 0, 1, -1, 0, 0, 0, 1, 0])
    geometry = Geometry.from_sitk(image)
    assert geometry.shape == (6, 5, 4)
    for index in ((0, 0, 0), (3, 1, 2), (2, 4, 5)):
        expected = image.TransformIndexToPhysicalPoint(index)
        np.testing.assert_allclose((geometry.affine_lps() @ [*index, 1])[:3], expected, atol=1e-9)
    assert geometry.voxel_ml == pytest.approx(0.7 * 0.8 * 2.5 / 1000)


def test_other_grid_is_told_apart():
    geometry = Geometry((3, 4, 5), (2.0, 1.0, 1.0))
    assert not geometry.is_close(Geometry((3, 4, 5), (2.0, 1.0, 1.0), (0.0, 0.0, 0.5)))
    assert not geometry.is_close(Geometry((3, 4, 6), (2.0, 1.0, 1.0)))
    assert not geometry.is_close(Geometry((3, 4, 5), (2.1, 1.0, 1.0)))


def test_the_rule_for_one_grid():
    def turned(angle):
        return replace(GRID, direction=((1.0, -angle, 0.0), (angle, 1.0, 0.0), (0.0, 0.0, 1.0)))

    def moved(mm):
        return replace(GRID, origin_lps=(10.0 + mm, -20.0, 30.0))

    assert GRID.is_close(turned(1e-4)) and GRID.is_close(moved(0.02)) and GRID.is_close(moved(0.14))
    assert not GRID.is_close(moved(0.2)) and not GRID.is_close(turned(5e-3))
    assert not GRID.is_close(replace(GRID, shape=(12, 48, 41)))
    micro = replace(GRID, spacing_mm=(0.05, 0.05, 0.05))
    assert not micro.is_close(replace(micro, origin_lps=(10.02, -20.0, 30.0))), "0.4 of a voxel is another voxel"
    assert same_grid_note(GRID, moved(1e-3), "a and b") == ""
    assert "0.02 mm apart" in same_grid_note(GRID, moved(0.02), "a and b")


def test_differences_never_look_alike():
    assert texts_apart((3.0, 3.0), (3.0, 3.0000004)) == ("3 x 3", "3 x 3.0000004")
    text = grid_difference(GRID, replace(GRID, spacing_mm=(5.0, 3.0001, 2.5)))
    assert "2.5 x 3 x 5 against 2.5 x 3.0001 x 5 mm" in text
    assert "axes turned" in grid_difference(GRID, TURNED) and grid_difference(GRID, GRID) == ""
    assert "40 x 48 x 12 against 40 x 48 x 11 voxels" in grid_difference(GRID, replace(GRID, shape=(11, 48, 40)))


@given(geometries())
@settings(max_examples=40, deadline=None)
def test_axial_shape_and_positions_are_those_of_the_view(geometry):
    assert geometry.to_axial(np.empty(geometry.shape, bool)).shape == geometry.axial_shape
    _, rows, columns = geometry.shape
    x, y, z, _ = geometry.affine_lps() @ [columns - 1, rows - 1, 0.5, 1.0]
    assert geometry.position_lps_mm((0.5, rows - 1, columns - 1)) == (x, y, z)
    assert geometry.position_ras_mm((0.5, rows - 1, columns - 1)) == (-x, -y, z)
    np.testing.assert_array_equal(geometry.affine_ras() @ [columns - 1, rows - 1, 0.5, 1.0], [-x, -y, z, 1])


def test_a_grid_in_words():
    assert GRID.shape_text() == "40 x 48 x 12" and GRID.spacing_text() == "2.5 x 3 x 5"
    assert GRID.grid_text() == "centre at LPS 59, 50, 58 mm, 40 x 48 x 12 voxels of 2.5 x 3 x 5 mm"


def test_arrays_are_resampled_by_the_nearest_voxel_or_linearly():
    array = np.zeros((3, 4, 5), np.int16)
    array[1, 2, 3] = 100
    grid = Geometry(array.shape, (2.0, 1.0, 1.0))
    target = replace(grid, origin_lps=(0.25, 0.0, 0.0), shape=(3, 4, 6))
    nearest = resample_array(array, grid, target, nearest=True, outside=-5)
    linear = resample_array(array, grid, target, nearest=False)
    assert nearest.dtype == linear.dtype == np.int16
    assert nearest[1, 2].tolist() == [0, 0, 0, 100, 0, -5]
    assert linear[1, 2].tolist() == [0, 0, 25, 75, 0, 0]
