"""Whatever goes wrong at whatever step: the work ends once, with a sentence and details, and nothing is left of it."""

from __future__ import annotations

import builtins
import sys

import pytest
import slicer
from host.pressing import settle, turn
from host.scans import SHAPE, SPACING_MM, body, organs
from UNetSegmenterLib.panel.sections.segment_section import RunState

ERRORS = {"MemoryError": ("no room",), "OSError": (5, "Input/output error"), "Exception": ("plain",)}
each_error = pytest.mark.parametrize("error", ERRORS, indirect=True)
LIB = "UNetSegmenterLib."


@pytest.fixture
def error(request):
    """An error of the test's own: one that all tests shared would keep, by its traceback, what each of them worked on."""
    return getattr(builtins, request.param)(*ERRORS[request.param])


def break_once(monkeypatch, place, error, in_a_step=False):
    """Let the function or method `place` ("panel.jobs.segmentation_run.array_steps", "...SegmentationRun._read") raise, once."""
    parts = place.split(".")
    owner = sys.modules[LIB + ".".join(parts[:2])]
    for part in parts[2:-1]:
        owner = getattr(owner, part)
    function, raised = getattr(owner, parts[-1]), []

    def broken(*arguments, **named):
        if not raised:
            raised.append(place)
            raise error
        return function(*arguments, **named)

    def broken_steps(*arguments, **named):
        yield
        if not raised:
            raised.append(place)
            raise error
        return (yield from function(*arguments, **named))

    monkeypatch.setattr(owner, parts[-1], broken_steps if in_a_step else broken)
    return raised


def names():
    scene = slicer.mrmlScene
    ids = {scene.GetNthNode(number).GetID() for number in range(scene.GetNumberOfNodes())}
    return sorted(one for one in ids if "SubjectHierarchy" not in one)  # one for the scene, made when first needed


def is_said(notes):
    """One sentence for the user, and what a developer needs."""
    errors = [note for note in notes if note.severity == "error"]
    assert len(errors) == 1, notes
    assert errors[0].text and "\n" not in errors[0].text
    assert "Traceback" in errors[0].details
    return errors[0].text


def is_free(panel):
    settle(0.05)
    assert panel.worker.queue.names == ()
    assert not list(panel.worker.folder.iterdir()), "folders"
    assert not panel.worker.requests, "requests"


@each_error
@pytest.mark.parametrize(
    "place",
    [
        "panel.jobs.segmenter.SegmentationRun",
        "panel.jobs.segmenter.volume_geometry",
        "panel.jobs.segmentation_run.stored_dtype",
        "panel.jobs.segmentation_run.SegmentationRun._refusal",
        "panel.jobs.segmentation_run.SegmentationProgress.text",
        "panel.jobs.segmenter.segmentation_to_node",
        "panel.jobs.segmenter.save_labels_checksum",
        "panel.jobs.segmenter.absent_structures",
        "scene.nodes.segmentation_to_node._show_segments",
        "panel.sections.segment_section.SegmentSection._show_result",
        "panel.sections.segment_section.SegmentSection._on_stage",
        "panel.jobs.worker_process.WorkerProcess.job_folder",
    ],
)
def test_segmenting(widget, ready, scan, monkeypatch, error, place):
    widget.ui.keepPartialCheckBox.setChecked(False)
    settle(0.02)
    before = names()
    raised = break_once(monkeypatch, place, error)
    ready.segment.apply()
    turn(lambda: not ready.segment.state.is_busy, 60)
    assert raised and ready.segment.state is RunState.CRASHED
    is_said(ready.segment.notes)
    is_free(ready)
    if "_show_result" not in place:  # there, the result is in the scene, though the panel could not tell of it
        assert names() == before
    assert widget.ui.applyButton.enabled and widget.ui.applyButton.text == "Apply"
    assert widget.ui.detailsButton.visible, "the details can be read in the panel"


@each_error
def test_surfaces_that_fail_leave_the_result(widget, ready, scan, monkeypatch, error):
    break_once(monkeypatch, "panel.jobs.segmenter.make_surfaces", error)
    ready.segment.apply()
    turn(lambda: not ready.segment.state.is_busy, 60)
    assert ready.segment.state is RunState.DONE and ready.segment.result.node is not None
    assert "3D surfaces" in is_said(ready.segment.notes)
    is_free(ready)


@each_error
@pytest.mark.parametrize(
    "place", ["panel.jobs.segmenter.segmentation_to_node", "panel.jobs.segmentation_run.stored_dtype"]
)
def test_a_script_that_waits_is_told(widget, scan, checkpoints, monkeypatch, error, place):
    break_once(monkeypatch, place, error)
    with pytest.raises(RuntimeError):
        widget.logic.segment(scan, str(checkpoints["good"]), device="cpu")
    is_free(widget.panel)


