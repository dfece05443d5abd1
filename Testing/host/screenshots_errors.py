"""Take the picture of the errors: the panel, the error map in three slices, and the distance colours in 3D.

python Testing/host/screenshots_errors.py CHECKPOINT SCAN REFERENCE [--structure liver] [--output Resources/Screenshots]
"""

from __future__ import annotations

import sys
from pathlib import Path

import slicer

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "Testing"))

import host

host.start()

import numpy as np

from host.pressing import picture, press, settle, turn
from host.screenshots import add_scan, choose, picture_parser
from host.screenshots_compare import add_reference
from host.scripted import load_module

PIXELS, WIDTH = 560, 1360
SLICES = {"Red": "Axial", "Green": "Coronal", "Yellow": "Sagittal"}


def main() -> None:
    parser = picture_parser(__doc__)
    parser.add_argument("reference", type=Path, help="label map with TotalSegmentator's values")
    parser.add_argument("--reference-name", default="Ground truth")
    parser.add_argument("--file", default="panel-errors.png")
    parser.add_argument("--scale", type=int, default=10, help="where the distance colours end, in mm")
    parser.add_argument("--names", nargs="*", help="the structures of label values 1, 2, ...")
    parser.add_argument("--structure", help="the one that stands out; the one with the largest HD95 if not given")
    options = parser.parse_args()
    widget = load_module(ROOT / "UNetSegmenter" / "UNetSegmenter.py").enter()
    try:
        take(widget, options)
    finally:
        widget.panel.close()


def take(widget, options) -> None:
    from UNetSegmenterLib.scene.headless.offscreen_views import ThreeDView

    from host.viewing import AXES, slice_picture, window_picture

    panel, ui = widget.panel, widget.ui
    scan = add_scan(widget, options)
    choose(panel, options.checkpoint)
    press(ui.applyButton)
    turn(lambda: not panel.segment.state.is_busy, 600)
    ui.referenceSelector.setCurrentNode(add_reference(options, scan))
    settle()
    press(ui.compareButton)
    turn(lambda: not panel.compare.is_busy, 300)
    threed = ThreeDView(slicer.mrmlScene, slicer.app.applicationLogic(), "1", (PIXELS, PIXELS))
    ui.distanceScaleSpinBox.setValue(options.scale)
    press(ui.errorMapButton)
    press(ui.distanceColorsButton)
    turn(lambda: panel.errors.error_map.drawn and panel.errors.distances.drawn, 300)
    sections = ("model", "scan", "segment", "plausibility", "report")
    for section in (getattr(ui, f"{name}CollapsibleButton") for name in sections):
        section.collapsed = True
    rows = [row for row in panel.compare.comparison.rows if row.measures and np.isfinite(row.measures.hd95_mm)]
    worst = max(rows, key=lambda row: (row.structure == options.structure, row.measures.hd95_mm))
    panel.compare.go_to(worst)
    print([(row.structure, round(row.measures.dice, 3), round(row.measures.hd_mm, 1)) for row in rows])
    print(ui.errorsLabel.text)
    import host.pressing

    host.pressing.PANEL_WIDTH, host.pressing.PICTURES = 480, ROOT / ".cache" / "screenshots"
    position_ras, size = worst.largest_error_ras, (PIXELS, PIXELS)
    axial, coronal, sagittal = (
        slice_picture(name, scan, axes, position_ras, size, "Error map", orientation)
        for (name, orientation), axes in zip(SLICES.items(), AXES, strict=True)
    )
    views = [[axial, coronal], [sagittal, surfaces(threed, panel.errors.distances.drawn.nodes[0])]]
    options.output.mkdir(parents=True, exist_ok=True)
    window_picture(picture(widget.parent, "panel"), views, WIDTH).save(str(options.output / options.file))


def surfaces(view, model):
    """The painted surfaces from the front, with the colour bar."""
    from host.viewing import as_image

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


if __name__ == "__main__":
    main()
