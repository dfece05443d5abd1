"""Volumes are written and read unchanged, and checked for what a network can't use."""

import gzip
import struct
import sys
from dataclasses import replace

import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import given, settings
from UNetSegmenterLib.engine.errors import InputError
from UNetSegmenterLib.engine.io.geometry import Geometry
from UNetSegmenterLib.engine.io.image_reading import read_geometry, read_image, read_volume
from UNetSegmenterLib.engine.io.image_writing import write_image, write_volume
from UNetSegmenterLib.engine.io.slicing import slicing_along
from UNetSegmenterLib.engine.io.volume import ANY, HU, SOFT_TISSUE_HU, Volume, as_hu, check_volume, shown_window

from .test_geometry import geometries


@pytest.mark.parametrize("ending", ["nii.gz", "nrrd", "mha"])
@given(geometry=geometries())
@settings(max_examples=15, deadline=None)
def test_files_keep_voxels_and_geometry(tmp_path_factory, ending, geometry):
    path = tmp_path_factory.mktemp("geometry") / f"scan one.{ending}"
    array = np.arange(np.prod(geometry.shape), dtype=np.int16).reshape(geometry.shape) - 1000
    write_volume(Volume(array, geometry), path)
    back = read_volume(path)
    assert back.name == "scan one"
    assert back.array.dtype == np.int16
    np.testing.assert_array_equal(back.array, array)
    assert back.geometry.is_close(geometry)
    assert read_geometry(path).is_close(geometry)


@pytest.mark.parametrize(
    ("array", "dtype"),
    [
        (np.array([[[0, 3000]]], dtype=np.uint16), np.int16),
        (np.array([[[-1024.0, 7.0]]], dtype=np.float64), np.int16),
        (np.array([[[-1024.5, 7.0]]], dtype=np.float64), np.float32),
        (np.array([[[0, 70000]]], dtype=np.int32), np.float32),
    ],
)
def test_hu_become_int16_only_where_that_is_exact(array, dtype):
    hu = as_hu(array)
    assert hu.dtype == dtype
    np.testing.assert_array_equal(hu, array)


def volume_of(array) -> Volume:
    return Volume(array, Geometry(array.shape, (3.0, 1.0, 1.0)), "scan")


@pytest.mark.parametrize(
    ("values", "severity", "words"),
    [
        (np.full((12, 4, 4), 7, np.int16), "error", "every voxel is 7"),
        (np.where(np.arange(192).reshape(12, 4, 4) == 3, np.nan, 5).astype(np.float32), "error", "NaN"),
        (np.arange(192, dtype=np.int16).reshape(12, 4, 4), "warning", "8-bit"),
        (np.arange(192, dtype=np.int16).reshape(12, 4, 4) * 8, "warning", "MR"),
        (np.arange(192, dtype=np.int16).reshape(12, 4, 4) - 1000, "warning", "bone"),
        (np.arange(32, dtype=np.int16).reshape(2, 4, 4) * 80 - 1000, "warning", "2 axial slice"),
    ],
)
def test_checks_say_what_is_wrong(values, severity, words):
    notes = check_volume(volume_of(values))
    assert any(note.severity == severity and words in note.text for note in notes), notes


CT_LIKE = (np.arange(12 * 144).reshape(12, 12, 12) * 3 - 1024).astype(np.int16)
MR_LIKE = (np.arange(12 * 144).reshape(12, 12, 12)).astype(np.int16)


