"""The layouts of the module: what is shown how, one structure at a time, the slice curve, and every way back."""

from __future__ import annotations

import pytest
import qt
import slicer
import vtk
from host.pressing import picture, press, settle, turn
from host.scans import add, choose, organs
from PySide6 import QtCore, QtTest
from UNetSegmenterLib.engine.labels.distinct_colors import distinct_colors
from UNetSegmenterLib.panel.widgets.structure_choice import ALL
from UNetSegmenterLib.scene.nodes.node_attributes import set_matched_by_hand
from UNetSegmenterLib.scene.views.layout import ONE_ROW, ONLY_3D, TWO_ROWS, VARIANTS, layout_id, plot_view_id, view_ids

FOUR_UP = 3


def views_of(node):
    display = node.GetDisplayNode()
    return [display.GetNthViewNodeID(number) for number in range(display.GetNumberOfViewNodeIDs())]


def layout():
    return slicer.app.layoutManager().layout


def shown(widget):
    prediction, reference = add("Prediction", organs(shift=3)), add("Ground truth", organs())
    choose(widget, prediction, reference)
    press(widget.ui.sideBySideButton)
    settle()
    return prediction, reference


@pytest.fixture
def rows(widget):
    """Two rows of views, compared."""
    prediction, reference = shown(widget)
    press(widget.ui.compareButton)
    turn(lambda: not widget.panel.compare.is_busy, 120)
    return prediction, reference


def axial(name="PredAx"):
    node = slicer.mrmlScene.GetNodeByID(f"vtkMRMLSliceNode{name}")
    return [node.GetSliceToRAS().GetElement(axis, 3) for axis in range(3)]


def chart(title="Dice"):
    return slicer.mrmlScene.GetNodeByID(plot_view_id(title)).GetPlotChartNode()


def fill(node, structure):
    """How much of its opacity the segment of a structure has."""
    segments = node.GetSegmentation()
    return node.GetDisplayNode().GetSegmentOpacity2DFill(segments.GetSegmentIdBySegmentName(structure))


def click_point(number):
    """What Slicer's plot view tells when a point is clicked."""
    manager, points, selections = slicer.app.layoutManager(), vtk.vtkIdTypeArray(), vtk.vtkCollection()
    points.InsertNextValue(number)
    selections.AddItem(points)
    for one in range(manager.plotViewCount):
        widget = manager.plotWidget(one)
        if widget.mrmlPlotViewNode().GetID() == plot_view_id("Dice"):
            widget.plotView().dataSelected.emit(vtk.vtkStringArray(), selections)


def press_key(key):
    window = slicer.util.mainWindow()
    window.show()
    window.activateWindow()
    settle()
    QtTest.QTest.keyClick(window, key)


def test_the_button_shows_two_rows_and_puts_all_back(widget):
    assert not widget.ui.sideBySideButton.enabled and not widget.ui.outlineCheckBox.enabled
    prediction, reference = shown(widget)
    assert layout() == layout_id(TWO_ROWS) and widget.ui.sideBySideButton.checked
    assert views_of(prediction) == view_ids("Pred") and views_of(reference) == view_ids("Ref")
    turn(lambda: reference.GetSegmentation().ContainsRepresentation("Closed surface"), 60)
    widget.ui.outlineCheckBox.click()
    assert not prediction.GetDisplayNode().GetVisibility2DFill()
    widget.ui.outlineCheckBox.click()
    assert prediction.GetDisplayNode().GetVisibility2DFill()
    picture(widget.parent, "side by side")
    press(widget.ui.sideBySideButton)
    assert layout() == FOUR_UP and not views_of(prediction) and not views_of(reference)


def drawn(node):
    """The colours in which a node's segments are drawn, by name."""
    segments, display = node.GetSegmentation(), node.GetDisplayNode()
    named = ((segments.GetSegment(one).GetName(), display.GetSegmentColor(one)) for one in segments.GetSegmentIDs())
    return {name: tuple(round(255 * color[channel]) for channel in range(3)) for name, color in named}


def swatches(widget):
    table = widget.panel.compare.table
    return [
        table._model.data(table._model.index(number, 0), qt.Qt.DecorationRole).name()
        for number in range(len(table.rows))
    ]


