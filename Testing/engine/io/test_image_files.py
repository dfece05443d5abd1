"""What was named is what is read: to the last byte, from that file alone, and refused for the reason that is true."""

import bz2
import gzip
import os
import zlib

import numpy as np
import pytest
import SimpleITK as sitk
from UNetSegmenterLib.engine.errors import InputError
from UNetSegmenterLib.engine.io import byte_stream
from UNetSegmenterLib.engine.io.image_reading import read_geometry, read_image, read_image_file, read_volume
from UNetSegmenterLib.engine.labels.segmentation_files import read_segmentation

from ..images import body, flipped, nifti_bytes, noise, write_metaimage, write_nifti, write_nrrd

GZIPPED = ("space: left-posterior-superior", "space directions: (3,0,0) (0,3,0) (0,0,5)", "encoding: gzip")


@pytest.fixture(params=["isal", "zlib"])
def decompressor(request, monkeypatch):
    """Each of the two libraries that decompress; Slicer has zlib alone."""
    if request.param == "zlib":
        monkeypatch.setattr(byte_stream, "_zlib", zlib)
    else:
        pytest.importorskip("isal", reason="isal is not installed")


# --- the file that was named ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("twin_slices", [12, 7])
def test_a_twin_of_another_ending_is_not_read_in_its_place(tmp_path, twin_slices):
    """ITK opens x.nii where x.nii.gz was named and both lie there."""
    hu, labels = body()
    write_nifti(tmp_path / "ct.nii.gz", hu)
    write_nifti(tmp_path / "ct.nii", (hu // 2)[:twin_slices])
    write_nifti(tmp_path / "ref.nii.gz", labels)
    write_nifti(tmp_path / "ref.nii", np.roll(labels, 6, axis=2)[:twin_slices])
    np.testing.assert_array_equal(read_volume(tmp_path / "ct.nii.gz").array, hu)
    np.testing.assert_array_equal(read_volume(tmp_path / "ct.nii").array, (hu // 2)[:twin_slices])
    np.testing.assert_array_equal(read_segmentation(tmp_path / "ref.nii.gz").labels, labels)
    assert read_geometry(tmp_path / "ref.nii").shape[0] == twin_slices
    assert read_geometry(tmp_path / "ref.nii.gz").shape[0] == 12


def test_a_pair_beside_a_file_is_not_read_in_its_place(tmp_path):
    hu, _ = body()
    write_nifti(tmp_path / "ct.hdr", hu, magic=b"ni", offset=0)
    (tmp_path / "ct.img").write_bytes((hu // 2).tobytes())
    write_nifti(tmp_path / "ct.nii.gz", hu)
    np.testing.assert_array_equal(read_volume(tmp_path / "ct.nii.gz").array, hu)
    for name in ("ct.hdr", "ct.img"):
        pair = read_volume(tmp_path / name)
        np.testing.assert_array_equal(pair.array, hu // 2)
        assert pair.name == "ct"


@pytest.mark.parametrize("ending", ["nii", "nii.gz"])
def test_links_and_capital_endings_are_read(tmp_path, ending):
    hu, _ = body()
    write_nifti(tmp_path / "store" / f"blob.{ending}", hu).rename(tmp_path / "store" / "blob")
    try:
        os.symlink(tmp_path / "store" / "blob", tmp_path / f"link.{ending}")
        os.symlink(tmp_path / "store" / "blob", tmp_path / f"LINK.{ending.upper()}")
    except OSError:
        pytest.skip("this system makes no symbolic links")
    for name in (f"link.{ending}", f"LINK.{ending.upper()}"):
        np.testing.assert_array_equal(read_volume(tmp_path / name).array, hu)


@pytest.mark.parametrize(("name", "packed"), [("scan.nii", True), ("scan.nii.gz", False)])
def test_a_name_that_tells_the_wrong_packing_is_noted(tmp_path, name, packed):
    hu, _ = body()
    content = nifti_bytes(hu)
    (tmp_path / name).write_bytes(gzip.compress(content) if packed else content)
    volume = read_volume(tmp_path / name)
    np.testing.assert_array_equal(volume.array, hu)
    assert any("gz" in note.text for note in volume.notes)


# --- to the last byte ----------------------------------------------------------------------------------------------------


def zeros(content):
    middle = len(content) // 2
    return content[:middle] + bytes(4096) + content[middle + 4096 :]


def hole(content):
    return content[: len(content) // 2] + content[len(content) // 2 + 4096 :]


def checksum(content):
    return flipped(content, len(content) - 8, 1)


def length(content):
    return flipped(content, len(content) - 4, 1)


def no_end(content):
    return content[:-8]


DAMAGES = (flipped, zeros, hole, checksum, length, no_end)


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("kind", ["scan", "labels", "seg.nrrd", "nrrd", "mha"])
def test_damaged_packed_data_are_refused(tmp_path, kind, damage, decompressor):
    """Every one of these fails gzip -t; ITK reads most of them, and teem and MetaIO look at no checksum at all."""
    hu = noise()
    if kind == "mha":
        packed = zlib.compress(hu.tobytes(), 1)
        damage = (lambda content: flipped(content, len(content) - 2, 1)) if damage in (checksum, length) else damage
        path = write_metaimage(tmp_path / "a.mha", hu, damage(packed), CompressedData="True")
    elif kind.endswith("nrrd"):
        path = write_nrrd(tmp_path / f"a.{kind}", hu, *GZIPPED, voxels=damage(gzip.compress(hu.tobytes(), 1)))
    else:
        path = tmp_path / "a.nii.gz"
        array = hu if kind == "scan" else (hu.astype(int) % 7).astype(np.uint8)
        path.write_bytes(damage(gzip.compress(nifti_bytes(array), 1)))
    read = read_segmentation if kind in ("labels", "seg.nrrd") else read_volume
    with pytest.raises(InputError, match=r"damaged|cut off") as caught:
        read(path)
    assert path.name in str(caught.value)


def test_damaged_bzip2_is_refused(tmp_path):
    fields = (*GZIPPED[:2], "encoding: bzip2")
    hu = noise()
    packed = bz2.compress(hu.tobytes())
    np.testing.assert_array_equal(read_image(write_nrrd(tmp_path / "a.nrrd", hu, *fields, voxels=packed))[0], hu)
    with pytest.raises(InputError, match=r"damaged|cut off"):
        read_image(write_nrrd(tmp_path / "a.nrrd", hu, *fields, voxels=flipped(packed)))


def members(content):
    return gzip.compress(content[:700]) + gzip.compress(content[700:])


def test_several_members_and_padding_are_read_and_a_damaged_second_one_is_not(tmp_path, decompressor):
    hu = noise()
    path = tmp_path / "a.nii.gz"
    whole = members(nifti_bytes(hu))
    path.write_bytes(whole + bytes(512))
    assert read_volume(path).notes == ()
    np.testing.assert_array_equal(read_volume(path).array, hu)
    path.write_bytes(flipped(whole, len(whole) - 8, 1))
    with pytest.raises(InputError, match="damaged"):
        read_volume(path)
    path.write_bytes(whole + b"what a transfer left")
    left = read_volume(path)
    np.testing.assert_array_equal(left.array, hu)
    assert [note.severity for note in left.notes] == ["warning"]


@pytest.mark.parametrize("kind", ["nii", "nii.gz", "nrrd", "gzipped.nrrd", "mha", "zlib.mha"])
def test_a_file_cut_off_anywhere_is_refused(tmp_path, kind):
    hu = noise((6, 10, 11))
    path = tmp_path / f"a.{kind}"
    if ".nrrd" in path.name:
        packed = kind != "nrrd"
        write_nrrd(path, hu, *(GZIPPED if packed else ()), voxels=gzip.compress(hu.tobytes()) if packed else None)
    elif ".mha" in path.name:
        packed = kind != "mha"
        more = {"CompressedData": "True"} if packed else {}
        write_metaimage(path, hu, zlib.compress(hu.tobytes()) if packed else None, **more)
    else:
        write_nifti(path, hu)
    whole = path.read_bytes()
    np.testing.assert_array_equal(read_image(path)[0], hu)
    for end in {0, 1, 100, 345, 349, 400, len(whole) // 2, len(whole) - 100, len(whole) - 2, len(whole) - 1}:
        path.write_bytes(whole[:end])
        with pytest.raises(InputError) as caught:
            read_volume(path)
        assert path.name in str(caught.value)
        assert "\n" not in str(caught.value)


def test_a_header_that_announces_more_than_there_can_be_asks_for_no_memory(tmp_path):
    path = tmp_path / "a.nii.gz"
    path.write_bytes(gzip.compress(nifti_bytes(noise(), dim=(3, 30000, 30000, 30000))))
    with pytest.raises(InputError, match="cut off"):
        read_volume(path)


def test_data_files_beside_a_header_are_checked(tmp_path):
    hu = noise((4, 6, 5))
    fields = (*GZIPPED[:2], "encoding: raw")
    for i in range(4):
        (tmp_path / f"slice{i:02d}.raw").write_bytes(hu[i].tobytes())
    listed = "\n".join(f"slice{i:02d}.raw" for i in range(4))
    for target in ("slice%02d.raw 0 3 1", f"LIST\n{listed}"):
        write_nrrd(tmp_path / "a.nhdr", hu, *fields, f"data file: {target}", voxels=b"")
        np.testing.assert_array_equal(read_image(tmp_path / "a.nhdr")[0], hu)
    for target in ("slice%02d.raw 0 3 1", f"LIST\n{listed}"):
        content = write_metaimage(tmp_path / "a.mhd", hu, b"", ElementDataFile=target)
        np.testing.assert_array_equal(read_image(content)[0], hu)
    (tmp_path / "slice02.raw").write_bytes(hu[2].tobytes()[:-2])
    for name in ("a.nhdr", "a.mhd"):
        with pytest.raises(InputError, match="cut off"):
            read_image(tmp_path / name)
    (tmp_path / "slice02.raw").unlink()
    for name in ("a.nhdr", "a.mhd"):
        with pytest.raises(InputError, match=r"slice02\.raw, which is not there"):
            read_image(tmp_path / name)


def test_what_comes_before_the_voxels_is_left_out(tmp_path):
    hu = noise((4, 6, 5))
    before = b"a line\nand another\n"
    for skip in ("byte skip: -1", f"byte skip: {len(before)}", "line skip: 2"):
        path = write_nrrd(tmp_path / "a.nrrd", hu, *GZIPPED[:2], "encoding: raw", skip, voxels=before + hu.tobytes())
        np.testing.assert_array_equal(read_image(path)[0], hu)
    for size in (-1, len(before)):
        path = write_metaimage(tmp_path / "a.mha", hu, before + hu.tobytes(), HeaderSize=str(size))
        np.testing.assert_array_equal(read_image(path)[0], hu)


def test_voxels_as_text_are_counted(tmp_path):
    hu = noise((4, 6, 5))
    text = " ".join(map(str, hu.ravel())).encode()
    whole = write_nrrd(tmp_path / "a.nrrd", hu, *GZIPPED[:2], "encoding: ascii", voxels=text)
    np.testing.assert_array_equal(read_image(whole)[0], hu)
    np.testing.assert_array_equal(read_image(write_metaimage(tmp_path / "a.mha", hu, text, BinaryData="False"))[0], hu)
    digits = write_nrrd(tmp_path / "b.nrrd", hu, *GZIPPED[:2], "encoding: hex", voxels=hu.tobytes().hex().encode())
    np.testing.assert_array_equal(read_image(digits)[0], hu)
    for broken, words in ((text[:-40], "cut off"), (text + b" 70000", "int16"), (text + b" x", "no numbers")):
        with pytest.raises(InputError, match=words):
            read_image(write_nrrd(tmp_path / "a.nrrd", hu, *GZIPPED[:2], "encoding: ascii", voxels=broken))


@pytest.mark.parametrize(
    ("array", "fields", "words"),
    [
        (noise((3, 4, 5)), ("dimension: 4",), "4 dimensions"),
        (noise((2, 3, 4, 5)), ("kinds: domain domain domain list", "spacings: 3 3 5 nan"), "2 values per voxel"),
        (noise((3, 4, 5, 3)), ("kinds: RGB-color domain domain domain", "spacings: nan 3 3 5"), "3 values per voxel"),
        (noise()[0], ("spacings: 3 3",), "2 axes in space"),
        (noise(), (*GZIPPED[:2], "encoding: zrl"), "encoding zrl"),
    ],
)
def test_an_nrrd_of_another_kind_is_called_what_it_is(tmp_path, array, fields, words):
    with pytest.raises(InputError, match=words):
        read_volume(write_nrrd(tmp_path / "a.nrrd", array, "encoding: raw", *fields))


# --- every type ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", "f4", "f8"])
def test_every_type_and_byte_order_is_read(tmp_path, kind):
    array = np.arange(60).reshape(3, 4, 5).astype(kind)
    for version in (1, 2):
        for order in "<>":
            path = write_nifti(tmp_path / "a.nii.gz", array, order=order, version=version)
            read = read_image_file(path)
            np.testing.assert_array_equal(read.array, array)
            assert read.geometry.spacing_mm == (5, 3, 3)
            assert read.geometry.orientation() == "LPS"
    for ending in ("nrrd", "mha", "nhdr", "mhd"):
        sitk.WriteImage(sitk.GetImageFromArray(array), str(tmp_path / f"a.{ending}"), True)
        read = read_image_file(tmp_path / f"a.{ending}")
        np.testing.assert_array_equal(read.array, array)
        assert read.array.dtype == array.dtype


@pytest.mark.parametrize(
    ("scale", "expected", "dtype"),
    [
        ((1, -1024), lambda raw: raw - 1024, np.int16),
        ((0, 7), lambda raw: raw, np.int16),
        ((float("nan"), 0), lambda raw: raw, np.int16),
        ((0.5, -10), lambda raw: raw * 0.5 - 10, np.float32),
        ((100000, 0), lambda raw: raw * 100000.0, np.float32),
    ],
)
def test_slope_and_intercept_are_applied(tmp_path, scale, expected, dtype):
    raw = np.arange(1, 61, dtype=np.int16).reshape(3, 4, 5)
    array = read_volume(write_nifti(tmp_path / "a.nii", raw, scale=scale)).array
    np.testing.assert_array_equal(array, expected(raw.astype(float)))
    assert array.dtype == dtype


@pytest.mark.parametrize(
    ("write", "words"),
    [
        (lambda path: path.write_bytes(b""), "empty"),
        (lambda path: path.write_bytes(bytes(2000)), "zeros"),
        (lambda path: path.write_text("<!DOCTYPE html><html>404</html>"), "web page"),
        (lambda path: path.write_bytes(b"PK\3\4" + bytes(400)), "zip"),
        (lambda path: write_nifti(path, noise(), datatype=128), "RGB"),
        (lambda path: write_nifti(path, noise(), datatype=32), "complex"),
        (lambda path: write_nifti(path, noise()[0]), "2 dimensions"),
        (lambda path: write_nifti(path, noise((2, 3, 4, 5)), dim=(4, 5, 4, 3, 2)), "2 time points"),
        (lambda path: write_nifti(path, noise(), dim=(3, 44, -40, 12)), "sizes"),
        (lambda path: write_nifti(path, noise(), scale=(1, float("nan"))), "intercept"),
        (lambda path: path.write_bytes(nifti_bytes(noise())[:344] + bytes(8)), "Analyze"),
        (lambda path: path.write_bytes(bytes(128) + b"DICM" + bytes(300)), "DICOM"),
    ],
)
def test_the_reason_is_the_true_one(tmp_path, write, words):
    path = tmp_path / "a.nii"
    write(path)
    with pytest.raises(InputError, match=words):
        read_image(path)
