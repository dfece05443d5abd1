"""Grids of nodes as the engine's `Geometry`, and labels resampled from one grid to another, under any transforms.

Geometry is taken from and given to nodes by spacing, origin and directions, not through a matrix that would have to be
decomposed again: what goes in comes back bit for bit, left-handed and oblique grids included.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
import slicer
import vtk
from vtk.util import numpy_support

from ...engine.errors import InputError
from ...engine.io.geometry import SAME_GRID_MM, SAME_GRID_VOXELS, Geometry

REFERENCE_GEOMETRY = slicer.vtkSegmentationConverter.GetReferenceImageGeometryParameterName()
PlacedGrid: TypeAlias = tuple[Geometry, slicer.vtkMRMLTransformNode | None]  # a grid and the transform it is under
ReferenceGrid: TypeAlias = slicer.vtkMRMLVolumeNode | Geometry | PlacedGrid | None
_LPS_SIGNS = (-1.0, -1.0, 1.0)  # from RAS to LPS and back


def volume_geometry(node: slicer.vtkMRMLVolumeNode) -> Geometry:
    """Grid of a volume node, parent transforms left out. Raises InputError if it holds no voxels."""
    image = node.GetImageData()
    if image is None or image.GetNumberOfPoints() == 0 or image.GetPointData().GetScalars() is None:
        raise InputError(f'"{node.GetName()}" has no image data; load the scan again or choose another volume.')
    directions = _matrix3()
    node.GetIJKToRASDirections(directions)
    return _geometry(image.GetDimensions(), node.GetSpacing(), node.GetOrigin(), directions)


def image_geometry(image: slicer.vtkOrientedImageData) -> Geometry:
    """Grid of an oriented image in its own extent: the first voxel is that of the lowest indices."""
    low = image.GetExtent()[::2]
    directions = _matrix3()
    image.GetDirections(directions)
    spacing = image.GetSpacing()
    origin = list(image.GetOrigin())
    if any(low):
        origin = [
            start + sum(directions[row][axis] * spacing[axis] * low[axis] for axis in range(3))
            for row, start in enumerate(origin)
        ]
    return _geometry(image.GetDimensions(), spacing, origin, directions)


def _matrix3() -> list[list[float]]:
    return [[0.0, 0.0, 0.0] for _ in range(3)]


def _geometry(
    dimensions: Sequence[int],
    spacing: Sequence[float],
    origin_ras: Sequence[float],
    directions_ras: Sequence[Sequence[float]],
) -> Geometry:
    """From VTK's order and RAS to array order and LPS: the first two world axes change sign."""
    columns, rows, slices = dimensions
    x, y, z = origin_ras
    right, anterior, superior = (_signed(row, sign) for row, sign in zip(directions_ras, _LPS_SIGNS, strict=True))
    spacing_mm = (spacing[2], spacing[1], spacing[0])
    return Geometry((slices, rows, columns), spacing_mm, (-x + 0.0, -y + 0.0, z), (right, anterior, superior))


def _signed(row: Sequence[float], sign: float) -> tuple[float, float, float]:
    """A row times 1 or -1, without any negative zero."""
    x, y, z = row
    return sign * x + 0.0, sign * y + 0.0, sign * z + 0.0


def ras_geometry(geometry: Geometry) -> tuple[tuple[float, ...], tuple[float, ...], list[list[float]]]:
    """Spacing (x, y, z), origin and directions of a geometry as MRML has them, in RAS."""
    x, y, z = geometry.origin_lps
    directions = [list(_signed(row, sign)) for row, sign in zip(geometry.direction, _LPS_SIGNS, strict=True)]
    return geometry.spacing_mm[::-1], (-x + 0.0, -y + 0.0, z), directions


def reference_text(geometry: Geometry) -> str:
    """A grid as Slicer's conversion parameter "Reference image geometry"."""
    image = slicer.vtkOrientedImageData()
    spacing, origin, directions = ras_geometry(geometry)
    image.SetSpacing(spacing)
    image.SetOrigin(origin)
    image.SetDirections(directions)
    slices, rows, columns = geometry.shape
    image.SetExtent(0, columns - 1, 0, rows - 1, 0, slices - 1)
    return slicer.vtkSegmentationConverter.SerializeImageGeometry(image)


def target_grid(
    node: slicer.vtkMRMLNode, reference: ReferenceGrid, own: Geometry | None
) -> tuple[Geometry, slicer.vtkMRMLTransformNode | None]:
    """The grid to fill and the transform it is under."""
    if isinstance(reference, tuple):
        return reference
    if isinstance(reference, Geometry):
        return reference, None
    if reference is not None:
        return volume_geometry(reference), reference.GetParentTransformNode()
    if node.IsA("vtkMRMLSegmentationNode"):
        text = node.GetSegmentation().GetConversionParameter(REFERENCE_GEOMETRY)
        image = slicer.vtkOrientedImageData()
        if text and slicer.vtkSegmentationConverter.DeserializeImageGeometry(text, image, False):
            return image_geometry(image), node.GetParentTransformNode()
    if own is None:
        raise InputError(f'"{node.GetName()}" holds no segment and no reference geometry; segment something first.')
    return own, node.GetParentTransformNode()