@each_error
def test_a_listener_of_a_script_that_fails(widget, scan, checkpoints, error):
    results = []

    def fail(*arguments):
        raise error

    widget.logic.startSegment(
        scan, str(checkpoints["good"]), device="cpu", onProgress=fail, onEnd=results.append, keep_partial=False
    )
    turn(lambda: results, 60)
    assert results[0].failure is not None and results[0].failure.details and results[0].node is None
    widget.logic.startSegment(scan, str(checkpoints["good"]), device="cpu", onEnd=fail, surfaces=False)
    turn(lambda: not widget.panel.worker.queue.names, 60)
    is_free(widget.panel)


@each_error
@pytest.mark.parametrize(
    ("place", "in_a_step"),
    [
        ("panel.sections.compare_section.read_pair_steps", True),
        ("panel.sections.compare_section.segmentation_steps", True),
        ("panel.sections.compare_section.matched_by_hand", False),
        ("panel.sections.compare_section.comparison_from_json", False),
        ("panel.sections.compare_section.comparison_in_world", False),
        ("panel.sections.compare_section.CompareSection._result_notes", False),
        ("panel.sections.section.WorkSection._on_progress", False),
        ("panel.jobs.worker_process.WorkerProcess.job_folder", False),
    ],
)
def test_comparing(widget, compared, monkeypatch, error, place, in_a_step):
    raised = break_once(monkeypatch, place, error, in_a_step)
    compared.compare.compare()
    turn(lambda: not compared.compare.is_busy, 60)
    assert raised and compared.compare.comparison is None
    is_said(compared.compare.notes)
    is_free(compared)
    assert widget.ui.compareButton.text == "Compare" and widget.ui.compareButton.enabled
    assert not widget.ui.compareTable.visible and not widget.ui.compareProgressBar.visible


@each_error
@pytest.mark.parametrize(
    ("place", "in_a_step"),
    [
        ("panel.sections.plausibility_section.array_steps", True),
        ("panel.sections.plausibility_section.segmentation_from_node", False),
        ("panel.sections.plausibility_section.Finding.from_json", False),
        ("panel.sections.plausibility_section.findings_in_world", False),
        ("panel.sections.plausibility_section.PlausibilitySection._result_notes", False),
    ],
)
def test_checking(widget, compared, monkeypatch, error, place, in_a_step):
    raised = break_once(monkeypatch, place, error, in_a_step)
    compared.plausibility.check()
    turn(lambda: not compared.plausibility.is_busy, 60)
    assert raised and compared.plausibility.findings is None
    is_said(compared.plausibility.notes)
    is_free(compared)
    assert widget.ui.checkButton.text == "Check" and widget.ui.checkButton.enabled


@each_error
@pytest.mark.parametrize(
    ("place", "in_a_step"),
    [
        ("panel.sections.report_section.compare_and_check_steps", True),
        ("panel.sections.report_section.picture_steps", True),
        ("panel.sections.report_section.read_case_steps", True),
        ("panel.sections.report_section.report_steps", True),
        ("panel.sections.report_section.provenance_facts", False),
        ("panel.sections.report_section.ReportSection._on_progress", False),
    ],
)
def test_reporting(widget, compared, monkeypatch, tmp_path, error, place, in_a_step):
    raised = break_once(monkeypatch, place, error, in_a_step)
    compared.report.write(tmp_path / "report")
    turn(lambda: not compared.report.is_busy, 60)
    if not raised:
        assert "_on_progress" in place, compared.report.notes
        return
    is_said(compared.report.notes)
    is_free(compared)
    assert widget.ui.reportButton.text == "Report..." and widget.ui.reportButton.enabled
    assert not widget.ui.openReportButton.visible and not (tmp_path / "report").exists()


@each_error
@pytest.mark.parametrize(
    ("overlay", "place", "in_a_step"),
    [
        ("error_map", "panel.sections.error_views.error_map_node_steps", True),
        ("error_map", "scene.nodes.error_map_node._draw", False),
        ("error_map", "panel.jobs.overlay.DisplaySwap", False),
        ("distances", "panel.sections.error_views.distance_colors_steps", True),
        ("distances", "scene.views.distance_colors._add_legend", False),
        ("distances", "panel.sections.error_views.set_scale", False),
    ],
)
def test_drawing_errors(widget, compared, monkeypatch, error, overlay, place, in_a_step):
    compared.compare.compare()
    turn(lambda: compared.compare.comparison is not None, 60)
    settle()
    before = names()
    raised = break_once(monkeypatch, place, error, in_a_step)
    button = widget.ui.errorMapButton if overlay == "error_map" else widget.ui.distanceColorsButton
    button.setChecked(True)
    turn(lambda: raised and not getattr(compared.errors, overlay).is_making, 60)
    settle()
    assert widget.ui.errorsLabel.text and widget.ui.errorsLabel.visible
    assert not button.checked and button.enabled
    # set_scale fails after its steps have made the node, which only they know
    if place != "panel.sections.error_views.set_scale":
        assert names() == before
    for node in (compared.compare.prediction_node, compared.compare.reference_node):
        assert node.GetDisplayNode().GetVisibility2D()