def test_distinct_colours_go_with_the_switch_and_with_every_way_out(widget, rows, module):
    box, names = widget.ui.distinctColorsCheckBox, [row.structure for row in widget.panel.compare.table.rows]
    before, before_in_table = [drawn(node) for node in rows], swatches(widget)
    widget.panel.compare.slices.choose(names[1])
    press(box)
    wanted = dict(zip(names, distinct_colors(names), strict=True))
    assert [drawn(node) for node in rows] == [wanted, wanted] and before[0] != wanted
    assert swatches(widget) == [qt.QColor(*wanted[name]).name() for name in names] != before_in_table
    assert widget.panel.compare.slices.row.color == wanted[names[1]], "the plot of the one that is chosen has it too"
    swatch = widget.ui.structureComboBox.itemIcon(2).pixmap(8, 8).toImage().pixelColor(3, 3)
    assert swatch.name() == qt.QColor(*wanted[names[1]]).name()
    picture(widget.parent, "distinct colours")
    press(box)
    assert [drawn(node) for node in rows] == before and swatches(widget) == before_in_table
    press(box)
    module.exit()
    own = [{one.GetName(): one.GetColor() for one in segments(node)} for node in rows]
    assert [drawn(node) for node in rows] == [
        {name: tuple(round(255 * part) for part in color) for name, color in one.items()} for one in own
    ]
    assert box.checked, "the choice stays"
    module.enter()
    press(widget.ui.sideBySideButton)
    assert drawn(rows[0]) == wanted
    press(widget.ui.sideBySideButton)
    press(box)


def segments(node):
    return [node.GetSegmentation().GetNthSegment(n) for n in range(node.GetSegmentation().GetNumberOfSegments())]


def test_every_other_way_out_puts_all_back_too(widget, module):
    prediction, reference = shown(widget)
    slicer.app.layoutManager().setLayout(2)
    assert layout() == 2 and not widget.ui.sideBySideButton.checked and not views_of(prediction)
    press(widget.ui.sideBySideButton)
    module.exit()
    assert layout() == 2 and not views_of(reference)
    module.enter()
    press(widget.ui.sideBySideButton)
    slicer.mrmlScene.RemoveNode(reference)
    settle()
    assert layout() == 2 and not views_of(prediction) and not widget.ui.sideBySideButton.enabled
    slicer.app.layoutManager().setLayout(FOUR_UP)


def test_a_closed_scene_leaves_the_layout(widget):
    shown(widget)
    slicer.mrmlScene.Clear(0)
    settle()
    assert layout() == FOUR_UP and not widget.panel.views.is_shown


def test_a_scene_that_is_saved_meanwhile_is_put_right_when_it_is_read(widget):
    shown(widget)
    widget.ui.opacitySlider.setValue(70)
    scene = slicer.mrmlScene
    scene.SetSaveToXMLString(True)
    scene.Commit()
    text = scene.GetSceneXMLString()
    scene.SetSaveToXMLString(False)
    scene.Clear(0)
    settle()
    scene.SetLoadFromXMLString(True)
    scene.SetSceneXMLString(text)
    scene.Import()
    scene.SetLoadFromXMLString(False)
    settle()
    assert layout() == FOUR_UP and not widget.panel.views.is_shown
    for name in ("Prediction", "Ground truth"):
        display = scene.GetFirstNodeByName(name).GetDisplayNode()
        assert not display.GetNumberOfViewNodeIDs() and display.GetOpacity2DFill() == 0.5, "not the 0.7 of the views"
        assert not display.GetAttribute("UNetSegmenter.BeforeSideBySide")


def test_another_variant_keeps_the_place_and_is_remembered(widget):
    prediction, reference = shown(widget)
    ui, parameters = widget.ui, widget.panel.parameters
    assert [ui.viewsLayoutComboBox.itemText(index) for index in range(3)] == list(VARIANTS)
    slicer.mrmlScene.GetNodeByID("vtkMRMLSliceNodePredAx").JumpSliceByCentering(-20.0, -30.0, 40.0)
    before = axial()
    ui.viewsLayoutComboBox.setCurrentText(ONE_ROW)
    assert layout() == layout_id(ONE_ROW) and widget.panel.views.is_shown and parameters.viewsLayout == ONE_ROW
    assert views_of(reference) == view_ids("Pred") == views_of(prediction) and axial() == before
    assert not reference.GetDisplayNode().GetVisibility2DFill()
    ui.viewsLayoutComboBox.setCurrentText(ONLY_3D)
    assert layout() == layout_id(ONLY_3D) and views_of(reference) == view_ids("Ref")
    press(ui.sideBySideButton)
    assert layout() == FOUR_UP and not views_of(reference) and not views_of(prediction)
    press(ui.sideBySideButton)
    assert layout() == layout_id(ONLY_3D), "the choice holds"
    ui.viewsLayoutComboBox.setCurrentText(TWO_ROWS)
    assert layout() == layout_id(TWO_ROWS)


