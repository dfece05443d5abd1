"""Headers that contradict themselves or say less than a grid needs, format by format: one sentence that names the fault.

And the neighbours of each that are read: what is only unusual is no fault.
"""

import gzip
import struct

import numpy as np
import pytest
from UNetSegmenterLib.engine.errors import InputError
from UNetSegmenterLib.engine.io.geometry import Geometry
from UNetSegmenterLib.engine.io.image_reading import read_geometry, read_image, read_volume
from UNetSegmenterLib.engine.io.volume import Volume

from ..dicom_files import RLE, element, enhanced_elements, rle, write_dicom, write_slices
from ..images import nifti_bytes, noise, write_metaimage, write_nifti, write_nrrd

HU = noise((3, 4, 5))
SPACE = "space: left-posterior-superior"
DIRECTIONS = "space directions: (3,0,0) (0,3,0) (0,0,5)"
NO_VOLUME = ((0.0, 0, 0, 0),) * 3


def refused(path, *words):
    with pytest.raises(InputError) as caught:
        read_volume(path)
    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize(
    ("header", "words"),
    [
        ({"offset": -4.0}, "begin at byte -4"),
        ({"offset": np.nan}, "begin at byte nan"),
        ({"sform": NO_VOLUME, "codes": (0, 1)}, "sform that spans no volume, and no qform"),
        ({"quatern": (2.0, 0, 0, 0, 0, 0), "codes": (1, 0)}, "qform that is no rotation"),
        ({"quatern": (np.nan, 0, 0, 0, 0, 0), "codes": (1, 0)}, "qform that is no rotation"),
        ({"dim": (2, 20, 3), }, "2 dimensions"),
        ({"dim": (4, 5, 4, 1, 3)}, "3 time points"),
    ],
)  # fmt: skip
def test_nifti_that_is_refused(tmp_path, header, words):
    refused(write_nifti(tmp_path / "a.nii", HU, **header), words)


@pytest.mark.parametrize(
    "header",
    [
        {"dim": (4, 5, 4, 3, 1)},  # axes of one voxel say nothing
        {"dim": (5, 5, 4, 3, 1, 1)},
        {"sform": NO_VOLUME},  # the qform is there
        {"quatern": (0.0, 0.0, 1.000004, 0.0, 0.0, 0.0), "codes": (1, 0)},  # rounded above 1
        {"quatern": (0.0, 0.0, 1.0, 1e30, 0.0, 0.0)},  # a qform that places nothing anywhere beside a good sform
    ],
)
def test_nifti_that_is_read(tmp_path, header):
    path = write_nifti(tmp_path / "a.nii", HU, **header)
    volume = read_volume(path)
    assert np.array_equal(volume.array, HU)
    usual = read_geometry(write_nifti(tmp_path / "b.nii", HU))
    assert volume.geometry.is_close(usual) and read_geometry(path) == volume.geometry
    assert not any("qform and sform" in note.text for note in volume.notes)


def test_both_files_of_a_packed_pair_lead_to_the_voxels(tmp_path):
    (tmp_path / "a.hdr.gz").write_bytes(gzip.compress(nifti_bytes(HU, magic=b"ni", offset=0.0)))
    (tmp_path / "a.img.gz").write_bytes(gzip.compress(HU.tobytes()))
    assert np.array_equal(read_volume(tmp_path / "a.hdr.gz").array, HU)
    assert np.array_equal(read_volume(tmp_path / "a.img.gz").array, HU)
    (tmp_path / "a.hdr.gz").unlink()
    refused(tmp_path / "a.img.gz", "without their header")
    (tmp_path / "b.img").write_bytes(nifti_bytes(HU))  # complete in itself
    assert np.array_equal(read_volume(tmp_path / "b.img").array, HU)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ((SPACE, "space directions: (3,0) (0,3) (0,5)"), "space directions of 2 numbers"),
        ((SPACE, DIRECTIONS, "space origin: (1,2)"), "space origin of 2 numbers"),
        ((SPACE, DIRECTIONS, "byte skip: -2"), '"byte skip" or "line skip"'),
        ((SPACE, DIRECTIONS, "line skip: -1"), '"byte skip" or "line skip"'),
        ((SPACE, DIRECTIONS, "encoding: raw", "data file: LIST"), "lists no data files"),
    ],
)
def test_nrrd_that_is_refused(tmp_path, fields, words):
    fields = fields if "data file: LIST" in fields else (*fields, "encoding: raw")
    refused(write_nrrd(tmp_path / "a.nrrd", HU, *fields, voxels=b"" if "data file: LIST" in fields else None), words)


