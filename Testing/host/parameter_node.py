"""`slicer.parameterNodeWrapper` as the panel uses it: typed parameters kept in a script node of the scene, bound to widgets.

Types: MRML nodes of one class or of several (`A | B | None`), str (a combo box needs `Choice`), bool, int and Enum. As
strict as Slicer's own: a value is kept and read anew only when the script node changes; a widget is bound only if its type
is exactly the one that its data type asks for; a node selector then lists the classes of its parameter, which have to be
classes of which there can be nodes; all widgets are written whenever one parameter changes. What was observed for the
widgets of a wrapper stays observed, and holds the wrapper, as long as the script node lives.
"""

from __future__ import annotations

import enum
import types
import typing
import weakref
from dataclasses import dataclass
from typing import Annotated, Any, get_args, get_origin

import slicer
import slicer.util
import vtk

from . import pythonqt, qmrml

PROPERTY = "SlicerParameterName"


@dataclass(frozen=True)
class Default:
    value: Any


class Choice:
    def __init__(self, choices: Any) -> None:
        self.choices = list(choices)

    def validate(self, value: Any) -> None:
        if value not in self.choices:
            raise ValueError(f"Value is {value}, but must be in one of the following: {self.choices}")


@dataclass(frozen=True)
class WithinRange:
    minimum: float
    maximum: float

    def validate(self, value: float) -> None:
        if not self.minimum <= value <= self.maximum:
            raise ValueError(f"Value must be within range [{self.minimum}, {self.maximum}], is {value}")


def _split(annotation: Any) -> tuple[tuple[type, ...], tuple[Any, ...]]:
    """The classes that a value may be of, and what else the annotation says."""
    extra: tuple[Any, ...] = ()
    if get_origin(annotation) is Annotated:
        annotation, *rest = get_args(annotation)
        extra = tuple(rest)
    if get_origin(annotation) in (typing.Union, types.UnionType):
        return get_args(annotation), extra
    return (annotation,), extra


def _node_classes(kinds: tuple[type, ...]) -> list[type]:
    return [kind for kind in kinds if isinstance(kind, type) and issubclass(kind, slicer.vtkMRMLNode)]


def _first(extra: tuple[Any, ...], cls: type) -> Any:
    return next((item for item in extra if isinstance(item, cls)), None)


class _Parameter:
    """One parameter of one script node; `value` is what was read last."""

    def __init__(self, node: Any, name: str, annotation: Any, given: Any) -> None:
        self.node, self.name, self.given = node, name, given
        self.kinds, self.extra = _split(annotation)
        self.is_node = bool(_node_classes(self.kinds))
        self.read()

    def read(self) -> None:
        """Take what the script node holds; the default is written where it holds nothing, as after a scene was closed."""
        if self.node.HasParameter(self.name):
            self.value = self.load()
        else:
            self.store(self.default(self.given))

    def default(self, given: Any) -> Any:
        default, kind = _first(self.extra, Default), self.kinds[0]
        if given is not None or self.is_node:
            return given
        if default is not None:
            return default.value
        return next(iter(kind)) if issubclass(kind, enum.Enum) else kind()

    def load(self) -> Any:
        if self.is_node:
            return self.node.GetNodeReference(self.name)
        kind, text = self.kinds[0], self.node.GetParameter(self.name)
        if kind is bool:
            return text == "True"
        return kind[text] if issubclass(kind, enum.Enum) else kind(text)

    def store(self, value: Any) -> None:
        self.validate(value)
        with slicer.util.NodeModify(self.node):
            if self.is_node:
                self.node.SetParameter(self.name, "")
                self.node.SetNodeReferenceID(self.name, value.GetID() if value is not None else None)
            else:
                self.node.SetParameter(self.name, value.name if isinstance(value, enum.Enum) else str(value))
            self.value = self.load()

    def validate(self, value: Any) -> None:
        if value is None and not self.is_node:
            raise ValueError("Value must not be None")
        if value is None and len(self.kinds) > 1 and type(None) not in self.kinds:
            raise TypeError(f"{self.name}: None has to be among the classes of a union")
        if value is not None and not isinstance(value, self.kinds):
            raise TypeError(f"{self.name} takes {self.kinds}, not {type(value).__name__}")
        for item in self.extra:
            if hasattr(item, "validate"):
                item.validate(value)


