"""Section Segment: Apply that turns into Cancel, progress, and what became of the run."""

from __future__ import annotations

import enum
from collections.abc import Callable
from typing import Any

from ...engine.io.volume import Note
from ..jobs.failure import JobFailure, call_safely, failure_note, failure_of
from ..jobs.segmentation_run import SegmentationProgress
from ..jobs.segmenter import JobCallbacks, SegmentationJob, SegmentationOptions, SegmentationResult, question_before
from .section import Section

StartJob = Callable[[Any, SegmentationOptions, JobCallbacks], SegmentationJob]


class RunState(enum.Enum):
    """The state of the one run that a panel can have."""

    IDLE = "idle"
    STARTING = "starting"  # the scan is handed over, the worker makes the network ready
    RUNNING = "running"
    CANCELLING = "cancelling"
    DONE = "done"
    CANCELLED = "cancelled"
    CRASHED = "crashed"  # no result: the worker died, or refused what it was given

    @property
    def is_busy(self) -> bool:
        """Whether a run is going on."""
        return self in (RunState.STARTING, RunState.RUNNING, RunState.CANCELLING)


FOLLOWS = {
    RunState.IDLE: {RunState.STARTING},
    RunState.STARTING: {RunState.RUNNING, RunState.CANCELLING, RunState.DONE, RunState.CRASHED, RunState.IDLE},
    RunState.RUNNING: {RunState.CANCELLING, RunState.DONE, RunState.CRASHED, RunState.IDLE},
    RunState.CANCELLING: {RunState.CANCELLED, RunState.DONE, RunState.CRASHED, RunState.IDLE},
    RunState.DONE: {RunState.STARTING, RunState.IDLE},
    RunState.CANCELLED: {RunState.STARTING, RunState.IDLE},
    RunState.CRASHED: {RunState.STARTING, RunState.IDLE},
}


class RunStateMachine:
    """Holds the state, refuses steps that make no sense, and calls `on_change` at every step."""

    def __init__(self, on_change: Callable[[RunState], None]) -> None:
        self.state = RunState.IDLE
        self._on_change = on_change

    def to(self, state: RunState) -> None:
        """Step to a state; staying is no step. Raises ValueError for a step that cannot follow."""
        if state is self.state:
            return
        if state not in FOLLOWS[self.state]:
            raise ValueError(f"{state.value} cannot follow {self.state.value}")
        self.state = state
        self._on_change(state)


