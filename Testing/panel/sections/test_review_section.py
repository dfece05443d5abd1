"""Review of a test set: from the folder to the last verdict without a file dialog."""

from __future__ import annotations

import os
import shutil
import signal

import pytest
import slicer
from host.pressing import picture, press, settle, turn, type_path
from host.scans import SHAPE, SPACING_MM, body, organs
from PySide6 import QtCore, QtTest
from UNetSegmenterLib.engine.evaluation.verdict import make_verdict, read_reviews, write_reviews
from UNetSegmenterLib.engine.io.geometry import Geometry
from UNetSegmenterLib.engine.io.image_writing import write_volume
from UNetSegmenterLib.engine.io.volume import Volume
from UNetSegmenterLib.engine.labels.seg_nrrd import write_seg_nrrd
from UNetSegmenterLib.engine.labels.segmentation import Segmentation
from UNetSegmenterLib.engine.labels.segmentation_files import write_labelmap
from UNetSegmenterLib.engine.labels.structures import ABDOMEN8

COMMENT = 'second line, with "quotes"; and commas'
CASES = ("a ü", "b", "c")
GEOMETRY = Geometry(SHAPE, SPACING_MM, (-70.0, -60.0, 10.0))


@pytest.fixture
def folder(tmp_path):
    """Three scans with references in nnU-Net's raw layout, and a folder of results with predictions of all of them."""
    made = tmp_path / "test set ü"
    values = {structure.name: structure.values[0] for structure in ABDOMEN8}
    made.mkdir()
    (made / "dataset.json").write_text(str({"labels": {"background": 0, **values}}).replace("'", '"'))
    for number, case in enumerate(CASES):
        write_volume(Volume(body(*SHAPE, seed=number), GEOMETRY), made / "imagesTs" / f"{case}_0000.nii.gz")
        reference = Segmentation(organs(), GEOMETRY, ABDOMEN8, case)
        write_labelmap(reference, made / "labelsTs" / f"{case}.nii.gz")
        prediction = Segmentation(organs(shift=number), GEOMETRY, ABDOMEN8, case)
        write_seg_nrrd(prediction, made / "results" / "predictions" / f"{case}.seg.nrrd")
    return made


def words(widget):
    return " | ".join(note.text for note in widget.panel.review.notes)


def idle(widget, seconds=120):
    settle(0.45)
    turn(lambda: not widget.panel.review.is_busy, seconds)


def go(widget, button="nextCaseButton"):
    press(getattr(widget.ui, button))
    turn(lambda: not widget.panel.review.is_busy, 180)


def entries(widget):
    return [widget.ui.reviewList.item(number).text() for number in range(widget.ui.reviewList.count)]


def start(widget, folder, results=""):
    widget.ui.reportCollapsibleButton.collapsed = False
    settle()
    widget.ui.reviewFolderPathLineEdit.setCurrentPath(str(folder))  # as browsing does; Qt's test keys know no ü
    if results:
        widget.ui.reviewResultsPathLineEdit.setCurrentPath(str(results))
    idle(widget)


def give_verdict(widget, score, comment):
    box = widget.ui.scoreComboBox
    for _ in range(box.findData(score) - box.currentIndex):
        QtTest.QTest.keyClick(box, QtCore.Qt.Key_Down)
    QtTest.QTest.keyClicks(widget.ui.commentText, comment)


def nodes(*classes):
    return [node.GetName() for name in classes for node in slicer.util.getNodesByClass(name)]


def test_a_test_set_from_the_first_case_to_the_last(widget, folder):
    ui, panel = widget.ui, widget.panel
    results = folder / "results"
    kept = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "somebody's own")
    start(widget, folder, results)
    assert entries(widget) == [f"{case}: not reviewed" for case in CASES] and ui.nextCaseButton.text == "Start"
    assert "0 of 3 reviewed" in ui.reviewLabel.text and not ui.previousCaseButton.enabled
    ui.reviewerLineEdit.setText("A. Reviewer")
    go(widget)
    assert panel.compare.comparison.case == CASES[0] and panel.plausibility.findings and panel.views.is_shown, words(
        widget
    )
    assert {row.status for row in panel.compare.comparison.rows} == {"ok"}
    assert "Case 1 of 3" in ui.reviewLabel.text and ui.nextCaseButton.text == "Next case"
    give_verdict(widget, "plausible", "")
    give_verdict(widget, "plausible", COMMENT)
    picture(widget.parent, "review")
    first = nodes("vtkMRMLScalarVolumeNode", "vtkMRMLSegmentationNode")
    displays = len(nodes("vtkMRMLDisplayNode"))
    go(widget)
    found = read_reviews(results / "reviews.csv")
    assert (found[CASES[0]].score, found[CASES[0]].comment) == ("plausible", COMMENT), "typed a moment before the press"
    assert found[CASES[0]].reviewer == "A. Reviewer"
    assert ui.commentText.plainText == "" and panel.compare.comparison.case == "b"
    now = nodes("vtkMRMLScalarVolumeNode", "vtkMRMLSegmentationNode")
    assert len(now) == len(first) and not [name for name in now if name.startswith(CASES[0])] and kept.GetName() in now
    assert len(nodes("vtkMRMLDisplayNode")) == displays, "display nodes go with their nodes"
    give_verdict(widget, "implausible", "")
    go(widget)
    assert "Case 3 of 3, 2 of 3 reviewed" in ui.reviewLabel.text
    assert not ui.nextCaseButton.enabled and "last case" in ui.nextCaseButton.toolTip
    go(widget, "previousCaseButton")
    assert ui.scoreComboBox.currentText == "Implausible" and panel.compare.comparison.case == "b"
    assert entries(widget)[:2] == [f"{CASES[0]}: plausible – {COMMENT}", "b: implausible"]
    assert set(read_reviews(results / "reviews.csv")) == {CASES[0], "b"}


