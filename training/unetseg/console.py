"""What a user sees of a command: lines, warnings, errors, tables, and progress as a bar on a terminal or lines in a log.

Standard output and error may have another encoding than UTF-8, be closed from the start, or be closed meanwhile
(`accept_any_console`). The library rich is imported only where something is printed, so that `unetseg --help` is fast.
"""

from __future__ import annotations

import errno
import os
import re
import shlex
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Protocol, TextIO

if TYPE_CHECKING:
    from rich.console import Console

LOG_WIDTH = 120
SECONDS_BETWEEN_LINES = 10.0
_CONTROL_CHARACTERS = {code: "\ufffd" for code in (*range(32), *range(127, 160)) if chr(code) not in "\t\n\r"}
"""What a terminal takes for a command: colours, but also its title, its clipboard, and the text that stands there already."""


class ProgressCallback(Protocol):
    """How work reports its progress; `text` is shown beside it (a loss, the name of a case)."""

    def __call__(self, done: int, total: int, text: str = "") -> None:
        """Report that `done` of `total` units are finished."""


# --- lines and tables ----------------------------------------------------------------------------------------------------


def print_line(text: str = "") -> None:
    """Print one line on standard output, never wrapped."""
    _console().print(_shown(text), soft_wrap=True)


def warn(text: str) -> None:
    """Print a warning as one line on standard error; the command continues."""
    sys.stderr.write(f"unetseg: warning: {one_line(text)}\n")


def print_errors(text: str, lines: Iterable[str]) -> None:
    """Print an error on standard error, followed by one line for each case of it."""
    sys.stderr.write("\n".join([f"unetseg: error: {text}", *(f"  {one_line(line)}" for line in lines), ""]))


def asked(question: str) -> bool:
    """Whether the user answers a question with yes; without a terminal nobody is asked, which is a no."""
    if not (sys.stdin and sys.stdin.isatty() and sys.stdout.isatty()):
        return False
    try:
        return input(question).strip().lower() in ("y", "yes")
    except EOFError:
        return False


def table(headers: Sequence[str], rows: Iterable[Sequence[str]], title: str = "") -> None:
    """Print a table on standard output; the first column is text, the others are numbers."""
    from rich import box
    from rich.table import Table

    grid = Table(
        title=_shown(title) or None, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, pad_edge=False
    )
    for number, header in enumerate(headers):
        grid.add_column(_shown(header), justify="left" if number == 0 else "right")
    for row in rows:
        grid.add_row(*map(_shown, row))
    _console().print(grid)


def duration(seconds: float) -> str:
    """A duration in the unit that suits it: "8.2 s", "95 s", "12 min", "3.1 h"."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def one_line(text: str) -> str:
    """The text on one line, as a warning or an error has it."""
    return " ".join(_without_control_characters(text).split())


def quoted(path: object) -> str:
    """A path in a command that is printed, as a shell takes it: with quotation marks where it needs some."""
    text = f"./{path}" if str(path).startswith("-") else str(path)
    if os.name == "nt":
        return f'"{text}"' if re.search(r"[^\w\\/:.~+-]", text) else text
    return shlex.quote(text)


def _without_control_characters(text: str) -> str:
    """The text without characters that control a terminal: names and titles come from other people's files."""
    return text.translate(_CONTROL_CHARACTERS)


def _shown(text: str) -> str:
    from rich.markup import escape

    return escape(_without_control_characters(text))


def _console() -> Console:
    """Standard output as it is now; a log gets lines of one width, whatever started the command."""
    from rich.console import Console

    class PipeAwareConsole(Console):
        def on_broken_pipe(self) -> None:
            """Let the command report it; rich would end the process without a message."""
            raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))

    return PipeAwareConsole(width=None if sys.stdout.isatty() else LOG_WIDTH, highlight=False)


# --- progress ------------------------------------------------------------------------------------------------------------


@contextmanager
def progress(what: str, unit: str = "slices") -> Iterator[ProgressCallback]:
    """Show the progress of some work: a bar on a terminal; in a log a line every ten seconds and a last one.

    Args:
        what: the work, such as "training".
        unit: what is counted, in the plural.

    Yields:
        A callback `show(done, total, text="")`.
    """
    if sys.stdout.isatty():
        with _bar(what, unit) as show:
            yield show
        return
    lines = _LogProgress(what, unit)
    yield lines.show
    lines.finish()


@contextmanager
def _bar(what: str, unit: str) -> Iterator[ProgressCallback]:
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn(unit),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[text]}"),
    )
    with Progress(*columns, console=_console()) as bar:
        task = bar.add_task(_shown(what), total=None, text="")

        def show(done: int, total: int, text: str = "") -> None:
            bar.update(task, completed=done, total=total, text=_shown(text))

        yield show


class _LogProgress:
    """Progress as lines of a log."""

    def __init__(self, what: str, unit: str) -> None:
        self.what, self.unit = what, unit
        self.started = self.last = time.monotonic()
        self.done = self.total = 0
        self.stepped = self.started  # when `done` became what it is
        self.text = ""

    def show(self, done: int, total: int, text: str = "") -> None:
        """Note the progress, and print it if the last line is old enough."""
        now = time.monotonic()
        if done != self.done:
            self.stepped = now
        self.done, self.total, self.text = done, total, f", {text}" if text else ""
        if now - self.last >= SECONDS_BETWEEN_LINES and done < total:
            self.last = now
            print_line(f"{self.what}: {done} of {total} {self.unit}{self.text}{self._left(now)}")

    def _left(self, now: float) -> str:
        """What is left at the rate of the steps so far; nothing before the first, and where one takes longer than that."""
        if not self.done:
            return ""
        left = (self.stepped - self.started) / self.done * (self.total - self.done) - (now - self.stepped)
        return f", {duration(left)} left" if left > 0 else ""

    def finish(self) -> None:
        """Print the last line, with the time that all of it took."""
        if self.total:
            seconds = time.monotonic() - self.started
            print_line(f"{self.what}: {self.done} of {self.total} {self.unit}{self.text} in {duration(seconds)}")


# --- the standard streams ------------------------------------------------------------------------------------------------


def accept_any_console() -> None:
    """Make standard output and error take any text: "?" stands for what the console's encoding doesn't have.

    A closed stream is replaced by the null device: what is written to it is lost, and a warning on standard error says so.
    The null device also takes the stream's file descriptor, which the next opened file would get otherwise.
    """
    _open_standard_descriptors()
    closed = sys.stdout is None
    sys.stdout, sys.stderr = (stream or _null_stream() for stream in (sys.stdout, sys.stderr))
    for stream in (sys.stdout, sys.stderr):
        if reconfigure := getattr(stream, "reconfigure", None):
            reconfigure(errors="replace")
    if closed:
        sys.stderr.write("unetseg: warning: standard output is closed, so what is printed there is lost\n")


def silence(stream: TextIO) -> None:
    """Send what a stream still holds, and what is written to it from now on, to the null device."""
    with suppress(OSError, ValueError):
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, stream.fileno())
        os.close(null)


def _open_standard_descriptors() -> None:
    with suppress(OSError):
        while (number := os.open(os.devnull, os.O_RDWR)) <= 2:
            pass
        os.close(number)


def _null_stream() -> TextIO:
    return open(os.devnull, "w", encoding="utf-8")
