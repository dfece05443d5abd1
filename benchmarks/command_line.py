"""The command line of a benchmark: options and errors as `unetseg` has them, one sentence instead of a traceback."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from unetseg.cli.main import guarded
from unetseg.cli.parser import CommandParser
from UNetSegmenterLib.engine.errors import InputError


def parser_of(name: str, description: str | None) -> CommandParser:
    """The parser of `python -m benchmarks.NAME`."""
    return CommandParser(name, description or "", program="python -m benchmarks.")


def run(main: Callable[[], Any], name: str) -> int:
    """Run a benchmark's `main` and return its exit status: what it returned if that is one, 2 for bad input."""

    def work() -> int:
        status = main()
        return status if isinstance(status, int) else 0

    return guarded(work, f"python -m benchmarks.{name}")


def arguments_of(arguments: Any) -> list[str]:
    """Arguments as text; those of the process where none are given."""
    return [str(argument) for argument in (sys.argv[1:] if arguments is None else arguments)]


def require(*paths: Path | str | None) -> None:
    """Raise InputError for the first file or folder that is not there."""
    for path in paths:
        if path is not None and not Path(path).exists():
            raise InputError(f"{path} does not exist; check the path.")