class SegmentSection(Section):
    """Runs one job at a time. `start_job` makes one, `ask` puts a yes-or-no question, `blocker` says why Apply must wait."""

    def __init__(
        self,
        ui: Any,
        start_job: StartJob,
        ask: Callable[[str], bool],
        choices: Callable[[], tuple[Any, SegmentationOptions]],
        blocker: Callable[[], str],
        open_editor: Callable[[Any, Any], None],
    ) -> None:
        Section.__init__(self, ui.runNotesFrame)
        self._ui, self._start_job, self._ask = ui, start_job, ask
        self._choices, self._blocker, self.open_editor = choices, blocker, open_editor
        self._job: SegmentationJob | None = None
        self.result: SegmentationResult | None = None
        self._volume_node: Any = None
        self._waiting: tuple[Any, SegmentationOptions] | None = None
        self.waits: Callable[[], bool] = lambda: False  # whether the model is still to be read
        self._details = ""
        self.machine = RunStateMachine(self._on_state)
        ui.applyButton.connect("clicked(bool)", self.slot(self._on_button, "The segmentation"))
        ui.detailsButton.connect("toggled(bool)", self._on_details)
        ui.editButton.connect("clicked(bool)", self.slot(self._on_edit, "The way to the Segment Editor"))
        ui.advancedCollapsibleButton.collapsed = True
        self._on_state(RunState.IDLE)

    @property
    def state(self) -> RunState:
        """The state of the run."""
        return self.machine.state

    @property
    def is_waiting(self) -> bool:
        """Whether Apply was pressed and the run begins when the model has been read."""
        return self._waiting is not None

    @property
    def is_busy(self) -> bool:
        """Whether a scan is being segmented, or about to be."""
        return self.state.is_busy

    def update(self) -> None:
        """Enable or disable Apply, and say why in its tooltip; begin the run that waited for the model."""
        if self.is_waiting and not self.waits():
            self._begin()
        button = self._ui.applyButton
        if self.state is RunState.CANCELLING:
            button.setEnabled(False)
            button.setToolTip("Waiting for the network to stop.")
        elif self.state.is_busy:
            button.setEnabled(True)
            button.setToolTip("Stop the run; the slices that are finished can be kept.")
        else:
            reason = self._blocker()
            button.setEnabled(not reason)
            button.setToolTip(reason or "Segment the scan slice by slice with the chosen model.")

    def apply(self) -> None:
        """Start a run with what is chosen; asks before anybody's work is replaced."""
        volume_node, choices = self._choices()
        target = choices.segmentation_node
        question = question_before(target) if target is not None else ""
        if question and not self._ask(question):
            self._notes.show(
                [Note("info", f'"{target.GetName()}" was left as it is; choose "New segmentation" as the result.')]
            )
            return
        self.result, self._volume_node = None, volume_node
        self._waiting = volume_node, choices
        self.machine.to(RunState.STARTING)

    def _begin(self) -> None:
        waiting, self._waiting = self._waiting, None
        if waiting is None:
            return
        volume_node, choices = waiting
        reason = self._blocker()
        if reason:
            self._show_failure(JobFailure("input", reason))
            return
        self._ui.progressLabel.setText("Handing the scan to the network...")
        try:
            callbacks = JobCallbacks(self._on_progress, self._on_end, self._on_stage, self._on_note)
            self._job = self._start_job(volume_node, choices, callbacks)
        except Exception as error:
            self._show_failure(failure_of(error, "The segmentation"))

    def cancel(self) -> None:
        """End the run; what is finished is kept if that was chosen."""
        if self._job is not None and self.state in (RunState.STARTING, RunState.RUNNING):
            self.machine.to(RunState.CANCELLING)
            self._job.cancel()
        elif self.is_waiting:
            self._waiting = None
            self.machine.to(RunState.CANCELLING)
            self._notes.show([])
            self.machine.to(RunState.CANCELLED)
            self._notes.show([Note("info", "cancelled before the first slice; nothing was changed.")])

    def abandon(self) -> None:
        """The scene is closing, or the panel: stop and forget."""
        job, self._job, self._waiting = self._job, None, None
        if job is not None:
            job.abandon()
        self.result = self._volume_node = None
        self.machine.to(RunState.IDLE)
        self._on_state(RunState.IDLE)

    def _on_button(self, checked: bool = False) -> None:
        self.cancel() if self.state.is_busy else self.apply()

    def _on_progress(self, progress: SegmentationProgress) -> None:
        if self.state is RunState.STARTING:
            self.machine.to(RunState.RUNNING)
        self._ui.progressBar.setRange(0, progress.total)
        self._ui.progressBar.setValue(progress.done)
        self._ui.progressLabel.setText(progress.text())

    def _on_stage(self, text: str) -> None:
        if self.state is RunState.STARTING:
            self._ui.progressLabel.setText(text)

    def _on_note(self, note: Note) -> None:
        self._notes.show([*self.notes, note])

    def _on_end(self, result: SegmentationResult) -> None:
        try:
            self._show_result(result)
        except Exception as error:
            self._show_failure(failure_of(error, "Showing the result"))

    def _show_result(self, result: SegmentationResult) -> None:
        self._job, self.result = None, result
        self._details = result.failure.details if result.failure else ""
        self._notes.show(result.notes)
        if result.failure is not None:
            self.machine.to(RunState.CRASHED)
        elif result.outcome.cancelled:
            if self.state is not RunState.CANCELLING:
                self.machine.to(RunState.CANCELLING)
            self.machine.to(RunState.CANCELLED)
        else:
            self.machine.to(RunState.DONE)

    def _show_failure(self, failure: JobFailure) -> None:
        self._job, self._details = None, failure.details
        call_safely(self._notes.show, [failure_note(failure)])
        if self.state.is_busy:
            self.machine.to(RunState.CRASHED)

    def _on_state(self, state: RunState) -> None:
        ui = self._ui
        ui.applyButton.setText("Cancel" if state.is_busy else "Apply")
        ui.progressBar.setVisible(state.is_busy)
        ui.progressLabel.setVisible(state.is_busy)
        if state is RunState.STARTING:
            ui.progressBar.setRange(0, 0)
            ui.progressLabel.setText("Reading the checkpoint...")
            self._details = ""
        if state is RunState.CANCELLING:
            ui.progressLabel.setText("Cancelling...")
        if state.is_busy or state is RunState.IDLE:
            self._notes.show([])
        has_node = self.result is not None and self.result.node is not None and not state.is_busy
        ui.editButton.setVisible(has_node)
        ui.detailsButton.setVisible(bool(self._details) and state is RunState.CRASHED)
        if ui.detailsButton.isChecked() and state is not RunState.CRASHED:
            ui.detailsButton.setChecked(False)
        self._on_details(ui.detailsButton.isChecked())
        for widget in (
            ui.inputSelector,
            ui.outputSelector,
            ui.deviceComboBox,
            ui.checkpointPathLineEdit,
            ui.knownCheckpointsComboBox,
        ):
            widget.setEnabled(not state.is_busy)
        self.update()

    def _on_details(self, shown: bool) -> None:
        self._ui.detailsText.setPlainText(self._details)
        self._ui.detailsText.setVisible(bool(shown and self._details))

    def _on_edit(self, checked: bool = False) -> None:
        if self.result is not None and self.result.node is not None:
            self.open_editor(self.result.node, self._volume_node)
