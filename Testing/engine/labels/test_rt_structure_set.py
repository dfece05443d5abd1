"""DICOM structure sets: contours as labels on the scan's grid, or one sentence that says what is wrong."""

from dataclasses import replace

import numpy as np
import pytest
from UNetSegmenterLib.engine.errors import InputError
from UNetSegmenterLib.engine.io.geometry import Geometry
from UNetSegmenterLib.engine.labels.contours import rasterised, without_repeats
from UNetSegmenterLib.engine.labels.segmentation_files import need_of_grid, read_segmentation

from ..dicom_label_files import structure_set
from .test_dicom_seg import STRAIGHT, series

GRID = Geometry((8, 40, 30), (5.0, 2.0, 1.5), (-20.0, 15.0, 100.0))
TURNED = replace(GRID, direction=((0.0, -0.6, 0.8), (-1.0, 0.0, 0.0), (0.0, -0.8, -0.6)))


def lps(points, number, grid=GRID):
    """Points (column, row) of a slice, which may lie between two, in mm."""
    return [grid.position_lps_mm((number, row, column)) for column, row in points]


def box(left, top, right, bottom):
    return [(left, top), (right, top), (right, bottom), (left, bottom)]


def circle(column, row, radius, points=180):
    angles = np.linspace(0, 2 * np.pi, points, endpoint=False)
    return np.c_[column + radius * np.cos(angles), row + radius * np.sin(angles)]


def liver(path, contours, grid=GRID, **more):
    return read_segmentation(structure_set(path, {"liver": contours}, **more), grid=grid)


# --- one plane -----------------------------------------------------------------------------------------------------------


def test_a_pixel_belongs_if_its_centre_lies_inside_or_on_the_contour():
    inside = rasterised([np.array(box(1.5, 2.5, 4.5, 6.5))], (9, 7))
    assert np.argwhere(inside).min(axis=0).tolist() == [3, 2] and inside.sum() == 3 * 4
    through_centres = rasterised([np.array(box(2.0, 3.0, 4.004, 5.997))], (9, 7))
    assert np.array_equal(through_centres, inside), "the outline itself belongs, and rounding of a file does not count"
    line = rasterised([np.array([(1.0, 1.0), (4.0, 1.0)])], (9, 7))
    assert np.flatnonzero(line[1]).tolist() == [1, 2, 3, 4] and line.sum() == 4


@pytest.mark.parametrize("shape", [(50, 60), (20, 20)])
def test_a_circle_has_the_pixels_that_the_formula_says_also_where_it_leaves_the_slice(shape):
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    for centre in ((21.3, 17.8), (0.2, 3.1), (19.9, 24.4)):
        expected = np.hypot(columns - centre[0], rows - centre[1]) <= 11.7
        drawn = rasterised([circle(*centre, 11.7, 4000)], shape)
        assert np.count_nonzero(drawn != expected) <= 1, centre


def test_a_contour_inside_another_is_a_hole_and_one_inside_the_hole_belongs_again():
    outer, hole, island = circle(20, 20, 15), circle(20, 20, 9), circle(20, 20, 4)
    mask = rasterised([hole, outer, island], (40, 40))
    assert mask[20, 20] and not mask[20, 27] and mask[20, 32] and not mask[0, 0]
    keyhole = np.concatenate([outer, outer[:1], hole[:1], hole[::-1]])
    assert np.array_equal(rasterised([keyhole], (40, 40)), rasterised([outer, hole], (40, 40)) | on(outer, hole))
    assert len(without_repeats([outer, hole, outer.copy()])) == 2, "a copy on itself is no hole"


def on(outer, hole):
    """The pixels of the cut of a keyhole that pass through pixel centres."""
    mask = np.zeros((40, 40), bool)
    mask[20, 29:36] = True
    return mask


# --- the file ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("grid", [GRID, TURNED])
def test_regions_lie_where_they_were_drawn_and_may_overlap(tmp_path, grid):
    one = [lps(circle(12, 20, 8), number, grid) for number in (2, 3, 4)]
    two = [lps(box(9.5, 9.5, 20.5, 18.5), 3, grid), lps(box(24.5, 30.5, 27.5, 33.5), 3, grid)]
    path = structure_set(tmp_path / "a.dcm", {"Leber, groß": one, "spleen": two}, colors={"spleen": "1\\2\\3"})
    read = read_segmentation(path, grid=grid)
    assert read.geometry is grid and [one.name for one in read.structures] == ["Leber, groß", "spleen"]
    assert read.structures[1].color == (1, 2, 3) and read.structures[1].values == (5,)
    disc = rasterised([circle(12, 20, 8)], grid.shape[1:])
    assert np.array_equal(np.flatnonzero(read.mask(1).any(axis=(1, 2))), [2, 3, 4])
    assert all(np.array_equal(read.mask(1)[number], disc) for number in (2, 3, 4))
    twice = structure_set(tmp_path / "b.dcm", {"liver": [*one, one[1]]})
    assert np.array_equal(read_segmentation(twice, grid=grid).labels == 1, read.mask(1)), "a copy is no hole"
    assert read.mask(2).sum() == 11 * 9 + 9 and 1 in read.overlaps and not read.notes
    assert need_of_grid(path) == 2 and need_of_grid(tmp_path / "x.nii") == 0


