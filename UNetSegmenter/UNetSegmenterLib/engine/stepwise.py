"""Work in small steps, for an interface that must stay responsive while it is done."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

Steps = Generator[None, None, Any]
"""A generator that pauses after every few milliseconds of work; its return value is what the work made."""


def run_to_end(steps: Steps) -> Any:
    """Do all steps without a pause and return what they made."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value
