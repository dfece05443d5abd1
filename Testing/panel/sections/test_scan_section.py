"""Section Scan: what the checks say, where they say it, and what they stop."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import slicer
import vtk
from host.pressing import settle, turn
from host.scans import add_scan, body
from UNetSegmenterLib.engine.model.normalisation import Normalisation
from UNetSegmenterLib.panel.widgets.card_text import reads_text


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


def changed_card(checkpoints, path, **changes):
    """The good checkpoint with other preprocessing."""
    from UNetSegmenterLib.engine.model.checkpoint import load_checkpoint, save_checkpoint

    good = load_checkpoint(checkpoints["good"])
    card = replace(good.card, preprocessing=replace(good.card.preprocessing, **changes))
    save_checkpoint(path, card, good.weights)
    return str(path)


def model(panel, path):
    panel.model.choose(path)
    turn(lambda: panel.model.path == path and panel.model.card is not None, 60)
    settle(0.2)


def from_dicom(node, modality):
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)
    item = hierarchy.GetItemByDataNode(node) or hierarchy.CreateItem(hierarchy.GetSceneItemID(), node)
    hierarchy.SetItemAttribute(item, "DICOM.Modality", modality)
    return node


def test_a_scan_of_another_modality_than_the_model_reads(widget, ready, checkpoints, tmp_path):
    choose(widget, from_dicom(add_scan("MR"), "MR"))
    assert texts(ready, "warning") == [
        "the scan is MR by its DICOM header, but a CT network expects HU: its labels here would mean nothing."
    ]
    assert widget.ui.applyButton.enabled
    any_values = Normalisation("z-score")
    model(ready, changed_card(checkpoints, tmp_path / "any.pt", normalisation=any_values, intensities="any"))
    assert texts(ready, "warning") == [] and texts(ready, "pass") == [
        "128 x 96 x 16 voxels of 1.50 x 1.50 x 3.00 mm, -1000 to 400"
    ]
    choose(widget, add_scan("CT"))
    (text,) = texts(ready, "warning")
    assert text.startswith("values from -1000 to 400 look like the HU of a CT, but the model was not trained on HU")
    assert reads_text(ready.model.card) == "Reads 1.5 mm pixels, any intensities"


def test_a_coronal_model_with_pixels_of_its_own_or_as_they_are(widget, ready, checkpoints, tmp_path):
    choose(widget, add_scan("CT", body(12)))
    path = changed_card(checkpoints, tmp_path / "coronal.pt", axis="coronal", spacing_mm=(1.0, 0.5))
    model(ready, path)
    assert any("pixels of 3.00 x 1.50 mm are coarser than the 1 x 0.5 mm" in text for text in texts(ready, "warning"))
    assert any("read in coronal slices" in text for text in texts(ready, "info"))
    assert reads_text(ready.model.card) == "Reads pixels of 1 x 0.5 mm, -125 to 275 HU, coronal slices"
    model(ready, changed_card(checkpoints, tmp_path / "as it is.pt", axis="sagittal", spacing_mm=None))
    assert texts(ready, "warning") == [] and not any("mm" in text for text in texts(ready, "info"))
    assert reads_text(ready.model.card) == "Reads pixels as they are, -125 to 275 HU, sagittal slices"


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
    references = browser.GetReferenceCount()
    panel.scan.check()
    assert browser.GetReferenceCount() == references, "a collection of nodes was left behind"


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
