"""The layout manager: Slicer's own layout logic makes the view nodes, Qt lays out a widget for each as CTK does.

Widgets have the widths that Slicer's ask for, slice nodes get their sizes from them, cameras start at the origin, and the
slider of a new slice view writes its first value a moment later. What views show is drawn when a picture is taken.
"""

from __future__ import annotations

import contextlib
import xml.etree.ElementTree

import slicer
import vtk
from PySide6 import QtCore, QtGui, QtWidgets

from . import qmrml
from .pythonqt import PythonQtLike

SLICE_BAR, THREED_BAR, BAR_HEIGHT = 317, 110, 23  # pixels, measured in Slicer 5.13
RAW = QtWidgets.QWidget


class View(PythonQtLike, RAW):
    """The part of a view widget that is drawn: `qMRMLSliceView`, `qMRMLThreeDView`."""

    def __init__(self, parent, on_size):
        super().__init__(parent)
        self._on_size, self._window, self.image = on_size, None, None
        self.setMinimumSize(20, 20)

    def renderWindow(self):
        if self._window is None:
            from UNetSegmenterLib.scene.headless.offscreen_views import check_rendering

            with contextlib.suppress(Exception):  # it chooses a library that needs no screen, if there is one
                check_rendering()
            self._window = vtk.vtkRenderWindow()
            self._window.SetOffScreenRendering(1)
            self._window.AddRenderer(vtk.vtkRenderer())
            self._window.SetSize(max(1, RAW.width(self)), max(1, RAW.height(self)))
        return self._window

    def scheduleRender(self):
        self.image = None

    def forceRender(self):
        self.image = None

    def resizeEvent(self, event):
        if self._window is not None:
            self._window.SetSize(RAW.width(self), RAW.height(self))
        self._on_size(RAW.width(self), RAW.height(self))

    def paintEvent(self, event):
        painter = QtGui.QPainter(self)
        if self.image is not None:
            painter.drawImage(0, 0, self.image)
        else:
            painter.fillRect(RAW.rect(self), QtGui.QColor("black"))
        painter.end()


class ViewWidget(PythonQtLike, RAW):
    """A bar above a view."""

    def __init__(self, node, bar_width):
        super().__init__()
        self._node = node
        self.bar = QtWidgets.QLabel()
        self.bar.setMinimumWidth(bar_width)
        self.bar.setFixedHeight(BAR_HEIGHT)
        color = QtGui.QColor.fromRgbF(*node.GetLayoutColor())
        self.bar.setStyleSheet(f"background: {color.name()}; color: black; padding-left: 22px")
        self.view = View(self, self._on_size)
        column = QtWidgets.QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        column.addWidget(self.bar)
        column.addWidget(self.view, 1)
        self.view.setSizePolicy(QtWidgets.QSizePolicy.Expanding, QtWidgets.QSizePolicy.Expanding)

    def _on_size(self, width, height):
        pass


class SliceWidget(ViewWidget):
    def __init__(self, node, logic):
        super().__init__(node, SLICE_BAR)
        self._logic = logic
        QtCore.QTimer.singleShot(0, self._write_slider)

    def _write_slider(self):
        """The first value of the slider, which keeps to the range of the scan."""
        if self._node.GetScene() is None:
            return
        bounds = [0.0] * 6
        self._logic.GetSliceBounds(bounds)
        low, high = sorted(bounds[4:])
        self._logic.StartSliceOffsetInteraction()
        self._logic.SetSliceOffset(min(max(0.0, low), high) if low < high else 0.0)
        self._logic.EndSliceOffsetInteraction()

    def _on_size(self, width, height):
        self._logic.ResizeSliceNode(width, height)

    def sliceView(self):
        return self.view

    def sliceLogic(self):
        return self._logic

    def mrmlSliceNode(self):
        return self._node


class ThreeDWidget(ViewWidget):
    def __init__(self, node):
        super().__init__(node, THREED_BAR)
        scene, name = node.GetScene(), node.GetLayoutName()
        if scene.GetSingletonNode(name, "vtkMRMLCameraNode") is None:
            camera = slicer.vtkMRMLCameraNode()
            camera.SetLayoutName(name)
            scene.AddNode(camera)

    def threeDView(self):
        return self.view

    def mrmlViewNode(self):
        return self._node


