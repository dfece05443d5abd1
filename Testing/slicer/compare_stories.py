"""Stories of a comparison: table, findings, error views, verdicts, a test set, layouts and the slice curve."""

from __future__ import annotations

import html
import time

import qt
import slicer
import vtk
from eyes import ROWS, assert_seen, assert_side_by_side, settle_views, tool_tip
from world import Skip, Stalls


def prediction_and_ground_truth_are_compared_and_checked(world):
    """All structures in one table, a click that leads there, findings, and two rows of views that go again."""
    scan = world.add_scan()
    prediction, reference = world.add_segmentation("Prediction", shift=3), world.add_segmentation("Ground truth")
    world.ui.predictionSelector.setCurrentNode(prediction)
    world.ui.referenceSelector.setCurrentNode(reference)
    world.settle()
    assert not world.ui.compareCollapsibleButton.collapsed and world.ui.compareButton.enabled
    assert tuple(world.ui.referenceSelector.nodeTypes) == ("vtkMRMLSegmentationNode", "vtkMRMLLabelMapVolumeNode")
    assert world.widget.panel.parameters.groundTruth is reference
    started = time.perf_counter()
    world.press(world.ui.compareButton)
    world.turn(lambda: not world.panel.compare.is_busy, 60)
    seconds = time.perf_counter() - started
    model = world.ui.compareTable.model()
    names = [model.index(row, 0).data() for row in range(model.rowCount())]
    assert names == ["liver", "spleen (missed)"], names
    assert "Mean of 2 structures, 1 of them missed" in world.ui.compareMeanLabel.text
    world.ui.compareTable.sortByColumn(1, qt.Qt.AscendingOrder)
    assert model.index(0, 0).data() == "spleen (missed)"
    world.press(world.ui.copyTableButton)
    assert qt.QApplication.clipboard().text().startswith("case\tstructure")
    world.panel.compare.save_as = lambda title, name: str(world.folder / name)
    world.press(world.ui.saveTableButton)
    assert (world.folder / f"{scan.GetName()} metrics.csv").is_file()
    world.panel.compare._table._on_index(model.index(0, 0))
    place = world.panel.compare.comparison.rows[1].largest_error_ras
    red = slicer.mrmlScene.GetNodeByID("vtkMRMLSliceNodeRed")
    if red is not None:
        found = [red.GetSliceToRAS().GetElement(axis, 3) for axis in range(3)]
        assert max(abs(a - b) for a, b in zip(found, place)) < 0.01, (found, place)  # noqa: B905
    world.press(world.ui.checkButton)
    world.turn(lambda: not world.panel.plausibility.is_busy, 60)
    assert world.ui.findingsTree.topLevelItemCount > 0 and world.panel.plausibility.findings
    before = slicer.app.layoutManager().layout
    world.press(world.ui.sideBySideButton)
    world.settle(0.5)
    shown = prediction.GetDisplayNode()
    assert shown.GetNthViewNodeID(0) == "vtkMRMLSliceNodePredAx" and world.panel.views.is_shown
    for _ in world.at_each_size():
        assert_pair_is_seen(world, prediction, reference)
    world.picture("10-side-by-side")
    world.press(world.ui.sideBySideButton)
    assert slicer.app.layoutManager().layout == before and not shown.GetNumberOfViewNodeIDs()
    slicer.mrmlScene.RemoveNode(reference)
    world.settle()
    assert not world.ui.compareTable.isVisible() and "was removed" in world.panel.compare.notes[0].text
    assert world.ui.referenceSelector.currentNode() is None, "left alone, the selector goes on to its neighbour"
    assert world.ui.predictionSelector.currentNode() is prediction
    return f"table after {seconds:.1f} s"


