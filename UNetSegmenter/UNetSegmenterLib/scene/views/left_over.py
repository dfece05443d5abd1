"""How a display was before prediction and ground truth were shown side by side, or something instead of them.

It is written down in the display's node. A scene that is saved meanwhile holds what was changed: displays that are in the
module's own views alone or hidden, faint structures, borrowed colours. Whoever reads it puts it right.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import slicer

from ..nodes.segmentation_nodes import ATTRIBUTE_PREFIX
from .window_level import put_windows_right

ATTRIBUTE = ATTRIBUTE_PREFIX + "BeforeSideBySide"
_HIDDEN = ATTRIBUTE_PREFIX + "HiddenIn{}D"
_COLOR = "color"  # the segment's override colour, None where it has its own
Values = dict[str, Any]  # by the names of the display node's Get and Set functions


def write_down(display: Any, names: Sequence[str] = (), of_segments: Sequence[str] = ()) -> dict[str, Values]:
    """Keep these values of a display and of each of its segments, and its views; returns those of the segments by id."""
    ids = display.GetDisplayableNode().GetSegmentation().GetSegmentIDs() if of_segments else ()
    segments = {
        segment_id: {name: getattr(display, f"Get{name}")(segment_id) for name in of_segments} for segment_id in ids
    }
    before = {
        "values": {name: getattr(display, f"Get{name}")() for name in names},
        "segments": {one: {**values, _COLOR: _color(display, one)} for one, values in segments.items()},
        "views": views_of(display),
    }
    display.SetAttribute(ATTRIBUTE, json.dumps(before))
    return segments


def put_right(scene: slicer.vtkMRMLScene) -> bool:
    """Undo what was changed since then; returns whether there was any display of a segmentation."""
    changed = [display for display in _displays(scene) if display.GetAttribute(ATTRIBUTE)]
    for display in changed:
        modifying = display.StartModify()
        _undo(display, json.loads(display.GetAttribute(ATTRIBUTE)))
        display.RemoveAttribute(ATTRIBUTE)
        display.EndModify(modifying)
    put_windows_right(scene)
    return bool(changed)


def write_hidden(display: Any, dimension: int, visible: int | None) -> None:
    """Keep how visible a display was that is hidden in slices (2) or 3D views (3) for a while; None forgets it."""
    if visible is None:
        display.RemoveAttribute(_HIDDEN.format(dimension))
    else:
        display.SetAttribute(_HIDDEN.format(dimension), str(int(visible)))


def show_hidden(scene: slicer.vtkMRMLScene) -> None:
    """Show what a scene was saved with as hidden for a while."""
    for display in _displays(scene):
        for dimension in (2, 3):
            visible = display.GetAttribute(_HIDDEN.format(dimension))
            if visible:
                getattr(display, f"SetVisibility{dimension}D")(int(visible))
                write_hidden(display, dimension, None)


def _displays(scene: slicer.vtkMRMLScene) -> list[Any]:
    count = scene.GetNumberOfNodesByClass("vtkMRMLSegmentationDisplayNode")
    return [scene.GetNthNodeByClass(number, "vtkMRMLSegmentationDisplayNode") for number in range(count)]


def _undo(display: Any, before: Mapping[str, Any]) -> None:
    node = display.GetDisplayableNode()
    for name, value in before["values"].items():
        getattr(display, f"Set{name}")(value)
    for segment_id, values in before["segments"].items():
        if node is None or node.GetSegmentation().GetSegment(segment_id) is None:
            continue
        color = values.pop(_COLOR)
        if color is None:
            display.UnsetSegmentOverrideColor(segment_id)
        else:
            display.SetSegmentOverrideColor(segment_id, *color)
        for name, value in values.items():
            getattr(display, f"Set{name}")(segment_id, value)
    set_views(display, before["views"])


def views_of(display: Any) -> list[str]:
    """Ids of the views that a display is shown in; empty for all."""
    return [display.GetNthViewNodeID(number) for number in range(display.GetNumberOfViewNodeIDs())]


def set_views(display: Any, ids: Sequence[str]) -> None:
    """Show a display in these views, in all if there are none."""
    modifying = display.StartModify()
    display.RemoveAllViewNodeIDs()
    for view_id in ids:
        display.AddViewNodeID(view_id)
    display.EndModify(modifying)


def _color(display: Any, segment_id: str) -> list[float] | None:
    color = display.GetSegmentOverrideColor(segment_id)
    channels = [color[channel] for channel in range(3)]
    return channels if min(channels) >= 0 else None
