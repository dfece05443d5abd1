"""A DICOM folder: one series, whole and even, or one sentence that says what is wrong."""

import shutil

import numpy as np
import pytest
from UNetSegmenterLib.engine.errors import InputError
from UNetSegmenterLib.engine.io.geometry import Geometry
from UNetSegmenterLib.engine.io.image_reading import read_volume

from ..dicom_files import PIXELS, write_slices
from ..dicom_series import HU, POSITIONS, write_series


@pytest.mark.parametrize("flipped", [False, True])
def test_series_is_read_in_the_order_of_the_patient(tmp_path, flipped):
    positions = [30 + 2.5 * i for i in range(8)]
    hu = write_series(tmp_path / "ct scan", positions, flipped=flipped)
    volume = read_volume(tmp_path / "ct scan")
    np.testing.assert_array_equal(volume.array, hu)
    assert volume.geometry.spacing_mm == pytest.approx((2.5, 0.9, 0.8))
    assert volume.geometry.origin_lps == pytest.approx((-10, -20, 30))
    assert volume.name == "ct scan"


def test_file_names_do_not_decide_the_order(tmp_path):
    hu = write_series(tmp_path / "ct", [100 - 2.5 * i for i in range(6)])
    volume = read_volume(tmp_path / "ct")
    np.testing.assert_array_equal(volume.array, hu[::-1])
    assert volume.geometry.origin_lps[2] == pytest.approx(87.5)


@pytest.mark.parametrize(
    ("positions", "words"),
    [
        ([0, 2.5, 5, 10, 12.5], "lacks 1 slice"),
        ([0, 2.5, 5, 7.2, 10], "uneven slices"),
        ([0, 0, 2.5, 2.5], "several slices at one position"),
        ([0], "one DICOM slice"),
    ],
)
def test_broken_series_is_refused(tmp_path, positions, words):
    write_series(tmp_path / "ct", positions)
    with pytest.raises(InputError, match=words):
        read_volume(tmp_path / "ct")


def test_a_tilted_gantry_is_refused(tmp_path):
    """ITK would read it as a box, and every result would lie beside the patient."""
    write_series(tmp_path / "ct", [2.5 * i for i in range(8)], shift=0.4)
    with pytest.raises(InputError, match=r"shift sideways, 2\.8 mm in all \(a tilted gantry\)"):
        read_volume(tmp_path / "ct")
    write_series(tmp_path / "rounded", [2.5 * i for i in range(8)], shift=0.004)
    assert read_volume(tmp_path / "rounded").array.shape == (8, 6, 5), "rounding in the header is no tilt"


def test_slices_of_different_pixel_sizes_are_refused(tmp_path):
    write_series(tmp_path / "ct", [0, 2.5, 5.0])
    write_series(tmp_path / "ct", [7.5, 10.0], start=20, pixel_mm=0.9)
    with pytest.raises(InputError, match="different pixel sizes"):
        read_volume(tmp_path / "ct")


def test_two_series_are_refused(tmp_path):
    write_series(tmp_path / "ct", [0, 2.5, 5])
    write_series(tmp_path / "ct", [0, 2.5, 5], series="1.2.9", start=50)
    with pytest.raises(InputError, match="2 DICOM series"):
        read_volume(tmp_path / "ct")


def test_folder_without_dicom_is_refused(tmp_path):
    (tmp_path / "empty").mkdir()
    shutil.copy(__file__, tmp_path / "empty" / "notes.txt")
    with pytest.raises(InputError, match="no DICOM series"):
        read_volume(tmp_path / "empty")


# --- reasons that are true -----------------------------------------------------------------------------------------------


def lacks(tag):
    return lambda number, elements: elements.pop(tag)