def test_nrrd_without_its_byte_order_is_refused_where_it_matters(tmp_path):
    path = write_nrrd(tmp_path / "a.nrrd", HU, SPACE, DIRECTIONS, "encoding: raw")
    path.write_bytes(path.read_bytes().replace(b"endian: little\n", b""))
    refused(path, '"endian: little" or "endian: big"')
    path = write_nrrd(tmp_path / "b.nrrd", HU.astype(np.uint8), SPACE, DIRECTIONS, "encoding: raw")
    path.write_bytes(path.read_bytes().replace(b"endian: little\n", b""))
    assert np.array_equal(read_volume(path).array, HU.astype(np.uint8))


def test_nrrd_in_another_unit_and_with_an_axis_of_one_voxel_is_read(tmp_path):
    centimetres = ("space directions: (0.3,0,0) (0,0.3,0) (0,0,0.5)", 'space units: "cm" "cm" "cm"')
    volume = read_volume(write_nrrd(tmp_path / "a.nrrd", HU, SPACE, *centimetres, "encoding: raw"))
    assert volume.geometry.spacing_mm == pytest.approx((5, 3, 3))
    assert any("converted to mm" in note.text for note in volume.notes)
    path = write_nrrd(tmp_path / "b.nrrd", HU[None], SPACE, f"{DIRECTIONS} none", "encoding: raw")
    assert np.array_equal(read_image(path)[0], HU)


@pytest.mark.parametrize(
    ("entries", "words"),
    [
        ({"TransformMatrix": "1 0 0 0 1 0"}, "TransformMatrix of 6 numbers"),
        ({"ElementSpacing": "3 3"}, "ElementSpacing or Offset that is not three numbers"),
        ({"Offset": "1 2"}, "ElementSpacing or Offset that is not three numbers"),
        ({"ElementDataFile": "LIST"}, "lists no data files"),
        ({"ElementDataFile": "gone.raw", "CompressedData": "True"}, "gone.raw"),
    ],
)
def test_metaimage_that_is_refused(tmp_path, entries, words):
    refused(
        write_metaimage(tmp_path / "a.mha", HU, voxels=b"" if "LIST" in entries.values() else None, **entries), words
    )


def test_metaimage_whose_axes_have_no_unit_length_or_one_voxel_is_read(tmp_path):
    volume = read_volume(write_metaimage(tmp_path / "a.mha", HU, TransformMatrix="2 0 0 0 1 0 0 0 1"))
    assert np.array_equal(volume.array, HU)
    assert any(note.severity == "warning" for note in volume.notes)
    flat = {"DimSize": "5 4 3 1", "NDims": "4", "ElementSpacing": "3 3 5 1", "Offset": "0 0 0 0"}
    path = write_metaimage(
        tmp_path / "b.mha", HU, TransformMatrix=" ".join(map(str, np.eye(4, dtype=int).ravel())), **flat
    )
    assert np.array_equal(read_image(path)[0], HU)


def test_text_voxels_in_several_files_are_refused(tmp_path):
    for number in range(3):
        (tmp_path / f"p{number}.txt").write_text("1 2 3")
    fields = (SPACE, DIRECTIONS, "encoding: ascii", "data file: p%d.txt 0 2 1")
    refused(write_nrrd(tmp_path / "a.nhdr", HU, *fields, voxels=b""), "data files of text")


def test_voxels_that_do_not_divide_over_their_files_are_refused(tmp_path):
    for number in range(2):
        (tmp_path / f"p{number}.raw").write_bytes(bytes(2 * HU.nbytes))
    odd = HU[:, :3, :3]
    path = write_nrrd(tmp_path / "a.nhdr", odd, SPACE, DIRECTIONS, "encoding: raw", "data file: LIST", voxels=b"")
    path.write_bytes(path.read_bytes().replace(b"LIST\n", b"LIST\np0.raw\np1.raw\np0.raw\np1.raw\n"))
    refused(path, "over 4 files, which does not come out even")


def test_an_array_and_its_geometry_are_of_one_shape():
    with pytest.raises(InputError, match=r"CT has an array of \(3, 4, 5\) but a geometry of \(3, 5, 4\)"):
        Volume(HU, Geometry((3, 5, 4), (5.0, 3.0, 3.0)), "CT")


