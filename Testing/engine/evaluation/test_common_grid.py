"""Prediction and reference on different grids: what lies outside is told, and where nothing can be compared is an error."""

from dataclasses import replace

import numpy as np
import pytest
from UNetSegmenterLib.engine.errors import InputError
from UNetSegmenterLib.engine.evaluation.comparison import compare
from UNetSegmenterLib.engine.io.geometry import Geometry
from UNetSegmenterLib.engine.labels.coverage import fraction_outside, percent_text
from UNetSegmenterLib.engine.labels.segmentation import Segmentation
from UNetSegmenterLib.engine.labels.structures import known_structure

GRID = Geometry((20, 16, 16), (3.0, 2.0, 2.0))
MIRRORED = replace(GRID, origin_lps=(30.0, 0.0, 0.0), direction=((-1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)))


def livers(geometry: Geometry = GRID, first: int = 4, columns: slice = slice(2, 6)) -> Segmentation:
    """A block of twelve slices."""
    labels = np.zeros(geometry.shape, np.uint8)
    labels[first : first + 12, 4:12, columns] = 1
    return Segmentation(labels, geometry, (known_structure("liver", 1, (1,)),), "livers")


def moved(mm: float) -> Geometry:
    return replace(GRID, origin_lps=(0.0, 0.0, mm))


@pytest.mark.parametrize(
    ("mm", "fraction"), [(0.0, 0), (12.0, 0), (21.0, 3 / 12), (45.0, 11 / 12), (48.0, 1), (500.0, 1)]
)
def test_fraction_of_labels_outside_a_grid(mm, fraction):
    assert fraction_outside(livers(), moved(mm)) == pytest.approx(fraction)


def test_labels_on_a_turned_grid_and_empty_ones():
    half = replace(GRID, shape=(20, 16, 8))  # columns 0 to 7
    assert fraction_outside(livers(MIRRORED), half) == 1 and fraction_outside(livers(MIRRORED), GRID) == 0
    assert fraction_outside(livers(columns=slice(0, 0)), moved(500.0)) == 0
    assert [percent_text(part) for part in (0, 1e-6, 0.5, 0.99999, 1)] == ["0 %", "0.1 %", "50 %", "99.9 %", "100 %"]


def test_partial_overlap_is_a_warning_with_the_percentage_of_both():
    comparison = compare(livers(moved(21.0)), livers())
    assert len(comparison.warnings) == 2 and set(comparison.warnings) <= set(comparison.notes)
    assert "of the reference (25 %) lie outside the prediction's grid" in comparison.warnings[0]
    assert "of the prediction (25 %) lie outside the reference's grid and are not counted" in comparison.warnings[1]
    assert compare(livers(), livers()).warnings == ()


def test_almost_no_overlap_asks_whether_it_is_the_same_scan():
    part = livers(replace(GRID, shape=(5, 16, 16)), columns=slice(2, 3))  # one slice, of 48 labelled columns and slices
    (warning,) = compare(part, livers()).warnings
    assert "(91.7 %) lie outside the prediction's grid" in warning and warning.endswith("it counts as missed.")
    sliver = livers(replace(GRID, shape=(20, 16, 3), origin_lps=(0.0, 22.0, 0.0)), columns=slice(2, 3))
    assert (
        "almost nothing was compared; check that both belong to the same scan" in compare(sliver, livers()).warnings[0]
    )


def test_a_reference_outside_the_predictions_grid_is_an_error():
    with pytest.raises(InputError, match="No labelled voxel of the reference lies in the prediction's grid"):
        compare(livers(moved(54.0)), livers())


@pytest.mark.parametrize("geometry", [GRID, MIRRORED])
def test_labels_that_nowhere_meet_are_a_warning(geometry):
    columns = slice(2, 6) if geometry is MIRRORED else slice(10, 14)
    (warning,) = compare(livers(geometry, columns=columns), livers()).warnings
    assert "lies apart from its counterpart" in warning and "neither was moved or mirrored" in warning
