"""Responsiveness of the panel with a large scan: times, stalls and memory, as a table. No stall should exceed 100 ms.

python -m benchmarks.panel_responsiveness CHECKPOINT SCAN        (for example chest-ct-1mm.nii.gz, 512 x 512 x 275)
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

import slicer

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "Testing"))

import host

host.start()

import qt
from host.pressing import press, settle, turn
from host.scans import add, choose, organs
from host.scripted import load_module

from benchmarks.command_line import require, run


def memory_mb() -> tuple[float, float]:
    """Memory of this process, now and at its highest so far, in MB."""
    fields = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return tuple(int(fields[name].split()[0]) / 1000 for name in ("VmRSS", "VmHWM"))


def forget_peak() -> None:
    """Let the process's highest memory count from now on."""
    Path("/proc/self/clear_refs").write_text("5")


class Stalls:
    """Measures with a timer of a few milliseconds how long the event loop was blocked.

    `longest_ms` is the longest stall that a user notices, including the effect of other programs on the machine;
    `longest_work_ms` is the longest work of this thread between two ticks, the stall on a core of its own.
    """

    def __init__(self, every_ms=5):
        self._timer = qt.QTimer()
        self._timer.setTimerType(qt.Qt.PreciseTimer)
        self._timer.setInterval(every_ms)
        self._timer.timeout.connect(self._tick)
        self.longest_ms = self.longest_work_ms = 0.0
        self.gaps_ms = []

    def __enter__(self):
        self._last = time.perf_counter(), time.thread_time()
        self._timer.start()
        return self

    def __exit__(self, *error):
        self._timer.stop()

    def _tick(self):
        now = time.perf_counter(), time.thread_time()
        self.longest_ms = max(self.longest_ms, 1000 * (now[0] - self._last[0]))
        self.gaps_ms.append(1000 * (now[0] - self._last[0]))
        self.longest_work_ms = max(self.longest_work_ms, 1000 * (now[1] - self._last[1]))
        self._last = now


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("scan", type=Path)
    options = parser.parse_args()
    require(options.checkpoint, options.scan)
    rows: list[tuple[str, str]] = [("cores, load before", f"{os.cpu_count()}, {os.getloadavg()[0]:.1f}")]
    started = time.perf_counter()
    record = load_module(ROOT / "UNetSegmenter" / "UNetSegmenter.py")
    rows.append(("module load", f"{1000 * (time.perf_counter() - started):.0f} ms"))
    started = time.perf_counter()
    widget = record.enter()
    rows.append(("panel, first show", f"{1000 * (time.perf_counter() - started):.0f} ms"))
    panel, ui = widget.panel, widget.ui
    started = time.perf_counter()
    panel.model.choose(str(options.checkpoint.resolve()))
    turn(lambda: panel.model.card, 120)
    rows.append(("worker, cold: file chosen to card shown", f"{time.perf_counter() - started:.2f} s"))
    scan = add_scan(options.scan)
    started, worked = time.perf_counter(), time.thread_time()
    widget.initializeParameterNode()
    wall_ms, work_ms = 1000 * (time.perf_counter() - started), 1000 * (time.thread_time() - worked)
    rows.append(("input checks", f"{wall_ms:.0f} ms, own work {work_ms:.0f} ms"))
    settle(0.3)
    rows += apply(panel, ui, "first run")
    ui.outputSelector.setCurrentNode(panel.segment.result.node)
    rows += apply(panel, ui, "second run (replaces)")
    rows += layouts(panel, ui)
    press(ui.applyButton)
    turn(lambda: ui.progressBar.value >= 8 and panel.segment.state.value == "running", 300)
    started = time.perf_counter()
    press(ui.applyButton)
    turn(lambda: not panel.segment.state.is_busy)
    rows.append(("cancel", f"{time.perf_counter() - started:.2f} s"))
    slicer.mrmlScene.RemoveNode(scan)
    rows += sections(widget)
    panel.close()
    print("\n".join(f"| {name} | {value} |" for name, value in rows))


def add_scan(path: Path):
    """The scan as a volume node of the scene."""
    from UNetSegmenterLib.engine.io.image_reading import read_volume
    from UNetSegmenterLib.scene.nodes.volume_nodes import volume_to_node

    return volume_to_node(read_volume(path), slicer.mrmlScene, "Scan")


def apply(panel, ui, name: str) -> list[tuple[str, str]]:
    """Rows on a segmentation: time, stalls and memory from pressing Apply to the segmentation node."""
    forget_peak()
    before, _ = memory_mb()
    running = (0.0, 0.0)
    with Stalls() as stalls:
        started, worked = time.perf_counter(), time.process_time()
        press(ui.applyButton)
        while panel.segment.state.is_busy:
            slicer.app.processEvents()
            time.sleep(0.001)
            if ui.progressBar.value < ui.progressBar.maximum or not ui.progressBar.maximum:
                running, placing = (stalls.longest_ms, stalls.longest_work_ms), time.process_time()
        total, ended = time.perf_counter() - started, time.process_time()
    outcome = panel.segment.result.outcome
    after, peak = memory_mb()
    return [
        (f"{name}: Apply to node", f"{total:.2f} s"),
        (f"{name}: of that, prediction", f"{outcome.seconds:.2f} s on {outcome.device}"),
        (f"{name}: beyond the prediction", f"{total - outcome.seconds:.2f} s"),
        (
            f"{name}: own work, handing over and showing progress; placing the result",
            f"{placing - worked:.2f} s; {ended - placing:.2f} s",
        ),
        (f"{name}: longest stall while it runs", f"{running[0]:.0f} ms, of it own work {running[1]:.0f} ms"),
        (
            f"{name}: memory of the Slicer side, growth and peak growth",
            f"{after - before:.0f} MB, {peak - before:.0f} MB",
        ),
    ]


