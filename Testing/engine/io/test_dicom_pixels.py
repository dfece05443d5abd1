"""The pixels of a DICOM series, to the last one: damaged, packed, and several frames in one file."""

import struct

import numpy as np
import pytest
import SimpleITK as sitk
from UNetSegmenterLib.engine.errors import InputError
from UNetSegmenterLib.engine.io.image_reading import read_volume

from ..dicom_files import (
    INTERCEPT,
    PIXELS,
    RLE,
    STRUCTURE_SET,
    enhanced_elements,
    rle,
    slice_elements,
    write_dicom,
    write_slices,
)
from ..dicom_series import HU, POSITIONS, write_slice

# --- pixels to the last one ----------------------------------------------------------------------------------------------


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
        tags = {"0008|0018": f"1.2.3.{k + 1}", "0020|000e": "1.2.3", "0020|0032": f"0\\0\\{5 * k}"}
        write_slice(writer, folder / f"{k:03d}.dcm", np.tile(HU[k], (4, 4)), (3, 3), tags)
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