TALL = noise((4, 6, 8), seed=3)
POSITIONS = [(0.0, 0.0, 5.0 * number) for number in range(4)]


def put(tag, vr, value, at=2):
    def change(number, elements):
        if number == at:
            elements[tag] = (vr, value)

    return change


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (put((0x20, 0x37), "DS", "0\\1\\0\\1\\0\\0"), ("different directions", "002.dcm")),
        (put((0x28, 0x101), "US", 17), ("17 of 16 bits are in use",)),
        (put((0x28, 0x101), "US", 0), ("0 of 16 bits are in use",)),
    ],
)
def test_a_series_that_contradicts_itself_is_refused(tmp_path, change, words):
    refused(write_slices(tmp_path / "ct", TALL, POSITIONS, change), *words)


def test_slices_of_two_scans_are_not_resampled_into_one(tmp_path):
    path = write_slices(tmp_path / "ct", TALL, POSITIONS, put((0x20, 0x32), "DS", "7\\0\\10"))
    refused(path, "by --resample on the command line")
    with pytest.raises(InputError, match="shift sideways, each in its own way"):
        read_volume(path, resample=True)


def test_slices_that_differ_in_size_are_refused(tmp_path):
    write_slices(tmp_path / "ct", TALL, POSITIONS)
    write_slices(tmp_path / "other", TALL[:, :4], [(0.0, 0.0, 20.0 + z) for _, _, z in POSITIONS])
    for path in (tmp_path / "other").iterdir():
        path.rename(tmp_path / "ct" / f"1{path.name}")
    refused(tmp_path / "ct", "differ in size", "8 x 6", "8 x 4")


def test_frames_in_several_fragments_are_put_together_by_their_table(tmp_path):
    """PS3.5, A.4: a basic offset table gives the place of each frame; without it one fragment per frame is expected."""
    values = [(part.astype(np.int32) + 1024).astype(np.uint16) for part in TALL]
    packed = [rle(frame) for frame in values]
    parts = [piece for frame in packed for piece in (frame[:70], frame[70:])]
    sizes = [len(part) + len(part) % 2 + 8 for part in parts]
    starts = [sum(sizes[: 2 * number]) for number in range(len(packed))]
    elements = enhanced_elements(TALL, range(4))
    whole = element((0x7FE0, 0x10), "OB", parts)
    table = struct.pack("<HHI4I", 0xFFFE, 0xE000, 16, *starts)
    with_table = whole[:12] + table + whole[20:]
    del elements[0x7FE0, 0x10]
    path = write_dicom(tmp_path / "a.dcm", elements, RLE)
    start = path.read_bytes()
    path.write_bytes(start + with_table)
    assert np.array_equal(read_volume(path).array, TALL)
    path.write_bytes(start + whole)
    refused(path, "announces 4 frames", "hold 8")
    path.write_bytes(start + with_table[:-20])
    refused(path, "cut off")


@pytest.mark.parametrize(
    "damage", [lambda part: b"", lambda part: part[:60], lambda part: struct.pack("<I", 3) + part[4:]]
)
def test_rle_whose_head_is_damaged_is_refused(tmp_path, damage):
    elements = enhanced_elements(TALL, range(4))
    packed = [rle((part.astype(np.int32) + 1024).astype(np.uint16)) for part in TALL]
    elements[0x7FE0, 0x10] = ("OB", [*packed[:3], damage(packed[3])])
    refused(write_dicom(tmp_path / "a.dcm", elements, RLE), "damaged" if damage(b"x" * 99) else "contradicts itself")


def test_runs_of_rle_are_repeated(tmp_path):
    """A frame of one value is two runs; the literal runs of the other test cover the other kind."""
    high = bytes([257 - 48, 4])  # the second byte 48 times
    head = struct.pack("<16I", 2, 64, 66, *[0] * 13)
    frames = [head + high + bytes([257 - 47, 6, 0, last]) for last in (6, 6, 6, 9)]  # 4 * 256 + 6 - 1024 = 6 HU
    elements = enhanced_elements(TALL, range(4)) | {(0x7FE0, 0x10): ("OB", frames)}
    array = read_volume(write_dicom(tmp_path / "a.dcm", elements, RLE)).array
    assert np.flatnonzero(array != 6).tolist() == [array.size - 1] and array[-1, -1, -1] == 9
