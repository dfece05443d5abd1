"""The module's own layouts for two segmentations: who is shown where and how, and that nothing of it stays behind."""

from __future__ import annotations

import xml.etree.ElementTree
from dataclasses import replace

import numpy as np
import pytest
import slicer
from UNetSegmenterLib.engine.errors import InputError
from UNetSegmenterLib.engine.io.geometry import Geometry
from UNetSegmenterLib.engine.io.volume import Volume
from UNetSegmenterLib.engine.labels.distinct_colors import distinct_colors
from UNetSegmenterLib.engine.labels.segmentation import Segmentation
from UNetSegmenterLib.engine.labels.structures import known_structure
from UNetSegmenterLib.scene.headless.offscreen_views import slice_logic
from UNetSegmenterLib.scene.nodes.segmentation_to_node import segmentation_to_node
from UNetSegmenterLib.scene.nodes.volume_nodes import volume_to_node
from UNetSegmenterLib.scene.views.layout import (
    LAYOUT_IDS,
    ONE_ROW,
    ONLY_3D,
    PLOT_VIEWS,
    TWO_ROWS,
    add_layouts,
    layout_id,
    layout_xml,
    plot_view_id,
    slice_views,
    view_ids,
)
from UNetSegmenterLib.scene.views.side_by_side import DrawingOptions, SideBySide

GEOMETRY = Geometry(
    (12, 20, 24), (3.0, 2.0, 2.0), (310.0, -220.0, 730.0)
)  # as far from the origin as scanners put them


@pytest.fixture
def rows(headless):
    """The layout made by Slicer's own layout logic, a scan, and three segmentations: prediction, reference, another."""
    logic = slicer.vtkMRMLLayoutLogic()
    logic.SetMRMLApplicationLogic(headless.application_logic)
    logic.SetMRMLScene(headless.scene)
    add_layouts(logic.GetLayoutNode())
    add_layouts(logic.GetLayoutNode())
    logic.GetLayoutNode().SetViewArrangement(layout_id(TWO_ROWS, with_plots=True))
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


def shown_color(node):
    """The colour in which a node's first segment is drawn."""
    color = node.GetDisplayNode().GetSegmentColor(node.GetSegmentation().GetNthSegmentID(0))
    return tuple(color.Get(channel) if hasattr(color, "Get") else color[channel] for channel in range(3))


def test_every_variant_holds_the_views_that_it_names(rows):
    headless, *_ = rows
    assert len(LAYOUT_IDS) == 6
    for variant, slices, threed in ((TWO_ROWS, 6, 2), (ONE_ROW, 3, 1), (ONLY_3D, 0, 2)):
        for with_plots in (False, True):
            tree = xml.etree.ElementTree.fromstring(layout_xml(variant, with_plots))
            kinds = [view.get("class") for view in tree.iter("view")]
            assert kinds.count("vtkMRMLSliceNode") == slices and kinds.count("vtkMRMLViewNode") == threed, variant
            assert kinds.count("vtkMRMLPlotViewNode") == 2 * with_plots
    for view_id in (*view_ids("Pred"), *view_ids("Ref"), *map(plot_view_id, PLOT_VIEWS)):
        assert headless.scene.GetNodeByID(view_id) is not None, view_id


def test_the_views_are_linked_and_apart_from_the_applications_own(rows):
    headless, shown, scan, (prediction, reference, _) = rows
    shown.enter(TWO_ROWS, scan, prediction, reference)
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
    shown.enter(TWO_ROWS, scan, prediction, reference)
    assert views_of(prediction) == set(view_ids("Pred")) and views_of(reference) == set(view_ids("Ref"))
    assert "vtkMRMLSliceNodeRed" in views_of(other)
    assert not views_of(other) & {*view_ids("Pred"), *view_ids("Ref")}
    shown.draw(DrawingOptions(outline=True))
    assert not display.GetVisibility2DFill() and display.GetVisibility2DOutline()
    assert not reference.GetDisplayNode().GetVisibility2DFill()
    shown.draw(DrawingOptions())
    assert display.GetVisibility2DFill()
    shown.leave()
    assert not views_of(prediction) and not views_of(reference) and not views_of(other)
    assert display.GetVisibility2DFill() and not display.GetVisibility2DOutline()


def test_one_structure_has_one_colour_on_screen_and_keeps_its_own(rows):
    _, shown, scan, (prediction, reference, _) = rows
    own = reference.GetSegmentation().GetNthSegment(0).GetColor()
    shown.enter(TWO_ROWS, scan, prediction, reference)
    assert shown_color(reference) == prediction.GetSegmentation().GetNthSegment(0).GetColor()
    assert reference.GetSegmentation().GetNthSegment(0).GetColor() == own
    shown.leave()
    assert shown_color(reference) == own


