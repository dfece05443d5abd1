"""No user's work is replaced without a question: a result drawn in, a verdict, a folder, a case of a review."""

from __future__ import annotations

import numpy as np
import pytest
import slicer
from host.pressing import press, settle, turn
from host.scans import SHAPE, SPACING_MM, add, add_scan, body, choose, organs
from UNetSegmenterLib.engine.errors import InputError
from UNetSegmenterLib.engine.evaluation.verdict import Verdict
from UNetSegmenterLib.panel.sections.segment_section import RunState
from UNetSegmenterLib.scene.nodes.correction import is_changed, labels_time, save_labels_checksum
from UNetSegmenterLib.scene.nodes.node_attributes import set_verdict
from UNetSegmenterLib.scene.nodes.surfaces import BINARY_LABELMAP, make_surfaces
from vtk.util import numpy_support


def draw_in(node):
    """One voxel by hand, as an effect of the Segment Editor leaves it."""
    image = node.GetSegmentation().GetLayerDataObject(0, BINARY_LABELMAP)
    scalars = image.GetPointData().GetScalars()
    voxels = numpy_support.vtk_to_numpy(scalars)
    voxels[len(voxels) // 2] = 1 - np.sign(voxels[len(voxels) // 2])
    scalars.Modified()
    image.Modified()


def test_what_is_drawn_is_noticed_and_how_it_is_shown_is_not():
    node = add("Result", organs())
    save_labels_checksum(node)
    before = labels_time(node)
    make_surfaces(node)
    node.GetDisplayNode().SetOpacity(0.3)
    node.GetDisplayNode().SetSegmentVisibility("Segment_1", False)
    assert not is_changed(node) and labels_time(node) == before
    draw_in(node)
    assert is_changed(node) and labels_time(node) != before
    other = add("Other", organs())
    save_labels_checksum(other)
    other.GetSegmentation().GetNthSegment(0).SetName("another")
    assert is_changed(other)
    assert not is_changed(add("Never remembered", organs()))


def test_a_result_keeps_its_checksum_in_a_scene_file(tmp_path):
    node = add("Result", organs())
    save_labels_checksum(node)
    path = tmp_path / "result.seg.nrrd"
    storage = slicer.vtkMRMLSegmentationStorageNode()
    storage.SetFileName(str(path))
    assert storage.WriteData(node)
    read = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode")
    assert storage.ReadData(read)
    read.SetAttribute("UNetSegmenter.LabelsCRC32", node.GetAttribute("UNetSegmenter.LabelsCRC32"))
    assert not is_changed(read)
    draw_in(read)
    assert is_changed(read)


@pytest.mark.parametrize("work", ["drawn", "verdict"])
def test_a_result_with_a_user_s_work_in_it_is_not_replaced_without_a_question(widget, ready, scan, work):
    ready.segment.apply()
    turn(lambda: not ready.segment.state.is_busy, 60)
    node = ready.segment.result.node
    widget.ui.outputSelector.setCurrentNode(node)
    ready.segment.apply()  # nothing has been done to it: no question
    turn(lambda: not ready.segment.state.is_busy, 60)
    assert ready.segment.state is RunState.DONE and ready.segment.result.node is node
    draw_in(node) if work == "drawn" else set_verdict(node, Verdict("plausible", "looked at", "A. Reviewer"))
    questions = []
    ready.ask = lambda question: bool(questions.append(question))
    press(widget.ui.applyButton)
    assert ("changed by hand" if work == "drawn" else "verdict") in questions[0]
    assert not ready.segment.state.is_busy and "left as it is" in ready.segment.notes[0].text
    ready.ask = lambda question: True
    press(widget.ui.applyButton)
    turn(lambda: not ready.segment.state.is_busy, 60)
    assert ready.segment.result.node is node and not is_changed(node)


@pytest.mark.parametrize("name", ["report.html", "metrics.csv", "summary.json", "figures"])
def test_a_folder_with_anything_of_that_name_is_asked_about(widget, tmp_path, name):
    scan = add_scan("CT", body(*SHAPE), SPACING_MM, origin_lps=(-70.0, -60.0, 10.0))
    pair = add("Prediction", organs(2)), add("Ground truth", organs())
    choose(widget, *pair)
    (tmp_path / name).write_text("somebody's") if "." in name else (tmp_path / name).mkdir()
    questions = []
    panel = widget.panel
    panel.ask = lambda question: bool(questions.append(question))
    panel.report.ask_for_folder = lambda title, start: str(tmp_path)
    press(widget.ui.reportButton)
    assert name in questions[0] and not panel.report.is_busy
    with pytest.raises(InputError, match=name):
        widget.logic.writeReport(*pair, scan, tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [name]
    assert not (tmp_path / name).is_file() or (tmp_path / name).read_text() == "somebody's"


def test_a_case_that_was_drawn_in_is_not_left_without_a_question(widget, tmp_path):
    from UNetSegmenterLib.engine.io.geometry import Geometry
    from UNetSegmenterLib.engine.io.image_writing import write_volume
    from UNetSegmenterLib.engine.io.volume import Volume
    from UNetSegmenterLib.engine.labels.seg_nrrd import write_seg_nrrd
    from UNetSegmenterLib.engine.labels.segmentation import Segmentation
    from UNetSegmenterLib.engine.labels.segmentation_files import write_labelmap
    from UNetSegmenterLib.engine.labels.structures import ABDOMEN8

    geometry = Geometry(SHAPE, SPACING_MM, (-70.0, -60.0, 10.0))
    for case in "ab":
        write_volume(Volume(body(*SHAPE), geometry), tmp_path / f"{case}_image.nii.gz")
        write_labelmap(Segmentation(organs(), geometry, ABDOMEN8, case), tmp_path / f"{case}_label.nii.gz")
        write_seg_nrrd(Segmentation(organs(1), geometry, ABDOMEN8, case), tmp_path / "predictions" / f"{case}.seg.nrrd")
    panel, review = widget.panel, widget.panel.review
    review.choose(str(tmp_path), "")
    turn(lambda: not review.is_busy and review.list.cases, 60)
    questions = []
    panel.ask = lambda question: bool(questions.append(question))
    for number in (0, 1):
        review.open(number)
        turn(lambda: not review.is_busy, 60)
        settle()
    assert review.case.name == "b" and not questions, "nothing was drawn"
    draw_in(panel.compare.prediction_node)
    review.open(0)
    assert "b prediction" in questions[0] and review.case.name == "b" and not review.is_busy
    panel.ask = lambda question: True
    review.open(0)
    turn(lambda: not review.is_busy, 60)
    assert review.case.name == "a"
    panel.views.leave()
