"""Work in small steps on the event loop: the one driver of it, and what steps yield that wait for something.

Whatever takes longer than a moment in the panel is a generator that yields after each small step. A step yields None to go on, a
text that says what takes long, or a `Wait` where there is nothing to do before something else has happened.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any

import qt

from .failure import JobFailure, call_safely, failure_of

WAIT_MS = 10  # between two looks of steps that wait


class Wait:
    """Steps that yield this are asked again after some milliseconds, and at once when `end` is called."""

    def __init__(self) -> None:
        self._go_on: Callable[[], None] = _ignore

    def end(self) -> None:
        """What the steps waited for has happened."""
        self._go_on()

    def call_at_end(self, go_on: Callable[[], None]) -> None:
        """Have `go_on` called when the wait is over."""
        self._go_on = go_on


Work = Generator[Any, None, Any]
"""Steps; what they return is the result of the work."""


class StepDriver:
    """Does the steps of one generator; `on_done(value)` or `on_failure(JobFailure)` is called once, unless it is stopped.

    Whatever a step, `on_message` or `on_done` raises (InputError, MemoryError, OSError, any Exception) is a failure of `subject`.
    When either is called, the generator is closed, so that its `finally` has freed what it held, and the timer is gone.

    PythonQt holds a connected method, and with it its object, as long as the timer lives; where the object holds the timer, that
    is a cycle through C++ which Python's garbage collector can't see. So the driver parts from its timer at the end.
    """

    def __init__(
        self,
        steps: Work,
        on_done: Callable[[Any], None],
        on_failure: Callable[[JobFailure], None],
        *,
        on_message: Callable[[str], None] | None = None,
        subject: str = "The work",
    ) -> None:
        """Prepare to do the steps.

        Args:
            steps: The generator; what it returns is given to `on_done`.
            on_done: Called with the returned value.
            on_failure: Called with what went wrong.
            on_message: Called with each text that a step yields.
            subject: What a failure has stopped ("The comparison"), to begin its sentence with.
        """
        self._steps: Work | None = steps
        self._on_done, self._on_failure, self._on_message = on_done, on_failure, on_message or _ignore
        self._subject = subject
        self._is_stepping = False
        self._timer: Any = qt.QTimer()
        self._timer.setInterval(0)
        self._timer.timeout.connect(self._step)

    def start(self) -> None:
        """Begin; returns at once."""
        if self._timer is not None:
            self._timer.start()

    def stop(self) -> None:
        """End at once without a call; the generator's `finally` is run (after its present step, if it is in one)."""
        steps = self._steps
        self._end()
        if steps is not None and not self._is_stepping:
            call_safely(steps.close)

    def _step(self) -> None:
        if self._is_stepping or self._steps is None:
            return  # a step that lets the event loop turn is not done yet
        steps, self._is_stepping = self._steps, True
        try:
            yielded = next(steps)
            if self._steps is steps:
                self._take(yielded)
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

    def _take(self, yielded: str | Wait | None) -> None:
        interval = WAIT_MS if isinstance(yielded, Wait) else 0
        if self._timer.interval != interval:
            self._timer.setInterval(interval)
        if isinstance(yielded, Wait):
            yielded.call_at_end(self._step)
        elif yielded:
            self._on_message(yielded)

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
        """Let go of everything, and return the two functions of which one is to be called."""
        listeners = self._on_done, self._on_failure
        self._steps = None
        self._on_done = self._on_failure = self._on_message = _ignore
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.stop()
            timer.timeout.disconnect(self._step)
            timer.deleteLater()
            kept = [timer]  # without a name it would be deleted at once, perhaps while it fires
            qt.QTimer.singleShot(0, kept.clear)
        return listeners


def _ignore(*arguments: Any) -> None:
    """No listener is left."""
