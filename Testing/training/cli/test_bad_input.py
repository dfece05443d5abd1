"""Bad scans, checkpoints, data sets and folders: status 2, one clear sentence on stderr, and nothing left behind."""

import json
import os
import pickle
import shutil
import subprocess
import sys

import numpy as np
import pytest
import SimpleITK as sitk
import torch
from UNetSegmenterLib.engine.io.geometry import Geometry
from UNetSegmenterLib.engine.io.image_reading import read_image, read_volume
from UNetSegmenterLib.engine.io.image_writing import write_image, write_volume
from UNetSegmenterLib.engine.io.volume import Volume
from UNetSegmenterLib.engine.model.checkpoint import FORMAT

from ...engine.checkpoints import small_card, small_weights
from ...engine.dicom_series import write_series
from ..command import refused, tree, unetseg, unetseg_here
from ..datasets import blobs

GRID = Geometry((10, 24, 24), (3.0, 2.0, 2.0))


# --- scans -------------------------------------------------------------------------------------------------------------


def text_file(path):
    (path / "scan.nii.gz").write_text("this is no image")
    return path / "scan.nii.gz"


def missing_file(path):
    return path / "nobody.nii.gz"


def four_dimensions(path):
    image = sitk.JoinSeries([sitk.Image(8, 8, 4, sitk.sitkInt16)] * 3)
    sitk.WriteImage(image, str(path / "time.nrrd"))
    return path / "time.nrrd"


def colour(path):
    sitk.WriteImage(sitk.Image([8, 8, 4], sitk.sitkVectorUInt8, 3), str(path / "colour.nrrd"))
    return path / "colour.nrrd"


def with_nan(path):
    array = np.zeros(GRID.shape, np.float32)
    array[2, 3, 4] = np.nan
    write_image(array, GRID, path / "nan.nrrd")
    return path / "nan.nrrd"


def constant(path):
    write_image(np.full(GRID.shape, 40, np.int16), GRID, path / "flat.nrrd")
    return path / "flat.nrrd"


def cut_off(path):
    array = np.random.default_rng(0).integers(-1000, 1000, GRID.shape).astype(np.int16)
    write_image(array, GRID, path / "whole.nii.gz")
    (path / "cut.nii.gz").write_bytes((path / "whole.nii.gz").read_bytes()[:4000])
    return path / "cut.nii.gz"


def two_series(path):
    write_series(path / "dicom", [2.5 * i for i in range(5)])
    write_series(path / "dicom", [2.5 * i for i in range(5)], series="1.2.4", start=50)
    return path / "dicom"


def missing_slice(path):
    write_series(path / "dicom", [0, 2.5, 5.0, 10.0, 12.5, 15.0])
    return path / "dicom"


def no_dicom(path):
    (path / "dicom").mkdir()
    (path / "dicom" / "readme.txt").write_text("nothing here")
    return path / "dicom"


SCANS = [
    (text_file, "not an image"),
    (missing_file, "does not exist"),
    (four_dimensions, "single 3D scan"),
    (colour, "3 values per voxel"),
    (with_nan, "NaN"),
    (constant, "every voxel is 40"),
    (cut_off, "cut"),
    (two_series, "2 DICOM series"),
    (missing_slice, "lacks 1 slice"),
    (no_dicom, "no DICOM series"),
]


@pytest.mark.parametrize(("make", "words"), SCANS, ids=[make.__name__ for make, _ in SCANS])
def test_scan_is_refused(make, words, place, tmp_path):
    refused(unetseg_here("info", make(tmp_path), "--plot", place / "scan.png"), words)


def test_segment_refuses_a_scan_before_it_makes_a_folder(checkpoint, place, tmp_path):
    for make in (text_file, with_nan):
        refused(
            unetseg_here("segment", make(tmp_path), "--checkpoint", checkpoint, "--output", place / "deep" / "out"),
            "expected",
        )


# --- checkpoints ---------------------------------------------------------------------------------------------------------


