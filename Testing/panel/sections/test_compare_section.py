"""Section Compare: one table of all structures, the way to each one's largest error, and everything that can go wrong."""

from __future__ import annotations

import csv
import os
import signal

import numpy as np
import pytest
import slicer
import vtk
from host.pressing import picture, press, settle, turn
from host.scans import SPACING_MM, add, choose, organs
from PySide6 import QtCore, QtGui, QtTest
from UNetSegmenterLib.engine.evaluation.measure_definitions import DEFINITIONS
from UNetSegmenterLib.engine.labels.structures import ABDOMEN8
from UNetSegmenterLib.scene.nodes.node_attributes import matched_by_hand

DICE = 1
SPLEEN = next(structure.index for structure in ABDOMEN8 if structure.name == "spleen")


def compared(widget):
    press(widget.ui.compareButton)
    turn(lambda: not widget.panel.compare.is_busy, 120)
    return words(widget)


def words(widget):
    return " | ".join(note.text for note in widget.panel.compare.notes)


def cells(widget, column=0):
    model = widget.ui.compareTable.model()
    return [model.index(row, column).data() for row in range(model.rowCount())]


def click_row(widget, structure):
    view = widget.ui.compareTable
    row = next(number for number, text in enumerate(cells(widget)) if text.startswith(structure))
    place = view.visualRect(view.model().index(row, 1)).center()
    QtTest.QTest.mouseClick(view.viewport(), QtCore.Qt.LeftButton, QtCore.Qt.NoModifier, place)


@pytest.fixture
def pair(widget):
    """A prediction that misses the spleen and shifts the lower row, and its ground truth; both chosen."""
    prediction = add("Prediction", organs(shift=3, without=("spleen",)))
    reference = add("Ground truth", organs())
    choose(widget, prediction, reference)
    return prediction, reference


def test_the_section_waits_for_what_it_needs(widget):
    ui = widget.ui
    assert ui.compareCollapsibleButton.collapsed and not ui.compareButton.enabled
    prediction = add("Prediction", organs())
    choose(widget, prediction, None)
    assert not ui.compareCollapsibleButton.collapsed
    assert "ground truth" in ui.compareButton.toolTip and not ui.compareButton.enabled
    assert not ui.compareTable.visible and not ui.copyTableButton.visible
    choose(widget, prediction, prediction)
    assert "same node" in ui.compareButton.toolTip
    choose(widget, None, prediction)
    assert "Choose the prediction" in ui.compareButton.toolTip


def test_the_result_of_a_run_is_the_prediction(widget, ready):
    press(widget.ui.applyButton)
    assert not widget.ui.compareButton.enabled
    turn(lambda: not ready.segment.state.is_busy, 120)
    assert widget.ui.predictionSelector.currentNode() is ready.segment.result.node
    assert not widget.ui.compareCollapsibleButton.collapsed


def test_one_table_with_all_structures(widget, pair):
    text = compared(widget)
    assert sorted(cells(widget)) == sorted(
        "spleen (missed)" if structure.name == "spleen" else structure.name for structure in ABDOMEN8
    )
    assert "Missed by the prediction: spleen" in text or "missed by the prediction: spleen" in text
    assert all(cells(widget, column) for column in range(1 + len(DEFINITIONS)))
    row = next(row for row in widget.panel.compare.comparison.rows if row.structure == "spleen")
    assert row.status == "missed" and row.measures.dice == 0
    mean = widget.ui.compareMeanLabel.text
    assert "Mean of 8 structures, 1 of them missed" in mean and "(7 of 8)" in mean
    model = widget.ui.compareTable.model()
    header = [model.headerData(column, QtCore.Qt.Horizontal) for column in range(model.columnCount())]
    assert header[0] == "Structure" and "HD95 (mm)" in header
    assert "Jaccard" in model.headerData(header.index("IoU"), QtCore.Qt.Horizontal, QtCore.Qt.ToolTipRole)
    picture(widget.parent, "compared")


