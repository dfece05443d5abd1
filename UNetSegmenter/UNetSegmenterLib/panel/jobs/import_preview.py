"""The preview of a model that is not imported yet: the scan is handed to the worker once, then one slice per wish."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import qt
import slicer

from ...engine.worker.image_serialization import array_steps, geometry_to_json
from ...scene.nodes.node_grids import volume_geometry
from .failure import JobFailure
from .segmentation_run import stored_dtype
from .step_driver import StepDriver, Work
from .worker_process import WorkerProcess
from .worker_request import answer_steps

TYPING_MS = 250  # without another wish before the worker is asked


class ImportPreview:
    """Asks the worker for one slice of a scan, segmented with a card that may still change; only the last wish counts.

    `on_answer` gets the worker's answer to `preview_import`, `on_failure` why there is none, `on_busy` whether one is awaited.
    """

    def __init__(
        self,
        worker: WorkerProcess,
        source: str,
        volume_node: Any,
        *,
        on_answer: Callable[[dict[str, Any]], None],
        on_failure: Callable[[JobFailure], None],
        on_busy: Callable[[bool], None],
    ) -> None:
        """Prepare to preview the model at `source` on a volume node."""
        self._worker, self._source, self._node = worker, source, volume_node
        self._on_answer, self._on_failure, self._on_busy = on_answer, on_failure, on_busy
        self._stack = contextlib.ExitStack()
        self._folder: Path | None = None
        self._image: dict[str, Any] | None = None  # what `array_steps` returned: the scan is in the folder
        self._geometry: dict[str, Any] | None = None
        self._wish: tuple[dict[str, Any], int | None] | None = None
        self._driver: StepDriver | None = None
        self._typing: Any = qt.QTimer()
        self._typing.setSingleShot(True)
        self._typing.setInterval(TYPING_MS)
        self._typing.timeout.connect(self._start)

    @property
    def is_busy(self) -> bool:
        """Whether a picture is awaited."""
        return self._wish is not None or self._driver is not None

    def ask(self, card: dict[str, Any], slice_number: int | None = None) -> None:
        """Have slice `slice_number` (None: the middle one) segmented with this card; replaces the wish before."""
        self.stop()
        self._wish = copy.deepcopy(card), slice_number
        self._on_busy(True)
        self._typing.start()

    def stop(self) -> None:
        """Forget the wish; what the worker is at is cancelled."""
        self._typing.stop()
        driver, self._driver = self._driver, None
        was_busy, self._wish = self._wish is not None or driver is not None, None
        if driver is not None:
            driver.stop()
        if was_busy:
            self._on_busy(False)

    def close(self) -> None:
        """Stop, and remove the scan and the pictures."""
        self.stop()
        timer, self._typing = self._typing, None
        if timer is not None:
            timer.timeout.disconnect(self._start)
            timer.deleteLater()
        self._stack.close()
        self._folder = self._image = self._node = None

    def _start(self) -> None:
        wish, self._wish = self._wish, None
        if wish is None:
            return
        self._driver = StepDriver(self._steps(*wish), self._end, self._fail, subject="The preview")
        self._driver.start()

    def _steps(self, card: dict[str, Any], slice_number: int | None) -> Work:
        if self._folder is None:
            self._folder = self._stack.enter_context(self._worker.job_folder("preview"))
        if self._image is None:
            geometry = volume_geometry(self._node)
            array = slicer.util.arrayFromVolume(self._node)
            self._image = yield from array_steps(array, self._folder / "image.raw", stored_dtype(array))
            self._geometry = geometry_to_json(geometry)
        return (
            yield from answer_steps(
                self._worker,
                "preview_import",
                path=self._source,
                card=card,
                image=self._image,
                geometry=self._geometry,
                slice=slice_number,
                into=str(self._folder),
            )
        )

    def _end(self, answer: dict[str, Any]) -> None:
        self._driver = None
        self._on_busy(False)
        self._on_answer(answer)

    def _fail(self, failure: JobFailure) -> None:
        self._driver = None
        self._on_busy(False)
        self._on_failure(failure)
