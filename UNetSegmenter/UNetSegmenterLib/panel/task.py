"""One request to the worker with large arrays: nodes are read and files written in small steps, then it is asked."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import qt

from ..engine.errors import InputError
from .process import Failure, WorkerProcess

Prepare = Callable[[Path], Generator[None, None, dict[str, Any]]]


class WorkerTask:
    """Prepares and sends one request; exactly one of `on_result` and `on_failure` is called later, unless it is stopped.

    `prepare(folder)` writes files below a folder that lives as long as the task, yields after every small step, and
    returns the fields of the request. An InputError or OSError of it is a failure.
    """

    def __init__(
        self,
        worker: WorkerProcess,
        do: str,
        prepare: Prepare,
        on_result: Callable[[dict[str, Any]], None],
        on_failure: Callable[[Failure], None],
        on_progress: Callable[[int, int], None],
    ) -> None:
        self._worker, self._do = worker, do
        self._on_result, self._on_failure, self._on_progress = on_result, on_failure, on_progress
        self._folder = Path(tempfile.mkdtemp(prefix=f"{do}-", dir=worker.hold_folder()))
        self._steps = prepare(self._folder)
        self._request: int | None = None
        self._ended = False
        self._timer = qt.QTimer()
        self._timer.setInterval(0)
        self._timer.timeout.connect(self._step)

    def start(self) -> None:
        """Begin; returns at once."""
        self._timer.start()

    def stop(self) -> None:
        """End at once and tell nobody; the worker leaves the request as soon as it looks up."""
        if not self._ended and self._request is not None:
            self._worker.cancel(self._request)
            self._worker.forget(self._request)
        self._end()

    def _step(self) -> None:
        try:
            next(self._steps)
        except StopIteration as end:
            self._timer.stop()
            self._ask(end.value)
        except InputError as error:
            self._fail(Failure("input", str(error)))
        except OSError as error:
            reason = error.strerror or str(error)
            self._fail(
                Failure("input", f"The data could not be handed over ({reason}); free some space and try again.")
            )

    def _ask(self, fields: dict[str, Any]) -> None:
        self._request = self._worker.request(self._do, self._succeed, self._fail, self._on_progress, **fields)

    def _succeed(self, answer: dict[str, Any]) -> None:
        if self._end():
            self._on_result(answer)

    def _fail(self, failure: Failure) -> None:
        if self._end():
            self._on_failure(failure)

    def _end(self) -> bool:
        if self._ended:
            return False
        self._ended = True
        self._timer.stop()
        self._steps.close()
        shutil.rmtree(self._folder, ignore_errors=True)
        self._worker.release_folder()
        return True
