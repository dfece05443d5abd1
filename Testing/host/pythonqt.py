"""Slicer's `qt` module as the panel uses it: PySide6 with PythonQt's habits.

What PythonQt refuses fails here as well: getters of properties are no methods (`button.text()`), enums of properties are
plain ints, lists come back as tuples, `isinstance(button, qt.QWidget)` is False, there is no `qt.Signal`, `qt.QThread`
or `qt.QTest`. Only the names listed below exist; the next one that the panel needs is added by hand, after a look into
what a real Slicer does with it.
"""

from __future__ import annotations

import enum
import inspect
import types
from collections.abc import Callable
from functools import cache, partial
from typing import Any, ClassVar

import shiboken6
from PySide6 import QtCore, QtGui, QtUiTools, QtWidgets

# fmt: off
WRAPPED = (
    "QAction", "QApplication", "QButtonGroup", "QCheckBox", "QComboBox", "QDialog", "QFrame", "QGroupBox", "QLabel",
    "QLineEdit", "QListWidget", "QMainWindow", "QMenu", "QPlainTextEdit", "QProcess", "QProgressBar",
    "QPushButton", "QRadioButton", "QScrollArea", "QShortcut", "QSlider", "QSpinBox", "QSplitter", "QTableView",
    "QTableWidget",
    "QTextBrowser", "QTextEdit", "QTimer", "QToolButton", "QTreeView", "QTreeWidget", "QWidget",
)
AS_THEY_ARE = (
    "QAbstractItemView", "QBrush", "QColor", "QDesktopServices", "QEvent", "QFile", "QFont", "QFontMetrics", "QFormLayout",
    "QGridLayout", "QGuiApplication", "QHBoxLayout", "QHeaderView", "QIcon", "QImage", "QItemSelectionModel",
    "QKeySequence", "QMimeData", "QModelIndex", "QPainter", "QPalette", "QPen", "QPixmap", "QPoint",
    "QProcessEnvironment", "QRect", "QSettings", "QSize", "QSizePolicy", "QSortFilterProxyModel",
    "QStandardItem", "QStandardItemModel", "QStyle", "QTableWidgetItem", "QTreeWidgetItem", "Qt", "QUrl", "QVBoxLayout",
)
TEXT_SETTERS = frozenset((
    "setText", "setToolTip", "setPlainText", "setWindowTitle", "setAccessibleName", "setAccessibleDescription",
    "setStyleSheet", "setTitle", "setPlaceholderText", "setObjectName", "appendPlainText", "setCurrentText", "setFormat",
))
# fmt: on
VIRTUAL_GETTERS = frozenset({"sizeHint", "minimumSizeHint"})  # reading these as properties would call itself for ever


def _qt_class(name: str) -> type:
    for module in (QtWidgets, QtGui, QtCore):
        if hasattr(module, name):
            return getattr(module, name)
    raise AttributeError(f"Qt has no {name}")


@cache
def properties_of(cls: type) -> frozenset[str]:
    """Names of the Q_PROPERTYs of a QObject class."""
    meta = cls.staticMetaObject
    return frozenset(meta.property(i).name() for i in range(meta.propertyCount())) - VIRTUAL_GETTERS


@cache
def signal_arguments(cls: type, name: str) -> int:
    """The largest number of arguments with which a class emits a signal (three at most are in use)."""
    meta = cls.staticMetaObject
    methods = [meta.method(i) for i in range(meta.methodCount())]
    return max(method.parameterCount() for method in methods if bytes(method.name().data()).decode() == name)


@cache
def _qt_base(cls: type) -> type:
    """The class of Qt's that a class is made of."""
    return next(one for one in cls.__mro__ if one.__module__.startswith("PySide6"))


def _set_text(setter: Callable[[str], Any], text: str) -> Any:
    """PythonQt makes a text of whatever it is given: None is shown as the word "None"."""
    if not isinstance(text, str):
        raise TypeError(f"{setter.__name__} wants a text, not {text!r}")
    return setter(text)


def as_pythonqt(value: Any) -> Any:
    """A property's value as PythonQt hands it out: enums are ints, lists are tuples."""
    if isinstance(value, enum.Enum):
        return value.value
    return tuple(value) if isinstance(value, list) else value


