"""Take the pictures of a comparison: the panel's table and findings beside the two rows of views, the other layouts, one
layout in Slicer's and in distinct colours (for usual eyes and without green cones), and the findings with one line open.

python Testing/host/screenshots_compare.py CHECKPOINT SCAN REFERENCE [--output Resources/Screenshots]
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
from PIL import Image

import host.pressing
from host.pressing import picture, press, settle, turn
from host.screenshots import add_scan, choose, picture_parser
from host.scripted import load_module

WIDTH = 1600


def main() -> None:
    parser = picture_parser(__doc__)
    parser.add_argument(
        "reference", type=Path, help="label map with TotalSegmentator's values, or with those of --names alone"
    )
    parser.add_argument("--names", nargs="*", help="the structures of label values 1, 2, ...")
    parser.add_argument("--structure", help="the one that stands out; the one with the largest HD95 if not given")
    parser.add_argument("--reference-name", default="Ground truth")
    options = parser.parse_args()
    host.pressing.PANEL_WIDTH, host.pressing.PICTURES = 560, ROOT / ".cache" / "screenshots"
    widget = load_module(ROOT / "UNetSegmenter" / "UNetSegmenter.py").enter()
    try:
        take(widget, options)
    finally:
        widget.panel.close()


def take(widget, options) -> None:
    from UNetSegmenterLib.scene.views.layout import ONE_ROW, ONLY_3D, TWO_ROWS

    from host.viewing import layout_pictures, window_picture

    panel, ui = widget.panel, widget.ui
    scan = add_scan(widget, options)
    choose(panel, options.checkpoint)
    press(ui.applyButton)
    turn(lambda: not panel.segment.state.is_busy, 600)
    reference = add_reference(options, scan)
    ui.referenceSelector.setCurrentNode(reference)
    settle()
    press(ui.sideBySideButton)
    turn(lambda: not panel.views.is_making_surfaces, 60)
    press(ui.compareButton)
    turn(lambda: not panel.compare.is_busy, 300)
    press(ui.checkButton)
    turn(lambda: not panel.plausibility.is_busy, 300)
    for section in ("model", "scan", "segment", "report"):
        getattr(ui, f"{section}CollapsibleButton").collapsed = True
    rows = [row for row in panel.compare.comparison.rows if row.measures]
    print([(row.structure, row.status, round(row.measures.dice, 3)) for row in rows])
    print([note.text for note in (*panel.compare.notes, *panel.plausibility.notes)])
    options.output.mkdir(parents=True, exist_ok=True)
    worst = max(rows, key=lambda row: (row.structure == options.structure, row.measures.hd95_mm))
    position_ras = worst.largest_error_ras

    def keep(name, image):
        path = options.output / f"{name}.png"
        image.save(str(path))
        with Image.open(path) as full:
            full.convert("RGB").quantize(256, Image.Quantize.FASTOCTREE).save(
                path, optimize=True
            )  # a quarter of the size

    open_first_finding(ui)
    section = ui.plausibilityCollapsibleButton
    picture(widget.parent, "panel")
    keep("findings", section.grab().toImage())
    press(ui.distinctColorsCheckBox)
    panel_image = picture(widget.parent, "panel")
    views = layout_pictures(TWO_ROWS, scan, reference, position_ras, height=panel_image.height())
    keep("panel-compare", window_picture(panel_image, views, WIDTH))
    panel.compare.go_to(worst)
    ui.sliceCurveCheckBox.click()
    keep("layout-two-rows", window_picture(None, layout_pictures(TWO_ROWS, scan, reference, position_ras), WIDTH))
    ui.viewsLayoutComboBox.setCurrentText(ONE_ROW)
    views = layout_pictures(ONE_ROW, scan, reference, position_ras, height=600, with_plots=True)
    keep("layout-one-row", window_picture(None, views, WIDTH))
    ui.viewsLayoutComboBox.setCurrentText(ONLY_3D)
    keep("layout-3d", window_picture(None, layout_pictures(ONLY_3D, scan, reference, position_ras, height=700), WIDTH))
    keep("distinct-colours", both_colors(panel, ui, scan, reference))
    add_deuteranopia(options.output / "distinct-colours.png")


def both_colors(panel, ui, scan, reference):
    """A slice of the prediction through most structures, and its surfaces: above in Slicer's colours, below in distinct ones."""
    from UNetSegmenterLib.scene.headless.comparison_scene import most_informative_point
    from UNetSegmenterLib.scene.nodes.segmentation_from_node import segmentation_from_node
    from UNetSegmenterLib.scene.views.layout import TWO_ROWS

    from host.viewing import layout_pictures, window_picture

    place = most_informative_point(segmentation_from_node(reference, scan))
    panel.views._structures.step(-panel.ui.structureComboBox.currentIndex)  # all of them
    ui.viewsLayoutComboBox.setCurrentText(TWO_ROWS)
    ui.sliceCurveCheckBox.setChecked(False)
    rows = []
    for is_distinct in (False, True):
        if bool(ui.distinctColorsCheckBox.checked) != is_distinct:
            press(ui.distinctColorsCheckBox)
        axial, _, _, surfaces = layout_pictures(TWO_ROWS, scan, reference, place, width=1600, height=800)[0]
        rows.append([axial, surfaces])
    return window_picture(None, rows, WIDTH // 2)


def add_deuteranopia(path: Path) -> None:
    """Put beside a picture how a user without green cones sees it."""
    from UNetSegmenterLib.engine.labels.color_difference import VISIONS

    with Image.open(path) as file:
        own = np.asarray(file.convert("RGB"), dtype=np.float64) / 255
    linear = np.where(own <= 0.04045, own / 12.92, ((own + 0.055) / 1.055) ** 2.4)
    seen = np.clip(linear @ VISIONS["deuteranopia"].T, 0, 1)
    seen = np.where(seen <= 0.0031308, seen * 12.92, 1.055 * seen ** (1 / 2.4) - 0.055)
    both = np.rint(np.concatenate([own, np.ones((len(own), 8, 3)), seen], axis=1) * 255).astype(np.uint8)
    Image.fromarray(both).quantize(256, Image.Quantize.FASTOCTREE).save(path, optimize=True)


def open_first_finding(ui) -> None:
    """Open the first line that holds several findings."""
    tree = ui.findingsTree
    items = [tree.topLevelItem(number) for number in range(tree.topLevelItemCount)]
    several = [item for item in items if item.childCount()]
    if several:
        several[0].setExpanded(True)
    settle()


def add_reference(options, scan):
    """The structures of the label map that the shipped model knows, or those of `--names`, as a segmentation node."""
    from UNetSegmenterLib.engine.io.image_reading import read_image
    from UNetSegmenterLib.engine.labels.segmentation import Segmentation
    from UNetSegmenterLib.engine.labels.structures import TOTALSEGMENTATOR_VALUES, known_structure
    from UNetSegmenterLib.scene.nodes.segmentation_to_node import segmentation_to_node

    values, geometry = read_image(options.reference)
    named = {name: value for value, name in enumerate(options.names or (), start=1)} or TOTALSEGMENTATOR_VALUES
    labels, structures = np.zeros(geometry.shape, np.uint8), []
    for index, (name, value) in enumerate(named.items(), start=1):
        labels[values == value] = index
        structures.append(known_structure(name, index, (value,)))
    segmentation = Segmentation(labels, geometry, tuple(structures), options.reference_name)
    return segmentation_to_node(segmentation, slicer.mrmlScene, scan, surfaces=False)


if __name__ == "__main__":
    main()
