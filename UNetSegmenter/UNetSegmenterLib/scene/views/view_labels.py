"""Labels of views: lines of text at the upper edge, as large as the view has space for.

An actor of its own: Slicer's Data Probe writes the corner annotations anew with every slice.
"""

from __future__ import annotations

from typing import Any

import vtk

_SIZES, _SMALLEST = (15, 11), 7  # font sizes of the first and of the other lines
_WIDTH = 0.94  # part of the view's width that a line may take
_TOP, _GAP = 0.985, 3  # of the view's height; pixels between lines


class ViewLabel:
    """Lines of text, one below the other, in the middle of a view's upper edge; call `fit` when the view's size changes."""

    def __init__(self, renderer: vtk.vtkRenderer, lines: list[str]) -> None:
        self._renderer, self._lines = renderer, [line for line in lines if line]
        self.actors = [_actor(number == 0) for number in range(len(self._lines))]
        for actor in self.actors:
            renderer.AddViewProp(actor)
        self.fit()

    def fit(self) -> None:
        """Make the text as large as fits; the middle of a line that is too long for the smallest size is left out."""
        width, height = self._renderer.GetRenderWindow().GetSize()
        below = _TOP
        for number, (actor, line) in enumerate(zip(self.actors, self._lines, strict=True)):
            size = _SIZES[min(number, 1)]
            actor.SetInput(line)
            while _size(actor, self._renderer, size)[0] > _WIDTH * width and size > _SMALLEST:
                size -= 1
            kept = len(line)
            while kept > 4 and _size(actor, self._renderer, size)[0] > _WIDTH * width:
                kept -= 1
                actor.SetInput(f"{line[: (kept + 1) // 2]}…{line[len(line) - kept // 2 :]}")
            actor.SetPosition(0.5, below)
            below -= (_size(actor, self._renderer, size)[1] + _GAP) / max(height, 1)

    def remove(self) -> None:
        """Remove the text from the view."""
        for actor in self.actors:
            self._renderer.RemoveViewProp(actor)
        self.actors = []


def _actor(is_title: bool) -> vtk.vtkTextActor:
    actor = vtk.vtkTextActor()
    actor.GetPositionCoordinate().SetCoordinateSystemToNormalizedViewport()
    actor.SetPickable(False)
    properties = actor.GetTextProperty()
    properties.SetFontFamilyToArial()
    properties.SetJustificationToCentered()
    properties.SetVerticalJustificationToTop()
    properties.SetColor(1.0, 1.0, 1.0)
    properties.SetBold(is_title)
    properties.SetShadow(True)
    properties.SetBackgroundColor(0.0, 0.0, 0.0)
    properties.SetBackgroundOpacity(0.4)  # bone is as white as the text
    return actor


def _size(actor: vtk.vtkTextActor, renderer: vtk.vtkRenderer, font_size: int) -> list[float]:
    """Width and height in pixels."""
    actor.GetTextProperty().SetFontSize(font_size)
    found = [0.0, 0.0]
    actor.GetSize(renderer, found)
    return found


def texts_in_view(renderer: Any) -> list[str]:
    """All texts in a view, from top to bottom."""
    props = renderer.GetViewProps()
    actors = [props.GetItemAsObject(number) for number in range(props.GetNumberOfItems())]
    return [actor.GetInput() for actor in actors if actor.IsA("vtkTextActor") and actor.GetInput()]
