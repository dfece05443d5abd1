"""Section Segment: Apply, progress, Cancel, crash, and what stands in the scene afterwards."""

from __future__ import annotations

import os
import signal
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import slicer
from host.pressing import picture, press, settle, turn
from host.scans import add_scan, body
from PySide6 import QtTest
from UNetSegmenterLib.panel.sections.segment_section import RunState
from UNetSegmenterLib.scene.nodes.segmentation_from_node import structures_of


def segmentations():
    found = slicer.mrmlScene.GetNodesByClass("vtkMRMLSegmentationNode")
    found.UnRegister(None)
    return [found.GetItemAsObject(i) for i in range(found.GetNumberOfItems())]


def choose_model(panel, path):
    panel.model.choose(str(path))
    turn(lambda: panel.model.card is not None and panel.model.path == str(path))
    settle()


def finished(panel):
    turn(lambda: not panel.segment.state.is_busy, 120)
    return panel.segment.state


def words(panel):
    return " ".join(note.text for note in panel.segment.notes)


@pytest.fixture
def large(widget, panel, checkpoints):
    """A scan and a model that take some seconds."""
    add_scan("Large CT", body(64, 256, 256), (1.0, 0.8, 0.8))
    widget.initializeParameterNode()
    choose_model(panel, checkpoints["slow"])
    return panel


def test_apply_puts_a_segmentation_beside_the_scan(widget, ready, scan, checkpoints):
    transform = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "Pose")
    scan.SetAndObserveTransformNodeID(transform.GetID())
    settle()
    picture(widget.parent, "ready")
    press(widget.ui.applyButton)
    assert finished(ready) is RunState.DONE
    (node,) = segmentations()
    segments = node.GetSegmentation()
    card = ready.model.card
    names = [segments.GetNthSegment(i).GetName() for i in range(segments.GetNumberOfSegments())]
    assert names == [structure.name for structure in card.structures]
    assert segments.GetNumberOfLayers("Binary labelmap") == 1
    for found, structure in zip(structures_of(node), card.structures, strict=True):
        assert found.color == structure.color and found.terminology.concept == structure.terminology.concept
    assert node.GetTransformNodeID() == transform.GetID()
    assert node.GetNodeReferenceID("referenceImageGeometryRef") == scan.GetID()
    assert node.GetAttribute("UNetSegmenter.Checkpoint") == card.title
    assert node.GetAttribute("UNetSegmenter.CheckpointSHA256") == ready.model.sha256
    assert node.GetAttribute("UNetSegmenter.Complete") == "true"
    for key in ("Version", "Device", "Seconds"):
        assert node.GetAttribute(f"UNetSegmenter.{key}")
    assert node.GetDisplayNode().GetVisibility3D()
    assert segments.ContainsRepresentation("Closed surface")
    assert f'"{node.GetName()}" in ' in words(ready)
    assert widget.ui.editButton.visible


def test_a_second_run_is_warm_and_stands_beside_or_replaces(widget, ready, scan):
    press(widget.ui.applyButton)
    assert finished(ready) is RunState.DONE
    pid = ready.worker.pid
    press(widget.ui.applyButton)
    assert finished(ready) is RunState.DONE
    assert ready.worker.pid == pid, "the worker was started again"
    first, second = segmentations()
    assert first.GetName() != second.GetName()
    widget.ui.outputSelector.setCurrentNode(first)
    press(widget.ui.applyButton)
    assert finished(ready) is RunState.DONE
    assert segmentations() == [first, second]
    assert ready.segment.result.node is first


def test_somebody_elses_segmentation_is_not_replaced_without_asking(widget, ready, scan):
    truth = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "Ground truth")
    truth.GetSegmentation().AddEmptySegment("", "liver")
    widget.ui.outputSelector.setCurrentNode(truth)
    questions = []
    ready.ask = lambda question: bool(questions.append(question))
    press(widget.ui.applyButton)
    settle()
    assert "was not made by UNetSegmenter" in questions[0]
    assert ready.segment.state is RunState.IDLE and "left as it is" in words(ready)
    assert truth.GetSegmentation().GetNumberOfSegments() == 1
    ready.ask = lambda question: True
    press(widget.ui.applyButton)
    assert finished(ready) is RunState.DONE
    assert truth.GetSegmentation().GetNumberOfSegments() == 8
    assert truth.GetName() == "Ground truth"


def test_progress_in_a_panel_that_stays_alive(widget, large):
    texts = []
    press(widget.ui.applyButton)
    assert widget.ui.applyButton.text == "Cancel"
    assert not widget.ui.inputSelector.enabled
    turn(lambda: large.segment.state is RunState.RUNNING, 60)
    while large.segment.state.is_busy and widget.ui.progressBar.value < 40:
        settle(0.02)
        texts.append(widget.ui.progressLabel.text)
    picture(widget.parent, "running")
    assert finished(large) is RunState.DONE
    assert len(set(texts)) > 2, "the event loop turned while slices were done"
    assert any("of 64 slices" in text and "left" in text and "slice" in text for text in texts)
    assert widget.ui.applyButton.text == "Apply" and not widget.ui.progressBar.visible


