"""What is made of a comparison and drawn instead of the prediction: made in steps, renewed, followed and taken away again."""

from __future__ import annotations

import numpy as np
import pytest
import slicer
from host.pressing import picture, press, settle, turn
from host.scans import add, choose, organs
from UNetSegmenterLib.scene.views.layout import view_ids

ERRORS = "Prediction errors"


def find(name):
    return slicer.mrmlScene.GetFirstNodeByName(name)


def displays():
    return slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLDisplayNode")


def views_of(node):
    display = node.GetDisplayNode()
    return [display.GetNthViewNodeID(number) for number in range(display.GetNumberOfViewNodeIDs())]


def compare(widget):
    press(widget.ui.compareButton)
    turn(lambda: not widget.panel.compare.is_busy, 60)


def compared(widget, without=("stomach",)):
    """Prediction and ground truth, compared; the prediction lacks the stomach and is off in its lower row of organs."""
    prediction, reference = add("Prediction", organs(3, without)), add("Ground truth", organs())
    choose(widget, prediction, reference)
    compare(widget)
    return prediction, reference


def shown(widget, button="errorMapButton", overlay="error_map"):
    press(getattr(widget.ui, button))
    turn(lambda: getattr(widget.panel.errors, overlay).drawn is not None, 60)


def names(node):
    segments = node.GetSegmentation()
    return [segments.GetNthSegment(number).GetName() for number in range(segments.GetNumberOfSegments())]


def test_the_error_map_is_drawn_instead_and_goes_away(widget):
    assert not widget.ui.errorMapButton.enabled and "Press Compare first" in widget.ui.errorMapButton.toolTip
    prediction, reference = compared(widget)
    before = displays()
    shown(widget)
    node = find(ERRORS)
    assert len(names(node)) == 4 and "false negative" in widget.ui.errorsLabel.text and widget.ui.errorsLabel.visible
    assert not prediction.GetDisplayNode().GetVisibility2D() and not reference.GetDisplayNode().GetVisibility2D()
    picture(widget.parent, "error map")
    press(widget.ui.errorMapButton)
    assert find(ERRORS) is None and displays() == before and not widget.ui.errorsLabel.visible
    assert prediction.GetDisplayNode().GetVisibility2D() and reference.GetDisplayNode().GetVisibility2D()


def test_one_structure_by_choice_and_by_a_click_on_its_row(widget):
    compared(widget)
    shown(widget)
    combo, panel = widget.ui.errorStructureComboBox, widget.panel
    assert combo.itemText(0) == "All structures" and combo.count == 9
    rows = {row.structure: row for row in panel.compare.comparison.rows}
    panel.compare.go_to(rows["spleen"])
    assert combo.currentIndex == 0, "all structures stay all"
    combo.setCurrentIndex(combo.findText("liver"))
    turn(lambda: panel.errors.error_map.drawn is not None)
    assert len(names(find(ERRORS))) == 3 and "Errors of liver" in widget.ui.errorsLabel.text
    panel.compare.go_to(rows["stomach"])
    turn(lambda: panel.errors.error_map.drawn is not None)
    missed = rows["stomach"].measures.reference_ml
    assert combo.currentText == "stomach" and names(find(ERRORS)) == [
        "agreement (0.0 ml)", "false positive (0.0 ml)", f"false negative ({missed:.1f} ml)",
    ]  # fmt: skip
    assert slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLSegmentationNode") == 3


def test_it_is_renewed_with_the_comparison(widget):
    prediction, _ = compared(widget)
    shown(widget)
    before = names(find(ERRORS))
    segments = prediction.GetSegmentation()
    segments.RemoveSegment(segments.GetSegmentIdBySegmentName("liver"))
    settle()
    assert find(ERRORS) is None and widget.ui.errorMapButton.checked, "nothing is compared now"
    assert prediction.GetDisplayNode().GetVisibility2D()
    compare(widget)
    turn(lambda: widget.panel.errors.error_map.drawn is not None, 60)
    assert names(find(ERRORS)) != before and widget.ui.errorStructureComboBox.findText("liver") < 0


