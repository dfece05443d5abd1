"""The panel keeps its width whatever it shows, and Apply is seen without scrolling on a small screen."""

from __future__ import annotations

import pytest
import slicer
from host.pressing import picture, press, settle, turn
from host.scans import add, add_scan, choose, organs
from PySide6 import QtCore, QtWidgets
from UNetSegmenterLib.engine.io.volume import Note
from UNetSegmenterLib.engine.model.checkpoint import shipped_checkpoints
from UNetSegmenterLib.panel.widgets.widths import LONGEST_WORD, breakable

LEAST_PIXELS, WANTED_PIXELS = 350, 400  # as wide when its sections are folded, so that unfolding one moves nothing
ROOM_PIXELS = 400  # for the module at 1366 x 768, below Slicer's heading and above its open Data Probe
LONG = "a_name_without_a_single_place_to_break_it_" * 4


def asked_for(widget):
    """The width that Slicer's module panel would give: the wanted one of a section counts as its least."""
    layout = QtWidgets.QWidget.layout(widget.parent)
    return max(layout.totalSizeHint().width(), layout.totalMinimumSize().width())


def overhanging(widget):
    """Names of the shown widgets that reach beyond the panel's right edge, or that are too narrow for their button's text."""
    root, found = widget.parent, []
    for one in root.findChildren(QtWidgets.QWidget):
        if not QtWidgets.QWidget.isVisible(one):
            continue
        size = QtWidgets.QWidget.size(one)
        right = one.mapTo(root, QtCore.QPoint(size.width(), 0)).x()
        name = f"{type(one).__name__} {QtCore.QObject.property(one, 'objectName')}"
        if not any(isinstance(parent, QtWidgets.QAbstractScrollArea) for parent in parents(one)) and right > (
            QtWidgets.QWidget.width(root)
        ):
            found.append(f"{name} reaches to {right}")
        if (
            isinstance(one, QtWidgets.QPushButton | QtWidgets.QCheckBox)
            and size.width() < one.minimumSizeHint().width()
        ):
            found.append(f"{name} is {size.width()} wide")
    return found


def parents(one):
    while (one := QtCore.QObject.parent(one)) is not None:
        yield one


def assert_narrow(widget, what):
    settle()
    assert LEAST_PIXELS <= asked_for(widget) <= WANTED_PIXELS, what
    widget.parent.resize(WANTED_PIXELS, 1600)
    settle()
    assert not overhanging(widget), what


@pytest.fixture
def long_path(checkpoints, tmp_path):
    folder = tmp_path / LONG[:120]
    folder.mkdir()
    path = folder / f"{LONG[:100]}.pt"
    path.write_bytes(checkpoints["good"].read_bytes())
    return path


def test_the_width_stays_whatever_the_card_and_the_path_say(widget, panel, long_path):
    assert_narrow(widget, "empty")
    for path in (shipped_checkpoints()[0], long_path):
        panel.model.choose(str(path))
        turn(lambda: panel.model.card is not None)
        assert_narrow(widget, "the folded card")
        press(panel.model.card_frame.more)
        assert_narrow(widget, "the whole card")
    panel.model.choose(str(long_path.with_name("missing.pt")))
    turn(lambda: panel.model.refusal)
    assert_narrow(widget, "a refusal that names a long path")


def test_the_width_stays_whatever_table_findings_and_notes_say(widget, panel):
    prediction, reference = add(LONG, organs(shift=3, without=("spleen",))), add(f"truth {LONG}", organs())
    choose(widget, prediction, reference)
    ui = widget.ui
    press(ui.compareButton)
    turn(lambda: not panel.compare.is_busy, 120)
    assert_narrow(widget, "the table")
    panel.compare.go_to(panel.compare.comparison.rows[0])
    press(ui.worstSliceButton)
    assert_narrow(widget, "the worst slice")
    press(ui.checkButton)
    turn(lambda: not panel.plausibility.is_busy, 120)
    assert_narrow(widget, "the findings")
    panel.compare.say(Note("error", f"/{LONG}/{LONG} could not be written."))
    slicer.mrmlScene.RemoveNode(reference)
    assert_narrow(widget, "the note of a long name")


def test_apply_is_seen_without_scrolling_on_a_small_screen(widget, panel):
    scan = add_scan("A CT")
    widget.panel.parameters.inputVolume = scan
    panel.model.choose(str(shipped_checkpoints()[0]))
    turn(lambda: panel.model.card is not None)
    settle()
    widget.parent.resize(WANTED_PIXELS, 1200)
    settle()
    button = widget.ui.applyButton
    below = button.mapTo(widget.parent, QtCore.QPoint(0, QtWidgets.QWidget.height(button))).y()
    assert widget.ui.advancedCollapsibleButton.collapsed and not widget.ui.deviceComboBox.visible
    assert below <= ROOM_PIXELS
    picture(widget.parent, "small-screen")


def test_the_card_is_three_lines_until_it_is_unfolded(panel):
    panel.model.choose(str(shipped_checkpoints()[0]))
    turn(lambda: panel.model.card is not None)
    frame = panel.model.card_frame
    assert not frame.label.visible and frame.title.visible and frame.structures.visible and frame.reads.visible
    assert "validation Dice 0." in frame.structures.text and frame.structures.text.endswith(", 8 structures")
    shown, wanted = QtWidgets.QWidget.width(frame.structures), QtWidgets.QLabel.sizeHint(frame.structures).width()
    assert wanted <= shown, "the line is whole"
    press(frame.more)
    assert frame.label.visible and not frame.reads.visible and frame.more.text == "Less"
    press(frame.more)
    assert not frame.label.visible and frame.reads.visible


def test_only_words_too_long_for_the_panel_are_broken():
    usual = "a usual sentence with /a/path/that-has/places_to_break/in_it_every_now_and_then.pt"
    assert breakable(usual) == usual
    broken = breakable(f"see {LONG}")
    assert broken.replace("\u200b", "") == f"see {LONG}"
    assert max(map(len, broken.replace("\u200b", " ").split())) == LONGEST_WORD


def test_a_broken_note_can_not_be_copied_with_its_breaks(widget, panel):
    panel.compare.say(Note("info", f"saved as {LONG}"))
    label = next(one for one in widget.ui.compareNotesFrame.children() if one.inherits("QLabel") and one.text)
    assert "\u200b" in label.text and label.toolTip == f"Saved as {LONG}"
    assert label.textInteractionFlags == 0
    panel.compare.say(Note("info", "saved as x"))
    assert label.textInteractionFlags != 0 and "\u200b" not in label.text
