"""Slices that show something: where the user was if a structure is there, else through the middle of the largest one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import vtk
from vtk.util import numpy_support

from ..nodes.plausibility_request import Place, to_world
from .fitting import axes_of
from .framing import box_of, corners_of

_LABEL_MAP = "Binary labelmap"
_PARALLEL = 0.9  # cosine between the normals of two slice views that show the same orientation
_VOXELS = 2_000_000  # that are looked at to find the largest structure


def middle_of_largest(nodes: Sequence[Any]) -> Place | None:
    """A position (world RAS, mm) inside the structure with the most voxels of all these segmentation nodes, near its middle.

    Large label maps are looked at in every n-th voxel along each axis. The middle of all bounds where nothing has voxels.
    """
    found = [largest for node in nodes for largest in _largest(node)]
    if found:
        _, position, node = max(found, key=lambda one: one[0])
        return to_world(node, position)
    box = box_of(nodes)
    return None if box is None else tuple(box.mean(axis=0).tolist())


def cuts(slice_node: Any, box: np.ndarray) -> bool:
    """Whether the plane of a slice view goes through a box (2, 3), RAS."""
    *_, normal, origin = axes_of(slice_node)
    heights = (corners_of(box) - origin) @ normal
    return bool(heights.min() <= 0.0 <= heights.max())


def bring_into_slices(slice_nodes: Iterable[Any], nodes: Sequence[Any]) -> None:
    """Move each slice view that shows nothing of these segmentation nodes to the middle of the largest structure.

    Only the plane moves; what is in the middle of the view and how near it is stays as it is.
    """
    box = box_of(nodes)
    elsewhere = [node for node in slice_nodes if box is not None and not cuts(node, box)]
    middle = middle_of_largest(nodes) if elsewhere else None
    for node in elsewhere:
        if middle is not None:
            node.JumpSliceByOffsetting(*middle)


def go_to_plane_of(slice_node: Any, others: Iterable[Any]) -> None:
    """Move a slice view to the plane of the first of some others that has nearly its orientation."""
    *_, normal, origin = axes_of(slice_node)
    for other in others:
        *_, their_normal, their_origin = axes_of(other)
        if abs(float(normal @ their_normal)) > _PARALLEL:
            # of an oblique plane, the position that lies in the middle of the view
            slice_node.JumpSliceByOffsetting(*(origin + their_normal * (their_normal @ (their_origin - origin))))
            return


def _largest(node: Any) -> Iterable[tuple[float, Place, Any]]:
    """Voxel volume (mm3, estimated), position (node's RAS) and node, of the largest structure of each label map of a node."""
    segmentation = node.GetSegmentation()
    label_maps: dict[str, tuple[Any, list[int]]] = {}
    for number in range(segmentation.GetNumberOfSegments()):
        segment = segmentation.GetNthSegment(number)
        image = segment.GetRepresentation(_LABEL_MAP)
        if image is not None and image.GetNumberOfPoints() and image.GetPointData().GetScalars() is not None:
            label_maps.setdefault(image.GetAddressAsString(""), (image, []))[1].append(segment.GetLabelValue())
    for image, values in label_maps.values():
        found = _largest_label(image, values)
        if found is not None:
            yield (*found, node)


def _largest_label(image: Any, values: Sequence[int]) -> tuple[float, Place] | None:
    size = image.GetDimensions()
    labels = numpy_support.vtk_to_numpy(image.GetPointData().GetScalars()).reshape(size[::-1])
    step = max(1, int(np.ceil((labels.size / _VOXELS) ** (1 / 3))))
    thin = labels[::step, ::step, ::step]
    counts = [int(np.count_nonzero(thin == value)) for value in values]
    if not any(counts):
        thin, step = labels, 1
        counts = [int(np.count_nonzero(thin == value)) for value in values]
    if not any(counts):
        return None
    voxels = np.argwhere(thin == values[int(np.argmax(counts))])
    middle = voxels[np.square(voxels - voxels.mean(axis=0)).sum(axis=1).argmin()] * step
    matrix = vtk.vtkMatrix4x4()
    image.GetImageToWorldMatrix(matrix)
    x, y, z, _ = matrix.MultiplyPoint((*(middle[::-1] + np.array(image.GetExtent()[::2])), 1.0))
    volume_mm3 = max(counts) * step**3 * abs(matrix.Determinant())
    return volume_mm3, (x, y, z)
