"""The window in which a scan is shown: soft tissue for a while, and back to what it was.

What it was is written down in the display node, so that a scene that is saved meanwhile can be put right.
"""

from __future__ import annotations

import json
from typing import Any

import slicer

from ..nodes.segmentation_nodes import ATTRIBUTE_PREFIX, nodes_of_class

_BEFORE = ATTRIBUTE_PREFIX + "WindowBefore"


def show_window(display: Any, window_hu: tuple[float, float]) -> None:
    """Show a scan between two HU, black and white."""
    if not display.GetAttribute(_BEFORE):
        before = [display.GetAutoWindowLevel(), display.GetWindow(), display.GetLevel()]
        display.SetAttribute(_BEFORE, json.dumps(before))
    low, high = window_hu
    modifying = display.StartModify()
    display.SetAutoWindowLevel(False)
    display.SetWindowLevel(high - low, (low + high) / 2)
    display.EndModify(modifying)


def show_window_of_before(display: Any) -> None:
    """Show a scan as it was before `show_window`."""
    if not display.GetAttribute(_BEFORE):
        return
    automatic, window, level = json.loads(display.GetAttribute(_BEFORE))
    display.RemoveAttribute(_BEFORE)
    modifying = display.StartModify()
    display.SetWindowLevel(window, level)
    display.SetAutoWindowLevel(automatic)
    display.EndModify(modifying)


def put_windows_right(scene: slicer.vtkMRMLScene) -> None:
    """Show every scan of a scene as it was before `show_window`."""
    for display in nodes_of_class(scene, "vtkMRMLScalarVolumeDisplayNode"):
        show_window_of_before(display)
