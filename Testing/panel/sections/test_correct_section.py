"""Section Correct and train: a copy is corrected, keeps its link to the prediction, and becomes a training case."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import numpy as np
import pytest
import slicer
from host.pressing import picture, press, settle, turn, type_path
from host.scans import SPACING_MM, add_scan, organs
from UNetSegmenterLib.engine.io.image_reading import read_volume
from UNetSegmenterLib.engine.labels.segmentation import Segmentation
from UNetSegmenterLib.engine.labels.segmentation_files import read_segmentation
from UNetSegmenterLib.engine.labels.structures import ABDOMEN8
from UNetSegmenterLib.scene.nodes.correction import correction_of, prediction_of
from UNetSegmenterLib.scene.nodes.node_attributes import module_attributes
from UNetSegmenterLib.scene.nodes.node_grids import volume_geometry
from UNetSegmenterLib.scene.nodes.segmentation_from_node import segmentation_from_node
from UNetSegmenterLib.scene.nodes.segmentation_to_node import segmentation_to_node

MADE = {"Checkpoint": "Abdomen", "CheckpointSHA256": "abc123", "Complete": "true"}


@pytest.fixture
def opened(panel):
    """What the Segment Editor was opened with."""
    opened = []
    around = panel.correct.actions
    panel.correct.actions = replace(around, open_editor=lambda *nodes: opened.append(nodes))
    yield opened
    panel.correct.actions = around


@pytest.fixture
def predicted(widget, panel, opened):
    """A scan and a prediction of it, as a run leaves it, both chosen."""
    labels = organs()
    noise = np.random.default_rng(4).normal(50, 20, labels.shape).astype(np.int16)
    volume = add_scan("Case 7", noise, SPACING_MM, origin_lps=(-70.0, 40.0, 700.0))
    segmentation = Segmentation(labels, volume_geometry(volume), ABDOMEN8, "Case 7 Abdomen")
    node = segmentation_to_node(segmentation, slicer.mrmlScene, volume, provenance=MADE, surfaces=False)
    widget.initializeParameterNode()
    widget.panel.parameters.inputVolume = volume
    widget.panel.parameters.comparedPrediction = node
    widget.ui.reviewerLineEdit.setText("A. Reader")
    widget.ui.correctCollapsibleButton.collapsed = False
    settle()
    return volume, node


def corrected(module, widget, at=(0, 0, 0)):
    """Press Correct, add a corner of liver in the editor, come back."""
    press(widget.ui.correctButton)
    node = widget.panel.correct.node
    module.exit()
    paint(node, widget.ui.inputSelector.currentNode(), at)
    module.enter()
    settle()
    return node


def paint(node, volume, at):
    segmentation = node.GetSegmentation()
    segment_id = next(
        segmentation.GetNthSegmentID(n)
        for n in range(segmentation.GetNumberOfSegments())
        if segmentation.GetNthSegment(n).GetName() == "liver"
    )
    array = slicer.util.arrayFromSegmentBinaryLabelmap(node, segment_id, volume).copy()
    k, j, i = at
    array[k : k + 2, j : j + 5, i : i + 6] = 1
    slicer.util.updateSegmentBinaryLabelmapFromArray(array, node, segment_id, volume)


def notes(panel):
    return " | ".join(note.text for note in panel.correct.notes)


def save(widget, folder, name="case_7"):
    type_path(widget.ui.trainingFolderPathLineEdit, str(folder))
    widget.ui.caseNameLineEdit.setText(name)
    press(widget.ui.saveCaseButton)
    turn(lambda: not widget.panel.correct.is_busy, 60)
    return notes(widget.panel)


def test_the_section_says_what_it_waits_for(widget, panel, predicted):
    ui, parameters = widget.ui, widget.panel.parameters
    assert ui.correctButton.enabled and ui.caseNameLineEdit.text == "Case_7"
    assert not ui.saveCaseButton.enabled and "folder of the data set" in ui.saveCaseButton.toolTip
    type_path(ui.trainingFolderPathLineEdit, "/somewhere")
    assert ui.saveCaseButton.enabled
    ui.caseNameLineEdit.setText("a/b")
    assert not ui.saveCaseButton.enabled and "name a case" in ui.saveCaseButton.toolTip
    ui.caseNameLineEdit.setText("ok")
    predicted[1].SetAttribute("UNetSegmenter.Complete", "false")
    panel.update()
    assert "partial" in ui.saveCaseButton.toolTip
    parameters.comparedPrediction = None
    settle()
    assert not ui.correctButton.enabled and "Choose a prediction" in ui.correctButton.toolTip


def test_a_copy_is_corrected_and_keeps_its_link(module, widget, panel, predicted, opened):
    volume, prediction = predicted
    before = segmentation_from_node(prediction, volume).labels.copy()
    node = corrected(module, widget)
    assert opened == [(node, volume)] and node is not prediction
    assert np.array_equal(segmentation_from_node(prediction, volume).labels, before), "the prediction stays as it is"
    assert (segmentation_from_node(node, volume).labels != before).sum() == 60
    assert prediction_of(node) is prediction and correction_of(prediction) is node
    known = module_attributes(node)
    assert known["CorrectedFrom"] == prediction.GetName() and known["CorrectedBy"] == "A. Reader"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", known["CorrectedTime"])
    assert known["CorrectedCheckpointSHA256"] == "abc123" and "CheckpointSHA256" not in known
    assert widget.ui.predictionSelector.currentNode() is node and prediction.GetName() in notes(panel)
    assert node.GetDisplayNode().GetVisibility() and not prediction.GetDisplayNode().GetVisibility()
    widget.ui.predictionSelector.setCurrentNode(prediction)
    settle()
    assert prediction.GetDisplayNode().GetVisibility() and not node.GetDisplayNode().GetVisibility()


def test_a_second_visit_goes_on_with_the_same_copy(module, widget, panel, predicted):
    node = corrected(module, widget)
    again = corrected(module, widget, at=(4, 0, 0))
    assert again is node
    widget.ui.predictionSelector.setCurrentNode(predicted[1])
    settle()
    press(widget.ui.correctButton)
    assert panel.correct.node is node, "the prediction has one correction"


def test_nothing_is_left_where_nothing_was_corrected(module, widget, panel, predicted):
    count = slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLSegmentationNode")
    press(widget.ui.correctButton)
    module.exit()
    module.enter()
    settle()
    assert slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLSegmentationNode") == count
    assert widget.ui.predictionSelector.currentNode() is predicted[1] and predicted[1].GetDisplayNode().GetVisibility()


def test_the_link_survives_a_scene_file(module, widget, predicted, new_scene, tmp_path):
    node = corrected(module, widget)
    name, prediction_name = node.GetName(), predicted[1].GetName()
    path = str(tmp_path / "scene.mrml")
    slicer.mrmlScene.SetURL(path)
    slicer.mrmlScene.Commit(path)
    new_scene()
    slicer.mrmlScene.Connect()
    settle()
    found = slicer.mrmlScene.GetFirstNodeByName(name)
    assert prediction_of(found).GetName() == prediction_name
    assert module_attributes(found)["CorrectedBy"] == "A. Reader"


def test_scan_and_corrected_labels_become_a_training_case(module, widget, panel, predicted, tmp_path):
    volume, folder = predicted[0], tmp_path / "Dataset001"
    node = corrected(module, widget)
    wanted = segmentation_from_node(node, volume)
    said = save(widget, folder)
    assert "case_7_0000.nii.gz" in said and "holds 1 case" in said
    image = read_volume(folder / "imagesTr" / "case_7_0000.nii.gz")
    assert np.array_equal(image.array, slicer.util.arrayFromVolume(volume))
    assert image.geometry.is_close(volume_geometry(volume), 1e-3)
    labels = read_segmentation(folder / "labelsTr" / "case_7.nii.gz", ABDOMEN8)
    assert np.array_equal(labels.labels, wanted.labels) and labels.geometry.is_close(image.geometry, 1e-4)
    origin = json.loads((folder / "dataset.json").read_text(encoding="utf-8"))["training_cases"]["case_7"]
    assert origin["corrected_by"] == "A. Reader" and origin["prediction"] == predicted[1].GetName()
    assert origin["checkpoint_sha256"] == "abc123"
    picture(widget.parent, "correct")


def test_questions_before_something_is_lost_or_learnt(module, widget, panel, predicted, tmp_path):
    asked = []
    panel.ask = lambda question: asked.append(question) or False
    save(widget, tmp_path)
    assert len(asked) == 1 and "was not corrected" in asked[0] and not list(tmp_path.iterdir())
    corrected(module, widget)
    save(widget, tmp_path)
    assert len(asked) == 1
    before = (tmp_path / "labelsTr" / "case_7.nii.gz").read_bytes()
    corrected(module, widget, at=(6, 0, 0))
    assert "left as it is" in save(widget, tmp_path) and "already" in asked[1]
    assert (tmp_path / "labelsTr" / "case_7.nii.gz").read_bytes() == before
    panel.ask = lambda question: True
    assert "saved as" in save(widget, tmp_path).lower()
    assert (tmp_path / "labelsTr" / "case_7.nii.gz").read_bytes() != before


def test_a_data_set_of_other_structures_is_refused(module, widget, panel, predicted, tmp_path):
    description = {"channel_names": {"0": "CT"}, "labels": {"heart": 1}, "file_ending": ".nii.gz"}
    (tmp_path / "dataset.json").write_text(json.dumps(description), encoding="utf-8")
    corrected(module, widget)
    assert "no value for" in save(widget, tmp_path) and panel.correct.notes[0].severity == "error"


def test_a_scan_under_a_transform_is_saved_on_its_own_grid(module, widget, predicted, tmp_path):
    volume, prediction = predicted
    transform = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "Pose")
    matrix = slicer.util.vtkMatrixFromArray(np.array([[0, -1, 0, 9], [1, 0, 0, 5], [0, 0, 1, -7], [0, 0, 0, 1.0]]))
    transform.SetMatrixTransformToParent(matrix)
    for node in (volume, prediction):
        node.SetAndObserveTransformNodeID(transform.GetID())
    node = corrected(module, widget)
    assert node.GetTransformNodeID() == transform.GetID()
    save(widget, tmp_path)
    labels = read_segmentation(tmp_path / "labelsTr" / "case_7.nii.gz", ABDOMEN8)
    assert np.array_equal(labels.labels, segmentation_from_node(node, volume).labels) and labels.labels.any()


def test_a_large_case_is_saved_in_small_steps(widget, panel, opened, tmp_path, counted_steps):
    labels = organs(shape=(160, 384, 384))
    hu = np.random.default_rng(4).integers(-100, 200, labels.shape).astype(np.int16)
    volume = add_scan("Large", hu, (1.0, 0.8, 0.8))
    node = segmentation_to_node(
        Segmentation(labels, volume_geometry(volume), ABDOMEN8, "Large"), slicer.mrmlScene, volume, surfaces=False
    )
    widget.panel.parameters.inputVolume, widget.panel.parameters.comparedPrediction = volume, node
    widget.ui.correctCollapsibleButton.collapsed = False
    settle()
    save(widget, tmp_path, "large")
    assert (tmp_path / "labelsTr" / "large.nii.gz").exists()
    (steps,) = counted_steps
    assert steps >= 6 + 1 + 3, "scan and labels are written in pieces of 8 MB"