def test_side_by_side_it_is_in_the_upper_row_alone(widget):
    prediction, reference = compared(widget)
    shown(widget)
    press(widget.ui.sideBySideButton)
    settle()
    assert views_of(find(ERRORS)) == view_ids("Pred") and views_of(reference) == view_ids("Ref")
    assert reference.GetDisplayNode().GetVisibility2D() and not prediction.GetDisplayNode().GetVisibility2D()
    press(widget.ui.sideBySideButton)
    assert not views_of(find(ERRORS)) and not reference.GetDisplayNode().GetVisibility2D()
    press(widget.ui.sideBySideButton)
    press(widget.ui.errorMapButton)
    press(widget.ui.sideBySideButton)
    assert prediction.GetDisplayNode().GetVisibility2D() and reference.GetDisplayNode().GetVisibility2D()
    shown(widget)
    assert not views_of(find(ERRORS))


def test_deleted_nodes_other_nodes_and_another_scene(widget):
    prediction, reference = compared(widget)
    shown(widget)
    slicer.mrmlScene.RemoveNode(find(ERRORS))
    settle()
    assert not widget.ui.errorMapButton.checked and prediction.GetDisplayNode().GetVisibility2D()
    shown(widget)
    widget.ui.errorStructureComboBox.setCurrentIndex(2)
    slicer.mrmlScene.RemoveNode(reference)
    settle()
    assert widget.ui.errorStructureComboBox.currentIndex == 0, "another pair of nodes begins with all structures"
    assert find(ERRORS) is None and not widget.ui.errorMapButton.checked and not widget.ui.errorMapButton.enabled
    assert prediction.GetDisplayNode().GetVisibility2D()
    reference = add("Ground truth", organs())
    choose(widget, prediction, reference)
    compare(widget)
    shown(widget)
    widget.ui.referenceSelector.setCurrentNode(None)
    settle()
    assert find(ERRORS) is None and not widget.ui.errorMapButton.checked
    choose(widget, prediction, reference)
    compare(widget)
    shown(widget)
    slicer.mrmlScene.Clear(0)
    settle()
    assert not widget.ui.errorMapButton.checked and widget.panel.errors.error_map.drawn is None


def test_a_label_map_as_ground_truth_side_by_side(widget):
    prediction, drawn = add("Prediction", organs(3)), add("Drawn", organs())
    label_map = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode", "Ground truth")
    slicer.vtkSlicerSegmentationsModuleLogic.ExportAllSegmentsToLabelmapNode(
        drawn, label_map, slicer.vtkSegmentation.EXTENT_REFERENCE_GEOMETRY
    )
    slicer.mrmlScene.RemoveNode(drawn)
    choose(widget, prediction, label_map)
    compare(widget)
    shown(widget)
    node = painted(widget)
    assert "agreement" in widget.ui.errorsLabel.text and "mm" in widget.ui.errorsLabel.text
    press(widget.ui.sideBySideButton)
    turn(lambda: prediction.GetSegmentation().ContainsRepresentation("Closed surface"), 60)
    settle()
    assert views_of(node) == views_of(find(ERRORS)) == view_ids("Pred")
    press(widget.ui.sideBySideButton)
    for button in (widget.ui.errorMapButton, widget.ui.distanceColorsButton):
        press(button)
    assert find(ERRORS) is None and prediction.GetDisplayNode().GetVisibility2D()
    assert prediction.GetDisplayNode().GetVisibility3D()


def test_a_node_that_goes_while_they_are_made(widget):
    prediction, reference = compared(widget)
    press(widget.ui.distanceColorsButton)
    turn(lambda: "measured" in widget.ui.errorsLabel.text)
    slicer.mrmlScene.RemoveNode(reference)
    settle()
    assert not widget.panel.errors.distances.is_making and not widget.ui.distanceColorsButton.checked
    assert not widget.ui.errorsLabel.visible and prediction.GetDisplayNode().GetVisibility3D()


def test_structures_on_one_side_and_what_cannot_be_shown(widget):
    from UNetSegmenterLib.engine.labels.structures import ABDOMEN8

    one = np.where(organs() == 1, 1, 0).astype(np.uint8)
    other = np.where(organs() == 2, 1, 0).astype(np.uint8)
    liver = [structure for structure in ABDOMEN8 if structure.index in (1, 2)]
    from dataclasses import replace

    prediction = add("Prediction", one, structures=liver[:1])
    reference = add("Ground truth", other, structures=[replace(liver[1], index=1)])
    choose(widget, prediction, reference)
    compare(widget)
    assert not widget.ui.errorMapButton.enabled
    assert "No structure is on both sides" in widget.ui.errorMapButton.toolTip


