"""Section Scan: what the checks say, where they say it, and what they stop."""

from __future__ import annotations

import numpy as np
import slicer
import vtk
from host.pressing import settle
from host.scans import add_scan, body


def texts(panel, severity=None):
    return [note.text for note in panel.scan.notes if severity in (None, note.severity)]


def choose(widget, node):
    widget.ui.inputSelector.setCurrentNode(node)
    settle()
    return node


def test_the_volume_on_screen_is_preselected(widget, panel):
    add_scan("first")
    active = add_scan("on screen")
    slicer.app.applicationLogic().GetSelectionNode().SetActiveVolumeID(active.GetID())
    widget.enter()
    assert widget.ui.inputSelector.currentNode() is active


def test_a_scan_that_is_loaded_while_the_panel_is_open_is_chosen_if_there_is_none(widget):
    selection = slicer.app.applicationLogic().GetSelectionNode()
    first, second = add_scan("first"), add_scan("second")
    assert widget.ui.inputSelector.currentNode() is None
    for shown in (first, second):
        selection.SetActiveVolumeID(shown.GetID())
        settle()
        assert widget.ui.inputSelector.currentNode() is first


def test_a_label_map_is_no_scan(widget):
    labels = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode", "Ground truth")
    slicer.app.applicationLogic().GetSelectionNode().SetActiveVolumeID(labels.GetID())
    widget.enter()
    assert widget.panel.parameters.inputVolume is None
    scan = add_scan()
    widget.enter()
    assert widget.panel.parameters.inputVolume is scan and widget.ui.inputSelector.currentNode() is scan


def test_a_good_scan_has_one_line(widget, panel):
    choose(widget, add_scan())
    assert texts(panel) == ["128 x 96 x 16 voxels of 1.50 x 1.50 x 3.00 mm, -1000 to 400 HU"]


ODD_VALUES = [
    (np.clip(body() // 4, 0, 255), "warning", "8-bit grey"),
    (np.clip(body(), 0, 4000), "warning", "may be MR or lack its rescale"),
    (np.where(body() == 400, np.nan, body()).astype(np.float32), "error", "NaN"),
    (np.zeros((16, 20, 20), np.int16), "error", "every voxel is 0"),
    (body(4), "warning", "only 4 axial slice"),
]


def test_odd_values_are_said_and_only_errors_stop_the_run(widget, ready):
    for array, severity, words in ODD_VALUES:
        choose(widget, add_scan("odd", array))
        assert any(words in text for text in texts(ready, severity)), (words, texts(ready))
        assert widget.ui.applyButton.enabled == (severity != "error")
        if severity == "error":
            assert words in widget.ui.applyButton.toolTip


def test_spacing_against_the_model(widget, ready):
    choose(widget, add_scan("coarse", spacing_mm=(3.0, 4.0, 4.0)))
    assert any("coarser than the 1.5 mm" in text for text in texts(ready, "warning"))
    assert widget.ui.applyButton.enabled


def test_orientation_and_transform(widget, panel):
    sagittal = ((0.0, 0.0, -1.0), (1.0, 0.0, 0.0), (0.0, -1.0, 0.0))
    node = choose(widget, add_scan("sagittal", direction=sagittal))
    assert any("read in axial order" in text for text in texts(panel, "info"))
    transform = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "Pose")
    node.SetAndObserveTransformNodeID(transform.GetID())
    settle()
    assert any('under the transform "Pose"' in text for text in texts(panel, "info"))


def test_uneven_slices_as_slicers_dicom_reader_leaves_them(widget, panel):
    transform = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTransformNode", "CT acquisition transform")
    spline = vtk.vtkThinPlateSplineTransform()
    points = vtk.vtkPoints()
    for x, y, z in ((0, 0, 0), (10, 0, 0), (0, 10, 0), (0, 0, 10)):
        points.InsertNextPoint(x, y, z)
    spline.SetSourceLandmarks(points)
    spline.SetTargetLandmarks(points)
    transform.SetAndObserveTransformToParent(spline)
    node = choose(widget, add_scan())
    node.SetAndObserveTransformNodeID(transform.GetID())
    settle()
    assert any("uneven or missing" in text for text in texts(panel, "warning"))


def test_several_time_points(widget, panel):
    node = add_scan("heart")
    sequence = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSequenceNode", "heart sequence")
    for phase in range(3):
        sequence.SetDataNodeAtValue(node, str(phase))
    browser = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSequenceBrowserNode", "browser")
    browser.SetAndObserveMasterSequenceNodeID(sequence.GetID())
    browser.AddProxyNode(node, sequence, False)
    choose(widget, node)
    assert any("one of 3 time points" in text for text in texts(panel, "info"))


def test_no_image_data_and_colour(widget, ready):
    empty = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "empty")
    choose(widget, empty)
    assert '"empty" has no image data' in widget.ui.applyButton.toolTip
    image = vtk.vtkImageData()
    image.SetDimensions(4, 4, 4)
    image.AllocateScalars(vtk.VTK_UNSIGNED_CHAR, 3)
    empty.SetAndObserveImageData(image)
    settle()
    assert "3 values per voxel" in widget.ui.applyButton.toolTip


def test_a_changed_volume_is_checked_again(widget, ready):
    node = choose(widget, add_scan())
    slicer.util.updateVolumeFromArray(node, np.zeros((16, 96, 128), np.int16))
    settle()
    assert any("every voxel is 0" in text for text in texts(ready, "error"))
    assert not widget.ui.applyButton.enabled
