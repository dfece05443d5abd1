"""The worker seen from Slicer: a child process, requests out, answers in, and never a wait.

`engine/worker/service.py` describes the requests. The process starts with the first request, is started again when it is gone,
and its private folder goes with it.
"""

from __future__ import annotations

import collections
import contextlib
import json
import logging
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import qt

from .failure import JobFailure, call_safely, failure_of
from .worker_queue import WorkerQueue

LAST_LINES = 60
REMOVAL_MS, REMOVALS = 1000, 20  # pause between two removals of a folder, and how many there are
PACKAGE_ROOT = Path(__file__).resolve().parents[3]
CLOSED = "The network's process was closed before it had answered."


@dataclass
class _Pending:
    message: dict[str, Any]
    on_result: Callable[[dict[str, Any]], None]
    on_failure: Callable[[JobFailure], None]
    on_progress: Callable[[int, int], None] | None
    is_forgotten: bool = False


def worker_program() -> str:
    """The Python that runs the worker: Slicer's own inside Slicer, this one elsewhere."""
    return shutil.which("PythonSlicer") or sys.executable


class WorkerProcess:
    """Starts, feeds and ends the worker; every answer arrives through the callbacks given with the request.

    The worker answers one request after the other. If it ends unexpectedly, the request that it was at fails; those that waited
    are sent to the next one. `queue` is the queue of those who segment.
    """

    def __init__(self, program: str | None = None, idle_minutes: float | None = None) -> None:
        self._program = program
        self._idle_minutes = idle_minutes
        self._process: Any = None
        self._gone_process: Any = None  # kept: a QProcess must not be deleted while it emits a signal
        self._pending: dict[int, _Pending] = {}
        self._next_id = 0
        self._buffer = b""
        self._error_buffer = b""
        self._lines: collections.deque[str] = collections.deque(maxlen=LAST_LINES)
        self._worker_pid: int | None = None
        self._folder: Path | None = None
        self._is_dying = False
        self._generation = 0
        self._hello = 0
        self._job_folders: set[Path] = set()
        self._left: list[Path] = []  # folders that could not be removed yet
        self.queue = WorkerQueue()

    @property
    def is_running(self) -> bool:
        """Whether the worker has been started and has not ended."""
        return self._process is not None

    @property
    def pid(self) -> int | None:
        """The worker's own process id, once it has answered for the first time."""
        return self._worker_pid

    @property
    def requests(self) -> tuple[str, ...]:
        """What the worker has been asked and has not answered yet, in this order."""
        return tuple(one.message["do"] for number, one in self._pending.items() if number != self._hello)

    @property
    def last_lines(self) -> str:
        """The last lines that the worker wrote for people to read."""
        return "\n".join(self._lines)

    @property
    def folder(self) -> Path:
        """Private folder for arrays, made when first needed."""
        if self._folder is None:
            self._folder = Path(tempfile.mkdtemp(prefix="unetsegmenter-"))
        return self._folder

    @contextlib.contextmanager
    def job_folder(self, name: str) -> Iterator[Path]:
        """A new folder of one job's own, there until the job ends even if the worker goes and comes in between."""
        folder = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=self.folder))
        self._job_folders.add(folder)
        try:
            yield folder
        finally:
            self._job_folders.discard(folder)
            shutil.rmtree(folder, ignore_errors=True)
            if self._process is None:
                self._clean_up()

    def request(
        self,
        do: str,
        on_result: Callable[[dict[str, Any]], None],
        on_failure: Callable[[JobFailure], None],
        on_progress: Callable[[int, int], None] | None = None,
        **fields: Any,
    ) -> int:
        """Send a request and return its id; exactly one of on_result and on_failure is called later."""
        if self._is_dying and self._process is not None:
            self._gone("The network's process was ended.")  # killed, though its end is not reported yet
        if self._process is None:
            self._start()
        self._next_id += 1
        message = {"id": self._next_id, "do": do, **fields}
        self._pending[self._next_id] = _Pending(message, on_result, on_failure, on_progress)
        self._send(message)
        return self._next_id

    def cancel(self, request_id: int) -> None:
        """Ask the worker to end a request within its batch; the answer comes as usual."""
        if self._process is not None and request_id in self._pending:
            self._send({"do": "cancel", "request": request_id})

    def forget(self, request_id: int) -> None:
        """Drop the callbacks of a request whose answer is not needed any more; the worker is at it until it has answered."""
        pending = self._pending.get(request_id)
        if pending is not None:
            self._pending[request_id] = _Pending(pending.message, _ignore, _ignore, None, is_forgotten=True)

    def abort(self, request_id: int) -> None:
        """End a request at once, with a failure: the worker is killed if it is at this one, the others go on with the next."""
        if request_id == self._present():
            self._drop_forgotten()
            self.kill()
        elif (pending := self._pending.get(request_id)) is not None:
            self.forget(request_id)
            call_safely(
                pending.on_failure, JobFailure("crash", "The request was ended before the worker had begun with it.")
            )

    def _present(self) -> int | None:
        """The request whose answer comes next: the worker answers them in their order, those that are forgotten unheard."""
        wanted = (number for number, one in self._pending.items() if number != self._hello and not one.is_forgotten)
        return next(wanted, None)

    def _drop_forgotten(self) -> None:
        """Let go of what no worker has to answer any more: the one that was asked has ended, or is about to."""
        self._pending = {number: one for number, one in self._pending.items() if not one.is_forgotten}

    def kill(self) -> None:
        """End the worker at once; the request that it is at fails with a crash."""
        if self._worker_pid is not None:  # in Slicer the started program is a launcher, the worker its child
            with contextlib.suppress(OSError):
                os.kill(self._worker_pid, getattr(signal, "SIGKILL", signal.SIGTERM))
        if self._process is not None:
            self._is_dying = True
            self._process.kill()

    def close_if_idle(self) -> None:
        """End the worker if it is at no scan; Windows replaces no library that a process has loaded."""
        if not self.queue.names:
            self.close()

    def close(self) -> None:
        """End the worker and remove its folder; requests that it has not answered fail. Safe to call twice."""
        pending, self._pending = list(self._pending.values()), {}
        process, self._process = self._process, None
        if process is not None:
            self._gone_process = process
            process.closeWriteChannel()  # end of file: the worker leaves whatever it is doing
            if not process.waitForFinished(80):
                self._process = process
                self.kill()
                self._process = None
                process.waitForFinished(500)
        self._worker_pid = None
        self._clean_up()
        self.queue.close()
        for one in pending:
            call_safely(one.on_failure, JobFailure("closed", CLOSED))

    def _start(self) -> None:
        self._buffer = self._error_buffer = b""
        self._lines.clear()
        self._worker_pid = None
        self._is_dying = False
        process = qt.QProcess()
        process.setProcessChannelMode(qt.QProcess.SeparateChannels)
        process.setProcessEnvironment(_environment())
        process.setWorkingDirectory(str(PACKAGE_ROOT))
        self._generation = generation = self._generation + 1

        def call(listener: Callable[..., None], *arguments: Any) -> None:
            """Call a listener, unless another process has replaced this one."""
            if generation == self._generation:
                listener(*arguments)

        process.readyReadStandardOutput.connect(lambda: call(self._on_output))
        process.readyReadStandardError.connect(lambda: call(self._on_error_output))
        finished = "finished(int,QProcess::ExitStatus)"
        process.connect(finished, lambda code, status: call(self._on_finished, code, status))
        process.errorOccurred.connect(lambda error: call(self._on_process_error, error))
        arguments = ["-m", "UNetSegmenterLib.engine.worker", "--parent", str(os.getpid()), "--folder", str(self.folder)]
        if self._idle_minutes is not None:
            arguments += ["--idle-minutes", str(self._idle_minutes)]
        self._process = process
        process.start(self._program or worker_program(), arguments)
        waiting = list(self._pending.values())  # those that the worker before did not come to
        self._next_id += 1
        hello = {"id": self._next_id, "do": "hello"}
        self._hello, self._pending[self._next_id] = self._next_id, _Pending(hello, self._on_hello, _ignore, None)
        for message in (hello, *(pending.message for pending in waiting)):
            self._send(message)

    def _on_hello(self, answer: dict[str, Any]) -> None:
        self._worker_pid = answer["pid"]
        logging.info("UNetSegmenter worker %s started with Python %s", answer["pid"], answer["python"])

    def _send(self, message: dict[str, Any]) -> None:
        self._process.write((json.dumps(message) + "\n").encode("ascii"))

    def _on_output(self) -> None:
        if self._process is None:
            return
        *lines, self._buffer = (self._buffer + self._process.readAllStandardOutput().data()).split(b"\n")
        for line in lines:
            if line.strip():
                self._on_line(line)

    def _on_line(self, line: bytes) -> None:
        try:
            answer = json.loads(line)
            pending = self._pending.get(answer["id"])
            kind = answer["type"]
        except (ValueError, TypeError, KeyError):
            self._lines.append(line.decode("utf-8", "replace"))
            return
        if pending is None:
            return
        try:
            self._hand_on(kind, answer, pending)
        except Exception as error:  # of the caller: no other answer may be lost with it
            self.cancel(answer["id"])
            self.forget(answer["id"])
            call_safely(pending.on_failure, failure_of(error, "Showing the answer"))

    def _hand_on(self, kind: str, answer: dict[str, Any], pending: _Pending) -> None:
        if kind == "progress":
            if pending.on_progress is not None:
                pending.on_progress(answer["done"], answer["total"])
            return
        del self._pending[answer["id"]]
        if kind == "result":
            pending.on_result(answer)
        else:
            details = "\n".join(filter(None, [self.last_lines, answer.get("details", "")]))
            call_safely(pending.on_failure, JobFailure(answer["kind"], answer["message"], details))

    def _on_error_output(self) -> None:
        if self._process is None:
            return
        *lines, self._error_buffer = (self._error_buffer + self._process.readAllStandardError().data()).split(b"\n")
        self._lines.extend(line.decode("utf-8", "replace").rstrip() for line in lines)

    def _on_process_error(self, error: int) -> None:
        if self._process is not None and int(error) == 0:  # FailedToStart: no "finished" follows
            program = self._program or worker_program()
            self._gone(
                f"Python ({program}) could not be started, so the network cannot run; check the installation of Slicer.",
                for_all=True,
            )

    def _on_finished(self, exit_code: int, exit_status: int) -> None:
        if self._process is None:
            return
        self._on_output()
        self._on_error_output()
        self._gone(f"The network's process ended unexpectedly (exit code {exit_code}); press Apply to start it again.")

    def _gone(self, message: str, for_all: bool = False) -> None:
        """The process has ended: the request that it was at fails, or all do; the next process takes over the others."""
        if self._error_buffer:
            self._lines.append(self._error_buffer.decode("utf-8", "replace"))
        for_all = for_all or (self._worker_pid is None and not self._is_dying)  # it did not even say hello
        self._pending.pop(self._hello, None)
        failed = list(self._pending)[: None if for_all else 1]
        lost = [self._pending.pop(number) for number in failed]
        self._drop_forgotten()
        self._gone_process, self._process, self._worker_pid = self._process, None, None
        for one in lost:
            call_safely(one.on_failure, JobFailure("crash", message, self.last_lines))
        if self._process is None and self._pending:
            self._start()
        if self._process is None:
            self._clean_up()

    def _clean_up(self) -> None:
        if self._job_folders:
            return
        folder, self._folder = self._folder, None
        if folder is not None:
            self._left.append(folder)
        self._remove_left(REMOVALS)

    def _remove_left(self, removals: int) -> None:
        """Remove folders; Windows keeps files that a process maps, even for a moment after that process was killed."""
        for folder in self._left:
            shutil.rmtree(folder, ignore_errors=True)
        self._left = [folder for folder in self._left if folder.exists()]
        if self._left and removals > 1:
            qt.QTimer.singleShot(REMOVAL_MS, lambda: self._remove_left(removals - 1))


def _ignore(answer: Any) -> None:
    """A hello, and what is forgotten, have no listener."""


def _environment() -> Any:
    environment = qt.QProcessEnvironment.systemEnvironment()
    before = environment.value("PYTHONPATH")
    environment.insert("PYTHONPATH", os.pathsep.join(filter(None, [str(PACKAGE_ROOT), before])))
    environment.insert("PYTHONUNBUFFERED", "1")
    environment.insert("PYTHONIOENCODING", "utf-8")
    return environment
