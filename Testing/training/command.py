"""The real command in a real process, and waiting for what other processes do."""

import io
import logging
import os
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

from unetseg.cli.main import WARNING_FORMAT, main
from unetseg.exit_status import BAD_INPUT


def unetseg(*arguments, **environment) -> subprocess.CompletedProcess:
    """Run `unetseg` as a shell would, on one core; output is text."""
    variables = os.environ | {"OMP_NUM_THREADS": "1", "NO_COLOR": "1"} | environment
    command = [sys.executable, "-m", "unetseg.cli", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, encoding="utf-8", env=variables, check=False, timeout=300)


def unetseg_here(*arguments) -> subprocess.CompletedProcess:
    """Run `unetseg` in this process, which is fast: for tests of many cases; output is text."""
    out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True) for _ in range(2))
    warnings = logging.StreamHandler(err)  # main() leaves logging alone where there are handlers, as pytest's
    warnings.setFormatter(logging.Formatter(WARNING_FORMAT))
    logging.getLogger().addHandler(warnings)
    try:
        with redirect_stdout(out), redirect_stderr(err):
            status = main([str(argument) for argument in arguments])
    finally:
        logging.getLogger().removeHandler(warnings)
    texts = [stream.buffer.getvalue().decode("utf-8") for stream in (out, err)]
    return subprocess.CompletedProcess(arguments, status, *texts)


def tree(folder: Path) -> set[str]:
    """Every path under a folder: what a command left behind."""
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


def refused(result: subprocess.CompletedProcess, *words: str, status: int = BAD_INPUT) -> None:
    """Assert bad input: status 2 or another, one line on stderr that has these words, no traceback."""
    assert result.returncode == status, (result.returncode, result.stdout, result.stderr)
    lines = [line for line in result.stderr.splitlines() if not line.startswith("unetseg: warning:")]
    assert len(lines) == 1, result.stderr
    assert lines[0].startswith("unetseg"), lines
    assert "Traceback" not in result.stderr
    for word in words:
        assert word in lines[0], (word, lines[0])


def wait_until(condition: Callable[[], Any], seconds: float = 120) -> Any:
    """What the condition returns as soon as that is true; fails only where it never comes to be."""
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end, "the condition did not become true"
        time.sleep(0.02)
    return found
