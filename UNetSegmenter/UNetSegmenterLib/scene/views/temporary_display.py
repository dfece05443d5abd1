"""Displays that are changed for a while: how segmentations are shown, what is shown in their place, the scan's window.

How a display was before is kept in attributes of its node. A scene that is saved meanwhile holds what was changed:
displays that are in the module's own views alone or hidden, faint structures, borrowed colours. `restore_displays` and
`show_hidden_displays` undo that after such a scene is read.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import slicer

from ..nodes.node_attributes import ATTRIBUTE_PREFIX
from ..nodes.scene_nodes import nodes_of_class

_DISPLAY_BEFORE = ATTRIBUTE_PREFIX + "BeforeSideBySide"
_HIDDEN = ATTRIBUTE_PREFIX + "HiddenIn{}D"
OVERRIDE_COLOR = "color"
"""Beside a segment's values: its colour in this display, None where that is the segment's own."""
Values = dict[str, Any]  # by the names of the display node's Get and Set functions
_WINDOW_BEFORE = ATTRIBUTE_PREFIX + "WindowBefore"


def save_display(display: Any, names: Sequence[str] = (), of_segments: Sequence[str] = ()) -> dict[str, Values]:
    """Keep these values of a display and of each of its segments, and its views; returns the segments' values by id."""
    before = {
        "values": {name: getattr(display, f"Get{name}")() for name in names},
        "segments": {},
        "views": views_of(display),
    }
    display.SetAttribute(_DISPLAY_BEFORE, json.dumps(before))
    return save_segments(display, of_segments) if of_segments else {}


def save_segments(display: Any, names: Sequence[str]) -> dict[str, Values]:
    """Keep these values and the colours of the segments that came since `save_display`; returns those of all by id."""
    before = json.loads(display.GetAttribute(_DISPLAY_BEFORE))
    for segment_id in display.GetDisplayableNode().GetSegmentation().GetSegmentIDs():
        if segment_id not in before["segments"]:
            values = {name: getattr(display, f"Get{name}")(segment_id) for name in names}
            before["segments"][segment_id] = {**values, OVERRIDE_COLOR: _override_color(display, segment_id)}
    display.SetAttribute(_DISPLAY_BEFORE, json.dumps(before))
    return before["segments"]


def restore_displays(scene: slicer.vtkMRMLScene) -> bool:
    """Restore all displays of a scene as `save_display` found them; returns whether one of a segmentation was changed."""
    changed = [display for display in _displays(scene) if display.GetAttribute(_DISPLAY_BEFORE)]
    for display in changed:
        modifying = display.StartModify()
        _restore_display(display, json.loads(display.GetAttribute(_DISPLAY_BEFORE)))
        display.RemoveAttribute(_DISPLAY_BEFORE)
        display.EndModify(modifying)
    restore_windows(scene)
    return bool(changed)


def save_visibility(display: Any, dimension: int, visible: int | None) -> None:
    """Keep the visibility of a display that is hidden in slices (2) or 3D views (3) for a while; None removes it."""
    if visible is None:
        display.RemoveAttribute(_HIDDEN.format(dimension))
    else:
        display.SetAttribute(_HIDDEN.format(dimension), str(int(visible)))


def show_hidden_displays(scene: slicer.vtkMRMLScene) -> None:
    """Show the displays that were hidden for a while when the scene was saved."""
    for display in _displays(scene):
        for dimension in (2, 3):
            visible = display.GetAttribute(_HIDDEN.format(dimension))
            if visible:
                getattr(display, f"SetVisibility{dimension}D")(int(visible))
                save_visibility(display, dimension, None)


def _displays(scene: slicer.vtkMRMLScene) -> list[Any]:
    count = scene.GetNumberOfNodesByClass("vtkMRMLSegmentationDisplayNode")
    return [scene.GetNthNodeByClass(number, "vtkMRMLSegmentationDisplayNode") for number in range(count)]


