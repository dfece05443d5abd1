"""Take the picture of a comparison: the panel's table and findings, beside the two rows of views that it opens.

python Testing/host/screenshots_compare.py CHECKPOINT SCAN REFERENCE [--output Resources/Screenshots]
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
from host.scripted import load_module
from PySide6 import QtCore, QtGui

PIXELS, GAP, WIDTH = 500, 4, 1800


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("scan", type=Path)
    parser.add_argument("reference", type=Path, help="label map with TotalSegmentator's values")
    parser.add_argument("--output", type=Path, default=ROOT / "Resources" / "Screenshots")
    parser.add_argument("--name", default="Sample CT", help="the name of the scan in the pictures")
    parser.add_argument("--reference-name", default="Ground truth")
    options = parser.parse_args()
    widget = load_module(ROOT / "UNetSegmenter" / "UNetSegmenter.py").enter()
    try:
        take(widget, options)
    finally:
        widget.panel.close()


def take(widget, options) -> None:
    panel, ui = widget.panel, widget.ui
    scan = add_scan(widget, options)
    choose(panel, options.checkpoint)
    press(ui.applyButton)
    turn(lambda: not panel.segment.state.is_busy, 600)
    ui.referenceSelector.setCurrentNode(add_reference(options, scan))
    settle()
    press(ui.sideBySideButton)
    turn(lambda: not panel.views._timer.active, 60)
    press(ui.compareButton)
    turn(lambda: not panel.compare.is_busy, 300)
    press(ui.checkButton)
    turn(lambda: not panel.plausibility.is_busy, 300)
    for section in (ui.modelCollapsibleButton, ui.scanCollapsibleButton, ui.segmentCollapsibleButton):
        section.collapsed = True
    worst = max((row for row in panel.compare.comparison.rows if row.measures), key=lambda row: row.measures.hd95_mm)
    panel.compare.go_to(worst)
    print(
        [(row.structure, row.status, row.measures and round(row.measures.dice, 3)) for row in panel.compare.table.rows]
    )
    print([note.text for note in (*panel.compare.notes, *panel.plausibility.notes)])
    options.output.mkdir(parents=True, exist_ok=True)
    path = options.output / "panel-compare.png"
    import host.pressing

    host.pressing.PANEL_WIDTH, host.pressing.PICTURES = 560, ROOT / ".cache" / "screenshots"
    compose(picture(widget.parent, "panel"), views(scan, panel, worst.largest_error_ras)).save(str(path))


def add_reference(options, scan):
    """The eight organs of the sample's label map, as the panel's Sample Data brings them."""
    from UNetSegmenterLib.engine.segmentation import Segmentation
    from UNetSegmenterLib.engine.structures import ABDOMEN8, TOTALSEGMENTATOR_VALUES
    from UNetSegmenterLib.engine.volume import read_image
    from UNetSegmenterLib.scene.nodes import segmentation_to_node

    values, geometry = read_image(options.reference)
    labels = np.zeros(geometry.shape, np.uint8)
    for structure in ABDOMEN8:
        labels[values == TOTALSEGMENTATOR_VALUES[structure.name]] = structure.index
    segmentation = Segmentation(labels, geometry, tuple(ABDOMEN8), options.reference_name)
    return segmentation_to_node(segmentation, slicer.mrmlScene, scan, surfaces=False)


def views(scan, panel, place) -> list[QtGui.QImage]:
    """The eight views of the layout, row by row, as Slicer's displayable managers draw them."""
    from UNetSegmenterLib.scene.layout import slice_views
    from UNetSegmenterLib.scene.nodes import volume_geometry
    from UNetSegmenterLib.scene.views import SliceView, ThreeDView

    scene, logic = slicer.mrmlScene, slicer.app.applicationLogic()
    size_mm = np.multiply(volume_geometry(scan).shape[::-1], scan.GetSpacing())
    bounds = np.zeros(6)
    scan.GetRASBounds(bounds)
    middle = tuple((bounds[::2] + bounds[1::2]) / 2)
    images = []
    for row, title in (("Pred", "Prediction"), ("Ref", "Ground truth")):
        for name, (across, up) in zip(slice_views(row), ((0, 1), (0, 2), (1, 2)), strict=True):
            view = SliceView(scene, logic, name, (PIXELS, PIXELS))
            view.logic.GetSliceCompositeNode().SetBackgroundVolumeID(scan.GetID())
            view.look_at(middle, place, 1.05 * size_mm[across], 1.05 * size_mm[up])
            view.add_text(f"{title}, {view.node.GetOrientation().lower()}")
            images.append(as_image(view.picture()))
            view.close()
        view = ThreeDView(scene, logic, f"{row}3D", (PIXELS, PIXELS))
        view.node.SetBoxVisible(False)
        view.node.SetAxisLabelsVisible(False)
        camera = view.renderer.GetActiveCamera()
        result = np.zeros(6)
        panel.compare.reference_node.GetRASBounds(result)
        focus = (result[::2] + result[1::2]) / 2
        camera.SetFocalPoint(*focus)
        camera.SetPosition(focus[0] - 150, focus[1] + 620, focus[2] + 140)
        camera.SetViewUp(0, 0, 1)
        view.add_text(f"{title}, 3D")
        images.append(as_image(view.picture()))
        view.close()
    return images


def compose(panel: QtGui.QImage, eight: list[QtGui.QImage]) -> QtGui.QImage:
    """The panel left, two rows of four views right, as Slicer's window has them."""
    step = PIXELS + GAP
    image = QtGui.QImage(panel.width() + 4 * step, max(panel.height(), 2 * step), QtGui.QImage.Format_RGB32)
    image.fill(QtGui.QColor("#efefef"))
    painter = QtGui.QPainter(image)
    painter.drawImage(0, 0, panel)
    for number, view in enumerate(eight):
        painter.drawImage(panel.width() + GAP + (number % 4) * step, (number // 4) * step, view)
    painter.end()
    return image.scaledToWidth(WIDTH, QtCore.Qt.SmoothTransformation)


if __name__ == "__main__":
    main()
