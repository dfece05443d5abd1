"""One rule for all formats: where a header contradicts itself, is incomplete, or makes voxels that are no boxes."""

import logging

import numpy as np
import pytest
import SimpleITK as sitk
from UNetSegmenterLib.engine.errors import InputError
from UNetSegmenterLib.engine.evaluation.comparison import compare
from UNetSegmenterLib.engine.io.geometry import Geometry
from UNetSegmenterLib.engine.io.image_reading import read_geometry, read_image, read_volume
from UNetSegmenterLib.engine.io.volume import Volume, check_volume
from UNetSegmenterLib.engine.labels.segmentation import Segmentation
from UNetSegmenterLib.engine.labels.segmentation_files import read_segmentation, write_labelmap
from UNetSegmenterLib.engine.labels.structures import known_structure

from ..images import LPS, body, write_metaimage, write_nifti, write_nrrd

HU, LABELS = body()
NAN = float("nan")


def sform(dx=0.0, dz=0.0, shear_mm=0.0):
    """That of `images.LPS`, moved in mm, its slices sheared by some mm towards the front each."""
    return ((-3.0, 0, 0, dx), (0, -3.0, shear_mm, 0), (0, 0, 5.0, dz))


def warnings_of(volume):
    return [note.text for note in volume.notes if note.severity == "warning"]


# --- NIfTI: sform and qform ----------------------------------------------------------------------------------------------


def test_a_file_that_agrees_with_itself_is_read_without_a_note(tmp_path):
    volume = read_volume(write_nifti(tmp_path / "a.nii.gz", HU))
    assert volume.notes == ()
    assert volume.geometry == Geometry(HU.shape, (5, 3, 3))


def test_the_sform_wins_over_the_qform_and_the_note_says_so(tmp_path):
    """As nibabel, FSL and TotalSegmentator have it; the result lies where they see the scan."""
    volume = read_volume(write_nifti(tmp_path / "a.nii.gz", HU, sform=sform(30, 12), codes=(1, 2)))
    assert volume.geometry.origin_lps == (-30, 0, 12)
    (note,) = warnings_of(volume)
    assert "32.3 mm apart" in note
    assert "sform was taken" in note
    labels = read_segmentation(write_nifti(tmp_path / "l.nii.gz", LABELS, sform=sform(30, 12), codes=(1, 2)))
    write_labelmap(labels, tmp_path / "out.nii.gz")
    header = (sitk.ReadImage(str(tmp_path / "out.nii.gz")).GetMetaData(key) for key in ("srow_x", "srow_z"))
    assert [float(row.split()[3]) for row in header] == [30, 12]


@pytest.mark.parametrize("codes", [(1, 0), (2, 0), (1, 1), (0, 1), (4, 3)])
def test_codes_say_which_is_taken(tmp_path, codes):
    volume = read_volume(write_nifti(tmp_path / "a.nii", HU, sform=sform(30, 12), codes=codes))
    assert volume.geometry.origin_lps == ((-30, 0, 12) if codes[1] else (0, 0, 0))
    assert bool(warnings_of(volume)) == (codes[0] > 0 and codes[1] > 0)


def test_a_form_that_differs_by_rounding_gives_no_note(tmp_path):
    volume = read_volume(write_nifti(tmp_path / "a.nii", HU, sform=sform(0.05)))
    assert warnings_of(volume) == []


def test_without_codes_the_orientation_is_a_guess_and_said_to_be(tmp_path):
    volume = read_volume(write_nifti(tmp_path / "a.nii", HU, codes=(0, 0)))
    assert volume.geometry.spacing_mm == (5, 3, 3)
    np.testing.assert_allclose(volume.geometry.affine_lps()[:3, :3], np.diag([3, -3, 5]))
    assert any("left and right" in text for text in warnings_of(volume))


@pytest.mark.parametrize("bad", [0.0, NAN, -5.0, float("inf")])
def test_a_slice_distance_that_is_none_is_taken_from_the_sform_or_refused(tmp_path, bad):
    volume = read_volume(write_nifti(tmp_path / "a.nii", HU, pixdim=(1, 3, 3, bad)))
    assert volume.geometry.spacing_mm == (5, 3, 3)
    assert any("pixdim" in text and "sform was taken" in text for text in warnings_of(volume))
    for codes in ((1, 0), (0, 0)):
        with pytest.raises(InputError, match="voxel size 3 x 3 x"):
            read_volume(write_nifti(tmp_path / "a.nii", HU, pixdim=(1, 3, 3, bad), codes=codes))


@pytest.mark.parametrize("broken", [((0, 0, 0, 0),) * 3, ((NAN, 0, 0, 0), *LPS[1:])])
def test_an_sform_that_spans_nothing_gives_way_to_the_qform(tmp_path, broken):
    volume = read_volume(write_nifti(tmp_path / "a.nii", HU, sform=broken))
    assert volume.geometry.spacing_mm == (5, 3, 3)
    assert any("qform was taken" in text for text in warnings_of(volume))
    with pytest.raises(InputError, match="sform"):
        read_volume(write_nifti(tmp_path / "a.nii", HU, sform=broken, codes=(0, 1)))


