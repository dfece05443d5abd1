"""Structures that names cannot match: chosen below the table, measured again, remembered, forgotten on request."""

from __future__ import annotations

import slicer
from host.pressing import choose_item, picture, press, settle, turn
from host.scans import add, choose, organs
from PySide6 import QtCore, QtTest
from UNetSegmenterLib.engine.labels.structures import ABDOMEN8, Structure
from UNetSegmenterLib.scene.nodes.node_attributes import matched_by_hand

LIVER = next(structure.index for structure in ABDOMEN8 if structure.name == "liver")


def nameless(prefix):
    """The eight organs, the liver with a name and value that nobody knows."""
    return [
        Structure(f"{prefix} thing", one.index, (one.index + 100 * len(prefix),), one.color)
        if one.index == LIVER
        else one
        for one in ABDOMEN8
    ]


def compared(widget):
    if not widget.panel.compare.is_busy:
        press(widget.ui.compareButton)
    turn(lambda: not widget.panel.compare.is_busy, 120)
    model = widget.ui.compareTable.model()
    return [model.index(row, 0).data() for row in range(model.rowCount())]


def click_row(widget, name):
    view = widget.ui.compareTable
    model = view.model()
    row = next(row for row in range(model.rowCount()) if model.index(row, 0).data().startswith(name))
    view.scrollTo(model.index(row, 0))
    place = view.visualRect(model.index(row, 1)).center()
    QtTest.QTest.mouseClick(view.viewport(), QtCore.Qt.LeftButton, QtCore.Qt.NoModifier, place)


def pick(widget, text):
    """Choose an entry of the combo box with the keys, as a person may."""
    box = widget.ui.matchComboBox
    step = box.findText(text) - box.currentIndex
    assert box.findText(text) >= 0 and step, [box.itemText(i) for i in range(box.count)]
    for _ in range(abs(step)):
        QtTest.QTest.keyClick(box, QtCore.Qt.Key_Down if step > 0 else QtCore.Qt.Key_Up)
        turn(lambda: not widget.panel.compare.is_busy, 120)
        return


def ready(widget):
    prediction = add("Prediction", organs(shift=1), structures=nameless("ours"))
    reference = add("Ground truth", organs(), structures=nameless("t"))
    choose(widget, prediction, reference)
    return prediction, reference


def test_a_counterpart_is_chosen_and_remembered_until_it_is_forgotten(widget):
    prediction, reference = ready(widget)
    names = compared(widget)
    assert sum("unmatched" in name for name in names) == 2
    assert widget.ui.matchFrame.visible and "unmatched structure" in widget.ui.matchLabel.text
    assert not widget.ui.matchComboBox.visible and not widget.ui.matchResetButton.visible
    click_row(widget, "t thing")
    assert "Counterpart of “t thing” in the prediction:" in widget.ui.matchLabel.text
    assert widget.ui.matchComboBox.currentText == "(nothing)" and widget.ui.matchComboBox.count == 9
    box = widget.ui.matchComboBox
    choose_item(widget.ui.matchComboBox, box.findText("ours thing"))
    names = compared(widget)
    assert "t thing (matched by hand)" in names and not any("unmatched" in name for name in names)
    row = next(row for row in widget.panel.compare.comparison.rows if row.structure == "t thing")
    assert row.measures.dice > 0.8 and "“ours thing” in the prediction" in row.note
    assert "ours thing is t thing" in widget.ui.matchLabel.text
    picture(widget.parent, "matched-by-hand")
    again = widget.logic.compare(prediction, reference)
    assert repr(again.rows) == repr(widget.panel.compare.comparison.rows), "scripting takes the same matches"
    choose(widget, None, None)
    choose(widget, prediction, reference)
    assert "t thing (matched by hand)" in compared(widget)
    press(widget.ui.matchResetButton)
    assert sum("unmatched" in name for name in compared(widget)) == 2
    assert not matched_by_hand(prediction, reference) and not prediction.GetAttribute("UNetSegmenter.MatchedByHand")


def test_keys_choose_too_and_nothing_is_a_choice(widget):
    prediction, reference = ready(widget)
    compared(widget)
    click_row(widget, "spleen")
    assert "matched by terminology" in widget.ui.matchLabel.text and widget.ui.matchComboBox.currentText == "spleen"
    pick(widget, widget.ui.matchComboBox.itemText(widget.ui.matchComboBox.currentIndex + 1))
    (ours,) = matched_by_hand(prediction, reference)
    assert matched_by_hand(prediction, reference) == {ours: "spleen"}
    click_row(widget, "spleen")
    choose_item(widget.ui.matchComboBox, 0)
    compared(widget)
    assert matched_by_hand(prediction, reference) == {ours: None}
    assert "is nothing" in widget.ui.matchLabel.text


def test_a_name_that_is_gone_is_let_go(widget):
    prediction, _ = ready(widget)
    compared(widget)
    click_row(widget, "ours thing")
    assert "in the ground truth:" in widget.ui.matchLabel.text
    choose_item(widget.ui.matchComboBox, widget.ui.matchComboBox.findText("t thing"))
    assert "t thing (matched by hand)" in compared(widget)
    segments = prediction.GetSegmentation()
    segments.GetSegment(segments.GetSegmentIdBySegmentName("ours thing")).SetName("renamed")
    slicer.mrmlScene.Modified()
    settle()
    assert sum("unmatched" in name for name in compared(widget)) == 2
