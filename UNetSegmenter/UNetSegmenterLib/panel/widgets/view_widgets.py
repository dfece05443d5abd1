"""The application's view widgets by the layout names of their nodes: their sizes, the titles in them, pictures of them."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any

import qt
import slicer
import vtk
from slicer.util import VTKObservationMixin

from ...scene.nodes.scene_nodes import nodes_of_class
from ...scene.views.cameras import ASPECT
from ...scene.views.capture import window_png
from ...scene.views.layout import ONE_ROW, ORIENTATIONS, ROWS, slice_views
from ...scene.views.view_labels import ViewLabel

SETTLE_MS = 50  # by then a layout has given its views their sizes, and a window that is dragged pauses
MIN_WIDTH = 120  # pixels; Slicer's slice views ask for more than 300, for the bar above them
Picture = tuple[str, bytes]


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
        """Stop watching the views."""
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


class ViewTitles:
    """The titles while the module's layouts are shown: `show` after a layout was chosen, `fit` when sizes have changed."""

    def __init__(self) -> None:
        self._titles: list[tuple[Any, ViewLabel]] = []

    def show(self, variant: str, prediction: str, reference: str) -> None:
        """Write names of nodes into the views of a variant, which share the width equally from now on."""
        self.stop()
        names = {"Pred": prediction, "Ref": reference}
        slices, threed = slice_widgets(), threed_widgets()
        for row, title in ROWS.items():
            lines = [title, names[row]]
            if variant == ONE_ROW:
                lines = [" + ".join(ROWS.values()), f"{prediction}: areas", f"{reference}: lines"]
            widgets = [(slices.get(name), "sliceView") for name in slice_views(row)] + [
                (threed.get(f"{row}3D"), "threeDView")
            ]
            for widget, view_of in widgets:
                if widget is not None:
                    _share_width(widget)
                    view = getattr(widget, view_of)()
                    renderer = view.renderWindow().GetRenderers().GetItemAsObject(0)
                    self._titles.append((view, ViewLabel(renderer, lines)))
                    view.scheduleRender()

    def fit(self) -> None:
        """Fit the titles to the sizes that the views have now."""
        for view, title in self._titles:
            title.fit()
            view.scheduleRender()

    def stop(self) -> None:
        """Remove the titles."""
        for view, title in self._titles:
            title.remove()
            view.scheduleRender()
        self._titles = []


def _share_width(widget: Any) -> None:
    """Let a view be as narrow as its neighbours, and ask for no more than they do."""
    widget.setMinimumWidth(MIN_WIDTH)
    widget.setSizePolicy(qt.QSizePolicy.Ignored, qt.QSizePolicy.Expanding)


def picture_steps() -> Generator[None, None, list[Picture]]:
    """(caption, PNG) of each view of ours that is shown, one a step."""
    pictures = []
    for caption, view in _shown_views():
        view.forceRender()
        pictures.append((caption, window_png(view.renderWindow())))
        yield
    return [one for one in pictures if one[1]]


def _shown_views() -> list[tuple[str, Any]]:
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
