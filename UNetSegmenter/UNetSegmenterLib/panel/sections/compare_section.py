"""Section Compare: prediction and ground truth, all structures in one table, and the way to each one's largest error."""

from __future__ import annotations

from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import qt
import slicer
from slicer.util import VTKObservationMixin

from ...engine.errors import InputError
from ...engine.evaluation.comparison import Comparison, StructureComparison
from ...engine.evaluation.result_files import metrics_table, write_metrics_csv
from ...engine.io.geometry import Geometry
from ...engine.io.volume import Note
from ...engine.labels.matching import still_there
from ...engine.worker.image_serialization import segmentation_steps
from ...engine.worker.result_serialization import comparison_from_json
from ...scene.nodes.case_nodes import read_pair_steps
from ...scene.nodes.node_attributes import matched_by_hand
from ...scene.nodes.world_positions import comparison_in_world
from ...scene.views.cameras import look_at
from ..jobs.plausibility_task import PlausibilityTask
from ..jobs.worker_process import WorkerProcess
from ..widgets.hand_matching import HandMatching
from ..widgets.metrics_table import MetricsTable, mean_text
from ..widgets.notes import NoteList, RemovedNodes
from ..widgets.slice_curve import WorstSlices

CHANGED = "A segmentation was changed since it was compared; press Compare to measure it again."


def ask_for_file(title: str, name: str) -> str:
    """Where a file is to be saved; empty if the person changed their mind. Tests put their own answer in."""
    found = qt.QFileDialog.getSaveFileName(slicer.util.mainWindow(), title, name, "Tables (*.csv)")
    return found if isinstance(found, str) else found[0]