class _Connector:
    """One widget and how its value is read, written and observed."""

    def __init__(self, widget: Any, annotation: Any) -> None:
        kinds, extra = _split(annotation)
        kind, nodes = kinds[0], _node_classes(kinds)
        self.widget, self.choices = widget, None
        if nodes and type(widget) is qmrml.qMRMLNodeComboBox:
            widget.nodeTypes = [cls().GetClassName() for cls in nodes]  # TypeError: an abstract class
            self.signal, self.read, self.write = widget.currentNodeChanged, widget.currentNode, widget.setCurrentNode
        elif kind is bool and type(widget) is pythonqt.QCheckBox:
            self.signal, self.read, self.write = widget.stateChanged, widget.isChecked, widget.setChecked
        elif kind is bool and type(widget) is pythonqt.QPushButton:
            self.signal, self.read, self.write = widget.toggled, widget.isChecked, widget.setChecked
        elif kind is int and type(widget) in (pythonqt.QSpinBox, pythonqt.QSlider):
            self._number(_first(extra, WithinRange))
        elif kind is str and type(widget) is pythonqt.QLineEdit:
            self.signal, self.read, self.write = widget.textChanged, lambda: widget.text, widget.setText
        elif not nodes and type(widget) is pythonqt.QComboBox:
            self._combo(kind, _first(extra, Choice))
        else:
            raise RuntimeError(
                f"Unable to create GUI connector from datatype '{annotation}' to widget type '{type(widget)}'"
            )

    def _number(self, within: WithinRange | None) -> None:
        widget = self.widget
        if within is None and type(widget) is pythonqt.QSlider:
            raise RuntimeError("Cannot have a connection to QSlider where the int type is unbounded.")
        widget.setRange(*((within.minimum, within.maximum) if within is not None else (-(2**31), 2**31 - 1)))
        self.signal, self.read, self.write = widget.valueChanged, lambda: widget.value, widget.setValue

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
        self.owner, self.connectors = owner, connectors
        self.slots = {name: self._slot(name) for name in connectors}
        for name, connector in connectors.items():
            connector.write(getattr(owner, name))
            connector.signal.connect(self.slots[name])
        owner.AddObserver(vtk.vtkCommand.ModifiedEvent, lambda *_: self.to_widgets())

    def _slot(self, name: str) -> Any:
        return lambda: self.from_widget(name)

    def from_widget(self, name: str) -> None:
        if not self.owner.is_writing_widgets:
            setattr(self.owner, name, self.connectors[name].read())

    def to_widgets(self) -> None:
        if self.owner.is_writing_widgets:
            return
        self.owner.is_writing_widgets = True
        try:
            with slicer.util.NodeModify(self.owner):
                for name, connector in self.connectors.items():
                    connector.write(getattr(self.owner, name))
        finally:
            self.owner.is_writing_widgets = False

    def release(self) -> None:
        connectors, self.connectors = self.connectors, {}
        for name, connector in connectors.items():
            connector.signal.disconnect(self.slots[name])


def parameterNodeWrapper(cls: type) -> type:
    """Class decorator: every annotation becomes a parameter."""
    annotations = typing.get_type_hints(cls, include_extras=True)

    class Wrapped(cls):  # type: ignore[misc, valid-type]
        def __init__(self, parameterNode):
            self.parameterNode, self.is_writing_widgets = parameterNode, False
            self._bindings: dict[int, _Binding] = {}
            self._parameters = {
                name: _Parameter(parameterNode, name, annotation, cls.__dict__.get(name))
                for name, annotation in annotations.items()
            }
            me = weakref.ref(self)
            tag = parameterNode.AddObserver(vtk.vtkCommand.ModifiedEvent, lambda *_: me()._read())
            weakref.finalize(self, parameterNode.RemoveObserver, tag)

        def _read(self):
            for parameter in self._parameters.values():
                parameter.read()

        def connectGui(self, gui):
            found = {}
            for widget in vars(gui).values():
                name = widget.property(PROPERTY)
                if name:
                    if name not in annotations:
                        raise ValueError(f"Cannot find a param with the given name: {name}")
                    found[name] = _Connector(widget, annotations[name])
            tag = max(self._bindings, default=0) + 1
            self._bindings[tag] = _Binding(self, found)
            return tag

        def disconnectGui(self, tag):
            if tag in self._bindings:
                self._bindings.pop(tag).release()

        def StartModify(self):
            return self.parameterNode.StartModify()

        def EndModify(self, wasModified):
            return self.parameterNode.EndModify(wasModified)

        def AddObserver(self, event, callback, priority=0.0):
            return self.parameterNode.AddObserver(event, callback, priority)

        def RemoveObserver(self, tag):
            self.parameterNode.RemoveObserver(tag)

    for name in annotations:
        setattr(Wrapped, name, _property(name))
    Wrapped.__name__ = cls.__name__
    return Wrapped


def _property(name: str) -> property:
    return property(lambda self: self._parameters[name].value, lambda self, value: self._parameters[name].store(value))
