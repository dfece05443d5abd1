"""The queue for segmentations: one at a time, first come, first served, from the panel and from scripts alike."""

from __future__ import annotations

from collections.abc import Callable, Generator

from .failure import JobFailedError, JobFailure, call_safely
from .step_driver import Wait


class QueueEntry:
    """One scan in the queue, from `WorkerQueue.enter` to `leave`."""

    def __init__(self, queue: WorkerQueue, name: str) -> None:
        """Made by the queue alone."""
        self.name, self._queue = name, queue
        self.has_begun = self.is_refused = False
        self.wait = Wait()

    @property
    def before(self) -> tuple[str, ...]:
        """Names of the scans that come before this one."""
        return self._queue.names_before(self)

    def turn_steps(self, on_wait: Callable[[tuple[str, ...]], None]) -> Generator[Wait, None, None]:
        """Wait until no scan comes before this one; `on_wait(names)` is called with those that do, again when they change.

        Raises:
            JobFailedError: if the worker is closed meanwhile.
        """
        said: tuple[str, ...] = ()
        while True:
            if self.is_refused:
                raise JobFailedError(JobFailure("closed", "The worker was closed before it was this scan's turn."))
            before = self.before
            if not before:
                self.has_begun = True
                return
            if before != said:
                on_wait(before)
                said = before
            yield self.wait

    def leave(self) -> None:
        """Make room for the next one, or give up waiting. Safe to call twice."""
        self._queue.remove(self)


class WorkerQueue:
    """The scans that are segmented or wait for it; `on_change` is called when one has entered or left."""

    def __init__(self) -> None:
        """An empty queue."""
        self.on_change: Callable[[], None] = lambda: None
        self._entries: list[QueueEntry] = []

    @property
    def names(self) -> tuple[str, ...]:
        """The scan that is being segmented, and then those that wait."""
        return tuple(entry.name for entry in self._entries)

    def names_before(self, entry: QueueEntry) -> tuple[str, ...]:
        """Names of the scans before an entry."""
        return self.names[: self._entries.index(entry)] if entry in self._entries else ()

    def enter(self, name: str) -> QueueEntry:
        """Put a scan at the end of the queue."""
        entry = QueueEntry(self, name)
        self._entries.append(entry)
        call_safely(self.on_change)
        return entry

    def remove(self, entry: QueueEntry) -> None:
        """Take an entry out, if it is in."""
        if entry in self._entries:
            self._entries.remove(entry)
            call_safely(self.on_change)

    def close(self) -> None:
        """Refuse all that wait."""
        for entry in [entry for entry in self._entries if not entry.has_begun]:
            entry.is_refused = True
            entry.wait.end()
