"""What sections Compare and Plausibility have in common: one request at a time, a button that becomes Cancel, a progress bar."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ...engine.io.volume import Note
from ..widgets.notes import NoteList
from .failure import JobFailure, call_safely, failure_note, safe_slot
from .worker_process import WorkerProcess
from .worker_task import Prepare, WorkerTask

if TYPE_CHECKING:
    from ..sections.compare_section import CompareSection
    from ..sections.plausibility_section import PlausibilitySection


class PlausibilityTask:
    """The request `do` ("compare") of a section, with the widgets `<do>Button` and `<do>ProgressBar` of its panel.

    The button calls `begin` or cancels what goes on. `on_change` is called when a request has begun or ended. What went wrong is
    said in `notes`, after `clear` has taken away what may be there of a result.
    """

    def __init__(
        self,
        ui: Any,
        worker: WorkerProcess,
        do: str,
        notes: NoteList,
        begin: Callable[[], None],
        on_change: Callable[[], None],
        clear: Callable[[], None],
    ) -> None:
        self._clear = clear
        self._worker, self._do, self._notes, self._begin, self._on_change = worker, do, notes, begin, on_change
        self._verb = do.capitalize()
        self._button, self._bar = getattr(ui, f"{do}Button"), getattr(ui, f"{do}ProgressBar")
        self._task: WorkerTask | None = None
        subject = "The comparison" if do == "compare" else "The checks"
        self._button.connect("clicked(bool)", safe_slot(self._on_button, notes.show, subject))

    @property
    def is_busy(self) -> bool:
        return self._task is not None

    def start(self, prepare: Prepare, on_result: Callable[[dict[str, Any]], None]) -> None:
        """Ask the worker; `on_result` gets its answer."""

        def succeed(answer: dict[str, Any]) -> None:
            self._task = None
            on_result(answer)

        self._task = WorkerTask(self._worker, self._do, prepare, succeed, self._fail, self._progress)
        self._bar.setRange(0, 0)
        self._task.start()
        self._on_change()

    def stop(self) -> None:
        """Leave a request that is going on."""
        task, self._task = self._task, None
        if task is not None:
            task.stop()
            self._on_change()

    def show(self) -> None:
        """Button and bar as they are now."""
        self._button.setText("Cancel" if self.is_busy else self._verb)
        self._bar.setVisible(self.is_busy)

    def _on_button(self) -> None:
        if self.is_busy:
            self.stop()
            self._notes.show([Note("info", f"cancelled; press {self._verb} to start again.")])
        else:
            self._begin()

    def _progress(self, done: int, total: int) -> None:
        self._bar.setRange(0, total)
        self._bar.setValue(done)

    def _fail(self, failure: JobFailure) -> None:
        self._task = None
        note = failure_note(failure)
        if failure.kind == "crash":
            message = f"The process that {self._do}s ended unexpectedly; press {self._verb} to start it again."
            note = replace(note, text=message)
        call_safely(self._clear)
        self._notes.show([note])
        self._on_change()


def compare_and_check_steps(compare: CompareSection, plausibility: PlausibilitySection) -> Generator[None, None, None]:
    """Compare and check what is chosen, one request after the other, as far as that has not been done.

    A report and a review of a test set need both. Each section shows its own errors. A Sequence runs the steps.
    """
    try:
        while compare.is_blocked:
            yield  # a scan is being segmented
        if compare.comparison is None and not compare.is_busy and not compare.reason():
            compare.compare()
        while compare.is_busy:
            yield
        if plausibility.findings is None and not plausibility.is_busy and not plausibility.reason():
            plausibility.check()
        while plausibility.is_busy:
            yield
    except GeneratorExit:
        compare.stop()
        plausibility.stop()
        raise
