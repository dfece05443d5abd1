"""Slice views: fitted to the whole scan until the user zooms, and moved to a slice that shows a structure.

The application resizes a slice view with its window, layout and panels, and keeps only the height of what it shows
(`vtkMRMLSliceLogic::ResizeSliceNode`): a view that has become narrower cuts off what is at the sides, a wider one shows
it small. A view whose height in mm is still that of the last fit has not been zoomed by the user, and is fitted again.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import slicer
import vtk
from vtk.util import numpy_support

from ..nodes.scene_nodes import nodes_of_class
from ..nodes.world_positions import PositionRas, to_world
from .cameras import box_of, corners_of
from .layout import VIEW_GROUP

_TOLERANCE = 1e-4  # of a height in mm
_LABEL_MAP = "Binary labelmap"
_PARALLEL = 0.9  # cosine between the normals of two slice views that show the same orientation
_VOXELS = 2_000_000  # that are looked at to find the largest structure


class SliceViewFit:
    """Remembers which slice views were fitted; nothing is observed, `follow` is called when sizes may have changed."""

    def __init__(self) -> None:
        self._heights_mm: dict[str, float] = {}  # of what each view showed when it was fitted, by node id

    def fit(self, node: Any, corners: np.ndarray) -> None:
        """Show all of these corners (n, 3), RAS, in their middle; the plane of the view stays where it is."""
        right, up, _, origin = axes_of(node)
        middle = (corners.min(axis=0) + corners.max(axis=0)) / 2 - origin
        node.JumpSliceByCentering(*(origin + right * (right @ middle) + up * (up @ middle)))
        self._zoom(node, corners)

    def follow(self, node: Any, corners: np.ndarray) -> bool:
        """Fit a view again that has another size than when it was fitted; False if the user has zoomed in or out."""
        if not self.is_fitted(node, corners):
            return False
        self._zoom(node, corners)
        return True

    def is_fitted(self, node: Any, corners: np.ndarray) -> bool:
        """Whether a view shows all of the corners as closely as it can, or did so before its size changed."""
        height, (_, fitting) = node.GetFieldOfView()[1], field_of_view(node, corners)
        known = self._heights_mm.get(node.GetID(), fitting)
        return any(abs(height - one) <= _TOLERANCE * max(one, 1.0) for one in (known, fitting))

    def _zoom(self, node: Any, corners: np.ndarray) -> None:
        width, height = field_of_view(node, corners)
        if width > 0 and height > 0:
            node.SetFieldOfView(width, height, node.GetFieldOfView()[2])
            self._heights_mm[node.GetID()] = height


def field_of_view(node: Any, corners: np.ndarray) -> tuple[float, float]:
    """Width and height in mm, in the shape of a slice view, that hold all corners (n, 3); zeros for a view without size."""
    right, up, *_ = axes_of(node)
    sides = [max(float(np.ptp(corners @ axis)), 1.0) for axis in (right, up)]
    columns, rows, _ = node.GetDimensions()
    if columns <= 0 or rows <= 0:
        return 0.0, 0.0
    mm_per_pixel = max(sides[0] / columns, sides[1] / rows)
    return columns * mm_per_pixel, rows * mm_per_pixel


def axes_of(node: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Right, up and normal of a slice view, and the position in its middle, in RAS."""
    matrix = node.GetSliceToRAS()
    columns = [np.array([matrix.GetElement(row, column) for row in range(3)]) for column in range(4)]
    return columns[0], columns[1], columns[2], columns[3]


def corners_of_node(node: Any) -> np.ndarray | None:
    """Corners (8, 3) of what a node holds, RAS in mm; those of a volume's own grid, oblique ones too."""
    if not node.IsA("vtkMRMLVolumeNode"):
        box = box_of([node])
        return corners_of(box) if box is not None else None
    if node.GetImageData() is None:
        return None
    size = np.array(node.GetImageData().GetDimensions())
    own = np.zeros((8, 3))
    world = np.zeros(3)
    matrix = _ijk_to_ras(node)
    for number, ijk in enumerate(corners_of(np.stack([np.full(3, -0.5), size - 0.5]))):
        node.TransformPointToWorld((matrix @ [*ijk, 1.0])[:3], world)
        own[number] = world
    return own


def _ijk_to_ras(node: Any) -> np.ndarray:
    import vtk

    matrix = vtk.vtkMatrix4x4()
    node.GetIJKToRASMatrix(matrix)
    return np.array([[matrix.GetElement(row, column) for column in range(4)] for row in range(4)])


def application_slices(scene: slicer.vtkMRMLScene) -> list[Any]:
    """The slice nodes that are not in the module's own layouts."""
    return [node for node in nodes_of_class(scene, "vtkMRMLSliceNode") if node.GetViewGroup() != VIEW_GROUP]


def middle_of_largest(nodes: Sequence[Any]) -> PositionRas | None:
    """A position (world RAS, mm) inside the structure with the most voxels of all these segmentation nodes, near its middle.

    Large label maps are looked at in every n-th voxel along each axis. The middle of all bounds where nothing has voxels.
    """
    found = [largest for node in nodes for largest in _largest(node)]
    if found:
        _, position, node = max(found, key=lambda one: one[0])
        return to_world(node, position)
    box = box_of(nodes)
    return None if box is None else tuple(box.mean(axis=0).tolist())


def cuts_box(slice_node: Any, box: np.ndarray) -> bool:
    """Whether the plane of a slice view goes through a box (2, 3), RAS."""
    *_, normal, origin = axes_of(slice_node)
    heights = (corners_of(box) - origin) @ normal
    return bool(heights.min() <= 0.0 <= heights.max())


def bring_into_slices(slice_nodes: Iterable[Any], nodes: Sequence[Any]) -> None:
    """Move each slice view that shows nothing of these segmentation nodes to the middle of the largest structure.

    Only the plane moves; what is in the middle of the view and how near it is stays as it is.
    """
    box = box_of(nodes)
    elsewhere = [node for node in slice_nodes if box is not None and not cuts_box(node, box)]
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


def _largest(node: Any) -> Iterable[tuple[float, PositionRas, Any]]:
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


def _largest_label(image: Any, values: Sequence[int]) -> tuple[float, PositionRas] | None:
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
