"""Something derived from a prediction, drawn in the same views instead of it, and the way back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .left_over import set_views, views_of, write_hidden


class InPlaceOf:
    """While this lasts, `displays` are in the views of the prediction, and segmentations that would cover them are not.

    `dimension` says where: 2 in slices, 3 in 3D views. The ground truth is left out too where it shares the
    prediction's views; in views of its own it stays. Call `follow` when the display of either may have changed.
    """

    def __init__(self, prediction: Any, reference: Any, displays: Sequence[Any], dimension: int) -> None:
        self._nodes, self._displays, self._dimension = (prediction, reference), displays, dimension
        self._hidden: dict[Any, int] = {}  # display nodes by what their visibility was
        self.follow()

    def follow(self) -> bool:
        """Keep up with the views that the prediction is shown in; True if they are others than before."""
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
                write_hidden(display, self._dimension, self._hidden[display])
                self._set(display, False)
        moved = [display for display in self._displays if views_of(display) != views]
        for display in moved:
            set_views(display, views)
        return bool(moved)

    def leave(self) -> None:
        """Show what was hidden, as far as it is still there."""
        for display in list(self._hidden):
            self._show(display)

    def _show(self, display: Any) -> None:
        before = self._hidden.pop(display, None)
        if before is not None and display.GetScene() is not None:
            write_hidden(display, self._dimension, None)
            self._set(display, before)

    def _set(self, display: Any, visible: int | bool) -> None:
        getattr(display, f"SetVisibility{self._dimension}D")(visible)


def whole(nodes: Sequence[Any]) -> list[Any]:
    """Nodes and the display and storage nodes that only they have; those of nodes that are gone can't be found any more."""
    parts = list(nodes)
    for node in nodes:
        if node.IsA("vtkMRMLDisplayableNode"):
            parts += [node.GetNthDisplayNode(number) for number in range(node.GetNumberOfDisplayNodes())]
        parts.append(node.GetStorageNode())
    return [part for part in parts if part is not None]


def remove(nodes: Sequence[Any]) -> None:
    """Remove nodes from their scene, as far as they are still in it."""
    for node in nodes:
        if node.GetScene() is not None:
            node.GetScene().RemoveNode(node)
