"""A picture of the panel with everything in it, in a dark palette or scaled (QT_SCALE_FACTOR), to be looked at.

python Testing/host/window_pictures.py NAME FOLDER [--dark]
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import slicer  # noqa: F401  before Testing is on the path: it has a folder of that name

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "Testing"))

import host

host.start()

import UNetSegmenterLib
from PySide6 import QtCore, QtGui, QtWidgets

import host.pressing
from host.pressing import picture, press, settle, turn
from host.scans import add, add_scan, choose, organs
from host.scripted import load_module


def dark_palette() -> QtGui.QPalette:
    """About what Slicer's dark style has."""
    palette, roles = QtGui.QPalette(), QtGui.QPalette
    for role, color in (
        (roles.Window, "#353535"), (roles.WindowText, "#ffffff"), (roles.Base, "#2a2a2a"), (roles.AlternateBase, "#353535"),
        (roles.Text, "#ffffff"), (roles.Button, "#353535"), (roles.ButtonText, "#ffffff"), (roles.Highlight, "#2a82da"),
        (roles.HighlightedText, "#000000"), (roles.ToolTipBase, "#353535"), (roles.ToolTipText, "#ffffff"),
        (roles.PlaceholderText, "#a0a0a0"),
    ):  # fmt: skip
        palette.setColor(role, QtGui.QColor(color))
    for role in (roles.WindowText, roles.Text, roles.ButtonText):
        palette.setColor(roles.Disabled, role, QtGui.QColor("#808080"))
    return palette


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("name")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--dark", action="store_true")
    options = parser.parse_args()
    host.pressing.PICTURES = options.folder
    if options.dark:
        QtWidgets.QApplication.setPalette(dark_palette())
    record = load_module(Path(UNetSegmenterLib.__file__).parents[1] / "UNetSegmenter.py")
    widget = record.enter()
    try:
        take(widget, options.name)
    finally:
        widget.panel.close()


def take(widget, name) -> None:
    ui, panel = widget.ui, widget.panel
    turn(lambda: panel.model.card is not None)
    widget.panel.parameters.inputVolume = add_scan("Sample CT")
    choose(widget, add("Prediction", organs(shift=3, without=("spleen",))), add("Ground truth", organs()))
    press(ui.compareButton)
    turn(lambda: not panel.compare.is_busy, 120)
    press(ui.checkButton)
    turn(lambda: not panel.plausibility.is_busy, 120)
    for section in ("advanced", "correct"):
        getattr(ui, f"{section}CollapsibleButton").collapsed = False
    widget.parent.activateWindow()
    QtWidgets.QWidget.setFocus(ui.compareButton, QtCore.Qt.TabFocusReason)
    settle(0.3)
    picture(widget.parent, f"panel-{name}")


if __name__ == "__main__":
    main()
