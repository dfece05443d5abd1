"""Two nodes as the engine compares them, whatever transforms they are under, and the way back into the views."""

from __future__ import annotations

import numpy as np
import pytest
import slicer
import vtk
from UNetSegmenterLib.engine.errors import InputError
from UNetSegmenterLib.engine.evaluation.comparison import compare
from UNetSegmenterLib.engine.io.geometry import Geometry
from UNetSegmenterLib.engine.labels.segmentation import Segmentation
from UNetSegmenterLib.engine.labels.structures import known_structure
from UNetSegmenterLib.engine.stepwise import run_to_end
from UNetSegmenterLib.scene.nodes.case_nodes import read_pair_steps
from UNetSegmenterLib.scene.nodes.segmentation_to_node import segmentation_to_node
from UNetSegmenterLib.scene.nodes.world_positions import comparison_in_world, slice_position_ras
from UNetSegmenterLib.scene.views.cameras import look_at

LIVER = (known_structure("liver", 1, (1,)),)


@pytest.fixture
def scene(headless):
    return headless.scene


def block(scene, name, start=4, origin=(0.0, 0.0, 0.0)):
    labels = np.zeros((12, 16, 20), np.uint8)
    labels[2:8, 4:12, start : start + 8] = 1
    segmentation = Segmentation(labels, Geometry(labels.shape, (3.0, 2.0, 2.0), origin), LIVER, name)
    return segmentation_to_node(segmentation, scene, surfaces=False)


def moved(scene, node, x, name="Pose"):
    transform = scene.AddNewNodeByClass("vtkMRMLLinearTransformNode", name)
    matrix = vtk.vtkMatrix4x4()
    matrix.SetElement(0, 3, x)
    transform.SetMatrixTransformToParent(matrix)
    node.SetAndObserveTransformNodeID(transform.GetID())
    return transform


def rows(prediction, reference):
    ours, theirs, notes = run_to_end(read_pair_steps(prediction, reference))
    return comparison_in_world(compare(ours, theirs), reference).rows, notes


def test_under_one_transform_places_are_the_views_own(scene):
    prediction, reference = block(scene, "P", start=6), block(scene, "R")
    (plain,), _ = rows(prediction, reference)
    for node in (prediction, reference):
        transform = moved(scene, node, 100.0)
    prediction.SetAndObserveTransformNodeID(transform.GetID())
    (row,), notes = rows(prediction, reference)
    assert row.measures == plain.measures and not notes
    assert row.largest_error_ras == pytest.approx(np.add(plain.largest_error_ras, (100.0, 0.0, 0.0)))


def test_different_transforms_count_and_are_said(scene):
    prediction, reference = block(scene, "P", start=6), block(scene, "R")
    moved(scene, prediction, 4.0)  # RAS: against the columns, which run to the left
    (row,), (note,) = rows(prediction, reference)
    assert row.measures.dice == 1.0
    assert 'under the transform "Pose"' in note and "under no transform" in note and "nearest" in note


def test_what_does_not_meet_is_refused(scene):
    prediction, reference = block(scene, "P"), block(scene, "R")
    moved(scene, prediction, 4000.0)
    with pytest.raises(InputError, match="Nothing of"):
        rows(prediction, reference)
    empty = scene.AddNewNodeByClass("vtkMRMLSegmentationNode", "Empty")
    with pytest.raises(InputError, match='"Empty" holds no segment'):
        rows(empty, reference)


def test_all_views_look_at_a_place(scene):
    slices = [scene.AddNewNodeByClass("vtkMRMLSliceNode", name) for name in ("Red", "Green")]
    slices[1].SetOrientation("Coronal")
    camera = scene.AddNode(slicer.vtkMRMLCameraNode())
    camera.SetPosition(0, 500, 0)
    camera.SetFocalPoint(0, 0, 0)
    look_at(scene, (10.0, -20.0, 30.0))
    assert slices[0].GetSliceToRAS().GetElement(2, 3) == 30.0 and slices[1].GetSliceToRAS().GetElement(1, 3) == -20.0
    assert slices[0].GetSliceToRAS().GetElement(0, 3) == 10.0, "not centred"
    assert camera.GetFocalPoint() == (10.0, -20.0, 30.0) and camera.GetPosition() == (10.0, 480.0, 30.0)


def test_a_slice_of_the_curve_has_a_place(scene):
    prediction, reference = block(scene, "P"), block(scene, "R", origin=(5.0, 6.0, 7.0))
    prediction.GetSegmentation().GetNthSegment(0).SetName("liver")
    (row,), _ = rows(prediction, reference)
    geometry = Geometry((12, 16, 20), (3.0, 2.0, 2.0), (5.0, 6.0, 7.0))
    for position in row.curve.worst_first()[:3]:
        place = slice_position_ras(geometry, row, position)
        assert place[2] == pytest.approx(row.curve.position_mm[position])
        assert place[:2] == pytest.approx(row.largest_error_ras[:2])
