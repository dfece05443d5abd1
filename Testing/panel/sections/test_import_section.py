"""Model > Import...: described by the worker, confirmed in the dialog, previewed, written, chosen; nothing lost on the way."""

from __future__ import annotations

import json

import numpy as np
import pytest
import qt
import slicer
from host.foreign_models import write_bright_onnx
from host.pressing import drop_file, picture, press, settle, turn, type_path
from host.scans import add_scan
from PySide6 import QtCore, QtTest, QtWidgets
from UNetSegmenterLib.panel.remembered import MODEL_FOLDER, model_folder
from UNetSegmenterLib.panel.widgets.normalisation_fields import CHOOSE

pytest.importorskip("onnxruntime")
RAW = QtWidgets.QWidget
NAMES = ("liver", "left kidney")


@pytest.fixture
def bright(tmp_path):
    return write_bright_onnx(tmp_path / "bright.onnx")


@pytest.fixture
def models(tmp_path, panel):
    """Where imported models go, as the user has chosen it."""
    qt.QSettings().setValue("UNetSegmenter/ModelFolder", str(tmp_path / "models"))
    yield tmp_path / "models"
    panel.imports.close()


def open_dialog(panel, path):
    """Choose a model in the file dialog of Import..."""
    panel.imports.ask_for_model = lambda is_folder, start: str(path)
    panel.imports.file_action.trigger()
    turn(lambda: not panel.imports.is_busy)
    return panel.imports.dialog


def name_structures(dialog, names=NAMES):
    table = dialog.form.fields["structures"].parts.table
    for row, name in enumerate(names):
        table.item(row, 2).setText(name)


def fill_in(dialog, clip=("-1000", "1000"), names=NAMES):
    """Give what an ONNX file does not tell, as a user does: lists chosen, numbers typed."""
    fields = dialog.form.fields
    fields["network.parameters.activation"].choose("logits")
    fields["preprocessing.intensities"].choose("HU")
    pixels = fields["preprocessing.spacing_mm"]
    pixels.kind.setCurrentIndex(pixels.kind.findText("as the scan has it"))
    choose_window(dialog, *clip)
    name_structures(dialog, names)


def choose_window(dialog, low, high):
    parts = dialog.form.fields["preprocessing.normalisation"].parts
    parts.name.setCurrentIndex(parts.name.findData("window"))
    for edit, text in ((parts.low, low), (parts.high, high)):
        edit.widget.clear()
        QtTest.QTest.keyClicks(edit.widget, text)


def previewed(panel):
    """Wait for the picture that was asked for, and return what is said of it."""
    turn(lambda: not panel.imports._preview.is_busy)
    return panel.imports.dialog.preview


def differ(one, other):
    """Share of the pixels in which two pictures differ."""
    places = [(x, y) for x in range(0, one.width(), 3) for y in range(0, one.height(), 3)]
    return np.mean([abs(one.pixelColor(*at).lightness() - other.pixelColor(*at).lightness()) > 40 for at in places])


def grab(dialog, name):
    settle(0.1)
    from host.pressing import PICTURES

    PICTURES.mkdir(parents=True, exist_ok=True)
    RAW.grab(dialog.window).save(str(PICTURES / f"{name}.png"))


def test_an_onnx_file_is_imported_as_a_user_does_it(widget, panel, scan, bright, models):
    dialog = open_dialog(panel, bright)
    assert dialog.window.visible and "bright.onnx" in dialog.window.windowTitle and not panel.imports.notes
    assert not dialog.import_button.enabled
    for words in ("choose the pixel size", "name structures 1, 2", "choose how values are normalised"):
        assert words in dialog.import_button.toolTip.lower()
    assert "pixel size" in dialog.preview.labels.text, "what the preview waits for stands where it will be"
    fill_in(dialog)
    assert "kidney" in dialog.form.fields["structures"].parts.table.item(1, 3).text().lower()
    assert dialog.import_button.enabled, dialog.problem
    preview = previewed(panel)
    assert "liver" not in preview.status.text, "-1000 to 1000 HU leaves soft tissue near 0, which is background"
    choose_window(dialog, "-160", "120")
    preview = previewed(panel)
    assert "liver" in preview.status.text and not preview.labels.pixmap.isNull()
    grab(dialog, "import-onnx")
    assert not models.exists(), "nothing is saved before"
    press(dialog.import_button)
    turn(lambda: panel.imports.dialog is None)
    path = models / "bright.onnx"
    assert path.exists() and panel.model.path == str(path)
    turn(lambda: panel.model.card is not None)
    assert [one.name for one in panel.model.card.structures] == list(NAMES)
    assert panel.imports.notes[0].severity == "pass" and str(models) in panel.imports.notes[0].text
    box = widget.ui.knownCheckpointsComboBox
    assert box.currentText == "bright.onnx" and box.findData(str(path)) > 0
    assert "ONNX Runtime" in panel.model.card_label.text
    settle()
    press(widget.ui.applyButton)
    turn(lambda: not panel.segment.state.is_busy)
    assert panel.segment.state.value == "done", panel.segment.notes
    picture(widget.parent, "imported-onnx")
    panel.model.choose("")
    assert not panel.imports.notes, "what was said of the import goes with the model"


