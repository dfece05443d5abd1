"""Why something has no result: one sentence for the user and the details. Every exception in the panel goes this way."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ..engine.errors import explain
from ..engine.volume import Note


@dataclass(frozen=True)
class Failure:
    """`kind` is "input", "missing", "internal", "crash" or "closed"; `details` a traceback or the last lines of output."""

    kind: str
    message: str
    details: str = ""


class FailureError(Exception):
    """Carries a failure that somebody else found through steps that raise."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.message)
        self.failure = failure


def failure_of(error: BaseException, subject: str) -> Failure:
    """What an exception means to the user; `subject` ("The comparison") is what it stopped."""
    if isinstance(error, FailureError):
        return error.failure
    kind, message = explain(error, subject)
    return Failure(kind, message, "" if kind == "input" else "".join(traceback.format_exception(error)))


def failure_note(failure: Failure) -> Note:
    """The line of the panel that tells of a failure; its details go into Slicer's error log and the line's tooltip."""
    if failure.details:
        logging.error("UNetSegmenter: %s\n%s", failure.message, failure.details)
    return Note("error", failure.message, failure.details)


def call_safely(function: Callable[..., Any], *arguments: Any) -> None:
    """Call a listener that must not keep its caller from going on; what it raises is logged."""
    try:
        function(*arguments)
    except Exception as error:
        failure_note(failure_of(error, f"{getattr(function, '__qualname__', 'A listener')}"))
