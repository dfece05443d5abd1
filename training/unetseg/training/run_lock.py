"""The lock of a run's folder, and the signals that ask a run to stop."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from UNetSegmenterLib.engine.io.atomic_files import locked

from ..exit_status import TRY_AGAIN
from ..stop_signals import existing, handled

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
        self._handled = handled(existing(*WARNING_SIGNALS, "SIGTERM", "SIGINT"), self._note)

    def __enter__(self) -> StopSignals:
        self._handled.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._handled.__exit__(None, None, None)

    def _note(self, number: int, _: FrameType | None) -> None:
        if self.received and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.received = signal.Signals(number).name


@contextmanager
def stopped_at_once() -> Iterator[None]:
    """Raise Stopped where a scheduler's warning arrives, for work whose finished parts are on disk already."""

    def stop(number: int, _: FrameType | None) -> None:
        raise Stopped(0, signal.Signals(number).name)

    with handled(existing(*WARNING_SIGNALS), stop):
        yield


@contextmanager
def run_lock(folder: Path) -> Iterator[None]:
    """Lock `folder` for this process.

    Raises:
        InputError: another process has the lock; the message names it.
    """
    with locked(folder / "run.lock", wait_seconds=0):
        yield
