"""One run: the scan goes to the worker in small pieces, progress comes back, labels come home, or a reason why not."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import qt

from ..engine.volume import Geometry
from ..engine.worker import geometry_to_json
from .process import Failure, WorkerProcess

PIECE_BYTES = 8 << 20  # a few ms to write, so the panel stays alive while a scan is handed over
CANCEL_SECONDS = 0.5  # a worker that has not obeyed by then is killed; what it finished lies in the labels file


@dataclass(frozen=True)
class Progress:
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
class Outcome:
    """How a run ended: `labels` uint8 (slices, rows, columns) and how many slices of them are real, or `failure`."""

    labels: np.ndarray | None
    slices_done: int
    slices: int
    seconds: float = 0.0
    device: str = ""
    cancelled: bool = False
    confidence: dict[int, float] = field(default_factory=dict)  # along the outline, by structure index
    failure: Failure | None = None

    @property
    def complete(self) -> bool:
        return self.labels is not None and self.slices_done == self.slices


@dataclass
class RunCallbacks:
    """Who wants to know: all are called from the event loop."""

    on_progress: Callable[[Progress], None] = field(default=lambda progress: None)
    on_end: Callable[[Outcome], None] = field(default=lambda outcome: None)


class SegmentationRun:
    """Segments one array with one checkpoint in the worker.

    array: (slices, rows, columns) HU, read piece by piece during the first moments of the run and not needed after;
    geometry: its place; checkpoint: path, and `sha256` of the file that the person was shown.
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
        self._checkpoint, self._device, self._name = checkpoint, device, name
        self._callbacks = callbacks or RunCallbacks()
        self._dtype = stored_dtype(array)
        folder = worker.hold_folder()
        self._image, self._labels = folder / "image.raw", folder / "labels.raw"
        self._file: Any = None
        self._next_slice = 0
        self._request: int | None = None
        self._cancelled = self._ended = False
        self._done, self._total = 0, 0
        self._first_progress: tuple[float, int] | None = None
        self._timer = qt.QTimer()
        self._timer.setInterval(0)
        self._timer.timeout.connect(self._hand_over_piece)
        self._deadline = qt.QTimer()
        self._deadline.setSingleShot(True)
        self._deadline.timeout.connect(self._on_deadline)

    def start(self) -> None:
        """Begin; returns at once."""
        self._worker.last_run = self  # kept: its timers must not be deleted while they fire
        try:
            with self._labels.open("wb") as file:
                file.truncate(int(np.prod(self._geometry.shape)))
            self._file = self._image.open("wb")
        except OSError as error:
            self._fail_to_hand_over(error)
            return
        self._timer.start()

    def cancel(self) -> None:
        """End within a second; `on_end` follows with what is finished."""
        if self._ended or self._cancelled:
            return
        self._cancelled = True
        if self._request is None:
            self._end(Outcome(None, 0, 0, cancelled=True))
            return
        self._worker.cancel(self._request)
        self._deadline.start(int(1000 * CANCEL_SECONDS))

    def abandon(self) -> None:
        """End at once and tell nobody: the scene is gone."""
        self._callbacks = RunCallbacks()
        request = self._request
        self.cancel()
        if request is not None and not self._ended:
            self._worker.forget(request)
            self._worker.kill()
            self._end(Outcome(None, 0, 0, cancelled=True))

    def _hand_over_piece(self) -> None:
        count = max(1, PIECE_BYTES // max(1, self._array[0].nbytes))
        piece = self._array[self._next_slice : self._next_slice + count]
        try:
            self._file.write(np.ascontiguousarray(piece, dtype=self._dtype).data)
            if self._next_slice + count >= self._array.shape[0]:
                self._file.close()
        except OSError as error:
            self._fail_to_hand_over(error)
            return
        self._next_slice += count
        if self._next_slice >= self._array.shape[0]:
            self._timer.stop()
            self._array = np.empty((0, 0, 0))  # let go of the scan
            self._ask()

    def _ask(self) -> None:
        self._request = self._worker.request(
            "segment",
            self._on_result,
            self._on_failure,
            self._on_progress,
            checkpoint=self._checkpoint,
            device=self._device,
            name=self._name,
            image={"path": str(self._image), "dtype": self._dtype.str},
            geometry=geometry_to_json(self._geometry),
            labels=str(self._labels),
        )

    def _on_progress(self, done: int, total: int) -> None:
        now = time.monotonic()
        if self._first_progress is None:
            self._first_progress = (now, done)
        self._done, self._total = done, total
        since, already = self._first_progress
        seconds = (now - since) * done / (done - already) if done > already else 0.0
        self._callbacks.on_progress(Progress(done, total, seconds))

    def _on_result(self, answer: dict[str, Any]) -> None:
        if answer["slices_done"] == 0 and not answer["complete"]:
            self._end(Outcome(None, 0, self._total, cancelled=True))
            return
        self._end(
            Outcome(
                self._read_labels(),
                answer["slices_done"],
                answer["slices"],
                answer["seconds"],
                answer["device"],
                cancelled=self._cancelled and not answer["complete"],
                confidence={int(index): value for index, value in answer["confidence"].items()},
            )
        )

    def _on_failure(self, failure: Failure) -> None:
        labels = self._read_labels() if self._done else None
        if self._cancelled and failure.kind == "crash":
            self._end(Outcome(labels, self._done, self._total, cancelled=True))
        else:
            self._end(Outcome(labels, self._done, self._total, cancelled=self._cancelled, failure=failure))

    def _on_deadline(self) -> None:
        if not self._ended:
            self._worker.kill()

    def _fail_to_hand_over(self, error: OSError) -> None:
        reason = error.strerror or str(error)
        message = f"The scan could not be handed to the network ({reason}); free some space in {self._image.parent}."
        self._end(Outcome(None, 0, 0, failure=Failure("input", message)))

    def _read_labels(self) -> np.ndarray | None:
        try:
            return np.fromfile(self._labels, dtype=np.uint8).reshape(self._geometry.shape)
        except (OSError, ValueError):
            return None

    def _end(self, outcome: Outcome) -> None:
        if self._ended:
            return
        self._ended = True
        self._timer.stop()
        self._deadline.stop()
        if self._file is not None:
            with contextlib.suppress(OSError):  # what is still to be written is not wanted any more
                self._file.close()
        for path in (self._image, self._labels):
            with contextlib.suppress(OSError):
                path.unlink()
        self._worker.release_folder()
        self._callbacks.on_end(outcome)


def stored_dtype(array: np.ndarray) -> np.dtype:
    """The type in which a scan is handed over: int16 where every value fits by its type or range, else float32."""
    if array.dtype.kind in "iu":
        if array.dtype.itemsize == 1 or array.dtype == np.int16:
            return np.dtype("<i2")
        if array.size and array.min() >= -32768 and array.max() <= 32767:
            return np.dtype("<i2")
    return np.dtype("<f4")
