"""Segmentations as other programs write them: read on the grid that they were drawn on, or refused with the reason."""

from dataclasses import replace

import numpy as np
import pytest
from UNetSegmenterLib.engine.errors import InputError
from UNetSegmenterLib.engine.evaluation.comparison import compare
from UNetSegmenterLib.engine.io.geometry import Geometry
from UNetSegmenterLib.engine.io.image_reading import read_volume
from UNetSegmenterLib.engine.io.image_writing import write_image
from UNetSegmenterLib.engine.labels.seg_nrrd import write_seg_nrrd
from UNetSegmenterLib.engine.labels.segmentation import Segmentation
from UNetSegmenterLib.engine.labels.segmentation_files import read_segmentation, write_labelmap
from UNetSegmenterLib.engine.labels.structures import known_structure

from ..slicer_files import CT, DOSE, RTSTRUCT, SEG, cropped, dicom_of_class, seg_nrrd

GRID = Geometry((12, 48, 40), (5.0, 3.0, 2.5), (10.0, -20.0, 30.0))
TURNED = replace(GRID, direction=((0.0, -0.6, 0.8), (-1.0, 0.0, 0.0), (0.0, -0.8, -0.6)))
LIVER, SPLEEN = known_structure("liver", 1, 1), known_structure("spleen", 2, 2)
TWO = {0: ("liver", 1, 0), 1: ("spleen", 2, 0)}


def organs():
    labels = np.zeros(GRID.shape, np.uint8)
    labels[3:9, 10:24, 8:20], labels[4:8, 26:34, 24:32] = 1, 2
    return labels


def prediction(labels=None, geometry=GRID):
    return Segmentation(organs() if labels is None else labels, geometry, (LIVER, SPLEEN), "prediction")


# --- the slicing axis ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("axis", ["axial", "coronal", "sagittal"])
def test_the_slicing_axis_is_kept_in_the_file(tmp_path, axis):
    before = replace(prediction(), slicing_axis=axis, attributes={"Checkpoint": "Small abdomen"})
    write_seg_nrrd(before, tmp_path / "a.seg.nrrd")
    read = read_segmentation(tmp_path / "a.seg.nrrd")
    assert read.slicing_axis == axis and read.attributes == before.attributes
    assert (b"SlicingAxis" in (tmp_path / "a.seg.nrrd").read_bytes()) == (axis != "axial")
    assert read_segmentation(tmp_path / "a.seg.nrrd", (LIVER, SPLEEN)).slicing_axis == axis
    write_labelmap(before, tmp_path / "a.nii.gz")
    assert read_segmentation(tmp_path / "a.nii.gz").slicing_axis == "axial", "NIfTI can't hold it"


def test_a_slicing_axis_that_is_none_counts_as_axial(tmp_path):
    write_seg_nrrd(replace(prediction(), slicing_axis="coronal"), tmp_path / "a.seg.nrrd")
    content = (tmp_path / "a.seg.nrrd").read_bytes()
    (tmp_path / "a.seg.nrrd").write_bytes(content.replace(b"coronal", b"corolla"))
    assert read_segmentation(tmp_path / "a.seg.nrrd").slicing_axis == "axial"


# --- the grid that a file was drawn on ---------------------------------------------------------------------------------


@pytest.mark.parametrize("geometry", [GRID, TURNED])
def test_a_cropped_reference_counts_what_the_prediction_draws_outside_its_box(tmp_path, geometry):
    labels = organs()
    wrong = labels.copy()
    wrong[0:3, 38:46, 30:38] = 1
    seg_nrrd(tmp_path / "full.seg.nrrd", labels, geometry, TWO)
    cropped(tmp_path / "cropped.seg.nrrd", labels, geometry, TWO)
    full, box = (read_segmentation(tmp_path / f"{name}.seg.nrrd") for name in ("full", "cropped"))
    assert box.geometry.is_close(geometry, 1e-6) and np.array_equal(box.labels, full.labels)
    rows, expected = (compare(prediction(wrong, geometry), one).rows for one in (box, full))
    assert [row.measures for row in rows] == [row.measures for row in expected]
    assert rows[0].measures.dice < 0.95 and rows[0].measures.hd95_mm > 30


