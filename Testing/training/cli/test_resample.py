"""Tilted scans from the command line: refused with the way out, and on request the whole way on a straight grid."""

import json

import numpy as np
import pytest
import SimpleITK as sitk
from unetseg.data.dataset import resampled
from unetseg.data.layouts.detection import read_dataset
from unetseg.training.preparation import prepare
from UNetSegmenterLib.engine.io.geometry import Geometry
from UNetSegmenterLib.engine.io.image_reading import read_geometry
from UNetSegmenterLib.engine.io.image_writing import write_image
from UNetSegmenterLib.engine.labels.segmentation_files import read_segmentation

from ..command import refused, unetseg_here
from ..datasets import STRUCTURES, blobs, write_checkpoint, write_dataset

TILT = np.radians(15)
DIRECTION = ((1.0, 0.0, 0.0), (0.0, 1.0, float(np.sin(TILT))), (0.0, 0.0, float(np.cos(TILT))))


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    return write_checkpoint(tmp_path_factory.mktemp("models") / "small.pt", structures=STRUCTURES)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    """Blobs of which case1 is tilted, in NRRD, which can say so."""
    folder = write_dataset(tmp_path_factory.mktemp("tilted"), 3)
    for name in ("imagesTr/case{}_0000", "labelsTr/case{}"):
        for i in range(3):
            old = folder / f"{name.format(i)}.nii.gz"
            image = sitk.ReadImage(str(old))
            if i == 1:
                hu = blobs(1)[0]
                Geometry(hu.shape, (3.0, 2.0, 2.0), direction=DIRECTION).apply_to(image)
            sitk.WriteImage(image, str(folder / f"{name.format(i)}.nrrd"))
            old.unlink()
    description = json.loads((folder / "dataset.json").read_text()) | {"file_ending": ".nrrd"}
    (folder / "dataset.json").write_text(json.dumps(description))
    return folder


def test_a_tilted_scan_is_segmented_on_a_straight_grid(dataset, checkpoint, tmp_path):
    scan = dataset / "imagesTr" / "case1_0000.nrrd"
    arguments = ("segment", scan, "--checkpoint", checkpoint, "--output", tmp_path / "out")
    refused(unetseg_here(*arguments), "sheared", "15 degrees", "--resample")
    done = unetseg_here(*arguments, "--resample")
    assert done.returncode == 0, done.stderr
    assert "resampled to a straight grid" in done.stderr
    (result,) = (tmp_path / "out").glob("*.seg.nrrd")
    labels = read_segmentation(result)
    assert labels.geometry.is_close(read_geometry(scan, resample=True))
    assert labels.geometry.shear_mm() < 1e-3


def test_info_says_what_was_resampled(dataset):
    scan, label = dataset / "imagesTr" / "case1_0000.nrrd", dataset / "labelsTr" / "case1.nrrd"
    refused(unetseg_here("info", scan, "--label", label), "--resample")
    done = unetseg_here("info", scan, "--label", label, "--resample")
    assert done.returncode == 0, done.stderr
    assert "resampled to a straight grid" in done.stderr
    assert "2.898 mm, even by the --resample" in done.stdout


def test_a_data_set_with_a_tilted_case_is_prepared_on_request(dataset, tmp_path):
    refused(unetseg_here("prepare", dataset, tmp_path / "preprocessed"), "case1", "--resample")
    done = unetseg_here("prepare", dataset, tmp_path / "preprocessed", "--resample")
    assert done.returncode == 0, done.stderr
    looks = unetseg_here("info", dataset).stdout
    assert "case1" in looks
    assert "--resample" in looks


def test_labels_follow_their_tilted_scan(dataset, tmp_path):
    preprocessed = prepare(
        resampled(read_dataset(dataset)), tmp_path / "preprocessed", spacing_mm=2.0, window_hu=(-100.0, 300.0)
    )
    (tilted,) = (case for case in preprocessed.cases if case.name == "case1")
    hu, labels = tilted.region(preprocessed.images), tilted.region(preprocessed.labels)
    for index, value in ((1, 120), (2, 220)):
        assert np.median(hu[labels == index]) == pytest.approx(value, abs=15)
    _, straight = blobs(1)
    step_ml = 2 * 2 * 3 * np.cos(TILT) / 1000
    assert (labels == 1).sum() * step_ml == pytest.approx((straight == 1).sum() * step_ml, rel=0.05)


def test_evaluate_and_compare_resample_scan_and_labels_alike(dataset, checkpoint, tmp_path):
    out = tmp_path / "out"
    arguments = ("evaluate", checkpoint, dataset, "--cases", "case1", "--output", out, "--workers", 1)
    refused(unetseg_here(*arguments), "--resample")
    done = unetseg_here(*arguments, "--resample", "--predictions")
    assert done.returncode == 0, done.stderr
    label = dataset / "labelsTr" / "case1.nrrd"
    assert unetseg_here("compare", label, label, "--output", tmp_path / "c").returncode == 2
    done = unetseg_here("compare", label, label, "--resample", "--output", tmp_path / "compared")
    assert done.returncode == 0, done.stderr
    summary = json.loads((tmp_path / "compared" / "summary.json").read_text())
    assert summary["mean_dice"] == pytest.approx(1)
    done = unetseg_here("check", label, "--resample", "--output", tmp_path / "checked")
    assert done.returncode == 0, done.stderr


def test_a_straight_label_beside_a_tilted_scan_is_another_grid(dataset, tmp_path):
    _, labels = blobs(1)
    write_image(labels, Geometry(labels.shape, (3.0, 2.0, 2.0)), tmp_path / "straight.nrrd")
    scan = dataset / "imagesTr" / "case1_0000.nrrd"
    refused(unetseg_here("info", scan, "--label", tmp_path / "straight.nrrd", "--resample"), "must share one grid")
