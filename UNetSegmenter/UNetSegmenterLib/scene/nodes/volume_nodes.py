"""Volume nodes to and from the engine's arrays, in memory; and which of them is the scan to segment."""

from __future__ import annotations

import numpy as np
import slicer
import vtk
from vtk.util import numpy_support

from ...engine.errors import InputError
from ...engine.io.volume import Volume, as_hu
from .node_grids import ras_geometry, volume_geometry

_SCALARS = {np.dtype(np.uint8): vtk.VTK_UNSIGNED_CHAR, np.dtype(np.int16): vtk.VTK_SHORT}


def volume_from_node(node: slicer.vtkMRMLVolumeNode) -> Volume:
    """The scan of a volume node: HU array `(slices, rows, columns)` and geometry under its parent transform.

    An int16 or float32 array is the node's own memory, not a copy: read it, never write into it. Raises InputError for
    a node without voxels or with several values per voxel.
    """
    geometry = volume_geometry(node)
    return Volume(as_hu(voxels(node.GetImageData(), node.GetName())), geometry, node.GetName())


def volume_to_node(volume: Volume, scene: slicer.vtkMRMLScene, name: str | None = None) -> slicer.vtkMRMLVolumeNode:
    """Add a scalar volume node with a copy of the array, a display node and grey colours."""
    image = vtk.vtkImageData()
    image.SetDimensions(volume.array.shape[::-1])
    image.GetPointData().SetScalars(scalars_of(volume.array))
    node = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", name or volume.name or "CT")
    spacing, origin, directions = ras_geometry(volume.geometry)
    node.SetSpacing(spacing)
    node.SetOrigin(origin)
    node.SetIJKToRASDirections(directions)
    node.SetAndObserveImageData(image)
    node.CreateDefaultDisplayNodes()
    node.GetDisplayNode().SetAndObserveColorNodeID("vtkMRMLColorTableNodeGrey")
    return node


def voxels(image: vtk.vtkImageData, name: str) -> np.ndarray:
    """View of an image's voxels as `(slices, rows, columns)`."""
    if image.GetNumberOfScalarComponents() != 1:
        raise InputError(
            f'"{name}" has {image.GetNumberOfScalarComponents()} values per voxel where one is expected; extract one '
            "component first."
        )
    return numpy_support.vtk_to_numpy(image.GetPointData().GetScalars()).reshape(image.GetDimensions()[::-1])


def scalars_of(array: np.ndarray) -> vtk.vtkDataArray:
    """A VTK array that owns a copy of the voxels (int16 and uint8 keep their type)."""
    return numpy_support.numpy_to_vtk(array.reshape(-1), deep=True, array_type=_SCALARS.get(array.dtype))


def scan_on_screen(application_logic: slicer.vtkMRMLApplicationLogic) -> slicer.vtkMRMLScalarVolumeNode | None:
    """The volume on screen, if it is a scan."""
    selection = application_logic.GetSelectionNode()
    scene = application_logic.GetMRMLScene()
    node = scene.GetNodeByID(selection.GetActiveVolumeID() or "") if selection is not None else None
    return node if node is not None and _is_scan(node) else None


def first_scan(scene: slicer.vtkMRMLScene) -> slicer.vtkMRMLScalarVolumeNode | None:
    """The first scan of a scene."""
    count = scene.GetNumberOfNodesByClass("vtkMRMLScalarVolumeNode")
    nodes = (scene.GetNthNodeByClass(number, "vtkMRMLScalarVolumeNode") for number in range(count))
    return next(filter(_is_scan, nodes), None)


def _is_scan(node: slicer.vtkMRMLNode) -> bool:
    return node.GetClassName() == "vtkMRMLScalarVolumeNode"  # a label map is a scalar volume too
