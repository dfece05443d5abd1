"""Take the pictures of an import: the window of an ONNX file and a probability, or the window of an nnU-Net and its result.

python Testing/host/screenshots_import.py SCAN --onnx FILE [--name NAME] [--output FOLDER]
python Testing/host/screenshots_import.py SCAN --nnunet FOLDER --reference LABELS --names aorta gallbladder ... [--slice 60]

The ONNX file is the shipped checkpoint without its card: what the file does not tell is filled in from the card.
"""

from __future__ import annotations

import argparse
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
from PIL import Image
from PySide6 import QtWidgets

import host.pressing
from host.pressing import picture, press, settle, turn
from host.screenshots import HOME, add_scan
from host.screenshots_compare import add_reference
from host.scripted import load_module

WIDTH, SLICER = 1600, f"{HOME}/Slicer"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("scan", type=Path)
    parser.add_argument("--onnx", type=Path)
    parser.add_argument("--nnunet", type=Path)
    parser.add_argument("--reference", type=Path, help="label map with the values 1, 2, ... of --names")
    parser.add_argument("--names", nargs="+")
    parser.add_argument("--slice", type=int, help="slice of the preview, counted along the network's slices")
    parser.add_argument("--output", type=Path, default=ROOT / "Resources" / "Screenshots")
    parser.add_argument("--name", default="Abdomen CT", help="the name of the scan in the pictures")
    parser.add_argument("--reference-name", default="Ground truth")
    options = parser.parse_args()
    host.pressing.PANEL_WIDTH, host.pressing.PICTURES = 560, ROOT / ".cache" / "screenshots"
    widget = load_module(ROOT / "UNetSegmenter" / "UNetSegmenter.py").enter()
    try:
        take(widget, options)
    finally:
        widget.panel.close()


def take(widget, options) -> None:
    options.output.mkdir(parents=True, exist_ok=True)
    scan = add_scan(widget, options)
    if options.onnx:
        keep_probability(widget, options, scan)
        dialog = opened(widget.panel, options.onnx)
        fill_in(dialog)
        keep_dialog(widget.panel, options, "import-onnx")
        dialog.close()
    if options.nnunet:
        import_and_apply(widget, options, scan)


def import_and_apply(widget, options, scan) -> None:
    panel = widget.panel
    dialog = opened(panel, options.nnunet)
    keep_dialog(panel, options, "import-nnunet")
    with tempfile.TemporaryDirectory() as folder:
        dialog.folder.setCurrentPath(f"{folder}/Slicer/UNetSegmenter models")
        press(dialog.import_button)
        turn(lambda: panel.imports.dialog is None and panel.model.card is not None, 120)
        panel.imports.close()
        panel.imports._notes.show(
            [replace(note, text=note.text.replace(f"{folder}/Slicer", SLICER)) for note in panel.imports.notes]
        )
        keep_result(widget, options, scan)


def opened(panel, path):
    panel.open(str(path.resolve()))
    turn(lambda: not panel.imports.is_busy, 120)
    assert panel.imports.dialog is not None, panel.imports.notes
    panel.imports.dialog.folder.setCurrentPath(f"{SLICER}/UNetSegmenter models")
    return panel.imports.dialog


def fill_in(dialog) -> None:
    """Give what the file does not tell, but for the name of the last structure."""
    from UNetSegmenterLib.engine.model.checkpoint import load_checkpoint, shipped_checkpoints

    card = load_checkpoint(shipped_checkpoints()[0]).card
    fields = dialog.form.fields
    fields["network.parameters.activation"].choose("logits")
    fields["network.parameters.channels"].choose("neighbours")
    fields["preprocessing.intensities"].choose("HU")
    pixels = fields["preprocessing.spacing_mm"]
    pixels.kind.setCurrentIndex(pixels.kind.findData("mm"))
    for edit, mm in zip((pixels.rows, pixels.columns), card.preprocessing.spacing_mm, strict=True):
        edit.widget.setText(f"{mm:g}")
    parts = fields["preprocessing.normalisation"].parts
    parts.name.setCurrentIndex(parts.name.findData("window"))
    for edit, hu in zip((parts.low, parts.high), card.preprocessing.window_hu, strict=True):
        edit.widget.setText(f"{hu:g}")
    for row, structure in enumerate(card.structures[:-1]):
        fields["structures"].parts.table.item(row, 2).setText(structure.name)


