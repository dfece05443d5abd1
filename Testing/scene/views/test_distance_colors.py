"""Signed surface distances against spheres whose answer is known, and the painted surfaces as nodes."""

from __future__ import annotations

import numpy as np
import pytest
import slicer
import vtk
from UNetSegmenterLib.engine.errors import InputError
from UNetSegmenterLib.engine.io.geometry import Geometry
from UNetSegmenterLib.engine.labels.segmentation import Segmentation
from UNetSegmenterLib.engine.labels.structures import known_structure
from UNetSegmenterLib.engine.stepwise import run_to_end
from UNetSegmenterLib.scene.nodes.segmentation_to_node import segmentation_to_node
from UNetSegmenterLib.scene.views.distance_colors import (
    NO_DISTANCE,
    SCALARS,
    distance_colors_steps,
    renew_legend,
    set_scale,
)
from UNetSegmenterLib.scene.views.signed_distance import signed_distance_steps
from vtk.util import numpy_support

from ..conftest import turned
from ..nodes.test_case_nodes import moved

BOTH = (known_structure("liver", 1, (1,)), known_structure("spleen", 2, (2,)))
SPACING_MM = (2.0, 1.5, 1.5)
RADIUS_MM = 15.0


@pytest.fixture
def scene(headless):
    return headless.scene


def sphere(radius_mm=RADIUS_MM, center=(0.0, 0.0, 0.0), inwards=False):
    source = vtk.vtkSphereSource()
    source.SetRadius(radius_mm)
    source.SetCenter(*center)
    source.SetThetaResolution(80)
    source.SetPhiResolution(80)
    source.Update()
    if not inwards:
        return source.GetOutput()
    turn = vtk.vtkReverseSense()
    turn.SetInputData(source.GetOutput())
    turn.Update()
    return turn.GetOutput()


@pytest.mark.parametrize("inwards", [False, True])
def test_points_around_a_sphere(inwards):
    rng = np.random.default_rng(1)
    points = rng.normal(size=(2500, 3))
    points *= rng.uniform(5, 30, 2500)[:, None] / np.linalg.norm(points, axis=1, keepdims=True)
    center = np.array([100.0, -50.0, 20.0])
    distances = run_to_end(signed_distance_steps(points + center, sphere(center=center, inwards=inwards)))
    assert distances == pytest.approx(np.linalg.norm(points, axis=1) - RADIUS_MM, abs=0.03)


def test_steps_and_a_surface_that_is_not_there():
    points = np.full((2500, 3), 9.0)  # near the surface: far points take longer
    assert list(signed_distance_steps(points, sphere())) == [0.0, 0.0, 0.4, 0.8, 1.0]
    assert np.isnan(run_to_end(signed_distance_steps(points, vtk.vtkPolyData()))).all()


def balls(scene, name, shift_mm=0.0, radius_mm=RADIUS_MM, spleen=True, direction=None, surfaces=False):
    """A ball of a liver and a small one of a spleen, shifted along the columns."""
    shape = (30, 40, 60)
    grid = Geometry(shape, SPACING_MM, (-20.0, 30.0, 5.0), direction or turned())
    z, y, x = (np.arange(size) * mm for size, mm in zip(shape, SPACING_MM, strict=True))
    z, y, x = z[:, None, None], y[None, :, None], x[None, None, :] - shift_mm
    labels = np.zeros(shape, np.uint8)
    labels[(z - 30) ** 2 + (y - 30) ** 2 + (x - 25) ** 2 < radius_mm**2] = 1
    if spleen:
        labels[(z - 30) ** 2 + (y - 30) ** 2 + (x - 65) ** 2 < 6**2] = 2
    return segmentation_to_node(Segmentation(labels, grid, BOTH, name), scene, surfaces=surfaces)


def painted(prediction, reference, structure=None, **more):
    return run_to_end(distance_colors_steps(prediction, reference, structure, **more))


def scalars(made):
    return numpy_support.vtk_to_numpy(made.node.GetPolyData().GetPointData().GetArray(SCALARS))


