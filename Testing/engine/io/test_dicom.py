"""A DICOM folder: one series, whole and even, or one sentence that says what is wrong."""

import shutil
import struct

import numpy as np
import pytest
import SimpleITK as sitk
from UNetSegmenterLib.engine.errors import InputError
from UNetSegmenterLib.engine.io.geometry import Geometry
from UNetSegmenterLib.engine.io.image_reading import read_volume

from ..dicom_files import (
    INTERCEPT,
    RLE,
    STRUCTURE_SET,
    enhanced_elements,
    rle,
    slice_elements,
    write_dicom,
    write_slices,
)

PIXELS = (0x7FE0, 0x0010)
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
    for i, position in enumerate(positions):
        image = sitk.GetImageFromArray(hu[i])  # the writer takes HU and stores them by the rescale below
        image.SetSpacing((pixel_mm, SPACING[1]))
        for key, value in {
            "0008|0060": "CT",
            "0008|0018": f"{series}.{start + i + 1}",
            "0020|000e": series,
            "0020|0013": str(len(positions) - i if flipped else i),
            "0020|0032": f"-10\\{-20 + shift * i}\\{position}",
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


# --- pixels to the last one ----------------------------------------------------------------------------------------------

SIZE = (8, 12, 10)
HU = np.random.default_rng(2).integers(-1000, 1000, SIZE).astype(np.int16)
POSITIONS = [(0, 0, 5.0 * k) for k in range(len(HU))]


def cut(count, at=3):
    """A change that leaves one slice `count` bytes of its pixels."""

    def change(number, elements):
        if number == at:
            elements[PIXELS] = ("OW", elements[PIXELS][1][:count])

    return change


@pytest.mark.parametrize("at", [0, 3, 7])
def test_a_slice_with_too_few_pixels_is_refused(tmp_path, at):
    """ITK fills the rest with what lay in memory, another scan at every reading."""
    write_slices(tmp_path / "ct", HU, POSITIONS, cut(100, at))
    with pytest.raises(InputError, match=rf"{at:03d}\.dcm is cut off: it holds 100 bytes"):
        read_volume(tmp_path / "ct")


@pytest.mark.parametrize("modality", ["CT", "MR"])
def test_the_modality_of_a_series_is_known(tmp_path, modality):
    def change(number, elements):
        elements[0x0008, 0x0060] = ("CS", modality)

    write_slices(tmp_path / "scan", HU, POSITIONS, change)
    assert read_volume(tmp_path / "scan").modality == modality


def test_a_slice_cut_off_anywhere_is_refused(tmp_path):
    """Also within the header of the last slice, which nothing else would miss."""
    write_slices(tmp_path / "ct", HU, POSITIONS)
    last = tmp_path / "ct" / "007.dcm"
    whole = last.read_bytes()
    for end in (0, 100, 140, 200, 300, len(whole) - 300, len(whole) - 2):
        last.write_bytes(whole[:end])
        with pytest.raises(InputError, match=r"007\.dcm"):
            read_volume(tmp_path / "ct")


def test_what_is_no_slice_is_left_out_and_noted(tmp_path):
    write_slices(tmp_path / "ct", HU, POSITIONS)
    contours = {(0x0008, 0x0016): ("UI", STRUCTURE_SET), (0x0008, 0x0060): ("CS", "RTSTRUCT")}
    write_dicom(tmp_path / "ct" / "contours.dcm", contours)
    (tmp_path / "ct" / "readme.txt").write_text("about the scan")
    (tmp_path / "ct" / "._000.dcm").write_bytes(b"what macOS leaves")
    volume = read_volume(tmp_path / "ct")
    np.testing.assert_array_equal(volume.array, HU)
    assert [note.text for note in volume.notes if "RTSTRUCT" in note.text]


def test_rle_is_unpacked_and_counted(tmp_path):
    values = (HU.astype(int) - INTERCEPT).astype(np.uint16)
    for k in range(len(HU)):
        elements = slice_elements(HU[k], POSITIONS[k]) | {PIXELS: ("OB", [rle(values[k])])}
        write_dicom(tmp_path / "ct" / f"{k:03d}.dcm", elements, RLE)
    np.testing.assert_array_equal(read_volume(tmp_path / "ct").array, HU)
    elements[PIXELS] = ("OB", [rle(values[7])[:-40]])
    write_dicom(tmp_path / "ct" / "007.dcm", elements, RLE)
    with pytest.raises(InputError, match=r"007\.dcm is cut off or damaged"):
        read_volume(tmp_path / "ct")


def jpeg_2000(folder):
    """The series as SimpleITK packs it."""
    folder.mkdir()
    writer = sitk.ImageFileWriter()
    writer.KeepOriginalImageUIDOn()
    writer.UseCompressionOn()
    writer.SetCompressor("JPEG2000")
    for k in range(len(HU)):
        image = sitk.GetImageFromArray(np.tile(HU[k], (4, 4)))
        image.SetSpacing((3, 3))
        for key, value in {
            "0008|0060": "CT",
            "0008|0018": f"1.2.3.{k + 1}",
            "0020|000e": "1.2.3",
            "0020|0032": f"0\\0\\{5 * k}",
            "0020|0037": "1\\0\\0\\0\\1\\0",
        }.items():
            image.SetMetaData(key, value)
        writer.SetFileName(str(folder / f"{k:03d}.dcm"))
        writer.Execute(image)
    return folder


def test_jpeg_2000_is_unpacked_and_a_cut_one_is_refused(tmp_path):
    folder = jpeg_2000(tmp_path / "ct")
    np.testing.assert_array_equal(read_volume(folder).array, np.tile(HU, (1, 4, 4)))
    path = folder / "004.dcm"
    content = path.read_bytes()
    start = content.index(b"\xff\x4f\xff\x51")
    length = len(content) - 8 - start
    half = length // 2 & ~1
    size = struct.pack("<I", length)
    assert content[start - 4 : start] == size
    path.write_bytes(content[: start - 4] + struct.pack("<I", half) + content[start : start + half] + content[-8:])
    with pytest.raises(InputError, match=r"004\.dcm is cut off or damaged"):
        read_volume(folder)


def test_pixels_that_cannot_be_unpacked_are_called_by_their_name(tmp_path):
    for k in range(len(HU)):
        elements = slice_elements(HU[k], POSITIONS[k]) | {PIXELS: ("OB", [b"\xff\xd8" + bytes(90) + b"\xff\xd9"])}
        write_dicom(tmp_path / "ct" / f"{k:03d}.dcm", elements, "1.2.840.10008.1.2.4.110")
    with pytest.raises(InputError, match="JPEG XL"):
        read_volume(tmp_path / "ct")


def test_bits_that_are_not_used_are_left_out(tmp_path):
    """Twelve bits with a sign, an overlay in the others."""

    def change(number, elements):
        raw = (HU[number].astype(np.int16).view(np.uint16) & 0xFFF) | 0x8000
        elements |= {
            (0x0028, 0x0101): ("US", 12),
            (0x0028, 0x0102): ("US", 11),
            (0x0028, 0x0103): ("US", 1),
            (0x0028, 0x1052): ("DS", "0"),
            PIXELS: ("OW", raw.tobytes()),
        }

    write_slices(tmp_path / "ct", HU, POSITIONS, change)
    np.testing.assert_array_equal(read_volume(tmp_path / "ct").array, HU)


def test_each_slice_has_its_own_slope(tmp_path):
    def change(number, elements):
        elements[0x0028, 0x1053] = ("DS", "0.5" if number == 2 else "1")

    write_slices(tmp_path / "ct", HU, POSITIONS, change)
    array = read_volume(tmp_path / "ct").array
    assert array.dtype == np.float32
    np.testing.assert_array_equal(array[2], (HU[2].astype(np.float32) - INTERCEPT) * 0.5 + INTERCEPT)
    np.testing.assert_array_equal(array[3], HU[3])


# --- several frames in one file ------------------------------------------------------------------------------------------


def write_frames(folder, order, change=None):
    elements = enhanced_elements(HU, order)
    if change:
        change(elements)
    return write_dicom(folder / "frames.dcm", elements)


@pytest.mark.parametrize("order", [range(8), (3, 1, 0, 2, 7, 6, 5, 4), range(7, -1, -1)])
def test_frames_are_read_in_the_order_of_the_patient(tmp_path, order):
    path = write_frames(tmp_path / "ct", order)
    for source in (path, path.parent):
        volume = read_volume(source)
        np.testing.assert_array_equal(volume.array, HU)
        assert volume.geometry.spacing_mm == (5, 3, 3)
        assert volume.geometry.origin_lps == (0, 0, 0)


def frames_said(count):
    return lambda elements: elements.update({(0x0028, 0x0008): ("IS", str(count))})


def without(*tags):
    return lambda elements: [elements.pop(tag) for tag in tags]


@pytest.mark.parametrize(
    ("order", "change", "words"),
    [
        ((0, 1, 2, 4, 5, 6, 7), None, "lacks 1 slice"),
        ((0, 1, 2, 2, 4, 5, 6, 7), None, "two slices at one position"),
        (range(8), frames_said(9), "cut off"),
        (range(8), frames_said(7), "contradicts itself"),
        (range(8), lambda elements: elements[(0x5200, 0x9230)][1].pop(), "announces 8 frames and describes 7"),
        (range(8), lambda elements: elements.update({PIXELS: ("OW", elements[PIXELS][1][:-100])}), "cut off"),
        (range(8), without((0x5200, 0x9230)), "no position"),
        (range(8), without((0x5200, 0x9229)), "no direction"),
        (range(8), lambda elements: elements[(0x5200, 0x9229)][1][0].pop((0x0028, 0x9110)), "no pixel size"),
    ],
)
def test_frames_that_do_not_make_a_scan_are_refused(tmp_path, order, change, words):
    """What was a scan of 1 x 1 x 1 mm before."""
    with pytest.raises(InputError, match=words):
        read_volume(write_frames(tmp_path / "ct", order, change))


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