def test_lines_and_opacity_are_remembered_and_undone(widget):
    ui = widget.ui
    assert not ui.opacitySlider.enabled and "first" in ui.opacitySlider.toolTip
    prediction, reference = shown(widget)
    before = prediction.GetDisplayNode().GetOpacity2DFill()
    ui.opacitySlider.setValue(80)
    ui.outlineCheckBox.click()
    parameters = widget.logic.getParameterNode()
    assert parameters.opacity == 80 and parameters.outlines
    for node in (prediction, reference):
        assert node.GetDisplayNode().GetOpacity2DFill() == 0.8 and not node.GetDisplayNode().GetVisibility2DFill()
    press(ui.sideBySideButton)
    assert (
        prediction.GetDisplayNode().GetOpacity2DFill() == before and prediction.GetDisplayNode().GetVisibility2DFill()
    )
    press(ui.sideBySideButton)
    assert reference.GetDisplayNode().GetOpacity2DFill() == 0.8


def test_one_structure_after_the_other_by_button_key_and_choice(widget):
    ui = widget.ui
    assert not ui.structureComboBox.enabled and "Show side by side" in ui.nextStructureButton.toolTip
    prediction, reference = shown(widget)
    names = [ui.structureComboBox.itemText(index) for index in range(ui.structureComboBox.count)]
    assert names[0] == ALL and len(names) == 9 and "W" in ui.nextStructureButton.toolTip
    press(ui.nextStructureButton)
    assert ui.structureComboBox.currentText == names[1]
    assert fill(prediction, names[1]) == fill(reference, names[1]) == 1 and fill(reference, names[2]) < 0.5
    center = prediction.GetSegmentCenterRAS(prediction.GetSegmentation().GetSegmentIdBySegmentName(names[1]))
    assert axial() == pytest.approx(center), "not compared yet: its centre"
    press_key(QtCore.Qt.Key_W)
    assert ui.structureComboBox.currentText == names[2] and fill(prediction, names[2]) == 1
    press_key(QtCore.Qt.Key_Q)
    press(ui.previousStructureButton)
    assert ui.structureComboBox.currentText == ALL and fill(prediction, names[2]) == fill(prediction, names[1]) == 1
    press(ui.previousStructureButton)
    assert ui.structureComboBox.currentText == names[-1], "round and round"
    press(ui.sideBySideButton)
    press_key(QtCore.Qt.Key_W)
    assert ui.structureComboBox.currentText == ALL and fill(prediction, names[1]) == 1
    assert not ui.structureComboBox.enabled


def test_a_row_of_the_table_chooses_and_a_choice_goes_to_the_largest_error(widget, rows):
    ui, compare = widget.ui, widget.panel.compare
    prediction, _ = rows
    row = next(row for row in compare.table.rows if row.structure == "pancreas")
    compare.go_to(row)
    assert ui.structureComboBox.currentText == "pancreas" and fill(prediction, "liver") < 0.5
    press(ui.nextStructureButton)
    name = ui.structureComboBox.currentText
    place = next(row.largest_error_ras for row in compare.table.rows if row.structure == name)
    assert axial() == pytest.approx(place) and ui.sliceLabel.text == f"{name}: its largest error."
    press(ui.worstSliceButton)
    assert name in ui.sliceLabel.text and "(1 of" in ui.sliceLabel.text


def test_what_was_matched_by_hand_stands_out_on_both_sides(widget, rows):
    ui, (prediction, reference) = widget.ui, rows
    set_matched_by_hand(prediction, reference, {"liver": "spleen", "spleen": None})
    ui.structureComboBox.setCurrentText("spleen")
    press(ui.compareButton)
    turn(lambda: not widget.panel.compare.is_busy, 120)
    assert ui.structureComboBox.currentText == "spleen", "a choice outlives another comparison"
    assert fill(prediction, "liver") == fill(reference, "spleen") == 1 and fill(prediction, "spleen") < 0.5


