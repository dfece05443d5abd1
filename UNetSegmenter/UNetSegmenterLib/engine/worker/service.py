"""The child process that runs the network for Slicer, so that Slicer never does.

`python -m UNetSegmenterLib.engine.worker` reads one JSON object a line from stdin and answers with one JSON object a line
on stdout. Every request carries an `id` and a `do`; every answer repeats the `id` and has a `type`:

    {"id": 1, "do": "hello"}                                       -> result: version, python, pid, torch (is it installed?)
    {"id": 2, "do": "describe", "checkpoint": path}                -> result: card, sha256, size_bytes, devices, torch
    {"id": 3, "do": "warm_up", "checkpoint": path, "device": "auto"}  -> result: device, seconds
    {"id": 4, "do": "segment", "checkpoint": path, "device": "auto", "name": "CT",
     "image": {"path", "dtype"}, "geometry": {...}, "labels": path}
        -> progress: done, total (once a batch) ... -> result: complete, slices_done, slices, seconds, device,
           warm, confidence (mean largest probability along the outline, by structure index), scan (the identity of what
           was segmented, see image_serialization.scan_identity), labels_crc32 (of the labels file)
    {"id": 5, "do": "compare", "case": "CT", "prediction": {...}, "reference": {...}, "by_hand": {...}}
         (segmentations: see image_serialization.py; by_hand, which may be left out, as engine/labels/matching.py has it)
        -> progress: done, total (once a structure) ... -> result: rows, notes, complete
    {"id": 6, "do": "check", "segmentations": [{...}], "image": {"path", "dtype"} or null, "statistics": path or null}
        -> progress: done, total (once a segmentation) ... -> result: findings (a list for each segmentation), complete
    {"id": 7, "do": "report", "report": {...}, "folder": path}      (see result_serialization.py) -> result: path of the page
    {"id": 8, "do": "cases", "folder": path, "results": path or ""}   (a test set; see review_serialization.py)
        -> result: cases, structures, notes, checkpoint, sha256, reviews
    {"id": 9, "do": "load", "image": path, "reference": path or null, "prediction": path or null,
     "structures": [...] or null, "into": folder} -> result: scan, reference, prediction (raw files in that folder)
    {"id": 10, "do": "save_case", "folder": path, "name": "liver_01", "image": {"path", "dtype"}, "labels": {...},
     "origin": {...}, "replace": false}   (a training case; labels on the image's grid) -> result: image, labels, cases, notes
    {"id": 11, "do": "cancel", "request": 4}   the request ends within its batch or structure and answers with its result
    {"id": 12, "do": "quit"}

An answer of type "error" has `kind` ("input": what the person gave, "missing": a package, "internal": anything else),
`message`, one sentence, and `details`, a traceback where it was nobody's input. Arrays travel as raw C-ordered files in a
private folder: `image` is only read, `labels` (uint8, slices x rows x columns, made by the asking side, zero) is filled
batch by batch, so finished slices outlive even a kill.

The process ends by itself at end of file on stdin, when the process named by --parent is gone, and after --idle-minutes
without a request. Only what is meant for the other side reaches it: at start the stdout of everything else becomes stderr.
"""

from __future__ import annotations

import argparse
import faulthandler
import importlib.util
import json
import os
import queue
import shutil
import sys
import threading
import time
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from ... import __version__
from ..errors import InputError, explain
from ..io.volume import Volume
from ..model.device import available_devices, keep_freed_memory
from .image_serialization import (
    checksum,
    geometry_from_json,
    reserve,
    scan_identity,
    segmentation_from_json,
)
from .result_serialization import comparison_to_json

if TYPE_CHECKING:
    from ..model.checkpoint import Checkpoint
    from ..model.prediction import Predictor

IDLE_MINUTES = 10.0
WATCH_SECONDS = 1.0

SUBJECTS = {
    "compare": "The comparison", "check": "The check", "report": "The report", "cases": "Reading the folder",
    "segment": "The segmentation", "load": "Reading the case", "save_case": "Saving the training case",
}  # fmt: skip


