"""What a person sees of a command: lines, warnings, tables, and progress as a bar on a terminal or lines in a log."""

from __future__ import annotations

import errno
import os
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from .standard_streams import plain

LOG_WIDTH = 120
SECONDS_BETWEEN_LINES = 10.0


class Show(Protocol):
    """How work says how far it is; `words` stand beside it (a loss, a case)."""

    def __call__(self, done: int, total: int, words: str = "") -> None: ...


class _Console(Console):
    def on_broken_pipe(self) -> None:
        """Let the command say so; rich would end the process without a word."""
        raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))


def _console() -> Console:
    """Standard output as it is now; a log gets lines of one width, whatever started the command."""
    return _Console(width=None if sys.stdout.isatty() else LOG_WIDTH, highlight=False)


def say(text: str = "") -> None:
    """One line on standard output, never wrapped."""
    _console().print(_shown(text), soft_wrap=True)


def _shown(text: str) -> str:
    return escape(plain(text))


def warn(text: str) -> None:
    """One line on standard error that something needs a look; the command goes on."""
    sys.stderr.write(f"unetseg: warning: {' '.join(plain(text).split())}\n")


def complain(text: str, lines: Iterable[str]) -> None:
    """On standard error what went wrong, and a line for each case of it."""
    sys.stderr.write("\n".join([f"unetseg: error: {text}", *(f"  {' '.join(line.split())}" for line in lines), ""]))


def table(headers: Sequence[str], rows: Iterable[Sequence[str]], title: str = "") -> None:
    """A table on standard output; the first column is text, the others are numbers."""
    grid = Table(
        title=_shown(title) or None, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, pad_edge=False
    )
    for number, header in enumerate(headers):
        grid.add_column(_shown(header), justify="left" if number == 0 else "right")
    for row in rows:
        grid.add_row(*map(_shown, row))
    _console().print(grid)


@contextmanager
def progress(what: str, unit: str = "slices") -> Iterator[Show]:
    """Gives `show(done, total, words="")`: a bar on a terminal, a line every ten seconds and a last one in a log."""
    if sys.stdout.isatty():
        with _bar(what, unit) as show:
            yield show
        return
    lines = _Lines(what, unit)
    yield lines.show
    lines.finish()


@contextmanager
def _bar(what: str, unit: str) -> Iterator[Show]:
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
        TextColumn("{task.fields[words]}"),
    )
    with Progress(*columns, console=_console()) as bar:
        task = bar.add_task(_shown(what), total=None, words="")

        def show(done: int, total: int, words: str = "") -> None:
            bar.update(task, completed=done, total=total, words=_shown(words))

        yield show


class _Lines:
    """Progress for a log."""

    def __init__(self, what: str, unit: str) -> None:
        self.what, self.unit = what, unit
        self.started = self.last = time.monotonic()
        self.first: tuple[float, int] | None = None  # time and count at the first call: a resumed run starts late
        self.done = self.total = 0
        self.words = ""

    def show(self, done: int, total: int, words: str = "") -> None:
        self.done, self.total, self.words = done, total, f", {words}" if words else ""
        now = time.monotonic()
        self.first = self.first or (self.started, 0 if done <= total / 10 else done)
        if now - self.last >= SECONDS_BETWEEN_LINES and done < total:
            self.last = now
            left = (now - self.started) / max(done, 1) * (total - done)
            say(f"{self.what}: {done} of {total} {self.unit}{self.words}, {duration(left)} left")

    def finish(self) -> None:
        if self.total:
            seconds = time.monotonic() - self.started
            say(f"{self.what}: {self.done} of {self.total} {self.unit}{self.words} in {duration(seconds)}")


def duration(seconds: float) -> str:
    """Seconds as a person says them: "8.2 s", "95 s", "12 min", "3.1 h"."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
