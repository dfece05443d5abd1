"""Headers that would make a reader wait, ask for memory, or calculate with numbers that are none."""

import bz2
import gzip
import os
import struct
import tracemalloc
import zlib

import numpy as np
import pytest
from UNetSegmenterLib.engine.errors import InputError
from UNetSegmenterLib.engine.io.image_reading import read_image, read_volume
from UNetSegmenterLib.engine.io.volume import Volume

from ..dicom_files import RLE, enhanced_elements, write_dicom
from ..images import noise, write_metaimage, write_nifti, write_nrrd

GRID = ("space: left-posterior-superior", "space directions: (3,0,0) (0,3,0) (0,0,5)", "space origin: (0,0,0)")
DEFLATED = "1.2.840.10008.1.2.1.99"


def refusal(path, *words) -> str:
    with pytest.raises(InputError) as caught:
        read_volume(path)
    message = str(caught.value)
    assert "\n" not in message
    assert len(message) < len(str(path)) + 300
    for word in words:
        assert word in message, message
    return message


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        (("encoding: raw", "line skip: 999999999999999"), ["cut off"]),
        (("encoding: raw", "data file: part%d.raw 0 999999999 1"), ["part0.raw", "not there"]),
        (("encoding: raw", "data file: part%0999999999d.raw 0 1 1"), ["not there"]),
        (("encoding: raw", "data file: %s%d 1 3 1"), ["not there"]),
        (("encoding: raw", f"data file: {'9' * 4000}"), ["not there"]),
        (("encoding: x", f"type: {'y' * 4000}"), ["type"]),
        (("encoding: raw", "space: a--superior"), []),
    ],
)
def test_an_nrrd_that_would_take_for_ever_is_refused_at_once(tmp_path, fields, words):
    fields = (*GRID, *fields) if "space" not in fields[-1] else (*GRID[1:], *fields)
    path = write_nrrd(tmp_path / "x.nrrd", noise((3, 4, 5)), *fields)
    if words:
        refusal(path, *words)
    else:
        read_volume(path)


def test_numbered_files_are_still_found(tmp_path):
    hu = noise((3, 4, 5))
    for number, part in enumerate(hu, start=8):
        (tmp_path / f"s%{number:03d}.raw".replace("%", "")).write_bytes(part.tobytes())
    path = write_nrrd(tmp_path / "x.nhdr", hu, *GRID, "encoding: raw", "data file: s%03d.raw 8 10 1", voxels=b"")
    assert np.array_equal(read_image(path)[0], hu)


@pytest.mark.parametrize("size", ["9" * 4000, "4294967296", "1e300"])
def test_a_size_that_is_none_is_refused_in_a_short_sentence(tmp_path, size):
    path = write_metaimage(tmp_path / "x.mha", noise((3, 4, 5)), DimSize=f"{size} {size} {size}")
    refusal(path, "size" if size != "9" * 4000 else "whole numbers")
    path = tmp_path / "x.nrrd"
    write_nrrd(path, noise((3, 4, 5)), *GRID, "encoding: raw", f"sizes: {size} {size} {size}")
    refusal(path)


@pytest.mark.parametrize("mm", [1e300, 1e9, 1e-9, 1e-300])
def test_lengths_that_no_scan_has_are_refused_without_a_warning(tmp_path, mm):
    sform = ((-mm, 0, 0, 0), (0, -mm, 0, 0), (0, 0, mm, 0))
    sizes = (1.0, mm, mm, mm)
    hu = noise((3, 4, 5))
    paths = [
        write_nifti(tmp_path / "sform.nii", hu, sform=sform, codes=(0, 1), version=2),
        write_nifti(tmp_path / "qform.nii", hu, codes=(1, 0), pixdim=sizes, version=2),
        write_nifti(tmp_path / "none.nii", hu, codes=(0, 0), pixdim=sizes, version=2),
        write_nrrd(tmp_path / "x.nrrd", hu, *GRID[:1], f"space directions: ({mm},0,0) (0,{mm},0) (0,0,{mm})", "encoding: raw"),
        write_metaimage(tmp_path / "x.mha", hu, ElementSpacing=f"{mm} {mm} {mm}"),
    ]  # fmt: skip
    with np.errstate(over="raise", invalid="raise", divide="raise"):
        for path in paths:
            refusal(path)


