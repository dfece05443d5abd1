"""The qMRML widgets that the panel uses, over the real MRML scene."""

from __future__ import annotations

import slicer
import vtk
from PySide6 import QtCore, QtGui, QtWidgets

from .pythonqt import PythonQtLike, QUiLoader

SCENE_EVENTS = (
    slicer.vtkMRMLScene.NodeAddedEvent,
    slicer.vtkMRMLScene.EndCloseEvent,
    slicer.vtkMRMLScene.EndImportEvent,
    slicer.vtkMRMLScene.EndBatchProcessEvent,
)


class qMRMLWidget(PythonQtLike, QtWidgets.QWidget):
    """Hands the scene on to the widgets in it."""

    mrmlSceneChanged = QtCore.Signal(object)

    def setMRMLScene(self, scene):
        self._scene = scene
        self.mrmlSceneChanged.emit(scene)

    def mrmlScene(self):
        return getattr(self, "_scene", None)


class qMRMLPlotView(PythonQtLike, QtWidgets.QWidget):
    """Tells which points of a plot were selected; nothing is drawn."""

    dataSelected = QtCore.Signal(object, object)


class qMRMLPlotWidget(PythonQtLike, QtWidgets.QWidget):
    """What the layout manager makes of a plot view node."""

    def __init__(self, node):
        super().__init__()
        self._node, self._view, self.image = node, qMRMLPlotView(self), None

    def paintEvent(self, event):
        if self.image is not None:
            painter = QtGui.QPainter(self)
            painter.drawImage(0, 0, self.image)
            painter.end()

    def mrmlPlotViewNode(self):
        return self._node

    def plotView(self):
        return self._view


class _AsWideAsItsNames(QtWidgets.QComboBox):
    """CTK's combo box: its longest item is its least width."""

    def minimumSizeHint(self):
        return self.sizeHint()


class qMRMLNodeComboBox(PythonQtLike, QtWidgets.QWidget):
    """Nodes of the scene by class, in the order of the scene.

    As in Slicer, a node that is removed leaves the list before it leaves the scene, and its neighbour in the list is chosen
    then, if there is one; choosing a node that is not in the list chooses none.
    """

    currentNodeChanged = QtCore.Signal(object)
    currentNodeIDChanged = QtCore.Signal(str)

    def __init__(self, parent=None):
        super().__init__(parent)
        self._scene, self._observed, self._nodes, self._current_id = None, [], [], ""
        self._settings = {"nodeTypes": [], "noneDisplay": "None", "baseName": ""}
        self._flags = {"noneEnabled": False, "showHidden": False, "showChildNodeTypes": True}
        layout = QtWidgets.QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        self._combo = _AsWideAsItsNames(self)
        self._combo.setSizeAdjustPolicy(QtWidgets.QComboBox.AdjustToContents)
        self._combo.setSizePolicy(QtWidgets.QSizePolicy.Expanding, QtWidgets.QSizePolicy.Fixed)
        self._combo.setFocusProxy(self)
        layout.addWidget(self._combo)
        self._combo.currentIndexChanged.connect(self._on_index)

    def _setting(kind, name, store="_settings"):
        def write(self, value):
            getattr(self, store)[name] = value
            self._refresh()

        return QtCore.Property(kind, lambda self: getattr(self, store).get(name, False), write)

    nodeTypes = _setting(list, "nodeTypes")
    noneDisplay = _setting(str, "noneDisplay")
    baseName = _setting(str, "baseName")
    noneEnabled = _setting(bool, "noneEnabled", "_flags")
    showHidden = _setting(bool, "showHidden", "_flags")
    showChildNodeTypes = _setting(bool, "showChildNodeTypes", "_flags")
    addEnabled = _setting(bool, "addEnabled", "_flags")
    removeEnabled = _setting(bool, "removeEnabled", "_flags")
    editEnabled = _setting(bool, "editEnabled", "_flags")
    renameEnabled = _setting(bool, "renameEnabled", "_flags")
    selectNodeUponCreation = _setting(bool, "selectNodeUponCreation", "_flags")

    def _get_id(self):
        return self._current_id

    currentNodeID = QtCore.Property(str, _get_id)

    def setMRMLScene(self, scene):
        for subject, tag in self._observed:
            subject.RemoveObserver(tag)
        self._scene = scene
        self._observed = []
        if scene:
            going = slicer.vtkMRMLScene.NodeAboutToBeRemovedEvent
            tags = [scene.AddObserver(event, lambda *_: self._refresh()) for event in SCENE_EVENTS]
            tags.append(scene.AddObserver(going, self._on_removing, -10.0))  # after all who did not ask for a place
            self._observed = [(scene, tag) for tag in tags]
        self._refresh()

    @vtk.calldata_type(vtk.VTK_OBJECT)
    def _on_removing(self, scene, event, node):
        if node in self._nodes and not scene.IsClosing():
            self._nodes.remove(node)
            self._combo.removeItem(self._combo.findData(node.GetID()))  # Qt goes on to the neighbour

    def mrmlScene(self):
        return self._scene

    def _fits(self, node):
        exact = node.GetClassName() in self._settings["nodeTypes"]
        derived = self._flags["showChildNodeTypes"] and any(node.IsA(name) for name in self._settings["nodeTypes"])
        return (exact or derived) and (self._flags["showHidden"] or not node.GetHideFromEditors())

    def _refresh(self):
        if self._scene is None or self._scene.IsBatchProcessing():
            return
        nodes = [self._scene.GetNthNode(i) for i in range(self._scene.GetNumberOfNodes())]
        self._nodes = [node for node in nodes if self._fits(node)]
        wanted = self._scene.GetNodeByID(self._current_id) if self._current_id else None
        with QtCore.QSignalBlocker(self._combo):
            self._combo.clear()
            if self._flags["noneEnabled"]:
                self._combo.addItem(self._settings["noneDisplay"], "")
            for node in self._nodes:
                self._combo.addItem(node.GetName(), node.GetID())
        if wanted not in self._nodes:
            wanted = None if self._flags["noneEnabled"] or not self._nodes else self._nodes[0]
        self.setCurrentNode(wanted)

    def _on_index(self, index):
        self._become(self._combo.itemData(index) or "" if index >= 0 else "")

    def _become(self, node_id):
        if node_id != self._current_id:
            self._current_id = node_id
            self.currentNodeChanged.emit(self.currentNode())
            self.currentNodeIDChanged.emit(node_id)

    def currentNode(self):
        return self._scene.GetNodeByID(self._current_id) if self._scene and self._current_id else None

    def setCurrentNode(self, node):
        node_id = node.GetID() if node in self._nodes else ""
        with QtCore.QSignalBlocker(self._combo):
            self._combo.setCurrentIndex(self._combo.findData(node_id) if node_id or self._flags["noneEnabled"] else -1)
        self._become(node_id)

    def setCurrentNodeID(self, node_id):
        self.setCurrentNode(self._scene.GetNodeByID(node_id) if self._scene and node_id else None)

    def nodeCount(self):
        return len(self._nodes)


CUSTOM = (qMRMLWidget, qMRMLNodeComboBox)
QUiLoader.custom.update({cls.__name__: cls for cls in CUSTOM})
