"""Section Model: a checkpoint is chosen, read at once, and shown or refused where the eye is."""

from __future__ import annotations

import shutil
from dataclasses import replace

from host.pressing import drop_file, picture, press, settle, turn, type_path
from UNetSegmenterLib.engine.model.checkpoint import load_checkpoint, save_checkpoint, shipped_checkpoints
from UNetSegmenterLib.panel.widgets.plain_tip import plain_tip

REFUSALS = {
    "text": "not a checkpoint or is cut off",
    "truncated": "cut off",
    "code": "could run code",
    "no card": "has no card",
    "contradiction": "contradicts its weights",
    "newer": "format 3",
    "foreign": "no checkpoint of UNetSegmenter",
    "missing": "no such file",
    "folder": "",
}


def choose(panel, path):
    panel.model.choose(str(path))
    turn(lambda: panel.model.card is not None or panel.model.refusal)


def test_an_empty_panel_says_what_comes_first(widget, panel):
    assert not widget.ui.applyButton.enabled
    assert "Choose a checkpoint" in widget.ui.applyButton.toolTip
    assert "Drop a checkpoint" in panel.model.card_label.text
    picture(widget.parent, "empty")


def test_a_typed_path_is_read_and_shown_in_words(widget, panel, checkpoints):
    type_path(widget.ui.checkpointPathLineEdit, str(checkpoints["good"]))
    turn(lambda: panel.model.card is not None)
    text = panel.model.card_label.text
    for words in (
        "Abdomen, 8 organs",
        "liver",
        "#dd8265",
        "1.5 mm pixels",
        "-125 to 275 HU",
        "abdomen8 (10 scans)",
        "SHA-256",
    ):
        assert words in text
    assert "0.87 ± 0.03 (n = 4)" in text
    assert panel.model.sha256 in panel.model.card_label.toolTip
    assert widget.panel.parameters.checkpointPath == str(checkpoints["good"])


def test_a_typed_name_of_another_kind_is_read_too_and_an_empty_one_is_no_choice(widget, panel, checkpoints, tmp_path):
    notes = tmp_path / "notes.txt"
    notes.write_text("not a network", encoding="utf-8")
    choose(panel, checkpoints["good"])
    assert panel.model.card is not None
    type_path(widget.ui.checkpointPathLineEdit, str(notes))
    turn(lambda: panel.model.refusal)
    assert str(notes) in panel.model.refusal and widget.ui.applyButton.toolTip == panel.model.refusal
    choose(panel, checkpoints["good"])
    type_path(widget.ui.checkpointPathLineEdit, "")
    settle(0.5)
    assert panel.model.card is None and widget.panel.parameters.checkpointPath == ""
    assert "Choose a checkpoint" in widget.ui.applyButton.toolTip


def test_the_shipped_checkpoint_says_on_whom_it_was_measured(panel):
    (shipped,) = shipped_checkpoints()
    choose(panel, shipped)
    text = panel.model.card_label.text
    assert "case0010, case0026, case0028" in text
    assert "each on the patients that it was not trained on" in text


def test_a_dropped_file_is_chosen(panel, checkpoints):
    drop_file(panel.model.card_frame, checkpoints["other"])
    turn(lambda: panel.model.card is not None)
    assert panel.model.card.title == "Two organs"


def test_a_pasted_path_may_be_wrapped_and_hold_any_letters(panel, checkpoints):
    for wrapped in ('"{}"', "file://{}", "  {} "):
        for name in ("good", "spaces and letters"):
            choose(panel, wrapped.format(checkpoints[name]))
            assert panel.model.card is not None
            assert panel.model.path == str(checkpoints[name])


def test_wrong_files_are_refused_at_once_with_the_reason(widget, panel, scan, checkpoints):
    for kind, words in REFUSALS.items():
        choose(panel, checkpoints[kind])
        assert words in panel.model.refusal, kind
        assert panel.model.notes[0].text == panel.model.refusal
        assert not widget.ui.applyButton.enabled
        assert widget.ui.applyButton.toolTip == panel.model.refusal
        assert "Traceback" not in panel.model.refusal and "\n" not in panel.model.refusal
        assert not checkpoints["trace"].exists(), "code in the checkpoint was run"
        if kind == "code":
            picture(widget.parent, "refused")


