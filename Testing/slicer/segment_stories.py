"""Stories of a segmentation: Apply, its result, its worker, its end, scripts, and the correction by hand."""

from __future__ import annotations

import os
import time

import slicer
from world import Skip, Stalls


def apply_puts_anatomy_beside_the_scan(world):
    from UNetSegmenterLib.scene.nodes.segmentation_from_node import segmentation_from_node

    world.choose("tiny")
    scan = world.add_scan()
    transform = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "Pose")
    scan.SetAndObserveTransformNodeID(transform.GetID())
    world.picture("3-ready")
    started = time.perf_counter()
    assert world.apply() == "done", world.words()
    seconds = time.perf_counter() - started
    (node,) = world.segmentations()
    assert [structure.name for structure in segmentation_from_node(node, scan).structures] == ["liver", "spleen"]
    assert node.GetTransformNodeID() == transform.GetID()
    assert node.GetNodeReferenceID("referenceImageGeometryRef") == scan.GetID()
    assert node.GetSegmentation().ContainsRepresentation("Closed surface") and node.GetDisplayNode().GetVisibility3D()
    assert node.GetAttribute("UNetSegmenter.CheckpointSHA256") == world.panel.model.sha256
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)
    if hierarchy is not None and hierarchy.GetItemByDataNode(scan):
        parents = {hierarchy.GetItemParent(hierarchy.GetItemByDataNode(one)) for one in (scan, node)}
        assert len(parents) == 1
    world.picture("7-done")
    return f"{seconds:.1f} s from Apply to the node"


def a_second_run_is_warm_and_stands_beside_or_replaces(world):
    world.choose("tiny")
    world.add_scan()
    assert world.apply() == "done"
    pid = world.panel.worker.pid
    started = time.perf_counter()
    assert world.apply() == "done"
    seconds = time.perf_counter() - started
    assert world.panel.worker.pid == pid
    first, _second = world.segmentations()
    world.ui.outputSelector.setCurrentNode(first)
    assert world.apply() == "done"
    assert world.panel.segment.result.node is first and len(world.segmentations()) == 2
    return f"{seconds:.2f} s for a second run"


def somebodys_segmentation_is_not_replaced_without_asking(world):
    world.choose("tiny")
    world.add_scan()
    truth = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "Ground truth")
    truth.GetSegmentation().AddEmptySegment("", "liver")
    world.ui.outputSelector.setCurrentNode(truth)
    questions = []
    world.panel.ask = lambda question: bool(questions.append(question))
    world.press(world.ui.applyButton)
    world.settle()
    assert "Ground truth" in questions[0] and truth.GetSegmentation().GetNumberOfSegments() == 1


def a_run_leaves_the_application_alive_and_can_be_cancelled(world):
    world.choose("slow")
    world.add_scan("Large", slices=240, size=384, spacing_mm=(1.0, 0.8, 0.8))
    world.ui.deviceComboBox.setCurrentText("cpu")
    world.settle()
    stalls = Stalls()
    world.press(world.ui.applyButton)
    assert world.ui.applyButton.text == "Cancel"
    world.turn(lambda: world.panel.segment.state.value == "running" and world.ui.progressBar.value >= 8, 120)
    stalls.stop()
    assert "of 240 slices" in world.ui.progressLabel.text
    world.picture("4-running")
    started = time.perf_counter()
    world.press(world.ui.applyButton)
    world.turn(lambda: not world.panel.segment.state.is_busy, 30)
    seconds = time.perf_counter() - started
    assert world.panel.segment.state.value == "cancelled", world.words()
    (node,) = world.segmentations()
    assert "(partial" in node.GetName() and node.GetAttribute("UNetSegmenter.Complete") == "false"
    world.picture("5-cancelled")
    return f"longest stall {stalls.longest_ms:.0f} ms (goal 100 ms), cancel {seconds:.2f} s (goal 1 s)"


