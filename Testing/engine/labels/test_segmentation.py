"""Segmentations on disk: what Slicer, nnU-Net and TotalSegmentator leave behind, and what we write."""

import json
from dataclasses import replace

import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from UNetSegmenterLib.engine.errors import InputError
from UNetSegmenterLib.engine.io.geometry import Geometry
from UNetSegmenterLib.engine.io.image_writing import write_image
from UNetSegmenterLib.engine.labels.postprocessing_change import PostprocessingChange
from UNetSegmenterLib.engine.labels.seg_nrrd import write_seg_nrrd
from UNetSegmenterLib.engine.labels.segmentation import Segmentation, resample_labels, resample_segmentation
from UNetSegmenterLib.engine.labels.segmentation_files import read_segmentation, write_labelmap
from UNetSegmenterLib.engine.labels.structures import ABDOMEN8, HEART, Structure, known_structure

OBLIQUE = ((0.0, -0.6, 0.8), (-1.0, 0.0, 0.0), (0.0, -0.8, -0.6))
GRID = Geometry((6, 7, 8), (2.5, 0.8, 0.7), (10.0, -20.0, 30.0), OBLIQUE)


def heart(geometry=GRID, seed=0):
    labels = np.random.default_rng(seed).integers(0, 8, geometry.shape, dtype=np.uint8)
    return Segmentation(
        labels, geometry, HEART, "heart", attributes={"UNetSegmenter.Checkpoint": "abdomen8.pt: a|b = c"}
    )


def test_seg_nrrd_comes_back_unchanged(tmp_path):
    changes = {1: PostprocessingChange(3, 2.125), 7: PostprocessingChange(filled=1, filled_ml=0.25)}
    before = replace(heart(), confidence={1: 0.9125, 7: 0.5}, postprocessing=changes)
    write_seg_nrrd(before, tmp_path / "case 1.seg.nrrd")
    after = read_segmentation(tmp_path / "case 1.seg.nrrd")
    assert after.confidence == before.confidence and after.postprocessing == changes
    declared = read_segmentation(tmp_path / "case 1.seg.nrrd", tuple(reversed(HEART)))
    assert declared.confidence == before.confidence, "it goes by the declared index"
    assert declared.postprocessing == changes
    assert np.array_equal(after.labels, before.labels)
    assert after.structures == before.structures  # names, colours, terminology and source values (420 and 421)
    assert after.geometry.is_close(before.geometry, 1e-6)
    assert after.attributes == before.attributes
    assert after.name == "case 1"
    assert not list(tmp_path.glob(".partial*"))


def test_overlapping_structures_keep_every_voxel(tmp_path):
    labels = np.zeros((4, 5, 6), dtype=np.uint8)
    labels[:2] = 1
    labels[1:3] = 2
    labels[3] = 3
    grid = Geometry((4, 5, 6), (2.0, 1.0, 1.0))
    hidden = np.flatnonzero(np.indices(labels.shape)[0] == 1)
    before = Segmentation(labels, grid, ABDOMEN8[:3], "overlap", overlaps={1: hidden})
    assert before.mask(1).sum() == 60 and before.mask(2).sum() == 60
    assert before.overlap_ml() == pytest.approx(0.06)
    write_seg_nrrd(before, tmp_path / "overlap.seg.nrrd")
    after = read_segmentation(tmp_path / "overlap.seg.nrrd")
    for structure in ABDOMEN8[:3]:
        assert np.array_equal(after.mask(structure.index), before.mask(structure.index)), structure.name
    assert after.structures == before.structures
    assert [int(resample_segmentation(after, grid).mask(i).sum()) for i in (1, 2, 3)] == [60, 60, 30]


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.permutations([0, 1, 2]),
    st.tuples(*[st.sampled_from([-1, 1])] * 3),
    st.tuples(*[st.integers(1, 6)] * 3),
    st.integers(0, 99),
)
def test_label_maps_keep_geometry_and_source_values(tmp_path, axes, signs, shape, seed):
    direction = tuple(tuple(float(signs[j]) * (axes[j] == i) for j in range(3)) for i in range(3))
    before = heart(Geometry(shape, (3.0, 0.75, 0.5), (1.0, 2.0, -3.0), direction), seed)
    write_labelmap(before, tmp_path / "heart.nii.gz")
    values = set(np.unique(sitk.GetArrayFromImage(sitk.ReadImage(str(tmp_path / "heart.nii.gz")))))
    assert values <= {0, 205, 420, 500, 550, 600, 820, 850}
    after = read_segmentation(tmp_path / "heart.nii.gz", HEART)
    assert np.array_equal(after.labels, before.labels)
    assert after.geometry.is_close(before.geometry, 1e-4)


