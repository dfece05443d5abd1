"""Section Plausibility: findings that lead to their position, with the ground truth's beside them."""

from __future__ import annotations

import os
import signal
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import slicer
from host.pressing import picture, press, settle, turn
from host.scans import add_scan
from PySide6 import QtCore, QtTest
from UNetSegmenterLib.engine.io.geometry import Geometry
from UNetSegmenterLib.engine.io.volume import Volume
from UNetSegmenterLib.engine.labels.segmentation import Segmentation
from UNetSegmenterLib.engine.labels.structures import known_structure
from UNetSegmenterLib.engine.plausibility.finding import Finding
from UNetSegmenterLib.engine.plausibility.findings_page import findings_page
from UNetSegmenterLib.engine.plausibility.training_statistics import training_statistics
from UNetSegmenterLib.panel.widgets.findings_tree import ACCESSIBLE_TEXT, MOST_LINES
from UNetSegmenterLib.scene.nodes.segmentation_to_node import segmentation_to_node

SHAPE, SPACING_MM, ORIGIN = (24, 96, 96), (3.0, 1.5, 1.5), (-90.0, -70.0, 20.0)
PAIR = (known_structure("liver", 1, (1,)), known_structure("spleen", 2, (2,)))
APART = "of it lies apart from the main body"
FAR = (20, 85, 88)  # a small component of spleen


def labels(small_component=False, swapped=False):
    made = np.zeros(SHAPE, np.uint8)
    grid = np.ogrid[tuple(slice(0, size) for size in SHAPE)]
    for structure, column in ((1, 28), (2, 66)):
        made[sum(((at - m) / r) ** 2 for at, m, r in zip(grid, (12, 46, column), (8, 16, 14), strict=True)) < 1] = (
            structure
        )
    if swapped:
        made = np.array([0, 2, 1], np.uint8)[made]
    if small_component:
        k, j, i = FAR
        made[k - 1 : k + 2, j - 4 : j + 4, i - 4 : i + 4] = 2
    return made


def add(name, array):
    segmentation = Segmentation(array, Geometry(SHAPE, SPACING_MM, ORIGIN), PAIR, name)
    return segmentation_to_node(segmentation, slicer.mrmlScene, surfaces=False)


def statistics():
    """Of twelve bodies that are alike, as a checkpoint's card holds them."""
    geometry = Geometry(SHAPE, SPACING_MM, ORIGIN)
    cases = []
    for seed in range(12):
        hu = np.random.default_rng(seed).normal(60, 10, SHAPE).astype(np.int16)
        cases.append((Segmentation(labels(), geometry, PAIR), Volume(hu, geometry)))
    return training_statistics(cases)


def checked(widget):
    press(widget.ui.checkButton)
    turn(lambda: not widget.panel.plausibility.is_busy, 120)
    return " | ".join(note.text for note in widget.panel.plausibility.notes)


def items(widget):
    """All items of the tree, each head before what it opens to."""
    tree = widget.ui.findingsTree
    top = [tree.topLevelItem(number) for number in range(tree.topLevelItemCount)]
    return [one for item in top for one in (item, *(item.child(number) for number in range(item.childCount())))]


def lines(widget):
    return [item.text(0) for item in items(widget)]


def heads(widget):
    tree = widget.ui.findingsTree
    return [tree.topLevelItem(number).text(0) for number in range(tree.topLevelItemCount)]


def sentences(widget):
    """The findings, each with the structure's name as a screen reader has it."""
    return [item.data(0, ACCESSIBLE_TEXT) for item in items(widget) if not item.childCount()]


def click(widget, item):
    view = widget.ui.findingsTree
    view.scrollToItem(item)
    QtTest.QTest.mouseClick(
        view.viewport(), QtCore.Qt.LeftButton, QtCore.Qt.NoModifier, view.visualItemRect(item).center()
    )
    settle()


@pytest.fixture
def broken(widget):
    """A prediction with a small component far away, and its scan."""
    rng = np.random.default_rng(9)
    scan = add_scan("CT", rng.normal(60, 10, SHAPE).astype(np.int16), SPACING_MM, origin_lps=ORIGIN)
    widget.initializeParameterNode()
    node = add("Prediction", labels(small_component=True))
    widget.ui.predictionSelector.setCurrentNode(node)
    settle()
    assert widget.ui.inputSelector.currentNode() is scan
    return node


def test_the_section_waits_for_a_prediction(widget):
    ui = widget.ui
    assert ui.plausibilityCollapsibleButton.collapsed and not ui.checkButton.enabled
    assert "Choose a prediction" in ui.checkButton.toolTip
    ui.predictionSelector.setCurrentNode(add("Prediction", labels()))
    settle()
    assert not ui.plausibilityCollapsibleButton.collapsed and ui.checkButton.enabled
    assert not ui.findingsTree.visible and not ui.showPassedCheckBox.visible


