"""Section Report: a verdict that stays with its segmentation, and a folder with everything that is known of the case."""

from __future__ import annotations

import csv
import json
import os
import signal

import pytest
import slicer
from host.pressing import picture, press, settle, turn
from host.scans import SHAPE, SPACING_MM, add, add_scan, body, choose, organs
from PySide6 import QtCore, QtTest
from UNetSegmenterLib.engine.evaluation.verdict import make_verdict
from UNetSegmenterLib.engine.labels.distinct_colors import distinct_colors
from UNetSegmenterLib.scene.nodes.node_attributes import set_verdict, verdict_of

COMMENT = 'liver <b>cut</b> off; "tail" missing'


def words(widget):
    return " | ".join(note.text for note in widget.panel.report.notes)


def reported(widget, folder):
    widget.panel.report.ask_for_folder = lambda title, start: str(folder)
    press(widget.ui.reportButton)
    turn(lambda: not widget.panel.report.is_busy, 180)
    return words(widget)


def give_verdict(widget, score, comment):
    """Choose a score with the keys and type a comment, as a person does."""
    box = widget.ui.scoreComboBox
    for _ in range(box.findData(score) - box.currentIndex):
        QtTest.QTest.keyClick(box, QtCore.Qt.Key_Down)
    QtTest.QTest.keyClicks(widget.ui.commentText, comment)


@pytest.fixture
def pair(widget):
    scan = add_scan("CT", body(*SHAPE), SPACING_MM, origin_lps=(-70.0, -60.0, 10.0))
    widget.initializeParameterNode()
    prediction, reference = add("Prediction", organs(shift=3, without=("spleen",))), add("Ground truth", organs())
    choose(widget, prediction, reference)
    return scan, prediction, reference


def test_a_verdict_needs_a_segmentation(widget):
    ui = widget.ui
    assert ui.reportCollapsibleButton.collapsed and not ui.scoreComboBox.enabled
    assert "Choose a prediction" in ui.scoreComboBox.toolTip and "Choose the prediction" in ui.reportButton.toolTip
    ui.predictionSelector.setCurrentNode(add("Prediction", organs()))
    settle()
    assert not ui.reportCollapsibleButton.collapsed and ui.scoreComboBox.enabled and ui.commentText.enabled
    assert "ground truth" in ui.reportButton.toolTip and not ui.reportButton.enabled


def test_a_verdict_stays_with_its_segmentation(widget, pair):
    _, prediction, reference = pair
    ui = widget.ui
    ui.reviewerLineEdit.setText("A. Reviewer")
    give_verdict(widget, "small faults", COMMENT)
    turn(lambda: verdict_of(prediction).comment == COMMENT)
    found = verdict_of(prediction)
    assert (found.score, found.reviewer) == ("small faults", "A. Reviewer") and found.time.endswith("Z")
    picture(widget.parent, "verdict")
    QtTest.QTest.keyClicks(ui.commentText, " and more")
    other = add("Other", organs())
    choose(widget, other, reference)
    assert verdict_of(prediction).comment == COMMENT + " and more", "what was typed last is kept"
    assert ui.commentText.plainText == "" and ui.scoreComboBox.currentText == "Not reviewed"
    choose(widget, prediction, reference)
    assert ui.commentText.plainText == COMMENT + " and more" and ui.scoreComboBox.currentText.startswith(
        "Plausible with"
    )
    set_verdict(prediction, make_verdict("implausible", "by a script"))
    settle()
    assert ui.commentText.plainText == "by a script" and ui.scoreComboBox.currentText == "Implausible"


def test_typing_keeps_the_cursor(widget, pair):
    text = "one \n two "
    for part in text:
        QtTest.QTest.keyClicks(widget.ui.commentText, part) if part != "\n" else QtTest.QTest.keyClick(
            widget.ui.commentText, QtCore.Qt.Key_Return
        )
        widget.panel.report.verdict.flush()
    settle()
    assert widget.ui.commentText.plainText == text and verdict_of(pair[1]).comment == "one\n two"


