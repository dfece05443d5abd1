"""The application's view widgets by the layout names of their nodes, and word of their new sizes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import qt
import slicer
import vtk
from slicer.util import VTKObservationMixin

from ...scene.nodes.segmentation_nodes import nodes_of_class
from ...scene.views.framing import ASPECT

SETTLE_MS = 50  # by then a layout has given its views their sizes, and a window that is dragged pauses


def slice_widgets() -> dict[str, Any]:
    """Slice widgets by layout name, on screen or not."""
    manager = slicer.app.layoutManager()
    return {name: manager.sliceWidget(name) for name in manager.sliceViewNames()} if manager is not None else {}


def threed_widgets() -> dict[str, Any]:
    """3D widgets by layout name, on screen or not."""
    manager = slicer.app.layoutManager()
    widgets = [manager.threeDWidget(number) for number in range(manager.threeDViewCount)] if manager is not None else []
    return {widget.mrmlViewNode().GetLayoutName(): widget for widget in widgets if widget.mrmlViewNode() is not None}


def aspect_of(layout_name: str) -> float:
    """Width over height of a 3D view; that of any where the application has none of this name."""
    widget = threed_widgets().get(layout_name)
    view = widget.threeDView() if widget is not None else None
    return view.width / view.height if view is not None and view.width > 0 and view.height > 0 else ASPECT


class ViewSizes(VTKObservationMixin):
    """Calls `on_sizes` a moment after a view has got another size, by layout, panel, plot row or window, or another zoom.

    Slice nodes hold the sizes of their views; of 3D views the render windows tell.
    """

    def __init__(self, on_sizes: Callable[[], None]) -> None:
        VTKObservationMixin.__init__(self)
        self._on_sizes = on_sizes
        self._sizes: dict[str, tuple[Any, ...]] = {}  # pixels and mm of slice views, by node id
        self._timer = qt.QTimer()
        self._timer.setSingleShot(True)
        self._timer.setInterval(SETTLE_MS)
        self._timer.timeout.connect(self._on_timer)

    def start(self) -> None:
        """Watch the views that there are now, and tell of their sizes once; again after another layout was chosen."""
        self.stop()
        for node in nodes_of_class(slicer.mrmlScene, "vtkMRMLSliceNode"):
            self._sizes[node.GetID()] = _size(node)
            self.addObserver(node, vtk.vtkCommand.ModifiedEvent, self._on_slice)
        for widget in threed_widgets().values():
            self.addObserver(widget.threeDView().renderWindow(), vtk.vtkCommand.WindowResizeEvent, self._on_size)
        self._timer.start()

    def again(self) -> None:
        """Tell of the sizes once more, if they are watched."""
        if self._sizes:
            self._timer.start()

    def stop(self) -> None:
        self._timer.stop()
        self.removeObservers()
        self._sizes = {}

    def _on_slice(self, node: Any, event: Any = None) -> None:
        if self._sizes.get(node.GetID()) != _size(node):
            self._sizes[node.GetID()] = _size(node)
            self._timer.start()

    def _on_size(self, caller: Any = None, event: Any = None) -> None:
        self._timer.start()

    def _on_timer(self) -> None:
        self._on_sizes()


def _size(node: Any) -> tuple[Any, ...]:
    return node.GetDimensions(), node.GetFieldOfView()[:2]
