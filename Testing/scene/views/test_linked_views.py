"""What is shown is seen: cameras, slice planes, fields of view and windows, for scans far from the origin."""

from __future__ import annotations

import numpy as np
import pytest
import slicer
from UNetSegmenterLib.engine.errors import InputError
from UNetSegmenterLib.engine.io.geometry import Geometry
from UNetSegmenterLib.engine.io.volume import Volume
from UNetSegmenterLib.engine.labels.segmentation import Segmentation
from UNetSegmenterLib.engine.labels.structures import known_structure
from UNetSegmenterLib.scene.headless.offscreen_views import ThreeDView, check_rendering, slice_logic
from UNetSegmenterLib.scene.nodes.segmentation_to_node import segmentation_to_node
from UNetSegmenterLib.scene.nodes.volume_nodes import volume_to_node
from UNetSegmenterLib.scene.views.cameras import (
    box_of,
    direction_of,
    frame_again,
    is_seen,
    is_turned,
    look_towards,
    show_box,
    shown_extent,
)
from UNetSegmenterLib.scene.views.capture import window_pixels
from UNetSegmenterLib.scene.views.layout import ONLY_3D, TWO_ROWS, add_layouts, layout_id, slice_views
from UNetSegmenterLib.scene.views.side_by_side import SideBySide
from UNetSegmenterLib.scene.views.slice_views import (
    SliceViewFit,
    axes_of,
    bring_into_slices,
    corners_of_node,
    cuts_box,
    middle_of_largest,
)
from UNetSegmenterLib.scene.views.temporary_display import restore_displays, show_window

from ..conftest import turned

PLACES = {
    "far": Geometry((24, 40, 48), (3.0, 2.0, 2.0), (310.0, -220.0, 730.0)),
    "far below, feet first": Geometry((24, 40, 48), (3.0, 2.0, 2.0), (-90.0, 20.0, -1700.0), turned(signs=(1, -1, -1))),
    "oblique": Geometry((24, 40, 48), (3.0, 2.0, 2.0), (0.0, -600.0, 1614.0), turned((8.0, -12.0, 20.0))),
    "sagittal": Geometry((24, 40, 48), (3.0, 2.0, 2.0), (400.0, 0.0, 900.0), turned(axes=(1, 2, 0))),
    "at the origin": Geometry((24, 40, 48), (3.0, 2.0, 2.0), (-48.0, -40.0, -36.0)),
}
APPLICATION = {"Red": "Axial", "Green": "Coronal", "Yellow": "Sagittal"}


@pytest.fixture(params=PLACES.values(), ids=PLACES.keys())
def scene(headless, request):
    """Slicer's own slice views on the scan, a prediction (large liver, small spleen) and its ground truth."""
    yield from made(headless, request.param)


@pytest.fixture
def far(headless):
    yield from made(headless, PLACES["far"])


def made(headless, geometry):
    logic = slicer.vtkMRMLLayoutLogic()
    logic.SetMRMLApplicationLogic(headless.application_logic)
    logic.SetMRMLScene(headless.scene)
    add_layouts(logic.GetLayoutNode())
    labels = np.zeros(geometry.shape, np.uint8)
    labels[6:18, 10:30, 8:24], labels[8:12, 12:16, 36:40] = 1, 2
    scan = volume_to_node(Volume(labels.astype(np.int16), geometry, "CT"), headless.scene)
    pair = tuple(known_structure(name, index, (index,)) for index, name in enumerate(("liver", "spleen"), start=1))
    nodes = [
        segmentation_to_node(Segmentation(labels, geometry, pair, name), headless.scene, surfaces=False)
        for name in ("P", "R")
    ]
    for name, orientation in APPLICATION.items():
        one = slice_logic(headless.scene, headless.application_logic, name)
        one.GetSliceNode().SetOrientation(orientation)
        one.ResizeSliceNode(400, 300)
        one.GetSliceCompositeNode().SetBackgroundVolumeID(scan.GetID())
    logic.GetLayoutNode().SetViewArrangement(layout_id(TWO_ROWS))
    for row in ("Pred", "Ref"):
        for name in slice_views(row):
            slice_logic(headless.scene, headless.application_logic, name).ResizeSliceNode(317, 420)
        add_camera(headless.scene, f"{row}3D")
    add_camera(headless.scene, "1")
    yield headless, SideBySide(headless.scene, headless.application_logic), scan, nodes
    logic.SetMRMLScene(None)


