"""Stories of what is on screen: results far from the origin are seen in any orientation, at both sizes of the window."""

from __future__ import annotations

import numpy as np
import slicer
from eyes import assert_seen, assert_side_by_side, assert_slices_meet, need_views, settle_views
from world import DIRECTIONS

FOUR_UP = ("Red", "Green", "Yellow")


def the_views_show_the_result(world):
    """Nobody moves a camera: the result is inside the 3D view and fills at least a third of it."""
    scan, result = segmented(world)
    for _ in world.at_each_size():
        settle_views(world)
        assert_result_is_seen(scan, result)


def scans_that_lie_in_any_way_are_seen(world):
    """Tilted, oblique and flipped: segmented, seen in Slicer's own views and side by side with the ground truth."""
    for lies in DIRECTIONS:
        scan, result = segmented(world, name=lies, lies=lies)
        settle_views(world)
        assert_result_is_seen(scan, result)
        compare_side_by_side(world, scan, result)
        world.picture(f"scan-{lies}")
        world.press(world.ui.sideBySideButton)
        slicer.mrmlScene.Clear(0)
        world.settle()


def slices_of_full_size_are_segmented_and_seen(world):
    """512 x 512 pixels, as scanners have them, but few slices."""
    scan, result = segmented(world, slices=6, size=512, spacing_mm=(5.0, 0.75, 0.75))
    settle_views(world)
    assert_result_is_seen(scan, result)
    compare_side_by_side(world, scan, result)
    world.press(world.ui.sideBySideButton)
    assert slicer.util.arrayFromVolume(scan).shape == (6, 512, 512)


def the_scene_is_closed_and_work_goes_on(world):
    """The views were side by side; the next scan lies elsewhere. The model stays, Apply works, the result is seen."""
    scan, result = segmented(world)
    compare_side_by_side(world, scan, result)
    slicer.mrmlScene.Clear(0)
    world.settle(0.5)
    assert not world.panel.views.is_shown and not world.segmentations()
    assert world.panel.model.path == str(world.checkpoint("tiny")) and world.panel.model.card, "the model stays"
    slicer.app.layoutManager().setLayout(slicer.vtkMRMLLayoutNode.SlicerLayoutFourUpView)
    scan = world.add_scan("Next", center=(90.0, 40.0, -560.0))
    assert world.apply() == "done", world.words()
    (result,) = world.segmentations()
    settle_views(world)
    assert_result_is_seen(scan, result)
    compare_side_by_side(world, scan, result)


def a_nameless_structure_is_matched_by_overlap_when_asked(world):
    """A spleen that somebody else wrote as "Segment_1", value 1, is not taken for the liver, whose value that is here."""
    world.add_scan()
    prediction = world.add_segmentation("Prediction")
    for make in (nameless_segmentation, nameless_label_map):
        reference, ui = make(world), world.ui
        ui.predictionSelector.setCurrentNode(prediction)
        ui.referenceSelector.setCurrentNode(reference)
        world.settle()
        world.press(ui.compareButton)
        world.turn(lambda: not world.panel.compare.is_busy, 60)
        comparison = world.panel.compare.comparison
        assert [row.status for row in comparison.rows] == ["unmatched"] * 3, [row.structure for row in comparison.rows]
        (proposal,) = comparison.proposals
        assert proposal.prediction == "spleen" and proposal.dice == 1, proposal
        assert ui.proposalFrame.isVisible() and "spleen" in ui.proposalLabel.text, ui.proposalLabel.text
        world.picture(f"15-proposal-{reference.GetName()}")
        world.press(ui.proposalButton)
        world.turn(lambda: not world.panel.compare.is_busy, 60)
        rows = {row.structure: row for row in world.panel.compare.comparison.rows}
        (matched,) = [row for row in rows.values() if row.measures is not None and row.matched]
        assert matched.prediction.name == "spleen" and matched.measures.dice == 1 and matched.matched == "by hand"
        assert not ui.proposalFrame.isVisible()
        world.press(ui.matchResetButton)
        world.turn(lambda: not world.panel.compare.is_busy, 60)


# --- what they share ---


def segmented(world, **scan):
    """A scan and its result in Slicer's usual layout."""
    need_views()
    slicer.app.layoutManager().setLayout(slicer.vtkMRMLLayoutNode.SlicerLayoutFourUpView)
    world.choose("tiny")
    node = world.add_scan(**scan)
    assert world.apply() == "done", world.words()
    (result,) = world.segmentations()
    return node, result


def assert_result_is_seen(scan, result):
    assert_seen([result], ["1"])
    assert_slices_meet(scan, FOUR_UP)


def compare_side_by_side(world, scan, result):
    """The result beside itself as ground truth, looked at in both sizes of the window."""
    labels = slicer.util.arrayFromVolume(scan)
    reference = world.add_segmentation("Ground truth", slices=labels.shape[0], size=labels.shape[1])
    world.ui.predictionSelector.setCurrentNode(result)
    world.ui.referenceSelector.setCurrentNode(reference)
    world.settle()
    world.press(world.ui.sideBySideButton)
    for _ in world.at_each_size():
        settle_views(world)
        assert_side_by_side(scan, [result, reference])


def nameless_segmentation(world):
    node = world.add_segmentation("Foreign")
    segments = node.GetSegmentation()
    segments.RemoveSegment(segments.GetSegmentIdBySegmentName("liver"))
    segment = segments.GetNthSegment(0)
    segment.SetName("Segment_1")
    segment.RemoveTag(slicer.vtkSegment.GetTerminologyEntryTagName())
    segment.SetTag("UNetSegmenter.SourceValues", "1")
    return node


def nameless_label_map(world):
    scan = slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLScalarVolumeNode")
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode", "Foreign labels")
    node.CopyOrientation(scan)
    labels = np.zeros(slicer.util.arrayFromVolume(scan).shape, np.int16)
    labels[4:-4, 30:50, 60:80] = 1  # the spleen of `add_segmentation`
    slicer.util.updateVolumeFromArray(node, labels)
    return node


STORIES = (
    the_views_show_the_result,
    scans_that_lie_in_any_way_are_seen,
    slices_of_full_size_are_segmented_and_seen,
    the_scene_is_closed_and_work_goes_on,
    a_nameless_structure_is_matched_by_overlap_when_asked,
)
