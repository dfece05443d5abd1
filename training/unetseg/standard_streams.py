"""Standard output and error as they may be: of another encoding than UTF-8, closed from the start, or closed meanwhile."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from typing import TextIO

_COMMANDS = {code: "\ufffd" for code in (*range(32), *range(127, 160)) if chr(code) not in "\t\n\r"}
"""What a terminal takes for a command: colours, but also its title, its clipboard, and what it seems to have said before."""


def accept_any_console() -> None:
    """Make standard output and error take any text: "?" stands for what the console's encoding doesn't have.

    A stream that is closed gets the null device: what is said there is lost, and standard error says so. The null device
    also takes the stream's number, which the next file that is opened would have otherwise.
    """
    _open_standard_descriptors()
    closed = sys.stdout is None
    sys.stdout, sys.stderr = (stream or _nowhere() for stream in (sys.stdout, sys.stderr))
    for stream in (sys.stdout, sys.stderr):
        if reconfigure := getattr(stream, "reconfigure", None):
            reconfigure(errors="replace")
    if closed:
        sys.stderr.write("unetseg: warning: standard output is closed, so what is said there is lost\n")


def silence(stream: TextIO) -> None:
    """Send what a stream still holds, and what is written to it from now on, to the null device."""
    with suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)


def _open_standard_descriptors() -> None:
    with suppress(OSError):
        while (number := os.open(os.devnull, os.O_RDWR)) <= 2:
            pass
        os.close(number)


def _nowhere() -> TextIO:
    return open(os.devnull, "w", encoding="utf-8")


def plain(text: str) -> str:
    """The text without what a terminal would obey: names and titles come from other people's files."""
    return text.translate(_COMMANDS)