def a_killed_worker_leaves_the_scene_whole(world):
    world.choose("slow")
    world.add_scan("Large", slices=120, size=384, spacing_mm=(1.0, 0.8, 0.8))
    world.ui.deviceComboBox.setCurrentText("cpu")
    world.ui.keepPartialCheckBox.setChecked(False)
    before = slicer.mrmlScene.GetNumberOfNodes()
    world.press(world.ui.applyButton)
    world.turn(lambda: world.ui.progressBar.value >= 4 and world.panel.segment.state.value == "running", 120)
    os.kill(world.panel.worker.pid, 9)
    world.turn(lambda: not world.panel.segment.state.is_busy, 30)
    assert world.panel.segment.state.value == "crashed"
    assert "ended unexpectedly" in world.words()
    assert slicer.mrmlScene.GetNumberOfNodes() == before
    assert world.ui.applyButton.isEnabled()
    world.picture("6-crashed")


def closing_the_scene_ends_the_worker(world):
    world.choose("slow")
    world.add_scan("Large", slices=120, size=384, spacing_mm=(1.0, 0.8, 0.8))
    world.press(world.ui.applyButton)
    world.turn(lambda: "segment" in world.panel.worker.requests, 60)  # idle or reading, it stays
    folder = world.panel.worker.folder
    slicer.mrmlScene.Clear(0)
    world.settle(0.5)
    assert not world.panel.worker.is_running and not folder.exists()
    assert world.panel.segment.state.value == "idle" and not world.segmentations()


def the_model_and_the_options_outlive_the_scene(world):
    world.choose("tiny")
    world.ui.deviceComboBox.setCurrentText("cpu")
    slicer.mrmlScene.Clear(0)
    world.settle()
    assert world.panel.model.path == str(world.checkpoint("tiny")) and world.ui.deviceComboBox.currentText == "cpu"
    world.add_scan()
    world.press(world.ui.applyButton)
    world.turn(lambda: not world.panel.segment.state.is_busy, 120)
    assert world.panel.segment.result.node is not None
    world.panel.model.choose("")
    world.let_choose_a_model()
    slicer.mrmlScene.Clear(0)
    world.settle()
    assert world.panel.model.path == str(world.checkpoint("tiny")), "used last"


def apply_is_pressed_while_the_model_is_read(world):
    world.add_scan()
    world.panel.model.choose(str(world.checkpoint("tiny")))
    world.press(world.ui.applyButton)
    assert world.panel.segment.is_waiting and world.ui.applyButton.text == "Cancel"
    world.turn(lambda: not world.panel.segment.state.is_busy, 120)
    assert world.panel.segment.result.node is not None


def the_panel_keeps_its_width_and_shows_apply(world):
    from UNetSegmenterLib.engine.model.checkpoint import shipped_checkpoints

    world.add_scan("A name that is much longer than the panel is wide " * 3)
    widths = [world.wanted_width()]
    world.panel.model.choose(str(shipped_checkpoints()[0]))
    world.turn(lambda: world.panel.model.card)
    world.settle()
    widths.append(world.wanted_width())
    world.panel.model.card_frame.more.click()
    world.settle()
    widths.append(world.wanted_width())
    world.panel.model.card_frame.more.click()
    assert max(widths) <= 400, widths
    if world.window() is not None:
        for size in world.at_each_size():
            assert not world.ui.applyButton.visibleRegion().isEmpty(), f"{size}: Apply is to be seen without scrolling"
    return f"{widths} pixels"


