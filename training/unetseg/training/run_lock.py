"""What protects a run from the outside: one run a folder, and signals that ask it to stop."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from UNetSegmenterLib.engine.io.atomic_files import locked

TRY_AGAIN = 75  # EX_TEMPFAIL of sysexits.h: what schedulers requeue on (LSF: bsub -Q "75")
WARNINGS = ("SIGUSR1", "SIGUSR2")  # what a scheduler sends before the wall time ends (LSF by itself: SIGUSR2)


class Stopped(SystemExit):
    """A run was asked to stop and did, after saving.

    The process ends with status 75, "try again", after a scheduler's warning (SIGUSR1, SIGUSR2), so that the job can be
    queued again; after SIGTERM and Ctrl-C with 128 + the signal's number, as a cancelled program does.
    """

    def __init__(self, step: int, name: str) -> None:
        super().__init__(TRY_AGAIN if name in WARNINGS else 128 + signal.Signals[name])
        self.step = step
        self.name = name


class StopSignals:
    """Hears a scheduler's wall-time warnings (SIGUSR1, SIGUSR2), SIGTERM and Ctrl-C until it is closed.

    `asked` is the name of the signal that came, or "". A second Ctrl-C stops at once, as usual.
    """

    def __init__(self) -> None:
        self.asked = ""
        self._before: dict[int, object] = {}

    def __enter__(self) -> StopSignals:
        if threading.current_thread() is threading.main_thread():
            for name in (*WARNINGS, "SIGTERM", "SIGINT"):
                if number := getattr(signal, name, None):
                    self._before[number] = signal.signal(number, self._hear)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]

    def _hear(self, number: int, _: FrameType | None) -> None:
        if self.asked and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.asked = signal.Signals(number).name


@contextmanager
def stopped_at_once() -> Iterator[None]:
    """Raise Stopped where a scheduler's warning or SIGTERM arrives, for work whose finished parts are on disk already."""

    def stop(number: int, _: FrameType | None) -> None:
        raise Stopped(0, signal.Signals(number).name)

    before = {}
    if threading.current_thread() is threading.main_thread():
        numbers = [getattr(signal, name, None) for name in (*WARNINGS, "SIGTERM")]
        before = {number: signal.signal(number, stop) for number in numbers if number}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def only_run(folder: Path) -> Iterator[None]:
    """Hold `folder` for this process; raises InputError, naming the holder, if another run has it."""
    with locked(folder / "run.lock", wait_seconds=0):
        yield