def test_a_finding_leads_to_its_place(widget, broken):
    red = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSliceNode", "Red")
    text = checked(widget)
    assert (
        "Limits: rules of thumb; name a model" in text
        and "Sizes are not checked." in text
        and "1 of 2 structures looks plausible" in text
    )
    item = next(item for item in items(widget) if APART in item.text(0))
    assert item.data(0, ACCESSIBLE_TEXT).startswith("warn: Spleen: ")
    assert "measured" in item.toolTip(0) and "expected" in item.toolTip(0) and not item.icon(0).isNull()
    click(widget, item)
    k, j, i = FAR
    wanted = (90 - 1.5 * i, 70 - 1.5 * j, 20 + 3 * k)
    assert np.allclose(position(red), wanted, atol=3.1), (position(red), wanted)
    picture(widget.parent, "checked")
    found = [replace(one, position_ras_mm=(1.0 + n, 2.0, 3.0)) for n, one in enumerate(says("liver", 2))]
    shown(widget, [*found, *says("spleen", 2)])
    liver = widget.ui.findingsTree.topLevelItem(0)
    click(widget, liver)
    assert np.allclose(position(red), wanted, atol=3.1), "the head of several leads nowhere, it opens"
    click(widget, liver.child(1))
    assert np.allclose(position(red), (2.0, 2.0, 3.0))


def position(slice_node):
    return [slice_node.GetSliceToRAS().GetElement(axis, 3) for axis in range(3)]


def test_the_ground_truth_is_checked_along_the_slicing_axis_of_the_prediction(widget):
    torn = labels()
    torn[:, 46] = 0  # one coronal slice
    prediction, reference = add("Prediction", torn), add("Ground truth", torn)
    prediction.SetAttribute("UNetSegmenter.SlicingAxis", "coronal")
    widget.ui.predictionSelector.setCurrentNode(prediction)
    widget.ui.referenceSelector.setCurrentNode(reference)
    settle()
    checked(widget)
    section = widget.panel.plausibility
    gaps = [finding for finding in section.findings if "1 empty coronal slice" in finding.sentence]
    assert {finding.structure for finding in gaps} == {"liver", "spleen"}
    assert {("continuity", "liver"), ("continuity", "spleen")} <= section.shared


def test_passed_checks_are_shown_on_request(widget, broken):
    checked(widget)
    few = sentences(widget)
    press(widget.ui.showPassedCheckBox)
    every = sentences(widget)
    assert len(every) > len(few) > 0 and every[: len(few)] == few, "the most severe come first"
    passed = [finding.sentence for finding in widget.panel.plausibility.findings if finding.severity == "pass"]
    assert every[len(few) :] == passed
    press(widget.ui.showPassedCheckBox)
    assert sentences(widget) == few


def shown(widget, findings):
    """Let the section show these findings."""
    section = widget.panel.plausibility
    section.findings, section.page = findings, findings_page(findings)
    section._list()
    settle()


def says(structure, count, severity="warn"):
    name = structure.capitalize()
    return [Finding(f"check {n}", structure, severity, 1.0, "", None, f"{name}: says {n}.") for n in range(count)]


def test_thirteen_warnings_are_three_lines_that_open(widget, broken):
    checked(widget)
    shown(widget, [*says("liver", 6), *says("spleen", 1, "fail"), *says("spleen", 2), *says("aorta", 4)])
    assert heads(widget) == [
        "Spleen: 1 not plausible, 2 worth a look", "Liver: 6 worth a look", "Aorta: 4 worth a look"
    ]  # fmt: skip
    spleen, liver = widget.ui.findingsTree.topLevelItem(0), widget.ui.findingsTree.topLevelItem(1)
    closed = widget.ui.findingsTree.height
    click(widget, liver)
    assert [liver.child(n).text(0) for n in range(6)] == [f"Says {n}." for n in range(6)] and liver.isExpanded()
    assert not spleen.isExpanded() and widget.ui.findingsTree.height > closed
    widget.panel.plausibility._list()  # as when what is as expected is asked for
    liver = widget.ui.findingsTree.topLevelItem(1)
    assert liver.isExpanded(), "what is open stays so"
    picture(widget.parent, "findings")
    click(widget, liver)
    assert not liver.isExpanded() and widget.ui.findingsTree.height == closed
    QtTest.QTest.keyClick(widget.ui.findingsTree, QtCore.Qt.Key_Right)
    assert liver.isExpanded(), "the arrow keys open and close too"


def test_a_structure_with_one_finding_says_it_at_once_and_the_only_one_is_open(widget, broken):
    checked(widget)
    shown(widget, [*says("liver", 1), *says("spleen", 2)])
    assert heads(widget) == ["Spleen: 2 worth a look", "Liver: says 0."]
    shown(widget, says("spleen", 2))
    assert widget.ui.findingsTree.topLevelItem(0).isExpanded()


