"""Tasks over several processes of one machine, one at a time each, reported as they end."""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any

_OUR_PARENT_ENDS_US = ("SIGINT", "SIGTERM", "SIGUSR1", "SIGUSR2")


@dataclass(frozen=True)
class WorkerDied:
    """A process ended without an answer, such as by the system when memory ran out."""

    status: int

    def __str__(self) -> str:
        how = f"was ended by signal {-self.status}" if self.status < 0 else f"ended with status {self.status}"
        return f"its process {how}; if memory ran out, take fewer --workers"


def run_in_processes(
    start: Callable[[Any], Callable[[Any], Any]], setup: Any, tasks: Sequence[Any], workers: int, threads: int
) -> Iterator[tuple[int, Any]]:
    """Yield (place of the task, what `start(setup)(task)` returned) as tasks end, from `workers` fresh processes.

    start, setup and tasks are pickled. threads: what torch and SimpleITK take in each process. A process that dies
    yields `WorkerDied` for its task and is replaced. What a task raises is raised here. However this is left, by an exception,
    Ctrl-C or the end, the processes are gone; if this process is killed, they end after the task at hand.
    """
    waiting = list(enumerate(tasks))[::-1]
    crew: list[_WorkerProcess] = []
    try:
        while waiting or crew:
            while waiting and len(crew) < workers:
                crew.append(_WorkerProcess(start, setup, threads))
                crew[-1].give(waiting.pop())
            ready = wait([worker.pipe for worker in crew])
            for worker in [worker for worker in crew if worker.pipe in ready]:
                place, answer = worker.answer()
                if isinstance(answer, Exception):
                    raise answer
                if waiting and not isinstance(answer, WorkerDied):
                    worker.give(waiting.pop())
                else:
                    crew.remove(worker)
                    worker.end()
                yield place, answer
    finally:
        for worker in crew:
            worker.end()


class _WorkerProcess:
    def __init__(self, start: Callable[[Any], Callable[[Any], Any]], setup: Any, threads: int) -> None:
        context = multiprocessing.get_context("spawn")  # a fork of a process that runs torch threads may hang
        self.pipe, theirs = context.Pipe()
        self.process: BaseProcess = context.Process(target=_serve, args=(theirs, start, setup, threads), daemon=True)
        self.process.start()
        theirs.close()
        self.place = -1

    def give(self, task: tuple[int, Any]) -> None:
        self.place, content = task
        with suppress(BrokenPipeError):  # it died before: `answer` says so
            self.pipe.send(content)

    def answer(self) -> tuple[int, Any]:
        try:
            return self.place, self.pipe.recv()
        except (EOFError, ConnectionResetError):
            self.process.join()
            return self.place, WorkerDied(self.process.exitcode or 0)

    def end(self) -> None:
        self.process.kill()
        self.process.join()
        self.pipe.close()


def _serve(pipe: Connection, start: Callable[[Any], Callable[[Any], Any]], setup: Any, threads: int) -> None:
    """Do tasks until the other end of the pipe is closed."""
    for name in _OUR_PARENT_ENDS_US:
        if number := getattr(signal, name, None):
            signal.signal(number, signal.SIG_IGN)
    import SimpleITK
    import torch
    from UNetSegmenterLib.engine.model.device import keep_freed_memory

    keep_freed_memory()
    torch.set_num_threads(threads)
    SimpleITK.ProcessObject.SetGlobalDefaultNumberOfThreads(threads)
    try:
        work = start(setup)
        while True:
            pipe.send(work(pipe.recv()))
    except (EOFError, BrokenPipeError):
        return
    except Exception as error:
        pipe.send(error)
