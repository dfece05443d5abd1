"""The error map as a node: its place, its names, its display, and what it is drawn instead of."""

from __future__ import annotations

import numpy as np
import pytest
import slicer
from UNetSegmenterLib.engine.errors import InputError
from UNetSegmenterLib.engine.evaluation.error_map import AGREEMENT, CLASSES
from UNetSegmenterLib.engine.io.geometry import Geometry
from UNetSegmenterLib.engine.labels.segmentation import Segmentation
from UNetSegmenterLib.engine.labels.structures import known_structure
from UNetSegmenterLib.engine.stepwise import run_to_end
from UNetSegmenterLib.scene.nodes.error_map_node import error_map_node_steps
from UNetSegmenterLib.scene.nodes.segmentation_from_node import segmentation_from_node
from UNetSegmenterLib.scene.nodes.segmentation_to_node import segmentation_to_node
from UNetSegmenterLib.scene.views.temporary_display import DisplaySwap, show_hidden_displays

from .test_case_nodes import moved

BOTH = (known_structure("liver", 1, (1,)), known_structure("spleen", 2, (2,)))


@pytest.fixture
def scene(headless):
    return headless.scene


def blocks(scene, name, shift=0, spleen=True, spacing_mm=(3.0, 2.0, 2.0)):
    """A liver of 6 x 8 x 8 voxels of 0.012 ml, `shift` columns on, and a spleen of 6 x 4 x 4."""
    labels = np.zeros((12, 16, 30), np.uint8)
    labels[2:8, 4:12, 4 + shift : 12 + shift] = 1
    if spleen:
        labels[2:8, 4:8, 20:24] = 2
    segmentation = Segmentation(labels, Geometry(labels.shape, spacing_mm, (1.0, 2.0, 3.0)), BOTH, name)
    return segmentation_to_node(segmentation, scene, surfaces=False)


def made(prediction, reference, structure=None):
    return run_to_end(error_map_node_steps(prediction, reference, structure))


def counts(node):
    return np.bincount(segmentation_from_node(node).labels.reshape(-1), minlength=5)[1:].tolist()


def names(node):
    segments = node.GetSegmentation()
    return [segments.GetNthSegment(number).GetName() for number in range(segments.GetNumberOfSegments())]


def test_a_segment_a_class_with_volume_and_color(scene):
    prediction, reference = blocks(scene, "Result", shift=2, spleen=False), blocks(scene, "Truth")
    node = made(prediction, reference)
    assert node.GetName() == "Result errors" and counts(node) == [6 * 48, 96, 96 + 96, 0]
    assert names(node) == [
        "agreement (3.5 ml)", "false positive (1.2 ml)", "false negative (2.3 ml)", "confused (0.0 ml)",
    ]  # fmt: skip
    segments, display = node.GetSegmentation(), node.GetDisplayNode()
    for number, (label, (_, color)) in enumerate(CLASSES.items()):
        assert np.allclose(np.multiply(segments.GetNthSegment(number).GetColor(), 255), color, atol=0.5)
        opacity = display.GetSegmentOpacity2DFill(segments.GetNthSegmentID(number)) * display.GetOpacity2DFill()
        assert opacity < 0.5 if label == AGREEMENT else opacity > 0.8
    assert display.GetVisibility2DFill() and not display.GetVisibility3D()
    assert not segments.ContainsRepresentation("Closed surface")


def test_it_is_replaced_not_piled_up_and_one_structure_alone(scene):
    prediction, reference = blocks(scene, "Result", shift=2, spleen=False), blocks(scene, "Truth")
    node = made(prediction, reference)
    other = made(reference, prediction)
    assert made(prediction, reference, "Liver") is node and other is not node
    assert counts(node) == [288, 96, 96, 0] and len(names(node)) == 3
    assert counts(made(prediction, reference, "spleen")) == [0, 0, 96, 0]
    with pytest.raises(InputError, match="“kidney” is not on both sides"):
        made(prediction, reference, "kidney")


