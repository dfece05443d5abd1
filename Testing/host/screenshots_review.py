"""Take the picture of a review in progress: a test set, two cases reviewed, the third open.

python Testing/host/screenshots_review.py CHECKPOINT DATASET [--predictions DIR] [--output Resources/Screenshots]

Without --predictions (files NAME.seg.nrrd or NAME.nii.gz) each scan is segmented on the way.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path

import slicer

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "Testing"))

import host

host.start()

import host.pressing
from host.pressing import picture, press, settle, turn
from host.screenshots import choose
from host.scripted import load_module

VERDICTS = (("plausible", ""), ("small faults", "The pulmonary artery begins too late."), ("", ""))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("dataset", type=Path)
    parser.add_argument("--predictions", type=Path)
    parser.add_argument("--output", type=Path, default=ROOT / "Resources" / "Screenshots")
    options = parser.parse_args()
    options.checkpoint, options.output = options.checkpoint.resolve(), options.output.resolve()
    host.pressing.PANEL_WIDTH, host.pressing.PICTURES = 560, ROOT / ".cache" / "screenshots"
    widget = load_module(ROOT / "UNetSegmenter" / "UNetSegmenter.py").enter()
    try:
        with tempfile.TemporaryDirectory() as folder:
            working_folder = Path(folder)
            (working_folder / "Hearts of the course").symlink_to(options.dataset.resolve())
            (working_folder / "Evaluated").mkdir()
            if options.predictions:
                (working_folder / "Evaluated" / "predictions").symlink_to(options.predictions.resolve())
            os.chdir(working_folder)  # so that the picture shows no folder of this machine
            take(widget, options)
    finally:
        widget.panel.close()


def take(widget, options) -> None:
    from UNetSegmenterLib.scene.views.layout import TWO_ROWS

    from host.viewing import layout_pictures, window_picture

    panel, ui = widget.panel, widget.ui
    choose(panel, options.checkpoint)
    ui.reportCollapsibleButton.collapsed = False
    ui.reviewerLineEdit.setText("A. Reviewer")
    ui.reviewFolderPathLineEdit.setCurrentPath("Hearts of the course")
    ui.reviewResultsPathLineEdit.setCurrentPath("Evaluated")
    settle(0.6)
    turn(lambda: not panel.review.is_busy, 60)
    for score, comment in VERDICTS:
        press(ui.nextCaseButton)
        turn(lambda: not panel.review.is_busy, 600)
        rows = [row.measures.dice for row in panel.compare.comparison.rows if row.measures]
        print(
            f"{panel.review.case.name}: mean Dice {sum(rows) / len(rows):.3f}, {slicer.mrmlScene.GetNumberOfNodes()} nodes"
        )
        ui.scoreComboBox.setCurrentIndex(ui.scoreComboBox.findData(score))
        ui.commentText.setPlainText(comment)
    for section in ("model", "scan", "segment", "compare", "plausibility"):
        getattr(ui, f"{section}CollapsibleButton").collapsed = True
    measured = [row for row in panel.compare.comparison.rows if row.measures]
    position_ras = max(measured, key=lambda row: row.measures.hd95_mm).largest_error_ras
    whole = picture(widget.parent, "review-panel")
    scan = ui.inputSelector.currentNode()
    ui.sideBySideButton.setChecked(True)
    turn(lambda: not panel.views.is_making_surfaces, 60)
    pictures = layout_pictures(TWO_ROWS, scan, ui.referenceSelector.currentNode(), position_ras)
    window_picture(whole, pictures, 1200).save(str(options.output / "review.png"))
    panel.report.write(Path("Evaluated").resolve() / "report")  # the worker has another folder
    turn(lambda: not panel.report.is_busy, 120)
    print([note.text for note in (*panel.review.notes, *panel.report.notes)])


if __name__ == "__main__":
    main()