def test_cancel_keeps_what_is_finished_and_marks_it(widget, large):
    press(widget.ui.applyButton)
    turn(lambda: widget.ui.progressBar.value >= 8, 60)
    press(widget.ui.applyButton)
    assert large.segment.state is RunState.CANCELLING or large.segment.state is RunState.CANCELLED
    assert finished(large) is RunState.CANCELLED
    (node,) = segmentations()
    assert "(partial: " in node.GetName()
    assert node.GetAttribute("UNetSegmenter.Complete") == "false"
    assert "marked as partial" in words(large)
    settle()
    assert node.GetDisplayNode().GetVisibility3D()
    picture(widget.parent, "cancelled")
    press(widget.ui.applyButton)  # and the next run is as good as any
    turn(lambda: widget.ui.progressBar.value >= 4, 60)
    widget.ui.keepPartialCheckBox.setChecked(False)


def test_cancel_may_keep_nothing(widget, large):
    widget.ui.keepPartialCheckBox.setChecked(False)
    press(widget.ui.applyButton)
    turn(lambda: widget.ui.progressBar.value >= 4, 60)
    press(widget.ui.applyButton)
    assert finished(large) is RunState.CANCELLED
    assert segmentations() == [] and "not kept" in words(large)


def test_cancel_before_the_first_slice(widget, large):
    press(widget.ui.applyButton)
    press(widget.ui.applyButton)
    assert finished(large) is RunState.CANCELLED
    assert segmentations() == []


def test_a_worker_that_does_not_obey_is_killed_and_its_slices_kept(widget, large):
    press(widget.ui.applyButton)
    turn(lambda: widget.ui.progressBar.value >= 8, 60)
    os.kill(large.worker.pid, signal.SIGSTOP)
    press(widget.ui.applyButton)
    assert finished(large) is RunState.CANCELLED
    (node,) = segmentations()
    assert "(partial: " in node.GetName()


def test_a_killed_worker_leaves_scene_and_panel_whole(widget, large):
    before = slicer.mrmlScene.GetNumberOfNodes()
    widget.ui.keepPartialCheckBox.setChecked(False)
    press(widget.ui.applyButton)
    turn(lambda: widget.ui.progressBar.value >= 4, 60)
    os.kill(large.worker.pid, signal.SIGKILL)
    assert finished(large) is RunState.CRASHED
    assert "ended unexpectedly" in words(large)
    assert slicer.mrmlScene.GetNumberOfNodes() == before
    assert widget.ui.applyButton.enabled
    press(widget.ui.applyButton)
    turn(lambda: widget.ui.progressBar.value >= 4, 60)


def test_a_crash_shows_the_last_lines_behind_details(widget, ready, scan, monkeypatch, tmp_path):
    """A worker whose torch is broken: the reason is one line, what it wrote is one press away."""
    (tmp_path / "torch.py").write_text("raise OSError('libtorch_cpu.so: cannot open shared object file')")
    ready.worker.close()
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    press(widget.ui.applyButton)
    assert finished(ready) is RunState.CRASHED
    assert "libtorch_cpu.so" in words(ready)
    assert not widget.ui.detailsText.visible
    press(widget.ui.detailsButton)
    assert "Traceback" in widget.ui.detailsText.plainText
    picture(widget.parent, "crashed")
    ready.worker.close()  # the next test gets a worker that is whole


def test_the_scan_vanishes_or_changes_during_a_run(widget, large, checkpoints):
    press(widget.ui.applyButton)
    turn(lambda: widget.ui.progressBar.value >= 4, 60)
    node = widget.ui.inputSelector.currentNode()
    slicer.util.updateVolumeFromArray(node, body(64, 256, 256, seed=1))
    assert finished(large) is RunState.DONE
    assert "was changed during the run" in words(large)
    press(widget.ui.applyButton)
    turn(lambda: widget.ui.progressBar.value >= 4, 60)
    slicer.mrmlScene.RemoveNode(node)
    assert finished(large) is RunState.CRASHED
    assert "The scan was removed" in words(large) or "the scan was removed" in words(large).lower()
    assert len(segmentations()) == 1


def test_closing_the_scene_ends_the_run_and_the_worker(widget, large):
    press(widget.ui.applyButton)
    turn(lambda: widget.ui.progressBar.value >= 4, 60)
    pid, folder = large.worker.pid, large.worker.folder
    slicer.mrmlScene.Clear(0)
    settle(0.3)
    assert large.segment.state is RunState.IDLE
    assert segmentations() == []
    assert not alive(pid)
    assert not folder.exists()


