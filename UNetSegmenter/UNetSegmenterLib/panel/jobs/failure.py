"""Why something has no result: one sentence for the user and the details. Every exception in the panel goes this way."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ...engine.errors import explain
from ...engine.io.volume import Note

Slot = Callable[[Callable[[Any], Any], str], Callable[[Any], None]]
"""Makes a slot of a handler; what the handler raises is shown, with the name of what it stopped: see `safe_slot`."""


@dataclass(frozen=True)
class JobFailure:
    """`kind` is "input", "missing", "internal", "crash" or "closed"; `details` a traceback or the last lines of output."""

    kind: str
    message: str
    details: str = ""


class JobFailedError(Exception):
    """Raised by steps with a failure that was found elsewhere."""

    def __init__(self, failure: JobFailure) -> None:
        super().__init__(failure.message)
        self.failure = failure


def failure_of(error: BaseException, subject: str) -> JobFailure:
    """What an exception means to the user; `subject` ("The comparison") is what it stopped."""
    if isinstance(error, JobFailedError):
        return error.failure
    kind, message = explain(error if isinstance(error, Exception) else RuntimeError(type(error).__name__), subject)
    return JobFailure(kind, message, "" if kind == "input" else "".join(traceback.format_exception(error)))


def failure_note(failure: JobFailure) -> Note:
    """The line of the panel that shows a failure; its details go into Slicer's error log and the line's tooltip."""
    if failure.details:
        logging.error("UNetSegmenter: %s\n%s", failure.message, failure.details)
    return Note("error", failure.message, failure.details)


def safe_slot(handler: Callable[[Any], Any], show: Callable[[list[Note]], None], subject: str) -> Callable[[Any], None]:
    """A slot for a signal with one argument, as `clicked(bool)`: what the handler raises is shown where `show` shows it.

    Slicer writes what a slot raises to its console alone, and the user would think that the press was lost.
    """

    def slot(value: Any) -> None:
        try:
            handler(value)
        except Exception as error:
            show([failure_note(failure_of(error, subject))])

    return slot


def call_safely(function: Callable[..., Any], *arguments: Any) -> None:
    """Call a listener that must not keep its caller from going on; what it raises is logged."""
    try:
        function(*arguments)
    except Exception as error:
        failure_note(failure_of(error, f"{getattr(function, '__qualname__', 'A listener')}"))