class LayoutManager:
    """What the panel asks of `slicer.app.layoutManager()`."""

    def __init__(self, application_logic):
        self._application_logic, self._logic, self._widgets, self._shown = application_logic, None, {}, None
        self.viewport = RAW()
        QtWidgets.QVBoxLayout(self.viewport).setContentsMargins(0, 0, 0, 0)

    @property
    def layout(self):
        return self._logic.GetLayoutNode().GetViewArrangement() if self._logic else 3

    def setLayout(self, layout):
        self.layoutLogic().GetLayoutNode().SetViewArrangement(layout)

    def layoutLogic(self):
        if self._logic is None:
            self._logic = slicer.vtkMRMLLayoutLogic()
            self._logic.SetMRMLApplicationLogic(self._application_logic)
            self._logic.SetMRMLScene(slicer.mrmlScene)
            node = self._logic.GetLayoutNode()
            node.AddObserver(vtk.vtkCommand.ModifiedEvent, self._on_layout, -10.0)  # the view nodes are made before
            node.SetViewArrangement(3)
        return self._logic

    def mrmlSliceLogics(self):
        return self._application_logic.GetSliceLogics()

    def sliceViewNames(self):
        return tuple(node.GetLayoutName() for node in self._nodes("vtkMRMLSliceNode"))

    def sliceWidget(self, name):
        nodes = [node for node in self._nodes("vtkMRMLSliceNode") if node.GetLayoutName() == name]
        return self._widget(nodes[0]) if nodes else None

    @property
    def threeDViewCount(self):
        return len(self._nodes("vtkMRMLViewNode"))

    def threeDWidget(self, number):
        nodes = self._nodes("vtkMRMLViewNode")
        return self._widget(nodes[number]) if number < len(nodes) else None

    @property
    def plotViewCount(self):
        return len(self._nodes("vtkMRMLPlotViewNode"))

    def plotWidget(self, number):
        nodes = self._nodes("vtkMRMLPlotViewNode")
        return self._widget(nodes[number]) if number < len(nodes) else None

    def resetSliceViews(self):
        for number in range(self._application_logic.GetSliceLogics().GetNumberOfItems()):
            self._application_logic.GetSliceLogics().GetItemAsObject(number).FitSliceToBackground()

    @staticmethod
    def _nodes(kind):
        """All that there have been in this scene, whether the layout shows them or not, as in Slicer."""
        count = slicer.mrmlScene.GetNumberOfNodesByClass(kind)
        return [slicer.mrmlScene.GetNthNodeByClass(number, kind) for number in range(count)]

    def _widget(self, node):
        if node not in self._widgets:
            self._widgets[node] = self._made(node)
            RAW.setParent(self._widgets[node], self.viewport)
            RAW.hide(self._widgets[node])
        return self._widgets[node]

    def _made(self, node):
        if node.IsA("vtkMRMLSliceNode"):
            return SliceWidget(node, self._slice_logic(node))
        return ThreeDWidget(node) if node.IsA("vtkMRMLViewNode") else qmrml.qMRMLPlotWidget(node)

    def _slice_logic(self, node):
        """The logic of a slice node; made here, for a module that is only loaded may have nothing imported by this."""
        logic = self._application_logic.GetSliceLogicByLayoutName(node.GetLayoutName())
        if logic is None:
            logic = slicer.vtkMRMLSliceLogic()
            logic.SetMRMLApplicationLogic(self._application_logic)
            self._application_logic.GetSliceLogics().AddItem(logic)
            logic.SetMRMLScene(slicer.mrmlScene)
            logic.SetSliceNode(node)
        return logic

    def _on_layout(self, node, event):
        description = node.GetCurrentLayoutDescription()
        if description and description != self._shown:
            self._shown = description
            self._lay_out(xml.etree.ElementTree.fromstring(description))

    def _lay_out(self, root):
        """Every widget leaves the old layout first, as CTK has it."""
        for widget in self._widgets.values():
            RAW.setParent(widget, self.viewport)
            RAW.hide(widget)
        column = self.viewport.layout()
        while column.count():
            old = column.takeAt(0).widget()
            if old not in self._widgets.values():
                old.deleteLater()
        column.addWidget(self._element(root))

    def _element(self, element):
        if element.tag == "view":
            tag, kind = element.get("singletontag"), element.get("class")
            node = slicer.mrmlScene.GetSingletonNode(tag, kind) if tag else None
            widget = self._widget(node) if node is not None else RAW()
            RAW.show(widget)
            return widget
        orientation = QtCore.Qt.Vertical if element.get("type") == "vertical" else QtCore.Qt.Horizontal
        items = element.findall("item")
        children = [self._element(item[0]) for item in items]
        if element.get("split") == "true":
            splitter = QtWidgets.QSplitter(orientation)
            for child in children:
                splitter.addWidget(child)
            sizes = [int(item.get("splitSize", 0)) for item in items]
            if any(sizes):
                splitter.setSizes(sizes)
            return splitter
        box = RAW()
        layout = QtWidgets.QBoxLayout(
            QtWidgets.QBoxLayout.TopToBottom if orientation == QtCore.Qt.Vertical else QtWidgets.QBoxLayout.LeftToRight,
            box,
        )
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        for child in children:
            layout.addWidget(child)
        return box

    def draw(self):
        """Draw every view that is on screen: to be called before a picture of the window is taken."""
        from .viewing import plot_image, slice_image, threed_image

        for node, widget in self._widgets.items():
            if not RAW.isVisible(widget):
                continue
            if isinstance(widget, SliceWidget):
                widget.bar.setText(f"{node.GetLayoutLabel()}    {node.GetSliceOffset():.1f} mm")
                widget.view.image = slice_image(widget)
            elif isinstance(widget, ThreeDWidget):
                widget.bar.setText(node.GetLayoutLabel())
                widget.view.image = threed_image(widget)
            else:
                widget.image = plot_image(node, RAW.size(widget).toTuple())
            RAW.update(widget)