def _restore_display(display: Any, before: Mapping[str, Any]) -> None:
    node = display.GetDisplayableNode()
    for name, value in before["values"].items():
        getattr(display, f"Set{name}")(value)
    for segment_id, values in before["segments"].items():
        if node is None or node.GetSegmentation().GetSegment(segment_id) is None:
            continue
        show_color(display, segment_id, values.pop(OVERRIDE_COLOR))
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


def show_color(display: Any, segment_id: str, color: Sequence[float] | None) -> None:
    """Draw a segment in this colour (RGB, 0 to 1) in this display alone; None draws it in its own."""
    if color is None:
        display.UnsetSegmentOverrideColor(segment_id)
    else:
        display.SetSegmentOverrideColor(segment_id, *color)


def _override_color(display: Any, segment_id: str) -> list[float] | None:
    color = display.GetSegmentOverrideColor(segment_id)
    channels = [color[channel] for channel in range(3)]
    return channels if min(channels) >= 0 else None


class DisplaySwap:
    """While this lasts, `displays` are in the views of the prediction, and segmentations that would cover them are not.

    `dimension` says where: 2 in slices, 3 in 3D views. The ground truth is left out too where it shares the
    prediction's views; in views of its own it stays. Call `follow` when the display of either may have changed.
    """

    def __init__(self, prediction: Any, reference: Any, displays: Sequence[Any], dimension: int) -> None:
        self._nodes, self._displays, self._dimension = (prediction, reference), displays, dimension
        self._hidden: dict[Any, int] = {}  # display nodes by what their visibility was
        self.follow()

    def follow(self) -> bool:
        """Follow the views that the prediction is shown in; returns whether they have changed."""
        if any(node.GetScene() is None for node in self._nodes):
            return False
        views = views_of(self._nodes[0].GetDisplayNode())
        for node in self._nodes:
            display = node.GetDisplayNode() if node.IsA("vtkMRMLSegmentationNode") else None
            if display is None:
                continue
            if views_of(display) != views:
                self._show(display)
            elif visible := getattr(display, f"GetVisibility{self._dimension}D")():
                self._hidden.setdefault(display, visible)
                save_visibility(display, self._dimension, self._hidden[display])
                self._set(display, False)
        moved = [display for display in self._displays if views_of(display) != views]
        for display in moved:
            set_views(display, views)
        return bool(moved)

    def leave(self) -> None:
        """Show the hidden displays that are still there."""
        for display in list(self._hidden):
            self._show(display)

    def _show(self, display: Any) -> None:
        before = self._hidden.pop(display, None)
        if before is not None and display.GetScene() is not None:
            save_visibility(display, self._dimension, None)
            self._set(display, before)

    def _set(self, display: Any, visible: int | bool) -> None:
        getattr(display, f"SetVisibility{self._dimension}D")(visible)


def show_window(display: Any, window_hu: tuple[float, float]) -> None:
    """Show a scan between two HU, black and white."""
    if not display.GetAttribute(_WINDOW_BEFORE):
        before = [display.GetAutoWindowLevel(), display.GetWindow(), display.GetLevel()]
        display.SetAttribute(_WINDOW_BEFORE, json.dumps(before))
    low, high = window_hu
    modifying = display.StartModify()
    display.SetAutoWindowLevel(False)
    display.SetWindowLevel(high - low, (low + high) / 2)
    display.EndModify(modifying)


def restore_window(display: Any) -> None:
    """Show a scan as it was before `show_window`."""
    if not display.GetAttribute(_WINDOW_BEFORE):
        return
    automatic, window, level = json.loads(display.GetAttribute(_WINDOW_BEFORE))
    display.RemoveAttribute(_WINDOW_BEFORE)
    modifying = display.StartModify()
    display.SetWindowLevel(window, level)
    display.SetAutoWindowLevel(automatic)
    display.EndModify(modifying)


def restore_windows(scene: slicer.vtkMRMLScene) -> None:
    """Show every scan of a scene as it was before `show_window`."""
    for display in nodes_of_class(scene, "vtkMRMLScalarVolumeDisplayNode"):
        restore_window(display)
