"""The worker between garbage, floods and half lines: it answers every whole request, in one sentence, and goes on."""

from __future__ import annotations

import json
import os
import queue
import random
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
from UNetSegmenterLib.engine.io.geometry import Geometry
from UNetSegmenterLib.engine.model.checkpoint import save_checkpoint
from UNetSegmenterLib.engine.worker import service
from UNetSegmenterLib.engine.worker.image_serialization import geometry_to_json

from ..engine.checkpoints import small_card, small_weights
from .harness import Bug, Tally, left_in

NAME = "worker messages"
TRIED = "requests with entries of any type, lines that are none, half lines, floods; in between a scan must be segmented right"
FULL, SHORT = 3_000, 60

ROOT = Path(service.__file__).resolve().parents[3]
WAIT_SECONDS = 60
DOINGS = (
    "hello", "describe", "warm_up", "segment", "compare", "check", "report", "cases", "load", "save_case", "probability",
    "describe_import", "preview_import", "import", "cancel", "other", "", "__class__",
)  # fmt: skip
KEYS = (
    "checkpoint", "device", "mirroring", "postprocessing", "name", "image", "geometry", "labels", "prediction",
    "reference", "by_hand",
    "segmentations", "intensities", "statistics", "report", "folder", "results", "into", "origin", "replace",
    "structure", "percent",
    "path", "card", "slice", "output", "request", "case", "structures",
)  # fmt: skip
JUNK: tuple[Any, ...] = (
    None, True, 0, -1, 1.5, 1e308, 10**30, "", "x", "\0", "/", "/dev/null", "/proc/nowhere/at all", [], {}, [1], [[]],
    {"a": 1}, "x" * 100_000,
    {"shape": [1, 1, 1]}, {"shape": [10**9] * 3, "spacing_mm": [1, 1, 1], "origin_lps": [0, 0, 0], "direction": [[1, 0,
    0]] * 3},
    {"path": "/dev/null", "dtype": "O"}, {"path": "/dev/zero", "dtype": "<i2"}, [None] * 3, float("nan"),
)  # fmt: skip
GARBAGE = (
    b"\n", b"   \n", b"null\n", b"[]\n", b"{}\n", b"1\n", b'"do"\n', b"\xff\xfe\x00\n", b"{\n", b'{"do": "hello"\n', b"nan\n",
    b'{"do": ["hello"]}\n', b'{"do": {}, "id": []}\n', b'{"id": 1}\n', b"[" * 100_000 + b"\n", b"x" * 1_000_000 + b"\n",
    b'{"do": "hello", "id": {"a": 1}}\n', b'{"do": "cancel"}\n', b'{"do": "cancel", "request": null}\n', b"\r\n", b"\0\n",
    b'{"do": "hello", "do": "quit2", "id": 1}\n', b"9" * 5000 + b"\n", b'{"do": 1}\n',
)  # fmt: skip