@pytest.fixture
def folder(tmp_path):
    """Two cases with predictions."""
    from UNetSegmenterLib.engine.io.geometry import Geometry
    from UNetSegmenterLib.engine.io.image_writing import write_volume
    from UNetSegmenterLib.engine.io.volume import Volume
    from UNetSegmenterLib.engine.labels.seg_nrrd import write_seg_nrrd
    from UNetSegmenterLib.engine.labels.segmentation import Segmentation
    from UNetSegmenterLib.engine.labels.segmentation_files import write_labelmap
    from UNetSegmenterLib.engine.labels.structures import ABDOMEN8

    geometry = Geometry(SHAPE, SPACING_MM, (-70.0, -60.0, 10.0))
    made = tmp_path / "test set"
    for case in "ab":
        write_volume(Volume(body(*SHAPE), geometry), made / f"{case}_image.nii.gz")
        write_labelmap(Segmentation(organs(), geometry, ABDOMEN8, case), made / f"{case}_label.nii.gz")
        write_seg_nrrd(Segmentation(organs(1), geometry, ABDOMEN8, case), made / "predictions" / f"{case}.seg.nrrd")
    return made


@each_error
@pytest.mark.parametrize(
    ("place", "in_a_step"),
    [
        ("panel.sections.review_section.cases_from_json", False),
        ("panel.sections.review_section.add_case_steps", True),
        ("panel.sections.review_section.case_from_files", False),
        ("scene.nodes.case_nodes.segmentation_to_node", False),
        ("panel.sections.review_actions.compare_and_check_steps", True),
        ("panel.jobs.worker_process.WorkerProcess.job_folder", False),
    ],
)
def test_reviewing(widget, folder, monkeypatch, error, place, in_a_step):
    review, ui = widget.panel.review, widget.ui
    raised = break_once(monkeypatch, place, error, in_a_step)
    review.choose(str(folder), "")
    turn(lambda: not review.is_busy, 60)
    if not raised:
        review.open(0)
        turn(lambda: not review.is_busy, 60)
    assert raised
    is_said(review.notes)
    is_free(widget.panel)
    assert ui.nextCaseButton.text != "Cancel" and not ui.reviewProgressBar.visible
    widget.panel.views.leave()


@each_error
def test_reading_a_checkpoint(widget, checkpoints, monkeypatch, error):
    model = widget.panel.model
    raised = break_once(monkeypatch, "panel.sections.model_section.remember_checkpoint", error)
    model.choose(str(checkpoints["other"]))
    turn(lambda: raised and not model.is_busy, 60)
    assert model.card is None and model.refusal
    is_said(model.notes)
    assert widget.ui.applyButton.toolTip == model.refusal


@each_error
def test_a_step_that_fails_in_a_driver(widget, error):
    from UNetSegmenterLib.panel.jobs.step_driver import StepDriver

    ended, told = [], []

    def steps():
        try:
            yield 1
            raise error
        finally:
            ended.append("finally")

    def refuse(value):
        raise error

    StepDriver(steps(), told.append, told.append).start()
    turn(lambda: told)
    assert len(told) == 1 and told[0].details and ended == ["finally"]
    for arguments in ({"on_message": refuse}, {"on_done": refuse}):
        told.clear()
        plain = {"on_done": told.append, "on_message": None, **arguments}
        StepDriver((text for text in "abc"), on_failure=told.append, **plain).start()
        turn(lambda: told)
        settle(0.03)
        assert len(told) == 1 and type(error).__name__ in told[0].details


@each_error
@pytest.mark.parametrize(
    ("button", "section", "place"),
    [
        ("applyButton", "segment", "panel.panel.SegmentationOptions"),
        ("correctButton", "correct", "panel.sections.correct_section.correction.is_uncorrected_prediction"),
        ("saveCaseButton", "correct", "panel.sections.correct_section.case_exists"),
        ("compareButton", "compare", "panel.sections.section.StepDriver"),
        ("reportButton", "report", "panel.sections.report_section.outputs_in"),
    ],
)
def test_a_button_whose_handler_fails_says_so(widget, compared, monkeypatch, tmp_path, error, button, section, place):
    panel = widget.panel
    panel.ask = lambda question: True
    panel.report.ask_for_folder = lambda *words: str(tmp_path)
    raised = break_once(monkeypatch, place, error)
    getattr(widget.ui, button).setEnabled(True)
    getattr(widget.ui, button).click()
    assert raised
    is_said(getattr(panel, section).notes)


@each_error
def test_views_that_can_not_be_filled_are_left(widget, compared, monkeypatch, error):
    manager = slicer.app.layoutManager()
    before = manager.layout
    raised = break_once(monkeypatch, "scene.views.linked_views.LinkedViews.show", error)
    widget.ui.sideBySideButton.setChecked(True)
    settle()
    assert raised and any(note.severity == "error" for note in widget.panel.compare.notes)
    assert manager.layout == before and not widget.ui.sideBySideButton.checked