def keep_dialog(panel, options, name) -> None:
    dialog = panel.imports.dialog
    turn(lambda: not panel.imports._preview.is_busy, 120)
    if options.slice is not None:
        dialog.preview.slider.setValue(options.slice)
        turn(lambda: not panel.imports._preview.is_busy, 120)
    settle(0.3)
    keep(QtWidgets.QWidget.grab(dialog.window).toImage(), options.output / f"{name}.png")


def keep_result(widget, options, scan) -> None:
    """Apply, and the result beside the ground truth."""
    from UNetSegmenterLib.scene.views.layout import TWO_ROWS
    from UNetSegmenterLib.scene.views.slice_views import middle_of_largest

    from host.viewing import layout_pictures, window_picture

    panel, ui = widget.panel, widget.ui
    settle(0.3)
    press(ui.applyButton)
    turn(lambda: not panel.segment.state.is_busy, 900)
    options.structure = None
    reference = add_reference(options, scan)
    ui.referenceSelector.setCurrentNode(reference)
    settle()
    press(ui.sideBySideButton)
    turn(lambda: not panel.views.is_making_surfaces, 60)
    press(ui.compareButton)
    turn(lambda: not panel.compare.is_busy, 300)
    rows = [row for row in panel.compare.comparison.rows if row.measures]
    print([(row.structure, round(row.measures.dice, 3)) for row in rows], [note.text for note in panel.segment.notes])
    panel_image = picture(widget.parent, "panel")
    views = layout_pictures(TWO_ROWS, scan, reference, middle_of_largest([reference]), height=panel_image.height())
    image = window_picture(panel_image, views, WIDTH)
    keep(image, options.output / "imported-nnunet.png")


def keep_probability(widget, options, scan) -> None:
    """The shipped model's probability of the stomach, around its middle."""
    from UNetSegmenterLib.engine.model.checkpoint import shipped_checkpoints
    from UNetSegmenterLib.scene.nodes.node_grids import volume_geometry

    from host.viewing import AXES, slice_picture, window_picture

    panel, ui = widget.panel, widget.ui
    panel.model.choose(str(shipped_checkpoints()[0]))
    turn(lambda: panel.model.path == str(shipped_checkpoints()[0]) and panel.model.card is not None)
    slicer.util.setSliceViewerLayers(background=scan)
    settle(0.3)
    ui.probabilityComboBox.setCurrentText("stomach")
    press(ui.probabilityButton)
    turn(lambda: not panel.probability.is_busy, 300)
    percent = slicer.util.arrayFromVolume(panel.probability.shown)
    index = np.array(np.nonzero(percent > 50)).mean(axis=1)
    position_ras = volume_geometry(scan).position_ras_mm(index)
    sections = ("model", "compare", "plausibility", "correct", "report")
    before = {section: getattr(ui, f"{section}CollapsibleButton").collapsed for section in sections}
    for section in sections:
        getattr(ui, f"{section}CollapsibleButton").collapsed = True
    panel_image = picture(widget.parent, "panel")
    views = [
        slice_picture(name, scan, axes, position_ras, (760, panel_image.height()), orientation=orientation)
        for name, axes, orientation in zip(("Red", "Green"), AXES, ("Axial", "Coronal"), strict=False)
    ]
    keep(window_picture(panel_image, [views], WIDTH), options.output / "probability.png")
    for section, collapsed in before.items():
        getattr(ui, f"{section}CollapsibleButton").collapsed = collapsed
    press(ui.probabilityButton)


def keep(image, path) -> None:
    image.save(str(path))
    with Image.open(path) as full:
        full.convert("RGB").quantize(256, Image.Quantize.FASTOCTREE).save(path, optimize=True)


if __name__ == "__main__":
    main()