def _accepted(function: Callable[..., Any]) -> int | None:
    """How many positional arguments a slot takes; None for any number."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return None
    if any(parameter.kind is parameter.VAR_POSITIONAL for parameter in parameters):
        return None
    return sum(
        parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD) for parameter in parameters
    )


class Signal:
    """A signal as PythonQt shows it: `connect`, `disconnect` and `emit`; a slot gets as many arguments as it takes."""

    def __init__(self, signal: Any, slots: list[tuple[Any, Any]], arguments: int = 0) -> None:
        self._signal, self._slots, self._count = signal, slots, arguments

    def connect(self, function: Callable[..., Any], arguments: int | None = None) -> None:
        takes = _accepted(function)
        if arguments is None and self._count == 2:
            arguments = 1  # as QProcess.finished: the second argument comes with the full signature alone

        def call(*values: Any) -> None:
            values = tuple(as_pythonqt(value) for value in values[:arguments])
            function(*values if takes is None else values[:takes])

        # PySide6 looks at how many arguments a slot takes, so each count has a function of its own.
        slot = (lambda: call(), lambda a: call(a), lambda a, b: call(a, b), lambda a, b, c: call(a, b, c))[self._count]  # noqa: PLW0108
        self._slots.append((function, slot))
        self._signal.connect(slot)

    def disconnect(self, function: Callable[..., Any] | None = None) -> None:
        for entry in [entry for entry in self._slots if function is None or entry[0] == function]:
            self._signal.disconnect(entry[1])
            self._slots.remove(entry)

    def emit(self, *values: Any) -> None:
        self._signal.emit(*values)


_SLOTS: dict[int, dict[str, list]] = {}
"""By object, what is connected to its signals: held, with all that it holds, until it is disconnected or the QObject deleted.

