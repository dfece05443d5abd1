"""`unetseg import` of nnU-Net's models, and `--mirror` with what it wrote."""

import numpy as np
import pytest
import SimpleITK as sitk
from UNetSegmenterLib.engine.model.checkpoint import load_checkpoint

from ...engine.model.imports import nnunet_models as models
from ..command import refused, unetseg_here


@pytest.fixture
def folder(tmp_path):
    folds = {f"fold_{fold}/checkpoint_final.pth": models.checkpoint(fold) for fold in (0, 1)}
    return models.write_model(tmp_path / "Dataset007_Liver" / "nnUNetTrainer__nnUNetPlans__2d", checkpoints=folds)


@pytest.fixture
def scan(tmp_path):
    values = np.random.default_rng(0).normal(60, 80, (3, 24, 30)).astype(np.int16)
    image = sitk.GetImageFromArray(values)
    image.SetSpacing((2.0, 1.5, 4.0))
    sitk.WriteImage(image, tmp_path / "scan.nii.gz")
    return tmp_path / "scan.nii.gz"


def test_a_folder_becomes_a_checkpoint_that_segments(folder, scan, tmp_path):
    target = tmp_path / "liver.pt"
    done = unetseg_here(
        "import", folder, "--output", target, "--folds", "1", "--title", "Liver 2d", "--orientation", "LPS"
    )
    assert "Liver 2d (liver, tumour)" in done.stdout
    card = load_checkpoint(target).card
    assert (card.title, card.preprocessing.axis, card.training["folds"]) == ("Liver 2d", "axial", ["1"])
    for options in ((), ("--mirror",)):
        output = tmp_path / f"results{len(options)}"
        unetseg_here("segment", scan, "--checkpoint", target, "--output", output, "--nifti", *options)
    plain, mirrored = (sitk.GetArrayFromImage(sitk.ReadImage(tmp_path / f"results{i}/scan.nii.gz")) for i in (0, 1))
    assert plain.shape == (3, 24, 30)
    assert np.any(plain != mirrored)


def test_mirroring_is_refused_where_the_network_was_not_trained_with_it(scan, tmp_path):
    folds = {"fold_0/checkpoint_final.pth": models.checkpoint(inference_allowed_mirroring_axes=None)}
    models.write_model(tmp_path / "model", checkpoints=folds)
    unetseg_here("import", tmp_path / "model", "--output", tmp_path / "liver.pt")
    arguments = ("segment", scan, "--checkpoint", tmp_path / "liver.pt", "--output", tmp_path / "results", "--mirror")
    refused(unetseg_here(*arguments), "mirror")


def test_options_of_nnunet_are_refused_for_other_models(tmp_path):
    (tmp_path / "weights.onnx").write_bytes(b"\x08\x08")
    model = tmp_path / "weights.onnx"
    refused(unetseg_here("import", model, "--folds", "0", "--output", tmp_path / "x.onnx"), "--folds goes with")


def test_a_model_is_not_overwritten_by_its_own_import(folder):
    plans = folder / "plans.json"
    before = plans.read_bytes()
    assert unetseg_here("import", folder, "--output", plans, "--overwrite").returncode == 2
    assert plans.read_bytes() == before


def test_a_model_of_nnunet_is_not_written_under_the_name_of_an_onnx_file(folder, tmp_path):
    refused(unetseg_here("import", folder, "--output", tmp_path / "heart.onnx"), "name it so")
    assert not list(tmp_path.glob("heart*"))