def test_closing_the_scene_keeps_an_idle_worker_and_its_model(widget, ready, scan):
    press(widget.ui.applyButton)
    assert finished(ready) is RunState.DONE
    pid = ready.worker.pid
    slicer.mrmlScene.Clear(0)
    settle(0.3)
    assert alive(pid) and not list(ready.worker.folder.iterdir())
    add_scan()
    widget.initializeParameterNode()
    settle()
    press(widget.ui.applyButton)
    assert finished(ready) is RunState.DONE and ready.worker.pid == pid


def test_closing_the_scene_ends_a_worker_that_computes_a_probability(widget, large):
    press(widget.ui.probabilityButton)
    turn(lambda: "probability" in large.worker.requests, 60)
    pid, folder = large.worker.pid, large.worker.folder
    slicer.mrmlScene.Clear(0)
    settle(0.3)
    assert not alive(pid) and not folder.exists() and not widget.ui.probabilityButton.checked


def test_closing_the_scene_lets_the_worker_go_on_reading_a_model(widget, ready, checkpoints):
    pid = ready.worker.pid
    os.kill(pid, signal.SIGSTOP)
    ready.model.choose(str(checkpoints["slow"]))
    turn(lambda: ready.worker.requests == ("describe",), 60)
    slicer.mrmlScene.Clear(0)
    os.kill(pid, signal.SIGCONT)
    turn(lambda: ready.model.card is not None, 60)
    assert ready.worker.pid == pid and ready.model.path == str(checkpoints["slow"])


def test_a_worker_that_dies_of_a_forgotten_request_takes_no_other_with_it(widget, ready, checkpoints):
    pid, answers, failures = ready.worker.pid, [], []
    os.kill(pid, signal.SIGSTOP)
    path = str(checkpoints["good"])
    ready.worker.forget(ready.worker.request("describe", answers.append, failures.append, checkpoint=path))
    assert ready.worker.requests == ("describe",), "it is at work until it has answered"
    ready.worker.request("describe", answers.append, failures.append, checkpoint=path)
    os.kill(pid, signal.SIGKILL)
    turn(lambda: answers or failures, 60)
    assert not failures and len(answers) == 1 and ready.worker.requests == () and ready.worker.pid != pid


def test_the_result_goes_to_the_segment_editor(widget, ready, scan):
    opened = []
    ready.segment.open_editor = lambda *nodes: opened.append(nodes)
    press(widget.ui.applyButton)
    assert finished(ready) is RunState.DONE
    press(widget.ui.editButton)
    assert opened == [(segmentations()[0], scan)]


def test_a_full_disk_is_said_in_one_sentence(widget, ready, scan, monkeypatch):
    job_folder = ready.worker.job_folder

    @contextmanager
    def on_a_full_disk(name):
        with job_folder(name) as folder:
            (folder / "image.raw").symlink_to("/dev/full")
            yield folder

    monkeypatch.setattr(ready.worker, "job_folder", on_a_full_disk)
    press(widget.ui.applyButton)
    assert finished(ready) is RunState.CRASHED
    assert "No space left on device" in words(ready) and "free some space" in words(ready)
    assert segmentations() == [] and not list(ready.worker.folder.iterdir())


def test_apply_by_keyboard(widget, ready, scan):
    from PySide6 import QtCore

    widget.ui.applyButton.setFocus()
    QtTest.QTest.keyClick(widget.ui.applyButton, QtCore.Qt.Key_Space)
    assert finished(ready) is RunState.DONE


def test_nothing_is_left_behind(widget, ready, scan):
    press(widget.ui.applyButton)
    assert finished(ready) is RunState.DONE
    folder = ready.worker.folder
    assert not list(folder.iterdir()), "scan and labels should go when they are read"
    pid = ready.worker.pid
    ready.worker.close()
    settle(0.2)
    assert not folder.exists() and not alive(pid)


def alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def test_labels_and_confidence_are_those_of_the_engine(widget, ready, scan, checkpoints, tmp_path):
    from UNetSegmenterLib.engine.model.checkpoint import load_checkpoint, save_checkpoint
    from UNetSegmenterLib.engine.model.prediction import Predictor
    from UNetSegmenterLib.scene.nodes.segmentation_from_node import segmentation_from_node
    from UNetSegmenterLib.scene.nodes.volume_nodes import volume_from_node

    untrained = load_checkpoint(checkpoints["good"])
    lively = {**untrained.weights[0], "exit.weight": 300 * untrained.weights[0]["exit.weight"].float()}
    save_checkpoint(tmp_path / "lively.pt", untrained.card, lively, half=False)  # more than one structure wins
    choose_model(ready, tmp_path / "lively.pt")
    press(widget.ui.applyButton)
    assert finished(ready) is RunState.DONE
    expected = Predictor(load_checkpoint(tmp_path / "lively.pt"), "cpu").predict(volume_from_node(scan)).segmentation
    found = segmentation_from_node(segmentations()[0], scan)
    assert found.geometry.is_close(expected.geometry)
    assert np.mean(found.labels == expected.labels) > 0.999
    assert len(expected.confidence) > 1
    assert found.confidence == {index: pytest.approx(value, abs=1e-2) for index, value in expected.confidence.items()}
