"""One run: the scan goes to the worker in small pieces, progress comes back, labels come home, or a reason why not."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ...engine.io.geometry import Geometry
from ...engine.stepwise import Steps
from ...engine.worker.image_serialization import array_steps, checksum, geometry_to_json, scan_identity
from .failure import JobFailure
from .steps import Ticker
from .worker_process import WorkerProcess
from .worker_task import WorkerTask

CANCEL_SECONDS = 0.5  # a worker that has not obeyed by then is killed; what it finished lies in the labels file
OF_ANOTHER_SCAN = (
    "The network's answer is of another scan than the one it was given, so it is not shown; press Apply to segment it "
    "again."
)
WITHOUT_LABELS = (
    "The network ended, but its labels are missing or damaged, so there is no result; press Apply to segment it again."
)


@dataclass(frozen=True)
class SegmentationProgress:
    """Slices done of `total` after `seconds` of prediction."""

    done: int
    total: int
    seconds: float

    @property
    def slices_per_second(self) -> float:
        return self.done / self.seconds if self.seconds > 0 else 0.0

    @property
    def seconds_left(self) -> float | None:
        rate = self.slices_per_second
        return (self.total - self.done) / rate if rate > 0 else None

    def text(self) -> str:
        """The line under the progress bar: slices, rate and time left."""
        parts = [f"{self.done} of {self.total} slices"]
        if self.seconds_left is not None:
            rate = self.slices_per_second
            parts.append(f"{rate:.1f} slices/s" if rate >= 1 else f"{1 / rate:.1f} s per slice")
            if self.done < self.total:
                parts.append(f"{duration(self.seconds_left)} left")
        return " · ".join(parts)


def duration(seconds: float) -> str:
    """Seconds in words as short as a progress line wants them."""
    whole = round(seconds)
    return (
        f"{whole} s" if whole < 90 else f"{whole // 60} min {whole % 60} s" if whole < 3600 else f"{whole / 3600:.1f} h"
    )


@dataclass(frozen=True)
class SegmentationOutcome:
    """How a run ended: `labels` uint8 (slices, rows, columns) and how many slices of them are real, or `failure`.

    A result that has been shown holds no labels any more: they are in its node.
    """

    labels: np.ndarray | None
    slices_done: int
    slices: int
    seconds: float = 0.0
    device: str = ""
    cancelled: bool = False
    confidence: dict[int, float] = field(default_factory=dict)  # along the outline, by structure index
    failure: JobFailure | None = None

    @property
    def complete(self) -> bool:
        return self.failure is None and 0 < self.slices == self.slices_done


@dataclass
class RunCallbacks:
    """Who wants to know: all are called from the event loop."""

    on_progress: Callable[[SegmentationProgress], None] = field(default=lambda progress: None)
    on_end: Callable[[SegmentationOutcome], None] = field(default=lambda outcome: None)


class SegmentationRun:
    """Segments one array with one checkpoint in the worker, in a folder of its own.

    array: (slices, rows, columns) HU, read piece by piece during the first moments of the run and not needed after;
    geometry: its place; checkpoint: path of the file. `on_end` is called once with an outcome, whatever happens, unless the run
    is abandoned; nothing is held after it.
    """

    def __init__(
        self,
        worker: WorkerProcess,
        array: np.ndarray,
        geometry: Geometry,
        checkpoint: str,
        device: str = "auto",
        name: str = "",
        callbacks: RunCallbacks | None = None,
    ) -> None:
        self._worker, self._array, self._geometry = worker, array, geometry
        self._fields = {"checkpoint": checkpoint, "device": device, "name": name}
        self._callbacks = callbacks or RunCallbacks()
        self._labels: Path | None = None
        self._scan = ""
        self._cancelled = self._answered = self._ended = False
        self._done, self._total = 0, 0
        self._first_progress: tuple[float, int] | None = None
        self._deadline: Ticker | None = None
        self._task = WorkerTask(worker, "segment", self._prepare, self._on_result, self._on_failure, self._on_progress)

    def start(self) -> None:
        """Begin; returns at once."""
        self._task.start()

    def cancel(self) -> None:
        """End within a second; `on_end` follows with what is finished."""
        if self._ended or self._cancelled:
            return
        self._cancelled = True
        if self._task.request is None:
            self._task.stop()
            self._end(SegmentationOutcome(None, 0, 0, cancelled=True))
            return
        self._worker.cancel(self._task.request)
        self._deadline = Ticker(self._on_deadline, int(1000 * CANCEL_SECONDS), once=True)
        self._deadline.start()

    def abandon(self) -> None:
        """End at once and tell nobody: the scene is gone."""
        self._callbacks = RunCallbacks()
        request = self._task.request
        if not self._ended and request is not None:
            self._worker.abort(request)
        self._task.stop()
        self._end(SegmentationOutcome(None, 0, 0, cancelled=True))

    def _prepare(self, folder: Path) -> Steps:
        self._labels = folder / "labels.raw"
        with self._labels.open("wb") as file:
            file.truncate(int(np.prod(self._geometry.shape)))
        array, self._array = self._array, None
        image = yield from array_steps(array, folder / "image.raw", stored_dtype(array))
        self._scan = scan_identity(self._geometry, image["dtype"], image["crc32"])
        geometry = geometry_to_json(self._geometry)
        return {**self._fields, "image": image, "geometry": geometry, "labels": str(self._labels)}

    def _on_progress(self, done: int, total: int) -> None:
        now = time.monotonic()
        if self._first_progress is None:
            self._first_progress = (now, done)
        self._done, self._total = done, total
        since, already = self._first_progress
        seconds = (now - since) * done / (done - already) if done > already else 0.0
        self._callbacks.on_progress(SegmentationProgress(done, total, seconds))

    def _on_result(self, answer: dict[str, Any]) -> None:
        self._answered = True
        done, slices = answer["slices_done"], answer.get("slices", self._total)
        if done == 0 and not answer["complete"]:
            self._end(SegmentationOutcome(None, 0, slices, cancelled=True))
            return
        labels = self._read_labels()
        failure = self._refusal(answer, labels)
        if failure is not None:
            self._end(SegmentationOutcome(None, 0, slices, failure=failure))
            return
        self._end(
            SegmentationOutcome(
                labels,
                done,
                slices,
                answer["seconds"],
                answer["device"],
                cancelled=self._cancelled and not answer["complete"],
                confidence={int(index): value for index, value in answer["confidence"].items()},
            )
        )

    def _refusal(self, answer: dict[str, Any], labels: np.ndarray | None) -> JobFailure | None:
        """Why an answer is not that of this scan."""
        if answer.get("scan") != self._scan:
            return JobFailure("internal", OF_ANOTHER_SCAN)
        if labels is None or checksum(labels) != answer.get("labels_crc32"):
            return JobFailure("internal", WITHOUT_LABELS)
        return None

    def _on_failure(self, failure: JobFailure) -> None:
        kept = self._done > 0 and not self._answered
        labels = self._read_labels() if kept else None
        found: JobFailure | None = failure
        if self._cancelled and failure.kind == "crash":  # killed because it was cancelled: that is no failure
            found = JobFailure("internal", WITHOUT_LABELS) if kept and labels is None else None
        done = self._done if labels is not None else 0
        self._end(SegmentationOutcome(labels, done, self._total, cancelled=self._cancelled, failure=found))

    def _on_deadline(self) -> None:
        if not self._ended and self._task.request is not None:
            self._worker.abort(self._task.request)

    def _read_labels(self) -> np.ndarray | None:
        try:
            return np.fromfile(self._labels, dtype=np.uint8).reshape(self._geometry.shape)
        except (OSError, ValueError, MemoryError):
            return None

    def _end(self, outcome: SegmentationOutcome) -> None:
        if self._ended:
            return
        self._ended = True
        if self._deadline is not None:
            self._deadline.end()
        self._array = None
        callbacks, self._callbacks = self._callbacks, RunCallbacks()
        callbacks.on_end(outcome)


def stored_dtype(array: np.ndarray) -> np.dtype:
    """The type in which a scan is handed over: int16 where every value fits by its type or range, else float32."""
    if array.dtype.kind in "iu":
        if array.dtype.itemsize == 1 or array.dtype == np.int16:
            return np.dtype("<i2")
        if array.size and array.min() >= -32768 and array.max() <= 32767:
            return np.dtype("<i2")
    return np.dtype("<f4")
