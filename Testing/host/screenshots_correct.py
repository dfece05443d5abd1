"""Take the picture of a correction: section Correct and train after a case was saved, the prediction, and what was corrected.

python Testing/host/screenshots_correct.py CHECKPOINT SCAN REFERENCE [--output Resources/Screenshots]

What is erased by hand in the Segment Editor is cleared in an array here: the largest piece of liver that the reference has not.
"""

from __future__ import annotations

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
import SimpleITK as sitk

import host.pressing
from host.pressing import picture, press, settle, turn, type_path
from host.screenshots import HOME, add_scan, choose, picture_parser
from host.scripted import load_module

WIDTH, STRUCTURE = 1400, "liver"


def main() -> None:
    parser = picture_parser(__doc__)
    parser.add_argument("reference", type=Path, help="label map with TotalSegmentator's values")
    options = parser.parse_args()
    host.pressing.PICTURES = ROOT / ".cache" / "screenshots"
    module = load_module(ROOT / "UNetSegmenter" / "UNetSegmenter.py")
    widget = module.enter()
    try:
        take(module, widget, options)
    finally:
        widget.panel.close()


def take(module, widget, options) -> None:
    from UNetSegmenterLib.engine.io.image_reading import read_image
    from UNetSegmenterLib.engine.labels.structures import TOTALSEGMENTATOR_VALUES
    from UNetSegmenterLib.scene.nodes.segmentation_from_node import segmentation_from_node

    from host.viewing import AXES, slice_picture, window_picture

    panel, ui = widget.panel, widget.ui
    scan = add_scan(widget, options)
    choose(panel, options.checkpoint)
    press(ui.applyButton)
    turn(lambda: not panel.segment.state.is_busy, 600)
    ui.reviewerLineEdit.setText("A. Reader")
    for section in ("model", "scan", "segment", "plausibility", "report"):
        getattr(ui, f"{section}CollapsibleButton").collapsed = True
    ui.correctCollapsibleButton.collapsed = False
    settle()
    predicted = segmentation_from_node(panel.segment.result.node, scan)
    away = predicted.labels == next(one.index for one in predicted.structures if one.name == STRUCTURE)
    away = largest_component(away & (read_image(options.reference)[0] != TOTALSEGMENTATOR_VALUES[STRUCTURE]))
    position_ras = predicted.geometry.position_ras_mm(np.argwhere(away).mean(axis=0))

    def coronal(title):
        return slice_picture("Green", scan, AXES[1], position_ras, (760, 760), title, "Coronal")

    views = [coronal("Prediction")]
    panel.correct.actions = replace(panel.correct.actions, open_editor=lambda *_: None)
    press(ui.correctButton)
    node = panel.correct.node
    module.exit()
    clear(node, scan, away)
    module.enter()
    settle()
    views.append(coronal("Corrected"))
    with tempfile.TemporaryDirectory() as folder:
        save_case(panel, ui, folder)
        image = window_picture(picture(widget.parent, "correct-panel"), [views], WIDTH)
    image.save(str(options.output / "correct.png"))


def largest_component(mask):
    """The largest connected component of a mask (slices, rows, columns)."""
    components = sitk.RelabelComponent(sitk.ConnectedComponent(sitk.GetImageFromArray(mask.astype(np.uint8))))
    return sitk.GetArrayViewFromImage(components) == 1


def clear(node, scan, mask) -> None:
    """Erase the structure's voxels in a mask, as the eraser of the Segment Editor does."""
    segmentation = node.GetSegmentation()
    names = {segmentation.GetNthSegment(n).GetName(): n for n in range(segmentation.GetNumberOfSegments())}
    segment_id = segmentation.GetNthSegmentID(names[STRUCTURE])
    array = slicer.util.arrayFromSegmentBinaryLabelmap(node, segment_id, scan).copy()
    array[mask] = 0
    slicer.util.updateSegmentBinaryLabelmapFromArray(array, node, segment_id, scan)


def save_case(panel, ui, folder: str) -> None:
    """Press Save as training case, and show the notes without the folder of this machine."""
    type_path(ui.trainingFolderPathLineEdit, f"{folder}{HOME}/data sets of the abdomen/Dataset101_Abdomen")
    ui.caseNameLineEdit.setText("case_7")
    press(ui.saveCaseButton)
    turn(lambda: not panel.correct.is_busy, 60)
    notes = [replace(note, text=note.text.replace(folder, "")) for note in panel.correct.notes]
    panel.correct._notes.show(notes)
    settle()


if __name__ == "__main__":
    main()
