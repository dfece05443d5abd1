"""Slices along each anatomical axis, whatever the order in which a file stores the voxels."""

import itertools

import numpy as np
import pytest
from UNetSegmenterLib.engine.errors import InputError
from UNetSegmenterLib.engine.io.geometry import Geometry
from UNetSegmenterLib.engine.io.slicing import slicing_along, stored_slicing

# Each voxel's value says where it lies: 100 to superior + 10 to posterior + 1 to left.
ANATOMY = np.add.outer(100 * np.arange(4), np.add.outer(10 * np.arange(3), np.arange(2)))
SIZES_MM = (3.0, 2.0, 1.0)


def stored(order, flips):
    """ANATOMY as a file stores it whose array axes follow `order`, some reversed; and its grid."""
    array = ANATOMY.transpose(order)[tuple(slice(None, None, -1 if flip else 1) for flip in flips)]
    lps = np.eye(3)[[2, 1, 0]]  # directions of superior, posterior and left
    columns = [lps[axis] * (-1 if flip else 1) for axis, flip in zip(order, flips, strict=True)][::-1]
    direction = tuple(tuple(float(value) for value in row) for row in np.array(columns).T)
    return array, Geometry(array.shape, tuple(SIZES_MM[axis] for axis in order), direction=direction)


EVERY_STORAGE = list(itertools.product(itertools.permutations(range(3)), itertools.product((False, True), repeat=3)))


@pytest.mark.parametrize(("order", "flips"), EVERY_STORAGE)
def test_slices_show_the_same_anatomy_in_every_storage(order, flips):
    array, geometry = stored(order, flips)
    for axis, expected, spacing in (
        ("axial", ANATOMY, (3, 2, 1)),
        ("coronal", ANATOMY.transpose(1, 0, 2)[:, ::-1], (2, 3, 1)),
        ("sagittal", ANATOMY.transpose(2, 0, 1)[:, ::-1], (1, 3, 2)),
    ):
        slicing = slicing_along(geometry, axis)
        np.testing.assert_array_equal(slicing.view(array), expected)
        assert (slicing.shape, slicing.spacing_mm) == (expected.shape, spacing)


def test_an_orientation_turns_and_transposes_the_slice():
    array, geometry = stored((0, 1, 2), (False, False, False))
    np.testing.assert_array_equal(
        slicing_along(geometry, "axial", "RA").view(array), ANATOMY.transpose(0, 2, 1)[:, ::-1, ::-1]
    )


def test_a_view_is_written_through():
    array, geometry = stored((2, 0, 1), (True, False, True))
    array = array.copy()
    slicing_along(geometry, "coronal").view(array)[2] = -1
    assert (slicing_along(geometry, "axial").view(array)[:, 2] == -1).all()


@pytest.mark.parametrize(("order", "axis"), [((0, 1, 2), "axial"), ((1, 0, 2), "coronal"), ((2, 1, 0), "sagittal")])
def test_stored_slices_know_their_anatomical_axis(order, axis):
    array, geometry = stored(order, (True, False, False))
    slicing = stored_slicing(geometry)
    assert slicing.axis == axis
    np.testing.assert_array_equal(slicing.view(array), array)
    np.testing.assert_array_equal(stored_slicing(geometry, (2, 0, 1)).view(array), array.transpose(2, 0, 1))


@pytest.mark.parametrize(
    ("axis", "letters"), [("oblique", ""), ("axial", "SL"), ("axial", "P"), ("coronal", "II"), ("axial", "pl")]
)
def test_impossible_directions_are_refused(axis, letters):
    _, geometry = stored((0, 1, 2), (False, False, False))
    with pytest.raises(InputError, match=r"are known|are expected"):
        slicing_along(geometry, axis, letters)
