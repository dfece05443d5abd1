"""Pages 5 and 7: training runs on synthetic hearts, as the pages' own commands make them.

The runs are kept in .cache/course, so that a picture can be drawn again without training.
"""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
from unetseg.cli.main import main as unetseg
from UNetSegmenterLib.engine.io.image_reading import read_volume
from UNetSegmenterLib.engine.labels.segmentation import Segmentation
from UNetSegmenterLib.engine.model.checkpoint import load_checkpoint
from UNetSegmenterLib.engine.model.prediction import Predictor

from .sample import INK, panels, save

WORK = Path(__file__).resolve().parents[2] / ".cache" / "course"
COURSE_RUN = ["--patch", "64,64", "--input-slices", "3", "--base-width", "8", "--depth", "3"]
COURSE_RUN += ["--learning-rate", "0.005", "--ema", "0.95", "--deep-supervision", "false"]
LOSSES = {"mse": "#7a8793", "cross_entropy": "#00798c", "dice": "#edae49", "dice_ce": "#d1495b"}
SHOWN_HEART, SHOWN_SLICE = "ct_train_1007", 15
OVERFIT = """augmentation: {rotation_degrees: 0, scale: 1, shift: 0, contrast: 0, brightness: 0, gamma: 1, noise: 0, blur: 0}
"""


def losses(path: Path) -> None:
    """Validation Dice of four losses over the steps, and what each makes of one slice."""
    runs = {name: run_of_loss(name) for name in LOSSES}
    figure, axes = panels(14, 3.2, 1, 6)
    for name, run in runs.items():
        axes[0].plot(*_curve(run, "dice_mean"), color=LOSSES[name], label=name, linewidth=2)
    axes[0].set(ylim=(0, 1), xlabel="step", title="mean Dice of two unseen hearts")
    axes[0].legend(fontsize=8, frameon=False)
    axes[0].spines[["top", "right"]].set_visible(False)
    scan = read_volume(WORK / "hearts" / f"{SHOWN_HEART}_image.nii.gz")
    results = {
        name: Predictor(load_checkpoint(run / "checkpoint.pt"), "cpu").predict(scan) for name, run in runs.items()
    }
    structures = results["mse"].segmentation.structures
    values = read_volume(WORK / "hearts" / f"{SHOWN_HEART}_label.nii.gz").array
    labels = np.zeros(values.shape, np.uint8)
    for structure in structures:
        labels[np.isin(values, structure.values)] = structure.index
    drawn = {"reference": Segmentation(labels, scan.geometry, structures, "reference")}
    drawn |= {name: result.segmentation for name, result in results.items()}
    for axis, (name, segmentation) in zip(axes[1:], drawn.items(), strict=True):
        _overlay(axis, scan, segmentation, name)
    save(figure, path)


def overfitting(path: Path) -> None:
    """Training loss and validation Dice of a run on a single heart, without augmentation."""
    WORK.mkdir(parents=True, exist_ok=True)
    (WORK / "overfit.yaml").write_text(OVERFIT, encoding="utf-8")
    options = [
        "--config",
        str(WORK / "overfit.yaml"),
        "--steps",
        "600",
        "--schedule",
        "constant",
        "--validate-every",
        "50",
    ]
    run = _run("overfit", "few", options)
    figure, axes = panels(10, 3.4, 1, 2)
    axes[0].plot(*_curve(run, "loss"), color="#00798c", linewidth=2)
    axes[0].set(yscale="log", xlabel="step", title="training loss (one heart)")
    axes[1].plot(*_curve(run, "dice_mean"), color="#d1495b", linewidth=2)
    axes[1].set(ylim=(0, 1), xlabel="step", title="mean Dice of three hearts it never saw")
    for axis in axes:
        axis.spines[["top", "right"]].set_visible(False)
    save(figure, path)


def run_of_loss(name: str) -> Path:
    """Folder of the finished run of page 5 with that loss; that of the default is `first`, the run of page 7."""
    options = ["--loss", name, "--steps", "600", "--validate-every", "100"]
    return _run("first" if name == "dice_ce" else name, "hearts", options)


def _run(name: str, data: str, options: list[str]) -> Path:
    """Folder of a finished run, trained first if it is not there."""
    run = WORK / "runs" / name
    if not (run / "checkpoint.pt").exists():
        _prepare(data)
        unetseg(["train", str(WORK / "preprocessed" / data), "--output", str(run), *COURSE_RUN, *options])
    return run


def _prepare(data: str) -> None:
    hearts, prepared = WORK / data, WORK / "preprocessed" / data
    if prepared.exists():
        return
    count, split = ("8", ["--test", "2", "--validation", "2"]) if data == "hearts" else ("4", ["--validation", "3"])
    if not hearts.exists():
        unetseg(["phantom", str(hearts), "--count", count, "--size", "64", "--slices", "24"])
    unetseg(["prepare", str(hearts), str(prepared), *split])


def _curve(run: Path, column: str) -> tuple[list[int], list[float]]:
    with (run / "metrics.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    return [int(row["step"]) for row in rows], [float(row[column]) for row in rows]


def _overlay(axis: Any, scan: Any, segmentation: Any, name: str) -> None:
    from matplotlib import colormaps

    picture = scan.geometry.to_axial(scan.array)[SHOWN_SLICE]
    labels = segmentation.geometry.to_axial(segmentation.labels)[SHOWN_SLICE]
    axis.imshow(picture, cmap="gray", vmin=-150, vmax=500, interpolation="nearest")
    palette = np.vstack([[0, 0, 0], colormaps["tab10"].colors])
    coloured = np.dstack([palette[labels], 0.75 * (labels > 0)])
    axis.imshow(coloured, interpolation="nearest")
    axis.set_title(name, fontsize=10, color=INK)
    axis.set_axis_off()


PICTURES = {"losses.png": losses, "overfitting.png": overfitting}