@pytest.mark.parametrize("signs", [(1, 1, 1), (1, -1, 1)], ids=["right-handed", "left-handed"])
def test_a_shifted_ball_is_outside_on_one_side_and_inside_on_the_other(scene, signs):
    direction = turned((20, 10, 0), signs=signs)
    prediction = balls(scene, "Result", shift_mm=3.0, direction=direction)
    made = painted(prediction, balls(scene, "Truth", direction=direction), "liver")
    low, high = made.ranges_mm["liver"]
    assert low == pytest.approx(-3, abs=0.4) and high == pytest.approx(3, abs=0.4), "the shift is 3 mm"
    points = numpy_support.vtk_to_numpy(made.node.GetPolyData().GetPoints().GetData())
    along = (points - points.mean(axis=0)) @ (np.array(direction)[:, 0] * (-1, -1, 1))  # the columns' axis in RAS
    expected = np.sqrt(RADIUS_MM**2 + 9 + 6 * along) - RADIUS_MM
    assert np.abs(scalars(made) - expected).mean() < 0.15


def test_a_larger_ball_is_outside_everywhere_and_the_same_nowhere(scene):
    reference = balls(scene, "Truth")
    outside = scalars(painted(balls(scene, "Large", radius_mm=19), reference, "liver"))
    assert outside.min() > 3 and outside.max() < 5 and outside.mean() == pytest.approx(4, abs=0.2)
    inside = scalars(painted(balls(scene, "Small", radius_mm=11), reference, "liver"))
    assert inside.mean() == pytest.approx(-4, abs=0.2)
    assert np.abs(scalars(painted(balls(scene, "Same"), reference))).max() == 0


def test_transforms_on_either_side_count(scene):
    prediction, reference = balls(scene, "Result"), balls(scene, "Truth", surfaces=True)
    transform = moved(scene, prediction, 4.0)
    made = painted(prediction, reference, "liver")
    assert made.ranges_mm["liver"] == (pytest.approx(-4, abs=0.3), pytest.approx(4, abs=0.3))
    assert made.node.GetTransformNodeID() == transform.GetID()
    reference.SetAndObserveTransformNodeID(transform.GetID())
    assert np.abs(scalars(painted(prediction, reference))).max() < 0.3, "surfaces that are there are taken"


def test_one_node_one_scale_one_bar_and_grey_where_there_is_no_distance(scene):
    prediction = balls(scene, "Result", shift_mm=3.0)
    reference = balls(scene, "Truth", spleen=False)
    made = painted(prediction, reference, scale_mm=8.0)
    assert made.ranges_mm["spleen"] is None and made.ranges_mm["liver"] is not None
    assert made.node.GetName() == "Result distances" and np.isnan(scalars(made)).any()
    display = made.node.GetDisplayNode()
    assert display.GetScalarVisibility() and display.GetScalarRange() == (-8.0, 8.0) and not display.GetVisibility2D()
    lookup = made.table.GetLookupTable()
    assert lookup.GetNanColor()[:3] == NO_DISTANCE
    color = [0.0] * 4
    for place, wanted in ((0, 2), (254, 0), (127, None)):
        made.table.GetColor(place, color)
        assert max(range(3), key=color.__getitem__) == wanted or (wanted is None and min(color) > 0.95)
    set_scale(made.node, 5.0)
    assert display.GetScalarRange() == (-5.0, 5.0)
    assert made.node.GetNumberOfDisplayNodes() == 2
    display.AddViewNodeID("vtkMRMLViewNodePred3D")
    renew_legend(made.node)
    legend = made.node.GetNthDisplayNode(1)
    assert legend.GetNthViewNodeID(0) == "vtkMRMLViewNodePred3D" and "(mm)" in legend.GetTitleText()
    assert scene.GetNumberOfNodesByClass("vtkMRMLColorLegendDisplayNode") == 1
    assert not prediction.GetSegmentation().ContainsRepresentation("Closed surface"), "the prediction was changed"


def test_a_label_map_and_what_cannot_be_painted(scene):
    prediction, reference = balls(scene, "Result", shift_mm=3.0), balls(scene, "Truth")
    label_map = scene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode", "Map")
    slicer.vtkSlicerSegmentationsModuleLogic.ExportAllSegmentsToLabelmapNode(
        reference, label_map, slicer.vtkSegmentation.EXTENT_REFERENCE_GEOMETRY
    )
    by_map, by_segments = (scalars(painted(prediction, node)) for node in (label_map, reference))
    assert np.abs(by_map - by_segments).max() < 1e-4
    nothing = balls(scene, "Nothing", radius_mm=0, spleen=False)
    with pytest.raises(InputError, match='Nothing of "Nothing" has a surface'):
        painted(nothing, reference)
    with pytest.raises(InputError, match="not on both sides"):
        painted(prediction, reference, "heart")
    with pytest.raises(InputError, match="holds no segment"):
        painted(scene.AddNewNodeByClass("vtkMRMLSegmentationNode", "Empty"), reference)