def layouts(panel, ui) -> list[tuple[str, str]]:
    """From the press of a button to views that are drawn (by software, all eight, one after the other)."""
    from UNetSegmenterLib.scene.headless.offscreen_views import SliceView, ThreeDView
    from UNetSegmenterLib.scene.nodes.segmentation_from_node import segmentation_from_node
    from UNetSegmenterLib.scene.nodes.segmentation_to_node import segmentation_to_node
    from UNetSegmenterLib.scene.views.layout import ONE_ROW, ONLY_3D, ROWS, TWO_ROWS, slice_views

    scene, logic = slicer.mrmlScene, slicer.app.applicationLogic()
    prediction = panel.segment.result.node
    copy = segmentation_to_node(segmentation_from_node(prediction), scene, panel.scan.node, name="Ground truth")
    label_map = scene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode", "Labels")
    slicer.modules.segmentations.logic().ExportAllSegmentsToLabelmapNode(
        copy, label_map, slicer.vtkSegmentation.EXTENT_REFERENCE_GEOMETRY
    )
    ui.referenceSelector.setCurrentNode(copy)
    settle()
    press(ui.sideBySideButton)
    size = (400, 300)
    slices = {row: [SliceView(scene, logic, name, size) for name in slice_views(row)] for row in ROWS}
    surfaces = {row: ThreeDView(scene, logic, f"{row}3D", size) for row in ROWS}
    upper = [*slices["Pred"], surfaces["Pred"]]
    every = [*upper, *slices["Ref"], surfaces["Ref"]]
    press(ui.sideBySideButton)

    def timed(name, action, views):
        started, worked = time.perf_counter(), time.process_time()
        action()
        handled, did = time.perf_counter() - started, time.process_time() - worked
        for view in views:
            view.window.Render()
        drawn, drew = time.perf_counter() - started, time.process_time() - worked
        return name, (
            f"{handled:.2f} s (own work {did:.2f} s); until {len(views)} views are drawn {drawn:.2f} s ({drew:.2f} s)"
        )

    def choose(variant):
        return lambda: ui.viewsLayoutComboBox.setCurrentText(variant)

    rows = [
        timed("layout: two rows", lambda: press(ui.sideBySideButton), every),
        timed("layout: two rows again", lambda: (press(ui.sideBySideButton), press(ui.sideBySideButton)), every),
        timed("layout: to one row", choose(ONE_ROW), upper),
        timed("layout: to 3D only", choose(ONLY_3D), list(surfaces.values())),
        timed("layout: back to two rows", choose(TWO_ROWS), every),
        timed("next structure", lambda: press(ui.nextStructureButton), every),
        timed("layout: left", lambda: press(ui.sideBySideButton), []),
    ]
    ui.referenceSelector.setCurrentNode(label_map)
    settle()
    rows.append(timed("layout: two rows, label map as ground truth", lambda: press(ui.sideBySideButton), every))
    press(ui.sideBySideButton)
    for node in (copy, label_map):
        scene.RemoveNode(node)
    return rows


def sections(widget) -> list[tuple[str, str]]:
    """Comparison, checks, error views, report and training case of eight structures in 384 x 384 x 200."""
    ui, panel = widget.ui, widget.panel
    shape = (200, 384, 384)
    prediction, reference = (add(name, organs(by, (), shape), (1.0, 0.8, 0.8)) for name, by in (("P", 6), ("R", 0)))
    choose(widget, prediction, reference)

    def timed(name, button, is_done):
        with Stalls() as stalls:
            started = time.perf_counter()
            press(button)
            turn(is_done, 600)
            seconds = time.perf_counter() - started
        return (
            name,
            f"{seconds:.1f} s, longest stall {stalls.longest_ms:.0f} ms, own work {stalls.longest_work_ms:.0f} ms",
        )

    with tempfile.TemporaryDirectory() as folder:
        panel.report.ask_for_folder = lambda title, start: folder
        rows = [
            timed("comparison", ui.compareButton, lambda: panel.compare.comparison is not None),
            timed("checks", ui.checkButton, lambda: panel.plausibility.findings is not None),
            timed("error map", ui.errorMapButton, lambda: panel.errors.error_map.drawn is not None),
            timed("distance colours", ui.distanceColorsButton, lambda: panel.errors.distances.drawn is not None),
            timed("report", ui.reportButton, lambda: panel.report.path is not None),
        ]
    for node in (prediction, reference):
        slicer.mrmlScene.RemoveNode(node)
    return rows


if __name__ == "__main__":
    sys.exit(run(main, "panel_responsiveness"))
