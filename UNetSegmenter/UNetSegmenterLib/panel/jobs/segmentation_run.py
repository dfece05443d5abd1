"""One array through the worker: the scan is handed over in blocks, progress and labels come back, or a reason why not."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ...engine.io.geometry import Geometry
from ...engine.io.slicing_axis import AXIAL, slicing_axis
from ...engine.labels.postprocessing_change import PostprocessingChange
from ...engine.stepwise import Steps
from ...engine.worker.image_serialization import (
    array_steps,
    changes_from_json,
    checksum,
    geometry_to_json,
    scan_identity,
)
from .failure import JobFailedError, JobFailure
from .step_driver import Wait
from .worker_process import WorkerProcess
from .worker_request import WorkerRequest

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
    """Slices done of `total` after `seconds` of prediction; `slicing_axis` is what they follow each other along."""

    done: int
    total: int
    seconds: float
    slicing_axis: str = AXIAL

    @property
    def slices_per_second(self) -> float:
        """How many slices are done in a second, on average."""
        return self.done / self.seconds if self.seconds > 0 else 0.0

    @property
    def seconds_left(self) -> float | None:
        """How long the rest will take, None before the first measure."""
        rate = self.slices_per_second
        return (self.total - self.done) / rate if rate > 0 else None

    def text(self) -> str:
        """The line under the progress bar: slices, rate and time left."""
        parts = [slicing_axis(self.slicing_axis).in_words(f"{self.done} of {self.total} slices")]
        if self.seconds_left is not None:
            rate = self.slices_per_second
            parts.append(f"{rate:.1f} slices/s" if rate >= 1 else f"{1 / rate:.1f} s per slice")
            if self.done < self.total:
                parts.append(f"{duration(self.seconds_left)} left")
        return " · ".join(parts)


def duration(seconds: float) -> str:
    """Seconds as a text that is short enough for a progress line."""
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
    slicing_axis: str = AXIAL
    postprocessing: dict[int, PostprocessingChange] = field(default_factory=dict)  # by structure index

    @property
    def complete(self) -> bool:
        """Whether all slices were segmented."""
        return self.failure is None and 0 < self.slices == self.slices_done


class SegmentationRun:
    """Segments one array with one checkpoint in the worker, in a folder of its own, in steps."""

    def __init__(
        self,
        worker: WorkerProcess,
        array: np.ndarray,
        geometry: Geometry,
        checkpoint: str,
        *,
        device: str = "auto",
        mirroring: bool = False,
        postprocessing: bool = True,
        name: str = "",
        slicing_axis: str = AXIAL,
        on_progress: Callable[[SegmentationProgress], None],
    ) -> None:
        """Prepare a run.

        Args:
            worker: The process that runs the network.
            array: HU `(slices, rows, columns)`, read block by block in the first steps and not needed after.
            geometry: The grid of the array.
            checkpoint: Path of the checkpoint file.
            device: "auto", "cpu", "cuda" or "mps".
            mirroring: Whether mirrored slices are segmented too.
            postprocessing: Whether the card's postprocessing follows.
            name: What the worker's messages call the scan.
            slicing_axis: The network's.
            on_progress: Called once per batch.
        """
        self._worker, self._geometry = worker, geometry
        self._array: np.ndarray | None = array
        self._fields = {
            "checkpoint": checkpoint, "device": device, "mirroring": mirroring, "postprocessing": postprocessing, "name": name,
        }  # fmt: skip
        self._tell_progress, self._slicing_axis = on_progress, slicing_axis
        self._labels: Path | None = None
        self._scan = ""
        self._cancelled = False
        self._done, self._total = 0, 0
        self._first_progress: tuple[float, int] | None = None
        self.request: WorkerRequest | None = None

    def steps(self) -> Generator[Wait | None, None, SegmentationOutcome]:
        """Hand over the scan, wait for the network and return what it made; a failure keeps the slices that are finished.

        Raises:
            Exception: whatever goes wrong with the scan or the answer on this side.
        """
        with self._worker.job_folder("segment") as folder:
            fields = yield from self._request_steps(folder)
            self.request = WorkerRequest(self._worker, "segment", self._on_progress, **fields)
            try:
                answer = yield from self.request.answer_steps()
            except JobFailedError as error:
                return self._outcome_without_answer(error.failure)
            return self._outcome(answer)

    def cancel(self) -> bool:
        """Have the steps end within a second with what is finished; False if the worker has not been asked yet."""
        if self.request is not None and not self._cancelled:
            self._cancelled = True
            self.request.cancel(CANCEL_SECONDS)
        return self.request is not None

    def abort(self) -> None:
        """End the worker's part at once, with the worker if it is at this run."""
        if self.request is not None:
            self.request.abort()

    def _request_steps(self, folder: Path) -> Steps:
        self._labels = folder / "labels.raw"
        with self._labels.open("wb") as file:
            file.truncate(int(np.prod(self._geometry.shape)))
        array, self._array = self._array, None
        assert array is not None, "a run is done once"
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
        self._tell_progress(SegmentationProgress(done, total, seconds, self._slicing_axis))

    def _outcome(self, answer: dict[str, Any]) -> SegmentationOutcome:
        done, slices = answer["slices_done"], answer.get("slices", self._total)
        if done == 0 and not answer["complete"]:
            return SegmentationOutcome(None, 0, slices, cancelled=True)
        labels = self._read_labels()
        failure = self._refusal(answer, labels)
        if failure is not None:
            return SegmentationOutcome(None, 0, slices, failure=failure)
        return SegmentationOutcome(
            labels,
            done,
            slices,
            answer["seconds"],
            answer["device"],
            cancelled=self._cancelled and not answer["complete"],
            confidence={int(index): value for index, value in answer["confidence"].items()},
            slicing_axis=answer["slicing_axis"],
            postprocessing=changes_from_json(answer["postprocessing"]),
        )

    def _refusal(self, answer: dict[str, Any], labels: np.ndarray | None) -> JobFailure | None:
        """Why an answer is not that of this scan."""
        if answer.get("scan") != self._scan:
            return JobFailure("internal", OF_ANOTHER_SCAN)
        if labels is None or checksum(labels) != answer.get("labels_crc32"):
            return JobFailure("internal", WITHOUT_LABELS)
        return None

    def _outcome_without_answer(self, failure: JobFailure) -> SegmentationOutcome:
        labels = self._read_labels() if self._done > 0 else None
        found: JobFailure | None = failure
        if self._cancelled and failure.kind == "crash":  # killed because it was cancelled: that is no failure
            found = JobFailure("internal", WITHOUT_LABELS) if self._done > 0 and labels is None else None
        done = self._done if labels is not None else 0
        return SegmentationOutcome(
            labels, done, self._total, cancelled=self._cancelled, failure=found, slicing_axis=self._slicing_axis
        )

    def _read_labels(self) -> np.ndarray | None:
        assert self._labels is not None
        try:
            return np.fromfile(self._labels, dtype=np.uint8).reshape(self._geometry.shape)
        except (OSError, ValueError, MemoryError):
            return None


def stored_dtype(array: np.ndarray) -> np.dtype:
    """The type in which a scan is handed over: int16 where every value fits by its type or range, else float32."""
    if array.dtype.kind in "iu":
        if array.dtype.itemsize == 1 or array.dtype == np.int16:
            return np.dtype("<i2")
        if array.size and array.min() >= -32768 and array.max() <= 32767:
            return np.dtype("<i2")
    return np.dtype("<f4")
