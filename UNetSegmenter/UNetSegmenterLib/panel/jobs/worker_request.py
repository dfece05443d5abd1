"""A request to the worker in steps: they send it, wait for the answer, and return it or raise why there is none."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from typing import Any

from .failure import JobFailedError, JobFailure
from .step_driver import Wait
from .worker_process import WorkerProcess


class WorkerRequest:
    """One request that has been sent; `answer_steps` waits for what the worker says to it."""

    def __init__(
        self, worker: WorkerProcess, do: str, on_progress: Callable[[int, int], None] | None = None, **fields: Any
    ) -> None:
        """Send the request `do` ("compare") with these fields; `on_progress(done, total)` is called as the worker tells it."""
        self._worker = worker
        self._wait = Wait()
        self._answer: dict[str, Any] | None = None
        self._failure: JobFailure | None = None
        self._deadline: float | None = None
        self.number = worker.request(do, self._on_answer, self._on_failure, on_progress, **fields)

    def answer_steps(self) -> Generator[Wait, None, dict[str, Any]]:
        """Wait for the answer and return it.

        Steps that are closed before it is there cancel the request.

        Raises:
            JobFailedError: if the worker refuses, fails or ends.
        """
        try:
            while self._answer is None and self._failure is None:
                if self._deadline is not None and time.monotonic() > self._deadline:
                    self._deadline = None
                    self._worker.abort(self.number)
                yield self._wait
        finally:
            self._worker.cancel(self.number)
            self._worker.forget(self.number)
        if self._failure is not None:
            raise JobFailedError(self._failure)
        assert self._answer is not None
        return self._answer

    def cancel(self, grace_seconds: float) -> None:
        """Ask the worker to answer with what it has; if it has not within so many seconds, the request is aborted."""
        self._worker.cancel(self.number)
        self._deadline = time.monotonic() + grace_seconds

    def abort(self) -> None:
        """End the request at once, with the worker if that is at it."""
        self._worker.abort(self.number)

    def _on_answer(self, answer: dict[str, Any]) -> None:
        self._answer = answer
        self._wait.end()

    def _on_failure(self, failure: JobFailure) -> None:
        self._failure = failure
        self._wait.end()


def answer_steps(
    worker: WorkerProcess, do: str, on_progress: Callable[[int, int], None] | None = None, **fields: Any
) -> Generator[Wait, None, dict[str, Any]]:
    """Send a request and wait for its answer; raises as `WorkerRequest.answer_steps` does."""
    return (yield from WorkerRequest(worker, do, on_progress, **fields).answer_steps())
