"""Pictures of the views that are on screen, for the report: captured, so that nothing is drawn beside Slicer's own views."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import slicer

from ...scene.views.capture import window_png
from ...scene.views.layout import ORIENTATIONS, ROWS

Picture = tuple[str, bytes]


def picture_steps() -> Generator[None, None, list[Picture]]:
    """(caption, PNG) of each view of ours that is shown, one a step."""
    pictures = []
    for caption, view in _views():
        view.forceRender()
        pictures.append((caption, window_png(view.renderWindow())))
        yield
    return [one for one in pictures if one[1]]


def _views() -> list[tuple[str, Any]]:
    manager = slicer.app.layoutManager()
    if manager is None:
        return []
    found = {name: manager.sliceWidget(name) for name in manager.sliceViewNames()}
    shown = [(_caption(name), widget.sliceView()) for name, widget in found.items() if widget.visible]
    for number in range(manager.threeDViewCount):
        widget = manager.threeDWidget(number)
        if widget.visible:
            shown.append((_caption(widget.mrmlViewNode().GetLayoutName()), widget.threeDView()))
    return sorted((one for one in shown if one[0]), key=lambda one: one[0].endswith("3D"), reverse=True)


def _caption(layout_name: str) -> str:
    """What a view of our layouts shows, empty for any other view."""
    for row, title in ROWS.items():
        for name, orientation in ORIENTATIONS.items():
            if layout_name == row + name:
                return f"{title}, {orientation.lower()}"
        if layout_name == f"{row}3D":
            return f"{title}, in 3D"
    return ""
