"""Take the pictures that README and docs show: the panel in each of its states, and beside the views when it is done.

python Testing/host/screenshots.py CHECKPOINT SCAN [--output Resources/Screenshots]

Runs the real panel on the stand-in of `Testing/host`, with Slicer's own offscreen views beside it.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import tempfile
from dataclasses import replace
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

HOME = "/home/me"  # in place of a folder of the machine that takes the pictures


def picture_parser(text: str) -> argparse.ArgumentParser:
    """Options of all who take pictures of a checkpoint on a scan; `text` is their module's, which begins with what they take."""
    parser = argparse.ArgumentParser(description=text.splitlines()[0])
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("scan", type=Path)
    parser.add_argument("--output", type=Path, default=ROOT / "Resources" / "Screenshots")
    parser.add_argument("--name", default="Sample CT", help="the name of the scan in the pictures")
    return parser


def main() -> None:
    options = picture_parser(__doc__).parse_args()
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
    from host.viewing import GAP_PIXELS, window_picture

    panel, ui = widget.panel, widget.ui
    turn(lambda: panel.model.card is not None)
    picture(widget.parent, "empty")
    scan = add_scan(widget, options)
    with tempfile.TemporaryDirectory() as folder:
        choose(panel, code_in_it(Path(folder + HOME) / "Downloads"))
        said = panel.model._notes
        said.show([replace(note, text=note.text.replace(folder, "")) for note in said.notes])
        settle()
        picture(widget.parent, "refused")
    choose(panel, options.checkpoint)
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
    os.kill(panel.worker.pid, signal.SIGSEGV)
    turn(lambda: not panel.segment.state.is_busy)
    press(ui.detailsButton) if ui.detailsButton.visible else None
    ui.detailsText.setPlainText(
        ui.detailsText.plainText.replace(sys.prefix, "<Slicer>")
        .replace(sys.base_prefix, "<Slicer>")
        .replace(str(ROOT), "<extension>")
    )
    picture(widget.parent, "crashed")
    ui.keepPartialCheckBox.setChecked(True)
    press(ui.applyButton)
    turn(lambda: not panel.segment.state.is_busy, 600)
    panel_image = picture(widget.parent, "done")
    four = views(scan, panel.segment.result.node, (panel_image.height() - GAP_PIXELS) // 2)
    window_picture(panel_image, four, 1200).save(str(options.output / "done.png"))


def choose(panel, path) -> None:
    path = path.resolve()  # as the panel has it, which would be waited for in vain otherwise
    panel.model.choose(str(path))
    turn(lambda: panel.model.path == str(path) and (panel.model.card or panel.model.refusal))
    settle(0.2)


def run_until(panel, ui, share) -> None:
    press(ui.applyButton)
    turn(lambda: panel.segment.state.value == "running" and ui.progressBar.value > share * ui.progressBar.maximum, 300)


def add_scan(widget, options):
    from UNetSegmenterLib.engine.io.image_reading import read_volume
    from UNetSegmenterLib.scene.nodes.volume_nodes import volume_to_node

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


def views(scan, segmentation, pixels: int):
    """Axial slice and 3D above, coronal and sagittal below, through the middle of the result."""
    from host.viewing import AXES, slice_picture, surface_picture

    slicer.app.applicationLogic().GetSelectionNode().SetReferenceActiveVolumeID(scan.GetID())
    bounds = np.zeros(6)
    segmentation.GetRASBounds(bounds)
    middle, size = tuple((bounds[::2] + bounds[1::2]) / 2), (pixels, pixels)
    orientations = ("Axial", "Coronal", "Sagittal")
    axial, coronal, sagittal = (
        slice_picture(name, scan, axes, middle, size, orientation=orientation)
        for name, axes, orientation in zip(("Red", "Green", "Yellow"), AXES, orientations, strict=True)
    )
    return [[axial, surface_picture("1", segmentation, size)], [coronal, sagittal]]


if __name__ == "__main__":
    main()
