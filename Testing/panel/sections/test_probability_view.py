"""Show probability of a structure: a volume over the scan in the slices, and everything as before when it goes."""

from __future__ import annotations

import numpy as np
import pytest
import slicer
from host.pressing import press, settle, turn
from UNetSegmenterLib.scene.nodes.scene_nodes import nodes_of_class


@pytest.fixture
def lively(ready, checkpoints, tmp_path):
    """A network that is sure here and unsure there."""
    from UNetSegmenterLib.engine.model.checkpoint import load_checkpoint, save_checkpoint

    untrained = load_checkpoint(checkpoints["good"])
    weights = {**untrained.weights[0], "exit.weight": 3000 * untrained.weights[0]["exit.weight"].float()}
    path = tmp_path / "lively.pt"
    save_checkpoint(path, untrained.card, weights, half=False)
    ready.model.choose(str(path))
    turn(lambda: ready.model.path == str(path) and ready.model.card is not None)
    settle()
    return ready


def composites(scan):
    nodes = nodes_of_class(slicer.mrmlScene, "vtkMRMLSliceCompositeNode")
    return [node for node in nodes if node.GetBackgroundVolumeID() == scan.GetID()]


def show(widget, panel, structure="liver"):
    box = widget.ui.probabilityComboBox
    box.setCurrentIndex(box.findText(structure))
    press(widget.ui.probabilityButton)
    turn(lambda: not panel.probability.is_busy)
    return panel.probability.shown


def test_a_structure_is_shown_in_percent_and_taken_away(widget, lively, scan):
    other = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "PET")
    slicer.util.setSliceViewerLayers(background=scan, foreground=other, foregroundOpacity=0.3)
    views = composites(scan)
    assert views and widget.ui.probabilityButton.enabled
    press(widget.ui.applyButton)
    turn(lambda: not lively.segment.state.is_busy)
    result = lively.segment.result.node
    found = {}
    for structure in lively.model.card.structures:
        segment = result.GetSegmentation().GetSegmentIdBySegmentName(structure.name)
        found[structure.name] = slicer.util.arrayFromSegmentBinaryLabelmap(result, segment, scan)
    name, labels = max(found.items(), key=lambda one: one[1].sum())
    before = slicer.mrmlScene.GetNumberOfNodes()
    node = show(widget, lively, name)
    assert node is not None, lively.probability.notes
    array = slicer.util.arrayFromVolume(node)
    assert array.shape == slicer.util.arrayFromVolume(scan).shape and array.dtype == np.uint8
    sure = array > 55
    assert array.max() <= 100 and sure.any() and labels[sure].all() and not labels[array == 0].any()
    assert name in node.GetName() and node.GetTransformNodeID() == scan.GetTransformNodeID()
    assert all(view.GetForegroundVolumeID() == node.GetID() for view in views)
    assert "has 50 % or more in" in lively.probability.notes[0].text
    press(widget.ui.probabilityButton)
    assert lively.probability.shown is None and not lively.probability.notes
    assert all(view.GetForegroundVolumeID() == other.GetID() for view in views)
    assert all(abs(view.GetForegroundOpacity() - 0.3) < 1e-6 for view in views)
    assert node.GetScene() is None and slicer.mrmlScene.GetNumberOfNodes() == before


def test_another_structure_replaces_it_and_another_model_ends_it(widget, lively, scan, checkpoints):
    slicer.util.setSliceViewerLayers(background=scan)
    first = show(widget, lively)
    box = widget.ui.probabilityComboBox
    box.setCurrentIndex(box.findText("spleen"))
    turn(lambda: not lively.probability.is_busy)
    second = lively.probability.shown
    assert "spleen" in second.GetName() and first.GetScene() is None
    lively.model.choose(str(checkpoints["other"]))
    settle(0.4)
    turn(lambda: lively.model.card is not None)
    assert lively.probability.shown is None and not widget.ui.probabilityButton.checked and second.GetScene() is None
    assert [box.itemText(i) for i in range(box.count)] == ["liver", "spleen"]


def test_it_is_removed_by_hand_and_with_the_scene(widget, lively, scan, new_scene):
    slicer.util.setSliceViewerLayers(background=scan)
    node = show(widget, lively)
    slicer.mrmlScene.RemoveNode(node)
    assert not widget.ui.probabilityButton.checked
    assert all(not view.GetForegroundVolumeID() for view in composites(scan))
    show(widget, lively)
    new_scene()
    assert lively.probability.shown is None and not widget.ui.probabilityButton.checked


def test_it_is_cancelled_by_its_button_and_says_why_it_cannot_be_pressed(widget, panel, scan, checkpoints):
    assert "Choose a checkpoint" in widget.ui.probabilityButton.toolTip
    panel.model.choose(str(checkpoints["slow"]))
    turn(lambda: panel.model.card is not None)
    settle()
    press(widget.ui.probabilityButton)
    turn(lambda: panel.worker.queue.names == ("CT",))
    assert panel.probability.is_busy and widget.ui.probabilityProgressBar.visible
    press(widget.ui.probabilityButton)
    assert not panel.probability.is_busy and panel.worker.queue.names == ()
    turn(lambda: not panel.worker.requests)


def test_a_failure_is_said_and_the_button_is_up_again(widget, lively, scan):
    press(widget.ui.probabilityButton)
    turn(lambda: "probability" in lively.worker.requests)
    lively.worker.kill()
    turn(lambda: not lively.probability.is_busy)
    assert not widget.ui.probabilityButton.checked and lively.probability.notes[0].severity == "error"