def test_it_is_on_the_references_grid_and_under_its_transform(scene):
    prediction, reference = blocks(scene, "Result"), blocks(scene, "Truth")
    transform = moved(scene, reference, 4.0)
    node = made(prediction, reference)  # RAS: two columns back
    assert node.GetTransformNodeID() == transform.GetID() and counts(node) == [288 + 48, 96 + 48, 96 + 48, 0]
    coarse = blocks(scene, "Coarse", spacing_mm=(6.0, 4.0, 4.0))
    coarse.SetAndObserveTransformNodeID(transform.GetID())
    assert segmentation_from_node(made(coarse, reference)).geometry.spacing_mm == (3.0, 2.0, 2.0)


def test_a_label_map_as_ground_truth(scene):
    prediction, reference = blocks(scene, "Result", shift=2), blocks(scene, "Truth")
    label_map = scene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode", "Map")
    slicer.vtkSlicerSegmentationsModuleLogic.ExportAllSegmentsToLabelmapNode(
        reference, label_map, slicer.vtkSegmentation.EXTENT_REFERENCE_GEOMETRY
    )
    assert counts(made(prediction, label_map)) == counts(made(prediction, reference)) == [288 + 96, 96, 96, 0]


def views(display):
    return [display.GetNthViewNodeID(number) for number in range(display.GetNumberOfViewNodeIDs())]


def test_in_place_of_a_prediction_and_back(scene):
    prediction, reference = blocks(scene, "Result", shift=2), blocks(scene, "Truth")
    ours, theirs = prediction.GetDisplayNode(), reference.GetDisplayNode()
    node = made(prediction, reference)
    shown = DisplaySwap(prediction, reference, [node.GetDisplayNode()], 2)
    assert not ours.GetVisibility2D() and not theirs.GetVisibility2D() and ours.GetVisibility3D()
    ours.AddViewNodeID("vtkMRMLSliceNodeUpper")
    theirs.AddViewNodeID("vtkMRMLSliceNodeLower")
    assert shown.follow() and views(node.GetDisplayNode()) == ["vtkMRMLSliceNodeUpper"]
    assert theirs.GetVisibility2D() and not ours.GetVisibility2D(), "the ground truth has views of its own"
    assert not shown.follow()
    ours.RemoveAllViewNodeIDs()
    theirs.RemoveAllViewNodeIDs()
    shown.follow()
    assert not theirs.GetVisibility2D() and not views(node.GetDisplayNode())
    shown.leave()
    assert ours.GetVisibility2D() and theirs.GetVisibility2D()


def test_a_scene_that_is_saved_meanwhile_knows_what_is_hidden(scene):
    prediction, reference = blocks(scene, "Result"), blocks(scene, "Truth")
    prediction.GetDisplayNode().SetVisibility3D(False)
    DisplaySwap(prediction, reference, [made(prediction, reference).GetDisplayNode()], 2)
    scene.SetSaveToXMLString(True)
    scene.Commit()
    text = scene.GetSceneXMLString()
    scene.SetSaveToXMLString(False)
    scene.Clear()
    scene.SetLoadFromXMLString(True)
    scene.SetSceneXMLString(text)
    scene.Import()
    read = [scene.GetFirstNodeByName(name).GetDisplayNode() for name in ("Result", "Truth")]
    assert not any(display.GetVisibility2D() for display in read)
    show_hidden_displays(scene)
    assert all(display.GetVisibility2D() for display in read) and not read[0].GetVisibility3D()
    for display in read:
        display.SetVisibility2D(False)
    show_hidden_displays(scene)
    assert not any(display.GetVisibility2D() for display in read), "what somebody else hides stays hidden"


def test_in_place_of_nodes_that_go_away(scene):
    prediction, reference = blocks(scene, "Result"), blocks(scene, "Truth")
    node = made(prediction, reference)
    shown = DisplaySwap(prediction, reference, [node.GetDisplayNode()], 2)
    scene.RemoveNode(prediction)
    shown.leave()
    assert reference.GetDisplayNode().GetVisibility2D()