def test_the_preview_is_what_apply_makes(panel, widget, scan, bright, models):
    dialog = open_dialog(panel, bright)
    fill_in(dialog, ("-160", "120"))
    preview = previewed(panel)
    slices, number = preview.slider.maximum + 1, preview.slider.value
    assert slices == 16 and number == 8
    text = preview.status.text
    press(dialog.import_button)
    turn(lambda: panel.model.card is not None)
    settle()
    press(widget.ui.applyButton)
    turn(lambda: not panel.segment.state.is_busy)
    node = panel.segment.result.node
    for structure in panel.model.card.structures:
        segment = node.GetSegmentation().GetSegmentIdBySegmentName(structure.name)
        array = slicer.util.arrayFromSegmentBinaryLabelmap(node, segment, scan)
        area = np.count_nonzero(array[number]) * 1.5 * 1.5 / 100
        assert (f"{structure.name} {area:.1f} cm²" in text) == (area > 0), (structure.name, area, text)


def test_what_changes_is_seen_at_once_and_the_last_wish_counts(panel, scan, bright, models):
    dialog = open_dialog(panel, bright)
    fill_in(dialog, ("-160", "120"))
    before = previewed(panel).input.pixmap.toImage()
    slices = dialog.form.fields["preprocessing.axis"]
    asked = []
    request = panel.worker.request
    panel.worker.request = lambda do, *rest, **fields: asked.append((do, fields)) or request(do, *rest, **fields)
    try:
        for button in (slices.flip_rows, slices.flip_columns, slices.flip_columns):
            press(button)
        preview = previewed(panel)
    finally:
        del panel.worker.request
    after = preview.input.pixmap.toImage()
    assert differ(after, before.mirrored(False, True)) < 0.05 < differ(after, before), (
        "only the rows are turned over now"
    )
    assert [do for do, _ in asked] == ["preview_import"], "wishes that were replaced in time are not computed"
    assert asked[0][1]["card"]["preprocessing"]["orientation"] == "AL"
    slices.axis.setCurrentIndex(slices.axis.findData("sagittal"))
    preview = previewed(panel)
    assert preview.slider.maximum == 127 and preview.slider.value == 64, "the middle of the other axis"
    preview.slider.setValue(100)
    assert "101 of 128" in previewed(panel)._number.text


def test_a_preview_that_fails_says_why_and_nothing_is_lost(panel, scan, bright, models):
    dialog = open_dialog(panel, bright)
    fill_in(dialog)
    previewed(panel)
    content = bright.read_bytes()
    bright.write_bytes(b"\x08\x08 no model any more")
    choose_window(dialog, "-160", "120")
    assert "bright.onnx" in previewed(panel).labels.text
    press(dialog.import_button)
    turn(lambda: not panel.imports.is_busy)
    assert panel.imports.dialog is dialog and dialog.window.visible
    assert dialog._notes.notes[0].severity == "error" and "bright.onnx" in dialog._notes.notes[0].text
    assert not list(models.glob("*")), "nothing half is left"
    bright.write_bytes(content)
    press(dialog.import_button)
    turn(lambda: panel.model.card is not None)
    assert panel.imports.dialog is None


def test_a_worker_that_dies_leaves_the_dialog_as_it_was(panel, scan, bright, models):
    dialog = open_dialog(panel, bright)
    fill_in(dialog)
    previewed(panel)
    panel.worker.kill()
    choose_window(dialog, "-160", "120")
    preview = previewed(panel)
    turn(lambda: not panel.imports._preview.is_busy)
    assert preview.labels.pixmap is None or preview.status.text or preview.labels.text
    assert dialog.window.visible and dialog.form.fields["structures"].parts.nameless == []
    choose_window(dialog, "-161", "120")
    assert "liver" in previewed(panel).status.text


