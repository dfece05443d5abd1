"""Segments with values, colours, names and grids that are none: read as far as they mean something, or refused in a sentence."""

import numpy as np
import pytest
from UNetSegmenterLib.engine.errors import InputError
from UNetSegmenterLib.engine.io.geometry import Geometry
from UNetSegmenterLib.engine.labels.seg_nrrd import write_seg_nrrd
from UNetSegmenterLib.engine.labels.segmentation_files import read_segmentation, write_labelmap
from UNetSegmenterLib.engine.labels.structures import number_in_name

from ..slicer_files import seg_nrrd

GRID = Geometry((3, 8, 9), (5.0, 3.0, 3.0))
LABELS = np.zeros(GRID.shape, np.uint8)
LABELS[:, 2:5, 2:5] = 1


def written(path, value="1", name="liver", **extra):
    seg_nrrd(path, LABELS, GRID, {0: (name, value, "0")}, {key.replace("__", "."): text for key, text in extra.items()})
    return path


@pytest.mark.parametrize("value", ["65536", "9" * 30, "9" * 5000])
def test_a_label_value_beyond_a_label_map_is_refused(tmp_path, value):
    with pytest.raises(InputError, match="whole numbers up to 65535") as caught:
        read_segmentation(written(tmp_path / "a.seg.nrrd", value, name="x" * 4000))
    assert len(str(caught.value)) < len(str(tmp_path)) + 400


@pytest.mark.parametrize("color", ["inf inf inf", "1e400 0 0", "-5 2 nan", "1 0", "9e99 0 0"])
def test_a_colour_that_is_none_is_that_of_the_structure_or_the_nearest(tmp_path, color):
    (structure,) = read_segmentation(written(tmp_path / "a.seg.nrrd", Segment0_Color=color)).structures
    assert len(structure.color) == 3 and all(0 <= channel <= 255 for channel in structure.color)


@pytest.mark.parametrize("values", ["0", "65536", "1,99999999999", "9" * 5000])
def test_source_values_that_are_none_are_left_alone(tmp_path, values):
    found = read_segmentation(written(tmp_path / "a.seg.nrrd", Segment0_Tags=f"UNetSegmenter.SourceValues:{values}|"))
    assert found.structures[0].values == (1,)
    write_labelmap(found, tmp_path / "a.nii.gz")
    write_seg_nrrd(found, tmp_path / "b.seg.nrrd")


@pytest.mark.parametrize(
    ("affine", "extent"),
    [
        ("1e300;0;0;0;0;1e300;0;0;0;0;1e300;0;0;0;0;1", "0;9;0;9;0;9"),
        ("1;0;0;0;0;1;0;0;0;0;1;0;0;0;0;1", "0;1e18;0;1e18;0;1e18"),
        ("3;0;0;0;3;0;0;0;0;0;5;0;0;0;0;1", "0;9;0;9;0;9"),
        ("1e-300;0;0;0;0;3;0;0;0;0;5;0;0;0;0;1", "0;9;0;9;0;9"),
    ],
)
def test_a_reference_geometry_that_is_none_is_not_used(tmp_path, affine, extent):
    text = f"Reference image geometry|{affine};{extent};|x&"
    found = read_segmentation(written(tmp_path / "a.seg.nrrd", Segmentation_ConversionParameters=text))
    assert np.array_equal(found.labels, LABELS)


def test_an_empty_file_does_not_ask_for_the_memory_of_its_reference_geometry(tmp_path):
    text = "Reference image geometry|1;0;0;9e6;0;1;0;9e6;0;0;1;9e6;0;0;0;1;0;1000000;0;1000000;0;1000000;|x&"
    seg_nrrd(
        tmp_path / "a.seg.nrrd", LABELS * 0, GRID, {0: ("liver", 1, 0)}, {"Segmentation_ConversionParameters": text}
    )
    with pytest.raises(InputError, match="more than any scan has"):
        read_segmentation(tmp_path / "a.seg.nrrd")


@pytest.mark.parametrize(
    ("name", "number"), [("label 3", 3), ("9" * 5000, int("9" * 18)), ("segment \u00b2", None), ("", 0)]
)
def test_numbers_in_names_of_any_length_and_script(name, number):
    assert number_in_name(name) == number
