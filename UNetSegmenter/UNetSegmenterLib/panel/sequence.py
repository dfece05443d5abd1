"""Several requests one after the other: a generator that yields while it waits, turned by the event loop."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any

import qt

from ..engine.errors import InputError
from .process import Failure, WorkerProcess

TURN_MS = 10


class Sequence:
    """Runs one generator at a time; `on_end(regret)` is called when it is through, with one sentence if it failed."""

    def __init__(self, on_end: Callable[[str], None]) -> None:
        self._on_end = on_end
        self._steps: Generator[None, None, Any] | None = None
        self._timer = qt.QTimer()
        self._timer.setInterval(TURN_MS)
        self._timer.timeout.connect(self._step)

    @property
    def is_running(self) -> bool:
        return self._steps is not None

    def start(self, steps: Generator[None, None, Any]) -> None:
        """Begin; what was running is stopped."""
        self.stop()
        self._steps = steps
        self._timer.start()

    def stop(self) -> None:
        """End at once and tell nobody; the generator's `finally` is run."""
        steps, self._steps = self._steps, None
        self._timer.stop()
        if steps is not None:
            steps.close()

    def _step(self) -> None:
        steps = self._steps
        if steps is None:
            return
        regret = ""
        try:
            next(steps)
            return
        except StopIteration:
            pass
        except InputError as error:
            regret = str(error)
        if self._steps is steps:
            self._steps = None
            self._timer.stop()
            self._on_end(regret)


def answer_steps(worker: WorkerProcess, do: str, **fields: Any) -> Generator[None, None, dict[str, Any]]:
    """Ask the worker and wait for its answer, step by step. Raises InputError with the reason if there is none."""
    answers: list[dict[str, Any]] = []
    failures: list[Failure] = []
    request = worker.request(do, answers.append, failures.append, **fields)
    try:
        while not (answers or failures):
            yield
    finally:
        worker.cancel(request)
        worker.forget(request)
    if failures:
        raise InputError(failures[0].message)
    return answers[0]