def test_segments_on_finer_voxels_than_the_reference_geometry_keep_their_voxels(tmp_path):
    fine = Geometry((12, 48, 40), (2.5, 1.5, 1.25), (20.0, -10.0, 40.0))
    cropped(tmp_path / "a.seg.nrrd", organs(), fine, TWO)
    header = (tmp_path / "a.seg.nrrd").read_bytes()
    ras = "-2.5;0;0;-10;0;-3;0;20;0;0;5;30;0;0;0;1"
    start = header.index(b"Reference image geometry|") + len(b"Reference image geometry|")
    end = header.index(b"|Image geometry")
    (tmp_path / "a.seg.nrrd").write_bytes(header[:start] + f"{ras};0;39;0;47;0;11;".encode() + header[end:])
    read = read_segmentation(tmp_path / "a.seg.nrrd")
    assert read.geometry.spacing_mm == fine.spacing_mm, "not resampled to the coarser grid"
    assert np.count_nonzero(read.labels == 1) == np.count_nonzero(organs() == 1)
    low, high = read.geometry.origin_lps, read.geometry.affine_lps() @ [*(n - 1 for n in read.geometry.shape[::-1]), 1]
    for axis, mm in enumerate(GRID.spacing_mm[::-1]):
        far = GRID.origin_lps[axis] + (GRID.shape[2 - axis] - 1) * mm
        assert low[axis] <= GRID.origin_lps[axis] and high[axis] >= far - 1e-6, "all of the drawn grid is covered"


def test_overlapping_segments_stay_where_they_are_when_a_box_is_put_onto_its_grid(tmp_path):
    labels = organs()[None].repeat(2, axis=0)
    labels[0], labels[1] = labels[0] == 1, labels[1] == 2
    labels[1, 4:6, 12:14, 10:12] = 1  # spleen and liver share eight voxels
    drawn = labels.any(axis=0).astype(np.uint8)
    cropped(tmp_path / "box.seg.nrrd", drawn, GRID, {0: ("any", 1, 0)})
    lines = (tmp_path / "box.seg.nrrd").read_bytes().split(b"\n\n", 1)[0].decode().splitlines()
    extra = dict(line.split(":=", 1) for line in lines if line.startswith("Segmentation_R") or "Conversion" in line)
    low, high = np.argwhere(drawn).min(0), np.argwhere(drawn).max(0) + 1
    inside = labels[:, low[0] : high[0], low[1] : high[1], low[2] : high[2]]
    box = Geometry(inside.shape[1:], GRID.spacing_mm, tuple((GRID.affine_lps() @ [*low[::-1], 1])[:3]), GRID.direction)
    seg_nrrd(tmp_path / "two.seg.nrrd", inside, box, {0: ("liver", 1, 0), 1: ("spleen", 1, 1)}, extra)
    read = read_segmentation(tmp_path / "two.seg.nrrd")
    assert read.geometry.is_close(GRID, 1e-6)
    assert np.array_equal(read.mask(1), labels[0] > 0) and np.array_equal(read.mask(2), labels[1] > 0)


def test_a_box_without_its_grid_says_so(tmp_path):
    extra = {"Segmentation_ReferenceImageExtentOffset": "3 4 5"}
    seg_nrrd(tmp_path / "a.seg.nrrd", organs(), GRID, TWO, extra)
    (note,) = read_segmentation(tmp_path / "a.seg.nrrd").notes
    assert "names no reference geometry" in note
    assert any(note in one for one in compare(prediction(), read_segmentation(tmp_path / "a.seg.nrrd")).notes)


