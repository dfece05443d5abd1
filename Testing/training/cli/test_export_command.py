"""`unetseg export`: the ONNX file gives the checkpoint's logits and labels, and opens like it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from UNetSegmenterLib.engine.io.image_reading import read_volume
from UNetSegmenterLib.engine.labels.structures import ABDOMEN8
from UNetSegmenterLib.engine.model.architectures import NetworkDescription, build_network
from UNetSegmenterLib.engine.model.card import Card
from UNetSegmenterLib.engine.model.checkpoint import load_checkpoint, save_checkpoint
from UNetSegmenterLib.engine.model.normalisation import Normalisation
from UNetSegmenterLib.engine.model.prediction import Predictor
from UNetSegmenterLib.engine.model.preprocessing import Preprocessing

from ...engine.checkpoints import small_card, small_weights
from ...engine.model.nnunet_networks_reference import NETWORKS
from ..command import refused, unetseg, unetseg_here


@pytest.fixture(scope="module")
def exported(checkpoint, scan, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("exported") / "small.onnx"
    result = unetseg_here("export", checkpoint, path, "--scan", scan)
    assert result.returncode == 0, result.stderr
    assert "100.0000 % of" in result.stdout.splitlines()[0], result.stdout
    assert "labels are equal; PyTorch" in result.stdout
    assert "opset 17" in result.stdout
    return path


def test_the_card_is_the_checkpoint_s_with_another_architecture(checkpoint, exported):
    before, after = load_checkpoint(checkpoint).card, load_checkpoint(exported).card
    assert (after.title, after.structures, after.preprocessing) == (
        before.title,
        before.structures,
        before.preprocessing,
    )
    assert (after.training, after.validation) == (before.training, before.validation)
    assert (after.network.architecture, after.network.classes) == ("ONNX", before.network.classes)


def test_batch_and_size_are_free_and_the_opset_is_the_stated_one(checkpoint, exported, tmp_path):
    model = onnx.load(exported)
    axes = model.graph.input[0].type.tensor_type.shape.dim
    assert [axis.dim_param for axis in axes] == ["batch", "", "rows", "columns"]
    assert unetseg_here("export", checkpoint, tmp_path / "a.onnx", "--opset", "13").returncode == 0
    versions = [entry.version for path in (exported, tmp_path / "a.onnx") for entry in onnx.load(path).opset_import]
    assert versions == [17, 13]


def test_predictions_are_equal(checkpoint, exported, scan):
    volume = read_volume(scan)
    with_torch = Predictor(load_checkpoint(checkpoint), "cpu", dtype=torch.float32).predict(volume)
    with_onnx = Predictor(load_checkpoint(exported), "auto", batch_size=3).predict(volume)
    labels = with_torch.segmentation.labels
    assert len(np.unique(labels)) > 1
    assert (labels == with_onnx.segmentation.labels).mean() > 0.9999
    assert with_onnx.device == "cpu (ONNX Runtime)"
    assert with_onnx.segmentation.confidence == pytest.approx(with_torch.segmentation.confidence, abs=1e-3)


def test_it_segments_on_the_command_line(exported, scan, tmp_path):
    result = unetseg("segment", scan, "--checkpoint", exported, "--output", tmp_path)
    assert result.returncode == 0, result.stderr
    assert "ONNX Runtime" in result.stdout
    assert list(tmp_path.glob("*.seg.nrrd"))


def test_an_ensemble_becomes_its_average(tmp_path):
    card = small_card()
    folds = [small_weights(card, seed) for seed in (0, 1)]
    save_checkpoint(tmp_path / "folds.pt", card, folds)
    result = unetseg_here("export", tmp_path / "folds.pt", tmp_path / "folds.onnx")
    assert result.returncode == 0, result.stderr
    slices = torch.randn(2, 3, 24, 32)
    networks = load_checkpoint(tmp_path / "folds.pt").networks()
    with torch.inference_mode():
        average = (networks[0](slices) + networks[1](slices)) / 2
        found = load_checkpoint(tmp_path / "folds.onnx").network()(slices)
    torch.testing.assert_close(found, average, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("title", ["plain", "three slices", "batch norm", "residual", "bottleneck"])
def test_networks_of_nnunet(title, tmp_path, scan):
    """In patches with mirroring, two folds: labels of the exported file are those of the checkpoint."""
    architecture, channels, classes, parameters = NETWORKS[title]
    network = NetworkDescription(architecture, channels, classes, parameters)
    preprocessing = Preprocessing(
        (2.0, 2.0),
        Normalisation("ct", (-200.0, 300.0), mean=50.0, sd=100.0),
        channels,
        None,
        size_multiple=1,
        patch_size=(32, 32),
        padding="centre",
        pad_value=0.0,
        mirror_axes=(0, 1),
        interpolation="cubic",
    )
    card = Card("nnU-Net", network, ABDOMEN8[: classes - 1], preprocessing)
    folds = []
    for seed in (0, 1):
        torch.manual_seed(seed)
        state = build_network(network).state_dict()
        folds.append(
            {name: 0 * tensor if name.endswith("seg_layers.1.bias") else tensor for name, tensor in state.items()}
        )
    save_checkpoint(tmp_path / "folds.pt", card, folds, half=False)
    result = unetseg_here("export", tmp_path / "folds.pt", tmp_path / "folds.onnx", "--scan", scan)
    assert result.returncode == 0, result.stderr
    predictions = [
        Predictor(load_checkpoint(tmp_path / name), "cpu", dtype=torch.float32, mirroring=True).predict(
            read_volume(scan)
        )
        for name in ("folds.pt", "folds.onnx")
    ]
    first, second = (one.segmentation.labels for one in predictions)
    assert len(np.unique(first)) > 1
    assert (first == second).mean() > 0.999


def test_a_file_that_changed_since_it_was_opened_is_refused(exported, tmp_path):
    path = tmp_path / "a.onnx"
    path.write_bytes(exported.read_bytes())
    opened = load_checkpoint(path)
    model = onnx.load(path)
    model.doc_string = "another"
    onnx.save(model, path)
    with pytest.raises(ValueError, match="changed since it was opened"):
        Predictor(opened, "cpu")


def test_what_can_not_be_exported_is_refused(checkpoint, exported, tmp_path):
    refused(unetseg_here("export", exported, tmp_path / "a.onnx"), "is an ONNX file already")
    refused(unetseg_here("export", checkpoint, tmp_path / "a.pt"), "does not end in .onnx")
    refused(unetseg_here("export", checkpoint, tmp_path / "a.onnx", "--opset", "9"), "13 to 20")
    refused(unetseg_here("export", checkpoint, exported), "exists already")
    refused(unetseg_here("export", tmp_path / "absent.pt", tmp_path / "a.onnx"), "absent.pt")
    assert not list(tmp_path.iterdir())
