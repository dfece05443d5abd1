"""The CTK widgets that the panel uses, drawn plainly."""

from __future__ import annotations

import re

import shiboken6
from PySide6 import QtCore, QtGui, QtWidgets

from .pythonqt import PythonQtLike, QComboBox, QLineEdit, QUiLoader

HEADER_PIXELS = 24
BELOW_HEADER_PIXELS = 10  # of a collapsed section, as CTK has it


class ctkCollapsibleButton(PythonQtLike, QtWidgets.QAbstractButton):
    """A header with a triangle; a click shows or hides what is in it."""

    contentsCollapsed = QtCore.Signal(bool)

    def __init__(self, parent=None):
        super().__init__(parent)
        self._collapsed = False
        QtWidgets.QWidget.setContentsMargins(self, 0, HEADER_PIXELS, 0, 0)
        self.setSizePolicy(QtWidgets.QSizePolicy.Minimum, QtWidgets.QSizePolicy.Preferred)  # what it wants is its least

    def _get_collapsed(self):
        return self._collapsed

    def _set_collapsed(self, collapsed):
        if collapsed == self._collapsed:
            return
        self._collapsed = collapsed
        for child in QtCore.QObject.children(self):
            if isinstance(child, QtWidgets.QWidget):
                child.setVisible(not collapsed)
        self.setMaximumHeight(HEADER_PIXELS + BELOW_HEADER_PIXELS if collapsed else 16777215)
        self.updateGeometry()
        self.contentsCollapsed.emit(collapsed)

    collapsed = QtCore.Property(bool, _get_collapsed, _set_collapsed)

    def setCollapsed(self, collapsed):
        self._set_collapsed(bool(collapsed))

    def _hint(self, inner):
        header = QtCore.QSize(100, HEADER_PIXELS + BELOW_HEADER_PIXELS)
        return header if self._collapsed or inner is None else inner.expandedTo(header)

    def sizeHint(self):
        layout = QtWidgets.QWidget.layout(self)
        return self._hint(layout.totalSizeHint() if layout else None)

    def minimumSizeHint(self):
        layout = QtWidgets.QWidget.layout(self)
        return self._hint(layout.totalMinimumSize() if layout else None)

    def keyPressEvent(self, event):
        if event.key() == QtCore.Qt.Key_Space:
            self._set_collapsed(not self._collapsed)

    def mouseReleaseEvent(self, event):
        if event.position().y() <= HEADER_PIXELS:
            self._set_collapsed(not self._collapsed)

    def paintEvent(self, event):
        painter = QtGui.QPainter(self)
        palette = QtWidgets.QWidget.palette(self)
        full = QtWidgets.QWidget.rect(self)
        header = QtCore.QRect(0, 0, full.width(), HEADER_PIXELS - 3)
        painter.fillRect(header, palette.color(QtGui.QPalette.Button).darker(107))
        painter.setPen(palette.color(QtGui.QPalette.ButtonText))
        painter.drawText(header.adjusted(22, 0, 0, 0), QtCore.Qt.AlignVCenter, QtWidgets.QAbstractButton.text(self))
        middle, size = header.center().y(), 4
        points = (
            [(7, middle - size), (7 + size, middle), (7, middle + size)]
            if self._collapsed
            else [(6, middle - 2), (6 + 2 * size, middle - 2), (6 + size, middle + 3)]
        )
        painter.setBrush(palette.color(QtGui.QPalette.ButtonText))
        painter.drawPolygon(QtGui.QPolygon([QtCore.QPoint(x, y) for x, y in points]))
        if QtWidgets.QWidget.hasFocus(self):
            painter.setBrush(QtCore.Qt.NoBrush)
            painter.setPen(palette.color(QtGui.QPalette.Highlight))
            painter.drawRect(header.adjusted(0, 0, -1, -1))


class ctkPathLineEdit(PythonQtLike, QtWidgets.QWidget):
    """A path with a browse button; the file dialog is not drawn.

    As CTK's, it keeps silent about an empty text and about names that its filters do not take (`currentPathChanged`), its
    line is made anew, without a combo box around it, where no history is shown, and it wants to be as wide as its path. Its
    first text comes from the history that is kept under its name, which a new one has not got yet: that of all nameless ones.
    """

    currentPathChanged = QtCore.Signal(str)
    Files, Dirs, Readable, Writable = 0x002, 0x001, 0x010, 0x020

    def __init__(self, parent=None):
        super().__init__(parent)
        self._filters, self._name_filters, self._key = 0, [], ""
        self._combo = self._line = None
        self._browse = QtWidgets.QToolButton(self)
        self._browse.setText("...")
        layout = QtWidgets.QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._browse)
        self._make_line(True)

    def sizeHint(self):
        hint, text = super().sizeHint(), self._get_path() or "x" * 7
        width = (
            QtWidgets.QWidget.fontMetrics(self).horizontalAdvance(text)
            + QtWidgets.QWidget.sizeHint(self._browse).width()
        )
        return QtCore.QSize(width + 20, hint.height())

    minimumSizeHint = sizeHint

    def _make_line(self, with_history):
        text, old = self._get_path(), self._combo or self._line
        if old is not None:
            shiboken6.delete(old)
        if with_history:
            self._combo = QComboBox(self)
            self._combo.setEditable(True)
            self._combo.setInsertPolicy(QtWidgets.QComboBox.NoInsert)
            self._combo.setMinimumContentsLength(8)
            self._line = self._combo.lineEdit()
        else:
            self._combo, self._line = None, QLineEdit(self)
        shown = self._combo or self._line
        shown.setSizePolicy(QtWidgets.QSizePolicy.Expanding, QtWidgets.QSizePolicy.Fixed)
        QtWidgets.QWidget.layout(self).insertWidget(0, shown)
        if self._combo is not None:
            history = (
                QtCore.QSettings().value("ctkPathLineEdit/" + (self._key or QtCore.QObject.objectName(self))) or []
            )
            self._combo.addItems([history] if isinstance(history, str) else history)  # the first becomes the text
        if text:
            self._set_path(text)
        self._line.textChanged.connect(self._on_text)

    def _on_text(self, text):
        QtWidgets.QWidget.setToolTip(self, text)
        extensions = re.findall(r"\*\.(\w+)", " ".join(self._name_filters))
        if any(text.endswith(f".{extension}") for extension in extensions) if extensions else text:
            self.currentPathChanged.emit(text)

    def _get_path(self):
        return QtWidgets.QLineEdit.text(self._line) if self._line is not None else ""

    def _set_path(self, path):
        self._line.setText(path)

    currentPath = QtCore.Property(str, _get_path, _set_path)

    def _property(kind, attribute):
        return QtCore.Property(
            kind, lambda self: getattr(self, attribute), lambda self, value: setattr(self, attribute, value)
        )

    filters = _property(int, "_filters")
    nameFilters = _property(list, "_name_filters")
    settingKey = _property(str, "_key")
    showHistoryButton = QtCore.Property(bool, lambda self: self._combo is not None, _make_line)

    def setCurrentPath(self, path):
        self._set_path(path)

    def comboBox(self):
        return self._combo


CUSTOM = (ctkCollapsibleButton, ctkPathLineEdit)
QUiLoader.custom.update({cls.__name__: cls for cls in CUSTOM})


def __getattr__(name):
    raise AttributeError(
        f"module 'ctk' has no attribute '{name}' in the stand-in (Testing/host/ctk.py lists what it has)"
    )