def test_stray_421_is_the_left_atrium(tmp_path):
    array = np.array([[[0, 420, 421, 500]]], dtype=np.int16)
    write_image(array, Geometry((1, 1, 4), (1, 1, 1)), tmp_path / "ct_train_1001_label.nii.gz")
    assert read_segmentation(tmp_path / "ct_train_1001_label.nii.gz", HEART).labels.ravel().tolist() == [0, 2, 2, 3]


def test_undeclared_values_are_named_with_their_counts(tmp_path):
    array = np.array([[[0, 205, 421, 7, 7, 9]]], dtype=np.int16)
    write_image(array, Geometry((1, 1, 6), (1, 1, 1)), tmp_path / "label.nii.gz")
    with pytest.raises(InputError, match=r"7 \(2 voxels\), 9 \(1 voxel\).*declared are 205, 420, 421"):
        read_segmentation(tmp_path / "label.nii.gz", HEART)


def test_a_label_map_without_declaration_names_values(tmp_path):
    array = np.array([[[0, 5, 5, 2]]], dtype=np.float32)
    write_image(array, Geometry((1, 1, 4), (1, 1, 1)), tmp_path / "unknown.nii.gz")
    segmentation = read_segmentation(tmp_path / "unknown.nii.gz")
    assert [(s.name, s.values) for s in segmentation.structures] == [("label 2", (2,)), ("label 5", (5,))]
    assert segmentation.labels.ravel().tolist() == [0, 2, 2, 1]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("chaos_liver", "liver"),
        ("kidney_left", "left kidney"),
        ("case7", "label 255"),
        ("liver_or_spleen", "label 255"),
    ],
)
def test_a_file_of_one_value_is_named_by_its_file(tmp_path, name, expected):
    write_image(np.array([[[0, 255]]], dtype=np.uint8), Geometry((1, 1, 2), (1, 1, 1)), tmp_path / f"{name}.nii.gz")
    (structure,) = read_segmentation(tmp_path / f"{name}.nii.gz").structures
    assert (structure.name, structure.values) == (expected, (255,))


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.array([[[-1000, 40, 300]]], dtype=np.int16), "run from -1000 to 300"),
        (np.array([[[0, 0.25, 1]]], dtype=np.float32), "fractions such as 0.25"),
        (np.array([[[0, np.nan, 1]]], dtype=np.float32), "not a label map"),
        (np.arange(300, dtype=np.int16).reshape(1, 1, 300), "299 different values"),
    ],
)
def test_what_is_no_label_map_is_refused(tmp_path, array, message):
    write_image(array, Geometry(array.shape, (1, 1, 1)), tmp_path / "scan.nrrd")  # NIfTI readers turn NaN into 0
    with pytest.raises(InputError, match=message):
        read_segmentation(tmp_path / "scan.nrrd")


