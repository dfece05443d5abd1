"""Cameras of 3D views: moved so that a box is in view, until the user turns the view.

Slicer leaves the camera of a new view at the origin of the world, while scans are where the scanner's coordinates put
them. All of this is MRML (`vtkMRMLCameraNode`), so that it works in Slicer's views and without any.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import slicer

from ..nodes.node_attributes import ATTRIBUTE_PREFIX
from ..nodes.scene_nodes import nodes_of_class
from ..nodes.world_positions import PositionRas

ASPECT = 1.15  # width over height of a 3D view whose size is not known
FROM_THE_FRONT = (0.28, -1.0, -0.22)
# pose and box of the last framing: a camera that has another pose was turned since
_FRAMED = ATTRIBUTE_PREFIX + "Framed"
_FILLED = 0.94  # part of the view that is filled
_SMALLEST = 0.1  # part of the view's width or height that something has to fill to be seen
_CORNERS = np.array([[i, j, k] for i in (0, 1) for j in (0, 1) for k in (0, 1)])
_UP = (0.0, 0.0, 1.0)
_TOLERANCE = 1e-6
Direction = Sequence[float] | np.ndarray  # (3,), RAS; of any length
_AS_CREATED = (
    0.0,
    500.0,
    0.0,
    0.0,
    0.0,
    0.0,
)  # position and focal point of a vtkMRMLCameraNode that has not been moved


def box_of(nodes: Sequence[Any]) -> np.ndarray | None:
    """Low and high corner (2, 3), RAS in mm under all transforms, of what nodes hold; None where none holds anything."""
    bounds = np.zeros((len(nodes), 6))
    for one, node in zip(bounds, nodes, strict=True):
        node.GetRASBounds(one)
    bounds = bounds[bounds[:, 0] < bounds[:, 1]]
    return np.stack([bounds[:, ::2].min(axis=0), bounds[:, 1::2].max(axis=0)]) if len(bounds) else None


def corners_of(box: np.ndarray) -> np.ndarray:
    """The eight corners (8, 3) of a box (2, 3)."""
    return box[0] + _CORNERS * (box[1] - box[0])


def show_box(camera: Any, box: np.ndarray, aspect: float = ASPECT) -> bool:
    """Bring a box into view; returns whether the camera was moved.

    A camera that was turned or moved by the user since the last time is left alone as long as the middle of the box is in
    view and not too small to be seen; else it is moved, and keeps the user's viewing direction.
    """
    if is_turned(camera):
        if is_seen(camera, box, aspect):
            return False
        frame(camera, corners_of(box), direction_of(camera), aspect, camera.GetViewUp())
    else:
        direction, up = (direction_of(camera), camera.GetViewUp()) if _was_framed(camera) else (FROM_THE_FRONT, _UP)
        frame(camera, corners_of(box), direction, aspect, up)
    _remember(camera, box)
    return True


def frame_again(camera: Any, aspect: float) -> None:
    """Fit in the same box after the view has another shape, if the user has not turned the view since."""
    if _was_framed(camera) and not is_turned(camera):
        box = _framed_box(camera)
        frame(camera, corners_of(box), direction_of(camera), aspect, camera.GetViewUp())
        _remember(camera, box)


def is_turned(camera: Any) -> bool:
    """Whether a camera has been moved by the user since it was framed."""
    if not _was_framed(camera):
        return False
    then = json.loads(camera.GetAttribute(_FRAMED))["pose"]
    return not np.allclose(_pose(camera), then, rtol=_TOLERANCE, atol=_TOLERANCE)


def look_towards(camera: Any, position_ras_mm: Sequence[float]) -> None:
    """Move a camera, without turning it, until a position is in the middle of its view; this doesn't count as the user's turn."""
    was_turned = is_turned(camera)
    step = np.subtract(position_ras_mm, camera.GetFocalPoint())
    modifying = camera.StartModify()
    camera.SetPosition(*(np.array(camera.GetPosition()) + step))
    camera.SetFocalPoint(*position_ras_mm)
    camera.EndModify(modifying)
    reset_clipping(camera)
    if _was_framed(camera) and not was_turned:
        _remember(camera, _framed_box(camera))


def frame(
    camera: Any,
    points: np.ndarray,
    direction: Direction,
    aspect: float = ASPECT,
    up: Direction = _UP,
) -> None:
    """Move a camera that looks along `direction` as near as possible with all `points` (n, 3), RAS in mm, in view.

    `aspect` is the width of the view over its height; `up` points up in the view.
    """
    right, above, ahead = _axes(direction, up)
    turned = points @ np.stack([right, above, ahead], axis=1)
    middle = (turned.min(axis=0) + turned.max(axis=0)) / 2
    turned = turned - middle
    tangent = np.tan(np.radians(camera.GetViewAngle() / 2)) * _FILLED
    beside = np.maximum(np.abs(turned[:, 0]) / aspect, np.abs(turned[:, 1]))
    center = middle @ np.stack([right, above, ahead])
    modifying = camera.StartModify()
    camera.SetFocalPoint(*center)
    camera.SetPosition(*(center - ahead * float((beside / tangent - turned[:, 2]).max())))
    camera.SetViewUp(*up)
    camera.SetParallelScale(max(float(beside.max()) / _FILLED, _TOLERANCE))
    camera.EndModify(modifying)
    reset_clipping(camera, points)


def reset_clipping(camera: Any, points: np.ndarray | None = None) -> None:
    """Keep what is in view from being cut off in front or behind; `points` (n, 3) count even if nothing is drawn there yet.

    A view keeps its clipping range when its camera is moved from outside, and a new one draws nothing beyond 1 m.
    """
    camera.ResetClippingRange()  # the view's displayable manager observes it
    if points is None:
        return
    depths = (points - np.array(camera.GetPosition())) @ direction_of(camera)
    near, far = camera.GetCamera().GetClippingRange()
    far = max(far, 1.1 * float(depths.max()))
    camera.GetCamera().SetClippingRange(max(min(near, 0.9 * float(depths.min())), far / 1000), far)


def shown_extent(camera: Any, box: np.ndarray, aspect: float = ASPECT) -> np.ndarray:
    """Left, right, bottom and top of a box in a view, whose own edges are -1 and 1; NaN for one behind the camera."""
    right, above, ahead = _axes(direction_of(camera), camera.GetViewUp())
    seen = (corners_of(box) - np.array(camera.GetPosition())) @ np.stack([right, above, ahead], axis=1)
    if camera.GetParallelProjection():
        half = np.full(len(seen), camera.GetParallelScale())
    else:
        half = seen[:, 2] * np.tan(np.radians(camera.GetViewAngle() / 2))
    if (half <= 0).any():
        return np.full(4, np.nan)
    across, up = seen[:, 0] / half / aspect, seen[:, 1] / half
    return np.array([across.min(), across.max(), up.min(), up.max()])


def is_seen(camera: Any, box: np.ndarray, aspect: float = ASPECT) -> bool:
    """Whether the middle of a box is in view, and the box large enough to be seen."""
    left, right, bottom, top = shown_extent(camera, box, aspect)
    in_view = abs(left + right) < 2 and abs(bottom + top) < 2  # False for NaN
    return bool(in_view and max(right - left, top - bottom) / 2 > _SMALLEST)


def cameras_by_view(scene: slicer.vtkMRMLScene) -> dict[str, Any]:
    """The scene's camera nodes by the layout name of their 3D view."""
    cameras = nodes_of_class(scene, "vtkMRMLCameraNode")
    return {camera.GetLayoutName(): camera for camera in cameras if camera.GetLayoutName()}


