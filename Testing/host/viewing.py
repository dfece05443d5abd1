"""What Slicer's views would show, as pictures: slices and surfaces by its displayable managers, plots by VTK's charts."""

from __future__ import annotations

import numpy as np
import slicer
import vtk
from PySide6 import QtCore, QtGui, QtWidgets
from UNetSegmenterLib.scene.headless.offscreen_views import SliceView, ThreeDView, check_rendering, downsampled
from UNetSegmenterLib.scene.nodes.node_grids import volume_geometry
from UNetSegmenterLib.scene.views.cameras import frame
from UNetSegmenterLib.scene.views.capture import window_pixels
from UNetSegmenterLib.scene.views.layout import ONE_ROW, ONLY_3D, PLOT_VIEWS, plot_view_id, slice_views

GAP_PIXELS = 4
FROM_THE_FRONT = (0.28, -1.0, -0.22)
AXES = ((0, 1), (0, 2), (1, 2))  # what is across and up in axial, coronal and sagittal views
MARKERS = {"MarkerStyleCircle": vtk.vtkPlotPoints.CIRCLE}
LINES = {"LineStyleDash": vtk.vtkPen.DASH_LINE, "LineStyleSolid": vtk.vtkPen.SOLID_LINE}


def as_image(pixels: np.ndarray) -> QtGui.QImage:
    height, width, _ = pixels.shape
    pixels = np.ascontiguousarray(pixels)
    return QtGui.QImage(pixels.data, width, height, 3 * width, QtGui.QImage.Format_RGB888).copy()


def slice_image(widget) -> QtGui.QImage:
    """What a slice widget of the layout shows, as it stands: its plane, its zoom, its words."""
    node, size = widget.mrmlSliceNode(), QtWidgets.QWidget.size(widget.view).toTuple()
    view = SliceView(slicer.mrmlScene, slicer.app.applicationLogic(), node.GetLayoutName(), size)
    view.logic.UpdatePipeline()
    if view.logic.GetImageDataConnection() is not None:
        view._mapper.SetInputConnection(view.logic.GetImageDataConnection())
    background = slicer.mrmlScene.GetNodeByID(view.logic.GetSliceCompositeNode().GetBackgroundVolumeID() or "")
    if background is not None:
        view.add_text(f"B: {background.GetName()}", "bottom left", 10, bold=False)
    image = _with_words(view, widget)
    view.logic.ResizeSliceNode(*size)
    return image


def threed_image(widget) -> QtGui.QImage:
    """What a 3D widget of the layout shows: from its camera, and no nearer or further than the camera's clipping range."""
    name, size = widget.mrmlViewNode().GetLayoutName(), QtWidgets.QWidget.size(widget.view).toTuple()
    return _with_words(ThreeDView(slicer.mrmlScene, slicer.app.applicationLogic(), name, size), widget)


def _with_words(view, widget) -> QtGui.QImage:
    props = widget.view.renderWindow().GetRenderers().GetItemAsObject(0).GetViewProps()
    words = [props.GetItemAsObject(number) for number in range(props.GetNumberOfItems())]
    for actor in words:
        view.renderer.AddViewProp(actor)
    view.window.Render()
    image = as_image(downsampled(window_pixels(view.window)))
    for actor in words:
        view.renderer.RemoveViewProp(actor)
    view.close()
    return image


def slice_picture(name, scan, axes, position_ras, size, title="", orientation=None) -> QtGui.QImage:
    """A slice view of the scene with the whole scan in it, cut at a position (RAS)."""
    bounds = np.zeros(6)
    scan.GetRASBounds(bounds)
    middle = (bounds[::2] + bounds[1::2]) / 2
    size_mm = np.multiply(volume_geometry(scan).shape[::-1], scan.GetSpacing())
    view = SliceView(slicer.mrmlScene, slicer.app.applicationLogic(), name, size)
    if orientation:
        view.node.SetOrientation(orientation)
    view.logic.GetSliceCompositeNode().SetBackgroundVolumeID(scan.GetID())
    view.look_at(tuple(middle), tuple(position_ras), *(1.05 * size_mm[axis] for axis in axes))
    if title:
        view.add_text(f"{title}, {view.node.GetOrientation().lower()}")
    image = as_image(view.picture())
    view.close()
    return image


def surface_picture(name, segmentation, size, title="") -> QtGui.QImage:
    """A 3D view of the scene, close around a segmentation, from the front."""
    view = ThreeDView(slicer.mrmlScene, slicer.app.applicationLogic(), name, size)
    view.node.SetBoxVisible(False)
    view.node.SetAxisLabelsVisible(False)
    bounds = np.zeros(6)
    segmentation.GetRASBounds(bounds)
    corners = [[bounds[i], bounds[2 + j], bounds[4 + k]] for i in (0, 1) for j in (0, 1) for k in (0, 1)]
    cameras = slicer.mrmlScene.GetNodesByClass("vtkMRMLCameraNode")
    for number in range(cameras.GetNumberOfItems()):
        camera = cameras.GetItemAsObject(number)
        if camera.GetLayoutName() == name:
            frame(camera, np.array(corners), FROM_THE_FRONT, size[0] / size[1])
    if title:
        view.add_text(title)
    image = as_image(view.picture())
    view.close()
    return image


