"""Two scans that are segmented at a time: each gets its own labels, whatever happens to the other."""

from __future__ import annotations

import os
import signal

import numpy as np
import pytest
import slicer
from host.pressing import press, settle, turn
from host.scans import add_scan, body
from UNetSegmenterLib.engine.errors import InputError
from UNetSegmenterLib.panel.jobs.scripting import describe_checkpoint
from UNetSegmenterLib.panel.sections.segment_section import RunState
from UNetSegmenterLib.scene.nodes.segmentation_from_node import segmentation_from_node


@pytest.fixture(scope="module")
def lively(checkpoints, tmp_path_factory):
    """A network whose labels tell one scan from another."""
    from UNetSegmenterLib.engine.model.checkpoint import load_checkpoint, save_checkpoint

    untrained = load_checkpoint(checkpoints["good"])
    (weights,) = untrained.weights
    weights = {**weights, "exit.weight": 300 * weights["exit.weight"].float()}
    path = tmp_path_factory.mktemp("lively") / "lively.pt"
    save_checkpoint(path, untrained.card, weights, half=False)
    return str(path)


@pytest.fixture
def logic(widget):
    return widget.logic


@pytest.fixture
def scans(widget):
    """Two scans of one grid, so that nothing but their voxels tells them apart; large enough to be stopped midway."""
    pair = add_scan("Scan A", body(160, 96, 128)), add_scan("Scan B", body(160, 96, 128, seed=1)[:, ::-1])
    widget.initializeParameterNode()
    settle()
    return pair


@pytest.fixture
def expected(logic, scans, lively):
    """The labels of each scan when it is segmented alone, by name."""
    found = {}
    for scan in scans:
        node = logic.segment(scan, lively, device="cpu", surfaces=False)
        found[scan.GetName()] = labels(node, scan)
        slicer.mrmlScene.RemoveNode(node)
    one, other = found.values()
    assert len(np.unique(one)) > 2 and np.mean(one != other) > 0.01, "the scans' labels must differ to prove anything"
    return found


def labels(node, scan):
    return segmentation_from_node(node, scan).labels


class Started:
    """A job of the scripting interface and what became of it."""

    def __init__(self, logic, scan, checkpoint, **options):
        self.scan, self.results, self.progress, self.stages = scan, [], [], []
        self.job = logic.startSegment(
            scan, checkpoint, device="cpu", surfaces=False, onEnd=self.results.append,
            onProgress=self.progress.append, onStage=self.stages.append, **options,
        )  # fmt: skip

    @property
    def result(self):
        turn(lambda: self.results, 120)
        settle(0.05)
        (result,) = self.results
        return result

    def is_right(self, expected):
        assert self.result.failure is None, self.result.failure
        assert np.array_equal(labels(self.result.node, self.scan), expected[self.scan.GetName()])
        assert self.result.node.GetNodeReferenceID("referenceImageGeometryRef") == self.scan.GetID()


def nothing_is_left(logic):
    settle(0.05)
    assert logic.worker.queue.names == ()
    assert not list(logic.worker.folder.iterdir()), "each job takes its folder along"


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_two_scans_each_get_their_own_labels(logic, scans, lively, expected, order):
    first, second = (Started(logic, scans[number], lively) for number in order)
    first.is_right(expected)
    second.is_right(expected)
    assert any(f'"{first.scan.GetName()}"' in text for text in second.stages), "a job that waits says for what"
    assert not any("Waits" in text for text in first.stages)
    nothing_is_left(logic)


def test_the_panel_and_a_script_wait_for_each_other(widget, logic, scans, lively, expected):
    panel = widget.panel
    panel.model.choose(lively)
    turn(lambda: panel.model.card is not None)
    widget.ui.inputSelector.setCurrentNode(scans[1])
    settle()
    script = Started(logic, scans[0], lively)
    press(widget.ui.applyButton)
    assert 'Waits until "Scan A" is segmented' in widget.ui.progressLabel.text
    third = Started(logic, scans[0], lively)
    turn(lambda: not panel.segment.state.is_busy, 120)
    assert panel.segment.state is RunState.DONE
    script.is_right(expected)
    third.is_right(expected)
    assert np.array_equal(labels(panel.segment.result.node, scans[1]), expected["Scan B"])
    assert any('"Scan A", "Scan B" are' in text for text in third.stages)
    nothing_is_left(logic)


def test_the_other_sections_know_of_a_script(widget, logic, scans, lively):
    script = Started(logic, scans[0], lively)  # nothing is awaited here: a warm worker ends it within milliseconds
    assert widget.panel.compare.is_blocked
    assert script.result.failure is None
    assert not widget.panel.compare.is_blocked


@pytest.mark.parametrize("cancelled", [0, 1])
def test_one_of_two_is_cancelled(logic, scans, lively, expected, cancelled):
    jobs = [Started(logic, scan, lively, keep_partial=False) for scan in scans]
    turn(lambda: jobs[0].progress, 60)
    jobs[cancelled].job.cancel()
    assert jobs[cancelled].result.outcome.cancelled and jobs[cancelled].result.node is None
    assert jobs[cancelled].result.failure is None
    jobs[1 - cancelled].is_right(expected)
    nothing_is_left(logic)


def test_the_worker_is_killed_at_one_of_two(logic, scans, lively, expected):
    first, second = (Started(logic, scan, lively, keep_partial=False) for scan in scans)
    turn(lambda: first.progress, 60)
    os.kill(logic.worker.pid, signal.SIGKILL)
    assert first.result.failure.kind == "crash" and first.result.node is None
    second.is_right(expected)
    nothing_is_left(logic)