def test_a_relative_path_is_meant_from_where_the_person_is(panel, checkpoints, monkeypatch):
    monkeypatch.chdir(checkpoints["good"].parent)
    choose(panel, "good.pt")
    assert panel.model.card is not None


def test_a_better_choice_clears_the_refusal(widget, panel, scan, checkpoints):
    choose(panel, checkpoints["text"])
    choose(panel, checkpoints["good"])
    turn(lambda: panel.model.card is not None)
    settle()
    assert not panel.model.refusal and widget.ui.applyButton.enabled


def test_known_models_hold_the_recent_ones(widget, panel, checkpoints):
    choose(panel, checkpoints["good"])
    choose(panel, checkpoints["other"])
    box = widget.ui.knownCheckpointsComboBox
    paths = [box.itemData(i) for i in range(box.count)]
    assert paths.index(str(checkpoints["other"])) < paths.index(str(checkpoints["good"]))
    index = paths.index(str(checkpoints["good"]))
    box.setCurrentIndex(index)
    qt_combo = super(type(box), box)
    qt_combo.activated.emit(index)
    turn(lambda: panel.model.card is not None and panel.model.card.title.startswith("Abdomen"))


def test_the_known_models_say_which_one_is_chosen(widget, panel, checkpoints):
    box, (shipped, *_) = widget.ui.knownCheckpointsComboBox, shipped_checkpoints()
    choose(panel, shipped)
    assert box.currentText == f"{shipped.stem} (shipped)"
    assert [box.itemData(i) for i in range(box.count)].count(str(shipped)) == 1, "it is not listed as a recent one too"
    choose(panel, checkpoints["other"])
    assert box.currentText == checkpoints["other"].name
    choose(panel, checkpoints["text"])
    assert box.currentText == "Choose...", "a file that was refused is no known model"
    panel.model.choose("")
    assert box.currentText == "Choose..."


def test_a_file_that_vanishes_is_missed_at_apply(widget, ready, checkpoints, tmp_path):
    path = tmp_path / "on a network drive.pt"
    shutil.copy(checkpoints["good"], path)
    choose(ready, path)
    settle()
    path.unlink()
    press(widget.ui.applyButton)
    turn(lambda: not ready.segment.state.is_busy)
    assert "cannot be read (no such file or directory)" in ready.segment.notes[0].text
    assert widget.ui.applyButton.text == "Apply"


def test_the_choice_comes_back_with_the_scene(widget, panel, checkpoints, tmp_path):
    import slicer

    choose(panel, checkpoints["good"])
    widget.panel.parameters.keepPartial = False
    path = str(tmp_path / "scene.mrml")
    slicer.mrmlScene.SetURL(path)
    slicer.mrmlScene.Commit(path)
    slicer.mrmlScene.Clear(0)
    panel.model.choose("")
    slicer.mrmlScene.Connect()
    settle()
    turn(lambda: panel.model.card is not None)
    assert panel.model.path == str(checkpoints["good"])
    assert not widget.ui.keepPartialCheckBox.checked


def test_the_file_dialog_looks_for_checkpoints(widget):
    assert "*.pt" in widget.ui.checkpointPathLineEdit.nameFilters[0]


def test_what_a_card_says_stays_text_in_every_label_and_tool_tip(panel, checkpoints, tmp_path):
    """Rich text could name a file or a share that Qt would open to show its picture."""
    picture_of = '<img src="//elsewhere/share/a.png">'
    good = load_checkpoint(checkpoints["good"])
    structures = (replace(good.card.structures[0], name=f"a{picture_of}"), *good.card.structures[1:])
    card = replace(good.card, title=picture_of, description=picture_of, structures=structures, validation={})
    save_checkpoint(tmp_path / "hostile.pt", card, good.weights[0])
    choose(panel, tmp_path / "hostile.pt")
    frame = panel.model.card_frame
    assert panel.model.card is not None, panel.model.refusal
    for text in (frame.title.toolTip, frame.structures.toolTip, frame.label.text):
        assert "<img" not in text and "&lt;img" in text
    assert "<img" not in frame.structures.text
    assert plain_tip("2 < 3\nx") == "<p>2 &lt; 3<br>x</p>" and plain_tip("plain") == "plain"