def test_a_metaimage_of_two_dimensions_with_three_sizes_is_refused(tmp_path):
    path = write_metaimage(tmp_path / "x.mha", noise((3, 4, 5)), NDims="2", TransformMatrix="1 0 0 1")
    refusal(path, "2 dimensions")


def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.nii")
    refusal(tmp_path / "pipe.nii", "pipe")


def test_a_slope_beyond_float32_is_refused_without_a_warning(tmp_path):
    with np.errstate(over="raise", invalid="raise", divide="raise"):
        refusal(write_nifti(tmp_path / "x.nii", noise((3, 4, 5)), scale=(1e38, 0.0)), "infinite")


def test_labels_that_bzip2_packs_ten_thousandfold_are_read(tmp_path):
    labels = np.zeros((40, 256, 256), np.uint8)
    labels[20, 100, 100] = 1
    path = write_nrrd(tmp_path / "x.nrrd", labels, *GRID, "encoding: bzip2", voxels=bz2.compress(labels.tobytes()))
    assert path.stat().st_size * 1100 < labels.nbytes
    assert np.array_equal(read_image(path)[0], labels)


def test_packed_voxels_that_come_in_many_parts_are_read(tmp_path, monkeypatch):
    """Each part that is decompressed is bounded: what does not fit waits, whatever the decompressor."""
    from UNetSegmenterLib.engine.io import byte_stream

    hu = noise((6, 40, 44))
    hu[2:4] = 0
    for most in (1, 7, 1000):
        monkeypatch.setattr(byte_stream, "_MOST_AT_ONCE", most if most > 1 else 100)
        for decompressor in (zlib, byte_stream._zlib):
            monkeypatch.setattr(byte_stream, "_zlib", decompressor)
            for name, compress in (("gzip", gzip.compress), ("bzip2", bz2.compress)):
                path = write_nrrd(tmp_path / "x.nrrd", hu, *GRID, f"encoding: {name}", voxels=compress(hu.tobytes()))
                assert np.array_equal(read_image(path)[0], hu)
                path.write_bytes(path.read_bytes()[:-5])
                refusal(path, "end too early")


def test_a_scan_that_is_followed_by_gigabytes_is_not_read_to_its_end(tmp_path, monkeypatch):
    from UNetSegmenterLib.engine.io import byte_stream

    hu = noise((3, 4, 5))
    path = write_nrrd(
        tmp_path / "x.nrrd", hu, *GRID, "encoding: gzip", voxels=gzip.compress(hu.tobytes() + bytes(50 << 20))
    )
    assert np.array_equal(read_image(path)[0], hu), "zeros behind the voxels are padding"
    monkeypatch.setattr(byte_stream, "_MOST_BEHIND", 20 << 20)
    refusal(path, "more than 20 MB follow")


def deflated(path, pixels: bytes):
    """A DICOM file whose content after its meta group is `pixels`, deflated."""
    compressor = zlib.compressobj(9, zlib.DEFLATED, -15)
    whole = write_dicom(path, enhanced_elements(noise((4, 8, 8)), range(4)), DEFLATED).read_bytes()
    start = whole.index(DEFLATED.encode()) + len(DEFLATED)
    content = pixels or whole[start:]
    path.write_bytes(whole[:start] + compressor.compress(content) + compressor.flush())
    return path


def test_a_deflated_dicom_file_is_read_and_a_cut_or_endless_one_is_not(tmp_path, monkeypatch):
    from UNetSegmenterLib.engine.io import dicom_file

    path = deflated(tmp_path / "x.dcm", b"")
    assert isinstance(read_volume(path), Volume)
    whole = path.read_bytes()
    path.write_bytes(whole[:-3])
    refusal(path, "cut off")
    monkeypatch.setattr(dicom_file, "_MOST_INFLATED", 1 << 20)
    refusal(deflated(path, bytes(2 << 20)), "decompresses to more than")


