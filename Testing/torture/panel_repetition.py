"""Fifty segmentations in a row in the panel: memory, handles, temporary files and nodes of the scene stay as they are."""

from __future__ import annotations

import gc
import sys
import tempfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil

from .harness import Bug, Tally
from .panel_stand_in import on_panel

NAME = "50 in a row"
TRIED = (
    "segmentations one after another in the panel, each removed again; what the process and its worker hold is counted"
)
FULL, SHORT = 50, 3
WARM_UP = 5
"""Runs until caches of the libraries are filled."""
GROWTH_MB = 12
"""About one array of labels of the scan (12 MB): less is small change of the allocator."""
SHAPE = (48, 512, 512)


def run(tally: Tally, count: int) -> None:
    """Count after some runs to warm up, and again at the end."""
    on_panel(tally, count, _run)


def _run(tally: Tally, count: int, started: SimpleNamespace, path: Path) -> None:
    shape = SHAPE if count >= 20 else (8, 64, 64)
    scan = started.add_scan("CT", started.body(*shape), (3.0, 1.0, 1.0))
    before: dict[str, float] = {}
    for number in range(count + WARM_UP if count >= 20 else count):
        if number == (WARM_UP if count >= 20 else 1):
            before = held(started)
        tally.try_one(lambda: once(started, scan, path), f"run {number}")
    after = held(started)
    for name in before:
        limit = GROWTH_MB if name.endswith("MB") else 0
        if after[name] - before[name] > limit:
            tally.bugs.append(f"{name} grew from {before[name]:.0f} to {after[name]:.0f}")
    tally.notes.append(", ".join(f"{name} {before[name]:.0f} -> {after[name]:.0f}" for name in before))


def once(started: SimpleNamespace, scan: Any, path: Path) -> None:
    """One segmentation, whose node is removed."""
    from UNetSegmenterLib.scene.nodes.scene_nodes import remove_node

    results: list[Any] = []
    started.logic.startSegment(scan, str(path), device="cpu", surfaces=False, onEnd=results.append)
    started.turn(lambda: results, 600)
    (result,) = results
    if result.failure is not None:
        raise Bug(f"it failed: {result.failure}")
    remove_node(result.node)


def held(started: SimpleNamespace) -> dict[str, float]:
    """What is held by this process and its worker, and what lies in the temporary folder."""
    started.settle(0.3)
    gc.collect()
    found: dict[str, float] = {"nodes of the scene": started.scene.GetNumberOfNodes()}
    found["temporary files"] = sum(1 for _ in Path(tempfile.gettempdir()).glob("unetsegmenter-*"))
    if sys.platform.startswith("linux"):
        here, worker = psutil.Process(), psutil.Process(started.logic.worker.pid)
        for name, process in (("panel", here), ("worker", worker)):
            memory = process.memory_info()
            found |= {f"{name}'s handles": process.num_fds(), f"{name}'s MB": (memory.rss - memory.shared) / 1e6}
    return found
