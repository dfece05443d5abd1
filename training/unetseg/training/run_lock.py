"""The lock of a run's folder, and the signals that ask a run to stop."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from UNetSegmenterLib.engine.io.atomic_files import locked

from ..exit_status import TRY_AGAIN

WARNING_SIGNALS = ("SIGUSR1", "SIGUSR2")  # what a scheduler sends before the wall time ends (LSF by itself: SIGUSR2)


class Stopped(SystemExit):
    """A signal asked a run to stop, and it did after saving.

    The process ends with status 75, "try again", after a scheduler's warning (SIGUSR1, SIGUSR2), so that the job can be
    queued again; after SIGTERM and Ctrl-C with 128 + the signal's number, as a cancelled program does.
    """

    def __init__(self, step: int, name: str) -> None:
        super().__init__(TRY_AGAIN if name in WARNING_SIGNALS else 128 + signal.Signals[name])
        self.step = step
        self.name = name


class StopSignals:
    """Notes a scheduler's wall-time warnings (SIGUSR1, SIGUSR2), SIGTERM and Ctrl-C while its context is open.

    `received` is the name of the signal that came, or "". A second Ctrl-C stops at once, as usual.
    """

    def __init__(self) -> None:
        self.received = ""
        self._handlers: dict[int, object] = {}

    def __enter__(self) -> StopSignals:
        if threading.current_thread() is threading.main_thread():
            for name in (*WARNING_SIGNALS, "SIGTERM", "SIGINT"):
                if number := getattr(signal, name, None):
                    self._handlers[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._handlers.items():
            signal.signal(number, handler)  # type: ignore[arg-type]

    def _note(self, number: int, _: FrameType | None) -> None:
        if self.received and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.received = signal.Signals(number).name


@contextmanager
def stopped_at_once() -> Iterator[None]:
    """Raise Stopped where a scheduler's warning arrives, for work whose finished parts are on disk already."""

    def stop(number: int, _: FrameType | None) -> None:
        raise Stopped(0, signal.Signals(number).name)

    handlers = {}
    if threading.current_thread() is threading.main_thread():
        numbers = [getattr(signal, name, None) for name in WARNING_SIGNALS]
        handlers = {number: signal.signal(number, stop) for number in numbers if number}
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)


@contextmanager
def run_lock(folder: Path) -> Iterator[None]:
    """Lock `folder` for this process.

    Raises:
        InputError: another process has the lock; the message names it.
    """
    with locked(folder / "run.lock", wait_seconds=0):
        yield