def test_a_reference_geometry_elsewhere_and_one_beyond_all_scans(tmp_path):
    away = replace(GRID, origin_lps=(5000.0, 0.0, 0.0))
    cropped(tmp_path / "a.seg.nrrd", organs(), away, TWO)
    text = (tmp_path / "a.seg.nrrd").read_bytes()
    (tmp_path / "a.seg.nrrd").write_bytes(text.replace(b"-5000;", b"5000;"))
    read = read_segmentation(tmp_path / "a.seg.nrrd")
    assert "does not contain" in read.notes[0] and read.geometry.shape == (6, 24, 24)
    (tmp_path / "a.seg.nrrd").write_bytes(text.replace(b"0;39;0;47;0;11;", b"0;39;0;99999999;0;99999;"))
    with pytest.raises(InputError, match="more than any scan has"):
        read_segmentation(tmp_path / "a.seg.nrrd")


@pytest.mark.parametrize("origin", [(0.0, 0.0, 0.0), (5000.0, 0.0, 0.0)])
def test_nothing_drawn_is_empty_on_the_other_sides_grid(tmp_path, origin):
    """Slicer writes one voxel where nothing is drawn: its grid means nothing."""
    one = Geometry((1, 1, 1), (5.0, 3.0, 3.0), origin)
    seg_nrrd(tmp_path / "empty.seg.nrrd", np.zeros((1, 1, 1), np.uint8), one, TWO)
    empty = read_segmentation(tmp_path / "empty.seg.nrrd")
    assert not empty.grid_is_known and len(empty.structures) == 2
    comparison = compare(prediction(), empty)
    assert [(row.status, row.measures.dice) for row in comparison.rows] == [("spurious", 0.0)] * 2
    assert [row.status for row in compare(empty, prediction()).rows] == ["missed"] * 2
    assert [row.status for row in compare(empty, empty).rows] == ["absent"] * 2


def test_one_drawn_voxel_is_no_empty_file(tmp_path):
    one = Geometry((1, 1, 1), (5.0, 3.0, 2.5), (10.0, -20.0, 30.0))
    seg_nrrd(tmp_path / "dot.seg.nrrd", np.ones((1, 1, 1), np.uint8), one, TWO)
    assert read_segmentation(tmp_path / "dot.seg.nrrd").grid_is_known


# --- segments ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("leave_out", [("Layer",), ("Layer", "LabelValue")])
def test_segments_without_layers_have_a_layer_each(tmp_path, leave_out):
    """As Slicer 4.10 wrote them, and as Slicer reads them still."""
    layers = np.stack([organs() == 1, organs() == 2]).astype(np.uint8)
    seg_nrrd(tmp_path / "a.seg.nrrd", layers, GRID, {0: ("liver", 1, 0), 1: ("spleen", 1, 1)}, leave_out=leave_out)
    read = read_segmentation(tmp_path / "a.seg.nrrd")
    assert np.array_equal(read.labels, organs()) and [one.name for one in read.structures] == ["liver", "spleen"]
    assert len({one.values[0] for one in read.structures}) == 2, "a label map of them keeps them apart"


def test_a_gap_in_the_numbers_invents_nothing(tmp_path):
    seg_nrrd(tmp_path / "a.seg.nrrd", organs(), GRID, {0: ("liver", 1, 0), 7: ("spleen", 2, 0)})
    read = read_segmentation(tmp_path / "a.seg.nrrd")
    assert [one.name for one in read.structures] == ["liver", "spleen"] and np.array_equal(read.labels, organs())


def test_values_of_no_segment_are_counted_and_values_of_two_are_refused(tmp_path):
    seg_nrrd(tmp_path / "a.seg.nrrd", organs(), GRID, {0: ("liver", 1, 0)})
    read = read_segmentation(tmp_path / "a.seg.nrrd")
    assert f"{np.count_nonzero(organs() == 2)} voxels" in read.notes[0] and not (read.labels > 1).any()
    seg_nrrd(tmp_path / "b.seg.nrrd", organs(), GRID, TWO, leave_out=("LabelValue",))
    with pytest.raises(InputError, match="liver and spleen both have the value 1"):
        read_segmentation(tmp_path / "b.seg.nrrd")