def test_numbers_sort_as_numbers_and_carry_their_colour(widget, pair):
    compared(widget)
    model = widget.ui.compareTable.model()
    header = [model.headerData(column, QtCore.Qt.Horizontal) for column in range(model.columnCount())]
    hd = header.index("HD (mm)")
    widget.ui.compareTable.sortByColumn(hd, QtCore.Qt.AscendingOrder)
    shown = cells(widget, hd)
    assert shown[-1] == "∞" and [float(text) for text in shown[:-1]] == sorted(float(text) for text in shown[:-1])
    widget.ui.compareTable.sortByColumn(DICE, QtCore.Qt.AscendingOrder)
    assert cells(widget)[0] == "spleen (missed)" and cells(widget, DICE)[-1] == "1.000"

    def hue(row):
        return model.index(row, DICE).data(QtCore.Qt.BackgroundRole).color().hueF()

    assert hue(0) < 0.02 and hue(model.rowCount() - 1) > 0.3, "red is worst and green is best"


def test_a_click_on_a_row_leads_to_its_largest_error(widget, pair):
    red = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSliceNode", "Red")
    transform = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "Pose")
    matrix = vtk.vtkMatrix4x4()
    matrix.SetElement(2, 3, 500.0)
    transform.SetMatrixTransformToParent(matrix)
    for node in pair:
        node.SetAndObserveTransformNodeID(transform.GetID())
    compared(widget)
    widget.ui.compareTable.sortByColumn(DICE, QtCore.Qt.AscendingOrder)
    click_row(widget, "spleen")
    spleen = np.argwhere(organs() == SPLEEN).mean(axis=0)
    slice_to_ras = [red.GetSliceToRAS().GetElement(axis, 3) for axis in range(3)]
    wanted = [70 - 1.5 * spleen[2], 60 - 1.5 * spleen[1], 10 + 3 * spleen[0] + 500]
    assert np.allclose(slice_to_ras, wanted, atol=3.0), (slice_to_ras, wanted)


def test_the_worst_slices_one_after_the_other(widget, pair):
    red = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSliceNode", "Red")
    labels = organs()
    labels[6:9][labels[6:9] == 1] = 0  # three slices of the first structure are gone
    changed = add("Prediction with a gap", labels)
    choose(widget, changed, pair[1])
    assert not widget.ui.worstSliceButton.visible
    compared(widget)
    assert not widget.ui.worstSliceButton.enabled and "Click on a structure" in widget.ui.worstSliceButton.toolTip
    click_row(widget, ABDOMEN8[0].name)
    assert not widget.ui.nextWorseButton.enabled
    press(widget.ui.worstSliceButton)
    seen = []
    for _ in range(3):
        seen.append(red.GetSliceToRAS().GetElement(2, 3))
        assert "Dice 0.00" in widget.ui.sliceLabel.text
        press(widget.ui.nextWorseButton)
    assert sorted(seen) == [10 + 3 * number for number in (6, 7, 8)] and seen[0] == 34, "the largest area first"
    assert "Dice 1.00" in widget.ui.sliceLabel.text and "4 of" in widget.ui.sliceLabel.text


def test_copied_and_saved_as_the_command_line_writes_it(widget, pair, tmp_path):
    compared(widget)
    press(widget.ui.copyTableButton)
    lines = QtGui.QGuiApplication.clipboard().text().splitlines()
    assert len(lines) == 9 and lines[0].split("\t")[:4] == ["case", "structure", "status", "dice"]
    widget.panel.compare.save_as = lambda title, name: str(tmp_path / name)
    press(widget.ui.saveTableButton)
    with (tmp_path / "comparison metrics.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["structure"] for row in rows] == [structure.name for structure in ABDOMEN8]
    spleen = rows[SPLEEN - 1]
    assert spleen["status"] == "missed" and spleen["hd95_mm"] == "inf" and "saved as" in words(widget)
    widget.panel.compare.save_as = lambda title, name: str(
        tmp_path / "comparison metrics.csv" / "a file is no folder.csv"
    )
    press(widget.ui.saveTableButton)
    assert "could not be written" in words(widget)
    widget.panel.compare.save_as = lambda title, name: ""
    press(widget.ui.saveTableButton)


def test_what_is_unlike_is_said_and_shown(widget):
    """Another grid, a structure on one side only, a structure without voxels: shown, never dropped."""
    reference = add("Ground truth", organs(without=("gallbladder",)), structures=ABDOMEN8[:6])
    prediction = add("Prediction", organs()[:, ::2, ::2], (3.0, 3.0, 3.0))
    choose(widget, prediction, reference)
    text = compared(widget)
    assert "another grid" in text and "nearest neighbour" in text and "only in the prediction" in text.lower()
    names = cells(widget)
    assert sum("(unmatched)" in name for name in names) == 2 and "gallbladder (spurious)" in names
    assert "not compared" in widget.ui.compareTable.model().index(
        next(i for i, name in enumerate(names) if "unmatched" in name), 0
    ).data(QtCore.Qt.ToolTipRole)
    transform = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "Pose")
    prediction.SetAndObserveTransformNodeID(transform.GetID())
    settle()
    assert 'under the transform "Pose"' in compared(widget)