def test_a_worker_that_does_not_obey_is_killed_for_one_and_started_for_the_other(logic, scans, lively, expected):
    first, second = (Started(logic, scan, lively) for scan in scans)
    turn(lambda: first.progress, 60)
    os.kill(logic.worker.pid, signal.SIGSTOP)
    first.job.cancel()
    assert first.result.outcome.cancelled and first.result.failure is None
    second.is_right(expected)
    nothing_is_left(logic)


def test_a_request_that_waits_outlives_the_one_before(logic, scans, lively):
    """A checkpoint that is being read, say, while a scan's run has to be killed."""
    answers, failures = [], []
    job = Started(logic, scans[0], lively)
    turn(lambda: job.progress, 60)
    os.kill(logic.worker.pid, signal.SIGSTOP)
    logic.worker.request("describe", answers.append, failures.append, checkpoint=lively)
    job.job.cancel()
    turn(lambda: answers or failures, 60)
    assert not failures and len(answers[0]["sha256"]) == 64
    assert job.result.outcome.cancelled


def test_what_waits_behind_another_request_is_cancelled_without_killing_it(logic, scans, lively, monkeypatch):
    from UNetSegmenterLib.panel.jobs import segmentation_run as run

    array_steps, reached = run.array_steps, []

    def slow_steps(*arguments):
        reached.append("hand over")
        while len(reached) < 2:
            yield
        return (yield from array_steps(*arguments))

    monkeypatch.setattr(run, "array_steps", slow_steps)
    job = Started(logic, scans[0], lively)
    turn(lambda: reached, 60)
    os.kill(logic.worker.pid, signal.SIGSTOP)
    pid, answers, failures = logic.worker.pid, [], []
    logic.worker.request("describe", answers.append, failures.append, checkpoint=lively)
    reached.append("go on")
    turn(lambda: logic.worker.requests == ("describe", "segment"), 60)
    job.job.cancel()
    assert job.result.outcome.cancelled
    os.kill(pid, signal.SIGCONT)
    turn(lambda: answers or failures, 60)
    assert answers and logic.worker.pid == pid


def test_an_answer_of_another_scan_is_a_failure(logic, scans, lively, monkeypatch):
    from UNetSegmenterLib.panel.jobs import segmentation_run as run

    array_steps = run.array_steps

    def overwritten(array, path, dtype):
        made = yield from array_steps(array, path, dtype)
        path.write_bytes(np.roll(array, 5, axis=2).astype(dtype).tobytes())
        return made

    monkeypatch.setattr(run, "array_steps", overwritten)
    result = Started(logic, scans[0], lively).result
    assert result.node is None and "of another scan" in result.failure.message
    nothing_is_left(logic)


@pytest.mark.parametrize("damage", ["removed", "cut off", "other labels"])
def test_a_result_without_its_labels_is_a_failure(logic, scans, lively, damage, monkeypatch):
    from UNetSegmenterLib.panel.jobs.segmentation_run import SegmentationRun

    read = SegmentationRun._read_labels

    def damaged(self):
        if damage == "removed":
            self._labels.unlink()
        else:
            content = self._labels.read_bytes()
            self._labels.write_bytes(content[:-1] if damage == "cut off" else content[::-1])
        return read(self)

    monkeypatch.setattr(SegmentationRun, "_read_labels", damaged)
    job = Started(logic, scans[0], lively)
    result = job.result
    assert result.node is None and "labels are missing or damaged" in result.failure.message
    assert not result.outcome.complete and not result.outcome.cancelled
    nothing_is_left(logic)


def test_a_script_that_waits_for_a_worker_that_is_closed_is_told(logic, scans, lively):
    import qt

    qt.QTimer.singleShot(30, lambda: type(logic.worker).close(logic.worker))
    with pytest.raises(RuntimeError, match="closed"):
        logic.segment(scans[0], lively, device="cpu")
    assert logic.segment(scans[0], lively, device="cpu", surfaces=False) is not None
    qt.QTimer.singleShot(0, lambda: type(logic.worker).close(logic.worker))
    with pytest.raises(InputError, match="closed"):
        describe_checkpoint(logic.worker, lively)


def test_a_result_that_is_drawn_in_during_the_run_is_left_as_it_is(logic, scans, lively, expected):
    target = logic.segment(scans[0], lively, device="cpu", surfaces=False)
    job = Started(logic, scans[0], lively, segmentationNode=target)
    turn(lambda: job.progress, 60)
    target.GetSegmentation().RemoveSegment(target.GetSegmentation().GetNthSegmentID(0))
    count = target.GetSegmentation().GetNumberOfSegments()
    job.is_right(expected)
    assert job.result.node is not target and target.GetSegmentation().GetNumberOfSegments() == count
    assert any("left as it is" in note.text for note in job.result.notes)


def test_a_result_that_is_drawn_in_while_the_job_waits_is_left_as_it_is(logic, scans, lively, expected):
    target = logic.segment(scans[0], lively, device="cpu", surfaces=False)
    first, job = Started(logic, scans[1], lively), Started(logic, scans[0], lively, segmentationNode=target)
    target.GetSegmentation().RemoveSegment(target.GetSegmentation().GetNthSegmentID(0))
    count = target.GetSegmentation().GetNumberOfSegments()
    first.is_right(expected)
    job.is_right(expected)
    assert job.result.node is not target and target.GetSegmentation().GetNumberOfSegments() == count
    assert any("left as it is" in note.text for note in job.result.notes)