def place(headless, name):
    node = slice_logic(headless.scene, headless.application_logic, name).GetSliceNode()
    to_ras = node.GetSliceToRAS()
    scale = [node.GetFieldOfView()[axis] / node.GetDimensions()[axis] for axis in range(2)]
    return [to_ras.GetElement(axis, 3) for axis in range(3)], scale


def camera(headless, view):
    nodes = [headless.scene.GetNthNodeByClass(number, "vtkMRMLCameraNode") for number in range(2)]
    return next(node for node in nodes if node.GetLayoutName() == view)


@pytest.mark.parametrize("variant", [TWO_ROWS, ONE_ROW])
def test_distinct_colours_are_on_screen_alone_and_leave_nothing_behind(rows, variant):
    _, shown, scan, (prediction, reference, _) = rows
    nodes, display = (prediction, reference), prediction.GetDisplayNode()
    ids = [node.GetSegmentation().GetNthSegmentID(0) for node in nodes]
    display.SetSegmentOverrideColor(ids[0], 0.1, 0.2, 0.3)  # as a user or another module may have it
    own = [node.GetSegmentation().GetNthSegment(0).GetColor() for node in nodes]
    shown.enter(variant, scan, prediction, reference)
    before = [shown_color(node) for node in nodes]
    shown.draw(DrawingOptions(distinct_colors=True))
    liver = tuple(channel / 255 for channel in distinct_colors(["liver"])[0])
    assert np.allclose(shown_color(prediction), liver) and np.allclose(shown.colors, [liver])
    paler = [0.6 + 0.4 * channel for channel in liver] if variant == ONE_ROW else liver
    assert np.allclose(shown_color(reference), paler)
    assert [node.GetSegmentation().GetNthSegment(0).GetColor() for node in nodes] == own
    new = prediction.GetSegmentation().AddEmptySegment("tumour", "tumour", (1.0, 1.0, 0.0))
    shown.match()
    assert display.GetSegmentOverrideColor(new)[0] >= 0, "one that came meanwhile is drawn like the others"
    shown.draw(DrawingOptions())
    assert [shown_color(node) for node in nodes] == before and display.GetSegmentOverrideColor(new)[0] < 0
    shown.draw(DrawingOptions(distinct_colors=True))
    prediction.GetSegmentation().RemoveSegment(ids[0])
    shown.draw(DrawingOptions(distinct_colors=True))
    shown.leave()
    assert display.GetSegmentOverrideColor(new)[0] < 0
    assert reference.GetDisplayNode().GetSegmentOverrideColor(ids[1])[0] < 0


def test_an_override_colour_of_before_comes_back(rows):
    _, shown, scan, (prediction, reference, _) = rows
    display, segment_id = prediction.GetDisplayNode(), prediction.GetSegmentation().GetNthSegmentID(0)
    display.SetSegmentOverrideColor(segment_id, 0.1, 0.2, 0.3)
    shown.enter(TWO_ROWS, scan, prediction, reference)
    shown.draw(DrawingOptions(distinct_colors=True))
    assert not np.allclose(shown_color(prediction), (0.1, 0.2, 0.3))
    shown.leave()
    assert np.allclose(shown_color(prediction), (0.1, 0.2, 0.3))


def test_one_row_shows_both_together_and_the_next_variant_keeps_the_place(rows):
    headless, shown, scan, (prediction, reference, _) = rows
    shown.enter(ONE_ROW, scan, prediction, reference)
    assert views_of(prediction) == views_of(reference) == set(view_ids("Pred"))
    ours, theirs = prediction.GetDisplayNode(), reference.GetDisplayNode()
    assert ours.GetVisibility2DFill() and not theirs.GetVisibility2DFill() and theirs.GetVisibility2DOutline()
    segment_id = reference.GetSegmentation().GetNthSegmentID(0)
    assert theirs.GetSegmentOpacity3D(segment_id) < ours.GetSegmentOpacity3D("Segment_1") == 1
    together = shown_color(reference)
    node = slice_logic(headless.scene, headless.application_logic, "PredAx").GetSliceNode()
    node.JumpSliceByCentering(-332.0, 207.0, 741.0)
    node.SetFieldOfView(*(side / 3 for side in node.GetFieldOfView()[:2]), node.GetFieldOfView()[2])
    slice_logic(headless.scene, headless.application_logic, "RefAx").GetSliceNode().SetDimensions(300, 100, 1)
    camera(headless, "Pred3D").SetPosition(1, 2, 3)
    shown.show(TWO_ROWS)
    assert views_of(reference) == set(view_ids("Ref")) and theirs.GetVisibility2DFill()
    assert theirs.GetSegmentOpacity3D(segment_id) == 1
    (at, scale), (also_at, also_scale) = place(headless, "PredAx"), place(headless, "RefAx")
    assert at == also_at and at[2] == pytest.approx(741.0)
    assert also_scale == pytest.approx([scale[1]] * 2), "as near, and its pixels are square"
    assert camera(headless, "Ref3D").GetPosition() == (1.0, 2.0, 3.0)
    assert min(together) > min(shown_color(reference)), "its lines are paler on the prediction's areas"
    shown.show(ONLY_3D)
    assert place(headless, "PredAx")[0] == at
    shown.leave()
    assert not views_of(reference) and theirs.GetSegmentOpacity3D(segment_id) == 1


