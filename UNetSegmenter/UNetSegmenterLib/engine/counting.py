"""Numbers and what they count, as a sentence has them."""

from __future__ import annotations


def counted(number: int, noun: str, several: str = "") -> str:
    """A number and its noun: 1 check, 2 checks; `several` is the plural that does not end in s."""
    return f"{number} {noun if number == 1 else several or f'{noun}s'}"