class Attack:
    """Pickles to code that makes a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def rewritten(source, path, **changes):
    content = torch.load(source, weights_only=True)
    torch.save({key: value for key, value in (content | changes).items() if value is not None}, path)
    return path


def test_checkpoints_are_refused(place, checkpoint, scan, tmp_path):
    whole = checkpoint.read_bytes()
    cases = {
        "cut.pt": (lambda path: path.write_bytes(whole[: len(whole) // 2]), "cut off"),
        "nobody.pt": (lambda path: None, "does not exist"),
        "code.pt": (lambda path: torch.save({"format": FORMAT, "weights": Attack(tmp_path / "ran")}, path), "run code"),
        "pickle.pt": (lambda path: path.write_bytes(pickle.dumps(Attack(tmp_path / "ran"))), "not a checkpoint"),
        "cardless.pt": (lambda path: rewritten(checkpoint, path, card=None), "no card"),
        "newer.pt": (lambda path: rewritten(checkpoint, path, format=FORMAT + 1), "update UNetSegmenter"),
        "contrary.pt": (
            lambda path: rewritten(
                checkpoint, path, card=json.dumps(json.loads(torch.load(checkpoint)["card"]) | {"title": 5})
            ),
            "schema",
        ),
        "other.pt": (
            lambda path: rewritten(
                checkpoint, path, weights=[small_weights(small_card(structures=small_card().structures[:2]))]
            ),
            "contradicts its weights",
        ),
    }
    for name, (write, words) in cases.items():
        write(tmp_path / name)
        refused(unetseg_here("segment", scan, "--checkpoint", tmp_path / name, "--output", place / "out"), name, words)
    assert not (tmp_path / "ran").exists(), "code in a checkpoint was run"


# --- data sets and preprocessed ones ----------------------------------------------------------------------------------------


def test_undeclared_label_value(dataset, place):
    _, labels = blobs(1)
    labels[0, 0, :5] = 9
    geometry = read_volume(dataset / "imagesTr" / "case1_0000.nii.gz").geometry
    write_image(labels, geometry, dataset / "labelsTr" / "case1.nii.gz")
    refused(unetseg_here("prepare", dataset, place / "preprocessed", "--spacing", 2), "case1.nii.gz", "9 (5 voxels)")


def test_label_on_another_grid(dataset, place):
    _, labels = blobs(1)
    write_image(labels, Geometry(labels.shape, (3.0, 2.0, 2.5)), dataset / "labelsTr" / "case1.nii.gz")
    refused(unetseg_here("prepare", dataset, place / "preprocessed", "--spacing", 2), "case1.nii.gz", "grid")


def test_label_without_an_image(dataset, place):
    (dataset / "imagesTr" / "case1_0000.nii.gz").unlink()
    refused(
        unetseg_here("prepare", dataset, place / "preprocessed"),
        "case1.nii.gz has no image",
        "add the image or remove the label",
    )


def test_structure_that_no_training_case_has(dataset, place):
    for label in (dataset / "labelsTr").iterdir():
        array, geometry = read_image(label)
        write_image(np.where(array == 2, 0, array).astype(np.uint8), geometry, label)
    refused(
        unetseg_here("prepare", dataset, place / "preprocessed", "--spacing", 2),
        "No training case has any voxel of spleen",
    )


def test_structure_that_no_test_case_has_is_said(dataset, tmp_path):
    array, geometry = read_image(dataset / "labelsTr" / "case1.nii.gz")
    write_image(np.where(array == 2, 0, array).astype(np.uint8), geometry, dataset / "labelsTr" / "case1.nii.gz")
    done = unetseg_here("prepare", dataset, tmp_path / "preprocessed", "--spacing", 2, "--test", "case1")
    assert done.returncode == 0, done.stderr
    assert "no case of the split test has spleen" in done.stderr + done.stdout


def test_spacings_that_differ_tenfold(dataset, place):
    for file in (dataset / "imagesTr" / "case1_0000.nii.gz", dataset / "labelsTr" / "case1.nii.gz"):
        array, geometry = read_image(file)
        write_image(array, Geometry(geometry.shape, (3.0, 20.0, 20.0), geometry.origin_lps), file)
    refused(
        unetseg_here("prepare", dataset, place / "preprocessed"), "run from 2 mm", "20 mm (case1)", "lost its spacing"
    )


def test_preprocessed_from_other_sources(dataset, place, tmp_path):
    preprocessed = tmp_path / "preprocessed"
    assert unetseg_here("prepare", dataset, preprocessed, "--spacing", 2, "--test", 1).returncode == 0
    left = tree(preprocessed)
    hu, _ = blobs(7)
    write_volume(
        Volume(hu, read_volume(dataset / "imagesTr" / "case1_0000.nii.gz").geometry),
        dataset / "imagesTr" / "case1_0000.nii.gz",
    )
    refused(unetseg_here("prepare", dataset, preprocessed), "case1_0000.nii.gz", "SHA-256")
    assert tree(preprocessed) == left
    images = np.load(preprocessed / "images.npy")
    images[0, 0, 0] += 1
    np.save(preprocessed / "images.npy", images)
    refused(unetseg_here("train", preprocessed, "--output", place / "run", "--steps", 1), "images.npy")


def test_dataset_that_is_none(place, tmp_path):
    (tmp_path / "empty").mkdir()
    refused(unetseg_here("prepare", tmp_path / "empty", place / "preprocessed"), "empty")
    refused(unetseg_here("prepare", tmp_path / "nowhere", place / "preprocessed"), "does not exist")


def test_evaluate_refuses_unknown_cases(dataset, checkpoint, place):
    refused(
        unetseg_here("evaluate", checkpoint, dataset, "--cases", "case9", "--output", place / "out"), "no case case9"
    )
    refused(
        unetseg_here("evaluate", checkpoint, dataset, "--split", "test", "--output", place / "out"), 'no split "test"'
    )


# --- segmentations -------------------------------------------------------------------------------------------------------


def test_compare_refuses_a_scan_as_segmentation(scan, place):
    refused(unetseg_here("compare", scan, scan, "--output", place / "out"), "not a label map")


def test_compare_refuses_grids_that_do_not_meet(place, tmp_path):
    labels = np.zeros(GRID.shape, np.uint8)
    labels[3:6, 5:9, 5:9] = 1
    write_image(labels, GRID, tmp_path / "a.nii.gz")
    write_image(labels, Geometry(GRID.shape, GRID.spacing_mm, (900.0, 0.0, 0.0)), tmp_path / "b.nii.gz")
    refused(
        unetseg_here("compare", tmp_path / "a.nii.gz", tmp_path / "b.nii.gz", "--output", place / "out"),
        "don't overlap",
    )


# --- folders -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["file", "file/out"])
def test_output_that_can_not_be_a_folder(scan, checkpoint, tmp_path, name):
    (tmp_path / "file").write_text("in the way")
    refused(
        unetseg_here("segment", scan, "--checkpoint", checkpoint, "--output", tmp_path / name),
        "is a file, and a folder",
    )
    assert tree(tmp_path) == {"file"}


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may write anywhere")
def test_output_without_rights(scan, checkpoint, tmp_path):
    (tmp_path / "locked").mkdir(mode=0o555)
    refused(
        unetseg_here("segment", scan, "--checkpoint", checkpoint, "--output", tmp_path / "locked" / "out"), "denied"
    )


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 64 KB."""
    if sys.platform != "linux" or os.geteuid() != 0:
        pytest.skip("a small file system can only be mounted by root on Linux")
    folder = tmp_path / "disk"
    folder.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", folder], capture_output=True, check=False)
    if done.returncode:
        pytest.skip(f"no tmpfs can be mounted here: {done.stderr.decode().strip()}")
    yield folder
    subprocess.run(["umount", folder], check=True)