def resize(headless, columns, rows, row="Pred"):
    """Give the slice views of a row a size, as the application does a moment after a layout was chosen."""
    for name in slice_views(row):
        slice_logic(headless.scene, headless.application_logic, name).ResizeSliceNode(columns, rows)


def field(headless, name):
    return slice_logic(headless.scene, headless.application_logic, name).GetSliceNode().GetFieldOfView()[:2]


def test_views_of_any_size_show_the_whole_scan_and_what_they_showed_in_the_variant_before(rows):
    headless, shown, scan, (prediction, reference, _) = rows
    width, height, tall = np.array(GEOMETRY.shape[::-1]) * GEOMETRY.spacing_mm[::-1]  # of the scan, in mm
    shown.enter(TWO_ROWS, scan, prediction, reference)
    resize(headless, 200, 300)
    resize(headless, 210, 310, "Ref")
    assert field(headless, "PredAx")[0] < width, "a narrow view cuts off what is at the sides"
    shown.views.settle(aspect=0.7)
    for name, (across, up) in {"PredAx": (width, height), "PredCo": (width, tall), "PredSa": (height, tall)}.items():
        found = field(headless, name)
        assert found[0] >= across - 0.01 and found[1] >= up - 0.01 and (found[0] < across + 1 or found[1] < up + 1)
        assert found[0] / 200 == pytest.approx(found[1] / 300)
    scale = field(headless, "PredAx")[0] / 200
    assert field(headless, "RefAx") == pytest.approx([210 * scale, 310 * scale])
    near = slice_logic(headless.scene, headless.application_logic, "PredAx").GetSliceNode()
    near.SetFieldOfView(20.0, 30.0, 1.0)
    distance = np.subtract(camera(headless, "Pred3D").GetPosition(), camera(headless, "Pred3D").GetFocalPoint())
    shown.views.keep()
    shown.show(ONE_ROW)
    resize(headless, 200, 600)
    assert field(headless, "PredAx")[0] < 20
    shown.views.settle(aspect=0.35)
    assert field(headless, "PredAx") == pytest.approx([20.0, 60.0]) and field(headless, "PredCo")[0] >= width - 0.01
    further = np.subtract(camera(headless, "Pred3D").GetPosition(), camera(headless, "Pred3D").GetFocalPoint())
    assert np.linalg.norm(further) > 1.7 * np.linalg.norm(distance), "half as wide, twice as far away"
    assert further / np.linalg.norm(further) == pytest.approx(distance / np.linalg.norm(distance))
    shown.leave()


def test_without_a_scan_the_views_show_the_segmentations(rows):
    headless, shown, _, (prediction, reference, _) = rows
    shown.enter(TWO_ROWS, None, prediction, reference)
    resize(headless, 300, 200)
    shown.views.settle()
    assert field(headless, "PredAx") == pytest.approx([30.0, 20.0])  # 12 x 10 voxels of 2 mm
    shown.leave()


