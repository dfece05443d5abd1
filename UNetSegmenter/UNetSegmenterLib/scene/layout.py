"""Prediction above ground truth: a layout of two rows, each with three slice views and a 3D view, linked and in one colour.

The application's layout manager makes the views (Qt); here is what they are called, what they show, and how everything
that was changed for them is put back.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import slicer

from ..engine.matching import match_structures
from .comparison import frame
from .judging import look_at
from .reading import structures_of

LAYOUT_ID = 7355  # Slicer's own are below 1000
VIEW_GROUP = 7355  # slice views follow each other within it, not the application's own
ORIENTATIONS = {"Ax": "Axial", "Co": "Coronal", "Sa": "Sagittal"}
COLORS = {"Ax": "#F34A33", "Co": "#6EB04B", "Sa": "#EDD54C"}
ROWS = {"Pred": "Prediction", "Ref": "Ground truth"}
_FROM_THE_FRONT = (0.28, -1.0, -0.22)

Undo = list[Callable[[], None]]


def layout_xml() -> str:
    """The layout as Slicer's layout manager reads it."""
    return f'<layout type="vertical" split="true">{"".join(map(_row_xml, ROWS))}</layout>'


def _row_xml(row: str) -> str:
    views = "".join(
        f'<item><view class="vtkMRMLSliceNode" singletontag="{row}{name}">'
        f'<property name="orientation" action="default">{orientation}</property>'
        f'<property name="viewlabel" action="default">{row[0]} {name}</property>'
        f'<property name="viewcolor" action="default">{COLORS[name]}</property>'
        f'<property name="viewgroup" action="default">{VIEW_GROUP}</property></view></item>'
        for name, orientation in ORIENTATIONS.items()
    )
    threed = (
        f'<item><view class="vtkMRMLViewNode" singletontag="{row}3D">'
        f'<property name="viewlabel" action="default">{row[0]} 3D</property>'
        f'<property name="viewgroup" action="default">{VIEW_GROUP}</property></view></item>'
    )
    return f'<item><layout type="horizontal" split="true">{views}{threed}</layout></item>'


def add_layout(layout_node: slicer.vtkMRMLLayoutNode) -> None:
    """Make the layout known to the application."""
    if layout_node.IsLayoutDescription(LAYOUT_ID):
        layout_node.SetLayoutDescription(LAYOUT_ID, layout_xml())
    else:
        layout_node.AddLayoutDescription(LAYOUT_ID, layout_xml())


def slice_views(row: str) -> list[str]:
    """Layout names of a row's slice views."""
    return [row + name for name in ORIENTATIONS]


def view_ids(row: str) -> list[str]:
    """Ids of a row's view nodes."""
    return [f"vtkMRMLSliceNode{name}" for name in slice_views(row)] + [f"vtkMRMLViewNode{row}3D"]


