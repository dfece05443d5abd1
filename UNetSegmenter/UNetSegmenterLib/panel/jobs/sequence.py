"""Several requests one after the other: a generator that yields while it waits, turned by the event loop."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any

from .failure import JobFailedError, JobFailure
from .steps import Driver, Work
from .worker_process import WorkerProcess

TURN_MS = 10


class Sequence:
    """Runs one generator at a time; `on_end(failure)` is called when it is through, with None if nothing went wrong.

    `subject` ("The report") is what an exception of any kind has stopped.
    """

    def __init__(self, on_end: Callable[[JobFailure | None], None], subject: str = "The work") -> None:
        self._on_end, self._subject = on_end, subject
        self._driver: Driver | None = None

    @property
    def is_running(self) -> bool:
        return self._driver is not None

    def start(self, steps: Work) -> None:
        """Begin; what was running is stopped."""
        self.stop()
        self._driver = Driver(
            steps, lambda value: self._end(None), self._end, interval_ms=TURN_MS, subject=self._subject
        )
        self._driver.start()

    def stop(self) -> None:
        """End at once and tell nobody; the generator's `finally` is run."""
        driver, self._driver = self._driver, None
        if driver is not None:
            driver.stop()

    def _end(self, failure: JobFailure | None) -> None:
        self._driver = None
        self._on_end(failure)


def answer_steps(worker: WorkerProcess, do: str, **fields: Any) -> Generator[None, None, dict[str, Any]]:
    """Ask the worker and wait for its answer, step by step. Raises JobFailedError with the reason if there is none."""
    answers: list[dict[str, Any]] = []
    failures: list[JobFailure] = []
    request = worker.request(do, answers.append, failures.append, **fields)
    try:
        while not (answers or failures):
            yield
    finally:
        worker.cancel(request)
        worker.forget(request)
    if failures:
        raise JobFailedError(failures[0])
    return answers[0]
