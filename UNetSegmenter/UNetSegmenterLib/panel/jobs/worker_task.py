"""One request to the worker with large arrays: nodes are read and files written in small steps, then it is asked."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ...engine.worker.service import REQUEST_SUBJECTS
from .failure import JobFailure, call_safely, failure_of
from .steps import Driver
from .worker_process import WorkerProcess

Prepare = Callable[[Path], Generator[None, None, dict[str, Any]]]


class WorkerTask:
    """Prepares and sends one request; exactly one of `on_result` and `on_failure` is called later, unless it is stopped.

    `prepare(folder)` writes files below a folder of this task's own, yields after every small step, and returns the fields of
    the request. The folder lives until `on_result` or `on_failure` has returned; nothing is held after that. Whatever
    `prepare` or `on_result` raises is a failure.
    """

    def __init__(
        self,
        worker: WorkerProcess,
        do: str,
        prepare: Prepare,
        on_result: Callable[[dict[str, Any]], None],
        on_failure: Callable[[JobFailure], None],
        on_progress: Callable[[int, int], None],
    ) -> None:
        self._worker, self._do, self._subject = worker, do, REQUEST_SUBJECTS.get(do, "The work")
        self._on_result, self._on_failure, self._on_progress = on_result, on_failure, on_progress
        self._folder: Path | None = None
        self._ended = False
        self.request: int | None = None
        self._driver = Driver(self._steps(prepare), self._ask, self._fail, subject=self._subject)

    def start(self) -> None:
        """Begin; returns at once."""
        self._driver.start()

    def stop(self) -> None:
        """End at once and tell nobody; the worker leaves the request as soon as it looks up."""
        if not self._ended and self.request is not None:
            self._worker.cancel(self.request)
            self._worker.forget(self.request)
        with self._ending():
            pass

    def _steps(self, prepare: Prepare) -> Generator[None, None, dict[str, Any]]:
        self._folder = self._worker.make_folder(self._do)
        return (yield from prepare(self._folder))

    def _ask(self, fields: dict[str, Any]) -> None:
        if not self._ended:
            self.request = self._worker.request(self._do, self._succeed, self._fail, self._on_progress, **fields)

    def _succeed(self, answer: dict[str, Any]) -> None:
        on_result, on_failure = self._on_result, self._on_failure
        with self._ending() as first:
            if first:
                try:
                    on_result(answer)
                except Exception as error:
                    call_safely(on_failure, failure_of(error, self._subject))

    def _fail(self, failure: JobFailure) -> None:
        on_failure = self._on_failure
        with self._ending() as first:
            if first:
                call_safely(on_failure, failure)

    @contextmanager
    def _ending(self) -> Iterator[bool]:
        """Let go of everything, of the folder last; False if this has ended before."""
        first, self._ended = not self._ended, True
        self._on_result = self._on_failure = self._on_progress = _ignore
        self._driver.stop()
        try:
            yield first
        finally:
            folder, self._folder = self._folder, None
            self._worker.remove_folder(folder)


def _ignore(*arguments: Any) -> None:
    """Nobody listens any more."""