def test_an_existing_file_is_not_replaced(panel, bright, models):
    models.mkdir()
    (models / "bright.onnx").write_text("of somebody else")
    dialog = open_dialog(panel, bright)
    assert dialog.name.text == "bright 2"
    fill_in(dialog)
    dialog.name.setText("bright")
    assert not dialog.import_button.enabled and "is there already" in dialog.import_button.toolTip
    dialog.name.setText("a/b")
    assert not dialog.import_button.enabled
    dialog.name.setText("mine")
    press(dialog.import_button)
    turn(lambda: panel.model.card is not None)
    assert (models / "bright.onnx").read_text() == "of somebody else" and panel.model.path == str(models / "mine.onnx")


def test_without_a_scan_it_says_so_and_can_be_imported(panel, bright, models):
    dialog = open_dialog(panel, bright)
    fill_in(dialog)
    assert "Load a scan" in dialog.preview.labels.text and dialog.import_button.enabled


def test_the_folder_is_remembered_and_lies_beside_the_settings_at_first(panel, bright, tmp_path):
    assert (
        model_folder().endswith(MODEL_FOLDER) and QtCore.QFileInfo(qt.QSettings().fileName()).path() in model_folder()
    )
    dialog = open_dialog(panel, bright)
    fill_in(dialog)
    dialog.folder.setCurrentPath(str(tmp_path / "elsewhere"))
    press(dialog.import_button)
    turn(lambda: panel.model.card is not None)
    assert panel.model.path == str(tmp_path / "elsewhere" / "bright.onnx") and model_folder() == str(
        tmp_path / "elsewhere"
    )


def test_what_is_dropped_on_the_section_is_chosen_or_imported(widget, panel, checkpoints, bright, models, tmp_path):
    section = panel._drop_frame
    assert section.parent() is widget.ui.modelCollapsibleButton and widget.ui.importButton.window() is section.window()
    drop_file(section, checkpoints["other"])
    turn(lambda: panel.model.card is not None)
    assert panel.model.path == str(checkpoints["other"])
    drop_file(section, bright)
    turn(lambda: panel.imports.dialog is not None)
    assert panel.model.path == str(checkpoints["other"]), "what was chosen stays until the import is done"
    fill_in(panel.imports.dialog)
    press(panel.imports.dialog.import_button)
    turn(lambda: panel.model.card is not None and panel.model.path.endswith("bright.onnx"))
    panel.model.choose(str(checkpoints["other"]))
    turn(lambda: panel.model.card is not None)
    drop_file(section, models / "bright.onnx")
    turn(lambda: panel.model.path == str(models / "bright.onnx") and panel.model.card is not None)
    assert panel.imports.dialog is None, "an ONNX file with a card needs no import"
    folder = tmp_path / "notes"
    folder.mkdir()
    drop_file(section, folder)
    turn(lambda: not panel.imports.is_busy)
    assert panel.imports.notes[0].severity == "error" and panel.imports.dialog is None
    assert panel.model.path == str(models / "bright.onnx")


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("no.onnx", b"not a network", "no.onnx"),
        ("code.pt", None, "code"),
        ("gone.onnx", "", "gone.onnx"),
    ],
)
def test_what_is_no_model_is_refused_beside_the_button(panel, checkpoints, models, tmp_path, name, content, words):
    path = checkpoints["code"] if content is None else tmp_path / name
    if content:
        path.write_bytes(content)
    open_dialog(panel, path)
    (note,) = panel.imports.notes
    assert panel.imports.dialog is None and note.severity == "error" and words in note.text
    assert "Traceback" not in note.text and not checkpoints["trace"].exists(), "code in a file was run"


def test_a_path_that_is_to_be_imported_says_how(widget, panel, bright, tmp_path):
    for path in (bright, tmp_path):
        type_path(widget.ui.checkpointPathLineEdit, str(path))
        turn(lambda: panel.model.refusal)
        assert "Import..." in panel.model.notes[-1].text
    type_path(widget.ui.checkpointPathLineEdit, "")


def test_cancel_and_a_closing_scene_leave_nothing(panel, scan, bright, models, new_scene):
    dialog = open_dialog(panel, bright)
    fill_in(dialog)
    press(dialog.cancel_button)
    assert panel.imports.dialog is None and not dialog.is_open and panel.imports._preview is None
    assert not models.exists() and not panel.model.path
    dialog = open_dialog(panel, bright)
    new_scene()
    assert panel.imports.dialog is None and not dialog.is_open
    turn(lambda: not panel.worker.requests)
    assert not list(panel.worker.folder.glob("preview-*"))


