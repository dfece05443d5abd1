"""Where the application's own views were before prediction and ground truth were shown side by side."""

from __future__ import annotations

from typing import Any

import slicer
import vtk

from ..nodes.segmentation_nodes import nodes_of_class
from .framing import reset_clipping
from .layout import VIEW_GROUP


class ViewsBefore:
    """Plane, middle and zoom of the slice views that are not the module's, and the poses of the cameras."""

    def __init__(self, scene: slicer.vtkMRMLScene) -> None:
        self._slices = [(node, _plane(node)) for node in application_slices(scene)]
        self._cameras = [(camera, _copy(camera)) for camera in nodes_of_class(scene, "vtkMRMLCameraNode")]

    def restore(self) -> None:
        """Put back what is still in the scene."""
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
                _put(camera, before)
        self._slices, self._cameras = [], []


def application_slices(scene: slicer.vtkMRMLScene) -> list[Any]:
    """The slice nodes that are not in the module's own layouts."""
    return [node for node in nodes_of_class(scene, "vtkMRMLSliceNode") if node.GetViewGroup() != VIEW_GROUP]


def _plane(node: Any) -> tuple[vtk.vtkMatrix4x4, tuple[float, ...], tuple[float, ...]]:
    matrix = vtk.vtkMatrix4x4()
    matrix.DeepCopy(node.GetSliceToRAS())
    return matrix, tuple(node.GetFieldOfView()), tuple(node.GetXYZOrigin())


def _copy(camera: Any) -> tuple[Any, ...]:
    return camera.GetPosition(), camera.GetFocalPoint(), camera.GetViewUp(), camera.GetParallelScale()


def _put(camera: Any, before: tuple[Any, ...]) -> None:
    position, focus, up, scale = before
    modifying = camera.StartModify()
    camera.SetPosition(*position)
    camera.SetFocalPoint(*focus)
    camera.SetViewUp(*up)
    camera.SetParallelScale(scale)
    camera.EndModify(modifying)
    reset_clipping(camera)
