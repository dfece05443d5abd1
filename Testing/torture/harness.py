"""What every subject shares: cases that end in a right result or in a clear error, counted; anything else is a bug.

A subject is a module with `NAME`, `TRIED` (a line on what it tries), `FULL` and `SHORT` (how many cases) and `run(tally,
count)`.
"""

from __future__ import annotations

import contextlib
import os
import random
import resource
import signal
import sys
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import seed as hypothesis_seed
from UNetSegmenterLib.engine.errors import InputError

LONGEST_MESSAGE = 900
"""Characters of a sentence that a user still reads; the paths of a test folder are a third of it."""
HANGS_SECONDS = 60
MEMORY_BYTES = 2 << 30
"""What a small file may make the process ask for, beyond what it has."""


class Bug(AssertionError):
    """A case that ended neither in a right result nor in a clear error."""


@dataclass
class Tally:
    """What the cases of one subject ended in; `folder` is empty and theirs alone, a case of `most_seconds` has no end."""

    folder: Path
    seed: int = 0
    most_seconds: int = HANGS_SECONDS
    right: int = 0
    refused: int = 0
    messages: Counter[str] = field(default_factory=Counter)
    notes: list[str] = field(default_factory=list)
    bugs: list[str] = field(default_factory=list)

    @property
    def random(self) -> random.Random:
        """Numbers of this subject, the same for the same seed."""
        return random.Random(self.seed)

    @property
    def tried(self) -> int:
        """Cases so far."""
        return self.right + self.refused + len(self.bugs)

    def judge(self, attempt: Callable[[], Any], case: str) -> bool:
        """Count one case: `attempt` checks its own result; returns whether there was one. Raises Bug for anything else."""
        try:
            with no_hang(self.most_seconds):
                attempt()
        except InputError as error:
            self._refuse(str(error), case)
            return False
        except Bug as bug:
            raise Bug(f"{bug}: {case}") from bug
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt):
                raise
            where = traceback.extract_tb(error.__traceback__)[-1]
            place = f"{Path(where.filename).name}:{where.lineno}"
            raise Bug(f"{type(error).__name__} ({str(error)[:200]}) at {place}: {case}") from error
        self.right += 1
        return True

    def refuse(self, message: str, case: str) -> None:
        """Count a case that ended with `message`, which must be one sentence of its own."""
        self._refuse(message, case)

    def _refuse(self, message: str, case: str) -> None:
        for problem, found in (
            ("no message", not message.strip()),
            ("several lines", "\n" in message),
            ("no end", not message.rstrip().endswith((".", ")", "?"))),
            ("too long", len(message) > LONGEST_MESSAGE),
            ("memory asked for", "memory" in message and "fit" in message),
        ):
            if found:
                raise Bug(f"an error with {problem} ({message[:300]!r}): {case}")
        self.refused += 1
        self.messages[kind_of(message, self.folder)] += 1

    def try_one(self, attempt: Callable[[], Any], case: str) -> None:
        """`judge`, but a bug is kept and the next case follows."""
        try:
            self.judge(attempt, case)
        except Bug as bug:
            self.bugs.append(str(bug))

    def try_all(
        self, strategy: Any, count: int, attempt: Callable[[Any], Any], shown: Callable[[Any], str] = repr
    ) -> None:
        """Judge `count` cases that hypothesis makes; a bug is shrunk to the smallest case that shows it, and kept."""
        before = self.right, self.refused, self.messages.copy()

        @hypothesis_seed(self.seed)
        @settings(
            max_examples=count, database=None, deadline=None, suppress_health_check=list(HealthCheck),
            phases=(Phase.generate, Phase.shrink), print_blob=False,
        )  # fmt: skip
        @given(strategy)
        def every(case: Any) -> None:
            self.judge(lambda: attempt(case), shown(case)[:600])

        try:
            with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):
                every()
        except Bug as bug:
            self.right, self.refused, self.messages = before
            self.bugs.append(str(bug))
        except BaseExceptionGroup as group:
            self.right, self.refused, self.messages = before
            self.bugs += [str(one) for one in group.exceptions]


def kind_of(message: str, folder: Path) -> str:
    """A message without what differs from case to case, to count kinds of errors."""
    words = message.replace(str(folder), "").split()
    return " ".join(word for word in words if word.isalpha())[:60]


@contextlib.contextmanager
def no_hang(seconds: int) -> Iterator[None]:
    """Turn a case that does not end into a bug."""

    def ring(*_: Any) -> None:
        raise Bug(f"no end after {seconds} s")

    before = signal.signal(signal.SIGALRM, ring)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


@contextlib.contextmanager
def little_memory(beyond: int = MEMORY_BYTES) -> Iterator[None]:
    """Let this process have no more than `beyond` bytes of address space on top of what it has."""
    if not sys.platform.startswith("linux"):
        yield
        return
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + beyond, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def open_files() -> int:
    """Handles that this process holds, without those of libraries, which keep fonts open."""
    if not sys.platform.startswith("linux"):
        return 0
    count = 0
    for handle in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):
            count += not os.readlink(handle).startswith(sys.prefix)
    return count


def left_in(folder: Path) -> list[str]:
    """Files and folders below `folder`."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))
