"""Ctrl-C and SIGTERM: how they stop a command, what it then says, and how its processes leave them to it."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from types import FrameType

_SAME_WISH_SECONDS = 2.0
STARTED_BY = "UNETSEG_STARTED_BY"
"""The variable that tells a process of a training that its main process has started it, and ends it."""
_LEFT_TO_THE_PARENT = ("SIGINT", "SIGTERM", "SIGUSR1", "SIGUSR2")


def existing(*names: str) -> list[int]:
    """The numbers of the signals that this system has; Windows lacks some."""
    return [getattr(signal, name) for name in names if hasattr(signal, name)]


class Terminated(BaseException):
    """SIGTERM came; raised where the work is, so that unfinished files are removed."""


class StopRequest:
    """Whether a signal asked a command to stop.

    `received` is the exception that was raised for it, or None. Libraries turn it into others where they call Python from C.
    """

    def __init__(self) -> None:
        self.received: BaseException | None = None
        self._until = 0.0

    def raise_it(self, number: int, _: FrameType | None) -> None:
        """Raise it where the work is, once: who presses a second time does not mean the removal of unfinished files."""
        if time.monotonic() < self._until:
            return
        self._until = time.monotonic() + _SAME_WISH_SECONDS
        self.received = KeyboardInterrupt() if number == signal.SIGINT else Terminated()
        raise self.received


@contextmanager
def handled(numbers: Iterable[int], handler: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    """Call `handler` on the signals of these numbers. Only the main thread can: nothing changes in another one."""
    before = {}
    if threading.current_thread() is threading.main_thread():
        before = {number: signal.signal(number, handler) for number in numbers}
    try:
        yield
    finally:
        for number, former in before.items():
            signal.signal(number, former)


@contextmanager
def stoppable() -> Iterator[StopRequest]:
    """Raise KeyboardInterrupt and Terminated in the work on SIGINT and SIGTERM; what a shell has ignored stays ignored."""
    request = StopRequest()
    numbers = [n for n in (signal.SIGINT, signal.SIGTERM) if signal.getsignal(n) is not signal.SIG_IGN]
    with handled(numbers, request.raise_it):
        yield request


@contextmanager
def goes_on_with(how: str) -> Iterator[None]:
    """Let the sentence on a signal that stops the work say how it goes on, such as "the same command continues"."""
    try:
        yield
    except (KeyboardInterrupt, Terminated) as stop:
        stop.__dict__.setdefault("goes_on_with", how)
        raise


def speaks_for_all() -> bool:
    """Whether this is the main one of the processes that share a training, or a process of its own: a signal reaches them all.

    Lightning Fabric and torchrun number the processes that they start in the environment.
    """
    return os.environ.get("RANK", os.environ.get("LOCAL_RANK", "0")) == "0"


def stopped_text(stop: BaseException | None) -> str:
    """The sentence on the signal that stopped a command."""
    name = "SIGTERM" if isinstance(stop, Terminated) else "Ctrl-C"
    how = getattr(stop, "goes_on_with", "")
    return f"stopped by {name}; {how or 'no half-written file is left'}"


@contextmanager
def held_back() -> Iterator[None]:
    """Hold signals back while processes are started, which begin with them held back as well: their imports take seconds."""
    mask = getattr(signal, "pthread_sigmask", None)  # Windows has none
    if mask:
        from multiprocessing import resource_tracker  # here, as --help does without it

        resource_tracker.ensure_running()  # multiprocessing starts it with the first process, and lets the signals through then
    before = mask(signal.SIG_BLOCK, existing(*_LEFT_TO_THE_PARENT)) if mask else set()
    try:
        yield
    finally:
        if mask:
            mask(signal.SIG_SETMASK, before)


def leave_to_the_parent() -> None:
    """Ignore signals in a process that its parent ends: a terminal sends Ctrl-C to both."""
    for number in existing(*_LEFT_TO_THE_PARENT):
        signal.signal(number, signal.SIG_IGN)