def choices_come_back_with_the_scene(world):
    if not hasattr(slicer.app, "coreIOManager"):
        raise Skip("scenes are not saved here")
    world.choose("tiny")
    scan = world.add_scan("Saved")
    prediction, truth = world.add_segmentation("Prediction", shift=3), world.add_segmentation("Ground truth")
    world.ui.predictionSelector.setCurrentNode(prediction)
    world.ui.referenceSelector.setCurrentNode(truth)
    world.ui.keepPartialCheckBox.setChecked(False)
    world.settle()
    before = slicer.app.layoutManager().layout
    world.press(world.ui.sideBySideButton)
    world.settle()
    path = world.folder / "saved.mrb"
    assert slicer.util.saveScene(str(path))
    world.empty()
    slicer.util.loadScene(str(path))
    world.turn(lambda: world.panel.model.card)
    world.settle()
    assert world.panel.model.path == str(world.checkpoint("tiny"))
    assert world.ui.inputSelector.currentNode().GetName() == scan.GetName() and not world.ui.keepPartialCheckBox.checked
    assert world.ui.referenceSelector.currentNode().GetName() == truth.GetName()
    display = world.ui.predictionSelector.currentNode().GetDisplayNode()
    assert not display.GetNumberOfViewNodeIDs() and slicer.app.layoutManager().layout < 1000, "saved while side by side"
    slicer.app.layoutManager().setLayout(before)


def scripting_without_the_panel(world):
    logic = slicer.util.getModuleLogic("UNetSegmenter")
    scan = world.add_scan()
    segmentation = logic.segment(scan, world.checkpoint("tiny"), device="cpu")
    assert segmentation.GetSegmentation().GetNumberOfSegments() == 2
    rows = logic.compare(segmentation, segmentation, scan).rows
    measured = [row.measures.dice for row in rows if row.measures is not None]
    assert measured and all(dice == 1 for dice in measured)
    for arguments, words in (((None, "x.pt"), "no scan"), ((scan, "/nowhere.pt"), "no such file")):
        try:
            logic.segment(*arguments)
        except ValueError as error:
            assert words in str(error).lower(), error
        else:
            raise AssertionError(f"{arguments} should be refused")


def the_self_test_passes(world):
    import UNetSegmenter

    UNetSegmenter.UNetSegmenterTest().runTest()


def the_result_goes_to_the_segment_editor(world):
    world.need("SegmentEditor")
    world.choose("tiny")
    scan = world.add_scan()
    assert world.apply() == "done"
    result = world.panel.segment.result.node
    world.press(world.ui.editButton)
    world.settle(0.5)
    editor = slicer.util.getModuleWidget("SegmentEditor").editor
    copy = editor.segmentationNode()
    assert copy is not result and "corrected" in copy.GetName() and editor.sourceVolumeNode() is scan
    world.picture("8-segment-editor") if slicer.util.mainWindow() else None
    segment_id = copy.GetSegmentation().GetNthSegmentID(0)
    array = slicer.util.arrayFromSegmentBinaryLabelmap(copy, segment_id, scan).copy()
    array[:2, :5, :5] = 1
    slicer.util.updateSegmentBinaryLabelmapFromArray(array, copy, segment_id, scan)
    slicer.util.selectModule("UNetSegmenter")
    world.settle()
    assert world.ui.predictionSelector.currentNode() is copy and copy.GetAttribute("UNetSegmenter.CorrectedTime")
    assert result.GetSegmentation().GetNumberOfSegments() == copy.GetSegmentation().GetNumberOfSegments()
    folder = world.folder / "Dataset001"
    world.ui.trainingFolderPathLineEdit.setCurrentPath(str(folder))
    world.ui.caseNameLineEdit.setText("story")
    world.settle()
    world.press(world.ui.saveCaseButton)
    world.turn(lambda: not world.panel.correct.is_busy, 60)
    assert (folder / "imagesTr" / "story_0000.nii.gz").exists() and (folder / "labelsTr" / "story.nii.gz").exists()


STORIES = (
    apply_puts_anatomy_beside_the_scan,
    a_second_run_is_warm_and_stands_beside_or_replaces,
    somebodys_segmentation_is_not_replaced_without_asking,
    a_run_leaves_the_application_alive_and_can_be_cancelled,
    a_killed_worker_leaves_the_scene_whole,
    closing_the_scene_ends_the_worker,
    the_model_and_the_options_outlive_the_scene,
    apply_is_pressed_while_the_model_is_read,
    the_panel_keeps_its_width_and_shows_apply,
    choices_come_back_with_the_scene,
    scripting_without_the_panel,
    the_self_test_passes,
    the_result_goes_to_the_segment_editor,
)