def test_a_deflated_file_without_end_takes_no_memory(tmp_path, monkeypatch):
    from UNetSegmenterLib.engine.io import dicom_file

    monkeypatch.setattr(dicom_file, "_MOST_INFLATED", 48 << 20)
    path = deflated(tmp_path / "x.dcm", bytes(64 << 20))
    tracemalloc.start()
    try:
        refusal(path, "decompresses to more than")
        assert tracemalloc.get_traced_memory()[1] < 40 << 20
    finally:
        tracemalloc.stop()


def test_sequences_nested_without_end_are_refused(tmp_path):
    path = write_dicom(tmp_path / "x.dcm", enhanced_elements(noise((4, 8, 8)), range(4)))
    item = struct.pack("<HH2sHI", 0x0040, 0x9096, b"SQ", 0, 0xFFFFFFFF) + struct.pack(
        "<HHI", 0xFFFE, 0xE000, 0xFFFFFFFF
    )
    whole = path.read_bytes()
    start = whole.index(struct.pack("<HH2s", 0x0008, 0x0016, b"UI"))
    path.write_bytes(whole[:start] + item * 30_000 + whole[start:])
    refusal(path, "damaged")


def test_zeros_where_elements_belong_are_refused_at_once(tmp_path):
    """An unfinished copy, whose end the file system filled with zeros, or 256 MB of them in a small deflated file."""
    path = write_dicom(tmp_path / "x.dcm", enhanced_elements(noise((4, 8, 8)), range(4)))
    whole = path.read_bytes()
    start = whole.index(struct.pack("<HH2s", 0x0028, 0x0002, b"US"))
    path.write_bytes(whole[:start] + bytes(len(whole) - start))
    refusal(path, "zeros within its header")
    refusal(deflated(path, bytes(1 << 28)), "zeros within its header")


@pytest.mark.parametrize(
    "one",
    [
        struct.pack("<HH2sH", 0x0009, 0x0010, b"LO", 0),
        struct.pack("<HH2sHI", 0x0040, 0x9096, b"SQ", 0, 8) + struct.pack("<HHI", 0xFFFE, 0xE000, 0),
        struct.pack("<HH2sHI", 0x0009, 0x1010, b"UN", 0, 0xFFFFFFFF)
        + struct.pack("<HHIHHI", 0xFFFE, 0xE000, 0, 0xFFFE, 0xE0DD, 0),
    ],
)
def test_elements_and_items_without_end_are_not_gone_through(tmp_path, monkeypatch, one):
    from UNetSegmenterLib.engine.io import dicom_file

    monkeypatch.setattr(dicom_file, "_MOST_ELEMENTS", 5000)
    path = write_dicom(tmp_path / "x.dcm", enhanced_elements(noise((4, 8, 8)), range(4)))
    assert isinstance(read_volume(path), Volume)
    whole = path.read_bytes()
    start = whole.index(struct.pack("<HH2s", 0x0028, 0x0002, b"US"))
    path.write_bytes(whole[:start] + one * 2000 + whole[start:])
    assert isinstance(read_volume(path), Volume)
    path.write_bytes(whole[:start] + one * 5000 + whole[start:])
    refusal(path, "more than 5,000 elements")


@pytest.mark.parametrize("frames", ["2000000000", "9" * 400])
def test_frames_that_the_pixels_can_not_hold_are_refused_before_they_are_counted(tmp_path, frames):
    elements = enhanced_elements(noise((4, 8, 8)), range(4)) | {(0x0028, 0x0008): ("IS", frames)}
    path = write_dicom(tmp_path / "x.dcm", elements)
    refusal(path)
    del elements[(0x5200, 0x9230)]
    path = write_dicom(tmp_path / "x.dcm", elements | {(0x7FE0, 0x0010): ("OB", [b"1234"])}, RLE)
    refusal(path, "frames")
