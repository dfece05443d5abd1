"""The slices of one structure: buttons that lead to where the most area is wrong, and plots of its slice curve."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import slicer

from ...engine.evaluation.comparison import SliceCurve, StructureComparison
from ...engine.io.geometry import Geometry
from ...engine.io.slicing_axis import slicing_axis
from ...scene.nodes.world_positions import PositionRas, slice_position_ras, to_world
from ...scene.views.cameras import look_at
from ...scene.views.layout import PLOT_VIEWS
from ...scene.views.slice_plot import SlicePlot, selected_position
from ..jobs.failure import Slot
from .plain_tip import plain_tip

SUBJECT = "Going to the slice"
_VIEWS = {
    "coronal": " in the green view",
    "sagittal": " in the yellow view",
}  # axial slices are sought in the red one anyway
CHOOSE, COMPARE = "Choose one structure", "Press Compare first"


class WorstSlices:
    """Steps through the slices of one structure, the worst first; a click on a row of the table chooses the structure.

    `on_rows` is called when other rows have come, `on_colors` when the same have other colours, those in `on_choice` with the
    name of the structure that was chosen.
    """

    def __init__(self, ui: Any, slot: Slot) -> None:
        """Follow the buttons below the table; `slot` makes slots whose exceptions are shown."""
        self._ui = ui
        self._rows: dict[str, StructureComparison] = {}
        self._geometry: Geometry | None = None
        self._node: Any = None
        self._row: StructureComparison | None = None
        self._rank = -1
        self.on_rows: Callable[[], None] = lambda: None
        self.on_colors: Callable[[], None] = lambda: None
        self.on_choice: list[Callable[[str], None]] = []
        ui.worstSliceButton.connect("clicked(bool)", slot(lambda checked: self._go(0), SUBJECT))
        ui.nextWorseButton.connect("clicked(bool)", slot(lambda checked: self._go(self._rank + 1), SUBJECT))
        self._show()

    def set_rows(self, rows: Sequence[StructureComparison], geometry: Geometry | None, node: Any) -> None:
        """Rows with positions in the coordinates of the ground truth's node and grid; none of them is chosen yet."""
        self._rows = {row.structure: row for row in rows if row.curve is not None and row.curve.slices}
        self._geometry, self._node, self._row, self._rank = geometry, node, None, -1
        self._show()
        self.on_rows()

    def choose(self, structure: str) -> None:
        """Step through the slices of this structure from now on."""
        self._row, self._rank = self._rows.get(structure), -1
        self._show()
        for listener in self.on_choice:
            listener(structure)

    def recolor(self, rows: Sequence[StructureComparison]) -> None:
        """Take the colours of these rows, which are those of before; what is chosen stays so."""
        for row in rows:
            if row.structure in self._rows:
                self._rows[row.structure] = replace(self._rows[row.structure], color=row.color)
        self._row = self._rows.get(self._row.structure) if self._row is not None else None
        self.on_colors()

    @property
    def is_empty(self) -> bool:
        """Whether nothing has been compared."""
        return not self._rows

    @property
    def row(self) -> StructureComparison | None:
        """The structure that is chosen, with its slice curve."""
        return self._row

    def position_of(self, structure: str) -> PositionRas | None:
        """Where the structure's largest error is, in world coordinates."""
        row = self._rows.get(structure)
        return to_world(self._node, row.largest_error_ras) if row is not None else None

    def go_to(self, position: int) -> None:
        """Move the views to the slice at a position of the chosen structure's curve; "next worse" goes on from there."""
        if self._curve is not None:
            self._go(self._curve.worst_first().index(position))

    @property
    def _curve(self) -> SliceCurve | None:
        return self._row.curve if self._row is not None else None

    def _go(self, rank: int) -> None:
        row, curve, geometry = self._row, self._curve, self._geometry
        if row is None or curve is None or geometry is None:
            return
        order = curve.worst_first()
        self._rank = min(rank, len(order) - 1)
        position = to_world(self._node, slice_position_ras(geometry, row, order[self._rank]))
        if position is not None:
            look_at(slicer.mrmlScene, position)
        self._show()

    def _show(self) -> None:
        ui, row, curve = self._ui, self._row, self._curve
        for widget in (ui.worstSliceButton, ui.nextWorseButton, ui.sliceLabel):
            widget.setVisible(bool(self._rows))
        ui.worstSliceButton.setEnabled(row is not None)
        ui.nextWorseButton.setEnabled(curve is not None and 0 <= self._rank < len(curve.slices) - 1)
        why = "Click on a structure in the table first."
        tip = f"Where the most area of {row.structure} is wrong." if row is not None else why
        ui.worstSliceButton.setToolTip(plain_tip(tip))
        ui.nextWorseButton.setToolTip("The slice with the next smaller area in error." if row is not None else why)
        ui.sliceLabel.setText(self._text())

    def _text(self) -> str:
        curve = self._curve
        if self._row is None or curve is None:
            return "Click on a structure to see where it is worst."
        if self._rank < 0:
            return f"{self._row.structure}: its largest error."
        position = curve.worst_first()[self._rank]
        number = slicing_axis(curve.slicing_axis).in_words(f"slice {curve.slices[position]}")
        view = _VIEWS.get(curve.slicing_axis, "")
        return (
            f"{self._row.structure}, {number}{view} ({self._rank + 1} of {len(curve.slices)} by area in "
            f"error): Dice {curve.dice[position]:.2f}, {curve.error_mm2[position] / 100:.1f} cm² wrong."
        )


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