def test_a_label_map_can_be_the_ground_truth(widget):
    prediction = add("Prediction", organs())
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode", "Labels")
    node.SetSpacing(SPACING_MM[::-1])
    node.SetOrigin(70.0, 60.0, 10.0)
    node.SetIJKToRASDirections(-1, 0, 0, 0, -1, 0, 0, 0, 1)
    slicer.util.updateVolumeFromArray(node, organs().astype(np.int16))
    choose(widget, prediction, node)
    assert widget.ui.referenceSelector.currentNode() is node
    compared(widget)
    assert set(cells(widget, DICE)) == {"–"} and len(widget.panel.compare.comparison.proposals) == 8
    assert "these overlap" in widget.ui.proposalLabel.text and "and 4 more" in widget.ui.proposalLabel.text
    picture(widget.parent, "proposals")
    press(widget.ui.proposalButton)
    turn(lambda: not widget.panel.compare.is_busy, 120)
    assert "Mean of 8" in widget.ui.compareMeanLabel.text and not widget.ui.proposalFrame.visible
    assert set(cells(widget, DICE)) == {"1.000"}
    assert {row.matched for row in widget.panel.compare.comparison.rows} == {"by hand"}
    press(widget.ui.matchResetButton)
    turn(lambda: not widget.panel.compare.is_busy, 120)
    assert widget.ui.proposalFrame.visible and not matched_by_hand(prediction, node)


def test_a_label_map_named_after_its_organ_is_that_organ(widget):
    prediction = add("Prediction", organs())
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode", "chaos_liver")
    node.SetSpacing(SPACING_MM[::-1])
    node.SetOrigin(70.0, 60.0, 10.0)
    node.SetIJKToRASDirections(-1, 0, 0, 0, -1, 0, 0, 0, 1)
    liver = next(one.index for one in ABDOMEN8 if one.name == "liver")
    slicer.util.updateVolumeFromArray(node, (organs() == liver).astype(np.int16))
    choose(widget, prediction, node)
    compared(widget)
    row = widget.panel.compare.comparison.rows[0]
    assert (row.structure, row.matched, row.measures.dice) == ("liver", "terminology", 1.0)


@pytest.mark.parametrize("empty", ["Prediction", "Ground truth"])
def test_nothing_to_compare_is_one_sentence(widget, empty):
    full = add("Full", organs())
    nothing = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", empty)
    choose(widget, *((nothing, full) if empty == "Prediction" else (full, nothing)))
    assert compared(widget) == f'"{empty}" holds no segment; choose another segmentation.'
    assert not widget.ui.compareTable.visible and widget.ui.compareButton.enabled


def test_a_node_that_goes_takes_the_table_along(widget, pair):
    compared(widget)
    slicer.mrmlScene.RemoveNode(pair[1])
    settle()
    assert '"Ground truth" was removed' in words(widget) and not widget.ui.compareTable.visible
    assert widget.ui.referenceSelector.currentNode() is None and not widget.ui.compareButton.enabled
    assert widget.ui.predictionSelector.currentNode() is pair[0]


def by_the_selector(widget, node):
    """Slicer's selector, faster than the panel, goes on to the neighbour in its list."""
    widget.ui.referenceSelector.setCurrentNode(widget.ui.predictionSelector.currentNode())


def by_its_observers(widget, node):
    """What the node's own segmentation tells, before the panel hears of the removal."""
    node.GetSegmentation().InvokeEvent(slicer.vtkSegmentation.SegmentRemoved)


