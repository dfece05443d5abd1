"""The worker that is killed over and over under the panel: each job ends once, the next is right, and no file stays."""

from __future__ import annotations

import os
import signal
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from .harness import Bug, Tally
from .panel_stand_in import on_panel

NAME = "killed worker"
TRIED = "kill -9 of the worker at random moments of a segmentation in the panel; then the next job must be right"
FULL, SHORT = 200, 2
WAIT_SECONDS = 600


def run(tally: Tally, count: int) -> None:
    """Kill `count` times, from before the worker's first word to after its answer."""
    on_panel(tally, count, _run)


def _run(tally: Tally, count: int, started: SimpleNamespace, path: Path) -> None:
    scan = started.add_scan("CT", started.body(24, 64, 64), (3.0, 2.0, 2.0))
    draw, failures = tally.random, []
    seconds = 0.0
    for _ in range(2):  # the second is without the start of the worker
        begun = time.monotonic()
        expected = labels_of(started, scan, path)
        seconds = time.monotonic() - begun
    start_seconds = seconds_to_start(started, scan, path)
    for number in range(count):
        moment = draw.uniform(0, 1.1 * seconds) if number % 2 else draw.uniform(0, 1.1 * start_seconds)
        case = f"kill {number} after {moment:.3f} s"
        tally.try_one(lambda moment=moment: killed(started, scan, path, moment, expected, failures), case)
        if number % 10 == 9 or number == count - 1:
            tally.try_one(lambda: same(started, scan, path, expected), f"a segmentation after kill {number}")
    started.logic.worker.close()
    tally.try_one(lambda: nothing_left(started), "what is left when the worker is closed")
    tally.notes.append(f"{len(failures)} of {count} kills ended a job, the others came after its end or were survived")


def job(started: SimpleNamespace, scan: Any, path: Path) -> list[Any]:
    """Start a segmentation; the list gets its results, of which there must be one."""
    results: list[Any] = []
    started.logic.startSegment(scan, str(path), device="cpu", surfaces=False, onEnd=results.append)
    return results


def labels_of(started: SimpleNamespace, scan: Any, path: Path) -> np.ndarray:
    """Labels of a segmentation that nobody disturbs."""
    from UNetSegmenterLib.scene.nodes.scene_nodes import remove_node
    from UNetSegmenterLib.scene.nodes.segmentation_from_node import segmentation_from_node

    results = job(started, scan, path)
    started.turn(lambda: results, WAIT_SECONDS)
    (result,) = results
    if result.failure is not None:
        raise Bug(f"an undisturbed segmentation failed: {result.failure}")
    labels = segmentation_from_node(result.node, scan).labels.copy()
    remove_node(result.node)
    return labels


def same(started: SimpleNamespace, scan: Any, path: Path, expected: np.ndarray) -> None:
    """The labels must be those of the first segmentation."""
    if not np.array_equal(labels_of(started, scan, path), expected):
        raise Bug("other labels than before")


def seconds_to_start(started: SimpleNamespace, scan: Any, path: Path) -> float:
    """How long a segmentation takes with the start of the worker."""
    started.logic.worker.close()
    begun = time.monotonic()
    labels_of(started, scan, path)
    return time.monotonic() - begun


def killed(
    started: SimpleNamespace, scan: Any, path: Path, moment: float, expected: np.ndarray, failures: list[Any]
) -> None:
    """Kill the worker `moment` seconds after a job began; the job ends once, failed in a sentence or with all labels."""
    from UNetSegmenterLib.scene.nodes.scene_nodes import remove_node
    from UNetSegmenterLib.scene.nodes.segmentation_from_node import segmentation_from_node

    results, end = job(started, scan, path), time.monotonic() + moment
    started.turn(lambda: results or time.monotonic() >= end, WAIT_SECONDS)
    worker = started.logic.worker
    if worker.pid is not None:
        os.kill(worker.pid, signal.SIGKILL)
    elif worker.is_running:
        worker._process.kill()  # before its first word nobody else knows its number
    started.turn(lambda: results, WAIT_SECONDS)
    started.settle(0.02)
    if len(results) != 1:
        raise Bug(f"a job ended {len(results)} times")
    (result,) = results
    failures.extend([result.failure] if result.failure is not None else ())
    if result.failure is None and not np.array_equal(segmentation_from_node(result.node, scan).labels, expected):
        raise Bug("a result of other labels without a failure")
    if result.failure is not None and (
        "\n" in result.failure.message or not result.failure.message.endswith((".", ")"))
    ):
        raise Bug(f"a failure that is no sentence: {result.failure.message!r}")
    if result.node is not None:
        remove_node(result.node)
    if any(folder.name.startswith("segment") for folder in job_folders(started)):
        raise Bug(f"folders of ended jobs: {job_folders(started)}")


def job_folders(started: SimpleNamespace) -> list[Path]:
    """Folders of jobs in the worker's own folder."""
    folder = started.logic.worker._folder
    return sorted(folder.iterdir()) if folder is not None and folder.exists() else []


def nothing_left(started: SimpleNamespace) -> None:
    """No folder of a worker of this process is left."""
    folder = started.logic.worker._folder
    if folder is not None and folder.exists():
        raise Bug(f"{folder} is left in {tempfile.gettempdir()}")