def add_camera(scene, view):
    """As the application does for a new 3D view: at the origin of the world."""
    node = slicer.vtkMRMLCameraNode()
    node.SetLayoutName(view)
    return scene.AddNode(node)


def camera(headless, view):
    nodes = (headless.scene.GetNthNodeByClass(n, "vtkMRMLCameraNode") for n in range(3))
    return next(node for node in nodes if node.GetLayoutName() == view)


def slice_node(headless, name):
    return headless.scene.GetNodeByID(f"vtkMRMLSliceNode{name}")


def assert_seen(camera_node, box, aspect):
    """What is shown is inside the view and fills at least a third of it."""
    left, right, bottom, top = shown_extent(camera_node, box, aspect)
    assert min(left, bottom) >= -1.001 and max(right, top) <= 1.001, (left, right, bottom, top)
    assert max(right - left, top - bottom) / 2 > 1 / 3


def test_every_view_shows_the_structures_wherever_the_scan_lies(scene):
    headless, shown, scan, nodes = scene
    for name in APPLICATION:
        slice_node(headless, name).SetSliceOffset(0.0)  # where new slice views start
    shown.enter(TWO_ROWS, scan, *nodes)
    box, corners = box_of(nodes), corners_of_node(scan)
    for aspect in (1.6, 0.62):
        shown.views.settle(aspect)
        for row in ("Pred", "Ref"):
            assert_seen(camera(headless, f"{row}3D"), box, aspect)
    for row in ("Pred", "Ref"):
        for name in slice_views(row):
            node = slice_node(headless, name)
            right, up, _, origin = axes_of(node)
            assert cuts_box(node, box), f"{name} shows no structure"
            for axis, size, middle in zip((right, up), node.GetFieldOfView(), node.GetXYZOrigin(), strict=False):
                reach = np.abs((corners - origin) @ axis - middle)
                assert reach.max() <= size / 2 + 0.01, "the whole scan is in view"
            fills = [
                np.ptp(corners @ axis) / size for axis, size in zip((right, up), node.GetFieldOfView(), strict=False)
            ]
            assert max(fills) > 0.99, "and as large as the view allows"


def test_the_first_offsets_of_new_sliders_do_not_stay(scene):
    """Slicer's slice views write the values of their sliders into the nodes a moment after a layout is chosen."""
    headless, shown, scan, nodes = scene
    shown.enter(TWO_ROWS, scan, *nodes)
    planes = {name: axes_of(slice_node(headless, name))[3] for name in slice_views("Pred")}
    for row in ("Pred", "Ref"):
        for name in slice_views(row):
            slice_node(headless, name).SetSliceOffset(0.0)
    shown.views.settle(1.0)
    for name, plane in planes.items():
        assert axes_of(slice_node(headless, name))[3] == pytest.approx(plane), name
        assert axes_of(slice_node(headless, name.replace("Pred", "Ref")))[3] == pytest.approx(plane), name
    slice_node(headless, "PredAx").JumpSliceByOffsetting(*(plane + 6.0))
    shown.views.settle(1.0)
    assert axes_of(slice_node(headless, "PredAx"))[3] != pytest.approx(planes["PredAx"]), (
        "from then on it is the user's"
    )


def test_surfaces_that_come_later_are_drawn_in_a_narrow_view(headless):
    """A view draws only what lies up to 1 m from the camera until it is told to look again; a narrow one is further away."""
    try:
        check_rendering()
    except InputError as error:
        pytest.skip(str(error))
    geometry = Geometry((24, 40, 48), (12.0, 8.0, 8.0), (310.0, -220.0, 730.0))
    for made_in, shown, scan, nodes in made(headless, geometry):
        scene, logic = made_in.scene, made_in.application_logic
        drawing = [ThreeDView(scene, logic, f"{row}3D", (60, 160)) for row in ("Pred", "Ref")]
        for view in drawing:
            view.window.Render()
        shown.enter(TWO_ROWS, scan, *nodes)
        shown.views.settle(60 / 160)
        for node, view in zip(nodes, drawing, strict=True):
            assert camera(headless, view.node.GetLayoutName()).GetCamera().GetDistance() > 1000
            node.CreateClosedSurfaceRepresentation()
            shown.views.reset_clipping()
            view.window.Render()
            pixels = window_pixels(view.window).astype(int)
            drawn = np.abs(pixels - pixels[:, :1]).sum(axis=2) > 60  # the background changes from top to bottom
            assert 0.05 < drawn.mean() < 0.9, drawn.mean()
            view.close()


