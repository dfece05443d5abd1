"""The probability of one structure through the worker: the scan is handed over, a volume of percentages comes back."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any

import numpy as np
import slicer

from ...engine.io.geometry import Geometry
from ...engine.labels.structures import Structure
from ...engine.worker.image_serialization import array_steps, checksum, geometry_to_json, scan_identity
from ...scene.nodes.node_grids import volume_geometry
from .failure import JobFailedError, JobFailure
from .segmentation_run import stored_dtype
from .step_driver import Wait
from .worker_process import WorkerProcess
from .worker_request import answer_steps

DAMAGED = "The network's answer is damaged or of another scan, so it is not shown; press the button again."


@dataclass(frozen=True)
class ProbabilityWish:
    """What is asked for: a volume node, a checkpoint file, a structure of its card, and how the network runs."""

    volume_node: Any
    checkpoint: str
    structure: Structure
    device: str = "auto"
    mirroring: bool = False


def probability_steps(
    worker: WorkerProcess, wish: ProbabilityWish, on_progress: Callable[[int, int], None]
) -> Generator[Wait | str | None, None, tuple[np.ndarray, Geometry]]:
    """Wait for the worker's turn and return uint8 percentages (slices, rows, columns) with their grid.

    Raises:
        JobFailedError: if the worker refuses, fails or ends.
    """
    entry = worker.queue.enter(wish.volume_node.GetName())
    try:
        yield from entry.turn_steps(lambda names: None)
        geometry = volume_geometry(wish.volume_node)
        array = slicer.util.arrayFromVolume(wish.volume_node)
        with worker.job_folder("probability") as folder:
            image = yield from array_steps(array, folder / "image.raw", stored_dtype(array))
            path, scan = folder / "percent.raw", scan_identity(geometry, image["dtype"], image["crc32"])
            with path.open("wb") as file:
                file.truncate(int(np.prod(geometry.shape)))
            answer = yield from answer_steps(
                worker,
                "probability",
                on_progress,
                checkpoint=wish.checkpoint,
                device=wish.device,
                mirroring=wish.mirroring,
                name=wish.volume_node.GetName(),
                structure=wish.structure.index,
                image=image,
                geometry=geometry_to_json(geometry),
                percent=str(path),
            )
            percent = np.fromfile(path, dtype=np.uint8).reshape(geometry.shape)
            if not answer["complete"] or answer["scan"] != scan or answer["percent_crc32"] != checksum(percent):
                raise JobFailedError(JobFailure("internal", DAMAGED))
            return percent, geometry
    finally:
        entry.leave()