def test_one_structure_stands_out_on_both_sides_and_all_comes_back(headless):
    labels = np.zeros(GEOMETRY.shape, np.uint8)
    labels[3:9, 5:10, 6:12], labels[3:9, 12:18, 6:12] = 1, 2
    pair = tuple(known_structure(name, index, (index,)) for index, name in enumerate(("liver", "spleen"), start=1))
    prediction, reference = (
        segmentation_to_node(Segmentation(labels, GEOMETRY, structures, name), headless.scene, surfaces=False)
        for name, structures in (("P", pair), ("R", (replace(pair[1], index=1), replace(pair[0], index=2))))
    )
    ours, theirs = prediction.GetDisplayNode(), reference.GetDisplayNode()
    ours.SetSegmentOpacity3D("Segment_2", 0.5)
    ours.SetSegmentVisibility("Segment_1", False)
    before = [everything(display) for display in (ours, theirs)]
    shown = SideBySide(headless.scene, headless.application_logic)
    shown.enter(TWO_ROWS, None, prediction, reference)
    assert [structure.name for structure in shown.structures] == ["spleen", "liver"]
    assert not ours.GetSegmentVisibility("Segment_1"), "what a person hid stays hidden among all"
    shown.draw(DrawingOptions(opacity=0.25))
    shown.choose("liver")
    assert ours.GetOpacity2DFill() == theirs.GetOpacity2DFill() == 0.25
    assert ours.GetSegmentVisibility("Segment_1") and ours.GetSegmentOpacity2DFill("Segment_1") == 1
    assert ours.GetSegmentOpacity2DFill("Segment_2") < 0.5 and ours.GetSegmentOpacity3D("Segment_2") < 0.1
    assert theirs.GetSegmentOpacity3D("Segment_1") < 0.2 < theirs.GetSegmentOpacity3D("Segment_2")
    assert shown.center_of("liver") == pytest.approx(prediction.GetSegmentCenterRAS("Segment_1"))
    assert shown.center_of("nobody") is None
    shown.choose("")
    assert ours.GetSegmentOpacity2DFill("Segment_2") == 1 and ours.GetSegmentOpacity3D("Segment_2") == 0.5
    shown.choose("spleen")
    shown.leave()
    assert [everything(display) for display in (ours, theirs)] == before


def everything(display):
    display = slicer.vtkMRMLSegmentationDisplayNode.SafeDownCast(display)
    of_display = [getattr(display, name)() for name in sorted(dir(display)) if name.startswith(("GetVisi", "GetOpac"))]
    of_segments = [
        getattr(display, f"GetSegment{what}")(name)
        for name in ("Segment_1", "Segment_2")
        for what in ("Visibility", "Opacity3D", "Opacity2DFill", "Opacity2DOutline")
    ]
    return of_display, of_segments, display.GetSliceIntersectionThickness(), display.GetNumberOfViewNodeIDs()


def test_a_label_map_is_shown_as_a_hidden_segmentation_with_its_tables_names_and_colours(rows):
    headless, shown, scan, (prediction, *_) = rows
    table = headless.scene.AddNewNodeByClass("vtkMRMLColorTableNode", "Mine")
    table.SetTypeToUser()
    table.SetNumberOfColors(500)
    table.SetColor(421, "liver", 0.2, 0.4, 0.6, 1.0)
    label_map = label_map_node(headless, {421: (slice(3, 9), slice(5, 15), slice(6, 18))})
    label_map.GetDisplayNode().SetAndObserveColorNodeID(table.GetID())
    count = headless.scene.GetNumberOfNodes()
    shown.enter(TWO_ROWS, scan, prediction, label_map)
    hidden = shown.reference_node
    assert (
        hidden.GetHideFromEditors() and not hidden.GetSaveWithScene() and not hidden.GetDisplayNode().GetSaveWithScene()
    )
    segment = hidden.GetSegmentation().GetNthSegment(0)
    assert segment.GetName() == "liver" and segment.GetColor() == pytest.approx((0.2, 0.4, 0.6), abs=0.01)
    assert [(one.name, bool(one.prediction_id)) for one in shown.structures] == [("liver", True)]
    assert views_of(hidden) == set(view_ids("Ref"))
    shown.leave()
    assert headless.scene.GetNumberOfNodes() == count and hidden.GetScene() is None


def test_a_label_map_that_is_none_is_refused_and_nothing_changes(rows):
    headless, shown, scan, (prediction, *_) = rows
    label_map = label_map_node(headless, {-3: (slice(0, 2), slice(0, 2), slice(0, 2))})
    count = headless.scene.GetNumberOfNodes()
    with pytest.raises(InputError, match="not a label map"):
        shown.enter(TWO_ROWS, scan, prediction, label_map)
    shown.leave()
    assert headless.scene.GetNumberOfNodes() == count and not views_of(prediction)


def label_map_node(headless, boxes):
    labels = np.zeros(GEOMETRY.shape, np.int16)
    for value, box in boxes.items():
        labels[box] = value
    scan = volume_to_node(Volume(labels, GEOMETRY, "x"), headless.scene)
    node = headless.scene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode", "Labels")
    node.CopyOrientation(scan)
    node.SetAndObserveImageData(scan.GetImageData())
    node.CreateDefaultDisplayNodes()
    headless.scene.RemoveNode(scan)
    return node