def test_planes_between_slices_further_apart_or_closer_together(tmp_path):
    near = liver(tmp_path / "a.dcm", [lps(circle(12, 20, 8), number) for number in (2.3, 3.3, 4.3)])
    assert np.flatnonzero(near.labels.any(axis=(1, 2))).tolist() == [2, 3, 4] and "0.3 slices off" in near.notes[0]
    half = liver(tmp_path / "b.dcm", [lps(circle(12, 20, 8), number) for number in (2.5, 3.5)])
    assert np.flatnonzero(half.labels.any(axis=(1, 2))).tolist() == [3, 4], "each plane is one slice"
    every_second = liver(tmp_path / "c.dcm", [lps(circle(12, 20, 4 + number), number) for number in (1, 3, 5)])
    areas = every_second.labels.sum(axis=(1, 2))
    assert np.flatnonzero(areas).tolist() == [1, 2, 3, 4, 5, 6] or np.flatnonzero(areas).tolist() == [0, 1, 2, 3, 4, 5]
    assert "2 slices apart" in every_second.notes[0] and areas[1] < areas[3] < areas[5]
    closer = liver(tmp_path / "d.dcm", [lps(circle(12, 20, 8), number) for number in np.arange(2, 4.01, 0.25)])
    assert np.flatnonzero(closer.labels.any(axis=(1, 2))).tolist() == [2, 3, 4]
    assert closer.labels[3].sum() == rasterised([circle(12, 20, 8)], GRID.shape[1:]).sum(), "no plane cancels another"
    apart = liver(tmp_path / "e.dcm", [lps(circle(12, 20, 8), number) for number in (0, 6)])
    assert np.flatnonzero(apart.labels.any(axis=(1, 2))).tolist() == [0, 6], "two planes are no rule for those between"


def test_what_is_no_closed_contour_on_a_slice_is_left_out_and_noted(tmp_path):
    slanted = [GRID.position_lps_mm((2 + row / 20, row, column)) for column, row in circle(12, 20, 8)]
    good = [lps(circle(12, 20, 8), number) for number in (2, 3)]
    outside = [lps(circle(12, 20, 8), number) for number in (-4, 9)]
    contours = [
        *good,
        slanted,
        *outside,
        ("POINT", lps([(3, 3)], 2)),
        ("OPEN_PLANAR", lps([(3, 3), (9, 9), (3, 9)], 2)),
    ]
    path = structure_set(tmp_path / "a.dcm", {"liver": contours, "iso": [("POINT", lps([(3, 3)], 2))], "empty": []})
    read = read_segmentation(path, grid=GRID)
    assert [one.name for one in read.structures] == ["liver"]
    assert np.flatnonzero(read.labels.any(axis=(1, 2))).tolist() == [2, 3]
    notes = " ".join(read.notes)
    for part in (
        "2 contours of the type POINT",
        "1 contours of the type OPEN_PLANAR",
        "iso, empty",
        "1 contours of liver run",
    ):
        assert part in notes, (part, notes)
    assert "2 of 4 planes of liver lie outside" in notes


def test_the_series_beside_gives_the_grid_and_without_one_the_user_is_asked_for_it(tmp_path):
    contours = [lps(circle(3, 5, 2.5), number, STRAIGHT) for number in (2, 3)]
    path = structure_set(tmp_path / "set" / "rt.dcm", {"liver": contours})
    with pytest.raises(InputError, match="give the scan"):
        read_segmentation(path)
    series(tmp_path / "ct")
    read = read_segmentation(path)
    assert read.geometry.is_close(STRAIGHT, 1e-6)
    assert np.array_equal(read.labels[2], rasterised([circle(3, 5, 2.5)], STRAIGHT.shape[1:]))


def test_what_can_not_be_right_is_refused(tmp_path):
    good = lps(circle(12, 20, 8), 2)
    with pytest.raises(InputError, match="no contour on the slices of the scan"):
        liver(tmp_path / "a.dcm", [lps(circle(12, 20, 8), 40)])
    with pytest.raises(InputError, match="no region with a closed contour"):
        liver(tmp_path / "b.dcm", [])
    with pytest.raises(InputError, match="frame of reference"):
        liver(tmp_path / "c.dcm", [good], frame="")
    for points in ([(1.0, 2.0)], [(np.nan, 1.0, 2.0)] * 3):
        with pytest.raises(InputError, match="no list of x, y and z"):
            liver(tmp_path / "d.dcm", [good, points])
    with pytest.raises(InputError, match="one structure"):
        read_segmentation(structure_set(tmp_path / "e.dcm", {"Liver": [good], "liver": [good]}), grid=GRID)
    path = structure_set(tmp_path / "f.dcm", {"liver": [good]})
    path.write_bytes(path.read_bytes()[:-500])
    with pytest.raises(InputError, match="cut off"):
        read_segmentation(path, grid=GRID)
