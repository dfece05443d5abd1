"""What sections that ask the worker to judge have in common: one request at a time, a button that becomes Cancel, a bar."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from ..engine.volume import Note
from .notes import NoteList
from .process import Failure, WorkerProcess
from .task import Prepare, WorkerTask


class JudgingTask:
    """The request `do` ("compare") of a section, with the widgets `<do>Button` and `<do>ProgressBar` of its panel.

    The button calls `begin` or cancels what goes on. `on_change` is called when a request has begun or ended; what
    went wrong is said in `notes`.
    """

    def __init__(
        self,
        ui: Any,
        worker: WorkerProcess,
        do: str,
        notes: NoteList,
        begin: Callable[[], None],
        on_change: Callable[[], None],
    ) -> None:
        self._worker, self._do, self._notes, self._begin, self._on_change = worker, do, notes, begin, on_change
        self._verb = do.capitalize()
        self._button, self._bar = getattr(ui, f"{do}Button"), getattr(ui, f"{do}ProgressBar")
        self._task: WorkerTask | None = None
        self._ended: WorkerTask | None = None  # kept: its timer must not be deleted while it fires
        self._button.connect("clicked(bool)", self._on_button)

    @property
    def is_busy(self) -> bool:
        return self._task is not None

    def start(self, prepare: Prepare, on_result: Callable[[dict[str, Any]], None]) -> None:
        """Ask the worker; `on_result` gets its answer."""

        def succeed(answer: dict[str, Any]) -> None:
            self._end()
            on_result(answer)

        self._task = WorkerTask(self._worker, self._do, prepare, succeed, self._fail, self._progress)
        self._bar.setRange(0, 0)
        self._task.start()
        self._on_change()

    def stop(self) -> None:
        """Leave a request that is going on."""
        if self.is_busy:
            self._end()
            self._ended.stop()
            self._on_change()

    def show(self) -> None:
        """Button and bar as they are now."""
        self._button.setText("Cancel" if self.is_busy else self._verb)
        self._bar.setVisible(self.is_busy)

    def _end(self) -> None:
        self._ended, self._task = self._task, None

    def _on_button(self, checked: bool = False) -> None:
        if self.is_busy:
            self.stop()
            self._notes.show([Note("info", f"cancelled; press {self._verb} to start again.")])
        else:
            self._begin()

    def _progress(self, done: int, total: int) -> None:
        self._bar.setRange(0, total)
        self._bar.setValue(done)

    def _fail(self, failure: Failure) -> None:
        self._end()
        message = failure.message
        if failure.kind == "crash":
            message = f"The process that {self._do}s ended unexpectedly; press {self._verb} to start it again."
        if failure.kind != "input":
            logging.error("UNetSegmenter: %s\n%s", failure.message, failure.details)
        self._notes.show([Note("error", message)])
        self._on_change()