class SideBySide:
    """The two rows while they are shown: `enter` fills the views, `leave` puts everything else back as it was."""

    def __init__(self, scene: slicer.vtkMRMLScene, application_logic: slicer.vtkMRMLApplicationLogic) -> None:
        self._scene, self._logic = scene, application_logic
        self._undo: Undo = []
        self._displays: list[Any] = []

    def enter(self, volume_node: Any, prediction_node: Any, reference_node: Any) -> None:
        """Show each node in its row alone, on the scan, linked and centred. The layout must be the current one."""
        rows = {"Pred": prediction_node, "Ref": reference_node}
        for row, node in rows.items():
            self._fill_row(row, volume_node, node)
            if node.IsA("vtkMRMLSegmentationNode"):
                node.CreateDefaultDisplayNodes()
                self._show_only_in(node.GetDisplayNode(), view_ids(row))
                self._remember_drawing(node.GetDisplayNode())
                self._displays.append(node.GetDisplayNode())
        self._keep_others_out([node.GetDisplayNode() for node in rows.values()])
        if reference_node.IsA("vtkMRMLSegmentationNode"):
            self._share_colors(prediction_node, reference_node)
        self._center(prediction_node, reference_node)

    def leave(self) -> None:
        """Put back what `enter` changed of the nodes, as far as they are still there."""
        for undo in reversed(self._undo):
            undo()
        self._undo, self._displays = [], []

    def set_outline(self, outline: bool) -> None:
        """Draw lines instead of areas in the slices of both rows, or areas again."""
        for display in self._displays:
            display.SetVisibility2DFill(not outline)
            display.SetVisibility2DOutline(True)
            display.SetSliceIntersectionThickness(3 if outline else 1)

    def _fill_row(self, row: str, volume_node: Any, node: Any) -> None:
        for name in slice_views(row):
            logic = self._slice_logic(name)
            if logic is None:
                continue
            composite = logic.GetSliceCompositeNode()
            composite.SetBackgroundVolumeID(volume_node.GetID() if volume_node is not None else None)
            composite.SetForegroundVolumeID(None)
            composite.SetLabelVolumeID(node.GetID() if node.IsA("vtkMRMLLabelMapVolumeNode") else None)
            composite.SetLinkedControl(1)
            logic.FitSliceToAll()
        view = self._scene.GetNodeByID(f"vtkMRMLViewNode{row}3D")
        if view is not None:
            view.SetLinkedControl(1)
            view.SetBoxVisible(False)
            view.SetAxisLabelsVisible(False)

    def _slice_logic(self, name: str) -> Any:
        logics = self._logic.GetSliceLogics()
        for number in range(logics.GetNumberOfItems() if logics is not None else 0):
            logic = logics.GetItemAsObject(number)
            if logic.GetSliceNode() is not None and logic.GetSliceNode().GetLayoutName() == name:
                return logic
        return None

    def _show_only_in(self, display: Any, ids: list[str]) -> None:
        before = [display.GetNthViewNodeID(number) for number in range(display.GetNumberOfViewNodeIDs())]
        self._undo.append(lambda: _set_views(display, before))
        _set_views(display, ids)

    def _remember_drawing(self, display: Any) -> None:
        fill, line = display.GetVisibility2DFill(), display.GetVisibility2DOutline()
        thickness, visible = display.GetSliceIntersectionThickness(), display.GetVisibility()

        def undo() -> None:
            display.SetVisibility2DFill(fill)
            display.SetVisibility2DOutline(line)
            display.SetSliceIntersectionThickness(thickness)
            display.SetVisibility(visible)

        self._undo.append(undo)
        display.SetVisibility(True)

    def _keep_others_out(self, own: list[Any]) -> None:
        """Other segmentations stay in the views that they were in before there were these two rows."""
        ours = {view for row in ROWS for view in view_ids(row)}
        others = [
            node.GetID()
            for kind in ("vtkMRMLSliceNode", "vtkMRMLViewNode")
            for node in _nodes(self._scene, kind)
            if node.GetID() not in ours
        ]
        for display in _nodes(self._scene, "vtkMRMLSegmentationDisplayNode"):
            if display not in own and not display.GetNumberOfViewNodeIDs():
                self._show_only_in(display, others or ["nowhere"])

    def _share_colors(self, prediction_node: Any, reference_node: Any) -> None:
        """The ground truth in the prediction's colours, on screen only: the segments keep their own."""
        display = reference_node.GetDisplayNode()
        ours, theirs = prediction_node.GetSegmentation(), reference_node.GetSegmentation()
        for pair in match_structures(structures_of(prediction_node), structures_of(reference_node)).pairs:
            color = ours.GetNthSegment(pair.prediction.index - 1).GetColor()
            segment_id = theirs.GetNthSegmentID(pair.reference.index - 1)
            display.SetSegmentOverrideColor(segment_id, *color)
            self._undo.append(lambda segment_id=segment_id: _unset_color(reference_node, display, segment_id))

    def _center(self, prediction_node: Any, reference_node: Any) -> None:
        import numpy as np

        bounds = np.zeros((2, 6))
        for one, node in zip(bounds, (prediction_node, reference_node), strict=True):
            node.GetRASBounds(one)
        bounds = bounds[bounds[:, 0] < bounds[:, 1]]
        if not len(bounds):
            return
        low, high = bounds[:, ::2].min(axis=0), bounds[:, 1::2].max(axis=0)
        look_at(self._scene, tuple(float(value) for value in (low + high) / 2))
        corners = np.array([[i, j, k] for i in (0, 1) for j in (0, 1) for k in (0, 1)])
        for camera in _nodes(self._scene, "vtkMRMLCameraNode"):
            if camera.GetLayoutName() in {f"{row}3D" for row in ROWS}:
                frame(camera, low + corners * (high - low), _FROM_THE_FRONT)


def _nodes(scene: slicer.vtkMRMLScene, kind: str) -> list[Any]:
    return [scene.GetNthNodeByClass(number, kind) for number in range(scene.GetNumberOfNodesByClass(kind))]


def _unset_color(node: Any, display: Any, segment_id: str) -> None:
    if node.GetScene() is not None and node.GetSegmentation().GetSegment(segment_id) is not None:
        display.UnsetSegmentOverrideColor(segment_id)


def _set_views(display: Any, ids: list[str]) -> None:
    modifying = display.StartModify()
    display.RemoveAllViewNodeIDs()
    for view_id in ids:
        display.AddViewNodeID(view_id)
    display.EndModify(modifying)
