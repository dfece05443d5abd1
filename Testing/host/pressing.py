"""Hands and eyes for the panel's tests: press, type, wait, take a picture."""

from __future__ import annotations

import os
import time
from pathlib import Path

import slicer
from PySide6 import QtCore, QtGui, QtTest, QtWidgets

ROOT = Path(__file__).resolve().parents[2]
PICTURES = Path(os.environ.get("UNETSEGMENTER_SCREENSHOTS", ROOT / ".cache" / "screenshots"))
PANEL_WIDTH = 430


def turn(until, seconds=60.0):
    """Turn the event loop until `until()` holds; fails after a while."""
    end = time.monotonic() + seconds
    while not until():
        if time.monotonic() > end:
            raise AssertionError(f"waited {seconds:.0f} s in vain")
        slicer.app.processEvents()
        time.sleep(0.001)


def settle(seconds=0.12):
    """Let short timers run out."""
    end = time.monotonic() + seconds
    turn(lambda: time.monotonic() >= end)


def press(widget):
    """Click into the middle of a widget, as a person can only where it is shown and enabled."""
    assert QtWidgets.QWidget.isVisible(widget), f"{widget.objectName} is not shown, so it cannot be pressed"
    assert QtWidgets.QWidget.isEnabled(widget), f"{widget.objectName} is disabled: {widget.toolTip}"
    QtTest.QTest.mouseClick(widget, QtCore.Qt.LeftButton)


def choose_item(combo_box, number):
    """Choose an item of a combo box as a user does."""
    combo_box.setCurrentIndex(number)
    combo_box.activated.emit(number)


def type_path(path_edit, text):
    """Replace the text of a path edit, key by key."""
    line = next(child for child in path_edit.children() if isinstance(child, QtWidgets.QLineEdit))
    line.selectAll()
    QtTest.QTest.keyClick(line, QtCore.Qt.Key_Delete)
    QtTest.QTest.keyClicks(line, text)


def drop_file(widget, path):
    """Drag a file onto a widget and let go."""
    data = QtCore.QMimeData()
    data.setUrls([QtCore.QUrl.fromLocalFile(str(path))])
    middle = QtCore.QPointF(5, 5)
    actions, left, none = QtCore.Qt.CopyAction, QtCore.Qt.LeftButton, QtCore.Qt.NoModifier
    enter = QtGui.QDragEnterEvent(middle.toPoint(), actions, data, left, none)
    QtWidgets.QApplication.sendEvent(widget, enter)
    assert enter.isAccepted(), "the drag was refused"
    QtWidgets.QApplication.sendEvent(widget, QtGui.QDropEvent(middle, actions, data, left, none))


def picture(parent, name):
    """Grab a panel at the size it wants and keep the picture; returns the image."""
    layout = QtWidgets.QWidget.layout(parent)
    for _ in range(3):
        settle(0.03)
        height = max(layout.totalHeightForWidth(PANEL_WIDTH), layout.totalMinimumSize().height(), 200)
        QtWidgets.QWidget.resize(parent, PANEL_WIDTH, height)
    settle(0.03)
    PICTURES.mkdir(parents=True, exist_ok=True)
    pixmap = QtWidgets.QWidget.grab(parent)
    pixmap.save(str(PICTURES / f"{name}.png"))
    return pixmap.toImage()
