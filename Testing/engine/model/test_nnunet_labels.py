"""Labels of a real nnU-Net, imported from its exported zip, are those that nnU-Net itself gave (see nnunet/README.md)."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from UNetSegmenterLib.engine.io.geometry import Geometry
from UNetSegmenterLib.engine.io.image_reading import read_volume
from UNetSegmenterLib.engine.io.volume import Volume
from UNetSegmenterLib.engine.model.checkpoint import load_checkpoint
from UNetSegmenterLib.engine.model.imports.importing import completed_card, write_model
from UNetSegmenterLib.engine.model.imports.nnunet_folder import read_nnunet_draft
from UNetSegmenterLib.engine.model.prediction import Predictor

FOLDER = Path(__file__).with_name("nnunet")
SCAN = FOLDER / "heart_0000.nii.gz"


@pytest.fixture(scope="module")
def imported(tmp_path_factory):
    """A function that imports the model with some options."""

    def load(**options):
        draft = read_nnunet_draft(FOLDER / "model.zip", **options)
        path = tmp_path_factory.mktemp("model") / "heart.pt"
        write_model(draft, completed_card(draft, draft.card), path)
        return load_checkpoint(path)

    return load


def reference(ending):
    return sitk.GetArrayFromImage(sitk.ReadImage(FOLDER / f"heart{ending}.nii.gz"))


def without_postprocessing(checkpoint):
    return replace(checkpoint, card=replace(checkpoint.card, postprocessing=()))


def different(labels, expected):
    """The share of voxels that differ; none should, but rounding differs between processors."""
    assert labels.shape == expected.shape
    assert len(np.unique(expected)) == 3
    return np.mean(labels != expected)


@pytest.mark.parametrize(("ending", "mirroring"), [("", False), ("_mirrored", True)])
def test_labels_are_those_of_nnunet(imported, ending, mirroring):
    checkpoint = without_postprocessing(imported())
    labels = Predictor(checkpoint, "cpu", mirroring=mirroring).predict(read_volume(SCAN)).segmentation.labels
    assert different(labels, reference(ending)) < 0.0005
    assert different(labels, reference("_mirrored" if not mirroring else "")) > 0.0005


def test_postprocessing_is_that_of_nnunet(imported):
    checkpoint = imported()
    assert checkpoint.card.postprocessing
    labels = Predictor(checkpoint, "cpu").predict(read_volume(SCAN)).segmentation.labels
    assert different(labels, reference("_postprocessed")) < 0.0005


def turned(volume: Volume) -> Volume:
    """The same scan as another file stores it: right to left, anterior to posterior turned round, slices last."""
    image, geometry = volume.array, volume.geometry
    array = np.ascontiguousarray(image.transpose(1, 2, 0)[::-1, ::-1])
    columns = np.array(geometry.direction).T  # unit vectors of the array's axes in reverse: columns, rows, slices
    spacing = geometry.spacing_mm
    last = np.array(geometry.origin_lps)
    last = last + columns[1] * spacing[1] * (image.shape[1] - 1) + columns[0] * spacing[2] * (image.shape[2] - 1)
    direction = np.column_stack([columns[2], -columns[0], -columns[1]])
    spacings = (spacing[1], spacing[2], spacing[0])
    return Volume(array, Geometry(array.shape, spacings, tuple(last), tuple(map(tuple, direction))), volume.name)


def test_a_scan_that_is_stored_otherwise_gets_the_same_labels_where_the_orientation_is_given(imported):
    checkpoint = without_postprocessing(imported(orientation="LPS"))
    labels = Predictor(checkpoint, "cpu").predict(read_volume(SCAN)).segmentation.labels
    assert different(labels, reference("")) < 0.0005
    other = Predictor(checkpoint, "cpu").predict(turned(read_volume(SCAN))).segmentation.labels
    assert np.array_equal(other[::-1, ::-1].transpose(2, 0, 1), labels)


def test_one_fold_alone_gives_other_labels(imported):
    labels = (
        Predictor(without_postprocessing(imported(folds=["0"])), "cpu").predict(read_volume(SCAN)).segmentation.labels
    )
    assert different(labels, reference("")) > 0.0005
