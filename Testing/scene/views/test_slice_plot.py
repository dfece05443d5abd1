"""The slice curve as plot nodes: what the charts hold, which point is which slice, and that nothing stays behind."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import vtk
from UNetSegmenterLib.engine.evaluation.comparison import compare
from UNetSegmenterLib.engine.io.geometry import Geometry
from UNetSegmenterLib.engine.labels.segmentation import Segmentation
from UNetSegmenterLib.engine.labels.structures import known_structure
from UNetSegmenterLib.scene.views.layout import plot_view_id
from UNetSegmenterLib.scene.views.slice_plot import DICE, LABEL, OURS, POSITION, THEIRS, SlicePlot, selected_position


@pytest.fixture
def row():
    """A liver of 2 x 2 pixels in slices 2 to 5, of which the prediction has 1 x 2 in slices 3 to 6."""
    geometry = Geometry((9, 10, 11), (2.5, 10.0, 5.0), (0.0, 0.0, 100.0))
    sides = []
    for first, rows in ((3, 1), (2, 2)):
        labels = np.zeros(geometry.shape, np.uint8)
        labels[first : first + 4, 4 : 4 + rows, 4:6] = 1
        sides.append(Segmentation(labels, geometry, (known_structure("liver", 1, (1,)),), "made"))
    return compare(*sides).rows[0]


@pytest.fixture
def views(headless):
    """The two plot views of the layout."""
    for title in ("Dice", "Area"):
        view = headless.scene.CreateNodeByClass("vtkMRMLPlotViewNode")
        view.UnRegister(None)
        view.SetSingletonTag(plot_view_id(title).removeprefix("vtkMRMLPlotViewNode"))
        headless.scene.AddNode(view)
    return {title: headless.scene.GetNodeByID(plot_view_id(title)) for title in ("Dice", "Area")}


def series_of(chart):
    nodes = [chart.GetNthPlotSeriesNode(number) for number in range(chart.GetNumberOfPlotSeriesNodes())]
    return {node.GetName(): node for node in nodes}


def values(series, column):
    array = series.GetTableNode().GetTable().GetColumnByName(column)
    return [array.GetValue(number) for number in range(array.GetNumberOfValues())]


def test_dice_and_areas_stand_over_the_place_of_each_slice(headless, row, views):
    plot = SlicePlot(headless.scene)
    plot.show(row)
    dice, area = (views[title].GetPlotChartNode() for title in ("Dice", "Area"))
    assert list(series_of(dice)) == [DICE] and list(series_of(area)) == [OURS, THEIRS]
    assert dice.GetTitle() == "liver: Dice" and area.GetYAxisTitle() == "Area (cm²)"
    assert dice.GetYAxisRange() == (0, 1) and area.GetYAxisRange()[1] >= 2
    one = series_of(dice)[DICE]
    assert values(one, POSITION) == pytest.approx([105.0, 107.5, 110.0, 112.5, 115.0])
    assert values(one, DICE) == pytest.approx([0, 2 / 3, 2 / 3, 2 / 3, 0])
    assert values(one, OURS) == pytest.approx([0, 1, 1, 1, 1]) and values(one, THEIRS) == pytest.approx([2, 2, 2, 2, 0])
    assert values(one, LABEL)[0] == "slice 2"
    for series in (*series_of(dice).values(), *series_of(area).values()):
        assert series.GetYColumnName() == series.GetName() and series.GetXColumnName() == POSITION


def test_the_plots_of_a_coronal_network_run_from_back_to_front(headless, views):
    geometry = Geometry((10, 10, 10), (2.5, 10.0, 10.0), (0.0, 0.0, 100.0))
    labels = np.zeros(geometry.shape, np.uint8)
    labels[3:7, 4:6, 4:6] = 1
    made = Segmentation(labels, geometry, (known_structure("liver", 1, (1,)),), "made", slicing_axis="coronal")
    plot = SlicePlot(headless.scene)
    plot.show(compare(made, made).rows[0])
    chart = views["Dice"].GetPlotChartNode()
    assert chart.GetXAxisTitle() == "Anterior (mm)"
    one = series_of(chart)[DICE]
    assert values(one, POSITION) == pytest.approx([-50, -40]) and values(one, LABEL) == [
        "coronal slice 5", "coronal slice 4",
    ]  # fmt: skip
    plot.show(compare(replace(made, slicing_axis="axial"), made).rows[0])
    assert chart.GetXAxisTitle() == "Superior (mm)" and values(one, LABEL)[0] == "slice 3"


def test_without_a_structure_the_plots_say_what_to_do(headless, row, views):
    plot = SlicePlot(headless.scene)
    plot.show(row)
    plot.show(None, "Choose one structure")
    for view in views.values():
        chart = view.GetPlotChartNode()
        assert chart.GetTitle() == "Choose one structure" and not chart.GetNumberOfPlotSeriesNodes()


def test_nothing_is_saved_or_stays_behind(headless, row, views):
    before = [headless.scene.GetNthNode(number) for number in range(headless.scene.GetNumberOfNodes())]
    plot = SlicePlot(headless.scene)
    plot.show(row)
    made = [headless.scene.GetNthNode(number) for number in range(headless.scene.GetNumberOfNodes())][len(before) :]
    assert len(made) == 6
    assert all(node.GetHideFromEditors() and not node.GetSaveWithScene() for node in made)
    headless.scene.RemoveNode(made[1])  # somebody was faster
    plot.remove()
    assert headless.scene.GetNumberOfNodes() == len(before)
    assert all(view.GetPlotChartNodeID() is None for view in views.values())


def test_the_point_that_was_selected_is_found():
    selections, nothing, points = vtk.vtkCollection(), vtk.vtkIdTypeArray(), vtk.vtkIdTypeArray()
    points.InsertNextValue(4)
    assert selected_position(selections) is None
    selections.AddItem(nothing)
    assert selected_position(selections) is None
    selections.AddItem(points)
    assert selected_position(selections) == 4
