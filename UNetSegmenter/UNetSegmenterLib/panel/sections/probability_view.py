"""In section Segment: the probability of one structure over the scan, while its button is pressed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import slicer

from ...engine.io.volume import Note
from ...engine.labels.structures import Structure
from ...engine.model.card import Card
from ...scene.views.probability_overlay import ProbabilityOverlay
from ..jobs.failure import JobFailure, failure_note
from ..jobs.probability_run import ProbabilityWish, probability_steps
from ..jobs.worker_process import WorkerProcess
from .section import Section

TIP = "Has the network run once more and shows, in the slices, how probable it finds this structure in every voxel."


class ProbabilityView(Section):
    """Follows the list of structures and the button; `wish(structure)` says what is asked for with what is chosen now."""

    def __init__(self, ui: Any, worker: WorkerProcess, wish: Callable[[Structure], ProbabilityWish]) -> None:
        Section.__init__(self, ui.probabilityNotesFrame)
        self._ui, self._worker, self._wish = ui, worker, wish
        self._shown: ProbabilityOverlay | None = None
        self._about: tuple[Any, str] = (None, "")
        self._structures: tuple[Structure, ...] = ()
        ui.probabilityButton.connect("toggled(bool)", self.slot(self._on_button, "The probability"))
        ui.probabilityComboBox.connect("currentIndexChanged(int)", lambda index: self._renew())
        self._show()

    @property
    def shown(self) -> Any:
        """The volume node that is shown, None if there is none."""
        return self._shown.node if self._shown is not None else None

    def choose(self, volume_node: Any, sha256: str, card: Card | None, reason: str) -> None:
        """Follow scan and model: others end what is shown; `reason` says why the button cannot be pressed."""
        if (volume_node, sha256) != self._about:
            self.leave()
            self._about = volume_node, sha256
        structures = tuple(sorted(card.structures, key=lambda one: one.index)) if card is not None else ()
        if structures != self._structures:
            self._structures = structures
            box = self._ui.probabilityComboBox
            box.blockSignals(True)
            box.clear()
            box.addItems([one.name for one in structures])
            box.blockSignals(False)
        button, is_on = self._ui.probabilityButton, self.is_busy or self._shown is not None
        button.setEnabled(not reason or is_on)
        button.setToolTip(reason if reason and not is_on else TIP)
        self._ui.probabilityComboBox.setEnabled(bool(structures))

    def leave(self) -> None:
        """Take away what is shown, or end what is being computed."""
        self._clear()
        if self._ui.probabilityButton.isChecked():
            self._ui.probabilityButton.setChecked(False)

    def close(self) -> None:
        """End everything."""
        self.leave()

    def _on_button(self, checked: bool) -> None:
        if checked:
            self._begin()
        else:
            self._clear()

    def _renew(self) -> None:
        if self._ui.probabilityButton.isChecked():
            self._begin()

    def _begin(self) -> None:
        self._clear()
        wish = self._wish(self._structures[self._ui.probabilityComboBox.currentIndex])
        self._ui.probabilityProgressBar.setRange(0, 0)
        steps = probability_steps(self._worker, wish, self._on_progress)
        self._start(steps, lambda found: self._show_overlay(wish, *found), "The probability")

    def _show_overlay(self, wish: ProbabilityWish, percent: Any, geometry: Any) -> None:
        self._shown = ProbabilityOverlay(percent, geometry, wish.volume_node, wish.structure.name)
        self.addObserver(slicer.mrmlScene, slicer.vtkMRMLScene.NodeRemovedEvent, self._on_node_removed)
        share = f"{wish.structure.name} has 50 % or more in {100 * (percent >= 50).mean():.1f} % of the scan."
        self._notes.show([Note("info", f"Drawn from 5 % on; {share}")])
        self._show()

    def _clear(self) -> None:
        self.stop()
        self.removeObservers()
        shown, self._shown = self._shown, None
        if shown is not None:
            shown.remove()
        self._notes.show([])
        self._show()

    def _on_progress(self, done: int, total: int) -> None:
        self._ui.probabilityProgressBar.setRange(0, total)
        self._ui.probabilityProgressBar.setValue(done)

    def _on_failure(self, failure: JobFailure) -> None:
        self.leave()
        self._notes.show([failure_note(failure)])

    def _on_node_removed(self, caller: Any = None, event: Any = None) -> None:
        if self._shown is not None and self._shown.node.GetScene() is None:
            self.leave()

    def _show(self) -> None:
        self._ui.probabilityProgressBar.setVisible(self.is_busy)