def test_a_second_press_cancels_what_is_being_made(widget):
    shape = (100, 384, 384)
    prediction, reference = (
        add(name, organs(by, (), shape), (1.0, 0.8, 0.8)) for name, by in (("Prediction", 6), ("R", 0))
    )
    choose(widget, prediction, reference)
    compare(widget)
    shown(widget)
    widget.ui.errorStructureComboBox.setCurrentText("liver")
    press(widget.ui.distanceColorsButton)
    turn(lambda: "% of its surface measured" in widget.ui.errorsLabel.text, 60)
    press(widget.ui.distanceColorsButton)
    assert not widget.panel.errors.distances.is_making and find("Prediction distances") is None
    press(widget.ui.errorMapButton)
    press(widget.ui.errorMapButton)
    assert widget.panel.errors.error_map.is_making
    press(widget.ui.errorMapButton)
    settle()
    assert not widget.panel.errors.error_map.is_making and find(ERRORS) is None


def painted(widget):
    shown(widget, "distanceColorsButton", "distances")
    return find("Prediction distances")


def test_distance_colors_in_3d_and_back(widget):
    prediction, reference = compared(widget)
    assert widget.ui.distanceScaleSpinBox.value == 10 == widget.panel.parameters.distanceScale
    before = displays(), slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLColorTableNode")
    node = painted(widget)
    display, text = node.GetDisplayNode(), widget.ui.errorsLabel.text
    assert "aorta 0.0 mm;" in text and "stomach on one side only" in text and "liver -" in text
    assert not prediction.GetDisplayNode().GetVisibility3D() and prediction.GetDisplayNode().GetVisibility2D()
    assert display.GetScalarRange() == (-10, 10)
    widget.ui.distanceScaleSpinBox.setValue(4)
    assert display.GetScalarRange() == (-4, 4) and widget.panel.parameters.distanceScale == 4
    shown(widget)
    picture(widget.parent, "distance colours")
    press(widget.ui.errorMapButton)
    press(widget.ui.distanceColorsButton)
    assert find("Prediction distances") is None and not widget.ui.errorsLabel.visible
    assert (displays(), slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLColorTableNode")) == before
    assert prediction.GetDisplayNode().GetVisibility3D() and reference.GetDisplayNode().GetVisibility3D()


def test_distance_colors_side_by_side_with_one_bar(widget):
    prediction, _ = compared(widget)
    node = painted(widget)
    press(widget.ui.sideBySideButton)
    turn(lambda: prediction.GetSegmentation().ContainsRepresentation("Closed surface"), 60)
    settle()
    assert views_of(node) == view_ids("Pred") and not prediction.GetDisplayNode().GetVisibility3D()
    bars = [node.GetNthDisplayNode(number) for number in range(1, node.GetNumberOfDisplayNodes())]
    assert len(bars) == 1 and bars[0].GetNthViewNodeID(3) == "vtkMRMLViewNodePred3D"
    press(widget.ui.sideBySideButton)
    assert not views_of(node) and slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLColorLegendDisplayNode") == 1
    slicer.mrmlScene.RemoveNode(node)
    settle()
    assert not widget.ui.distanceColorsButton.checked and prediction.GetDisplayNode().GetVisibility3D()
    assert not slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLColorLegendDisplayNode"), "a bar without colours"
    painted(widget)
    slicer.mrmlScene.RemoveNode(prediction)
    settle()
    assert find("Prediction distances") is None and not widget.ui.distanceColorsButton.checked
    assert not slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLColorLegendDisplayNode")


def test_the_logic_makes_one_too(widget):
    prediction, reference = add("Prediction", organs(3)), add("Ground truth", organs())
    node = widget.logic.errorMap(prediction, reference, "liver")
    assert node is find(ERRORS) and len(names(node)) == 3
    distances = widget.logic.distanceColors(prediction, reference, "liver", scale=5)
    assert distances.GetName() == "Prediction distances" and distances.GetDisplayNode().GetScalarRange() == (-5, 5)
    with pytest.raises(ValueError, match="not on both sides"):
        widget.logic.errorMap(prediction, reference, "appendix")
