"""Two panels' worth of jobs at once: two workers of two processes and many jobs of each, every one with its own result."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from .harness import Bug, Tally
from .panel_stand_in import on_panel

NAME = "two panels"
TRIED = "jobs of two scans at two workers at once, some cancelled: each that ends has the labels of its own scan"
FULL, SHORT = 60, 4


def run(tally: Tally, count: int) -> None:
    """`count` jobs in rounds of four, two for each worker."""
    on_panel(tally, count, _run)


def _run(tally: Tally, count: int, started: SimpleNamespace, path: Path) -> None:
    second = SimpleNamespace(logic=type(started.logic)())
    scans = [started.add_scan(f"Scan {seed}", started.body(20, 64, 64, seed=seed), (3.0, 2.0, 2.0)) for seed in (0, 1)]
    expected = [ended(started, start(started, scan, path)) for scan in scans]
    if np.array_equal(*expected):
        tally.bugs.append("the scans' labels are the same, so they prove nothing")
    draw, cancelled = tally.random, 0
    try:
        for begin in range(0, count, 4):
            jobs = [(number % 2, start((started, second)[number // 2], scans[number % 2], path)) for number in range(4)]
            victim = draw.choice((None, *range(4)))
            if victim is not None:
                jobs[victim][1].job.cancel()
                cancelled += 1
            for number, (scan, one) in enumerate(jobs):
                tally.try_one(
                    lambda scan=scan, one=one, may=number == victim: right(started, one, expected[scan], may),
                    f"job {begin + number}",
                )
    finally:
        second.logic.worker.close()
    tally.notes.append(f"{cancelled} jobs were cancelled")


def start(panel_of: SimpleNamespace, scan: Any, path: Any) -> SimpleNamespace:
    """Start a job of a panel."""
    found = SimpleNamespace(scan=scan, results=[])
    found.job = panel_of.logic.startSegment(
        scan, str(path), device="cpu", surfaces=False, onEnd=found.results.append, keep_partial=False
    )
    return found


def ended(started: SimpleNamespace, one: SimpleNamespace, may_be_cancelled: bool = False) -> np.ndarray | None:
    """Labels of a job once it has ended; None for one that was cancelled."""
    from UNetSegmenterLib.scene.nodes.scene_nodes import remove_node
    from UNetSegmenterLib.scene.nodes.segmentation_from_node import segmentation_from_node

    started.turn(lambda: one.results, 600)
    (result,) = one.results
    if result.failure is not None:
        raise Bug(f"it failed: {result.failure}")
    if result.node is None:
        if not may_be_cancelled:
            raise Bug("a job that nobody cancelled has no result")
        return None
    labels = segmentation_from_node(result.node, one.scan).labels.copy()
    remove_node(result.node)
    return labels


def right(started: SimpleNamespace, one: SimpleNamespace, expected: np.ndarray, may_be_cancelled: bool) -> None:
    """The labels must be those of the job's own scan."""
    labels = ended(started, one, may_be_cancelled)
    if labels is not None and not np.array_equal(labels, expected):
        raise Bug("labels of another scan")