def direction_of(camera: Any) -> np.ndarray:
    """Where a camera looks, as a unit vector."""
    ahead = np.subtract(camera.GetFocalPoint(), camera.GetPosition())
    return np.asarray(ahead / max(float(np.linalg.norm(ahead)), _TOLERANCE))


def _axes(direction: Direction, up: Direction) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Right, up and ahead of a view, as unit vectors."""
    ahead = np.asarray(direction, float) / np.linalg.norm(direction)
    right = np.cross(ahead, up)
    if np.linalg.norm(right) < _TOLERANCE:  # straight down: any side will do
        right = np.cross(ahead, (0.0, 1.0, 0.0))
    right /= np.linalg.norm(right)
    return right, np.cross(right, ahead), ahead


def _pose(camera: Any) -> list[float]:
    return [*camera.GetPosition(), *camera.GetFocalPoint(), *camera.GetViewUp(), camera.GetParallelScale()]


def _was_framed(camera: Any) -> bool:
    """A camera that is back where Slicer creates it, as after a scene was closed, counts as new."""
    return bool(camera.GetAttribute(_FRAMED)) and not np.allclose(_pose(camera)[:6], _AS_CREATED)


def _framed_box(camera: Any) -> np.ndarray:
    return np.array(json.loads(camera.GetAttribute(_FRAMED))["box"])


def _remember(camera: Any, box: np.ndarray) -> None:
    camera.SetAttribute(_FRAMED, json.dumps({"pose": _pose(camera), "box": box.tolist()}))


def look_at(scene: slicer.vtkMRMLScene, position_ras_mm: PositionRas) -> None:
    """Centre every slice view on a position, and move every 3D view's focal point there without turning the view."""
    for node in nodes_of_class(scene, "vtkMRMLSliceNode"):
        node.JumpSliceByCentering(*position_ras_mm)
    for camera in nodes_of_class(scene, "vtkMRMLCameraNode"):
        look_towards(camera, position_ras_mm)
