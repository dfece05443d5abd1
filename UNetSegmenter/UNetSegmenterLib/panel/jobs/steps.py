"""Work in small steps on the event loop: a timer that lets go of what it calls, and the driver of a generator."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any

import qt

from .failure import JobFailure, call_safely, failure_of

Work = Generator[Any, None, Any]


class Ticker:
    """A timer that `end` parts from what it calls.

    PythonQt holds a connected method, and with it its object, as long as the timer lives; where the object holds the timer,
    that is a cycle through C++ which Python's garbage collector can't see. Whoever makes a Ticker ends it.
    """

    def __init__(self, call: Callable[[], None], interval_ms: int = 0, once: bool = False) -> None:
        self._call: Callable[[], None] | None = call
        self._timer = qt.QTimer()
        self._timer.setSingleShot(once)
        self._timer.setInterval(interval_ms)
        self._timer.timeout.connect(self._on_timeout)

    def start(self) -> None:
        if self._timer is not None:
            self._timer.start()

    def end(self) -> None:
        """Stop for good; safe to call twice, and while the timer fires."""
        timer, self._timer, self._call = self._timer, None, None
        if timer is not None:
            timer.stop()
            timer.timeout.disconnect(self._on_timeout)
            timer.deleteLater()
            kept = [timer]  # without a name it would be deleted at once, perhaps while it fires
            qt.QTimer.singleShot(0, kept.clear)

    def _on_timeout(self) -> None:
        if self._call is not None:
            self._call()


class Driver:
    """Does the steps of one generator; `on_done(value)` or `on_failure(JobFailure)` is called once, unless it is stopped.

    Whatever a step, `on_step` (called with what each step yields) or `on_done` raises is a failure of `subject`. When either
    is called, the generator is closed, the timer gone, and nothing is held any more.
    """

    def __init__(
        self,
        steps: Work,
        on_done: Callable[[Any], None],
        on_failure: Callable[[JobFailure], None],
        on_step: Callable[[Any], None] | None = None,
        interval_ms: int = 0,
        subject: str = "The work",
    ) -> None:
        self._steps: Work | None = steps
        self._on_done, self._on_failure, self._on_step = on_done, on_failure, on_step
        self._subject = subject
        self._is_stepping = False
        self._ticker = Ticker(self._step, interval_ms)

    def start(self) -> None:
        """Begin; returns at once."""
        self._ticker.start()

    def stop(self) -> None:
        """End at once and tell nobody; the generator's `finally` is run (after its present step, if it is in one)."""
        steps = self._steps
        self._end()
        if steps is not None and not self._is_stepping:
            call_safely(steps.close)

    def _step(self) -> None:
        if self._is_stepping or self._steps is None:
            return  # a step that lets the event loop turn is not done yet
        steps, self._is_stepping = self._steps, True
        try:
            said = next(steps)
            if self._on_step is not None and self._steps is steps:
                self._on_step(said)
        except StopIteration as end:
            self._succeed(end.value)
        except BaseException as error:
            self._fail(failure_of(error, self._subject))
            if not isinstance(error, Exception):
                raise
        finally:
            self._is_stepping = False
            if self._steps is None:
                call_safely(steps.close)

    def _succeed(self, value: Any) -> None:
        if self._steps is not None:
            on_done, on_failure = self._end()
            try:
                on_done(value)
            except Exception as error:
                call_safely(on_failure, failure_of(error, self._subject))

    def _fail(self, failure: JobFailure) -> None:
        if self._steps is not None:
            steps = self._steps
            _, on_failure = self._end()
            call_safely(steps.close)
            call_safely(on_failure, failure)

    def _end(self) -> tuple[Callable[[Any], None], Callable[[JobFailure], None]]:
        """Let go of everything, and return whom to tell."""
        tell = self._on_done, self._on_failure
        self._steps, self._on_step = None, None
        self._on_done = self._on_failure = _ignore
        self._ticker.end()
        return tell


def _ignore(*arguments: Any) -> None:
    """Nobody listens any more."""
