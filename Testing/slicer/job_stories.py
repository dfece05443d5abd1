"""Stories of work that goes on side by side or again and again: each scan gets its own labels, and nothing stays behind."""

from __future__ import annotations

import gc
import os

import slicer
from world import Skip

SLICES, SIZE = 40, 512
LABELS_MB = SLICES * SIZE * SIZE / 1e6


def two_scans_at_a_time_get_their_own_labels(world):
    """Started one after the other before either is done; the second waits, says for what, and is right."""
    from UNetSegmenterLib.scene.nodes.segmentation_from_node import segmentation_from_node

    world.choose("tiny")
    logic, path = slicer.util.getModuleLogic("UNetSegmenter"), str(world.checkpoint("tiny"))
    pair = [world.add_scan(f"Scan {name}", slices=count) for name, count in (("A", 20), ("B", 30))]
    results, stages = {}, {}
    for order in (pair, pair[::-1]):
        results.clear()
        for scan in order:
            name = scan.GetName()
            stages[name] = []
            logic.startSegment(
                scan, path, device="cpu", surfaces=False, onStage=stages[name].append,
                onEnd=lambda result, name=name: results.setdefault(name, result),
            )  # fmt: skip
        assert not results, "both are started before either is done"
        world.turn(lambda: len(results) == 2, 120)
        for scan in order:
            result = results[scan.GetName()]
            assert result.failure is None, result.failure
            assert result.node.GetNodeReferenceID("referenceImageGeometryRef") == scan.GetID()
            labels = segmentation_from_node(result.node, scan).labels
            assert labels.shape == slicer.util.arrayFromVolume(scan).shape and labels[-1].any(), (
                "whole, to the last slice"
            )
        assert any(f'"{order[0].GetName()}"' in text for text in stages[order[1].GetName()]), stages
    assert not list(logic.worker.folder.iterdir())


def twenty_segmentations_leave_nothing(world):
    """Slicer's memory grows by less than the labels of one run."""
    world.choose("tiny")
    scan = world.add_scan("Large", slices=SLICES, size=SIZE, spacing_mm=(3.0, 0.4, 0.4))
    logic, path = slicer.util.getModuleLogic("UNetSegmenter"), str(world.checkpoint("tiny"))

    def once():
        node = logic.segment(scan, path, device="cpu", surfaces=False)
        assert node is not None
        slicer.mrmlScene.RemoveNode(node)

    return grown(world, once, "runs")


def comparing_checking_and_error_views_leave_nothing(world):
    """The same for what checks a result, on a grid of the same size."""
    world.add_scan("Large", slices=SLICES, size=SIZE, spacing_mm=(3.0, 0.4, 0.4))
    ui, panel = world.ui, world.panel
    prediction, reference = (
        world.add_segmentation(name, shift=shift, slices=SLICES, size=SIZE)
        for name, shift in (("Prediction", 3), ("Ground truth", 0))
    )
    ui.predictionSelector.setCurrentNode(prediction)
    ui.referenceSelector.setCurrentNode(reference)
    world.settle()

    def once():
        world.press(ui.compareButton)
        world.turn(lambda: not panel.compare.is_busy, 120)
        world.press(ui.checkButton)
        world.turn(lambda: not panel.plausibility.is_busy, 120)
        assert panel.compare.comparison is not None and panel.plausibility.findings
        for button, overlay in (
            (ui.errorMapButton, panel.errors.error_map),
            (ui.distanceColorsButton, panel.errors.distances),
        ):
            world.press(button)
            world.turn(lambda overlay=overlay: overlay.drawn is not None, 120)
            world.press(button)

    return grown(world, once, "rounds", times=8)


def reviewing_leaves_nothing(world):
    """From case to case and back."""
    from UNetSegmenterLib.engine.io.image_writing import write_volume
    from UNetSegmenterLib.engine.labels.seg_nrrd import write_seg_nrrd
    from UNetSegmenterLib.engine.labels.segmentation_files import write_labelmap
    from UNetSegmenterLib.scene.nodes.segmentation_from_node import segmentation_from_node
    from UNetSegmenterLib.scene.nodes.volume_nodes import volume_from_node

    folder = world.folder / "large test set"
    scan = world.add_scan("Large", slices=SLICES, size=SIZE, spacing_mm=(3.0, 0.4, 0.4))
    node = segmentation_from_node(world.add_segmentation("Ground truth", slices=SLICES, size=SIZE), scan)
    for name in ("a", "b"):
        write_volume(volume_from_node(scan), folder / f"{name}_image.nii.gz")
        write_labelmap(node, folder / f"{name}_label.nii.gz")
        write_seg_nrrd(node, folder / "predictions" / f"{name}.seg.nrrd")
    (folder / "structures.json").write_text('{"structures": {"liver": 1, "spleen": 2}}', encoding="utf-8")
    slicer.mrmlScene.Clear(0)
    world.settle()
    review = world.panel.review
    review.choose(str(folder), "")
    world.turn(lambda: not review.is_busy and len(review.list.cases) == 2, 60)

    def once():
        for number in (0, 1):
            review.open(number)
            world.turn(lambda: not review.is_busy, 120)
            assert review.case is review.list.cases[number], [note.text for note in review.notes]

    text = grown(world, once, "rounds of two cases", times=5)
    world.panel.views.leave()
    return text


def grown(world, once, what, times=20):
    """Do something again and again; how much memory Slicer's process has more after it, as text."""
    for _ in range(3):
        once()  # the first times, libraries and pools fill
    before = memory_mb(world)
    times = 2 if world.quick else times
    for _ in range(times):
        once()
    growth = memory_mb(world) - before
    assert growth < LABELS_MB, f"{growth:.1f} MB more after {times} {what}; the labels of one take {LABELS_MB:.1f} MB"
    return f"{times} {what}: {growth:+.1f} MB, labels {LABELS_MB:.1f} MB"


def memory_mb(world):
    """What this process holds for itself, in MB."""
    if not os.path.exists("/proc/self/statm"):
        raise Skip("memory is read from /proc")
    world.settle(0.1)
    gc.collect()
    with open("/proc/self/statm", encoding="ascii") as file:
        _, resident, shared, *_ = (int(number) for number in file.read().split())
    return (resident - shared) * os.sysconf("SC_PAGE_SIZE") / 1e6


STORIES = (
    two_scans_at_a_time_get_their_own_labels,
    twenty_segmentations_leave_nothing,
    comparing_checking_and_error_views_leave_nothing,
    reviewing_leaves_nothing,
)
