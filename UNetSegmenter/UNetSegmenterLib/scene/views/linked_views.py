"""The views of the module's layouts: their content, linked, at one position and at one scale; and the state of the others."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import slicer
import vtk

from ..nodes.scene_nodes import nodes_of_class
from .cameras import ASPECT, box_of, cameras_by_view, corners_of, frame_again, is_turned, reset_clipping, show_box
from .layout import ONE_ROW, ONLY_3D, ORIENTATIONS, ROWS, TWO_ROWS, slice_views
from .slice_views import SliceViewFit, application_slices, axes_of, bring_into_slices, corners_of_node, go_to_plane_of


class LinkedViews:
    """Both rows of views. The lower row follows the upper one, which is in every variant.

    The application gives views their sizes a moment after a layout is chosen and whenever a window or panel changes:
    `settle`, called then, fits in what has to be in view, until the user zooms or turns a view.
    """

    def __init__(self, scene: slicer.vtkMRMLScene, application_logic: slicer.vtkMRMLApplicationLogic) -> None:
        self._scene, self._logic = scene, application_logic
        self._filled: set[str] = set()
        self._variant, self._is_settled = TWO_ROWS, False
        self._corners: np.ndarray | None = None  # (n, 3) RAS, of what the slice views have to show
        self._fits = SliceViewFit()
        self._box: np.ndarray | None = None  # low and high corner (RAS) of what the 3D views have to show
        self._planes: list[tuple[Any, np.ndarray]] = []  # slice nodes and where they go
        self._zoomed: dict[str, tuple[float, float]] = {}  # mm that views with the user's zoom go on to show
        self._aspect: float | None = None  # of the 3D views for which the cameras were placed

    def show(self, variant: str, volume_node: Any) -> None:
        """Fill the views of a variant with the scan (None: black); what was looked at stays in view."""
        self._variant, self._is_settled = variant, False
        for row in ROWS:
            self._fill_row(row, volume_node)
        self._align()

    def go_to(self, nodes: Sequence[Any], volume_node: Any) -> None:
        """Show these segmentation nodes: the whole scan in slices (without one, the nodes), all of them in 3D.

        The slices are those that the application's own views show, or go through the middle of the largest structure
        where those show nothing of it.
        """
        scan = corners_of_node(volume_node) if volume_node is not None else None
        box = box_of(nodes)
        if box is None and scan is not None:
            box = np.stack([scan.min(axis=0), scan.max(axis=0)])
        if box is None:
            return
        self._corners, self._box = scan if scan is not None else corners_of(box), box
        slices = dict(self._slice_nodes("Pred"))
        for node in slices.values():
            node.JumpSliceByOffsetting(*box.mean(axis=0))
            go_to_plane_of(node, self._others(volume_node))
            self._fits.fit(node, self._corners)
        bring_into_slices(slices.values(), nodes)
        self._planes = [(node, axes_of(node)[3]) for node in slices.values()]
        self._align()
        for camera in self._cameras().values():
            show_box(camera, box, self._aspect or ASPECT)

    def keep(self) -> None:
        """Keep what the slices show now in view in the next variant too; call this before the layout changes."""
        if self._is_settled and self._variant != ONLY_3D and self._corners is not None:
            for name, node in self._slice_nodes("Pred"):
                if not self._fits.is_fitted(node, self._corners):
                    self._zoomed[name] = node.GetFieldOfView()[:2]

    def settle(self, aspect: float = ASPECT) -> None:
        """Fit in what has to be in view; `aspect` is the width of a 3D view over its height.

        The sliders of new slice views have written their first offsets by the first time, over those of `go_to`.
        """
        planes, self._planes = self._planes, []
        for node, position in planes:
            node.JumpSliceByOffsetting(*position)
        if self._variant != ONLY_3D and self._corners is not None:
            for name, node in self._slice_nodes("Pred"):
                if name in self._zoomed:
                    _zoom(node, *self._zoomed.pop(name))
                else:
                    self._fits.follow(node, self._corners)
        for camera in self._cameras().values():
            if not is_turned(camera):
                frame_again(camera, aspect)
            elif self._aspect is not None:  # narrow views cut off what is at the sides
                _step_back(camera, min(self._aspect, 1.0) / min(aspect, 1.0))
        self._align()
        self._aspect, self._is_settled = aspect, True

    def reset_clipping(self) -> None:
        """Call this when surfaces were added: they are then drawn however far from the camera they are."""
        for camera in self._cameras().values():
            reset_clipping(camera, corners_of(self._box) if self._box is not None else None)

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

    def _align(self) -> None:
        """Bring the lower row to where the upper one is."""
        if self._variant == ONE_ROW:
            return
        if self._variant != ONLY_3D:
            lower = dict(self._slice_nodes("Ref"))
            for name, node in self._slice_nodes("Pred"):
                if name in lower:
                    _align_slices(node, lower[name])
        cameras = self._cameras()
        ours, theirs = cameras.get("Pred"), cameras.get("Ref")
        if ours is not None and theirs is not None:
            theirs.SetPosition(ours.GetPosition())
            theirs.SetFocalPoint(ours.GetFocalPoint())
            theirs.SetViewUp(ours.GetViewUp())
            theirs.SetParallelScale(ours.GetParallelScale())
        self.reset_clipping()

    def _others(self, volume_node: Any) -> list[Any]:
        """The application's slice views that show a slice of the scan."""
        return [
            node
            for node in application_slices(self._scene)
            if volume_node is not None
            and self._background(node) == volume_node.GetID()
            and _cuts_corners(node, self._corners)
        ]

    def _background(self, slice_node: Any) -> str | None:
        logic = self._slice_logic(slice_node.GetLayoutName())
        return logic.GetSliceCompositeNode().GetBackgroundVolumeID() if logic is not None else None

    def _slice_nodes(self, row: str) -> Iterator[tuple[str, Any]]:
        """Orientation ("Ax") and node of those slice views of a row that exist."""
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
        found = cameras_by_view(self._scene)
        return {row: found[f"{row}3D"] for row in ROWS if f"{row}3D" in found}