@pytest.mark.parametrize(
    ("array", "modality", "intensities", "words"),
    [
        (CT_LIKE, "", HU, None),
        (CT_LIKE, "CT", HU, None),
        (CT_LIKE, "MR", HU, "the scan is MR by its DICOM header"),
        (MR_LIKE, "MR", HU, "the scan is MR by its DICOM header"),
        (MR_LIKE, "PT", HU, "the scan is PT by its DICOM header"),
        (MR_LIKE, "", HU, "may be MR"),
        (MR_LIKE, "CT", HU, "may be MR or lack its rescale"),
        (MR_LIKE, "", ANY, None),
        (MR_LIKE, "MR", ANY, None),
        ((MR_LIKE / 1000).astype(np.float32), "", ANY, None),
        (CT_LIKE, "MR", ANY, None),
        (CT_LIKE, "", ANY, "values from -1024 to 4157 look like the HU of a CT"),
        (CT_LIKE, "CT", ANY, "the scan is CT by its DICOM header"),
        (MR_LIKE, "CT", ANY, "the scan is CT by its DICOM header"),
        (MR_LIKE // 250, "", HU, "its voxels have 7 different values from 0 to 6, as in a label map"),
        (MR_LIKE // 250, "MR", ANY, "as in a label map: if it is the segmentation, choose its scan"),
    ],
)
def test_one_warning_of_another_modality_than_the_network_reads(array, modality, intensities, words):
    notes = check_volume(replace(volume_of(array), modality=modality, intensities=intensities))
    assert [note.severity for note in notes] == ["warning"] * (words is not None), notes
    assert words is None or words in notes[0].text


def test_a_network_that_is_not_axial_counts_its_own_slices():
    """A pair of axial pictures is no scan for a coronal network; ten slices in its own direction are one."""
    flat = volume_of(CT_LIKE[:2])
    texts = [note.text for note in check_volume(flat)]
    assert any("only 2 axial slices" in text for text in texts) and not any("the model reads" in text for text in texts)
    texts = [note.text for note in check_volume(flat, slicing_along(flat.geometry, "coronal"))]
    assert any("its coronal slices, which the model reads, have only 12 x 2 pixels" in text for text in texts)
    few = volume_of(CT_LIKE[:, :3])
    texts = [note.text for note in check_volume(few, slicing_along(few.geometry, "coronal"))]
    assert any("only 3 coronal slices" in text for text in texts)
    plain = volume_of(CT_LIKE)
    assert [note.text for note in check_volume(plain, slicing_along(plain.geometry, "sagittal"))] == [
        "stored as LPS: the scan is read in sagittal slices and the result returns to its grid."
    ]
    sagittal = replace(plain.geometry, direction=((0.0, 0.0, 1.0), (1.0, 0.0, 0.0), (0.0, -1.0, 0.0)))
    acquired = check_volume(replace(plain, geometry=sagittal), slicing_along(sagittal, "sagittal"))
    assert [note for note in acquired if "stored" in note.text] == []


def test_a_picture_of_values_without_a_unit_shows_nearly_all_of_them():
    assert shown_window(volume_of(CT_LIKE)) == SOFT_TISSUE_HU
    low, high = shown_window(replace(volume_of((MR_LIKE / 1000).astype(np.float32)), intensities=ANY))
    assert 0 < low < 0.01 and 1.71 < high < 1.728
    low, high = shown_window(replace(volume_of(np.full((3, 4, 5), 7, np.int16)), intensities=ANY))
    assert low < high


@pytest.mark.parametrize("ending", [".nii", ".nii.gz", ".NII.GZ", ".nrrd", ".mha"])
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_scan_with_nan_is_refused_whatever_its_format(tmp_path, ending, bad):
    """ITK turns the NaN of a NIfTI file into 0 without a word: water, in a CT."""
    array = np.full((12, 8, 9), -1000, np.float32)
    array[3:9] = 40.5
    array[5, 2, 7] = bad
    path = tmp_path / f"scan{ending}"
    write_volume(volume_of(array), tmp_path / f"scan{ending.lower()}")
    (tmp_path / f"scan{ending.lower()}").rename(path)
    assert list(np.argwhere(~np.isfinite(read_image(path)[0])).ravel()) == [5, 2, 7]
    with pytest.raises(InputError, match="NaN or infinite"):
        read_volume(path)


def test_nan_is_found_in_big_endian_and_double_files(tmp_path):
    array = np.zeros((2, 3, 4), ">f8")
    array[1, 2, 3] = np.nan
    header = bytearray(352)
    struct.pack_into(">i", header, 0, 348)
    struct.pack_into(">8h", header, 40, 3, 4, 3, 2, 1, 1, 1, 1)
    struct.pack_into(">2h", header, 70, 64, 64)
    struct.pack_into(">8f", header, 76, 1, 1, 1, 1, 1, 1, 1, 1)
    struct.pack_into(">f", header, 108, 352)
    header[344:348] = b"n+1\0"
    (tmp_path / "big.nii").write_bytes(bytes(header) + array.tobytes())
    assert np.array_equal(np.isnan(read_image(tmp_path / "big.nii")[0]), np.isnan(array))


def test_a_ct_passes_without_a_word():
    array = (np.arange(12 * 64).reshape(12, 8, 8) * 4 - 1024).astype(np.int16)
    assert check_volume(volume_of(array)) == []


def test_bad_files_are_refused_in_one_sentence(tmp_path):
    text = tmp_path / "notes.nii.gz"
    text.write_text("not an image")
    colour = sitk.Image([4, 4, 4], sitk.sitkVectorUInt8, 3)
    sitk.WriteImage(colour, str(tmp_path / "colour.nrrd"))
    four = sitk.Image([4, 4, 4, 2], sitk.sitkInt16)
    sitk.WriteImage(four, str(tmp_path / "four.nii.gz"))
    flat = sitk.Image([4, 4], sitk.sitkInt16)
    sitk.WriteImage(flat, str(tmp_path / "flat.nrrd"))
    for name in ("notes.nii.gz", "colour.nrrd", "four.nii.gz", "flat.nrrd", "absent.nii.gz"):
        with pytest.raises(InputError) as caught:
            read_volume(tmp_path / name)
        assert name in str(caught.value)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("ending", ["nii", "nii.gz", "nrrd", "mha"])
def test_truncated_file_is_refused(tmp_path, ending):
    path = tmp_path / f"scan.{ending}"
    array = np.random.default_rng(0).integers(-1000, 1000, (20, 20, 20)).astype(np.int16)
    write_volume(Volume(array, Geometry(array.shape, (1.0, 1.0, 1.0))), path)
    whole = path.read_bytes()
    for share in (0.3, 0.66, 0.99):
        path.write_bytes(whole[: int(len(whole) * share)])
        with pytest.raises(InputError, match="cut off"):
            read_volume(path)


def test_gzip_of_several_members_is_read(tmp_path):
    path = tmp_path / "scan.nii"
    array = np.random.default_rng(0).integers(-1000, 1000, (8, 9, 10)).astype(np.int16)
    write_volume(Volume(array, Geometry(array.shape, (1.0, 1.0, 1.0))), path)
    whole = path.read_bytes()
    packed = tmp_path / "scan.nii.gz"
    packed.write_bytes(gzip.compress(whole[:700]) + gzip.compress(whole[700:]))
    np.testing.assert_array_equal(read_volume(packed).array, array)


def test_four_dimensions_of_one_time_point_are_a_scan(tmp_path):
    path = tmp_path / "one.nii.gz"
    image = sitk.GetImageFromArray(np.arange(60, dtype=np.int16).reshape(1, 3, 4, 5) * 40 - 1000, isVector=False)
    image.SetSpacing((0.5, 0.5, 2.0, 1.0))
    sitk.WriteImage(image, str(path))
    volume = read_volume(path)
    assert volume.array.shape == (3, 4, 5)
    assert volume.geometry.spacing_mm == (2.0, 0.5, 0.5)


def test_failed_write_leaves_nothing_behind(tmp_path):
    target = tmp_path / "file-not-folder"
    target.write_text("x")
    array = np.zeros((2, 2, 2), np.int16)
    with pytest.raises(InputError, match="could not be written"):
        write_volume(Volume(array, Geometry(array.shape, (1.0, 1.0, 1.0))), target / "scan.nrrd")
    assert [path.name for path in tmp_path.iterdir()] == ["file-not-folder"]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no limit of a file's size")
@pytest.mark.parametrize("ending", [".nii", ".nii.gz", ".nrrd", ".seg.nrrd", ".mha"])
@pytest.mark.parametrize("space", [0, 100, 4096, 9000])
def test_an_image_that_finds_no_space_is_refused_and_nothing_is_left(tmp_path, ending, space):
    """The system lets files grow to a limit only, as a full disk does."""
    import resource

    array = np.random.default_rng(0).integers(-1000, 1000, (4, 40, 40)).astype(np.int16)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (space, before[1]))
    try:
        with pytest.raises(InputError):
            write_image(array, Geometry(array.shape, (3.0, 1.0, 1.0)), tmp_path / f"scan{ending}")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["a.img.nii.gz", "b.hdr.nii.gz", "hdr.img.nii", "c.img.nrrd", "D.NII.GZ", "e.hdr.mha"])
def test_a_file_is_written_under_the_name_it_was_given(tmp_path, name):
    """ITK writes y.hdr.gz where y.img.nii.gz was asked for."""
    array = np.arange(60, dtype=np.int16).reshape(3, 4, 5)
    write_image(array, Geometry(array.shape, (3.0, 2.0, 1.0)), tmp_path / name)
    assert [path.name for path in tmp_path.iterdir()] == [name]
    np.testing.assert_array_equal(read_image(tmp_path / name)[0], array)


@pytest.mark.parametrize("name", ["a.hdr", "a.img", "a.mhd", "a.nhdr", "a.txt", "a"])
def test_a_name_of_two_files_or_of_none_that_is_known_is_refused(tmp_path, name):
    array = np.zeros((2, 2, 2), np.int16)
    with pytest.raises(InputError, match=r"name it \.nii\.gz"):
        write_image(array, Geometry(array.shape, (1.0, 1.0, 1.0)), tmp_path / name)
    assert not list(tmp_path.iterdir())