class CancelledError(Exception):
    """The request was cancelled before it began."""


class Replies:
    """Writes answers, one whole line each, to the stdout this process was started with."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._lock = threading.Lock()

    def send(self, request_id: Any, type_: str, /, **fields: Any) -> None:
        line = json.dumps({"id": request_id, "type": type_, **fields}) + "\n"
        rest = line.encode("ascii")
        with self._lock:
            while rest:
                rest = rest[os.write(self._descriptor, rest) :]


def claim_stdout() -> int:
    """A private duplicate of stdout; from now on whatever prints to stdout, in Python or in C, reaches stderr."""
    sys.stdout.flush()
    private = os.dup(1)
    os.dup2(2, 1)
    return private


class Worker:
    """Answers requests one after the other; keeps the last checkpoint and the last predictor loaded."""

    def __init__(self, replies: Replies, folder: Path | None = None) -> None:
        self.replies = replies
        self.folder = folder
        self.busy_since = time.monotonic()
        self.idle = True
        self._requests: queue.Queue[dict[str, Any] | None] = queue.Queue()
        self._cancelled: set[Any] = set()
        self._checkpoint: tuple[tuple[Any, ...], Checkpoint] | None = None
        self._predictor: tuple[tuple[Any, ...], Predictor] | None = None

    def listen(self, stream: BinaryIO) -> None:
        """Read requests until the other side is gone, then end the process, whatever it is doing."""
        for line in stream:
            if line.strip():
                self._receive(line)
        self.end()

    def _receive(self, line: bytes) -> None:
        try:
            request = json.loads(line)
            hash((request["do"], request.get("id"), request.get("request")))
        except (ValueError, TypeError, KeyError, RecursionError):
            self.replies.send(None, "error", kind="internal", message=f"This line is no request: {line[:80]!r}.")
            return
        if request["do"] == "cancel":
            self._cancelled.add(request.get("request"))
            return
        self._requests.put(None if request["do"] == "quit" else request)

    def end(self) -> None:
        """Leave at once and leave nothing behind; torch's threads are not waited for."""
        if self.folder is not None:
            shutil.rmtree(self.folder, ignore_errors=True)
        os._exit(0)

    def watch(self, parent: int | None, idle_minutes: float) -> None:
        """End the process when its parent is gone or nothing was asked for long."""
        while True:
            time.sleep(WATCH_SECONDS)
            if parent is not None and not is_alive(parent):
                self.end()
            if self.idle and time.monotonic() - self.busy_since > 60 * idle_minutes:
                os._exit(0)  # the other side lives and cleans up its own folder

    def run(self) -> None:
        """Answer requests until "quit"."""
        while (request := self._requests.get()) is not None:
            self.idle = False
            self._answer(request)
            self._cancelled.discard(request.get("id"))
            self.busy_since, self.idle = time.monotonic(), True

    def _answer(self, request: dict[str, Any]) -> None:
        answers = {
            "hello": self.hello, "describe": self.describe, "warm_up": self.warm_up, "segment": self.segment,
            "compare": self.compare, "check": self.check, "report": self.report, "cases": self.cases, "load": self.load,
            "save_case": self.save_case,
        }  # fmt: skip
        try:
            if request["do"] not in answers:
                raise InputError(f'"{request["do"]}" is no request; {", ".join(answers)}, cancel and quit are known.')
            self.replies.send(request.get("id"), "result", **answers[request["do"]](request))
        except CancelledError:
            self.replies.send(request.get("id"), "result", complete=False, slices_done=0)
        except Exception as error:
            kind, message = explain(error, SUBJECTS.get(request["do"], "The network"))
            details = "" if kind == "input" else traceback.format_exc()
            self.replies.send(request.get("id"), "error", kind=kind, message=message, details=details)

    def hello(self, request: dict[str, Any]) -> dict[str, Any]:
        """What answers here; does not import torch."""
        return {
            "version": __version__,
            "python": sys.version.split()[0],
            "pid": os.getpid(),
            "torch": importlib.util.find_spec("torch") is not None,
        }

    def describe(self, request: dict[str, Any]) -> dict[str, Any]:
        """The card of a checkpoint after all checks, and on which devices it can run."""
        checkpoint = self._load(request["checkpoint"])
        import torch

        return {
            "card": json.loads(checkpoint.card.to_json()),
            "sha256": checkpoint.sha256,
            "size_bytes": checkpoint.path.stat().st_size,
            "devices": available_devices(),
            "torch": torch.__version__,
        }

    def warm_up(self, request: dict[str, Any]) -> dict[str, Any]:
        """Make a checkpoint ready on a device, so that the run that follows starts at once."""
        started = time.perf_counter()
        predictor, _ = self._predictor_for(request)
        return {"device": predictor.device_name, "seconds": time.perf_counter() - started}

    def segment(self, request: dict[str, Any]) -> dict[str, Any]:
        """Fill the labels file; cancelled within one batch."""
        request_id = request.get("id")
        if request_id in self._cancelled:
            raise CancelledError
        predictor, warm = self._predictor_for(request)
        geometry = geometry_from_json(request["geometry"])
        image = np.memmap(request["image"]["path"], dtype=request["image"]["dtype"], mode="r", shape=geometry.shape)
        reserve(Path(request["labels"]))
        labels = np.memmap(request["labels"], dtype=np.uint8, mode="r+", shape=geometry.shape)
        prediction = predictor.predict(
            Volume(image, geometry, request.get("name", "")),
            progress=lambda done, total: self.replies.send(request_id, "progress", done=done, total=total),
            cancelled=lambda: request_id in self._cancelled,
            labels=labels,
        )
        labels.flush()
        return {
            "complete": prediction.complete,
            "slices_done": prediction.slices_done,
            "slices": prediction.slices,
            "seconds": prediction.seconds,
            "device": prediction.device,
            "confidence": {str(index): value for index, value in prediction.segmentation.confidence.items()},
            "warm": warm,
            "scan": scan_identity(geometry, image.dtype, checksum(image)),
            "labels_crc32": checksum(labels),
        }

    def compare(self, request: dict[str, Any]) -> dict[str, Any]:
        """All structures of two segmentations; cancelled within one structure."""
        from ..evaluation.comparison import compare

        request_id = request.get("id")
        comparison = compare(
            segmentation_from_json(request["prediction"]),
            segmentation_from_json(request["reference"]),
            case=request.get("case", ""),
            progress=lambda done, total: self.replies.send(request_id, "progress", done=done, total=total),
            cancelled=lambda: request_id in self._cancelled,
            by_hand=request.get("by_hand"),
        )
        return comparison_to_json(comparison)

    def check(self, request: dict[str, Any]) -> dict[str, Any]:
        """Plausibility findings of each segmentation; cancelled between two."""
        from ..plausibility import check

        request_id = request.get("id")
        segmentations = [segmentation_from_json(plain) for plain in request["segmentations"]]
        image, statistics = request.get("image"), request.get("statistics")
        learnt = json.loads(Path(statistics).read_text(encoding="utf-8")) if statistics else None
        findings = []
        for segmentation in segmentations:
            if request_id in self._cancelled:
                break
            volume = None
            if image is not None:
                shape = segmentation.geometry.shape
                array = np.memmap(image["path"], dtype=image["dtype"], mode="r", shape=shape)
                volume = Volume(array, segmentation.geometry)
            findings.append([finding.to_json() for finding in check(segmentation, volume, learnt)])
            self.replies.send(request_id, "progress", done=len(findings), total=len(segmentations))
        return {"findings": findings, "complete": len(findings) == len(segmentations)}

    def report(self, request: dict[str, Any]) -> dict[str, Any]:
        """Page and tables of one case, in a folder that a person chose."""
        from ..report.report_folder import write_case_report
        from .result_serialization import report_from_json

        cancelled = lambda: request.get("id") in self._cancelled  # noqa: E731
        path = (
            None
            if cancelled()
            else write_case_report(report_from_json(request["report"]), request["folder"], cancelled)
        )
        if path is None:
            raise CancelledError
        return {"path": str(path)}

    def cases(self, request: dict[str, Any]) -> dict[str, Any]:
        """The cases of a test set and what was said of them; no image is read."""
        from .review_serialization import cases_to_json

        return cases_to_json(request["folder"], request["results"])

    def load(self, request: dict[str, Any]) -> dict[str, Any]:
        """Scan, reference and prediction of one case as raw files."""
        from .review_serialization import case_to_files

        if request.get("id") in self._cancelled:
            raise CancelledError
        return case_to_files(request)

    def save_case(self, request: dict[str, Any]) -> dict[str, Any]:
        """A scan and its labels as files of a data set folder."""
        from ..labels.training_case import write_training_case

        if request.get("id") in self._cancelled:
            raise CancelledError
        segmentation, image = segmentation_from_json(request["labels"]), request["image"]
        array = np.memmap(image["path"], dtype=image["dtype"], mode="r", shape=segmentation.geometry.shape)
        volume = Volume(array, segmentation.geometry, request["name"])
        origin, replace = request["origin"], request["replace"]
        saved = write_training_case(request["folder"], request["name"], volume, segmentation, origin, replace)
        paths = {"image": str(saved.image), "labels": str(saved.labels)}
        return {**paths, "cases": saved.cases, "notes": list(saved.notes), "complete": True}

    def _load(self, path: str) -> Checkpoint:
        from ..model.checkpoint import load_checkpoint

        key = file_key(path)
        if self._checkpoint is None or self._checkpoint[0] != key:
            self._predictor = None
            self._checkpoint = (key, load_checkpoint(path))
        return self._checkpoint[1]

    def _predictor_for(self, request: dict[str, Any]) -> tuple[Predictor, bool]:
        from ..model.prediction import Predictor

        checkpoint = self._load(request["checkpoint"])
        key = (*file_key(request["checkpoint"]), request.get("device", "auto"))
        warm = self._predictor is not None and self._predictor[0] == key
        if not warm:
            self._predictor = (key, Predictor(checkpoint, device=request.get("device", "auto")))
        assert self._predictor is not None
        return self._predictor[1], warm


