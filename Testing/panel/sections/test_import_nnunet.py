"""Model > Import... of an nnU-Net: its folder and its zip, with all folds; what cannot be taken over is refused."""

from __future__ import annotations

import numpy as np
import pytest
import qt
import slicer
import torch
from host.checkpoints import Bomb
from host.pressing import drop_file, press, settle, turn
from PySide6 import QtWidgets

from ...engine.model.imports.nnunet_models import PLANS, changed, checkpoint, write_model, zipped


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A trained model folder with two folds, of whose networks every class wins somewhere."""
    folds = {}
    for fold in (0, 1):
        content = checkpoint(fold)
        weights = content["network_weights"]
        for name in [name for name in weights if name.startswith("decoder.seg_layers")]:
            weights[name] = weights[name] * 30
        folds[f"fold_{fold}/checkpoint_final.pth"] = content
    return write_model(tmp_path_factory.mktemp("nnU-Net") / "nnUNetTrainer__nnUNetPlans__2d", checkpoints=folds)


@pytest.fixture
def models(tmp_path, panel):
    qt.QSettings().setValue("UNetSegmenter/ModelFolder", str(tmp_path / "models"))
    yield tmp_path / "models"
    panel.imports.close()


def opened(panel, path):
    drop_file(panel._drop_frame, path)
    turn(lambda: not panel.imports.is_busy)
    return panel.imports.dialog


def test_a_folder_is_known_whole_and_becomes_an_ensemble(widget, panel, scan, folder, models):
    dialog = opened(panel, folder)
    assert dialog is not None, panel.imports.notes
    assert dialog.problem == "" and dialog.import_button.enabled, "an nnU-Net tells everything"
    shown = [label.text for label in dialog.window.findChildren(QtWidgets.QLabel)]
    assert any("Ensemble of 2 folds (0, 1)" in text for text in shown)
    assert any("nnU-Net (PlainConvUNet)" in text for text in shown)
    parts = dialog.form.fields["preprocessing.normalisation"].parts
    assert (parts.name.currentData, parts.low.widget.text, parts.mean.widget.text) == ("ct", "-100", "80")
    assert [dialog.form.fields["structures"].parts.table.item(row, 2).text() for row in (0, 1)] == ["liver", "tumour"]
    turn(lambda: not panel.imports._preview.is_busy)
    assert "By one of 2 folds." in dialog.preview.status.text and "cm²" in dialog.preview.status.text
    dialog.form.fields["structures"].parts.table.item(1, 2).setText("spleen")
    press(dialog.import_button)
    turn(lambda: panel.model.card is not None)
    assert panel.model.folds == 2 and "ensemble of 2 networks" in panel.model.card_label.text
    assert "mean 80, sd 60" in panel.model.card_label.text
    settle()
    assert widget.ui.mirroringCheckBox.enabled
    press(widget.ui.applyButton)
    turn(lambda: not panel.segment.state.is_busy)
    assert panel.segment.state.value == "done", panel.segment.notes
    node = panel.segment.result.node
    areas = [
        np.count_nonzero(
            slicer.util.arrayFromSegmentBinaryLabelmap(node, node.GetSegmentation().GetNthSegmentID(i), scan)
        )
        for i in range(2)
    ]
    assert node.GetSegmentation().GetNthSegment(1).GetName() == "spleen" and min(areas) > 0


def test_a_zip_gives_the_same_file(panel, folder, models, tmp_path):
    made = []
    for source in (folder, zipped(folder.parent, tmp_path / "exported.zip")):
        dialog = opened(panel, source)
        assert dialog is not None, panel.imports.notes
        press(dialog.import_button)
        turn(lambda: panel.imports.dialog is None and not panel.imports.is_busy)
        made.append(torch.load(panel.model.path, weights_only=True))
    one, other = made
    assert one["card"] == other["card"] and len(one["weights"]) == 2
    assert all(torch.equal(one["weights"][1][name], tensor) for name, tensor in other["weights"][1].items())


def test_code_in_a_checkpoint_is_not_run(panel, models, tmp_path):
    trace = tmp_path / "code ran"
    path = write_model(tmp_path / "model", checkpoints={"fold_0/checkpoint_final.pth": checkpoint(logging=Bomb(trace))})
    assert opened(panel, path) is None
    assert panel.imports.notes[0].severity == "error" and not trace.exists()


@pytest.mark.parametrize(
    ("entry", "value", "words"),
    [
        ("configurations/2d/patch_size", [16, 16, 16], "2d"),
        ("configurations/2d/normalization_schemes", ["ZScoreNormalization", "ZScoreNormalization"], ""),
        ("transpose_forward", "upside down", ""),
    ],
)
def test_what_cannot_be_taken_over_is_refused_with_the_reason(panel, models, tmp_path, entry, value, words):
    path = write_model(tmp_path / "model", plans=changed(PLANS, entry, value))
    assert opened(panel, path) is None
    (note,) = panel.imports.notes
    assert note.severity == "error" and words in note.text and note.text.endswith(".") and "Traceback" not in note.text
    assert not note.text.startswith("Reading the model stopped with an error"), note.text


def test_a_folder_without_a_fold_and_one_with_a_broken_zip(panel, models, tmp_path):
    assert opened(panel, write_model(tmp_path / "no fold", checkpoints={})) is None
    assert "fold" in panel.imports.notes[0].text
    broken = tmp_path / "broken.zip"
    broken.write_bytes(b"PK\x05\x06" + bytes(18))
    assert opened(panel, broken) is None and "broken.zip" in panel.imports.notes[0].text
    broken.write_bytes(b"no zip")
    assert opened(panel, broken) is None and "broken.zip" in panel.imports.notes[0].text
