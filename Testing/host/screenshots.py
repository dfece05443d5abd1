"""Take the pictures that README and docs show: the panel in each of its states, and beside the views when it is done.

python Testing/host/screenshots.py CHECKPOINT SCAN [--output Resources/Screenshots]

Runs the real panel on the stand-in of `Testing/host`, with Slicer's own offscreen views beside it.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
from pathlib import Path

import slicer

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "Testing"))

import host

host.start()

import numpy as np
from host.checkpoints import Bomb
from host.pressing import picture, press, settle, turn
from host.scripted import load_module
from PySide6 import QtCore, QtGui

GAP_PIXELS = 4


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("scan", type=Path)
    parser.add_argument("--output", type=Path, default=ROOT / "Resources" / "Screenshots")
    parser.add_argument("--name", default="Sample CT", help="the name of the scan in the pictures")
    options = parser.parse_args()
    os.environ["UNETSEGMENTER_SCREENSHOTS"] = str(options.output)
    import host.pressing

    host.pressing.PICTURES = options.output
    record = load_module(ROOT / "UNetSegmenter" / "UNetSegmenter.py")
    widget = record.enter()
    widget.panel.ask = lambda question: True
    try:
        take(widget, options)
    finally:
        widget.panel.close()


def take(widget, options) -> None:
    panel, ui = widget.panel, widget.ui
    picture(widget.parent, "empty")
    scan = add_scan(widget, options)
    choose(panel, code_in_it(options.output).resolve())
    picture(widget.parent, "refused")
    (options.output / "found on the internet.pt").unlink()
    choose(panel, options.checkpoint.resolve())
    settle(0.3)
    picture(widget.parent, "ready")
    run_until(panel, ui, 0.4)
    picture(widget.parent, "running")
    press(ui.applyButton)
    turn(lambda: not panel.segment.state.is_busy)
    picture(widget.parent, "cancelled")
    slicer.mrmlScene.RemoveNode(panel.segment.result.node)
    ui.keepPartialCheckBox.setChecked(False)
    run_until(panel, ui, 0.2)
    os.kill(panel.worker._worker_pid, signal.SIGSEGV)
    turn(lambda: not panel.segment.state.is_busy)
    press(ui.detailsButton) if ui.detailsButton.visible else None
    picture(widget.parent, "crashed")
    ui.keepPartialCheckBox.setChecked(True)
    press(ui.applyButton)
    turn(lambda: not panel.segment.state.is_busy, 600)
    panel_image = picture(widget.parent, "done")
    four = views(scan, panel.segment.result.node, (panel_image.height() - GAP_PIXELS) // 2)
    beside(panel_image, four).save(str(options.output / "done.png"))


def choose(panel, path) -> None:
    panel.model.choose(str(path))
    turn(lambda: panel.model.path == str(path) and (panel.model.card or panel.model.refusal))
    settle(0.2)


def run_until(panel, ui, share) -> None:
    press(ui.applyButton)
    turn(lambda: panel.segment.state.value == "running" and ui.progressBar.value > share * ui.progressBar.maximum, 300)


def add_scan(widget, options):
    from UNetSegmenterLib.engine.volume import read_volume
    from UNetSegmenterLib.scene.nodes import volume_to_node

    node = volume_to_node(read_volume(options.scan), slicer.mrmlScene, options.name)
    display = node.GetDisplayNode()
    display.SetAutoWindowLevel(False)
    display.SetWindowLevel(400, 40)
    widget.initializeParameterNode()
    settle(0.3)
    return node


def code_in_it(folder: Path) -> Path:
    import torch

    path = folder / "found on the internet.pt"
    folder.mkdir(parents=True, exist_ok=True)
    torch.save({"format": 1, "card": "{}", "weights": Bomb("/dev/null")}, path)
    return path


def views(scan, segmentation, pixels: int) -> list[QtGui.QImage]:
    """Axial, coronal and sagittal slice through the middle of the result, and the result in 3D."""
    from UNetSegmenterLib.scene.nodes import volume_geometry
    from UNetSegmenterLib.scene.views import SliceView, ThreeDView

    scene, logic = slicer.mrmlScene, slicer.app.applicationLogic()
    selection = logic.GetSelectionNode()
    selection.SetReferenceActiveVolumeID(scan.GetID())
    bounds = np.zeros(6)
    segmentation.GetRASBounds(bounds)
    middle = tuple((bounds[::2] + bounds[1::2]) / 2)
    size_mm = np.multiply(volume_geometry(scan).shape[::-1], scan.GetSpacing())
    images = []
    for name, across, up in (("Red", 0, 1), ("Green", 0, 2), ("Yellow", 1, 2)):
        view = SliceView(scene, logic, name, (pixels, pixels))
        view.node.SetOrientation({"Red": "Axial", "Green": "Coronal", "Yellow": "Sagittal"}[name])
        view.logic.GetSliceCompositeNode().SetBackgroundVolumeID(scan.GetID())
        view.look_at(middle, middle, 1.05 * size_mm[across], 1.05 * size_mm[up])
        images.append(as_image(view.picture()))
        view.close()
    view = ThreeDView(scene, logic, "1", (pixels, pixels))
    view.node.SetBoxVisible(False)
    view.node.SetAxisLabelsVisible(False)
    camera = view.renderer.GetActiveCamera()
    camera.SetFocalPoint(*middle)
    camera.SetPosition(middle[0] + 120, middle[1] + 600, middle[2] + 80)
    camera.SetViewUp(0, 0, 1)
    view.renderer.ResetCamera()
    camera.Zoom(1.15)
    images.insert(1, as_image(view.picture()))
    view.close()
    return images


def as_image(pixels: np.ndarray) -> QtGui.QImage:
    height, width, _ = pixels.shape
    pixels = np.ascontiguousarray(pixels)
    return QtGui.QImage(pixels.data, width, height, 3 * width, QtGui.QImage.Format_RGB888).copy()


def beside(panel: QtGui.QImage, four: list[QtGui.QImage]) -> QtGui.QImage:
    """The panel left, the four views right, as Slicer's window has them."""
    step = four[0].width() + GAP_PIXELS
    image = QtGui.QImage(panel.width() + 2 * step, panel.height(), QtGui.QImage.Format_RGB32)
    image.fill(QtGui.QColor("#efefef"))
    painter = QtGui.QPainter(image)
    painter.drawImage(0, 0, panel)
    for number, view in enumerate(four):
        painter.drawImage(panel.width() + GAP_PIXELS + (number % 2) * step, (number // 2) * step, view)
    painter.end()
    return image.scaledToWidth(1200, QtCore.Qt.SmoothTransformation)


if __name__ == "__main__":
    main()
