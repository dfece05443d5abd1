"""Take the pictures of README and docs anew that show the shipped checkpoint on the sample scan.

    python -m tools.screenshots [FOLDER]

For use after a new checkpoint or a change of what the panel looks like. The sample scan is fetched once, as `unetseg demo`
does. Pictures of other models, of a review and of the report's viewer are not among them.
"""

from __future__ import annotations

import io
import os
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image
from unetseg.data.sample_download import default_cache, read_sample
from unetseg.evaluation.scan_prediction import open_predictor, predict
from UNetSegmenterLib.engine.evaluation.comparison import compare
from UNetSegmenterLib.engine.io.image_writing import png_bytes
from UNetSegmenterLib.engine.labels.segmentation import Segmentation
from UNetSegmenterLib.engine.model.checkpoint import shipped_checkpoints
from UNetSegmenterLib.scene.headless.comparison_scene import comparison_scene
from UNetSegmenterLib.scene.headless.pictures import draw

from .course_pictures.__main__ import FOLDER as COURSE_PICTURES
from .course_pictures.__main__ import PICTURES

ROOT = Path(__file__).resolve().parents[1]
SCREENSHOTS = ROOT / "Resources" / "Screenshots"
OF_THE_COURSE = ("two-annotations.png", "six-results.png", "unet.svg")
WITHOUT_CHECKPOINT = ("empty.png", "refused.png")  # the second shows the folder that it is drawn in


def main(folder: Path = SCREENSHOTS) -> None:
    """Draw all into a folder; those of the course always where its pages show them."""
    sample = read_sample()
    cached = next(default_cache().glob("totalsegmentator-*"))
    scan, labels = cached / "example_ct.nii.gz", cached / "example_seg_fast_force_split.nii.gz"
    of_the_panel(folder, scan, labels)
    demo_picture(folder / "demo.png")
    prediction = predict(open_predictor(None, "cpu"), sample.volume).segmentation
    high_dice(folder / "high-dice.png", prediction)
    for name in OF_THE_COURSE:
        PICTURES[name](COURSE_PICTURES / name)


def of_the_panel(folder: Path, scan: Path, labels: Path) -> None:
    """The panel in its states, with a comparison, and with its errors: each in a process with Slicer's stand-in."""
    shipped = str(shipped_checkpoints()[0])
    for script, files in (
        ("screenshots", (scan,)),
        ("screenshots_compare", (scan, labels, "--structure", "liver")),
        ("screenshots_errors", (scan, labels, "--structure", "liver")),
    ):
        with tempfile.TemporaryDirectory() as drawn:
            command = [sys.executable, f"Testing/host/{script}.py", shipped, *map(str, files), "--output", drawn]
            subprocess.run(command, cwd=ROOT, check=True, env=os.environ | {"QT_QPA_PLATFORM": "offscreen"})
            for picture in Path(drawn).glob("*.png"):
                if picture.name not in WITHOUT_CHECKPOINT:
                    (folder / picture.name).write_bytes(picture.read_bytes())


def demo_picture(path: Path) -> None:
    """All views of `unetseg demo --distinct-colors` on one sheet."""
    with tempfile.TemporaryDirectory() as output:
        subprocess.run(
            [sys.executable, "-m", "unetseg.cli", "demo", "--distinct-colors", "--output", output], check=True
        )
        path.write_bytes((Path(output) / "pictures" / "sheet.png").read_bytes())


def high_dice(path: Path, prediction: Segmentation) -> None:
    """The liver alone, at the position where the prediction lies farthest from the reference."""
    sample = read_sample()
    ours, theirs = (_one(segmentation, "liver") for segmentation in (prediction, sample.reference))
    comparison = compare(ours, theirs, sample.volume.name)
    measures = comparison.rows[0].measures
    made = comparison_scene(sample.volume, ours, theirs, names=("Prediction", "Reference by TotalSegmentator"))
    made = replace(made, slices_ras=comparison.rows[0].largest_error_ras)
    title = f"Liver: Dice {measures.dice:.2f}, but not the shape of a liver"
    sheet = draw(made, title, {"liver": f"Dice {measures.dice:.2f}"}).sheet
    picture = Image.open(io.BytesIO(png_bytes(sheet))).quantize(256, Image.Quantize.FASTOCTREE)
    picture.save(path, optimize=True)
    print(f"{path.name}: Dice {measures.dice:.3f}, HD95 {measures.hd95_mm:.1f} mm")


def _one(segmentation: Segmentation, name: str) -> Segmentation:
    """The segmentation with one of its structures."""
    structure = next(one for one in segmentation.structures if one.name == name)
    labels = np.where(segmentation.labels == structure.index, segmentation.labels, 0).astype(segmentation.labels.dtype)
    return replace(segmentation, labels=labels, structures=(structure,))


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:2]))
