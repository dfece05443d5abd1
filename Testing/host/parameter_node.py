"""`slicer.parameterNodeWrapper` as the panel uses it: typed parameters kept in a script node of the scene, bound to widgets.

Types: MRML nodes, str (a combo box needs `Choice`), bool, int, float and Enum. As in Slicer, a widget is bound only if its
type is exactly the one that its data type asks for.
"""

from __future__ import annotations

import enum
import typing
from dataclasses import dataclass
from typing import Annotated, Any, get_args, get_origin

import slicer
import vtk

from . import pythonqt, qmrml

PROPERTY = "SlicerParameterName"


@dataclass(frozen=True)
class Default:
    value: Any


class Choice:
    def __init__(self, choices: Any) -> None:
        self.choices = list(choices)


@dataclass(frozen=True)
class WithinRange:
    minimum: float
    maximum: float


def _split(annotation: Any) -> tuple[type, tuple[Any, ...]]:
    if get_origin(annotation) is Annotated:
        kind, *extra = get_args(annotation)
        return kind, tuple(extra)
    return annotation, ()


def _is_node(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, slicer.vtkMRMLNode)


def _first(extra: tuple[Any, ...], cls: type) -> Any:
    return next((item for item in extra if isinstance(item, cls)), None)


def _default(kind: Any, extra: tuple[Any, ...], given: Any) -> Any:
    default, choice = _first(extra, Default), _first(extra, Choice)
    if given is not None:
        return given
    if default is not None:
        return default.value
    if choice is not None:
        return choice.choices[0]
    return next(iter(kind)) if isinstance(kind, type) and issubclass(kind, enum.Enum) else kind()


def _to_text(value: Any) -> str:
    return value.name if isinstance(value, enum.Enum) else str(value)


def _from_text(kind: Any, text: str) -> Any:
    if kind is bool:
        return text == "True"
    return kind[text] if isinstance(kind, type) and issubclass(kind, enum.Enum) else kind(text)


def _parameter(name: str, annotation: Any, given: Any) -> property:
    kind, extra = _split(annotation)

    def read(self):
        if _is_node(kind):
            return self.parameterNode.GetNodeReference(name)
        if not self.parameterNode.HasParameter(name):
            return _default(kind, extra, given)
        return _from_text(kind, self.parameterNode.GetParameter(name))

    def write(self, value):
        if _is_node(kind):
            if value is not None and not isinstance(value, kind):
                raise TypeError(f"{name} takes a {kind.__name__}, not {type(value).__name__}")
            self.parameterNode.SetNodeReferenceID(name, value.GetID() if value is not None else None)
            return
        if not isinstance(value, kind):
            raise TypeError(f"{name} takes {kind.__name__}, not {type(value).__name__}")
        choice = _first(extra, Choice)
        if choice is not None and value not in choice.choices:
            raise ValueError(f"{name} is one of {choice.choices}, not {value!r}")
        self.parameterNode.SetParameter(name, _to_text(value))

    return property(read, write)


class _Connector:
    """One widget and how its value is read, written and observed."""

    def __init__(self, widget: Any, annotation: Any) -> None:
        kind, extra = _split(annotation)
        self.widget, self.choices = widget, None
        if _is_node(kind) and type(widget) is qmrml.qMRMLNodeComboBox:
            self.signal, self.read, self.write = widget.currentNodeChanged, widget.currentNode, widget.setCurrentNode
        elif kind is bool and type(widget) in (pythonqt.QCheckBox, pythonqt.QPushButton):
            self.signal, self.read, self.write = widget.toggled, widget.isChecked, widget.setChecked
        elif kind is int and type(widget) in (pythonqt.QSpinBox, pythonqt.QSlider):
            self.signal, self.read, self.write = widget.valueChanged, lambda: widget.value, widget.setValue
        elif kind is str and type(widget) is pythonqt.QLineEdit:
            self.signal, self.read, self.write = widget.textChanged, lambda: widget.text, widget.setText
        elif type(widget) is pythonqt.QComboBox:
            self._combo(kind, _first(extra, Choice))
        else:
            raise RuntimeError(
                f"Unable to create GUI connector from datatype '{annotation}' to widget type '{type(widget)}'"
            )

    def _combo(self, kind: Any, choice: Choice | None) -> None:
        if isinstance(kind, type) and issubclass(kind, enum.Enum):
            label = getattr(kind, "label", lambda item: item.name)
            self.choices, texts = list(kind), [label(item) for item in kind]
        elif choice is not None:
            self.choices, texts = choice.choices, [str(item) for item in choice.choices]
        else:
            raise RuntimeError("ComboBoxToStringableConnector requires the Choice annotation to be used.")
        self.widget.clear()
        for text in texts:
            self.widget.addItem(text)
        self.signal = self.widget.currentIndexChanged
        self.read = lambda: self.choices[self.widget.currentIndex]
        self.write = lambda value: self.widget.setCurrentIndex(self.choices.index(value))


class _Binding:
    def __init__(self, owner: Any, connectors: dict[str, _Connector]) -> None:
        self.owner, self.connectors, self.writing = owner, connectors, False
        self.slots = {name: self._slot(name) for name in connectors}
        for name, connector in connectors.items():
            connector.signal.connect(self.slots[name])
        self.tag = owner.parameterNode.AddObserver(vtk.vtkCommand.ModifiedEvent, lambda *_: self.to_widgets())
        self.to_widgets()

    def _slot(self, name: str) -> Any:
        return lambda: self.from_widget(name)

    def from_widget(self, name: str) -> None:
        if not self.writing:
            setattr(self.owner, name, self.connectors[name].read())

    def to_widgets(self) -> None:
        self.writing = True
        try:
            for name, connector in self.connectors.items():
                if connector.read() != (value := getattr(self.owner, name)):
                    connector.write(value)
        finally:
            self.writing = False

    def release(self) -> None:
        self.owner.parameterNode.RemoveObserver(self.tag)
        for name, connector in self.connectors.items():
            connector.signal.disconnect(self.slots[name])


def parameterNodeWrapper(cls: type) -> type:
    """Class decorator: every annotation becomes a parameter."""
    annotations = typing.get_type_hints(cls, include_extras=True)

    class Wrapped(cls):  # type: ignore[misc, valid-type]
        def __init__(self, parameterNode):
            self.parameterNode = parameterNode
            self._bindings: dict[int, _Binding] = {}

        def connectGui(self, gui):
            found = {}
            for widget in vars(gui).values() if not hasattr(gui, "children") else slicer.util.findChildren(gui):
                name = widget.property(PROPERTY) if hasattr(widget, "property") else None
                if name:
                    if name not in annotations:
                        raise ValueError(f"Cannot find parameter '{name}' named by widget {widget.objectName}")
                    found[name] = _Connector(widget, annotations[name])
            tag = max(self._bindings, default=0) + 1
            self._bindings[tag] = _Binding(self, found)
            return tag

        def disconnectGui(self, tag):
            if tag in self._bindings:
                self._bindings.pop(tag).release()

        def AddObserver(self, *args):
            return self.parameterNode.AddObserver(*args)

        def RemoveObserver(self, tag):
            self.parameterNode.RemoveObserver(tag)

        def HasObserver(self, *args):
            return self.parameterNode.HasObserver(*args)

    for name, annotation in annotations.items():
        setattr(Wrapped, name, _parameter(name, annotation, cls.__dict__.get(name)))
    Wrapped.__name__ = cls.__name__
    return Wrapped
