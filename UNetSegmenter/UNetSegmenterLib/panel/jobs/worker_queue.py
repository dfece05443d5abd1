"""Who may use the worker for a segmentation: one at a time, first come, first served, from the panel and from scripts alike."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from .failure import JobFailure, call_safely, failure_of
from .steps import Ticker


def _ignore() -> None:
    """Nobody listens."""


@dataclass(eq=False)
class QueueEntry:
    """A place in the queue: `begin` is called when it is its turn, `on_failure` if that never comes or `begin` raises.

    `on_wait(names)` is called while it waits, with the names of those before it.
    """

    name: str
    begin: Callable[[], None]
    on_failure: Callable[[JobFailure], None]
    on_wait: Callable[[Sequence[str]], None] = field(default=lambda names: None)


class WorkerQueue:
    """The queue; `on_change` is called when somebody has entered or left it."""

    def __init__(self) -> None:
        self.on_change: Callable[[], None] = _ignore
        self._queue: list[QueueEntry] = []
        self._begun: QueueEntry | None = None
        self._ticker: Ticker | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """What is being done, and then what waits."""
        return tuple(turn.name for turn in self._queue)

    def enter(self, turn: QueueEntry) -> None:
        """Queue up; `begin` is called from the event loop, never from here."""
        self._queue.append(turn)
        self._on_change()

    def leave(self, turn: QueueEntry) -> None:
        """Make room for the next one, or give up waiting. Safe to call twice."""
        if turn in self._queue:
            self._queue.remove(turn)
            if self._begun is turn:
                self._begun = None
            self._on_change()

    def close(self) -> None:
        """Refuse all who wait, and tell them."""
        waiting = [turn for turn in self._queue if turn is not self._begun]
        self._queue = [turn for turn in self._queue if turn is self._begun]
        for turn in waiting:
            call_safely(turn.on_failure, JobFailure("closed", "The worker was closed before it was this scan's turn."))
        self._on_change()

    def _on_change(self) -> None:
        for place, turn in enumerate(self._queue):
            if turn is not self._begun and place:
                call_safely(turn.on_wait, self.names[:place])
        call_safely(self.on_change)
        if self._ticker is None and self._queue and self._begun is None:
            self._ticker = Ticker(self._begin_next, once=True)
            self._ticker.start()

    def _begin_next(self) -> None:
        if self._ticker is not None:
            self._ticker.end()
            self._ticker = None
        if self._begun is not None or not self._queue:
            return
        turn = self._begun = self._queue[0]
        try:
            turn.begin()
        except Exception as error:
            self.leave(turn)
            call_safely(turn.on_failure, failure_of(error, "The segmentation"))