def test_a_choice_that_was_taken_back_is_open_again(panel, bright, models):
    dialog = open_dialog(panel, bright)
    fill_in(dialog)
    parts = dialog.form.fields["preprocessing.normalisation"].parts
    parts.high.widget.setText("-2000")
    assert "the smaller first" in dialog.problem
    parts.high.widget.setText("four")
    assert "the smaller first" in dialog.problem and parts.high.widget.styleSheet
    parts.high.widget.setText("400,5")
    assert dialog.problem == "" and dialog.card.get("preprocessing.normalisation")["clip"] == [-1000.0, 400.5]
    parts.name.setCurrentIndex(parts.name.findText(CHOOSE))
    assert not dialog.import_button.enabled
    parts.name.setCurrentIndex(parts.name.findData("z-score"))
    assert dialog.card.get("preprocessing.normalisation") == {"name": "z-score", "over": "scan"}
    dialog.form.fields["preprocessing.intensities"].choose("any")
    name_structures(dialog, ("liver", "Liver"))
    assert "different names" in dialog.problem
    dialog.form.fields["title"].widget.setText(" ")
    assert "title" in dialog.problem.lower()


def test_sigmoids_may_have_no_background_and_the_table_follows(panel, tmp_path, models):
    path = write_bright_onnx(tmp_path / "sigmoids.onnx")
    dialog = open_dialog(panel, path)
    fields = dialog.form.fields
    table = fields["structures"].parts.table
    assert table.rowCount == 2
    fields["network.parameters.activation"].choose("sigmoid-logits")
    fields["network.parameters.background"].choose(False)
    assert table.rowCount == 3 and dialog.card.get("network.classes") == 4
    name_structures(dialog, ("aorta", "liver", "spleen"))
    fields["network.parameters.background"].choose(True)
    assert [table.item(row, 2).text() for row in range(table.rowCount)] == ["liver", "spleen"]
    fields["network.parameters.activation"].choose("logits")
    assert not fields["network.parameters.background"].widget.enabled, "logits always have one"


def test_colours_and_terms_follow_the_name_until_they_are_chosen(panel, bright, models):
    dialog = open_dialog(panel, bright)
    parts = dialog.form.fields["structures"].parts
    name_structures(dialog, ("tumour", "spleen"))
    tumour, spleen = parts.structures
    assert tumour["terminology"] is None and spleen["terminology"]["type"]["meaning"] == "Spleen"
    assert spleen["color"] == [157, 108, 162]
    parts.table.selectRow(0)
    choice = parts.term
    choice.setCurrentIndex(choice.findData("liver"))
    choice.activated.emit(choice.currentIndex)
    assert parts.structures[0]["terminology"]["type"]["meaning"] == "Liver" and parts.structures[0]["name"] == "tumour"
    parts.ask_for_color = lambda color, parent: (1, 2, 3)
    parts.table.cellClicked.emit(0, 1)
    assert parts.structures[0]["color"] == [1, 2, 3]
    parts.ask_for_color = lambda color, parent: None
    parts.table.cellClicked.emit(1, 1)
    assert parts.structures[1]["color"] == [157, 108, 162]
    json.dumps(dialog.card.card)


def test_import_waits_for_a_run(widget, ready, bright, models):
    entry = ready.worker.queue.enter("Another CT")
    try:
        open_dialog(ready, bright)
        assert "Another CT" in ready.imports.notes[0].text and ready.imports.dialog is None
    finally:
        entry.leave()


def test_the_dialog_can_be_used_with_keys_and_read_aloud(panel, bright, models):
    dialog = open_dialog(panel, bright)
    settle()
    kinds = (QtWidgets.QLineEdit, QtWidgets.QComboBox, QtWidgets.QTableWidget, QtWidgets.QSlider)
    found = [one for kind in kinds for one in dialog.window.findChildren(kind)]
    nameless = [type(one.parent()).__name__ for one in found if not QtCore.QObject.property(one, "accessibleName")]
    assert len(found) > 15 and not nameless


def test_two_imports_at_a_time_are_one(panel, bright, models, tmp_path):
    first = open_dialog(panel, bright)
    second = open_dialog(panel, write_bright_onnx(tmp_path / "other.onnx"))
    assert panel.imports.dialog is second and not first.is_open
    add_scan()