def test_full_disk(small_disk, dataset, checkpoint, tmp_path):
    noise = np.random.default_rng(0).integers(-1000, 1500, (40, 96, 96)).astype(np.int16)
    write_volume(Volume(noise, Geometry(noise.shape, (3.0, 2.0, 2.0))), tmp_path / "noise.nii.gz")
    refused(
        unetseg_here("segment", tmp_path / "noise.nii.gz", "--checkpoint", checkpoint, "--output", small_disk / "out"),
        "could not be written",
    )
    assert not tree(small_disk)
    refused(unetseg_here("prepare", dataset, small_disk / "preprocessed", "--spacing", 2), "free some space")
    assert not tree(small_disk)
    (small_disk / "filler").write_bytes(b"0" * 64 * 1024)
    refused(
        unetseg_here("segment", tmp_path / "noise.nii.gz", "--checkpoint", checkpoint, "--output", small_disk / "out"),
        "space",
    )
    assert tree(small_disk) == {"filler"}


# --- the sample of the demo ----------------------------------------------------------------------------------------------


def fake_package(folder, content=b"another scan"):
    """A source distribution of the sample's name and version with other files in it."""
    inside = folder / "totalsegmentator-2.18.0"
    (inside / "tests" / "reference_files").mkdir(parents=True)
    for name in ("example_ct.nii.gz", "example_seg_fast_force_split.nii.gz"):
        (inside / "tests" / "reference_files" / name).write_bytes(content)
    (inside / "LICENSE").write_bytes(b"terms")
    (inside / "setup.py").write_text("from setuptools import setup\nsetup(name='totalsegmentator', version='2.18.0')\n")
    (inside / "PKG-INFO").write_text("Metadata-Version: 2.1\nName: totalsegmentator\nVersion: 2.18.0\n")
    shutil.make_archive(str(folder / "totalsegmentator-2.18.0"), "gztar", folder, inside.name)
    shutil.rmtree(inside)


def test_demo_without_consent_or_network_says_what_to_do(checkpoint, place, tmp_path):
    demo = ("demo", "--checkpoint", checkpoint, "--output", place / "out", "--cache", place / "cache")
    refused(unetseg(*demo, PIP_NO_INDEX="1"), "nothing is downloaded without consent", "--fetch")
    assert not (place / "cache").exists()
    refused(unetseg(*demo, "--fetch", PIP_NO_INDEX="1"), "could not be fetched", "--scan FILE")
    shutil.rmtree(place / "cache")


def test_demo_does_not_trust_another_file(checkpoint, place, tmp_path):
    fake_package(tmp_path)
    offline = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(tmp_path)}
    demo = ("demo", "--checkpoint", checkpoint, "--output", place / "out", "--cache", place / "cache", "--fetch")
    done = unetseg(*demo, **offline)
    refused(done, "SHA-256", "--scan FILE")
    assert tree(place / "cache") == set(), "nothing of it is kept"
    shutil.rmtree(place / "cache")