def test_a_long_sentence_is_wrapped_and_whole_at_every_width(widget, broken):
    checked(widget)
    words = "Liver: " + "a long word " * 30 + "and the end."
    shown(widget, [replace(says("liver", 1)[0], sentence=words), *says("spleen", 2)])
    tree, heights = widget.ui.findingsTree, []
    for width in (700, 400):
        widget.parent.resize(width, 900)
        settle()
        item = tree.topLevelItem(1)
        wanted = (
            tree.fontMetrics().boundingRect(0, 0, tree.viewport().width() - 40, 9999, 0x1000, item.text(0)).height()
        )
        heights.append(tree.visualItemRect(item).height())
        assert heights[-1] >= wanted, "no line of the text is cut off"
        assert tree.visualItemRect(item).bottom() <= tree.viewport().height()
    assert heights[1] > heights[0]
    shown(widget, says("liver", 40))
    assert tree.height < 40 * MOST_LINES, "more lines scroll"


def test_components_too_small_to_matter_are_one_line(widget):
    add_scan("CT", np.random.default_rng(9).normal(60, 10, SHAPE).astype(np.int16), SPACING_MM, origin_lps=ORIGIN)
    widget.initializeParameterNode()
    made = labels()
    made[0, 2:6, 2:10] = 1  # 0.2 ml of liver and of spleen far from both
    made[23, 85:89, 85:93] = 2
    widget.ui.predictionSelector.setCurrentNode(add("Prediction", made))
    settle()
    checked(widget)
    small = [line for line in lines(widget) if line.startswith("Small components")]
    assert len(small) == 1 and "liver (" in small[0] and "spleen (" in small[0]
    assert not any(APART in line for line in lines(widget))


def test_the_ground_truth_tells_which_findings_it_shares(widget, broken):
    widget.ui.referenceSelector.setCurrentNode(add("Ground truth", labels(small_component=True)))
    settle()
    text = checked(widget)
    assert "the same." in text and "none of them" not in text
    assert all(sentence.endswith("The ground truth has it too.") for sentence in sentences(widget))
    assert all("; all in the ground truth too" in head for head in heads(widget) if "worth a look" in head)
    widget.ui.referenceSelector.setCurrentNode(add("Clean", labels()))
    settle()
    assert not widget.ui.findingsTree.visible, "another choice empties the list"
    checked(widget)
    small_component = next(sentence for sentence in sentences(widget) if APART in sentence)
    assert "ground truth" not in small_component and not any("ground truth" in head for head in heads(widget))


def test_the_statistics_of_the_checkpoint_count(widget, broken, checkpoints):
    from UNetSegmenterLib.engine.model.checkpoint import load_checkpoint

    panel = widget.panel
    panel.model.card = replace(load_checkpoint(checkpoints["good"]).card, statistics=statistics())
    panel.update()
    slicer.util.arrayFromVolume(widget.ui.inputSelector.currentNode())[:] = -500
    text = checked(widget)
    assert "Limits: training statistics of 12 cases." in text and "rules of thumb" not in text
    assert "2 of 2 structures" not in text
    assert any("12 training cases" in sentence for sentence in sentences(widget)), sentences(widget)
    panel.model.card = None


def test_a_model_without_statistics_says_how_to_add_them_and_one_without_hu_is_not_checked_by_them(widget, broken):
    panel = widget.panel
    slicer.util.arrayFromVolume(widget.ui.inputSelector.currentNode())[:] = -500  # air everywhere, if these were HU
    for intensities, gas in (("HU", True), ("any", False)):
        preprocessing = SimpleNamespace(intensities=intensities, window_hu=None)
        panel.model.card = SimpleNamespace(statistics={}, preprocessing=preprocessing, structures=())
        panel.update()
        text = checked(widget)
        assert (
            "Limits: rules of thumb; add statistics with unetseg release MODEL DATASET. Sizes are not checked." in text
        )
        assert any("hold air or lung" in sentence for sentence in sentences(widget)) == gas
        assert ("other intensities than HU" in text) != gas
    panel.model.card = None


def test_changes_crashes_and_removed_nodes(widget, broken):
    checked(widget)
    broken.GetSegmentation().RemoveSegment(broken.GetSegmentation().GetNthSegmentID(0))
    settle()
    assert "was changed" in widget.panel.plausibility.notes[0].text and not widget.ui.findingsTree.visible
    press(widget.ui.checkButton)
    press(widget.ui.checkButton)
    assert "cancelled" in widget.panel.plausibility.notes[0].text
    press(widget.ui.checkButton)
    turn(lambda: widget.panel.worker.requests == ("check",) and widget.panel.worker.pid, 60)
    os.kill(widget.panel.worker.pid, signal.SIGKILL)
    turn(lambda: not widget.panel.plausibility.is_busy, 30)
    assert "ended unexpectedly; press Check" in widget.panel.plausibility.notes[0].text
    checked(widget)
    slicer.mrmlScene.RemoveNode(broken)
    settle()
    assert not widget.ui.findingsTree.visible and not widget.ui.checkButton.enabled
    assert '"Prediction" was removed' in widget.panel.plausibility.notes[0].text


def test_scripting_finds_what_the_panel_finds(widget, broken):
    checked(widget)
    scan = widget.ui.inputSelector.currentNode()
    assert repr(widget.logic.check(broken, scan)) == repr(widget.panel.plausibility.findings)