def _cuts_corners(slice_node: Any, corners: np.ndarray | None) -> bool:
    """Whether the plane of a slice view has some of these corners (n, 3) on each side."""
    if corners is None:
        return False
    *_, normal, origin = axes_of(slice_node)
    heights = (corners - origin) @ normal
    return bool(heights.min() < 0.0 < heights.max())


def _zoom(node: Any, width_mm: float, height_mm: float) -> None:
    columns, rows, _ = node.GetDimensions()
    if columns > 0 and rows > 0:
        mm_per_pixel = max(width_mm / columns, height_mm / rows)
        node.SetFieldOfView(columns * mm_per_pixel, rows * mm_per_pixel, node.GetFieldOfView()[2])


def _step_back(camera: Any, factor: float) -> None:
    focus = np.array(camera.GetFocalPoint())
    camera.SetPosition(*(focus + factor * (np.array(camera.GetPosition()) - focus)))


def _align_slices(ours: Any, theirs: Any) -> None:
    """Give a slice view another one's plane, middle and scale (mm per pixel); it keeps its own size."""
    modifying = theirs.StartModify()
    theirs.GetSliceToRAS().DeepCopy(ours.GetSliceToRAS())
    theirs.UpdateMatrices()
    height, depth = ours.GetDimensions()[1], ours.GetFieldOfView()[2]
    mm_per_pixel = ours.GetFieldOfView()[1] / height if height else 1.0
    columns, rows, _ = theirs.GetDimensions()
    theirs.SetFieldOfView(columns * mm_per_pixel, rows * mm_per_pixel, depth)
    theirs.SetXYZOrigin(ours.GetXYZOrigin())
    theirs.EndModify(modifying)


class ViewSnapshot:
    """Plane, middle and zoom of the slice views that are not the module's, and the poses of the cameras."""

    def __init__(self, scene: slicer.vtkMRMLScene) -> None:
        self._slices = [(node, _plane_of(node)) for node in application_slices(scene)]
        self._cameras = [(camera, _pose_of(camera)) for camera in nodes_of_class(scene, "vtkMRMLCameraNode")]

    def restore(self) -> None:
        """Restore the views that are still in the scene."""
        for node, (matrix, field, origin) in self._slices:
            if node.GetScene() is None:
                continue
            modifying = node.StartModify()
            node.GetSliceToRAS().DeepCopy(matrix)
            node.UpdateMatrices()
            node.SetFieldOfView(*field)
            node.SetXYZOrigin(*origin)
            node.EndModify(modifying)
        for camera, before in self._cameras:
            if camera.GetScene() is not None:
                _set_pose(camera, before)
        self._slices, self._cameras = [], []


def _plane_of(node: Any) -> tuple[vtk.vtkMatrix4x4, tuple[float, ...], tuple[float, ...]]:
    matrix = vtk.vtkMatrix4x4()
    matrix.DeepCopy(node.GetSliceToRAS())
    return matrix, tuple(node.GetFieldOfView()), tuple(node.GetXYZOrigin())


def _pose_of(camera: Any) -> tuple[Any, ...]:
    return camera.GetPosition(), camera.GetFocalPoint(), camera.GetViewUp(), camera.GetParallelScale()


def _set_pose(camera: Any, before: tuple[Any, ...]) -> None:
    position, focus, up, scale = before
    modifying = camera.StartModify()
    camera.SetPosition(*position)
    camera.SetFocalPoint(*focus)
    camera.SetViewUp(*up)
    camera.SetParallelScale(scale)
    camera.EndModify(modifying)
    reset_clipping(camera)