def by_both(widget, node):
    by_its_observers(widget, node)
    by_the_selector(widget, node)


@pytest.mark.parametrize("faster", [by_the_selector, by_its_observers, by_both])
@pytest.mark.parametrize("after", [by_the_selector, by_its_observers, None])
def test_the_note_of_a_removed_node_stays_in_any_order_of_signals(widget, pair, faster, after):
    compared(widget)
    node = pair[1]

    @vtk.calldata_type(vtk.VTK_OBJECT)
    def early(scene, event, going):
        faster(widget, node)

    @vtk.calldata_type(vtk.VTK_OBJECT)
    def late(scene, event, going):
        if after is not None:
            after(widget, node)

    event = slicer.vtkMRMLScene.NodeAboutToBeRemovedEvent
    tags = [slicer.mrmlScene.AddObserver(event, early, 10.0), slicer.mrmlScene.AddObserver(event, late, -1.0)]
    slicer.mrmlScene.RemoveNode(node)
    for tag in tags:
        slicer.mrmlScene.RemoveObserver(tag)
    settle()
    assert '"Ground truth" was removed' in words(widget) and not widget.ui.compareTable.visible


def test_another_choice_is_no_removal(widget, pair):
    compared(widget)
    other = add("Other truth", organs())
    choose(widget, pair[0], other)
    settle()
    slicer.mrmlScene.RemoveNode(pair[1])
    settle()
    assert not widget.panel.compare.notes


def test_no_neighbour_is_chosen_for_a_node_that_goes(widget, pair):
    ui = widget.ui
    add("Another", organs())
    ui.outputSelector.setCurrentNode(pair[0])
    slicer.mrmlScene.RemoveNode(pair[0])
    settle()
    for selector in (ui.outputSelector, ui.predictionSelector):
        assert selector.nodeCount() == 2 and selector.currentNode() is None
    parameters = widget.panel.parameters
    assert parameters.outputSegmentation is None and parameters.comparedPrediction is None
    assert parameters.groundTruth is pair[1] and "Choose the prediction" in ui.compareButton.toolTip


def test_a_node_that_changes_makes_the_table_old(widget, pair):
    compared(widget)
    pair[0].GetSegmentation().RemoveSegment(pair[0].GetSegmentation().GetNthSegmentID(0))
    settle()
    assert "was changed" in words(widget) and not widget.ui.compareTable.visible
    assert "only in the ground truth" in compared(widget).lower() or "only in the reference" in words(widget)


def test_cancel_a_crash_and_a_scene_that_closes(widget, pair):
    panel = widget.panel
    press(widget.ui.compareButton)
    assert widget.ui.compareButton.text == "Cancel" and not widget.ui.referenceSelector.enabled
    press(widget.ui.compareButton)
    assert not panel.compare.is_busy and "cancelled" in words(widget) and widget.ui.referenceSelector.enabled
    compared(widget)
    assert widget.ui.compareTable.visible
    press(widget.ui.compareButton)
    turn(lambda: panel.worker.requests == ("compare",) and panel.worker.pid, 60)
    os.kill(panel.worker.pid, signal.SIGKILL)
    turn(lambda: not panel.compare.is_busy, 30)
    assert "ended unexpectedly; press Compare" in words(widget)
    press(widget.ui.compareButton)
    slicer.mrmlScene.Clear(0)
    settle(0.3)
    assert not panel.compare.is_busy and not panel.worker.is_running and not panel.compare.notes


def test_a_large_scan_is_compared_in_small_steps(widget, counted_steps):
    shape = (100, 384, 384)
    prediction, reference = (add(name, organs(by, (), shape), (1.0, 0.8, 0.8)) for name, by in (("P", 6), ("R", 0)))
    choose(widget, prediction, reference)
    compared(widget)
    assert widget.ui.compareTable.visible
    (steps,) = counted_steps
    assert steps >= 2 + 2 * 2, "each side is read in a step and written in pieces of 8 MB"


def test_scripting_compares_as_the_panel_does(widget, pair):
    compared(widget)
    made = widget.logic.compare(*pair)
    assert repr(made.rows) == repr(widget.panel.compare.comparison.rows)