def with_text(tag, text, at=None):
    def change(number, elements):
        if at is None or number == at:
            elements[tag] = (elements[tag][0], text)

    return change


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lacks((0x0028, 0x0030)), "no pixel size"),
        (lacks((0x0020, 0x0032)), "no position"),
        (lacks((0x0020, 0x0037)), "no direction"),
        (with_text((0x0028, 0x0030), "0\\3"), r"PixelSpacing 0 x 3"),
        (with_text((0x0028, 0x0030), "nan\\3"), "pixel size"),
        (with_text((0x0020, 0x0032), "0\\0\\x"), "position"),
        (with_text((0x0020, 0x0037), "1\\0\\0\\1\\0\\0"), "right angle"),
        (with_text((0x0028, 0x0004), "RGB"), "colour"),
        (with_text((0x0020, 0x0032), "0\\0\\20", at=5), r"two slices at one position: 004\.dcm and 005\.dcm"),
        (with_text((0x0028, 0x0100), 12), "12 bits per pixel"),
        (with_text((0x0028, 0x0010), 6, at=2), "contradicts itself"),
        (lacks(PIXELS), "no pixels"),
    ],
)
def test_the_reason_is_the_true_one(tmp_path, change, words):
    write_slices(tmp_path / "ct", HU, POSITIONS, change)
    with pytest.raises(InputError, match=words):
        read_volume(tmp_path / "ct")


@pytest.mark.parametrize("header_distance", ["1.25", "5", "0"])
def test_slices_whose_positions_are_rounded_are_even(tmp_path, header_distance):
    """1.2 and 1.3 mm apart in the header, 1.25 in truth."""
    positions = [(0, 0, round(1.25 * k, 1)) for k in range(len(HU))]
    write_slices(tmp_path / "ct", HU, positions, with_text((0x0018, 0x0050), header_distance))
    volume = read_volume(tmp_path / "ct")
    assert volume.geometry.spacing_mm[0] == pytest.approx(1.25, abs=1e-12 if header_distance == "1.25" else 0.02)
    assert [note.severity for note in volume.notes] == ["info"]


def test_a_volume_and_a_wrong_place_are_told_apart_by_enough_digits(tmp_path):
    write_slices(tmp_path / "ct", HU, POSITIONS, with_text((0x0028, 0x0030), "3.002\\3", at=4))
    with pytest.raises(InputError, match=r"3 x 3 mm, 004\.dcm 3\.002 x 3 mm"):
        read_volume(tmp_path / "ct")


# --- on request ----------------------------------------------------------------------------------------------------------


def ramp(points_mm):
    """HU that rise along the patient's axes, so that a voxel tells where it lies."""
    x, y, z = np.moveaxis(np.asarray(points_mm, float), -1, 0)
    return np.rint(2 * x + 3 * y + 4 * z).astype(np.int16)


def points_mm(geometry):
    """LPS of all voxels (slices, rows, columns, 3)."""
    k, j, i = np.indices(geometry.shape)
    return (np.stack([i, j, k, np.ones(geometry.shape)], axis=-1) @ geometry.affine_lps().T)[..., :3]


@pytest.mark.parametrize(
    "positions",
    [
        [(0, 0.8 * k, 2.5 * k) for k in range(10)],  # tilted gantry
        [(0, 0, z) for z in (0, 2.5, 5, 7.5, 10.6, 13, 15.5, 18)],  # uneven
        [(0, 0, z) for z in (0, 2.5, 5, 10, 12.5, 15)],  # one lacks
        [(0, 0.3 * z, z) for z in (0, 2.5, 5, 7.5, 10.6, 13, 15.5, 18)],  # both
    ],
)
def test_tilted_and_uneven_slices_are_resampled_on_request(tmp_path, positions):
    flat = points_mm(Geometry((1, 20, 16), (1.0, 3.0, 3.0)))[0]
    points = np.stack([flat + np.array(position) for position in positions])
    write_slices(tmp_path / "ct", ramp(points), positions)
    with pytest.raises(InputError, match="--resample"):
        read_volume(tmp_path / "ct")
    volume = read_volume(tmp_path / "ct", resample=True)
    assert volume.geometry.shear_mm() < 1e-6
    assert any(note.severity == "warning" and "resampled" in note.text for note in volume.notes)
    truth = ramp(points_mm(volume.geometry))
    inside = volume.array != volume.array.min()
    assert inside.mean() > 0.7
    off = np.abs(volume.array - truth)[inside]
    assert np.percentile(off, 95) <= 1
    assert off.max() <= 0.5 * 3 * 3, "half a voxel at the border has nothing to interpolate with"
