"""The words of a slicing axis, and the positions of the slices along it on grids of every orientation."""

import itertools

import numpy as np
import pytest
from UNetSegmenterLib.engine.io.geometry import Geometry
from UNetSegmenterLib.engine.io.slicing import AXES, slicing_along
from UNetSegmenterLib.engine.io.slicing_axis import slice_positions_mm, slices_along, slicing_axis

COMPONENTS = {"axial": 2, "coronal": 1, "sagittal": 0}


def turned_grids():
    """One grid in each of the 48 ways in which array axes can lie along the patient's."""
    for axes in itertools.permutations(range(3)):
        for signs in itertools.product((1.0, -1.0), repeat=3):
            direction = np.zeros((3, 3))
            direction[list(axes), range(3)] = signs
            rows = tuple(tuple(map(float, row)) for row in direction)
            yield Geometry((4, 5, 6), (3.0, 0.5, 0.7), (10.0, -20.0, 30.0), rows)


@pytest.mark.parametrize("axis", AXES)
def test_positions_are_the_coordinate_that_changes_from_slice_to_slice(axis):
    for geometry in turned_grids():
        along, falls = slices_along(geometry, axis)
        positions = slice_positions_mm(geometry, axis)
        assert len(positions) == geometry.shape[along]
        for number, position in enumerate(positions):
            middle = [(size - 1) / 2 for size in geometry.shape]
            middle[along] = number
            assert geometry.position_ras_mm(middle)[COMPONENTS[axis]] == pytest.approx(position)
        assert (np.diff(positions) < 0).all() == falls and (np.diff(positions) > 0).all() != falls
        assert slicing_along(geometry, axis).axes[0] == along


def test_slices_of_an_oblique_grid_are_the_acquired_ones():
    angle = np.radians(30)
    cos, sin = float(np.cos(angle)), float(np.sin(angle))
    geometry = Geometry((8, 9, 10), (2.0, 1.0, 1.0), direction=((1.0, 0.0, 0.0), (0.0, cos, -sin), (0.0, sin, cos)))
    assert slices_along(geometry, "coronal") == (1, True)
    assert np.diff(slice_positions_mm(geometry, "coronal")) == pytest.approx(-cos)
    assert slices_along(geometry, "sagittal") == (2, True)


def test_only_slices_that_are_not_axial_are_called_by_their_axis():
    texts = {axis: slicing_axis(axis).in_words("Slice 3, slices 4 to 6") for axis in AXES}
    assert texts == {
        "axial": "Slice 3, slices 4 to 6",
        "coronal": "Coronal slice 3, slices 4 to 6",
        "sagittal": "Sagittal slice 3, slices 4 to 6",
    }
    assert slicing_axis("coronal").in_words("12 of 78 slices") == "12 of 78 coronal slices"
    assert [slicing_axis(axis).letter for axis in AXES] == ["S", "A", "R"]
    assert slicing_axis("what a hand wrote").name == "axial"
