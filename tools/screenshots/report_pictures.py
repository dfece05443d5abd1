"""Pictures of `unetseg demo`: its sheet, the liver whose Dice flatters it, the report's findings and its viewer."""

from __future__ import annotations

import io
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image
from unetseg.cli.main import main as unetseg
from unetseg.data.sample_download import read_sample
from unetseg.evaluation.scan_prediction import open_predictor, predict
from UNetSegmenterLib.engine.evaluation.comparison import compare
from UNetSegmenterLib.engine.io.image_writing import png_bytes
from UNetSegmenterLib.engine.labels.segmentation import Segmentation
from UNetSegmenterLib.scene.headless.comparison_scene import comparison_scene
from UNetSegmenterLib.scene.headless.pictures import draw

from .browser import box_of, keep, opened
from .options import Options

PAGE, STRUCTURE = (1100, 900), "liver"


def demo(options: Options) -> None:
    """All views of `unetseg demo --distinct-colors` on one sheet, and its report in a browser."""
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "demo"
        unetseg(["demo", "--fetch", "--distinct-colors", "--output", str(output)])
        (options.output / "demo.png").write_bytes((output / "pictures" / "sheet.png").read_bytes())
        with opened(output / "report.html", *PAGE) as page:
            findings(page, options.output / "report-findings.png")
            viewer(page, options.output / "report-viewer.png")
    high_dice(options.output / "high-dice.png")


def findings(page, picture: Path) -> None:
    """The report's findings, with the first structure open."""
    page.run("document.querySelector('#findings details')?.setAttribute('open', '')")
    keep(page, picture, box_of(page, "#findings"))


def viewer(page, picture: Path) -> None:
    """The report's viewer at the largest error of one structure."""
    page.click(".viewer-open")
    page.wait(
        "!document.querySelector('.viewer-stage').hidden && document.querySelector('.viewer-reading').textContent"
    )
    index = f"[...document.querySelector('[name=structure]').options].findIndex(one => one.text === '{STRUCTURE}')"
    page.run(
        f"(() => {{ const s = document.querySelector('[name=structure]'); s.selectedIndex = {index}; "
        "s.dispatchEvent(new Event('input', {bubbles: true})); s.dispatchEvent(new Event('change', {bubbles: true})); })()"
    )
    page.wait("!document.querySelector('[name=error]').disabled")
    page.click("[name=error]")
    keep(page, picture, box_of(page, "#viewer"))


def high_dice(path: Path) -> None:
    """The liver alone, at the position where the prediction lies farthest from the reference."""
    sample = read_sample()
    prediction = predict(open_predictor(None, "cpu"), sample.volume).segmentation
    ours, theirs = (_one(segmentation, STRUCTURE) for segmentation in (prediction, sample.reference))
    comparison = compare(ours, theirs, sample.volume.name)
    measures = comparison.rows[0].measures
    made = comparison_scene(sample.volume, ours, theirs, names=("Prediction", "Reference by TotalSegmentator"))
    made = replace(made, slices_ras=comparison.rows[0].largest_error_ras)
    title = f"Liver: Dice {measures.dice:.2f}, but not the shape of a liver"
    sheet = draw(made, title, {STRUCTURE: f"Dice {measures.dice:.2f}"}).sheet
    picture = Image.open(io.BytesIO(png_bytes(sheet))).quantize(256, Image.Quantize.FASTOCTREE)
    picture.save(path, optimize=True)
    print(f"{path.name}: Dice {measures.dice:.3f}, HD95 {measures.hd95_mm:.1f} mm")


def _one(segmentation: Segmentation, name: str) -> Segmentation:
    """The segmentation with one of its structures."""
    structure = next(one for one in segmentation.structures if one.name == name)
    labels = np.where(segmentation.labels == structure.index, segmentation.labels, 0).astype(segmentation.labels.dtype)
    return replace(segmentation, labels=labels, structures=(structure,))
