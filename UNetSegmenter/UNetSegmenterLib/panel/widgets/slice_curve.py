"""The slice curve of the chosen structure in the layout's plot views; a click on a point leads to its slice."""

from __future__ import annotations

from typing import Any

import slicer

from ...scene.views.layout import PLOT_VIEWS
from ...scene.views.slice_plot import SlicePlot, selected_position
from .worst_slices import WorstSlices

CHOOSE, COMPARE = "Choose one structure", "Press Compare first"


class SliceCurveView:
    """The plots while they are on screen: `start` when their views are there, `stop` before those go."""

    def __init__(self, slices: WorstSlices) -> None:
        self._slices = slices
        self._plot: SlicePlot | None = None
        self._views: list[Any] = []

    def start(self) -> None:
        """Put the charts into the plot views of the layout that is shown."""
        self.stop()
        self._plot = SlicePlot(slicer.mrmlScene)
        self.update()
        manager = slicer.app.layoutManager()
        for number in range(manager.plotViewCount):
            widget = manager.plotWidget(number)
            if widget.mrmlPlotViewNode().GetSingletonTag() in PLOT_VIEWS.values():
                view = widget.plotView()
                view.connect("dataSelected(vtkStringArray*,vtkCollection*)", self._on_selected)
                self._views.append(view)

    def stop(self) -> None:
        """Take everything away again."""
        for view in self._views:
            view.disconnect("dataSelected(vtkStringArray*,vtkCollection*)", self._on_selected)
        self._views = []
        if self._plot is not None:
            self._plot.remove()
            self._plot = None

    def update(self) -> None:
        """Show the structure that is chosen now."""
        if self._plot is not None:
            self._plot.show(self._slices.row, COMPARE if self._slices.is_empty else CHOOSE)

    def _on_selected(self, series_ids: Any, selections: Any) -> None:
        position = selected_position(selections)
        if position is not None and self._slices.row is not None:
            self._slices.go_to(position)
