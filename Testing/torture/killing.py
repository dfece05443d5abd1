"""Forked processes that are ended by kill -9 at a random moment of what they do."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Callable
from typing import Any

_FORK = multiprocessing.get_context("fork")


def forked(work: Callable[[], Any]) -> multiprocessing.Process:
    """Start `work` in a process of its own group; what it prints is lost, an exception ends it with status 1."""

    def run() -> None:
        os.setpgid(0, 0)
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 1)
        os.dup2(nowhere, 2)
        with open(1, "w", closefd=False) as sys.stdout:  # pytest has replaced it
            sys.stderr = sys.stdout
            work()

    process = _FORK.Process(target=run)
    process.start()
    return process


def seconds_of(work: Callable[[], Any]) -> float:
    """How long `work` takes from the start of its process to its end; raises RuntimeError where it fails."""
    started = time.perf_counter()
    process = forked(work)
    if status := status_of(process):
        raise RuntimeError(f"an undisturbed run ended with {status}")
    return time.perf_counter() - started


def killed_after(work: Callable[[], Any], seconds: float) -> int:
    """Start `work` and kill it and all that it started after `seconds`; its exit status, which is 0 if it was done before."""
    process = forked(work)
    process.join(seconds)
    if process.exitcode is None:
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:  # it has not made its group yet
            process.kill()
    return status_of(process)


def status_of(process: multiprocessing.Process) -> int:
    """Wait for the end of a process, let go of it, and return its exit status."""
    process.join()
    status = process.exitcode
    process.close()
    return status