def test_a_folder_of_one_file_a_structure(tmp_path):
    grid = Geometry((2, 2, 3), (1, 1, 1))
    liver, spleen = np.zeros((2, 2, 2, 3), dtype=np.uint8)
    liver[0], spleen[1] = 1, 255
    spleen[0, 0, 0] = 255  # overlaps the liver
    write_image(liver, grid, tmp_path / "liver.nii.gz")
    write_image(spleen, grid, tmp_path / "Spleen.nii.gz")
    (tmp_path / "notes.txt").write_text("not an image")
    segmentation = read_segmentation(tmp_path)
    masks = {structure.name: segmentation.mask(structure.index) for structure in segmentation.structures}
    assert np.array_equal(masks["liver"], liver > 0) and np.array_equal(masks["spleen"], spleen > 0)
    assert segmentation.overlap_ml() == pytest.approx(0.001)
    write_image(liver, replace(grid, spacing_mm=(1, 1, 2)), tmp_path / "stomach.nii.gz")
    with pytest.raises(InputError, match="another grid"):
        read_segmentation(tmp_path)


@pytest.mark.parametrize("folder", [True, False])
def test_named_structures_get_their_declared_index(tmp_path, folder):
    """A data set whose labels are Slicer files or folders trains the same network as one of label maps."""
    grid = Geometry((2, 2, 3), (1, 1, 1))
    masks = {"Stomach": (0, 0), "Femur_Left": (0, 1), "liver": (1, 0), "Aorta": (1, 1)}
    labels = np.zeros((2, 2, 3), dtype=np.uint8)
    for number, (name, (z, y)) in enumerate(masks.items(), start=1):
        labels[z, y] = number
        write_image((labels == number).astype(np.uint8), grid, tmp_path / "case" / f"{name}.nii.gz")
    own = tuple(known_structure(name, number, number) for number, name in enumerate(masks, start=1))
    write_seg_nrrd(Segmentation(labels, grid, own), tmp_path / "case.seg.nrrd")
    path = tmp_path / "case" if folder else tmp_path / "case.seg.nrrd"
    segmentation = read_segmentation(path, ABDOMEN8)
    assert segmentation.labels[:, :, 0].tolist() == [[8, 9], [5, 1]]
    assert segmentation.structures[:3] == (ABDOMEN8[0], ABDOMEN8[4], ABDOMEN8[7])
    assert (segmentation.structures[3].name, segmentation.structures[3].index) == ("Femur_Left", 9)
    with pytest.raises(InputError, match="not declared: Femur_Left"):
        read_segmentation(path, ABDOMEN8, only_declared=True)


def test_folders_and_files_that_are_nothing(tmp_path):
    with pytest.raises(InputError, match="no image file"):
        read_segmentation(tmp_path)
    write_image(np.array([[[0, 1, 2]]], dtype=np.uint8), Geometry((1, 1, 3), (1, 1, 1)), tmp_path / "multi.nii.gz")
    with pytest.raises(InputError, match="2 values besides 0"):
        read_segmentation(tmp_path)
    (tmp_path / "text.seg.nrrd").write_text(json.dumps({"not": "an image"}))
    with pytest.raises(InputError, match=r"text\.seg\.nrrd"):
        read_segmentation(tmp_path / "text.seg.nrrd")
    with pytest.raises(InputError, match="does not exist"):
        read_segmentation(tmp_path / "gone.nii.gz")


def test_a_truncated_seg_nrrd_is_damaged(tmp_path):
    path = tmp_path / "half.seg.nrrd"
    write_seg_nrrd(heart(), path)
    path.write_bytes(path.read_bytes()[:-60])
    with pytest.raises(InputError, match="damaged"):
        read_segmentation(path)


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [("chaos_liver", 1, "liver"), ("case0006", 1, "aorta"), ("chaos_liver", 5, "liver"), ("left heart", 1, "aorta")],
)
def test_a_file_of_ones_is_the_declared_structure_that_it_is_named_after(tmp_path, name, value, expected):
    """One organ drawn with another program: in the abdomen's values a 1 would be the aorta."""
    labels = np.zeros((3, 4, 5), np.uint8)
    labels[1] = value
    path = tmp_path / f"{name}.nii.gz"
    write_image(labels, Geometry(labels.shape, (1.0, 1.0, 1.0)), path)
    found = read_segmentation(path, ABDOMEN8, named_ones=True)
    index = next(structure.index for structure in ABDOMEN8 if structure.name == expected)
    assert np.array_equal(found.labels, np.where(labels, index, 0))
    assert (len(found.structures) == 1) == (name == "chaos_liver" and value == 1)
    assert read_segmentation(path, ABDOMEN8).labels.max() == value, "a data set's own values stay what they are"