def test_a_file_that_names_no_segment_has_one_for_each_value(tmp_path):
    seg_nrrd(tmp_path / "a.seg.nrrd", organs(), GRID, {})
    read = read_segmentation(tmp_path / "a.seg.nrrd")
    assert [one.name for one in read.structures] == ["Segment_1", "Segment_2"] and np.array_equal(read.labels, organs())


def test_one_organ_under_two_spellings_is_refused_and_two_lesions_are_not(tmp_path):
    seg_nrrd(tmp_path / "a.seg.nrrd", organs(), GRID, {0: ("urinary bladder", 1, 0), 1: ("Bladder", 2, 0)})
    with pytest.raises(InputError, match="“urinary bladder” and “Bladder”, which is one structure"):
        read_segmentation(tmp_path / "a.seg.nrrd")
    seg_nrrd(tmp_path / "b.seg.nrrd", organs(), GRID, {0: ("lesion", 1, 0), 1: ("Lesion", 2, 0)})
    assert len(read_segmentation(tmp_path / "b.seg.nrrd").structures) == 2
    for name in ("liver", "Liver"):
        write_image((organs() == 1).astype(np.uint8), GRID, tmp_path / "folder" / f"{name}.nii.gz")
    with pytest.raises(InputError, match="one structure"):
        read_segmentation(tmp_path / "folder")
    twice = Segmentation(organs(), GRID, (LIVER, replace(LIVER, index=2, values=(2,))))
    with pytest.raises(InputError, match="The reference holds “liver” twice"):
        compare(prediction(), twice)


# --- DICOM objects -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("uid", "as_scan", "as_labels"),
    [
        (SEG, "modality SEG.*choose the scan itself", 'type ""; BINARY, FRACTIONAL, LABELMAP'),
        (RTSTRUCT, "modality RTSTRUCT.*choose the scan itself", "no frame of reference"),
        (DOSE, "dose.*not a scan", "dose.*not a segmentation"),
    ],
)
def test_dicom_objects_are_refused_for_what_they_are(tmp_path, uid, as_scan, as_labels):
    (tmp_path / "folder").mkdir()
    for path in (tmp_path / "object", tmp_path / "folder" / "a.dcm"):
        dicom_of_class(path, uid)
    for path in (tmp_path / "object", tmp_path / "folder"):
        for read, what in ((read_segmentation, as_labels), (read_volume, as_scan)):
            with pytest.raises(InputError, match=what):
                read(path)


def test_a_scan_is_no_dicom_object(tmp_path):
    dicom_of_class(tmp_path / "slice.dcm", CT)
    with pytest.raises(InputError) as refused:
        read_segmentation(tmp_path / "slice.dcm")
    assert "is a DICOM image, which is read as a scan" in str(refused.value)


# --- folders and label maps --------------------------------------------------------------------------------------------


def folder_of_two(folder, shift_mm=0.0, turn=0.0):
    turned = np.array([[1, -turn, 0], [turn, 1, 0], [0, 0, 1.0]])
    other = replace(
        GRID, origin_lps=(10.0 + shift_mm, -20.0, 30.0), direction=tuple(tuple(map(float, row)) for row in turned)
    )
    write_image((organs() == 1).astype(np.uint8), GRID, folder / "liver.nrrd")
    write_image((organs() == 2).astype(np.uint8), other, folder / "spleen.nrrd")


def test_hidden_files_of_a_folder_are_passed_over(tmp_path):
    folder_of_two(tmp_path)
    (tmp_path / "._liver.nrrd").write_bytes(b"\0\5\26\7" * 30)
    (tmp_path / ".hidden.nii.gz").write_bytes(b"")
    assert [one.name for one in read_segmentation(tmp_path).structures] == ["liver", "spleen"]


@pytest.mark.parametrize(("shift_mm", "turn"), [(0.02, 0.0), (0.0, 1e-4)])
def test_a_hair_is_the_same_grid_with_a_note(tmp_path, shift_mm, turn):
    folder_of_two(tmp_path, shift_mm, turn)
    read = read_segmentation(tmp_path)
    assert np.array_equal(read.labels, organs()) and "taken as the same grid" in read.notes[0]