def transform_between(
    source: slicer.vtkMRMLTransformNode | None, target: slicer.vtkMRMLTransformNode | None
) -> vtk.vtkAbstractTransform | None:
    """Transform of points under `source` to coordinates under `target`; None where they are the same."""
    if source is target or (source is not None and target is not None and source.GetID() == target.GetID()):
        return None
    transform = vtk.vtkGeneralTransform()
    slicer.vtkMRMLTransformNode.GetTransformBetweenNodes(source, target, transform)
    linear = vtk.vtkTransform()
    return linear if slicer.vtkMRMLTransformNode.IsGeneralTransformLinear(transform, linear) else transform


def labels_on_grid(
    labels: np.ndarray, geometry: Geometry, grid: Geometry, to_source: vtk.vtkAbstractTransform | None
) -> np.ndarray:
    """Labels of one grid on another, 0 outside: copied where voxels fall on voxels, else from the nearest one."""
    if to_source is None or isinstance(to_source, vtk.vtkLinearTransform):
        matrix = np.linalg.inv(geometry.affine_ras())
        if to_source is not None:
            matrix = matrix @ np.array([[to_source.GetMatrix().GetElement(r, c) for c in range(4)] for r in range(4)])
        matrix = matrix @ grid.affine_ras()
        snap = min(SAME_GRID_VOXELS, SAME_GRID_MM / min(geometry.spacing_mm))  # as Geometry.is_close has it
        copied = _copied(labels, grid.shape, matrix, snap)
        if copied is not None:
            return copied
        linear = vtk.vtkTransform()
        linear.SetMatrix(matrix.flatten())
        return _resliced(labels, grid.shape, linear)
    chain = vtk.vtkGeneralTransform()
    chain.Concatenate(np.linalg.inv(geometry.affine_ras()).flatten())
    chain.Concatenate(to_source)
    chain.Concatenate(grid.affine_ras().flatten())
    return _resliced(labels, grid.shape, chain)


def _copied(
    labels: np.ndarray, shape: tuple[int, int, int], matrix: np.ndarray, snap_voxels: float
) -> np.ndarray | None:
    """Labels on a grid that shares the voxel centres (shifted, cropped, flipped or with axes swapped), else None.

    `matrix` maps voxel indices (column, row, slice) of the wanted grid to those of `labels`; they may lie `snap_voxels` apart.
    """
    whole = np.rint(matrix)
    reach = np.abs(matrix - whole)[:3] @ np.array([*shape[::-1], 1.0])
    turn = whole[:3, :3]
    if (
        reach.max() > snap_voxels
        or not (np.abs(turn).sum(axis=0) == 1).all()
        or not (np.abs(turn).sum(axis=1) == 1).all()
    ):
        return None
    turn = turn.astype(int)[::-1, ::-1]  # to array order: rows are axes of labels, columns axes of the wanted grid
    offset = whole[:3, 3].astype(int)[::-1]
    axes = [int(np.flatnonzero(turn[:, axis])[0]) for axis in range(3)]  # axis of labels behind each wanted axis
    view = labels.transpose(axes)
    result = np.zeros(shape, dtype=np.uint8)
    into, outof = [], []
    for axis, source in enumerate(axes):
        step, start, size = int(turn[source, axis]), int(offset[source]), labels.shape[source]
        low, high = (-start, size - start) if step > 0 else (start - size + 1, start + 1)
        low, high = max(low, 0), min(high, shape[axis])
        if low >= high:
            return result
        first, last = start + step * low, start + step * (high - 1)
        into.append(slice(low, high))
        outof.append(slice(first, last + 1) if step > 0 else slice(first, last - 1 if last else None, -1))
    result[tuple(into)] = view[tuple(outof)]
    return result


def _resliced(labels: np.ndarray, shape: tuple[int, int, int], transform: vtk.vtkAbstractTransform) -> np.ndarray:
    """Labels by nearest neighbour, where `transform` maps wanted voxel indices to those of `labels`."""
    image = vtk.vtkImageData()
    image.SetDimensions(labels.shape[::-1])
    flat = np.ascontiguousarray(labels).reshape(-1)
    image.GetPointData().SetScalars(numpy_support.numpy_to_vtk(flat, array_type=vtk.VTK_UNSIGNED_CHAR))
    reslice = vtk.vtkImageReslice()
    reslice.SetInputData(image)
    reslice.SetResliceTransform(transform)
    reslice.SetInterpolationModeToNearestNeighbor()
    reslice.SetBackgroundLevel(0)
    reslice.SetOutputSpacing(1, 1, 1)
    reslice.SetOutputOrigin(0, 0, 0)
    slices, rows, columns = shape
    reslice.SetOutputExtent(0, columns - 1, 0, rows - 1, 0, slices - 1)
    reslice.Update()
    return numpy_support.vtk_to_numpy(reslice.GetOutput().GetPointData().GetScalars()).reshape(shape).copy()