@pytest.mark.parametrize(
    ("entry", "value"), [("LabelValue", "two"), ("Layer", "-1"), ("Layer", "7"), ("LabelValue", "-3")]
)
def test_a_segment_that_says_nonsense_is_one_sentence(tmp_path, entry, value):
    path = tmp_path / "odd.seg.nrrd"
    write_seg_nrrd(heart(), path)
    image = sitk.ReadImage(str(path))
    image.SetMetaData(f"Segment0_{entry}", value)
    sitk.WriteImage(image, str(path))
    with pytest.raises(InputError, match=f"{value}.*save it again in Slicer"):
        read_segmentation(path)


def test_a_confidence_that_is_none_is_left_out(tmp_path):
    path = tmp_path / "odd.seg.nrrd"
    write_seg_nrrd(replace(heart(), confidence={1: 0.9}), path)
    image = sitk.ReadImage(str(path))
    image.SetMetaData("Segment0_Tags", "UNetSegmenter.Confidence:sure|")
    sitk.WriteImage(image, str(path))
    assert read_segmentation(path).confidence == {}


def test_a_seg_nrrd_of_fractions_is_one_sentence(tmp_path):
    write_image(np.full((3, 4, 5), 0.5, np.float32), Geometry((3, 4, 5), (1.0, 1.0, 1.0)), tmp_path / "soft.seg.nrrd")
    with pytest.raises(InputError, match="fractions"):
        read_segmentation(tmp_path / "soft.seg.nrrd")


def test_tissue_is_no_terminology(tmp_path):
    """Slicer codes every new segment as tissue; two of those are not the same structure."""
    image = sitk.GetImageFromArray(np.array([[[0, 1]]], dtype=np.uint8))
    tag = (
        "Segmentation category and type - 3D Slicer General Anatomy list~SCT^85756007^Tissue~SCT^85756007^Tissue~^^~~~"
    )
    for key, value in {"ID": "Segment_1", "Name": "mine", "Color": "1 0.5 0", "LabelValue": "1", "Layer": "0"}.items():
        image.SetMetaData(f"Segment0_{key}", value)
    image.SetMetaData("Segment0_Tags", f"TerminologyEntry:{tag}|")
    sitk.WriteImage(image, str(tmp_path / "a.seg.nrrd"))
    (structure,) = read_segmentation(tmp_path / "a.seg.nrrd").structures
    assert structure == Structure("mine", 1, (1,), (255, 128, 0), None)


def test_an_unwritable_folder_is_one_sentence():
    with pytest.raises(InputError, match="could not be written"):
        write_seg_nrrd(heart(), "/proc/nowhere/a.seg.nrrd")


def test_resampling_takes_the_nearest_voxel():
    grid = Geometry((4, 4, 4), (2.0, 2.0, 2.0))
    labels = np.arange(64, dtype=np.uint8).reshape(4, 4, 4)
    fine = Geometry((8, 8, 8), (1.0, 1.0, 1.0), (-0.5, -0.5, -0.5))
    assert np.array_equal(resample_labels(labels, grid, fine), labels.repeat(2, 0).repeat(2, 1).repeat(2, 2))
    away = replace(grid, origin_lps=(4.0, 0.0, 0.0))
    assert np.array_equal(resample_labels(labels, grid, away)[..., :2], labels[..., 2:])
    assert not resample_labels(labels, grid, away)[..., 2:].any()


def test_labels_and_grid_must_fit():
    with pytest.raises(InputError):
        Segmentation(np.zeros((2, 2, 2), np.uint8), GRID, (known_structure("liver", 1, 1),))
