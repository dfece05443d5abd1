"""`slicer.app`, `slicer.modules` and the MRML logics behind them, over the real libraries of the slicer-core wheel."""

from __future__ import annotations

import ctypes
import os
import shutil
import sys
import tempfile
import types
from pathlib import Path

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

import slicer
import slicer.util
import vtk
from PySide6 import QtCore, QtWidgets

from . import pythonqt, qmrml
from .layout import LayoutManager

SLICER_ONLY_IN_UTIL = ("load", "arrayFrom", "updateVolume", "getNode", "addVolume", "pip_")


class ModuleManager:
    def module(self, name):
        return getattr(slicer.modules, name.lower(), None)

    def connect(self, signature, function):
        return True

    def disconnect(self, signature, function):
        return True


class Application:
    """What the panel asks of `slicer.app`."""

    applicationName, applicationVersion, majorVersion, minorVersion = "Slicer", "5.12.0 (stand-in)", 5, 12

    def __init__(self, qt_application, logic):
        self._qt, self._logic, self._layout = qt_application, logic, LayoutManager(logic)
        self._modules, self.opened = ModuleManager(), []
        self.temporaryPath = tempfile.mkdtemp(prefix="slicer-stand-in-")
        self.slicerHome = str(Path(sys.executable).parent.parent)
        self.aboutToQuit = pythonqt.Signal(qt_application.aboutToQuit, [])
        qt_application.aboutToQuit.connect(lambda: shutil.rmtree(self.temporaryPath, ignore_errors=True))
        self._window = pythonqt.QMainWindow()
        self._window.setObjectName("qSlicerMainWindow")
        self._window.setCentralWidget(self._layout.viewport)

    def connect(self, signature, function):
        if signature == "aboutToQuit()":
            self.aboutToQuit.connect(function)
        elif signature == "startupCompleted()":
            function()
        else:
            raise AttributeError(f"the stand-in's application has no signal {signature}")
        return True

    def disconnect(self, signature, function):
        if signature == "aboutToQuit()":
            self.aboutToQuit.disconnect(function)
        return True

    def processEvents(self):
        self._qt.processEvents()

    def applicationLogic(self):
        return self._logic

    def layoutManager(self):
        return self._layout

    def topLevelWidgets(self):
        return tuple(QtWidgets.QApplication.topLevelWidgets())

    def moduleManager(self):
        return self._modules

    def style(self):
        return QtWidgets.QApplication.style()

    def palette(self):
        return QtWidgets.QApplication.palette()

    def userSettings(self):
        return pythonqt.QSettings()

    def testingEnabled(self):
        return True

    def setOverrideCursor(self, cursor):
        QtWidgets.QApplication.setOverrideCursor(cursor)

    def restoreOverrideCursor(self):
        QtWidgets.QApplication.restoreOverrideCursor()

    def openNodeModule(self, node):
        self.opened.append(node)


class CppModule:
    def __init__(self, logic):
        self._logic = logic

    def logic(self):
        return self._logic


def _scene_and_logics():
    scene, application_logic = slicer.vtkMRMLScene(), slicer.vtkSlicerApplicationLogic()
    application_logic.SetMRMLScene(scene)
    application_logic.GetColorLogic().SetMRMLScene(scene)
    application_logic.GetColorLogic().AddDefaultColorNodes()
    application_logic.SetModuleLogic("Colors", application_logic.GetColorLogic())
    scene.RegisterNodeClass(slicer.vtkMRMLColorLegendDisplayNode())  # as Slicer's module Colors does
    application_logic.SetSliceLogics(vtk.vtkCollection())
    application_logic.SetViewLogics(vtk.vtkCollection())
    slicer.vtkMRMLSliceNode.AddDefaultSliceOrientationPresets(scene, True)
    modules = types.SimpleNamespace()
    for cls, name in (
        ("vtkSlicerVolumesLogic", "Volumes"),
        ("vtkSlicerSequencesLogic", "Sequences"),
        ("vtkSlicerSegmentationsModuleLogic", "Segmentations"),
        ("vtkSlicerSubjectHierarchyModuleLogic", "SubjectHierarchy"),
    ):
        if not hasattr(slicer, cls):
            continue
        logic = getattr(slicer, cls)()
        logic.SetMRMLApplicationLogic(application_logic)
        logic.SetMRMLScene(scene)
        application_logic.SetModuleLogic(name, logic)
        setattr(modules, name.lower(), CppModule(logic))
    return scene, application_logic, modules


def _use_settings_of_its_own():
    """Settings go into a folder of their own, so that a test never touches those of the person who runs it."""
    folder = tempfile.mkdtemp(prefix="slicer-stand-in-settings-")
    QtCore.QSettings.setDefaultFormat(QtCore.QSettings.IniFormat)
    QtCore.QSettings.setPath(QtCore.QSettings.IniFormat, QtCore.QSettings.UserScope, folder)
    return folder


def _keep_constants_alive():
    """Before Python 3.12 PySide6 6.12 takes references from None, True and False that are not its own; give them plenty."""
    if sys.version_info < (3, 12):
        for constant in (None, True, False):
            ctypes.c_ssize_t.from_address(id(constant)).value += 1 << 40


def start():
    """Make `slicer`, `qt` and `ctk` importable as a module in Slicer finds them; returns the `slicer` module."""
    if hasattr(slicer, "app"):
        return slicer
    from . import ctk, scripted

    _keep_constants_alive()

    qt_application = QtWidgets.QApplication.instance() or QtWidgets.QApplication(["stand-in"])
    QtCore.QCoreApplication.setOrganizationName("UNetSegmenterTests")
    QtCore.QCoreApplication.setApplicationName("stand-in")
    settings = _use_settings_of_its_own()
    qt_application.aboutToQuit.connect(lambda: shutil.rmtree(settings, ignore_errors=True))
    qt_application.setStyle("Fusion")
    sys.modules["qt"], sys.modules["ctk"] = pythonqt.module(), ctk
    for name in [name for name in vars(slicer) if name.startswith(SLICER_ONLY_IN_UTIL)]:
        delattr(slicer, name)  # the wheel copies slicer.util's functions into slicer itself; a real Slicer does not
    slicer.mrmlScene, logic, slicer.modules = _scene_and_logics()
    slicer.app = Application(qt_application, logic)
    for cls in qmrml.CUSTOM:
        setattr(slicer, cls.__name__, cls)
    slicer.qSlicerScriptedLoadableModuleWidget = scripted.ModuleWidgetParent
    slicer.qSlicerScriptedLoadableModule = scripted.ModuleRecord
    scripted.install()
    slicer.util.selectModule = lambda module: getattr(slicer.modules, getattr(module, "name", module).lower()).enter()
    return slicer
