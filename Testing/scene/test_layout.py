"""Two rows for two segmentations: who is shown where, and that nothing of it stays behind."""

from __future__ import annotations

import xml.etree.ElementTree

import numpy as np
import pytest
import slicer
from UNetSegmenterLib.engine.segmentation import Segmentation
from UNetSegmenterLib.engine.structures import known_structure
from UNetSegmenterLib.engine.volume import Geometry, Volume
from UNetSegmenterLib.scene.layout import LAYOUT_ID, SideBySide, add_layout, layout_xml, slice_views, view_ids
from UNetSegmenterLib.scene.nodes import segmentation_to_node, volume_to_node
from UNetSegmenterLib.scene.views import slice_logic

GEOMETRY = Geometry((12, 20, 24), (3.0, 2.0, 2.0), (10.0, 20.0, 30.0))


@pytest.fixture
def rows(headless):
    """The layout made by Slicer's own layout logic, a scan, and three segmentations: prediction, reference, another."""
    logic = slicer.vtkMRMLLayoutLogic()
    logic.SetMRMLApplicationLogic(headless.application_logic)
    logic.SetMRMLScene(headless.scene)
    add_layout(logic.GetLayoutNode())
    add_layout(logic.GetLayoutNode())
    logic.GetLayoutNode().SetViewArrangement(LAYOUT_ID)
    for row in ("Pred", "Ref"):
        for name in slice_views(row):
            slice_logic(headless.scene, headless.application_logic, name)
        camera = slicer.vtkMRMLCameraNode()
        camera.SetLayoutName(f"{row}3D")
        headless.scene.AddNode(camera)
    slice_logic(headless.scene, headless.application_logic, "Red")
    labels = np.zeros(GEOMETRY.shape, np.uint8)
    labels[3:9, 5:15, 6:18] = 1
    nodes = []
    for name, color in (("P", (10, 20, 30)), ("R", (200, 100, 0)), ("Other", (1, 2, 3))):
        liver = known_structure("liver", 1, (1,))
        colored = type(liver)(liver.name, 1, (1,), color, liver.terminology)
        segmentation = Segmentation(labels, GEOMETRY, (colored,), name)
        nodes.append(segmentation_to_node(segmentation, headless.scene, surfaces=False))
    scan = volume_to_node(Volume(labels.astype(np.int16), GEOMETRY, "CT"), headless.scene)
    yield headless, SideBySide(headless.scene, headless.application_logic), scan, nodes
    logic.SetMRMLScene(None)


def views_of(node):
    display = node.GetDisplayNode()
    return {display.GetNthViewNodeID(number) for number in range(display.GetNumberOfViewNodeIDs())}


def test_the_layout_is_made_of_eight_linked_views(rows):
    headless, shown, scan, (prediction, reference, _) = rows
    tree = xml.etree.ElementTree.fromstring(layout_xml())
    assert len(tree.findall("item")) == 2 and len(tree.findall(".//view")) == 8
    for view_id in (*view_ids("Pred"), *view_ids("Ref")):
        assert headless.scene.GetNodeByID(view_id) is not None, view_id
    shown.enter(scan, prediction, reference)
    for name, orientation in (("PredAx", "Axial"), ("RefCo", "Coronal"), ("RefSa", "Sagittal")):
        node = headless.scene.GetNodeByID(f"vtkMRMLSliceNode{name}")
        composite = slice_logic(headless.scene, headless.application_logic, name).GetSliceCompositeNode()
        assert node.GetOrientation() == orientation and node.GetViewGroup() == 7355
        assert composite.GetBackgroundVolumeID() == scan.GetID() and composite.GetLinkedControl()
    red = slice_logic(headless.scene, headless.application_logic, "Red").GetSliceNode()
    assert red.GetViewGroup() != 7355, "the application's own views stay out of the group"
    cameras = [headless.scene.GetNthNodeByClass(number, "vtkMRMLCameraNode") for number in range(2)]
    assert cameras[0].GetPosition() == cameras[1].GetPosition() != (0.0, 500.0, 0.0)


def test_each_is_shown_in_its_row_alone_and_all_comes_back(rows):
    _, shown, scan, (prediction, reference, other) = rows
    display = prediction.GetDisplayNode()
    display.SetVisibility2DFill(True)
    display.SetVisibility2DOutline(False)
    shown.enter(scan, prediction, reference)
    assert views_of(prediction) == set(view_ids("Pred")) and views_of(reference) == set(view_ids("Ref"))
    assert "vtkMRMLSliceNodeRed" in views_of(other)
    assert not views_of(other) & {*view_ids("Pred"), *view_ids("Ref")}
    shown.set_outline(True)
    assert not display.GetVisibility2DFill() and display.GetVisibility2DOutline()
    assert not reference.GetDisplayNode().GetVisibility2DFill()
    shown.set_outline(False)
    assert display.GetVisibility2DFill()
    shown.leave()
    assert not views_of(prediction) and not views_of(reference) and not views_of(other)
    assert display.GetVisibility2DFill() and not display.GetVisibility2DOutline()


def test_one_structure_has_one_colour_on_screen_and_keeps_its_own(rows):
    _, shown, scan, (prediction, reference, _) = rows
    display, segment_id = reference.GetDisplayNode(), reference.GetSegmentation().GetNthSegmentID(0)
    own = reference.GetSegmentation().GetNthSegment(0).GetColor()
    shown.enter(scan, prediction, reference)

    def shown_color():
        color = display.GetSegmentColor(segment_id)
        return tuple(color.Get(channel) if hasattr(color, "Get") else color[channel] for channel in range(3))

    assert shown_color() == prediction.GetSegmentation().GetNthSegment(0).GetColor()
    assert reference.GetSegmentation().GetNthSegment(0).GetColor() == own
    shown.leave()
    assert shown_color() == own
