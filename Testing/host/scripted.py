"""Own small base classes of scripted modules: the life cycle that Slicer gives a module, its widget, logic and test."""

from __future__ import annotations

import importlib.util
import sys
import types
import unittest
from pathlib import Path

import slicer
import vtk
from PySide6 import QtWidgets

from . import qmrml


class ScriptedLoadableModule:
    def __init__(self, parent):
        self.parent = parent
        self.moduleName = type(self).__name__

    def resourcePath(self, name):
        return str(Path(self.parent.path).parent / "Resources" / name)

    def getDefaultModuleDocumentationLink(self, docPage=None):
        return ""


class ScriptedLoadableModuleWidget:
    def __init__(self, parent=None):
        self.parent = parent
        self.moduleName = type(self).__name__.removesuffix("Widget")
        self.developerMode = False
        self.layout = QtWidgets.QWidget.layout(parent)

    def resourcePath(self, name):
        return str(Path(slicer.util.modulePath(self.moduleName)).parent / "Resources" / name)

    def setup(self):
        pass

    def cleanup(self):
        pass


class ScriptedLoadableModuleLogic:
    def __init__(self, parent=None):
        self.moduleName = type(self).__name__.removesuffix("Logic")

    def getParameterNode(self):
        node = slicer.mrmlScene.GetSingletonNode(self.moduleName, "vtkMRMLScriptedModuleNode")
        if node is None:
            node = slicer.mrmlScene.CreateNodeByClass("vtkMRMLScriptedModuleNode")
            node.UnRegister(None)
            node.SetSingletonTag(self.moduleName)
            node.SetModuleName(self.moduleName)
            node.SetAttribute("ModuleName", self.moduleName)
            node = slicer.mrmlScene.AddNode(node)
        return node


class ScriptedLoadableModuleTest(unittest.TestCase):
    def runTest(self):
        pass

    def delayDisplay(self, message, msec=None):
        slicer.app.processEvents()


class ModuleParent:
    """What Slicer hands a module class: the object that holds its metadata."""

    def __init__(self, path):
        self.path = str(path)
        self.title, self.categories, self.dependencies, self.contributors = "", [], [], []
        self.helpText = self.acknowledgementText = ""
        self.icon = None
        self.isEntered = False


class ModuleWidgetParent(qmrml.qMRMLWidget):
    """The widget that holds a module's panel; `isEntered` while it is shown."""

    isEntered = False

    def reload(self):
        self.module_record.create_widget()


class ModuleRecord:
    """`slicer.modules.<name>`: the loaded module, its panel and its path."""

    def __init__(self, python_module, path):
        self.name, self.path = Path(path).stem, str(path)
        self.parent = ModuleParent(path)
        self.module = getattr(python_module, self.name)(self.parent)
        self._representation = None

    def logic(self):
        return None

    def widgetRepresentation(self):
        if self._representation is None:
            parent = ModuleWidgetParent()
            parent.module_record = self
            QtWidgets.QVBoxLayout(parent)
            self._representation = parent
            self.create_widget()
        return self._representation

    def create_widget(self):
        """A fresh panel inside the representation, as at the first show and at a reload."""
        parent = self._representation
        widget = getattr(sys.modules[self.name], self.name + "Widget")(parent)
        parent.self = lambda: widget
        setattr(slicer.modules, self.name + "Widget", widget)
        widget.setup()
        parent.setMRMLScene(slicer.mrmlScene)
        return widget

    def enter(self):
        """Show the panel, as choosing the module in Slicer does."""
        parent = self.widgetRepresentation()
        parent.isEntered = True
        parent.self().enter()
        parent.show()
        return parent.self()

    def exit(self):
        parent = self.widgetRepresentation()
        parent.isEntered = False
        parent.self().exit()


def load_module(path):
    """Load a scripted module file as Slicer's module factory does and put it at `slicer.modules.<name>`."""
    path = Path(path)
    if str(path.parent) not in sys.path:
        sys.path.insert(0, str(path.parent))
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    record = ModuleRecord(module, path)
    setattr(slicer.modules, path.stem.lower(), record)
    return record


def install():
    """Put the base classes where a scripted module imports them from."""
    from . import parameter_node

    base = types.ModuleType("slicer.ScriptedLoadableModule")
    for cls in (
        ScriptedLoadableModule,
        ScriptedLoadableModuleWidget,
        ScriptedLoadableModuleLogic,
        ScriptedLoadableModuleTest,
    ):
        setattr(base, cls.__name__, cls)
    base.__all__ = [name for name in vars(base) if name.startswith("Scripted")]
    translation = types.ModuleType("slicer.i18n")
    translation.tr = lambda text, *args: text
    translation.translate = lambda context, text, *args: text
    for name, module in (
        ("ScriptedLoadableModule", base),
        ("i18n", translation),
        ("parameterNodeWrapper", parameter_node),
    ):
        sys.modules[f"slicer.{name}"] = module
        setattr(slicer, name, module)
    slicer.vtk = vtk
