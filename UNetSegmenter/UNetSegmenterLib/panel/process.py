"""The worker seen from Slicer: a child process, requests out, answers in, and never a wait.

`engine/worker.py` describes the requests. The process starts with the first request, is started again when it is gone, and
its private folder goes with it.
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
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import qt

LAST_LINES = 60
PACKAGE_ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Failure:
    """Why a request has no result: `kind` is "input", "missing", "internal" or "crash"; `details` the last lines of output."""

    kind: str
    message: str
    details: str = ""


@dataclass
class _Pending:
    on_result: Callable[[dict[str, Any]], None]
    on_failure: Callable[[Failure], None]
    on_progress: Callable[[int, int], None] | None


def worker_program() -> str:
    """The Python that runs the worker: Slicer's own inside Slicer, this one elsewhere."""
    return shutil.which("PythonSlicer") or sys.executable


class WorkerProcess:
    """Starts, feeds and ends the worker; every answer arrives through the callbacks given with the request."""

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
        self._holds = 0
        self.last_run: Any = None

    @property
    def is_running(self) -> bool:
        return self._process is not None

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

    def hold_folder(self) -> Path:
        """The private folder, kept until `release_folder` even if the worker goes and comes in between."""
        self._holds += 1
        return self.folder

    def release_folder(self) -> None:
        self._holds -= 1
        if self._process is None:
            self._clean_up()

    def request(
        self,
        do: str,
        on_result: Callable[[dict[str, Any]], None],
        on_failure: Callable[[Failure], None],
        on_progress: Callable[[int, int], None] | None = None,
        **fields: Any,
    ) -> int:
        """Send a request and return its id; exactly one of on_result and on_failure is called later."""
        if self._is_dying and self._process is not None:
            self._gone("The network's process was ended.")  # killed, though its end is not reported yet
        if self._process is None:
            self._start()
        self._next_id += 1
        self._pending[self._next_id] = _Pending(on_result, on_failure, on_progress)
        self._send({"id": self._next_id, "do": do, **fields})
        return self._next_id

    def cancel(self, request_id: int) -> None:
        """Ask the worker to end a request within its batch; the answer comes as usual."""
        if self._process is not None and request_id in self._pending:
            self._send({"do": "cancel", "request": request_id})

    def forget(self, request_id: int) -> None:
        """Drop the callbacks of a request whose answer nobody wants any more."""
        self._pending.pop(request_id, None)

    def kill(self) -> None:
        """End the worker at once; pending requests fail with a crash."""
        if self._worker_pid is not None:  # in Slicer the started program is a launcher, the worker its child
            with contextlib.suppress(OSError):
                os.kill(self._worker_pid, getattr(signal, "SIGKILL", signal.SIGTERM))
        if self._process is not None:
            self._is_dying = True
            self._process.kill()

    def close(self) -> None:
        """End the worker and remove its folder; nobody is called back. Safe to call twice."""
        self._pending.clear()
        process, self._process = self._process, None
        if process is not None:
            self._gone_process = process
            process.closeWriteChannel()  # end of file: the worker leaves whatever it is doing
            if not process.waitForFinished(80):
                self._process = process
                self.kill()
                self._process = None
                process.waitForFinished(500)
        self._clean_up()

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

        def is_current() -> bool:
            return generation == self._generation  # nobody listens to a process that another one has replaced

        process.readyReadStandardOutput.connect(lambda: is_current() and self._on_output())
        process.readyReadStandardError.connect(lambda: is_current() and self._on_error_output())
        finished = "finished(int,QProcess::ExitStatus)"
        process.connect(finished, lambda code, status: is_current() and self._on_finished(code, status))
        process.errorOccurred.connect(lambda error: is_current() and self._on_process_error(error))
        arguments = ["-m", "UNetSegmenterLib.engine.worker", "--parent", str(os.getpid()), "--folder", str(self.folder)]
        if self._idle_minutes is not None:
            arguments += ["--idle-minutes", str(self._idle_minutes)]
        self._process = process
        process.start(self._program or worker_program(), arguments)
        self._next_id += 1
        self._pending[self._next_id] = _Pending(self._on_hello, lambda failure: None, None)
        self._send({"id": self._next_id, "do": "hello"})

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
        if kind == "progress":
            if pending.on_progress is not None:
                pending.on_progress(answer["done"], answer["total"])
            return
        del self._pending[answer["id"]]
        if kind == "result":
            pending.on_result(answer)
        else:
            details = "\n".join(filter(None, [self.last_lines, answer.get("details", "")]))
            pending.on_failure(Failure(answer["kind"], answer["message"], details))

    def _on_error_output(self) -> None:
        if self._process is None:
            return
        *lines, self._error_buffer = (self._error_buffer + self._process.readAllStandardError().data()).split(b"\n")
        self._lines.extend(line.decode("utf-8", "replace").rstrip() for line in lines)

    def _on_process_error(self, error: int) -> None:
        if self._process is not None and int(error) == 0:  # FailedToStart: no "finished" follows
            program = self._program or worker_program()
            self._gone(
                f"Python ({program}) could not be started, so the network cannot run; check the installation of Slicer."
            )

    def _on_finished(self, exit_code: int, exit_status: int) -> None:
        if self._process is None:
            return
        self._on_output()
        self._on_error_output()
        self._gone(f"The network's process ended unexpectedly (exit code {exit_code}); press Apply to start it again.")

    def _gone(self, message: str) -> None:
        if self._error_buffer:
            self._lines.append(self._error_buffer.decode("utf-8", "replace"))
        pending, self._pending = list(self._pending.values()), {}
        self._gone_process, self._process, self._worker_pid = self._process, None, None
        for one in pending:
            one.on_failure(Failure("crash", message, self.last_lines))
        if self._process is None:
            self._clean_up()

    def _clean_up(self) -> None:
        if self._holds:
            return
        folder, self._folder = self._folder, None
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)


def _environment() -> Any:
    environment = qt.QProcessEnvironment.systemEnvironment()
    before = environment.value("PYTHONPATH")
    environment.insert("PYTHONPATH", os.pathsep.join(filter(None, [str(PACKAGE_ROOT), before])))
    environment.insert("PYTHONUNBUFFERED", "1")
    environment.insert("PYTHONIOENCODING", "utf-8")
    return environment