def file_key(path: str) -> tuple[Any, ...]:
    """What tells whether a checkpoint file is still the one that was loaded."""
    try:
        status = Path(path).stat()
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise InputError(
            f"{path} cannot be read ({reason.lower()}); choose a checkpoint file that is there."
        ) from error
    return (path, status.st_mtime_ns, status.st_size)


def is_alive(process_id: int) -> bool:
    """Whether a process exists. On Windows True: there, the end of the parent closes stdin without fail."""
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
    """Answer requests until there is nobody to answer."""
    parser = argparse.ArgumentParser(prog="UNetSegmenterLib.engine.worker", description=__doc__.splitlines()[0])
    parser.add_argument("--parent", type=int, help="process id whose end is also the end of this process")
    parser.add_argument("--folder", type=Path, help="private folder, removed when the other side is gone")
    parser.add_argument("--idle-minutes", type=float, default=IDLE_MINUTES)
    options = parser.parse_args(arguments)
    keep_freed_memory()
    faulthandler.enable()  # a fault in C code leaves its last lines too
    worker = Worker(Replies(claim_stdout()), options.folder)
    threading.Thread(target=worker.listen, args=(sys.stdin.buffer,), daemon=True).start()
    threading.Thread(target=worker.watch, args=(options.parent, options.idle_minutes), daemon=True).start()
    try:
        worker.run()
    except BaseException:
        traceback.print_exc()
        os._exit(1)
    os._exit(0)