def plot_image(view_node, size) -> QtGui.QImage:
    """The chart of a plot view node, with the settings that its nodes hold."""
    check_rendering()
    node = view_node.GetPlotChartNode()
    view, chart = vtk.vtkContextView(), vtk.vtkChartXY()
    window = view.GetRenderWindow()
    window.SetOffScreenRendering(1)
    window.SetMultiSamples(0)
    window.SetSize(*(2 * side for side in size))
    window.SetDPI(144)
    view.GetScene().AddItem(chart)
    chart.SetTitle(node.GetTitle())
    chart.GetTitleProperties().SetFontSize(node.GetTitleFontSize())
    chart.SetShowLegend(node.GetLegendVisibility())
    for axis, text in ((vtk.vtkAxis.BOTTOM, node.GetXAxisTitle()), (vtk.vtkAxis.LEFT, node.GetYAxisTitle())):
        chart.GetAxis(axis).SetTitle(text)
        chart.GetAxis(axis).GetTitleProperties().SetFontSize(node.GetAxisTitleFontSize())
    chart.GetAxis(vtk.vtkAxis.LEFT).SetBehavior(vtk.vtkAxis.FIXED)
    chart.GetAxis(vtk.vtkAxis.LEFT).SetRange(*node.GetYAxisRange())
    for number in range(node.GetNumberOfPlotSeriesNodes()):
        _add_series(chart, node.GetNthPlotSeriesNode(number))
    view.Render()
    image = as_image(downsampled(window_pixels(window)))
    window.Finalize()
    return image


def _add_series(chart, series) -> None:
    kind = slicer.vtkMRMLPlotSeriesNode
    line = chart.AddPlot(vtk.vtkChart.LINE)
    line.SetInputData(series.GetTableNode().GetTable(), series.GetXColumnName(), series.GetYColumnName())
    line.SetColorF(*series.GetColor())
    line.SetWidth(2 * series.GetLineWidth())
    line.SetLabel(series.GetName())
    line.SetMarkerSize(2 * series.GetMarkerSize())
    line.SetMarkerStyle(
        next(value for name, value in MARKERS.items() if getattr(kind, name) == series.GetMarkerStyle())
    )
    style = next(value for name, value in LINES.items() if getattr(kind, name) == series.GetLineStyle())
    line.GetPen().SetLineType(style)


def layout_pictures(variant, scan, reference, position_ras, width=2000, height=1000, with_plots=False):
    """The rows of views of one of the module's layouts, cut at a position (RAS); `reference` says what 3D views frame."""
    rows = (
        {"Pred": "Prediction and ground truth"} if variant == ONE_ROW else {"Pred": "Prediction", "Ref": "Ground truth"}
    )
    if variant == ONLY_3D:
        size = (width // 2, height)
        pictures = [[surface_picture(f"{row}3D", reference, size, title) for row, title in rows.items()]]
    else:
        size = (width // 4, height // len(rows))
        pictures = [
            [
                *(
                    slice_picture(name, scan, axes, position_ras, size, title)
                    for name, axes in zip(slice_views(row), AXES, strict=True)
                ),
                surface_picture(f"{row}3D", reference, size, f"{title}, 3D"),
            ]
            for row, title in rows.items()
        ]
    if with_plots:
        pictures.append(
            [
                plot_image(slicer.mrmlScene.GetNodeByID(plot_view_id(title)), (width // 2, height // 2))
                for title in PLOT_VIEWS
            ]
        )
    return pictures


def window_picture(panel: QtGui.QImage | None, rows: list[list[QtGui.QImage]], width: int) -> QtGui.QImage:
    """The panel left (None: no panel), rows of views right, as Slicer's window has them."""
    left = panel.width() + GAP_PIXELS if panel is not None else 0
    full = left + max(sum(view.width() + GAP_PIXELS for view in row) for row in rows)
    tall = sum(max(view.height() for view in row) + GAP_PIXELS for row in rows)
    image = QtGui.QImage(full, max(tall, panel.height() if panel is not None else 0), QtGui.QImage.Format_RGB32)
    image.fill(QtGui.QColor("#efefef"))
    painter = QtGui.QPainter(image)
    if panel is not None:
        painter.drawImage(0, 0, panel)
    y = 0
    for row in rows:
        x = left
        for view in row:
            painter.drawImage(x, y, view)
            x += view.width() + GAP_PIXELS
        y += max(view.height() for view in row) + GAP_PIXELS
    painter.end()
    return image.scaledToWidth(width, QtCore.Qt.SmoothTransformation)
