"""A DICOM folder: one series, whole and even, or one sentence that says what is wrong."""

import shutil

import numpy as np
import pytest
import SimpleITK as sitk
from UNetSegmenterLib.engine.errors import InputError
from UNetSegmenterLib.engine.volume import read_volume

SPACING = (0.8, 0.9, 2.5)


def write_series(folder, positions, series="1.2.3", start=0, flipped=False, shift=0.0, pixel_mm=SPACING[0]):
    """One DICOM file a position (mm along the normal) of 6 x 5 pixels; returns HU (slices, rows, columns).

    shift: mm that each slice lies further back than the one before, as with a tilted gantry.
    """
    folder.mkdir(exist_ok=True)
    rng = np.random.default_rng(1)
    hu = rng.integers(-1000, 1000, (len(positions), 6, 5)).astype(np.int16)
    writer = sitk.ImageFileWriter()
    writer.KeepOriginalImageUIDOn()
    for i, place in enumerate(positions):
        image = sitk.GetImageFromArray(hu[i])  # the writer takes HU and stores them by the rescale below
        image.SetSpacing((pixel_mm, SPACING[1]))
        for key, value in {
            "0008|0060": "CT",
            "0008|0018": f"{series}.{start + i + 1}",
            "0020|000e": series,
            "0020|0013": str(len(positions) - i if flipped else i),
            "0020|0032": f"-10\\{-20 + shift * i}\\{place}",
            "0020|0037": "1\\0\\0\\0\\1\\0",
            "0028|1052": "-1024",
            "0028|1053": "1",
        }.items():
            image.SetMetaData(key, value)
        writer.SetFileName(str(folder / f"slice{start + i:03d}.dcm"))
        writer.Execute(image)
    return hu


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
        ([0, 0, 2.5, 2.5], "several slices at one place"),
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
