"""Section Compare: prediction and ground truth, all structures in one table, and the way to each one's largest error."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import qt
import slicer

from ...engine.errors import InputError
from ...engine.evaluation.comparison import Comparison, StructureComparison, with_distinct_colors
from ...engine.evaluation.result_files import metrics_table, write_metrics_csv
from ...engine.io.geometry import Geometry
from ...engine.io.volume import Note
from ...engine.labels.matching import remaining_matches
from ...engine.worker.image_serialization import segmentation_steps
from ...engine.worker.result_serialization import comparison_from_json
from ...scene.nodes.case_nodes import read_pair_steps
from ...scene.nodes.node_attributes import matched_by_hand
from ...scene.nodes.world_positions import comparison_in_world
from ...scene.views.cameras import look_at
from ..jobs.step_driver import Work
from ..jobs.worker_process import WorkerProcess
from ..jobs.worker_request import answer_steps
from ..widgets.hand_matching import HandMatching
from ..widgets.metrics_table import MetricsTable, mean_text
from ..widgets.slice_curve import WorstSlices
from .section import ResultSection, WorkWidgets

DISTINCT_COLORS = (
    "Colours that one can tell apart, also with red-green blindness: far apart where organs touch. For these views, the table "
    "and the report; the segmentations keep their own."
)
CHANGED = "A segmentation was changed since it was compared; press Compare to measure it again."


def ask_for_file(title: str, name: str) -> str:
    """Where a file is to be saved; empty if the user changed their mind. Tests put their own answer in."""
    found = qt.QFileDialog.getSaveFileName(slicer.util.mainWindow(), title, name, "Tables (*.csv)")
    return found if isinstance(found, str) else found[0]


class CompareSection(ResultSection):
    """Measures one pair of nodes at a time; `comparison` is what the table shows, None while it is empty.

    `blocker()` says why the worker cannot be asked now, `case()` names the scan, `on_change` is called when a
    comparison has come or gone.
    """

    def __init__(
        self, ui: Any, worker: WorkerProcess, blocker: Callable[[], str], case: Callable[[], str], on_change: Callable
    ) -> None:
        button, bar = ui.compareButton, ui.compareProgressBar
        widgets = WorkWidgets(button, bar, "Compare", "The comparison", "compares")
        ResultSection.__init__(self, ui.compareNotesFrame, widgets, lost="the table")
        self._ui, self._worker, self._blocker, self._case, self._on_change = ui, worker, blocker, case, on_change
        self.save_as: Callable[[str, str], str] = ask_for_file
        self.comparison: Comparison | None = None
        self.prediction_node: Any = None
        self.reference_node: Any = None
        self._reading_notes: tuple[str, ...] = ()
        self._geometry: Geometry | None = None  # the grid that was compared on
        self._table = MetricsTable(ui.compareTable, self.slot(self.go_to, "Going to the error"))
        ui.compareCollapsibleButton.collapsed = True
        self.slices = WorstSlices(ui, self.slot)
        self._hand = HandMatching(ui, self.slot, self.compare)
        ui.distinctColorsCheckBox.setToolTip(DISTINCT_COLORS)
        ui.distinctColorsCheckBox.connect("toggled(bool)", lambda checked: self._recolor())
        ui.copyTableButton.connect("clicked(bool)", self.slot(self.copy, "Copying the table"))
        ui.saveTableButton.connect("clicked(bool)", self.slot(self.save, "Saving the table"))
        self._show()

    @property
    def is_blocked(self) -> bool:
        """Whether the worker is at a scan, so that nothing can be compared yet."""
        return bool(self._blocker())

    @property
    def table(self) -> MetricsTable:
        """The table of all structures."""
        return self._table

    def set_nodes(self, prediction: Any, reference: Any) -> None:
        """The nodes that are chosen; another one empties the table."""
        if prediction is self.prediction_node and reference is self.reference_node:
            return
        if prediction is not None and self.prediction_node is None:
            self._ui.compareCollapsibleButton.collapsed = False
        self._remember_nodes()
        self.stop()
        self.prediction_node, self.reference_node = prediction, reference
        self._watch({node for node in (prediction, reference) if node is not None}, CHANGED)
        self._clear()

    def in_chosen_colors(self, comparison: Comparison) -> Comparison:
        """A comparison as it is to be shown: in distinct colours if the user wants them, else in those of the structures."""
        return with_distinct_colors(comparison) if self._ui.distinctColorsCheckBox.checked else comparison

    def update(self) -> None:
        """Enable or disable Compare, and say why in its tooltip."""
        self._enable_work(self.reason(), "Stop comparing.", "Measure all structures of both in 3D.")

    def compare(self) -> None:
        """Measure what is chosen; the table follows."""
        self._clear()
        self._do(self._steps(), self._on_result)

    def close(self) -> None:
        """The scene is closing, or the panel."""
        self.stop()
        self.removeObservers()
        self.prediction_node = self.reference_node = None
        self._clear()

    def go_to(self, row: StructureComparison) -> None:
        """Centre all views on the structure's largest error, and offer another counterpart for it."""
        self._hand.choose(row)
        if row.largest_error_ras is None:
            self._notes.show(
                [*self._result_notes(), Note("info", f"{row.structure} was not measured, so it has no largest error.")]
            )
            return
        self.slices.choose(row.structure)
        look_at(slicer.mrmlScene, row.largest_error_ras)

    def say(self, note: Note) -> None:
        """Show a note below the button, beside what is there to say anyway."""
        self._notes.show([*self._result_notes(), note])

    def copy(self, checked: bool = False) -> None:
        """Put the table into the clipboard, as a spreadsheet takes it."""
        lines = ("\t".join(str(cell) for cell in cells) for cells in metrics_table(self._table.rows))
        qt.QApplication.clipboard().setText("\n".join(lines) + "\n")

    def save(self, checked: bool = False) -> None:
        """Save the table as metrics.csv, the same as the command line writes."""
        case = self.comparison.case if self.comparison is not None else ""
        path = self.save_as("Save the table", f"{case or 'comparison'} metrics.csv")
        if not path:
            return
        try:
            write_metrics_csv(self._table.rows, path)
        except (OSError, InputError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            self._notes.show([Note("error", f"{path} could not be written ({reason}); choose another folder.")])
        else:
            self._notes.show([*self._result_notes(), Note("pass", f"saved as {path}.")])

    def reason(self) -> str:
        """Why these two nodes cannot be compared now; empty if they can."""
        if self.prediction_node is None:
            return "Choose the prediction first: the segmentation that is to be compared."
        if self.reference_node is None:
            return "Choose the ground truth: a segmentation or a label map."
        if self.reference_node is self.prediction_node:
            return "Prediction and ground truth are the same node; choose two."
        return self._blocker()

    def _on_result(self, answer: dict[str, Any]) -> None:
        made = comparison_from_json(answer)
        self.comparison = comparison_in_world(made, self.reference_node)
        self.slices.set_rows(made.rows, self._geometry, self.reference_node)
        self._table.show(self.comparison.rows)
        self._hand.set_comparison(self.prediction_node, self.reference_node, self.comparison)
        self._recolor()
        self._notes.show(self._result_notes())
        self._show()
        self._on_change()

    def _recolor(self) -> None:
        """The colours of the table and the plots follow the switch."""
        if self.comparison is not None:
            shown = self.in_chosen_colors(self.comparison)
            self._table.recolor([row.color for row in shown.rows])
            self.slices.recolor(shown.rows)

    def _result_notes(self) -> list[Note]:
        if self.comparison is None:
            return []
        rows = self.comparison.rows
        asked = {proposal.text for proposal in self.comparison.proposals}  # stands below the table, with its button
        said = (*self._reading_notes, *self.comparison.notes)
        notes = [Note("info", text) for text in said if text not in asked]
        for status, what in (("missed", "missed by the prediction"), ("spurious", "in the prediction alone")):
            names = [row.structure for row in rows if row.status == status]
            if names:
                notes.append(Note("warning", f"{what}: {', '.join(names)}."))
        return notes

    def _steps(self) -> Work:
        with self._worker.job_folder("compare") as folder:
            fields = yield from self._request_steps(folder)
            return (yield from answer_steps(self._worker, "compare", self._on_progress, **fields))

    def _request_steps(self, folder: Path) -> Work:
        """Write both segmentations into the folder; returns the fields of the request."""
        prediction, reference, case = self.prediction_node, self.reference_node, self._case()
        ours, theirs, self._reading_notes = yield from read_pair_steps(prediction, reference)
        self._geometry = theirs.geometry
        by_hand = remaining_matches(matched_by_hand(prediction, reference), ours.structures, theirs.structures)
        yield
        return {
            "case": case,
            "by_hand": by_hand,
            "prediction": (yield from segmentation_steps(ours, folder, "prediction")),
            "reference": (yield from segmentation_steps(theirs, folder, "reference")),
        }

    def _begin(self) -> None:
        self.compare()

    def _result_nodes(self) -> list[Any]:
        nodes = (self.prediction_node, self.reference_node) if self.is_busy or self.comparison is not None else ()
        return [node for node in nodes if node is not None]

    def _clear(self) -> None:
        had = self.comparison is not None
        self.comparison = None
        self.slices.set_rows((), None, None)
        self._reading_notes = ()
        self._table.show(())
        self._hand.set_comparison(None, None, None)
        self._notes.show([])
        self._show()
        if had:
            self._on_change()

    def _show(self) -> None:
        ui, has_table = self._ui, self.comparison is not None
        self._show_work()
        ui.predictionSelector.setEnabled(not self.is_busy)
        ui.referenceSelector.setEnabled(not self.is_busy)
        for widget in (ui.compareTable, ui.compareMeanLabel, ui.copyTableButton, ui.saveTableButton):
            widget.setVisible(has_table)
        ui.compareMeanLabel.setText(mean_text(self._table.rows))
        self.update()