In PythonQt the receiver of the signals is C++: Python's garbage collector sees no way from an object over its timer back to
itself, and lets both live. Here the way leads over this module, with the same result.
"""


def _slots_of(sender: Any) -> dict[str, list]:
    key = shiboken6.getCppPointer(sender)[0]
    if key not in _SLOTS:
        _SLOTS[key] = {}
        object.__getattribute__(sender, "destroyed").connect(partial(_forget, key))
    return _SLOTS[key]


def _forget(key: int, *arguments: Any) -> None:
    _SLOTS.pop(key, None)


class PythonQtLike:
    """Mixed into every widget class: properties are attributes, signals are connected by attribute or by signature."""

    wraps_tool_tips = False  # as Slicer's ctkToolTipTrapper does with plain text

    def setToolTip(self, text: str) -> None:
        if self.wraps_tool_tips and text and not QtGui.Qt.mightBeRichText(text):
            text = QtGui.Qt.convertFromPlainText(text, QtCore.Qt.WhiteSpaceNormal)
        super().setToolTip(text)

    def __getattribute__(self, name: str) -> Any:
        if name.startswith("__"):
            return super().__getattribute__(name)
        cls = type(self)
        if name == "name":
            return QtCore.QObject.property(self, "objectName")
        if name in ("connect", "disconnect"):  # PySide6 puts its own on every instance
            return getattr(PythonQtLike, "_" + name).__get__(self)
        if name in properties_of(cls):
            return as_pythonqt(QtCore.QObject.property(self, name))
        value = super().__getattribute__(name)
        if name in TEXT_SETTERS:
            return partial(_set_text, value)
        if isinstance(value, QtCore.SignalInstance):
            return Signal(value, _slots_of(self).setdefault(name, []), signal_arguments(cls, name))
        return value

    def __setattr__(self, name: str, value: Any) -> None:
        name = "objectName" if name == "name" else name
        if name in properties_of(type(self)):
            kind = type(QtCore.QObject.property(self, name))
            value = list(value) if isinstance(value, tuple) else kind(value) if kind is bool else value
            if not QtCore.QObject.setProperty(self, name, value):
                raise ValueError(f"Property '{name}' of {type(self).__name__} object cannot be set to {value!r}.")
        elif hasattr(_qt_base(type(self)), name):
            raise AttributeError(f"Slot '{name}' can not be overwritten on {type(self).__name__} object")
        else:
            super().__setattr__(name, value)

    def _connect(self, signature: str, function: Callable[..., Any]) -> bool:
        name, _, arguments = signature.rstrip(")").partition("(")
        getattr(self, name).connect(function, arguments=len(arguments.split(",")) if arguments else 0)
        return True

    def _disconnect(self, signature: str, function: Callable[..., Any]) -> bool:
        getattr(self, signature.partition("(")[0]).disconnect(function)
        return True

    def children(self) -> tuple[Any, ...]:
        return tuple(super().children())

    def className(self) -> str:
        return type(self).__name__


class QByteArray(QtCore.QByteArray):
    """Bytes come out through `data()` alone: PythonQt has no `bytes(array)`."""

    def __bytes__(self) -> bytes:
        raise TypeError("cannot convert 'QByteArray' object to bytes")


for _name in WRAPPED:
    globals()[_name] = type(_name, (PythonQtLike, _qt_class(_name)), {})
for _name in AS_THEY_ARE:
    globals()[_name] = _qt_class(_name)


def _strict_process() -> type:
    """QProcess whose read methods return the strict byte array."""
    plain = globals()["QProcess"]

    class QProcess(plain):  # type: ignore[misc, valid-type]
        def readAllStandardOutput(self) -> QByteArray:
            return QByteArray(super().readAllStandardOutput())

        def readAllStandardError(self) -> QByteArray:
            return QByteArray(super().readAllStandardError())

        def write(self, data: str | bytes) -> int:
            return super().write(data.encode() if isinstance(data, str) else data)

    return QProcess


QProcess = _strict_process()


class QMimeData(QtCore.QMimeData):
    """`urls()` is a tuple."""

    def urls(self) -> tuple[QtCore.QUrl, ...]:  # type: ignore[override]
        return tuple(super().urls())


class QUiLoader(QtUiTools.QUiLoader):
    """Builds the widgets of a .ui file with the classes of this module, of `ctk` and of `slicer`."""

    custom: ClassVar[dict[str, type]] = {}

    def __init__(self) -> None:
        super().__init__()
        self.made: list[Any] = []

    def createWidget(self, class_name: str, parent: Any = None, name: str = "") -> Any:
        cls = self.custom.get(class_name) or globals().get(class_name)
        if cls is None or class_name not in (*WRAPPED, *self.custom):
            raise AttributeError(f"the stand-in has no widget {class_name}: add it to Testing/host")
        widget = cls(parent)
        widget.setObjectName(name)
        self.made.append(widget)
        return widget

    def load(self, file: QtCore.QFile) -> Any:  # type: ignore[override]
        text = bytes(file.readAll().data()).decode("utf-8")
        buffer = QtCore.QBuffer()
        buffer.setData(QtCore.QByteArray(_without_scene_connections(text).encode()))
        buffer.open(QtCore.QIODevice.ReadOnly)
        widget = super().load(buffer)
        _connect_scene(widget)
        widget.made_by_loader = self.made
        return widget


def _without_scene_connections(text: str) -> str:
    """The .ui text without its connections: those that are in use all hand on the MRML scene, which is done in Python."""
    before, _, rest = text.partition("<connections>")
    return before + rest.partition("</connections>")[2] if rest else text


def _connect_scene(root: Any) -> None:
    if not hasattr(root, "mrmlSceneChanged"):
        return
    for widget in root.findChildren(QtWidgets.QWidget):
        if hasattr(widget, "setMRMLScene"):
            root.mrmlSceneChanged.connect(widget.setMRMLScene)


def module() -> types.ModuleType:
    """The module that the panel imports as `qt`: the names above and nothing else."""
    qt = types.ModuleType("qt", __doc__)
    for name in (*WRAPPED, *AS_THEY_ARE, "QByteArray", "QUiLoader"):
        setattr(qt, name, globals()[name])
    qt.__getattr__ = _missing  # type: ignore[method-assign]
    return qt


def _missing(name: str) -> Any:
    raise AttributeError(
        f"module 'qt' has no attribute '{name}' in the stand-in (Testing/host/pythonqt.py lists what it has)"
    )