def test_it_goes_on_where_it_was(widget, folder):
    results = folder / "results"
    write_reviews(
        results / "reviews.csv",
        {CASES[0]: make_verdict("plausible", COMMENT), "old case": make_verdict("plausible", "")},
    )
    start(widget, folder, results)
    assert "1 of 3 reviewed" in widget.ui.reviewLabel.text
    go(widget)
    assert widget.panel.compare.comparison.case == "b", "the first that is not reviewed"
    parameters = widget.panel.parameters
    assert (parameters.reviewFolder, parameters.reviewCase) == (str(folder), "b")
    give_verdict(widget, "small faults", "")
    item = widget.ui.reviewList.item(0)
    widget.ui.reviewList.setCurrentRow(0)
    QtTest.QTest.keyClick(widget.ui.reviewList, QtCore.Qt.Key_Return)
    turn(lambda: widget.panel.review.is_busy, 5)
    idle(widget)
    assert widget.panel.compare.comparison.case == CASES[0] and item is not None
    assert widget.ui.commentText.plainText == COMMENT
    assert set(read_reviews(results / "reviews.csv")) == {CASES[0], "b", "old case"}, "other rows of the table are kept"


def test_without_predictions_the_model_segments_on_the_way(widget, folder, checkpoints):
    shutil.rmtree(folder / "results" / "predictions")
    start(widget, folder)
    go(widget)
    assert "Choose a checkpoint first" in words(widget) and widget.ui.inputSelector.currentNode().GetName() == CASES[0]
    widget.panel.model.choose(str(checkpoints["good"]))
    turn(lambda: widget.panel.model.card is not None)
    widget.panel.review.open(0)
    idle(widget)
    assert widget.panel.compare.comparison.case == CASES[0], words(widget)
    give_verdict(widget, "implausible", "noise")
    widget.panel.report.verdict.flush()
    found = read_reviews(folder / "reviews.csv")[CASES[0]]
    assert found.score == "implausible" and found.checkpoint, "which network made it"
    go(widget)
    assert not [name for name in nodes("vtkMRMLSegmentationNode") if name.startswith(CASES[0])]


def test_a_damaged_case_is_said_and_the_next_one_opens(widget, folder):
    (folder / "imagesTs" / f"{CASES[0]}_0000.nii.gz").write_bytes(b"no image")
    start(widget, folder, folder / "results")
    go(widget)
    assert "is not an image" in words(widget) and not nodes("vtkMRMLSegmentationNode")
    go(widget)
    assert widget.panel.compare.comparison.case == "b" and not words(widget)


def test_a_table_that_cannot_be_written_loses_nothing(widget, folder, tmp_path):
    start(widget, folder, folder / "results")
    go(widget)
    (folder / "results" / "reviews.csv").mkdir()
    give_verdict(widget, "plausible", COMMENT)
    widget.panel.report.verdict.flush()
    assert "Choose another folder for the results" in words(widget)
    assert entries(widget)[0].startswith(f"{CASES[0]}: plausible")
    shutil.copytree(folder / "results" / "predictions", tmp_path / "other" / "predictions")
    type_path(widget.ui.reviewResultsPathLineEdit, str(tmp_path / "other"))
    idle(widget)
    assert read_reviews(tmp_path / "other" / "reviews.csv")[CASES[0]].comment == COMMENT and not words(widget)


def test_results_left_empty_are_in_the_folder_of_the_scans_again(widget, folder):
    start(widget, folder, folder / "results")
    assert widget.panel.review.table_path == folder / "results" / "reviews.csv"
    type_path(widget.ui.reviewResultsPathLineEdit, "")
    idle(widget)
    assert widget.panel.review.table_path == folder / "reviews.csv"
    assert widget.panel.parameters.reviewResults == ""


@pytest.mark.parametrize("what", ["empty", "nowhere", "results"])
def test_a_wrong_folder_is_one_sentence(widget, folder, tmp_path, what):
    (tmp_path / "empty").mkdir()
    start(widget, {"empty": tmp_path / "empty", "nowhere": tmp_path / "nowhere", "results": folder / "results"}[what])
    assert {"empty": "no scans", "nowhere": "not a folder", "results": "choose it for the results"}[what] in words(
        widget
    )
    assert not widget.ui.nextCaseButton.enabled and "Choose the folder" in widget.ui.nextCaseButton.toolTip


def test_cancel_a_crash_and_a_scene_that_closes(widget, folder):
    panel, ui = widget.panel, widget.ui
    start(widget, folder, folder / "results")
    press(ui.nextCaseButton)
    assert ui.nextCaseButton.text == "Cancel"
    press(ui.nextCaseButton)
    assert "cancelled" in words(widget) and not panel.review.is_busy
    panel.review.open(0)
    turn(lambda: panel.worker.pid, 30)
    os.kill(panel.worker.pid, signal.SIGKILL)
    idle(widget)
    assert "ended unexpectedly" in words(widget) + " ".join(note.text for note in panel.compare.notes)
    panel.review.open(1)
    idle(widget)
    assert panel.compare.comparison.case == "b"
    panel.review.open(2)
    slicer.mrmlScene.Clear(0)
    settle(0.3)
    assert not panel.review.is_busy and panel.review.case is None and not ui.reviewList.visible
    assert not nodes("vtkMRMLSegmentationNode")