class CompareSection(VTKObservationMixin):
    """Measures one pair of nodes at a time; `comparison` is what the table shows, None while it is empty.

    `blocker()` says why the worker cannot be asked now, `case()` names the scan, `on_change` is called when a
    comparison has come or gone.
    """

    def __init__(
        self, ui: Any, worker: WorkerProcess, blocker: Callable[[], str], case: Callable[[], str], on_change: Callable
    ) -> None:
        VTKObservationMixin.__init__(self)
        self._ui, self._blocker, self._case, self._on_change = ui, blocker, case, on_change
        self.save_as: Callable[[str, str], str] = ask_for_file
        self.comparison: Comparison | None = None
        self.prediction_node: Any = None
        self.reference_node: Any = None
        self._reading_notes: tuple[str, ...] = ()
        self._geometry: Geometry | None = None  # the grid that was compared on
        self._notes = NoteList(ui.compareNotesFrame)
        self._going = RemovedNodes()
        self._task = PlausibilityTask(ui, worker, "compare", self._notes, self.compare, self._show, self._clear)
        self._table = MetricsTable(ui.compareTable, self.go_to)
        ui.compareCollapsibleButton.collapsed = True
        self.slices = WorstSlices(ui)
        self._hand = HandMatching(ui, self.compare)
        ui.copyTableButton.connect("clicked(bool)", self.copy)
        ui.saveTableButton.connect("clicked(bool)", self.save)
        self._show()

    @property
    def is_busy(self) -> bool:
        return self._task.is_busy

    @property
    def is_blocked(self) -> bool:
        """Whether the worker is at a scan, so that nothing can be compared yet."""
        return bool(self._blocker())

    @property
    def notes(self) -> tuple[Note, ...]:
        return self._notes.notes

    @property
    def table(self) -> MetricsTable:
        return self._table

    def set_nodes(self, prediction: Any, reference: Any) -> None:
        """The nodes that are chosen; another one empties the table."""
        if prediction is self.prediction_node and reference is self.reference_node:
            return
        if prediction is not None and self.prediction_node is None:
            self._ui.compareCollapsibleButton.collapsed = False
        self._note_pair()
        self.stop()
        self.removeObservers()
        self.prediction_node, self.reference_node = prediction, reference
        for node in {node for node in (prediction, reference) if node is not None}:
            self._watch(node)
        self._clear()

    def is_about(self, node: Any) -> bool:
        """Whether a node is being compared or is in the table, or was until this turn of the event loop."""
        self._note_pair()
        return node in self._going

    def say_removed(self, node: Any) -> None:
        """Say why the table has gone: a node that it was about is removed."""
        self._going.say(self._notes, f'"{node.GetName()}" was removed from the scene, and the table with it.')

    def update(self) -> None:
        """Enable or disable Compare, and say why in its tooltip."""
        button = self._ui.compareButton
        reason = "" if self.is_busy else self.reason()
        button.setEnabled(not reason)
        button.setToolTip(reason or ("Stop comparing." if self.is_busy else "Measure all structures of both in 3D."))

    def compare(self) -> None:
        """Measure what is chosen; the table follows."""
        self._clear()
        prediction, reference, case = self.prediction_node, self.reference_node, self._case()

        def prepare(folder: Path) -> Generator[None, None, dict[str, Any]]:
            ours, theirs, self._reading_notes = yield from read_pair_steps(prediction, reference)
            self._geometry = theirs.geometry
            by_hand = still_there(matched_by_hand(prediction, reference), ours.structures, theirs.structures)
            yield
            return {
                "case": case,
                "by_hand": by_hand,
                "prediction": (yield from segmentation_steps(ours, folder, "prediction")),
                "reference": (yield from segmentation_steps(theirs, folder, "reference")),
            }

        self._task.start(prepare, self._on_result)

    def stop(self) -> None:
        """Leave a comparison that is going on."""
        self._task.stop()

    def close(self) -> None:
        self.stop()
        self.removeObservers()
        self.prediction_node = self.reference_node = None
        self._clear()

    def go_to(self, row: StructureComparison) -> None:
        """Centre all views on the structure's largest error, and offer another counterpart for it."""
        self._hand.choose(row)
        if row.largest_error_ras is None:
            self._notes.show(
                [*self._words(), Note("info", f"{row.structure} was not measured, so no place is its worst.")]
            )
            return
        self.slices.choose(row.structure)
        look_at(slicer.mrmlScene, row.largest_error_ras)

    def say(self, error: str) -> None:
        """Show a person an error below the button, beside what is there to say anyway."""
        self._notes.show([*self._words(), Note("error", error)])

    def copy(self, checked: bool = False) -> None:
        """Put the table into the clipboard, as a spreadsheet takes it."""
        lines = ("\t".join(str(cell) for cell in cells) for cells in metrics_table(self._table.rows))
        qt.QApplication.clipboard().setText("\n".join(lines) + "\n")

    def save(self, checked: bool = False) -> None:
        """Save the table as metrics.csv, the same as the command line writes."""
        path = self.save_as("Save the table", f"{self.comparison.case or 'comparison'} metrics.csv")
        if not path:
            return
        try:
            write_metrics_csv(self._table.rows, path)
        except (OSError, InputError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            self._notes.show([Note("error", f"{path} could not be written ({reason}); choose another folder.")])
        else:
            self._notes.show([*self._words(), Note("pass", f"saved as {path}.")])

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
        self._notes.show(self._words())
        self._show()
        self._on_change()

    def _words(self) -> list[Note]:
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

    def _watch(self, node: Any) -> None:
        self.addObserver(node, slicer.vtkMRMLTransformableNode.TransformModifiedEvent, self._on_changed)
        if node.IsA("vtkMRMLSegmentationNode"):
            for event in (
                slicer.vtkSegmentation.SourceRepresentationModified,
                slicer.vtkSegmentation.SegmentAdded,
                slicer.vtkSegmentation.SegmentRemoved,
            ):
                self.addObserver(node.GetSegmentation(), event, self._on_changed)
        else:
            self.addObserver(node, slicer.vtkMRMLVolumeNode.ImageDataModifiedEvent, self._on_changed)

    def _note_pair(self) -> None:
        """Remember for this turn of the event loop what is compared, because a node may be going: see RemovedNodes."""
        if self.is_busy or self.comparison is not None:
            self._going.add(self.prediction_node, self.reference_node)

    def _on_changed(self, caller: Any = None, event: Any = None) -> None:
        self._note_pair()
        if self.is_busy:
            self.stop()
            self._notes.show([Note("warning", CHANGED)])
        elif self.comparison is not None:
            self._clear()
            self._notes.show([Note("warning", CHANGED)])

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
        self._task.show()
        ui.predictionSelector.setEnabled(not self.is_busy)
        ui.referenceSelector.setEnabled(not self.is_busy)
        for widget in (ui.compareTable, ui.compareMeanLabel, ui.copyTableButton, ui.saveTableButton):
            widget.setVisible(has_table)
        ui.compareMeanLabel.setText(mean_text(self._table.rows))
        self.update()