def test_the_slices_on_screen_are_those_of_before_if_they_show_something(scene):
    headless, shown, scan, nodes = scene
    at = np.array(nodes[0].GetSegmentCenterRAS("Segment_2"))
    for name in APPLICATION:
        slice_node(headless, name).JumpSliceByOffsetting(*at)
    shown.enter(TWO_ROWS, scan, *nodes)
    for name in ("PredAx", "PredCo", "PredSa", "RefAx"):
        *_, normal, origin = axes_of(slice_node(headless, name))
        assert (at - origin) @ normal == pytest.approx(0, abs=1e-6), name


def test_it_is_left_as_it_was_entered(scene):
    headless, shown, scan, nodes = scene
    display, own = scan.GetDisplayNode(), camera(headless, "1")
    display.SetAutoWindowLevel(True)
    own.SetPosition(1.0, 2.0, 3.0)
    slice_node(headless, "Red").SetFieldOfView(40.0, 30.0, 1.0)
    slice_node(headless, "Green").SetXYZOrigin(5.0, 6.0, 0.0)
    before = everything(headless, display)
    shown.enter(TWO_ROWS, scan, *nodes)
    shown.show_in((-200.0, 300.0))
    assert (display.GetWindow(), display.GetLevel()) == (500.0, 50.0) and not display.GetAutoWindowLevel()
    for number in range(headless.scene.GetNumberOfNodesByClass("vtkMRMLSliceNode")):
        headless.scene.GetNthNodeByClass(number, "vtkMRMLSliceNode").JumpSliceByCentering(1.0, 2.0, 3.0)
    look_towards(own, (7.0, 8.0, 9.0))
    shown.views.keep()
    shown.show(ONLY_3D)
    shown.show_in(None)
    assert display.GetAutoWindowLevel()
    shown.show_in((-160.0, 240.0))
    shown.leave()
    assert everything(headless, display) == before


def everything(headless, display):
    planes = []
    for name in APPLICATION:
        node = slice_node(headless, name)
        matrix = [node.GetSliceToRAS().GetElement(row, column) for row in range(4) for column in range(4)]
        planes.append((matrix, node.GetFieldOfView(), node.GetXYZOrigin(), node.GetOrientation(), node.GetDimensions()))
    own = camera(headless, "1")
    pose = own.GetPosition(), own.GetFocalPoint(), own.GetViewUp(), own.GetParallelScale()
    window = display.GetAutoWindowLevel(), display.GetWindow(), display.GetLevel(), display.GetAttributeNames()
    return planes, pose, window


def test_a_scene_that_was_saved_in_another_window_is_put_right(far):
    headless, _, scan, _ = far
    display = scan.GetDisplayNode()
    display.SetAutoWindowLevel(False)
    display.SetWindowLevel(2434.0, 217.0)
    for window_hu in ((-160.0, 240.0), (-200.0, 300.0)):
        show_window(display, window_hu)
    restore_displays(headless.scene)
    assert (display.GetWindow(), display.GetLevel()) == (2434.0, 217.0) and not display.GetAutoWindowLevel()


def test_a_view_that_the_user_turned_is_left_alone_while_something_is_in_it(far):
    headless, _, _, nodes = far
    own, box = camera(headless, "1"), box_of(far[3])
    assert not is_seen(own, box), "Slicer's new camera looks at the origin"
    assert show_box(own, box, 1.3) and not is_turned(own)
    assert_seen(own, box, 1.3)
    assert show_box(own, box + 60.0, 1.3), "the next case, nobody has turned the view"
    look_towards(own, nodes[0].GetSegmentCenterRAS("Segment_2"))
    assert not is_turned(own), "going to a structure is our own doing"
    show_box(own, box, 1.3)
    own.GetCamera().Azimuth(70.0)
    own.GetCamera().Elevation(20.0)
    position, direction = own.GetPosition(), direction_of(own)
    frame_again(own, 0.5)
    assert is_turned(own) and not show_box(own, box, 1.3) and own.GetPosition() == position
    assert show_box(own, box + 900.0, 1.3), "a case that lies elsewhere would be out of sight"
    assert direction_of(own) == pytest.approx(direction)
    assert_seen(own, box + 900.0, 1.3)