def test_units_are_converted(tmp_path):
    metres = tuple(tuple(value / 1000 for value in row) for row in sform(30))
    path = write_nifti(tmp_path / "a.nii", HU, sform=metres, codes=(0, 1), pixdim=(1, 0.003, 0.003, 0.005), units=1)
    volume = read_volume(path)
    np.testing.assert_allclose(volume.geometry.spacing_mm, (5, 3, 3), rtol=1e-6)
    np.testing.assert_allclose(volume.geometry.origin_lps, (-30, 0, 0), rtol=1e-6)
    assert any("metres" in text for text in warnings_of(volume))


def test_what_labels_contradict_is_logged(tmp_path, caplog):
    with caplog.at_level(logging.WARNING):
        read_segmentation(write_nifti(tmp_path / "l.nii.gz", LABELS, sform=sform(30)))
    assert "sform was taken" in caplog.text


# --- sheared voxels ------------------------------------------------------------------------------------------------------


def sheared(tmp_path, kind, array, degrees):
    """A file of each format whose slices are shifted by the tangent, and the LPS affine that it has."""
    shift = 5 * np.tan(np.radians(degrees))
    path = tmp_path / f"a{degrees}.{kind}"
    if kind == "nii":
        return write_nifti(path, array, sform=sform(shear_mm=-shift))
    if kind == "nrrd":
        return write_nrrd(path, array, directions=[[3, 0, 0], [0, 3, 0], [0, shift, 5]])
    length = np.hypot(shift, 5)
    matrix = f"1 0 0 0 1 0 0 {shift / length:.17g} {5 / length:.17g}"
    return write_metaimage(path, array, TransformMatrix=matrix, ElementSpacing=f"3 3 {length:.17g}")


@pytest.mark.parametrize("kind", ["nii", "nrrd", "mha"])
@pytest.mark.parametrize("degrees", [15, 45])
def test_sheared_voxels_are_refused_and_resampled_on_request(tmp_path, kind, degrees):
    path = sheared(tmp_path, kind, HU, degrees)
    for read in (read_volume, read_geometry, read_image):
        with pytest.raises(InputError, match=rf"sheared.*{degrees} degrees.*--resample"):
            read(path)
    with pytest.raises(InputError, match="--resample"):
        read_segmentation(sheared(tmp_path, kind, LABELS, degrees))
    scan = read_volume(sheared(tmp_path, kind, HU, degrees), resample=True)
    labels = read_segmentation(sheared(tmp_path, kind, LABELS, degrees), resample=True)
    assert scan.geometry == labels.geometry == read_geometry(path, resample=True)
    assert scan.geometry.shear_mm() < 1e-6
    np.testing.assert_allclose(scan.geometry.spacing_mm, (5, 3, 3), rtol=1e-6)
    assert any("resampled to a straight grid" in text for text in warnings_of(scan))
    for index in (1, 2):
        truth = (index == LABELS).sum() * 45 / 1000
        assert (labels.labels == index).sum() * labels.geometry.voxel_ml == pytest.approx(truth, rel=0.03)
        inside = scan.array[labels.labels == index]
        assert np.median(inside) == {1: 110, 2: 160}[index]


def test_a_straight_scan_is_not_touched_by_resample(tmp_path):
    path = write_nifti(tmp_path / "a.nii.gz", HU)
    plain, asked = read_volume(path), read_volume(path, resample=True)
    np.testing.assert_array_equal(plain.array, asked.array)
    assert plain.geometry == asked.geometry
    assert asked.notes == ()


def test_a_sheared_sform_beside_a_straight_qform_is_refused_with_both_named(tmp_path):
    path = write_nifti(tmp_path / "a.nii.gz", HU, sform=sform(shear_mm=1.3))
    with pytest.raises(InputError, match=r"sheared.*qform and sform place voxels up to 14\.3 mm apart"):
        read_volume(path)


def test_shears_within_rounding_are_read(tmp_path):
    assert read_volume(write_nifti(tmp_path / "a.nii", HU, sform=sform(shear_mm=0.004))).array.shape == HU.shape


def test_a_sheared_volume_is_measured_by_its_determinant_and_refused_by_the_checks():
    """Slicer gives such a volume to the panel when a sheared NRRD is loaded."""
    tilt = np.radians(45)
    direction = ((1.0, 0.0, 0.0), (0.0, 1.0, np.sin(tilt)), (0.0, 0.0, np.cos(tilt)))
    geometry = Geometry(HU.shape, (5 / np.cos(tilt), 3, 3), direction=direction)
    assert geometry.voxel_ml == pytest.approx(0.045)
    assert check_volume(Volume(HU, geometry))[0].severity == "error"
    labels = Segmentation(LABELS, geometry, (known_structure("liver", 1, (1,)), known_structure("spleen", 2, (2,))))
    with pytest.raises(InputError, match="sheared"):
        compare(labels, labels)