def assert_pair_is_seen(world, prediction, reference):
    """Side by side, in the size that the window has."""
    settle_views(world)
    assert_side_by_side(slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLScalarVolumeNode"), [prediction, reference])


def compared_segmentations(world):
    """A prediction that lacks the spleen and whose liver is off, and its ground truth, compared in the panel."""
    world.add_scan()
    prediction, reference = world.add_segmentation("Prediction", shift=3), world.add_segmentation("Ground truth")
    world.ui.predictionSelector.setCurrentNode(prediction)
    world.ui.referenceSelector.setCurrentNode(reference)
    world.settle()
    world.press(world.ui.compareButton)
    world.turn(lambda: not world.panel.compare.is_busy, 60)
    return prediction, reference


def the_error_map_is_drawn_instead_of_the_prediction(world):
    """Four classes with their volumes in ml, one structure by choice, and everything back as it was."""
    assert "Press Compare first" in tool_tip(world.ui.errorMapButton)
    prediction, reference = compared_segmentations(world)
    stalls = Stalls()
    world.press(world.ui.errorMapButton)
    world.turn(lambda: world.panel.errors.error_map.drawn, 60)
    stalls.stop()
    node = slicer.util.getNode("Prediction errors")
    segments = node.GetSegmentation()
    names = [segments.GetNthSegment(number).GetName() for number in range(segments.GetNumberOfSegments())]
    assert [name.split(" (")[0] for name in names] == ["agreement", "false positive", "false negative", "confused"]
    assert names[1] in world.ui.errorsLabel.text and world.ui.errorsLabel.isVisible()
    assert not prediction.GetDisplayNode().GetVisibility2D() and not reference.GetDisplayNode().GetVisibility2D()
    world.press(world.ui.sideBySideButton)
    world.settle(0.5)
    assert node.GetDisplayNode().GetNthViewNodeID(0) == "vtkMRMLSliceNodePredAx"
    assert reference.GetDisplayNode().GetVisibility2D()
    assert_pair_is_seen(world, prediction, reference)
    world.picture("11-error-map")
    world.press(world.ui.sideBySideButton)
    combo = world.ui.errorStructureComboBox
    combo.setCurrentIndex(combo.findText("spleen"))
    world.turn(lambda: world.panel.errors.error_map.drawn, 60)
    assert "Errors of spleen" in world.ui.errorsLabel.text, world.ui.errorsLabel.text
    world.press(world.ui.errorMapButton)
    assert slicer.mrmlScene.GetFirstNodeByName("Prediction errors") is None
    assert prediction.GetDisplayNode().GetVisibility2D() and not world.ui.errorsLabel.isVisible()
    errors = world.widget.logic.errorMap(prediction, reference, "liver")
    assert errors.GetSegmentation().GetNumberOfSegments() == 3
    return f"longest stall {stalls.longest_ms:.0f} ms"


def distances_are_painted_on_the_prediction(world):
    """Signed distances on the surfaces, one scale, a colour bar in the 3D view, and everything back as it was."""
    prediction, reference = compared_segmentations(world)
    world.press(world.ui.distanceColorsButton)
    world.turn(lambda: world.panel.errors.distances.drawn, 120)
    node = slicer.util.getNode("Prediction distances")
    distances = node.GetPolyData().GetPointData().GetArray("Signed distance (mm)").GetRange()
    assert -6 < distances[0] < -3 and 3 < distances[1] < 6, f"off by 4.8 mm, painted {distances}"
    world.ui.distanceScaleSpinBox.setValue(5)
    world.settle()
    assert node.GetDisplayNode().GetScalarRange() == (-5.0, 5.0)
    assert not prediction.GetDisplayNode().GetVisibility3D() and not reference.GetDisplayNode().GetVisibility3D()
    bar = node.GetNthDisplayNode(1)
    assert bar.IsA("vtkMRMLColorLegendDisplayNode") and "(mm)" in bar.GetTitleText()
    world.press(world.ui.sideBySideButton)
    world.settle(1.0)
    assert node.GetNthDisplayNode(1).GetNthViewNodeID(3) == "vtkMRMLViewNodePred3D"
    assert_pair_is_seen(world, prediction, reference)
    world.picture("12-distance-colours")
    world.press(world.ui.sideBySideButton)
    slicer.mrmlScene.RemoveNode(node)
    world.settle()
    assert not world.ui.distanceColorsButton.checked and prediction.GetDisplayNode().GetVisibility3D()
    assert not slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLColorLegendDisplayNode")
    return f"distances from {distances[0]:+.1f} to {distances[1]:+.1f} mm"


def a_structure_is_matched_by_hand(world):
    """A row that no name matches gets its counterpart below the table; it is measured again."""
    world.add_scan()
    prediction, reference = world.add_segmentation("Prediction"), world.add_segmentation("Ground truth")
    for node, name in ((prediction, "ours"), (reference, "theirs")):
        segment = node.GetSegmentation().GetSegment(node.GetSegmentation().GetSegmentIdBySegmentName("spleen"))
        segment.SetName(name)
        segment.RemoveTag(slicer.vtkSegment.GetTerminologyEntryTagName())
        segment.SetTag("UNetSegmenter.SourceValues", str(40 + len(name)))
    world.ui.predictionSelector.setCurrentNode(prediction)
    world.ui.referenceSelector.setCurrentNode(reference)
    world.settle()
    world.press(world.ui.compareButton)
    world.turn(lambda: not world.panel.compare.is_busy, 60)
    model, box = world.ui.compareTable.model(), world.ui.matchComboBox
    names = [model.index(row, 0).data() for row in range(model.rowCount())]
    assert names == ["liver", "theirs (unmatched)", "ours (unmatched)"], names
    world.panel.compare._table._on_index(model.index(1, 0))
    assert world.ui.matchFrame.isVisible() and "theirs" in world.ui.matchLabel.text and box.currentText == "(nothing)"
    world.panel.compare._hand._on_choice(box.findData("ours"))
    world.turn(lambda: not world.panel.compare.is_busy, 60)
    names = [model.index(row, 0).data() for row in range(model.rowCount())]
    assert names == ["liver", "theirs (matched by hand)"], names
    world.press(world.ui.matchResetButton)
    world.turn(lambda: not world.panel.compare.is_busy, 60)
    assert model.rowCount() == 3


def a_verdict_and_a_report(world):
    """Score and comment stay with the segmentation; one press compares, checks and writes page and tables."""
    scan = world.add_scan()
    prediction, reference = world.add_segmentation("Prediction", shift=3), world.add_segmentation("Ground truth")
    ui, report = world.ui, world.panel.report
    ui.predictionSelector.setCurrentNode(prediction)
    ui.referenceSelector.setCurrentNode(reference)
    world.settle()
    assert not ui.reportCollapsibleButton.collapsed
    ui.reviewerLineEdit.setText("A. Reviewer")
    ui.scoreComboBox.setCurrentIndex(ui.scoreComboBox.findData("implausible"))
    ui.commentText.setPlainText('no "spleen"; ü')
    world.settle(0.8)
    assert prediction.GetAttribute("UNetSegmenter.VerdictScore") == "implausible"
    assert prediction.GetAttribute("UNetSegmenter.VerdictComment") == 'no "spleen"; ü'
    world.press(ui.sideBySideButton)
    folder, opened = world.folder / "report ü", []
    report.ask_for_folder, report.open_in_browser = lambda title, start: str(folder), opened.append
    stalls, started = Stalls(), time.perf_counter()
    world.press(ui.reportButton)
    world.turn(lambda: not report.is_busy, 120)
    stalls.stop()
    seconds = time.perf_counter() - started
    assert report.path == folder / "report.html", [note.text for note in report.notes]
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert "Implausible" in page and 'no "spleen"; ü' in html.unescape(page) and 'id="findings"' in page
    assert "implausible" in (folder / "metrics.csv").read_text(encoding="utf-8")
    if world.view_is_on_screen():
        assert "Prediction, in 3D" in page and "Ground truth, axial" in page, "the views on screen are in the report"
    world.press(ui.openReportButton)
    assert opened == [str(report.path)]
    world.picture("11-report")
    world.press(ui.sideBySideButton)
    logic = slicer.util.getModuleLogic("UNetSegmenter")
    assert logic.writeReport(prediction, reference, scan, world.folder / "scripted").endswith("report.html")
    return f"{seconds:.1f} s, longest stall {stalls.longest_ms:.0f} ms"


def a_test_set_is_reviewed_case_by_case(world):
    """Two cases on disk: opened, compared, reviewed, gone again; the verdicts are in reviews.csv."""
    from UNetSegmenterLib.engine.io.image_writing import write_volume
    from UNetSegmenterLib.engine.labels.seg_nrrd import write_seg_nrrd
    from UNetSegmenterLib.engine.labels.segmentation_files import write_labelmap
    from UNetSegmenterLib.scene.nodes.segmentation_from_node import segmentation_from_node
    from UNetSegmenterLib.scene.nodes.volume_nodes import volume_from_node

    folder = world.folder / "test set ü"
    for name, shift in (("a", 0), ("b", 3)):
        scan = world.add_scan()
        prediction, reference = world.add_segmentation(name, shift=shift), world.add_segmentation("Ground truth")
        write_volume(volume_from_node(scan), folder / f"{name}_image.nii.gz")
        write_labelmap(segmentation_from_node(reference, scan), folder / f"{name}_label.nii.gz")
        write_seg_nrrd(segmentation_from_node(prediction, scan), folder / "predictions" / f"{name}.seg.nrrd")
        slicer.mrmlScene.Clear(0)
    (folder / "structures.json").write_text('{"structures": {"liver": 1, "spleen": 2}}', encoding="utf-8")
    world.settle()
    ui, review, panel = world.ui, world.panel.review, world.panel
    ui.reportCollapsibleButton.collapsed = False
    ui.reviewFolderPathLineEdit.setCurrentPath(str(folder))
    world.settle(0.6)
    world.turn(lambda: not review.is_busy, 60)
    assert ui.reviewList.count == 2 and ui.nextCaseButton.text == "Start", [note.text for note in review.notes]
    for name, score in (("a", "plausible"), ("b", "implausible")):
        world.press(ui.nextCaseButton)
        world.turn(lambda: not review.is_busy, 120)
        assert panel.compare.comparison is not None and panel.compare.comparison.case == name, world.words()
        assert panel.plausibility.findings and panel.views.is_shown
        assert len(world.segmentations()) == 2, "the case before has left the scene"
        assert_pair_is_seen(world, *world.segmentations())
        ui.scoreComboBox.setCurrentIndex(ui.scoreComboBox.findData(score))
        world.picture(f"12-review-{name}")
    assert not ui.nextCaseButton.enabled and "2 of 2 reviewed" in ui.reviewLabel.text
    table = (folder / "reviews.csv").read_text(encoding="utf-8").splitlines()
    assert [line.split(",")[:2] for line in table[1:]] == [["a", "plausible"], ["b", "implausible"]], table


def layouts_structures_and_the_slice_curve(world):
    """Three layouts in one place, one structure after the other by key, and a click on the curve that leads to its slice."""
    from UNetSegmenterLib.scene.views.layout import LAYOUT_IDS, ONE_ROW, ONLY_3D, TWO_ROWS, layout_id, plot_view_id

    manager, ui = slicer.app.layoutManager(), world.ui
    if manager is None:
        raise Skip("no views here")
    scan = world.add_scan()
    prediction, reference = world.add_segmentation("Prediction", shift=3), world.add_segmentation("Ground truth")
    ui.predictionSelector.setCurrentNode(prediction)
    ui.referenceSelector.setCurrentNode(reference)
    world.settle()
    before, ours = manager.layout, prediction.GetDisplayNode()
    opacity = ours.GetOpacity2DFill()
    seconds = []
    for variant in (TWO_ROWS, ONE_ROW, ONLY_3D, TWO_ROWS):
        started = time.perf_counter()
        ui.viewsLayoutComboBox.setCurrentText(variant)
        if not world.panel.views.is_shown:
            world.press(ui.sideBySideButton)
        seconds.append(time.perf_counter() - started)
        world.settle(0.3)
        assert manager.layout == layout_id(variant) and world.panel.views.is_shown
        for _ in world.at_each_size():
            settle_views(world)
            if variant == ONLY_3D:
                assert_seen([prediction, reference])
            else:
                rows = ROWS if variant == TWO_ROWS else {"Pred": "Prediction + Ground truth"}
                assert_side_by_side(scan, [prediction, reference], rows)
        world.picture(f"13-{variant.lower().replace(' ', '-')}")
    world.press(ui.compareButton)
    world.turn(lambda: not world.panel.compare.is_busy, 60)
    ui.opacitySlider.setValue(70)
    assert abs(ours.GetOpacity2DFill() - 0.7) < 1e-6 and world.widget.panel.parameters.opacity == 70
    assert [ui.structureComboBox.itemText(index) for index in range(3)] == ["All structures", "liver", "spleen"]
    world.press(ui.nextStructureButton)
    assert ui.structureComboBox.currentText == "liver"
    assert ours.GetSegmentOpacity3D("Segment_2") < 0.5 < ours.GetSegmentOpacity3D("Segment_1")
    ui.sliceCurveCheckBox.click()
    world.settle(0.3)
    assert manager.layout == layout_id(TWO_ROWS, with_plots=True)
    views = [manager.plotWidget(number) for number in range(manager.plotViewCount)]
    (view,) = (one for one in views if one.mrmlPlotViewNode().GetID() == plot_view_id("Dice"))
    chart = view.mrmlPlotViewNode().GetPlotChartNode()
    assert chart.GetTitle() == "liver: Dice" and chart.GetNumberOfPlotSeriesNodes() == 1
    click_on_the_third_point(view.plotView())
    world.settle()
    assert "slice 6 (" in ui.sliceLabel.text, ui.sliceLabel.text  # the liver starts in slice 4
    world.picture("14-slice-curve")
    world.press(ui.sideBySideButton)
    assert manager.layout == before and before not in LAYOUT_IDS and ours.GetOpacity2DFill() == opacity
    assert ours.GetSegmentOpacity3D("Segment_2") == 1
    assert not slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLPlotChartNode")
    return "layouts " + ", ".join(f"{one:.2f}" for one in seconds) + " s"


def click_on_the_third_point(plot_view):
    """Select a point as a click does: the chart tells the view, and the view its listeners."""
    points = vtk.vtkIdTypeArray()
    points.InsertNextValue(2)
    if hasattr(plot_view, "chart"):
        chart = plot_view.chart()
        chart.GetPlot(0).SetSelection(points)
        chart.InvokeEvent(vtk.vtkCommand.SelectionChangedEvent)
    else:  # the stand-in draws no chart
        selections = vtk.vtkCollection()
        selections.AddItem(points)
        plot_view.dataSelected.emit(vtk.vtkStringArray(), selections)


STORIES = (
    prediction_and_ground_truth_are_compared_and_checked,
    the_error_map_is_drawn_instead_of_the_prediction,
    distances_are_painted_on_the_prediction,
    a_structure_is_matched_by_hand,
    a_verdict_and_a_report,
    a_test_set_is_reviewed_case_by_case,
    layouts_structures_and_the_slice_curve,
)
