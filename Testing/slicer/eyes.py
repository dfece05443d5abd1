"""What a person sees, asserted: results inside the views, slices inside the scan, columns of one width, words, tool tips."""

from __future__ import annotations

import html
import re

import numpy as np
import slicer
import vtk
from world import Skip

LEAST_PART = 1 / 3  # of a 3D view, that what is shown has to fill
ROUNDING = 0.01  # of half a view
COLUMNS_DIFFER = 0.1  # of the widest
SETTLED_S = 0.3  # views that have kept their sizes for so long are done
ROWS = {"Pred": "Prediction", "Ref": "Ground truth"}
SLICES = ("Ax", "Co", "Sa")


def tool_tip(widget):
    """The text of a tool tip: Slicer wraps a plain one in `<p>...</p>` (ctkToolTipTrapper)."""
    text = widget.toolTip
    return html.unescape(re.sub("<[^>]*>", "", text)) if text.startswith("<p") else text


def need_views():
    """Skip a story that is about views where there are none."""
    manager = slicer.app.layoutManager()
    if not manager or not manager.threeDViewCount:
        raise Skip("no views here")


def widgets_on_screen():
    """The widgets of the views on screen by the layout names of their nodes: slices, and 3D."""
    manager = slicer.app.layoutManager()
    slices = {name: manager.sliceWidget(name) for name in manager.sliceViewNames()}
    threed = [manager.threeDWidget(number) for number in range(manager.threeDViewCount)]
    named = {widget.mrmlViewNode().GetLayoutName(): widget for widget in threed if widget}
    return tuple({name: one for name, one in found.items() if one and one.isVisible()} for found in (slices, named))


def view_of(widget):
    return widget.sliceView() if hasattr(widget, "sliceView") else widget.threeDView()


def settle_views(world):
    """Wait until no view changes its size any more: panel, plots and bars take their room a moment after a press."""
    sizes = None
    while sizes != (
        now := [(view_of(one).width, view_of(one).height) for part in widgets_on_screen() for one in part.values()]
    ):
        sizes = now
        world.settle(SETTLED_S)


def assert_seen(nodes, names=None):
    """In the 3D views on screen (of these layout names) what the nodes hold is inside, and fills at least a third."""
    corners = corners_of(nodes)
    _, threed = widgets_on_screen()
    names = list(threed) if names is None else names
    assert names and set(names) <= set(threed), f"{names} of {list(threed)} on screen"
    for name in names:
        view, camera = threed[name].threeDView(), camera_of(name)
        # to the view's own coordinates, in which its edges and clipping planes are -1 and 1
        matrix = camera.GetCamera().GetCompositeProjectionTransformMatrix(view.width / view.height, -1.0, 1.0)
        seen = np.array([matrix.MultiplyPoint((*corner, 1.0)) for corner in corners])
        assert (seen[:, 3] > 0).all(), f"{name}: the structures are behind the camera"
        seen = seen[:, :3] / seen[:, 3:]
        low, high = seen.min(axis=0), seen.max(axis=0)
        assert low.min() > -1 - ROUNDING and high.max() < 1 + ROUNDING, f"{name}: out of view, {low} to {high}"
        assert max(high[:2] - low[:2]) / 2 > LEAST_PART, f"{name}: too small to be seen, {low} to {high}"


def assert_slices_meet(scan, names=None):
    """The slice views on screen (of these layout names) cut the scan, and show all of it as large as they have room for."""
    corners = corners_of([scan])
    slices, _ = widgets_on_screen()
    names = list(slices) if names is None else names
    assert names and set(names) <= set(slices), f"{names} of {list(slices)} on screen"
    for name in names:
        node, view = slices[name].mrmlSliceNode(), slices[name].sliceView()
        matrix = node.GetSliceToRAS()
        axes = np.array([[matrix.GetElement(row, column) for row in range(3)] for column in range(3)])
        along = corners @ axes.T
        offset = node.GetSliceOffset()
        assert along[:, 2].min() <= offset <= along[:, 2].max(), f"{name}: slice {offset} beside the scan"
        shown, pixels = np.array(node.GetFieldOfView()[:2]), np.array(node.GetDimensions()[:2])
        assert abs(pixels[0] / pixels[1] / (view.width / view.height) - 1) < 0.03, (
            f"{name}: {pixels}, {view.width} wide"
        )
        assert abs(shown[0] / pixels[0] / (shown[1] / pixels[1]) - 1) < 0.01, f"{name}: stretched, {shown} mm"
        fills = np.ptp(along[:, :2], axis=0) / shown
        assert fills.max() < 1 + ROUNDING, f"{name}: cut off, {fills} of the view"
        assert fills.max() > 0.9, f"{name}: small in the middle, {fills} of the view"


def assert_side_by_side(scan, nodes, rows=ROWS):
    """Two rows of equal columns, each view named, the structures in both 3D views and the scan in all slices."""
    slices, threed = widgets_on_screen()
    views = {name: view_of(one) for name, one in {**slices, **threed}.items()}
    for row, title in rows.items():
        columns = [*(row + name for name in SLICES), f"{row}3D"]
        widths = [views[name].width for name in columns]
        assert min(widths) >= (1 - COLUMNS_DIFFER) * max(widths), f"columns of {widths} pixels"
        assert widths[3] >= max(widths[:3]) - 2, f"a 3D view of {widths[3]} pixels beside slices of {widths[:3]}"
        for name in columns:
            assert title in words_in(views[name]), f"{name}: {words_in(views[name])}"
        assert_slices_meet(scan, columns[:3])
        assert_seen(nodes, columns[3:])


def words_in(view):
    """The words in a view from above to below; Slicer's own annotations are other actors."""
    props = view.renderWindow().GetRenderers().GetItemAsObject(0).GetViewProps()
    actors = [props.GetItemAsObject(number) for number in range(props.GetNumberOfItems())]
    return [actor.GetInput() for actor in actors if isinstance(actor, vtk.vtkTextActor) and actor.GetInput()]


def camera_of(name):
    """The camera node of a 3D view."""
    cameras = slicer.util.getNodesByClass("vtkMRMLCameraNode")
    return next(camera for camera in cameras if camera.GetLayoutName() == name)


def corners_of(nodes):
    """Corners (8, 3) of the box around what nodes hold, RAS in mm."""
    boxes = []
    for node in nodes:
        bounds = [0.0] * 6
        node.GetRASBounds(bounds)
        boxes.append(np.reshape(bounds, (3, 2)))
    low, high = np.min([box[:, 0] for box in boxes], axis=0), np.max([box[:, 1] for box in boxes], axis=0)
    return np.array([[(low, high)[bit >> axis & 1][axis] for axis in range(3)] for bit in range(8)])
