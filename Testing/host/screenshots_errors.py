"""Take the picture of the errors: the panel, the error map in three slices, and the distance colours in 3D.

python Testing/host/screenshots_errors.py CHECKPOINT SCAN REFERENCE [--structure liver] [--output Resources/Screenshots]
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import slicer

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "Testing"))

import host

host.start()

import numpy as np
from host.pressing import picture, press, settle, turn
from host.screenshots import add_scan, as_image, choose
from host.screenshots_compare import add_reference
from host.scripted import load_module
from PySide6 import QtCore, QtGui

PIXELS, GAP, WIDTH = 560, 4, 1360
SLICES = {"Red": ("Axial", (0, 1)), "Green": ("Coronal", (0, 2)), "Yellow": ("Sagittal", (1, 2))}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("scan", type=Path)
    parser.add_argument("reference", type=Path, help="label map with TotalSegmentator's values")
    parser.add_argument("--output", type=Path, default=ROOT / "Resources" / "Screenshots")
    parser.add_argument("--name", default="Sample CT", help="the name of the scan in the pictures")
    parser.add_argument("--reference-name", default="Ground truth")
    parser.add_argument("--file", default="panel-errors.png")
    parser.add_argument("--scale", type=int, default=10, help="where the distance colours end, in mm")
    parser.add_argument("--one-label", default="", help="the only structure of a reference that has one label")
    options = parser.parse_args()
    widget = load_module(ROOT / "UNetSegmenter" / "UNetSegmenter.py").enter()
    try:
        take(widget, options)
    finally:
        widget.panel.close()


def take(widget, options) -> None:
    from UNetSegmenterLib.scene.views import ThreeDView

    panel, ui = widget.panel, widget.ui
    scan = add_scan(widget, options)
    choose(panel, options.checkpoint)
    press(ui.applyButton)
    turn(lambda: not panel.segment.state.is_busy, 600)
    reference = one_label(options, scan) if options.one_label else add_reference(options, scan)
    ui.referenceSelector.setCurrentNode(reference)
    settle()
    press(ui.compareButton)
    turn(lambda: not panel.compare.is_busy, 300)
    threed = ThreeDView(slicer.mrmlScene, slicer.app.applicationLogic(), "1", (PIXELS, PIXELS))
    ui.distanceScaleSpinBox.setValue(options.scale)
    press(ui.errorMapButton)
    press(ui.distanceColorsButton)
    turn(lambda: panel.errors.error_map.made and panel.errors.distances.made, 300)
    sections = ("model", "scan", "segment", "plausibility", "report")
    for section in (getattr(ui, f"{name}CollapsibleButton") for name in sections):
        section.collapsed = True
    rows = [row for row in panel.compare.comparison.rows if row.measures and np.isfinite(row.measures.hd95_mm)]
    worst = max(rows, key=lambda row: row.measures.hd95_mm)
    panel.compare.go_to(worst)
    print([(row.structure, round(row.measures.dice, 3), round(row.measures.hd_mm, 1)) for row in rows])
    print(ui.errorsLabel.text)
    import host.pressing

    host.pressing.PANEL_WIDTH, host.pressing.PICTURES = 480, ROOT / ".cache" / "screenshots"
    images = [*slices(scan, worst.largest_error_ras), surfaces(threed, panel.errors.distances.made.nodes[0])]
    options.output.mkdir(parents=True, exist_ok=True)
    compose(picture(widget.parent, "panel"), images).save(str(options.output / options.file))


def one_label(options, scan):
    """A label map of one structure as a segmentation."""
    from UNetSegmenterLib.engine.segmentation import read_segmentation
    from UNetSegmenterLib.engine.structures import known_structure
    from UNetSegmenterLib.scene.nodes import segmentation_to_node

    found = read_segmentation(options.reference, (known_structure(options.one_label, 1, (1,)),))
    return segmentation_to_node(found, slicer.mrmlScene, scan, name=options.reference_name, surfaces=False)


def slices(scan, place) -> list[QtGui.QImage]:
    """The three slices through a place, as Slicer's displayable managers draw them."""
    from UNetSegmenterLib.scene.nodes import volume_geometry
    from UNetSegmenterLib.scene.views import SliceView

    size_mm = np.multiply(volume_geometry(scan).shape[::-1], scan.GetSpacing())
    bounds = np.zeros(6)
    scan.GetRASBounds(bounds)
    images = []
    for name, (orientation, (across, up)) in SLICES.items():
        view = SliceView(slicer.mrmlScene, slicer.app.applicationLogic(), name, (PIXELS, PIXELS))
        view.node.SetOrientation(orientation)
        view.logic.GetSliceCompositeNode().SetBackgroundVolumeID(scan.GetID())
        view.look_at(tuple((bounds[::2] + bounds[1::2]) / 2), place, 1.02 * size_mm[across], 1.02 * size_mm[up])
        view.add_text(f"Error map, {orientation.lower()}")
        images.append(as_image(view.picture()))
        view.close()
    return images


def surfaces(view, model) -> QtGui.QImage:
    """The painted surfaces from the front, with the colour bar."""
    bounds = np.zeros(6)
    model.GetRASBounds(bounds)
    focus, size = (bounds[::2] + bounds[1::2]) / 2, (bounds[1::2] - bounds[::2]).max()
    view.node.SetBoxVisible(False)
    view.node.SetAxisLabelsVisible(False)
    legend = model.GetNthDisplayNode(1)
    for properties in (legend.GetTitleTextProperty(), legend.GetLabelTextProperty()):
        properties.SetFontSize(20)  # pictures are drawn at twice the size
    legend.Modified()
    camera = view.renderer.GetActiveCamera()
    focus[0] -= 0.12 * size  # room for the bar
    camera.SetFocalPoint(*focus)
    camera.SetPosition(*(focus + np.array([-0.4, 2.4, 0.35]) * size))
    camera.SetViewUp(0, 0, 1)
    view.add_text("Distance colours, 3D")
    image = as_image(view.picture())
    view.close()
    return image


def compose(panel: QtGui.QImage, four: list[QtGui.QImage]) -> QtGui.QImage:
    """The panel left, two rows of two views right."""
    step = PIXELS + GAP
    image = QtGui.QImage(panel.width() + 2 * step, max(panel.height(), 2 * step), QtGui.QImage.Format_RGB32)
    image.fill(QtGui.QColor("#efefef"))
    painter = QtGui.QPainter(image)
    painter.drawImage(0, 0, panel)
    for number, view in enumerate(four):
        painter.drawImage(panel.width() + GAP + (number % 2) * step, (number // 2) * step, view)
    painter.end()
    return image.scaledToWidth(min(WIDTH, image.width()), QtCore.Qt.SmoothTransformation)


if __name__ == "__main__":
    main()