def test_a_camera_with_parallel_projection_or_from_above_shows_the_box_too(far):
    headless, *_ = far
    own, box = camera(headless, "1"), box_of(far[3])
    own.SetParallelProjection(True)
    show_box(own, box, 0.8)
    assert_seen(own, box, 0.8)
    own.SetPosition(*(np.array(own.GetFocalPoint()) + (0.0, 0.0, 400.0)))
    own.SetViewUp(0.0, 0.0, 1.0)
    show_box(own, box + 900.0, 0.8)
    assert_seen(own, box + 900.0, 0.8)


def test_a_slice_view_is_fitted_after_each_change_of_size_until_the_user_zooms(scene):
    headless, _, scan, _ = scene
    logic = slice_logic(headless.scene, headless.application_logic, "Red")
    node, corners, fits = logic.GetSliceNode(), corners_of_node(scan), SliceViewFit()
    fits.fit(node, corners)
    plane = axes_of(node)[3]
    for size in ((318, 420), (327, 420), (900, 200), (120, 700)):
        logic.ResizeSliceNode(*size)
        assert fits.follow(node, corners)
        width, height = node.GetFieldOfView()[:2]
        assert width / size[0] == pytest.approx(height / size[1]), "pixels are square"
        fills = [np.ptp(corners @ axis) / side for axis, side in zip(axes_of(node)[:2], (width, height), strict=True)]
        assert max(fills) == pytest.approx(1.0, abs=1e-3) and axes_of(node)[3] == pytest.approx(plane)
    node.SetFieldOfView(30.0, 175.0, 1.0)
    logic.ResizeSliceNode(240, 700)
    assert not fits.follow(node, corners) and node.GetFieldOfView()[:2] == pytest.approx((60.0, 175.0))
    fits.fit(node, corners)
    assert fits.follow(node, corners)


def test_the_largest_structure_is_found_by_its_voxels_under_its_transform(far):
    headless, _, _, (prediction, reference) = far
    middle = middle_of_largest([prediction])
    assert np.abs(np.subtract(middle, prediction.GetSegmentCenterRAS("Segment_1"))).max() < 3.1, "within a voxel"
    transform = headless.scene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    matrix = slicer.vtkMRMLSliceNode().GetSliceToRAS()
    matrix.Identity()
    matrix.SetElement(2, 3, 500.0)
    transform.SetMatrixTransformToParent(matrix)
    prediction.SetAndObserveTransformNodeID(transform.GetID())
    assert middle_of_largest([prediction]) == pytest.approx((middle[0], middle[1], middle[2] + 500.0))
    reference.GetSegmentation().RemoveAllSegments()
    assert middle_of_largest([reference]) is None
    red = slice_node(headless, "Red")
    offset = red.GetSliceOffset()
    bring_into_slices([red], [reference])
    assert red.GetSliceOffset() == offset, "nothing to go to"
    bring_into_slices([red], [prediction])
    assert red.GetSliceOffset() == pytest.approx(middle[2] + 500.0)


def test_a_crescent_is_met_in_its_own_voxels(headless):
    """The centre of mass of a hollow structure lies outside of it."""
    labels = np.zeros((40, 60, 60), np.uint8)
    z, y, x = np.ogrid[:40, :60, :60]
    distance = np.sqrt((z - 20) ** 2 + (y - 30) ** 2 + (x - 30) ** 2)
    labels[(distance < 18) & (distance > 15) & (x < 30)] = 1
    geometry = Geometry(labels.shape, (1.0, 1.0, 1.0), (0.0, 0.0, 700.0))
    shell = Segmentation(labels, geometry, (known_structure("liver", 1, (1,)),), "shell")
    right, anterior, superior = middle_of_largest([segmentation_to_node(shell, headless.scene, surfaces=False)])
    assert labels[round(superior - 700), round(-anterior), round(-right)] == 1
