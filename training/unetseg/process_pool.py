"""Tasks in several processes of one machine: each process does one task at a time, and a process that dies is replaced."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any

from .stop_signals import held_back, leave_to_the_parent


@dataclass(frozen=True)
class WorkerDied:
    """A process ended without an answer; the system ends one when memory runs out."""

    status: int

    def __str__(self) -> str:
        how = f"was ended by signal {-self.status}" if self.status < 0 else f"ended with status {self.status}"
        return f"its process {how}; if memory ran out, take fewer --workers"


def run_in_processes(
    start: Callable[[Any], Callable[[Any], Any]], setup: Any, tasks: Sequence[Any], *, workers: int, threads: int | None
) -> Iterator[tuple[int, Any]]:
    """Do tasks in new processes, which end with this generator; if this process is killed, they end after their task.

    Args:
        start: is called with `setup` in each process and returns the function that does a task; pickled.
        setup: pickled, as the tasks are.
        tasks: one call each.
        workers: number of processes.
        threads: threads of torch and SimpleITK in each process; None for work without torch, whose import takes seconds.

    Yields:
        (index of the task, what the function returned) as tasks end; `WorkerDied` where the process died.

    Raises:
        Exception: what a task raised.
    """
    waiting = list(enumerate(tasks))[::-1]
    processes: list[_WorkerProcess] = []
    try:
        while waiting or processes:
            while waiting and len(processes) < workers:
                processes.append(_WorkerProcess(start, setup, threads))
                processes[-1].give(waiting.pop())
            ready = wait([worker.pipe for worker in processes])
            for worker in [worker for worker in processes if worker.pipe in ready]:
                index, answer = worker.answer()
                if isinstance(answer, Exception):
                    raise answer
                if waiting and not isinstance(answer, WorkerDied):
                    worker.give(waiting.pop())
                else:
                    processes.remove(worker)
                    worker.end()
                yield index, answer
    finally:
        for worker in processes:
            worker.end()


class _WorkerProcess:
    """A process that does one task after another, and the pipe to it."""

    def __init__(self, start: Callable[[Any], Callable[[Any], Any]], setup: Any, threads: int | None) -> None:
        context = multiprocessing.get_context("spawn")  # a fork of a process that runs torch threads may hang
        self.pipe, theirs = context.Pipe()
        self.process: BaseProcess = context.Process(target=_serve, args=(theirs, start, setup, threads), daemon=True)
        with held_back():
            self.process.start()
        theirs.close()
        self.index = -1

    def give(self, task: tuple[int, Any]) -> None:
        """Send a task; its index comes back with the answer."""
        self.index, content = task
        with suppress(BrokenPipeError):  # it died before: `answer` says so
            self.pipe.send(content)

    def answer(self) -> tuple[int, Any]:
        """Wait for the answer to the task."""
        try:
            return self.index, self.pipe.recv()
        except (EOFError, ConnectionResetError):
            self.process.join()
            return self.index, WorkerDied(self.process.exitcode or 0)

    def end(self) -> None:
        """End the process at once."""
        self.process.kill()
        self.process.join()
        self.pipe.close()


def _serve(pipe: Connection, start: Callable[[Any], Callable[[Any], Any]], setup: Any, threads: int | None) -> None:
    """Do tasks until the other end of the pipe is closed."""
    leave_to_the_parent()
    import SimpleITK

    if threads is not None:
        import torch
        from UNetSegmenterLib.engine.model.device import keep_freed_memory

        keep_freed_memory()
        torch.set_num_threads(threads)
    SimpleITK.ProcessObject.SetGlobalDefaultNumberOfThreads(threads or 1)
    try:
        work = start(setup)
        while True:
            pipe.send(work(pipe.recv()))
    except (EOFError, BrokenPipeError):
        return
    except Exception as error:
        pipe.send(error)