def test_more_than_a_hair_is_refused_with_what_differs(tmp_path):
    folder_of_two(tmp_path, 1.0)
    with pytest.raises(InputError, match="origins 1 mm apart"):
        read_segmentation(tmp_path)


def test_a_folder_of_cropped_segments_has_one_grid(tmp_path):
    for value, name in ((1, "liver"), (2, "spleen")):
        one = (organs() == value).astype(np.uint8)
        cropped(tmp_path / f"{name}.seg.nrrd", one, GRID, {0: (name, 1, 0)})
    seg_nrrd(
        tmp_path / "colon.seg.nrrd", np.zeros((1, 1, 1), np.uint8), Geometry((1, 1, 1), (1, 1, 1)), {0: ("colon", 1, 0)}
    )
    read = read_segmentation(tmp_path)
    assert [one.name for one in read.structures] == ["colon", "liver", "spleen"]
    assert np.array_equal(read.labels, np.where(organs(), organs() + 1, 0)) and read.geometry.is_close(GRID, 1e-6)


def test_files_of_numbers_keep_their_numbers(tmp_path):
    for number in (2, 10):
        write_image((organs() == 1 + (number == 10)).astype(np.uint8), GRID, tmp_path / f"label_{number}.nii.gz")
    found = {one.name: one.values for one in read_segmentation(tmp_path).structures}
    assert found == {"label_2": (2,), "label_10": (10,)}, "not their position in the alphabet"


@pytest.mark.parametrize("factor", [1.0000001, 0.9999, 1.0004])
def test_labels_a_hair_from_whole_are_rounded(tmp_path, factor):
    write_image((organs() * np.float64(factor)).astype(np.float32), GRID, tmp_path / "a.nrrd")
    assert np.array_equal(read_segmentation(tmp_path / "a.nrrd").labels, organs())


def test_fractions_are_named_with_their_true_number(tmp_path):
    write_image(organs() * np.float64(1.0020001), GRID, tmp_path / "a.nrrd")
    with pytest.raises(InputError, match=r"fractions such as 1\.0020001"):
        read_segmentation(tmp_path / "a.nrrd")
    write_image(organs() * np.float64(-0.25), GRID, tmp_path / "b.nrrd")
    with pytest.raises(InputError, match=r"from -0\.5 to 0"):
        read_segmentation(tmp_path / "b.nrrd")


@pytest.mark.parametrize(
    ("stem", "expected"),
    [
        ("chaos_liver", "liver"),
        ("case7_liver_tumor", "liver tumor"),
        ("Liver Lesions", "liver lesions"),
        ("seg", "label 1"),
    ],
)
def test_what_is_in_an_organ_is_not_the_organ(tmp_path, stem, expected):
    write_image((organs() == 1).astype(np.uint8), GRID, tmp_path / f"{stem}.nii.gz")
    (structure,) = read_segmentation(tmp_path / f"{stem}.nii.gz").structures
    assert structure.name == expected


def test_a_comparison_across_a_hair_says_so_and_resamples_nothing():
    other = prediction(geometry=replace(GRID, origin_lps=(10.02, -20.0, 30.0)))
    comparison = compare(prediction(), other)
    assert [row.measures.dice for row in comparison.rows] == [1.0, 1.0]
    assert len(comparison.notes) == 1 and "taken as the same grid" in comparison.notes[0]


def test_what_we_write_we_read_the_same(tmp_path):
    for labels in (organs(), np.zeros_like(organs())):
        before = prediction(labels, TURNED)
        write_seg_nrrd(before, tmp_path / "a.seg.nrrd")
        after = read_segmentation(tmp_path / "a.seg.nrrd")
        assert np.array_equal(after.labels, labels) and after.geometry.is_close(TURNED, 1e-9)
        assert after.structures == before.structures and after.notes == () and after.grid_is_known