class Worker:
    """A worker and what it says, read by a thread, so that no pipe is ever full."""

    def __init__(self, folder: Path) -> None:
        command = [
            sys.executable,
            "-m",
            "UNetSegmenterLib.engine.worker",
            "--parent",
            str(os.getpid()),
            "--folder",
            str(folder),
        ]
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
        self._errors = (folder.parent / "stderr").open("wb")
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._errors, env=environment, cwd=folder
        )
        self.said: queue.Queue[bytes] = queue.Queue()
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()

    def _listen(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.said.put(line)
        self.said.put(b"")

    def write(self, content: bytes) -> None:
        """Write bytes, whole lines or not."""
        assert self.process.stdin is not None
        self.process.stdin.write(content)
        self.process.stdin.flush()

    def until(self, request_id: Any) -> list[dict[str, Any]]:
        """All answers up to the last one of a request; raises Bug where the worker ends or says what is none."""
        answers = []
        while True:
            try:
                line = self.said.get(timeout=WAIT_SECONDS)
            except queue.Empty:
                raise Bug(f"no answer within {WAIT_SECONDS} s") from None
            if not line:
                raise Bug(f"the worker ended with {self.process.wait()}")
            answer = json.loads(line)
            answers.append(answer)
            if answer.get("id") == request_id and answer["type"] != "progress":
                return answers

    def end(self) -> int:
        """Close its input, wait, and return its exit status."""
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.close()
        status = self.process.wait(WAIT_SECONDS)
        self._listener.join()
        self.process.stdout.close()
        self._errors.close()
        return status


def run(tally: Tally, count: int) -> None:
    """One worker for all cases; the end tries a half line and a flood."""
    draw, private = tally.random, tally.folder / "private"
    private.mkdir()
    request = scan_request(tally.folder)
    worker = Worker(private)
    numbers = iter(range(1, 10**9))
    try:
        expected = segmented(worker, request, next(numbers))
        for number in range(count):
            line = draw.choice(GARBAGE) if number % 3 == 0 else made_line(draw, next(numbers), request)
            tally.try_one(lambda line=line: attempt(tally, worker, line, next(numbers)), repr(line[:300]))
            if tally.bugs:
                break
            if number % (count // 4) == 0:
                tally.try_one(lambda: same(worker, request, next(numbers), expected), "a scan in between")
        tally.try_one(lambda: flood(worker, 10 * count, next(numbers)), f"{10 * count:,} requests at once")
        tally.try_one(lambda: half_lines(worker, next(numbers)), "lines in pieces")
        tally.try_one(lambda: same(worker, request, next(numbers), expected), "a scan at the end")
        worker.write(b'{"do": "hello", "id"')
    finally:
        status = worker.end()
    if status or private.exists():
        tally.bugs.append(
            f"after half a line it ended with {status}, and its folder is {'there' if private.exists() else 'gone'}"
        )
    if strange := set(left_in(tally.folder)) - {"small.pt", "image.raw", "labels.raw", "stderr"}:
        tally.bugs.append(f"left behind: {strange}")


def scan_request(folder: Path) -> dict[str, Any]:
    """A whole request to segment a scan."""
    card = small_card()
    save_checkpoint(folder / "small.pt", card, small_weights(card))
    array = np.random.default_rng(0).integers(-1000, 1000, (6, 24, 24)).astype("<i2")
    (folder / "image.raw").write_bytes(array.tobytes())
    (folder / "labels.raw").write_bytes(bytes(array.size))
    return {
        "do": "segment", "checkpoint": str(folder / "small.pt"), "device": "cpu", "name": "CT",
        "labels": str(folder / "labels.raw"),
        "image": {"path": str(folder / "image.raw"), "dtype": "<i2"},
        "geometry": geometry_to_json(Geometry(array.shape, (3.0, 2.0, 2.0))),
    }  # fmt: skip


def segmented(worker: Worker, request: dict[str, Any], number: int) -> int:
    """Checksum of the labels of the scan."""
    worker.write(json.dumps(request | {"id": number}).encode() + b"\n")
    answer = worker.until(number)[-1]
    if answer["type"] != "result" or not answer["complete"]:
        raise Bug(f"a whole request was answered by {answer}")
    return answer["labels_crc32"]


def same(worker: Worker, request: dict[str, Any], number: int, expected: int) -> None:
    """The scan is segmented as at first."""
    if segmented(worker, request, number) != expected:
        raise Bug("other labels than before")


def made_line(draw: random.Random, number: int, request: dict[str, Any]) -> bytes:
    """A request with junk in some of its entries, or a whole one with an entry changed."""
    made: dict[str, Any] = dict(request) if draw.random() < 0.3 else {"do": draw.choice(DOINGS)}
    for key in draw.sample(KEYS, draw.randrange(1, 6)):
        made[key] = draw.choice(JUNK)
    if made["do"] in ("report", "save_case", "load", "import", "preview_import"):  # what writes, writes nowhere
        made |= dict.fromkeys(("folder", "into", "output"), "/proc/nowhere/at all")
    made["id"] = number if draw.random() < 0.9 else draw.choice((None, "x", 1.5, -1, True))
    return json.dumps(made).encode() + b"\n"


def attempt(tally: Tally, worker: Worker, line: bytes, number: int) -> None:
    """Send a line, then ask for a sign of life; every answer in between must be one."""
    worker.write(line)
    worker.write(json.dumps({"do": "hello", "id": number}).encode() + b"\n")
    answers = worker.until(number)
    for answer in answers[:-1]:
        if answer["type"] == "error":
            if (
                "\n" in answer["message"].strip()
                or not answer["message"].strip()
                or answer["kind"] not in ("input", "missing", "internal")
            ):
                raise Bug(f"an error that is no sentence: {answer}")
            tally.refused += 1
            tally.messages[f"{answer['kind']} error"] += 1
            tally.right -= 1
        elif answer["type"] not in ("result", "progress"):
            raise Bug(f"an answer that is none: {answer}")


def flood(worker: Worker, requests: int, number: int) -> None:
    """Requests without waiting for answers: each is answered once, in their order."""
    ids = [f"flood {one}" for one in range(requests)]
    worker.write(
        b"".join(json.dumps({"do": "describe", "checkpoint": "/nowhere", "id": one}).encode() + b"\n" for one in ids)
    )
    worker.write(json.dumps({"do": "hello", "id": number}).encode() + b"\n")
    if [answer["id"] for answer in worker.until(number)[:-1]] != ids:
        raise Bug("a flood was not answered one by one")


def half_lines(worker: Worker, number: int) -> None:
    """A request byte by byte."""
    for byte in json.dumps({"do": "hello", "id": number}).encode() + b"\n":
        worker.write(bytes([byte]))
    worker.until(number)
