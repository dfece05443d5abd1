"""How far the surface of one structure lies outside or inside that of another, point by point."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import numpy as np
import slicer
import vtk
from vtk.util import numpy_support

from ...engine.labels.structures import Structure
from ..nodes.node_grids import volume_geometry
from ..nodes.segmentation_to_node import labelmap_image
from ..nodes.surfaces import BINARY_LABELMAP, CLOSED_SURFACE, surface_of_label
from ..nodes.volume_nodes import voxels

POINTS_PER_STEP = 1000  # some 25 ms


def surface_of(node: Any, structure: Structure) -> vtk.vtkPolyData:
    """The closed surface of a structure of a segmentation or label map node, in the node's coordinates.

    An existing surface is used; a missing one is made as `make_surfaces` does, without changing the node. Empty for a
    structure without voxels.
    """
    if not node.IsA("vtkMRMLSegmentationNode"):
        mask = np.isin(voxels(node.GetImageData(), node.GetName()), structure.values)
        return surface_of_label(labelmap_image(mask.astype(np.uint8), volume_geometry(node)), 1)
    segment = node.GetSegmentation().GetNthSegment(structure.index - 1)
    surface = segment.GetRepresentation(CLOSED_SURFACE)
    if surface is not None:
        return surface
    image = segment.GetRepresentation(BINARY_LABELMAP)
    return surface_of_label(image, int(segment.GetLabelValue())) if image is not None else vtk.vtkPolyData()


def signed_distance_steps(points: np.ndarray, surface: vtk.vtkPolyData) -> Generator[float, None, np.ndarray]:
    """Distance in mm from each point `(n, 3)` to a closed surface, positive outside and negative inside it.

    To the nearest point of the surface itself, be it on a corner, an edge or a triangle (vtkImplicitPolyDataDistance; the
    sign by J. Baerentzen and H. Aanaes, IEEE TVCG 11, 2005). Yields the fraction that is done; returns float32 `(n,)`, NaN
    for a surface without triangles.
    """
    distances = np.full(len(points), np.nan, dtype=np.float32)
    if not surface.GetNumberOfPolys():
        return distances
    triangles = vtk.vtkTriangleFilter()
    triangles.SetInputData(surface)
    triangles.PassLinesOff()
    triangles.PassVertsOff()
    triangles.Update()
    sign = 1.0 if _signed_volume_mm3(triangles.GetOutput()) >= 0 else -1.0
    yield 0.0
    function = vtk.vtkImplicitPolyDataDistance()
    function.SetInput(triangles.GetOutput())
    yield 0.0
    for start in range(0, len(points), POINTS_PER_STEP):
        part = slice(start, start + POINTS_PER_STEP)
        values = vtk.vtkDoubleArray()
        function.FunctionValue(numpy_support.numpy_to_vtk(np.ascontiguousarray(points[part], dtype=float)), values)
        distances[part] = sign * numpy_support.vtk_to_numpy(values)
        yield min(1.0, part.stop / len(points))
    return distances


def points_between(surface: vtk.vtkPolyData, source: Any, target: Any) -> np.ndarray:
    """A surface's points `(n, 3)` in the coordinates of the node `target`, given in those of the node `source`."""
    points = numpy_support.vtk_to_numpy(surface.GetPoints().GetData())
    ours, theirs = source.GetParentTransformNode(), target.GetParentTransformNode()
    if ours is theirs:
        return points
    transform = vtk.vtkGeneralTransform()
    slicer.vtkMRMLTransformNode.GetTransformBetweenNodes(ours, theirs, transform)
    moved = vtk.vtkPoints()
    moved.SetDataTypeToDouble()
    transform.TransformPoints(surface.GetPoints(), moved)
    return numpy_support.vtk_to_numpy(moved.GetData())


def _signed_volume_mm3(surface: vtk.vtkPolyData) -> float:
    """Volume of a closed surface of triangles, negative where they face inwards, as in grids of the other handedness."""
    cells = numpy_support.vtk_to_numpy(surface.GetPolys().GetConnectivityArray())
    corners = numpy_support.vtk_to_numpy(surface.GetPoints().GetData())[cells.reshape(-1, 3)].astype(float)
    corners -= corners[0, 0].copy()  # near the surface, or the terms would be large and cancel
    return float(np.einsum("ij,ij->", corners[:, 0], np.cross(corners[:, 1], corners[:, 2]))) / 6