def test_one_press_compares_checks_and_writes_everything(widget, pair, tmp_path, counted_steps):
    give_verdict(widget, "implausible", COMMENT)
    opened = []
    widget.panel.report.open_in_browser = opened.append
    reported(widget, tmp_path / "a new folder ü")
    assert [note.severity for note in widget.panel.report.notes] == ["pass"]
    assert len(counted_steps) == 3 and min(counted_steps) > 2, "report, comparison and checks, each in small steps"
    assert widget.ui.compareTable.visible and widget.panel.plausibility.findings
    folder = tmp_path / "a new folder ü"
    page = (folder / "report.html").read_text(encoding="utf-8")
    for part in ("Implausible", "liver &lt;b&gt;cut&lt;/b&gt; off", 'id="findings"', "Slice by slice", "Ground truth"):
        assert part in page, part
    with (folder / "metrics.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 8 and {(row["case"], row["verdict"], row["comment"]) for row in rows} == {
        ("CT", "implausible", COMMENT)
    }
    summary = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
    assert summary["provenance"]["scan"] == "CT" and summary["verdicts"]["CT"]["score"] == "implausible"
    press(widget.ui.openReportButton)
    assert opened == [str(folder / "report.html")]
    picture(widget.parent, "report")
    questions = []
    widget.panel.ask = lambda question: bool(questions.append(question))
    before = (folder / "report.html").stat().st_mtime_ns
    assert "left as it is" in reported(widget, folder) and "Replace what is there" in questions[0]
    assert (folder / "report.html").stat().st_mtime_ns == before
    assert reported(widget, "") == words(widget), "changing one's mind changes nothing"


def test_the_page_matches_the_one_that_a_script_writes(widget, pair, tmp_path):
    scan, prediction, reference = pair
    give_verdict(widget, "plausible", "")
    reported(widget, tmp_path / "panel")
    path = widget.logic.writeReport(prediction, reference, scan, tmp_path / "script")
    assert path == str(tmp_path / "script" / "report.html")
    for name in ("metrics.csv",):
        ours, theirs = ((tmp_path / where / name).read_text(encoding="utf-8") for where in ("panel", "script"))
        assert ours == theirs
    for where in ("panel", "script"):
        assert "Limits: rules of thumb; name a model" in (tmp_path / where / "report.html").read_text(encoding="utf-8")
    with pytest.raises(ValueError, match="could not be written"):
        (tmp_path / "file").write_text("in the way")
        widget.logic.writeReport(prediction, reference, None, tmp_path / "file")


def test_the_page_has_the_colours_that_are_chosen(widget, pair, tmp_path):
    scan, prediction, reference = pair
    distinct = "rgb({}, {}, {})".format(*distinct_colors(["liver"])[0])
    press(widget.ui.distinctColorsCheckBox)
    reported(widget, tmp_path / "panel")
    widget.logic.writeReport(prediction, reference, scan, tmp_path / "script", distinctColors=True)
    press(widget.ui.distinctColorsCheckBox)
    widget.logic.writeReport(prediction, reference, scan, tmp_path / "own")
    pages = [(tmp_path / where / "report.html").read_text(encoding="utf-8") for where in ("panel", "script", "own")]
    assert [distinct in page for page in pages] == [True, True, False]


def test_a_folder_that_cannot_be_written_to_loses_nothing(widget, pair, tmp_path):
    (tmp_path / "file").write_text("in the way")
    give_verdict(widget, "plausible", COMMENT)
    text = reported(widget, tmp_path / "file" / "folder")
    assert "could not be written" in text and text.count(".") < 8
    assert widget.ui.compareTable.visible and verdict_of(pair[1]).comment == COMMENT
    assert not widget.ui.openReportButton.visible
    assert "written to" in reported(widget, tmp_path / "good")


def test_cancel_a_crash_and_a_scene_that_closes(widget, pair, tmp_path):
    panel, ui = widget.panel, widget.ui
    panel.ask = lambda question: True  # the killed worker may have written its page just before
    panel.report.ask_for_folder = lambda title, start: str(tmp_path / "never")
    press(ui.reportButton)
    assert ui.reportButton.text == "Cancel"
    press(ui.reportButton)
    assert "cancelled" in words(widget) and not panel.compare.is_busy and not (tmp_path / "never").exists()
    press(ui.reportButton)
    turn(lambda: panel.worker.requests == ("report",), 120)
    os.kill(panel.worker.pid, signal.SIGKILL)
    turn(lambda: not panel.report.is_busy, 60)
    assert "ended unexpectedly; press Report" in words(widget) or "written" in words(widget)
    press(ui.reportButton)
    slicer.mrmlScene.Clear(0)
    settle(0.3)
    assert not panel.report.is_busy and not panel.worker.is_running and not panel.report.notes


def test_what_cannot_be_compared_is_said(widget, pair, tmp_path):
    empty = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "Empty")
    choose(widget, empty, pair[2])
    assert "section Compare says why" in reported(widget, tmp_path / "none") and not (tmp_path / "none").exists()
