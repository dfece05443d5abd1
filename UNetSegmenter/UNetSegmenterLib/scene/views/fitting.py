"""Slice views that show all of a scan at the size they really have, until the user zooms.

The application resizes a slice view with its window, layout and panels, and keeps only the height of what it shows
(`vtkMRMLSliceLogic::ResizeSliceNode`): a view that has become narrower cuts off what is at the sides, a wider one shows
it small. A view whose height in mm is still that of the last fit has not been zoomed by the user, and is fitted again.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .framing import box_of, corners_of

_TOLERANCE = 1e-4  # of a height in mm


class SliceFits:
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
    """Corners (8, 3) of what a node holds, RAS in mm; those of a volume's own grid, however oblique it lies."""
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
