"""Whatever is compared, every button of the panel answers: with a result, or with one sentence that says why not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import slicer
from host.pressing import press, settle, turn
from host.scans import SPACING_MM, add, choose, organs
from UNetSegmenterLib.engine.labels.structures import ABDOMEN8, known_structure

LIVER = ABDOMEN8[4]


@pytest.fixture
def everything(widget, tmp_path):
    """Presses whatever can be pressed for two nodes, twice where that undoes it; returns what the panel said."""

    def press_all(prediction, reference, folder=tmp_path / "report"):
        ui, panel = widget.ui, widget.panel
        choose(widget, prediction, reference)
        said = []

        def done(section):
            turn(lambda: not section.is_busy, 120)
            said.extend(note.text for note in section.notes)

        press(ui.compareButton)
        done(panel.compare)
        for button, overlay in (
            (ui.errorMapButton, panel.errors.error_map),
            (ui.distanceColorsButton, panel.errors.distances),
        ):
            if button.isEnabled():
                press(button)
                turn(lambda overlay=overlay: not overlay.is_making, 120)
                said.append(ui.errorsLabel.text)
        press(ui.sideBySideButton)
        if panel.views.is_shown:
            ui.sliceCurveCheckBox.click()
            for _ in range(ui.structureComboBox.count):
                press(ui.nextStructureButton)
            settle()
            press(ui.sideBySideButton)
            ui.sliceCurveCheckBox.setChecked(False)
        said.extend(note.text for note in panel.compare.notes)
        press(ui.checkButton)
        done(panel.plausibility)
        panel.report.ask_for_folder, panel.ask = lambda title, start: str(folder), lambda question: True
        press(ui.reportButton)
        done(panel.report)
        for button in (ui.errorMapButton, ui.distanceColorsButton):
            if button.checked:
                press(button)
        assert all(text.count(". ") < 4 and "Traceback" not in text for text in said), said
        return " | ".join(said)

    return press_all


def rows(widget):
    model = widget.ui.compareTable.model()
    return [model.index(row, 0).data() for row in range(model.rowCount())]


def findings(widget):
    tree = widget.ui.findingsTree
    top = [tree.topLevelItem(number) for number in range(tree.topLevelItemCount)]
    return [one.text(0) for item in top for one in (item, *(item.child(number) for number in range(item.childCount())))]


def label_map(name, array):
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode", name)
    node.SetSpacing(SPACING_MM[::-1])
    node.SetOrigin(70.0, 60.0, 10.0)  # with these directions the grid of `add`
    node.SetIJKToRASDirections(-1.0, 0.0, 0.0, 0.0, -1.0, 0.0, 0.0, 0.0, 1.0)
    slicer.util.updateVolumeFromArray(node, array)
    return node


def test_segments_without_a_single_voxel(widget, everything):
    empty = add("Empty", np.zeros_like(organs()))
    text = everything(empty, add("Ground truth", organs()))
    assert "missed by the prediction: aorta" in text and "written to" in text
    assert everything(empty, add("Empty too", np.zeros_like(organs())))
    assert len(rows(widget)) == 8 and all("absent" in row for row in rows(widget))


def test_one_structure_is_empty_on_both_sides(widget, everything):
    without = organs(without=("spleen",))
    assert "written to" in everything(add("Prediction", without), add("Ground truth", without.copy()))
    assert "spleen (absent)" in rows(widget) and "Mean of 8" not in widget.ui.compareMeanLabel.text


def test_structures_that_overlap(widget, everything):
    prediction = add("Prediction", organs())
    mask = (organs() == LIVER.index - 1) | (organs() == LIVER.index)
    segment_id = prediction.GetSegmentation().GetNthSegmentID(LIVER.index - 1)
    grid = label_map("Grid", organs())
    slicer.util.updateSegmentBinaryLabelmapFromArray(mask.astype(np.uint8), prediction, segment_id, grid)
    assert prediction.GetSegmentation().GetNumberOfLayers() > 1
    assert "written to" in everything(prediction, add("Ground truth", organs()))
    assert [row.measures.dice < 1 for row in widget.panel.compare.comparison.rows] == [
        structure.name == LIVER.name for structure in ABDOMEN8
    ]


def test_a_ground_truth_of_other_structures_only(widget, everything):
    names = ("brain", "left lung", "femur left")
    others = [known_structure(name, index, (100 + index,)) for index, name in enumerate(names, start=1)]
    labels = np.where(organs() <= 3, organs(), 0).astype(np.uint8)
    hers = np.where(organs() > 5, organs() - 5, 0).astype(np.uint8)
    text = everything(add("Prediction", labels, structures=ABDOMEN8[:3]), add("Ground truth", hers, structures=others))
    assert "No structure of the prediction has a counterpart in the reference" in text
    assert len(rows(widget)) == 6 and all("unmatched" in row for row in rows(widget))
    assert "No structure is on both sides" in widget.ui.errorMapButton.toolTip
    assert widget.ui.matchFrame.visible and "choose its counterpart" in widget.ui.matchLabel.text


def test_a_label_map_with_values_that_nobody_declares(widget, everything):
    values = np.zeros(256, np.uint16)
    values[:9] = 0, 1, 2, 3, 4, 7, 999, 40000, 65535
    node = label_map("Values", values[organs()].astype(np.int32))
    assert "written to" in everything(add("Prediction", organs()), node)
    assert any("label 40000" in row or "liver" in row for row in rows(widget)) and len(rows(widget)) >= 8


def test_a_scan_as_label_map_is_refused(widget, everything):
    node = label_map("Not labels", np.random.default_rng(0).normal(0, 100, organs().shape).astype(np.float32))
    text = everything(add("Prediction", organs()), node)
    assert '"Not labels" is not a label map' in text and not widget.ui.compareTable.visible


def test_grids_that_do_not_meet(widget, everything):
    far = add("Far away", organs(), origin=(5000.0, 5000.0, 5000.0))
    text = everything(far, add("Ground truth", organs()))
    assert "The grids of prediction (centre at LPS 5071" in text and not widget.ui.compareTable.visible


def test_a_single_slice(widget, everything):
    one = organs()[12:13]
    assert "written to" in everything(add("Prediction", np.roll(one, 2, axis=2)), add("Ground truth", one))
    assert len(rows(widget)) == 8 and widget.panel.compare.comparison.rows[0].measures.dice > 0.5


def test_thousands_of_small_components_are_a_few_lines(widget, everything):
    labels = organs()
    free = np.flatnonzero(labels == 0)
    labels.reshape(-1)[np.random.default_rng(1).choice(free, 4000, replace=False)] = LIVER.index
    text = everything(add("Prediction", labels), add("Ground truth", organs()))
    assert "written to" in text and 0 < len(findings(widget)) < 40
    assert max(len(sentence) for sentence in findings(widget)) < 300


def test_the_list_of_findings_is_as_tall_as_its_lines(widget):
    choose(widget, add("Prediction", organs()), add("Ground truth", organs()))  # which has every finding too
    press(widget.ui.checkButton)
    turn(lambda: not widget.panel.plausibility.is_busy, 120)
    settle()
    tree = widget.ui.findingsTree
    for _ in range(2):
        last = tree.topLevelItem(tree.topLevelItemCount - 1)
        if last.isExpanded() and last.childCount():
            last = last.child(last.childCount() - 1)
        room = tree.viewport().height() - tree.visualItemRect(last).bottom()
        assert 0 < tree.topLevelItemCount <= 7 and 0 <= room < 20, "no line is cut off, and no room is left over"
        tree.expandAll()
        settle()


def test_a_report_into_a_folder_that_nobody_may_write_to(widget, everything):
    text = everything(add("Prediction", organs(1)), add("Ground truth", organs()), Path("/proc/nowhere"))
    assert "/proc/nowhere" in text and "could not be written" in text
    assert widget.ui.compareTable.visible and not widget.ui.openReportButton.visible
