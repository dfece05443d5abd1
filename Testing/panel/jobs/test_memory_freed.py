"""Nothing stays behind: what a run, a comparison, a check or an error view has worked on is freed when it has ended."""

from __future__ import annotations

import gc
import sys
import weakref
from pathlib import Path

import numpy as np
import pytest
import slicer
from host.pressing import settle, turn
from host.scans import SHAPE, add_scan

KINDS = {
    "SegmentationJob", "SegmentationRun", "SegmentationOutcome", "SegmentationResult", "WorkerRequest", "StepDriver", "Wait",
    "QueueEntry", "Segmentation", "DrawnNodes",
    "CaseReport", "CaseImages", "Volume", "JobFailure",
}  # fmt: skip


def living():
    """How many objects of the panel's work there are, by class, and all arrays of a volume that something holds."""
    settle(0.05)
    gc.collect()
    found = {}
    for one in gc.get_objects():
        name = type(one).__name__
        if name in KINDS and type(one).__module__.startswith("UNetSegmenterLib"):
            found[name] = found.get(name, 0) + 1
        elif issubclass(type(one), np.ndarray) and one.ndim == 3 and one.size >= np.prod(SHAPE):
            found["array"] = found.get("array", 0) + 1
    return found


def memory_mb():
    """What this process holds itself, in MB."""
    fields = Path("/proc/self/statm").read_text().split()
    return (int(fields[1]) - int(fields[2])) * 4096 / 1e6


def test_a_run_leaves_no_labels(widget, ready, scan):
    def once():
        ready.segment.apply()
        turn(lambda: not ready.segment.state.is_busy, 60)
        slicer.mrmlScene.RemoveNode(ready.segment.result.node)

    once()
    before = living()
    for _ in range(4):
        once()
    assert living() == before
    assert before.get("SegmentationOutcome", 0) <= 1 and "SegmentationRun" not in before and "array" not in before
    assert ready.segment.result.outcome.labels is None


def test_a_script_s_runs_leave_no_labels(widget, scan, checkpoints):
    jobs, results = [], []
    for cancel in (False, True, False):
        job = widget.logic.startSegment(
            scan, str(checkpoints["good"]), device="cpu", surfaces=False, onEnd=results.append
        )
        jobs.append(weakref.ref(job))
        if cancel:
            settle(0.01)
            job.cancel()
        del job
    turn(lambda: len(results) == 3, 60)
    assert "array" not in living() and not any(job() for job in jobs)
    assert all(result.outcome.labels is None for result in results)


def test_compare_check_report_and_error_views_leave_no_arrays(widget, compared, tmp_path):
    ui = widget.ui

    def once(number):
        compared.compare.compare()
        turn(lambda: not compared.compare.is_busy, 60)
        compared.plausibility.check()
        turn(lambda: not compared.plausibility.is_busy, 60)
        for button, overlay in ((ui.errorMapButton, "error_map"), (ui.distanceColorsButton, "distances")):
            button.setChecked(True)
            turn(lambda overlay=overlay: getattr(compared.errors, overlay).drawn is not None, 60)
            button.setChecked(False)
        compared.report.write(tmp_path / str(number))
        turn(lambda: not compared.report.is_busy, 60)
        assert compared.report.path is not None and compared.compare.comparison is not None

    there = living()  # of other tests in this process

    def is_freed():
        now = living()
        return all(now.get(kind, 0) <= there.get(kind, 0) for kind in ("array", "Segmentation", "WorkerRequest"))

    once(0)
    turn(is_freed, 20)  # a thread lets go of its work a moment after the panel has taken it
    before = living()
    for number in range(1, 4):
        once(number)
    turn(is_freed, 20)
    assert living() == before


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="memory is read from /proc")
@pytest.mark.parametrize("way", ["done", "cancelled", "failed"])
def test_twenty_runs_take_less_than_one_label_array(widget, checkpoints, way, monkeypatch):
    """On the real libraries of the scene, with labels large enough to be told from small change (10 MB)."""
    shape = (40, 512, 512)
    voxels = np.zeros(shape, np.int16) + np.arange(512, dtype=np.int16)
    scan = add_scan("Large", voxels, (3.0, 0.4, 0.4))
    if way == "failed":

        def fail(*arguments, **named):
            raise MemoryError

        monkeypatch.setattr("UNetSegmenterLib.panel.jobs.segmenter.save_labels_checksum", fail)

    def once():
        results, progress = [], []
        job = widget.logic.startSegment(
            scan,
            str(checkpoints["other"]),
            device="cpu",
            surfaces=False,
            onEnd=results.append,
            onProgress=progress.append,
        )
        if way == "cancelled":
            turn(lambda: progress or results, 60)
            job.cancel()
        turn(lambda: results, 60)
        if results[0].node is not None:
            slicer.mrmlScene.RemoveNode(results[0].node)
        assert way != "failed" or results[0].failure is not None
        settle(0.01)

    for _ in range(4):
        once()
    before = memory_mb()
    for _ in range(20):
        once()
    gc.collect()
    grown = memory_mb() - before
    print(f"\n20 runs, {way}: {grown:+.1f} MB; one array of labels is {np.prod(shape) / 1e6:.1f} MB")
    assert grown < np.prod(shape) / 1e6
