"""The CTK widgets that the panel uses, drawn plainly."""

from __future__ import annotations

from PySide6 import QtCore, QtGui, QtWidgets

from .pythonqt import PythonQtLike, QUiLoader

HEADER_PIXELS = 24


class ctkCollapsibleButton(PythonQtLike, QtWidgets.QAbstractButton):
    """A header with a triangle; a click shows or hides what is in it."""

    contentsCollapsed = QtCore.Signal(bool)

    def __init__(self, parent=None):
        super().__init__(parent)
        self._collapsed = False
        QtWidgets.QWidget.setContentsMargins(self, 0, HEADER_PIXELS, 0, 0)
        self.setSizePolicy(QtWidgets.QSizePolicy.Preferred, QtWidgets.QSizePolicy.Preferred)

    def _get_collapsed(self):
        return self._collapsed

    def _set_collapsed(self, collapsed):
        if collapsed == self._collapsed:
            return
        self._collapsed = collapsed
        for child in QtCore.QObject.children(self):
            if isinstance(child, QtWidgets.QWidget):
                child.setVisible(not collapsed)
        self.setMaximumHeight(HEADER_PIXELS if collapsed else 16777215)
        self.updateGeometry()
        self.contentsCollapsed.emit(collapsed)

    collapsed = QtCore.Property(bool, _get_collapsed, _set_collapsed)

    def setCollapsed(self, collapsed):
        self._set_collapsed(bool(collapsed))

    def sizeHint(self):
        layout = QtWidgets.QWidget.layout(self)
        inner = layout.sizeHint() if layout and not self._collapsed else QtCore.QSize(100, 0)
        return QtCore.QSize(inner.width(), inner.height() + (0 if layout and not self._collapsed else HEADER_PIXELS))

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


class ctkPathLineEdit(PythonQtLike, QtWidgets.QWidget):
    """A path with a browse button; `Files`, `nameFilters` and `settingKey` are kept, the file dialog is not drawn."""

    currentPathChanged = QtCore.Signal(str)
    Files, Dirs, Readable, Writable = 0x002, 0x001, 0x010, 0x020

    def __init__(self, parent=None):
        super().__init__(parent)
        self._filters, self._name_filters, self._key, self._history = 0, [], "", True
        layout = QtWidgets.QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        self._combo = QtWidgets.QComboBox(self)
        self._combo.setEditable(True)
        self._combo.setInsertPolicy(QtWidgets.QComboBox.NoInsert)
        self._combo.setSizePolicy(QtWidgets.QSizePolicy.Expanding, QtWidgets.QSizePolicy.Fixed)
        self._combo.setMinimumContentsLength(8)
        self._browse = QtWidgets.QToolButton(self)
        self._browse.setText("...")
        layout.addWidget(self._combo)
        layout.addWidget(self._browse)
        self._combo.editTextChanged.connect(lambda text: QtWidgets.QWidget.setToolTip(self, text))
        self._combo.editTextChanged.connect(self._on_text)

    def _on_text(self, text):
        self.currentPathChanged.emit(text)

    def _get_path(self):
        return self._combo.currentText()

    def _set_path(self, path):
        self._combo.setEditText(path)

    currentPath = QtCore.Property(str, _get_path, _set_path)

    def _property(kind, attribute):
        return QtCore.Property(
            kind, lambda self: getattr(self, attribute), lambda self, value: setattr(self, attribute, value)
        )

    filters = _property(int, "_filters")
    nameFilters = _property(list, "_name_filters")
    settingKey = _property(str, "_key")
    showHistoryButton = _property(bool, "_history")

    def setCurrentPath(self, path):
        self._set_path(path)

    def addCurrentPathToHistory(self):
        path = self._get_path()
        if path and self._combo.findText(path) < 0:
            with QtCore.QSignalBlocker(self._combo):
                self._combo.insertItem(0, path)
                self._combo.setEditText(path)

    def comboBox(self):
        return self._combo


CUSTOM = (ctkCollapsibleButton, ctkPathLineEdit)
QUiLoader.custom.update({cls.__name__: cls for cls in CUSTOM})


def __getattr__(name):
    raise AttributeError(
        f"module 'ctk' has no attribute '{name}' in the stand-in (Testing/host/ctk.py lists what it has)"
    )
