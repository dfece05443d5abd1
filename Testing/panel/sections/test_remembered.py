"""What the panel remembers beyond the scene, and Apply while the model is still being read."""

from __future__ import annotations

import numpy as np
import pytest
import qt
import slicer
from host.pressing import press, settle, turn
from host.scans import add_scan
from UNetSegmenterLib.engine.model.checkpoint import shipped_checkpoints
from UNetSegmenterLib.panel import panel as panel_module
from UNetSegmenterLib.panel.remembered import PREFIX, recall
from UNetSegmenterLib.panel.sections.model_section import model_at_hand, remember_checkpoint


@pytest.fixture
def remembering(monkeypatch, widget):
    """The panel as it is used: a model at hand is chosen."""
    monkeypatch.setattr(panel_module, "model_at_hand", model_at_hand)
    return widget


def test_the_only_model_at_hand_is_chosen(new_scene, remembering, panel):
    new_scene()
    (shipped,) = shipped_checkpoints()
    assert panel.model.path == str(shipped)
    turn(lambda: panel.model.card is not None)


def test_the_model_that_was_used_last_is_chosen(new_scene, remembering, panel, checkpoints):
    remember_checkpoint(str(checkpoints["other"]))
    new_scene()
    assert panel.model.path == str(checkpoints["other"])
    turn(lambda: panel.model.card is not None)


def test_a_model_that_has_gone_is_stood_in_for_by_the_shipped_one_with_a_word(new_scene, remembering, panel, tmp_path):
    gone = str(tmp_path / "gone.pt")
    remember_checkpoint(gone)
    new_scene()
    assert panel.model.path == str(shipped_checkpoints()[0])
    turn(lambda: panel.model.card is not None)
    (note,) = panel.model.notes
    assert note.severity == "info" and gone in note.text
    new_scene()
    settle()
    assert panel.model.path == str(shipped_checkpoints()[0])


def test_closing_a_scene_keeps_the_model_and_its_card(new_scene, remembering, ready, checkpoints):
    card = ready.model.card
    new_scene()
    settle(0.5)
    assert ready.model.path == str(checkpoints["good"]) and ready.model.card is card
    assert remembering.panel.parameters.checkpointPath == str(checkpoints["good"])
    add_scan("Next")
    remembering.initializeParameterNode()
    settle()
    assert remembering.ui.applyButton.enabled


def test_a_refused_file_is_no_model_of_a_later_day(remembering, panel, checkpoints):
    panel.model.choose(str(checkpoints["text"]))
    turn(lambda: panel.model.refusal)
    assert model_at_hand() == str(shipped_checkpoints()[0])


def test_options_and_layout_are_those_of_the_last_scene(new_scene, remembering):
    ui = remembering.ui
    ui.deviceComboBox.setCurrentText("cpu")
    ui.keepPartialCheckBox.setChecked(False)
    ui.viewsLayoutComboBox.setCurrentText("One row")
    ui.opacitySlider.setValue(30)
    new_scene()
    parameters = remembering.panel.parameters
    assert (parameters.device, parameters.viewsLayout, parameters.opacity) == ("cpu", "One row", 30)
    assert not parameters.keepPartial and parameters.showIn3D
    assert ui.deviceComboBox.currentText == "cpu" and not ui.keepPartialCheckBox.checked


def test_a_scene_that_is_opened_has_its_own_choices(new_scene, remembering, tmp_path):
    ui, path = remembering.ui, str(tmp_path / "scene.mrml")
    ui.deviceComboBox.setCurrentText("cuda")
    slicer.mrmlScene.SetURL(path)
    slicer.mrmlScene.Commit(path)
    ui.deviceComboBox.setCurrentText("cpu")
    new_scene()
    assert remembering.panel.parameters.device == "cpu"
    slicer.mrmlScene.Connect()
    settle()
    assert remembering.panel.parameters.device == "cuda"


@pytest.mark.parametrize(("name", "text"), [("device", "quantum"), ("opacity", "many"), ("distanceScale", "-3")])
def test_a_setting_that_can_not_be_chosen_is_left_out(widget, name, text):
    before = getattr(widget.panel.parameters, name)
    qt.QSettings().setValue(PREFIX + name, text)
    recall(widget.panel.parameters)
    assert getattr(widget.panel.parameters, name) == before


def apply_while_reading(widget, panel, path):
    panel.model.choose(str(path))
    assert panel.model.is_pending and widget.ui.applyButton.enabled
    assert "Reading" in panel.model.card_label.text
    press(widget.ui.applyButton)
    assert panel.segment.is_waiting and widget.ui.applyButton.text == "Cancel"


def test_apply_while_the_model_is_read_is_followed_by_the_run(widget, panel, scan, checkpoints):
    apply_while_reading(widget, panel, checkpoints["good"])
    turn(lambda: not panel.segment.state.is_busy, 120)
    assert panel.segment.result.node is not None


def test_apply_on_a_file_that_is_refused_ends_with_the_reason(widget, panel, scan, checkpoints):
    apply_while_reading(widget, panel, checkpoints["text"])
    turn(lambda: not panel.segment.state.is_busy)
    assert panel.segment.notes[0].text == panel.model.refusal and widget.ui.applyButton.text == "Apply"


def test_apply_on_a_scan_that_the_model_can_not_see_ends_with_the_reason(widget, panel, scan, checkpoints):
    slicer.util.arrayFromVolume(scan)[:] = np.arange(
        -400, -400 + scan.GetImageData().GetDimensions()[0], dtype=np.int16
    )
    scan.Modified()
    settle()
    apply_while_reading(widget, panel, checkpoints["good"])
    turn(lambda: not panel.segment.state.is_busy)
    assert "outside the model's window" in panel.segment.notes[0].text


def test_cancel_while_the_model_is_read_changes_nothing(widget, panel, scan, checkpoints):
    apply_while_reading(widget, panel, checkpoints["good"])
    press(widget.ui.applyButton)
    assert not panel.segment.state.is_busy and "nothing was changed" in panel.segment.notes[0].text
    turn(lambda: panel.model.card is not None)
    settle()
    assert not panel.segment.state.is_busy