# --- NRRD and MetaImage --------------------------------------------------------------------------------------------------


def nrrd(path, *fields):
    return write_nrrd(path, HU, *fields, "encoding: raw")


SPACE, DIRECTIONS = "space: left-posterior-superior", "space directions: (3,0,0) (0,3,0) (0,0,5)"


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ((), "does not give the size"),
        (("spacings: 3 3 nan",), "spacings"),
        (("spacings: 3 3 -5",), "spacings"),
        (("spacings: 3 3 0",), "spacings"),
        ((SPACE, "space directions: (3,0,0) (0,3,0) (0,0,nan)"), "NaN"),
        ((SPACE, "space directions: (3,0,0) (3,0,0) (0,0,5)"), "span no volume"),
        ((SPACE, "space directions: (3,0,0) (0,3,0) (0,0,0)"), "span no volume"),
        ((SPACE, DIRECTIONS, "space origin: (0,inf,0)"), "NaN or infinite"),
        ((SPACE, "space directions: (3,0,0) (0,3,0)"), "2 space directions"),
        ((SPACE, "space directions: none (0,3,0) (0,0,5)"), "2 axes in space"),
    ],
)
def test_an_nrrd_without_a_size_is_refused(tmp_path, fields, words):
    with pytest.raises(InputError, match=words):
        read_volume(nrrd(tmp_path / "a.nrrd", *fields))


@pytest.mark.parametrize(
    ("fields", "signs"),
    [
        (("spacings: 3 3 5",), (1, 1, 1)),
        (("space: 3D-right-handed", DIRECTIONS), (1, 1, 1)),
        (("space dimension: 3", DIRECTIONS), (1, 1, 1)),
    ],
)
def test_an_nrrd_that_says_no_orientation_is_read_with_a_warning(tmp_path, fields, signs):
    volume = read_volume(nrrd(tmp_path / "a.nrrd", *fields))
    np.testing.assert_allclose(volume.geometry.affine_lps()[:3, :3], np.diag(np.array([3, 3, 5]) * signs))
    assert any("left and right" in text for text in warnings_of(volume))


@pytest.mark.parametrize(
    ("space", "signs"),
    [
        ("left-posterior-superior", (1, 1, 1)),
        ("LPS", (1, 1, 1)),
        ("right-anterior-superior", (-1, -1, 1)),
        ("RAS", (-1, -1, 1)),
        ("left-anterior-superior", (1, -1, 1)),
    ],
)
def test_the_spaces_of_nrrd_are_told_apart(tmp_path, space, signs):
    volume = read_volume(nrrd(tmp_path / "a.nrrd", f"space: {space}", DIRECTIONS, "space origin: (1,2,3)"))
    np.testing.assert_allclose(volume.geometry.affine_lps()[:3, :3], np.diag(np.array([3, 3, 5]) * signs))
    np.testing.assert_allclose(volume.geometry.origin_lps, np.array([1, 2, 3]) * signs)
    assert volume.notes == ()


@pytest.mark.parametrize(
    ("entries", "words"),
    [
        ({"ElementSpacing": None}, "does not give the size"),
        ({"ElementSpacing": "3 3 0"}, "ElementSpacing"),
        ({"ElementSpacing": "3 3 -5"}, "ElementSpacing"),
        ({"ElementSpacing": "3 3 nan"}, "ElementSpacing"),
        ({"TransformMatrix": "1 0 0 1 0 0 0 0 1"}, "span no volume"),
        ({"TransformMatrix": "1 0 0 0 1 0"}, "TransformMatrix"),
        ({"Offset": "0 nan 0"}, "NaN"),
        ({"ElementType": "MET_FOO"}, "MET_FOO"),
        ({"DimSize": "48 48"}, "2 dimensions"),
        ({"DimSize": "48 48 nan"}, "whole numbers"),
        ({"DimSize": "48 48 0"}, "the size 48 48 0"),
        ({"NDims": "inf"}, "whole numbers"),
        ({"ElementNumberOfChannels": "1.5"}, "whole numbers"),
        ({"HeaderSize": "a"}, "numbers are expected"),
        ({"ElementNumberOfChannels": "3"}, "cut off"),
    ],
)
def test_a_metaimage_without_a_size_is_refused(tmp_path, entries, words):
    with pytest.raises(InputError, match=words):
        read_volume(write_metaimage(tmp_path / "a.mha", HU, **entries))


def test_a_metaimage_that_says_no_orientation_or_two_is_noted(tmp_path):
    none = read_volume(write_metaimage(tmp_path / "a.mha", HU, TransformMatrix=None))
    assert any("left and right" in text for text in warnings_of(none))
    two = read_volume(write_metaimage(tmp_path / "a.mha", HU, AnatomicalOrientation="LPI"))
    assert any("AnatomicalOrientation" in note.text for note in two.notes)
    one = read_volume(write_metaimage(tmp_path / "a.mha", HU, AnatomicalOrientation="RAI"))
    assert one.notes == ()