def test_a_click_on_the_slice_curve_goes_to_its_slice(widget, rows):
    ui, compare = widget.ui, widget.panel.compare
    ui.sliceCurveCheckBox.click()
    assert layout() == layout_id(TWO_ROWS, with_plots=True) and chart().GetTitle() == "Choose one structure"
    compare.go_to(compare.table.rows[0])
    name = compare.table.rows[0].structure
    assert chart().GetTitle() == f"{name}: Dice" and chart("Area").GetNumberOfPlotSeriesNodes() == 2
    click_point(3)
    row = compare.slices.row
    assert axial()[2] == pytest.approx(row.curve.position_mm[3])
    assert f"slice {row.curve.slices[3]} (" in ui.sliceLabel.text
    rank = row.curve.worst_first().index(3)
    press(ui.nextWorseButton)
    assert f"slice {row.curve.slices[row.curve.worst_first()[rank + 1]]} (" in ui.sliceLabel.text
    ui.viewsLayoutComboBox.setCurrentText(ONLY_3D)
    assert layout() == layout_id(ONLY_3D, with_plots=True) and chart().GetTitle() == f"{name}: Dice"
    ui.sliceCurveCheckBox.click()
    assert layout() == layout_id(ONLY_3D) and chart() is None
    ui.sliceCurveCheckBox.click()
    press(ui.sideBySideButton)
    for kind in ("vtkMRMLPlotChartNode", "vtkMRMLPlotSeriesNode", "vtkMRMLTableNode"):
        assert not slicer.mrmlScene.GetNumberOfNodesByClass(kind), kind


@pytest.mark.parametrize(
    ("axis", "view", "component", "color", "title"),
    [("coronal", "Co", 1, "green", "Anterior (mm)"), ("sagittal", "Sa", 0, "yellow", "Right (mm)")],
)
def test_slices_of_a_network_that_is_not_axial_are_shown_in_their_own_view(widget, axis, view, component, color, title):
    ui, compare = widget.ui, widget.panel.compare
    prediction, _ = shown(widget)
    prediction.SetAttribute("UNetSegmenter.SlicingAxis", axis)
    press(ui.compareButton)
    turn(lambda: not compare.is_busy, 120)
    ui.sliceCurveCheckBox.click()
    compare.go_to(compare.table.rows[0])
    assert chart().GetXAxisTitle() == title
    press(ui.worstSliceButton)
    row = compare.slices.row
    worst = row.curve.worst_first()[0]
    assert axial(f"Pred{view}")[component] == pytest.approx(row.curve.position_mm[worst])
    assert axial(f"Ref{view}")[component] == pytest.approx(row.curve.position_mm[worst])
    assert f"{axis} slice {row.curve.slices[worst]} in the {color} view (1 of " in ui.sliceLabel.text
    click_point(1)
    assert axial(f"Pred{view}")[component] == pytest.approx(row.curve.position_mm[1])


def test_the_slice_curve_comes_with_the_table_and_goes_with_it(widget):
    ui = widget.ui
    prediction, _ = shown(widget)
    ui.sliceCurveCheckBox.click()
    assert chart().GetTitle() == "Press Compare first"
    press(ui.nextStructureButton)
    assert chart().GetTitle() == "Press Compare first"
    press(ui.compareButton)
    turn(lambda: not widget.panel.compare.is_busy, 120)
    assert chart().GetTitle() == f"{ui.structureComboBox.currentText}: Dice"
    click_point(0)
    prediction.GetSegmentation().RemoveSegment("Segment_1")
    assert chart().GetTitle() == "Press Compare first"
    click_point(0)
    slicer.mrmlScene.Clear(0)
    settle()
    assert layout() == FOUR_UP and not slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLPlotChartNode")


def test_a_label_map_is_shown_like_a_segmentation_and_a_wrong_one_refused(widget):
    prediction = add("Prediction", organs(shift=3))
    truth = add("Drawn", organs())
    label_map = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode", "Labels")
    slicer.modules.segmentations.logic().ExportAllSegmentsToLabelmapNode(truth, label_map)
    slicer.mrmlScene.RemoveNode(truth)
    choose(widget, prediction, label_map)
    press(widget.ui.sideBySideButton)
    assert widget.panel.views.is_shown and widget.ui.referenceSelector.currentNode() is label_map
    hidden = slicer.util.getNodesByClass("vtkMRMLSegmentationNode")[-1]
    assert views_of(hidden) == view_ids("Ref") and hidden is not prediction
    turn(lambda: hidden.GetSegmentation().ContainsRepresentation("Closed surface"), 60)
    press(widget.ui.sideBySideButton)
    assert list(slicer.util.getNodesByClass("vtkMRMLSegmentationNode")) == [prediction]
    scan = label_map.GetImageData().GetPointData().GetScalars()
    scan.FillComponent(0, 0)
    scan.SetValue(0, -7)
    press(widget.ui.sideBySideButton)
    assert layout() == FOUR_UP and not widget.panel.views.is_shown and not widget.ui.sideBySideButton.checked
    assert "not a label map" in widget.panel.compare.notes[-1].text
