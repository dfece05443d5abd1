"""The worker process: reads requests from stdin, answers them in order on stdout, and ends by itself.

`python -m UNetSegmenterLib.engine.worker` starts it; `service.py` describes the requests. It ends when stdin ends, when the
process named by --parent has gone, and after --idle-minutes without a request. At start, stdout is reserved for the answers:
whatever else the process prints goes to stderr.
"""

from __future__ import annotations

import argparse
import faulthandler
import json
import os
import queue
import shutil
import sys
import threading
import time
import traceback
from pathlib import Path
from typing import Any, BinaryIO

from ..model.device import keep_freed_memory
from .service import Service

IDLE_MINUTES = 10.0
WATCH_SECONDS = 1.0


class AnswerWriter:
    """Writes answers, one whole line each, to a file descriptor; several threads may use it."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._lock = threading.Lock()

    def send(self, request_id: Any, type_: str, /, **fields: Any) -> None:
        """Write one answer."""
        line = json.dumps({"id": request_id, "type": type_, **fields}) + "\n"
        rest = line.encode("ascii")
        with self._lock:
            while rest:
                rest = rest[os.write(self._descriptor, rest) :]


class WorkerLoop:
    """Hands requests from a stream to the service, one after the other, and ends the process when it is not needed.

    `folder` is the private folder of this process; it is removed when the other process has gone.
    """

    def __init__(self, answers: AnswerWriter, folder: Path | None = None) -> None:
        self._answers = answers
        self._folder = folder
        self._service = Service(answers.send)
        self._requests: queue.Queue[dict[str, Any] | None] = queue.Queue()
        self._is_idle, self._idle_since = True, time.monotonic()

    def listen(self, stream: BinaryIO) -> None:
        """Read requests until the stream ends, then end the process, whatever it is doing."""
        for line in stream:
            if line.strip():
                self._receive(line)
        self._end()

    def _receive(self, line: bytes) -> None:
        try:
            request = json.loads(line)
            hash((request["do"], request.get("id"), request.get("request")))
        except (ValueError, TypeError, KeyError, RecursionError):
            self._answers.send(None, "error", kind="internal", message=f"This line is no request: {line[:80]!r}.")
            return
        if request["do"] == "cancel":
            self._service.cancel(request.get("request"))
            return
        self._requests.put(None if request["do"] == "quit" else request)

    def _end(self) -> None:
        """End the process at once and remove its folder; torch's threads are not waited for."""
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
        os._exit(0)

    def watch(self, parent: int | None, idle_minutes: float) -> None:
        """End the process when its parent has gone or there was no request for `idle_minutes`."""
        while True:
            time.sleep(WATCH_SECONDS)
            if parent is not None and not is_alive(parent):
                self._end()
            if self._is_idle and time.monotonic() - self._idle_since > 60 * idle_minutes:
                os._exit(0)  # the parent lives and cleans up its own folder

    def run(self) -> None:
        """Answer requests until "quit"."""
        while (request := self._requests.get()) is not None:
            self._is_idle = False
            self._service.answer(request)
            self._idle_since, self._is_idle = time.monotonic(), True


def claim_stdout() -> int:
    """A private duplicate of stdout; from now on whatever prints to stdout, in Python or in C, reaches stderr."""
    sys.stdout.flush()
    private = os.dup(1)
    os.dup2(2, 1)
    return private


def is_alive(process_id: int) -> bool:
    """Whether a process exists. Always True on Windows, where the end of the parent reliably closes stdin."""
    if os.name == "nt":
        return True
    try:
        os.kill(process_id, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def main(arguments: list[str] | None = None) -> None:
    """Answer requests until one of the reasons to end (see above) comes up."""
    parser = argparse.ArgumentParser(prog="UNetSegmenterLib.engine.worker", description=__doc__.splitlines()[0])
    parser.add_argument("--parent", type=int, help="process id; this process ends when that one ends")
    parser.add_argument("--folder", type=Path, help="private folder, removed when the parent has gone")
    parser.add_argument("--idle-minutes", type=float, default=IDLE_MINUTES)
    options = parser.parse_args(arguments)
    keep_freed_memory()
    faulthandler.enable()  # so that a fault in C code leaves its last lines too
    worker = WorkerLoop(AnswerWriter(claim_stdout()), options.folder)
    threading.Thread(target=worker.listen, args=(sys.stdin.buffer,), daemon=True).start()
    threading.Thread(target=worker.watch, args=(options.parent, options.idle_minutes), daemon=True).start()
    try:
        worker.run()
    except BaseException:
        traceback.print_exc()
        os._exit(1)
    os._exit(0)


if __name__ == "__main__":
    main()
