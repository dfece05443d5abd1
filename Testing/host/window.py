"""Slicer's main window as a user has it: the panel at its left above the Data Probe, the views at its right."""

from __future__ import annotations

import slicer
from PySide6 import QtCore, QtWidgets

from .pressing import settle

SIZES = ((1366, 768), (1900, 1150))
TOOLBARS, DATA_PROBE = 60, 170  # heights in pixels
RAW = QtWidgets.QWidget


def open_window(widget, size=SIZES[0]):
    """Show the main window with the panel in it, scrolled where it is too high."""
    window, panel = slicer.util.mainWindow(), widget.parent
    if not getattr(window, "panel_dock", None):
        bar = QtWidgets.QLabel("  File   Edit   View   Help", window)
        bar.setFixedHeight(TOOLBARS)
        QtWidgets.QMainWindow.setMenuWidget(window, bar)
        scroll = QtWidgets.QScrollArea()
        scroll.setWidgetResizable(True)
        scroll.setHorizontalScrollBarPolicy(QtCore.Qt.ScrollBarAlwaysOff)
        probe = QtWidgets.QLabel("Data Probe")
        probe.setAlignment(QtCore.Qt.AlignTop)
        probe.setFixedHeight(DATA_PROBE)
        column = RAW()
        layout = QtWidgets.QVBoxLayout(column)
        layout.setContentsMargins(4, 4, 0, 0)
        layout.addWidget(scroll, 1)
        layout.addWidget(probe)
        dock = QtWidgets.QDockWidget("Module", window)
        dock.setTitleBarWidget(RAW())
        dock.setWidget(column)
        QtWidgets.QMainWindow.addDockWidget(window, QtCore.Qt.LeftDockWidgetArea, dock)
        window.panel_dock, window.panel_scroll = dock, scroll
        # As a user drags it; panel code can't write over a method, the stand-in may.
        vars(window)["resize"] = lambda *size: resize(size)
    window.panel_scroll.setWidget(panel)
    RAW.show(panel)
    RAW.show(window)
    resize(size)
    return window


def resize(size, panel_width=None):
    """Give the window, and the panel in it, another size, and let the views follow."""
    window = slicer.util.mainWindow()
    RAW.setFixedSize(window, *size)
    layout = QtWidgets.QWidget.layout(window.panel_scroll.widget())
    width = panel_width or max(400, layout.totalMinimumSize().width() + 20)
    window.panel_dock.setFixedWidth(width)
    settle(0.3)


def close_window():
    """Give the panel back, so that later tests find it as they expect."""
    window = slicer.util.mainWindow()
    panel = window.panel_scroll.takeWidget()
    RAW.setParent(panel, None)
    RAW.hide(window)
    return panel


def window_image():
    """A picture of the whole window, its views drawn."""
    settle(0.15)
    slicer.app.layoutManager().draw()
    return RAW.grab(slicer.util.mainWindow()).toImage()
