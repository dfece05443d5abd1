"""The views of the module's layouts: what stands in them, linked, in one place and at one scale."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import slicer

from .comparison import frame
from .layout import ONE_ROW, ONLY_3D, ORIENTATIONS, ROWS, TWO_ROWS, slice_views

_FROM_THE_FRONT = (0.28, -1.0, -0.22)
_ACROSS = {"Ax": (0, 1), "Co": (0, 2), "Sa": (1, 2)}  # world axes along the sides of a slice view
_ASPECT = 1.15  # of a 3D view whose size is not known yet
_CORNERS = np.array([[i, j, k] for i in (0, 1) for j in (0, 1) for k in (0, 1)])


class LinkedViews:
    """Both rows of views, the lower of which is kept where the upper one is: that one is in every variant.

    The application gives views their sizes a moment after a layout is chosen, and keeps only the height of what they
    show: `settle`, called then, fits in what has to be in view.
    """

    def __init__(self, scene: slicer.vtkMRMLScene, application_logic: slicer.vtkMRMLApplicationLogic) -> None:
        self._scene, self._logic = scene, application_logic
        self._filled: set[str] = set()
        self._variant, self._is_settled = TWO_ROWS, False
        self._box: np.ndarray | None = None  # low and high corner (RAS) of what the 3D views show
        self._fields: dict[str, tuple[float, float]] = {}  # mm that the slice views have to show, by orientation
        self._aspect: float | None = None  # of the 3D views for which the cameras were placed

    def show(self, variant: str, volume_node: Any) -> None:
        """Fill the views of a variant with the scan (None: black); what was looked at stays in view."""
        self._variant, self._is_settled = variant, False
        for row in ROWS:
            self._fill_row(row, volume_node)
        self._align()

    def go_to(self, nodes: Sequence[Any], volume_node: Any) -> None:
        """Centre all views on these nodes, as wide as the scan in slices (without one, as the nodes), all of them in 3D."""
        scan = _box([volume_node]) if volume_node is not None else None
        box = _box(nodes)
        self._box, wide = box if box is not None else scan, scan if scan is not None else box
        if self._box is None or wide is None:
            return
        middle, sides = self._box.mean(axis=0), np.maximum(wide[1] - wide[0], 1.0)
        for row in ROWS:
            for _, node in self._slice_nodes(row):
                node.JumpSliceByCentering(*middle)
        self._fields = {name: (sides[across], sides[up]) for name, (across, up) in _ACROSS.items()}
        self._fit_slices()
        self._frame(_ASPECT)

    def keep(self) -> None:
        """Have what the slices show now in view in the next variant too; to be called before the layout changes."""
        if self._is_settled and self._variant != ONLY_3D:
            for name, node in self._slice_nodes("Pred"):
                self._fields[name] = node.GetFieldOfView()[:2]

    def settle(self, aspect: float = _ASPECT) -> None:
        """Fit in what has to be in view; `aspect` is the width of a 3D view over its height."""
        if self._variant != ONLY_3D:
            self._fit_slices()
        if self._aspect is None:
            self._frame(aspect)
        else:  # narrow views cut off what is at the sides
            self._step_back(min(self._aspect, 1.0) / min(aspect, 1.0))
        self._aspect, self._is_settled = aspect, True

    def _fill_row(self, row: str, volume_node: Any) -> None:
        for name in slice_views(row):
            logic = self._slice_logic(name)
            if logic is None or name in self._filled:
                continue
            self._filled.add(name)
            composite = logic.GetSliceCompositeNode()
            composite.SetBackgroundVolumeID(volume_node.GetID() if volume_node is not None else None)
            composite.SetForegroundVolumeID(None)
            composite.SetLabelVolumeID(None)
            composite.SetLinkedControl(1)
        view = self._scene.GetNodeByID(f"vtkMRMLViewNode{row}3D")
        if view is not None:
            view.SetLinkedControl(1)
            view.SetBoxVisible(False)
            view.SetAxisLabelsVisible(False)

    def _fit_slices(self) -> None:
        for name, node in self._slice_nodes("Pred"):
            columns, rows, _ = node.GetDimensions()
            if name in self._fields and columns > 0 and rows > 0:
                width, height = self._fields[name]
                mm_a_pixel = max(width / columns, height / rows)
                node.SetFieldOfView(columns * mm_a_pixel, rows * mm_a_pixel, node.GetFieldOfView()[2])
        self._align()

    def _frame(self, aspect: float) -> None:
        if self._box is not None:
            low, high = self._box
            for camera in self._cameras().values():
                frame(camera, low + _CORNERS * (high - low), _FROM_THE_FRONT, aspect)

    def _step_back(self, factor: float) -> None:
        for camera in self._cameras().values():
            focus = np.array(camera.GetFocalPoint())
            camera.SetPosition(*(focus + factor * (np.array(camera.GetPosition()) - focus)))

    def _align(self) -> None:
        """Bring the lower row to where the upper one is."""
        if self._variant == ONE_ROW:
            return
        if self._variant != ONLY_3D:
            theirs = dict(self._slice_nodes("Ref"))
            for name, node in self._slice_nodes("Pred"):
                if name in theirs:
                    _align_slices(node, theirs[name])
        cameras = self._cameras()
        ours, theirs = cameras.get("Pred"), cameras.get("Ref")
        if ours is not None and theirs is not None:
            theirs.SetPosition(ours.GetPosition())
            theirs.SetFocalPoint(ours.GetFocalPoint())
            theirs.SetViewUp(ours.GetViewUp())
            theirs.SetParallelScale(ours.GetParallelScale())

    def _slice_nodes(self, row: str) -> Iterator[tuple[str, Any]]:
        """Orientation ("Ax") and node of the slice views of a row, as far as there are any."""
        for name in ORIENTATIONS:
            logic = self._slice_logic(row + name)
            if logic is not None:
                yield name, logic.GetSliceNode()

    def _slice_logic(self, name: str) -> Any:
        logics = self._logic.GetSliceLogics()
        for number in range(logics.GetNumberOfItems() if logics is not None else 0):
            logic = logics.GetItemAsObject(number)
            if logic.GetSliceNode() is not None and logic.GetSliceNode().GetLayoutName() == name:
                return logic
        return None

    def _cameras(self) -> dict[str, Any]:
        """The cameras of the rows."""
        rows = {f"{row}3D": row for row in ROWS}
        count = self._scene.GetNumberOfNodesByClass("vtkMRMLCameraNode")
        every = (self._scene.GetNthNodeByClass(number, "vtkMRMLCameraNode") for number in range(count))
        return {rows[camera.GetLayoutName()]: camera for camera in every if camera.GetLayoutName() in rows}


def _box(nodes: Sequence[Any]) -> np.ndarray | None:
    """Low and high corner (RAS) of what nodes hold; None where none of them holds anything."""
    bounds = np.zeros((len(nodes), 6))
    for one, node in zip(bounds, nodes, strict=True):
        node.GetRASBounds(one)
    bounds = bounds[bounds[:, 0] < bounds[:, 1]]
    return np.stack([bounds[:, ::2].min(axis=0), bounds[:, 1::2].max(axis=0)]) if len(bounds) else None


def _align_slices(ours: Any, theirs: Any) -> None:
    """Give a slice view another one's plane, middle and scale (mm a pixel); it keeps its own size."""
    modifying = theirs.StartModify()
    theirs.GetSliceToRAS().DeepCopy(ours.GetSliceToRAS())
    theirs.UpdateMatrices()
    height, depth = ours.GetDimensions()[1], ours.GetFieldOfView()[2]
    mm_a_pixel = ours.GetFieldOfView()[1] / height if height else 1.0
    columns, rows, _ = theirs.GetDimensions()
    theirs.SetFieldOfView(columns * mm_a_pixel, rows * mm_a_pixel, depth)
    theirs.SetXYZOrigin(ours.GetXYZOrigin())
    theirs.EndModify(modifying)
