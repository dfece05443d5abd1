"""The slice curve of one structure as Slicer plots: Dice, and the areas of prediction and ground truth, slice by slice.

The nodes are for the module's own plot views: hidden, never saved with the scene, and removed by `remove`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import slicer
import vtk
from vtk.util import numpy_support

from ...engine.evaluation.comparison import StructureComparison
from ...engine.evaluation.slice_measures import SliceCurve
from ...engine.io.slicing_axis import AXIAL, SlicingAxis, slicing_axis
from .layout import plot_view_id

POSITION, DICE, OURS, THEIRS, LABEL = "Position (mm)", "Dice", "Prediction", "Ground truth", "Slice"
_CHARTS = {"Dice": (DICE,), "Area": (OURS, THEIRS)}
_Y_TITLES = {"Dice": "Dice", "Area": "Area (cm²)"}
_GREY = (0.35, 0.35, 0.35)


class SlicePlot:
    """One table, three series and two charts in a scene; `show` fills them, `remove` removes them."""

    def __init__(self, scene: slicer.vtkMRMLScene) -> None:
        self._scene = scene
        self._table = self._add("vtkMRMLTableNode", "Slice curve")
        self._series = {name: self._add_series(name) for names in _CHARTS.values() for name in names}
        self._charts = {title: self._add_chart(title) for title in _CHARTS}

    def show(self, row: StructureComparison | None, message: str = "") -> None:
        """The curve of one structure; None, or a row without a curve, empties the plots and shows `message` instead."""
        curve = row.curve if row is not None else None
        color = tuple(channel / 255 for channel in row.color) if row is not None else _GREY
        structure = row.structure if row is not None else ""
        self._fill(curve)
        for name, series in self._series.items():
            series.SetColor(*(_GREY if name == THEIRS else color))
        highest = max((*curve.prediction_mm2, *curve.reference_mm2), default=0.0) / 100 if curve is not None else 0.0
        axis = slicing_axis(curve.slicing_axis if curve is not None else AXIAL)
        for title, chart in self._charts.items():
            modifying = chart.StartModify()
            chart.SetXAxisTitle(_x_title(axis))
            chart.SetTitle(f"{structure}: {_Y_TITLES[title]}" if curve is not None else message)
            chart.RemoveAllPlotSeriesNodeIDs()
            for name in _CHARTS[title] if curve is not None else ():
                chart.AddAndObservePlotSeriesNodeID(self._series[name].GetID())
            chart.SetYAxisRangeAuto(False)
            chart.SetYAxisRange(0.0, 1.0 if title == "Dice" else 1.05 * highest or 1.0)
            chart.EndModify(modifying)
        self._put_into_views()

    def remove(self) -> None:
        """Remove all nodes that are still in the scene."""
        for title, chart in self._charts.items():
            view = self._scene.GetNodeByID(plot_view_id(title))
            if view is not None and view.GetPlotChartNodeID() == chart.GetID():
                view.SetPlotChartNodeID(None)
        for node in (*self._charts.values(), *self._series.values(), self._table):
            if self._scene.IsNodePresent(node):
                self._scene.RemoveNode(node)

    def _put_into_views(self) -> None:
        for title, chart in self._charts.items():
            view = self._scene.GetNodeByID(plot_view_id(title))
            if view is not None and view.GetPlotChartNodeID() != chart.GetID():
                view.SetDoPropagatePlotChartSelection(False)  # whatever chart is chosen elsewhere
                view.SetPlotChartNodeID(chart.GetID())

    def _fill(self, curve: SliceCurve | None) -> None:
        columns: dict[str, Sequence[float]] = {POSITION: (), DICE: (), OURS: (), THEIRS: ()}
        if curve is not None:
            columns = {
                POSITION: curve.position_mm,
                DICE: curve.dice,
                OURS: [area / 100 for area in curve.prediction_mm2],
                THEIRS: [area / 100 for area in curve.reference_mm2],
            }
        table = vtk.vtkTable()
        for name, values in columns.items():
            column = numpy_support.numpy_to_vtk(np.asarray(values, dtype=np.float64), deep=True)
            column.SetName(name)
            table.AddColumn(column)
        labels = vtk.vtkStringArray()
        labels.SetName(LABEL)
        if curve is not None:
            for number in curve.slices:
                labels.InsertNextValue(slicing_axis(curve.slicing_axis).in_words(f"slice {number}"))
        table.AddColumn(labels)
        self._table.SetAndObserveTable(table)

    def _add_series(self, name: str) -> Any:
        series = self._add("vtkMRMLPlotSeriesNode", name)
        series.SetAndObserveTableNodeID(self._table.GetID())
        series.SetPlotType(slicer.vtkMRMLPlotSeriesNode.PlotTypeScatter)
        series.SetXColumnName(POSITION)
        series.SetYColumnName(name)
        series.SetLabelColumnName(LABEL)
        dash = name == THEIRS
        series.SetLineStyle(getattr(slicer.vtkMRMLPlotSeriesNode, "LineStyleDash" if dash else "LineStyleSolid"))
        series.SetLineWidth(2)
        series.SetMarkerStyle(slicer.vtkMRMLPlotSeriesNode.MarkerStyleCircle)
        series.SetMarkerSize(5)
        return series

    def _add_chart(self, title: str) -> Any:
        chart = self._add("vtkMRMLPlotChartNode", f"Slice curve, {title}")
        chart.SetXAxisTitle(_x_title(slicing_axis(AXIAL)))
        chart.SetYAxisTitle(_Y_TITLES[title])
        chart.SetLegendVisibility(title == "Area")
        chart.SetTitleFontSize(14)
        chart.SetAxisTitleFontSize(12)
        return chart

    def _add(self, kind: str, name: str) -> Any:
        node = self._scene.CreateNodeByClass(kind)
        node.UnRegister(None)
        node.SetName(name)
        node.SetHideFromEditors(True)
        node.SetSaveWithScene(False)
        return self._scene.AddNode(node)


def _x_title(axis: SlicingAxis) -> str:
    return f"{axis.ends[1].capitalize()} (mm)"


def selected_position(selections: vtk.vtkCollection) -> int | None:
    """Position in the curve of the first point that was selected in a plot; None where none was.

    `selections` is what Slicer's plot view hands out: a vtkIdTypeArray of point numbers for each series.
    """
    for number in range(selections.GetNumberOfItems()):
        points = selections.GetItemAsObject(number)
        if points.GetNumberOfValues():
            return int(points.GetValue(0))
    return None
