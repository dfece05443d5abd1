"""Speed of a model that nnU-Net trained: imported and run by our predictor, beside nnU-Net's own.

    python -m benchmarks.nnunet_speed MODEL_FOLDER SCAN [--folds 0 1] [--threads N]

The whole task, from the file to labels in memory, with the model loaded; each way in a process of its own. The labels are
compared with those of nnU-Net, with and without mirroring. It needs the environment of `make bench-predict`; docs/speed.md
has the figures.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .command_line import arguments_of, parser_of, require, run
from .prediction_speed import agreement, machine_text, peak_memory_gb, timed


@dataclass(frozen=True)
class Way:
    """One way to predict.

    Attributes:
        name: its name in the table.
        ours: by our predictor, else by nnU-Net's.
        mirroring: average over mirrored slices.
        dtype: our precision by torch's name; None for the one that the predictor chooses.
    """

    name: str
    ours: bool
    mirroring: bool = False
    dtype: str | None = None


WAYS = (
    Way("ours", True),
    Way("ours, bfloat16", True, dtype="bfloat16"),
    Way("nnU-Net", False),
    Way("ours, mirroring", True, mirroring=True),
    Way("nnU-Net, mirroring", False, mirroring=True),
)


def our_labels(checkpoint: Path, scan: Path, way: Way) -> Callable[[], np.ndarray]:
    """Load the imported model; what is returned predicts the scan's file with it."""
    import torch
    from UNetSegmenterLib.engine.io.image_reading import read_volume
    from UNetSegmenterLib.engine.model.checkpoint import load_checkpoint
    from UNetSegmenterLib.engine.model.device import keep_freed_memory
    from UNetSegmenterLib.engine.model.prediction import Predictor

    keep_freed_memory()
    dtype = getattr(torch, way.dtype) if way.dtype else None
    predictor = Predictor(load_checkpoint(checkpoint), "cpu", dtype=dtype, mirroring=way.mirroring)
    return lambda: predictor.predict(read_volume(scan)).segmentation.labels


def nnunet_labels(model: Path, scan: Path, way: Way, folds: Sequence[str]) -> Callable[[], np.ndarray]:
    """Load the trained model; what is returned predicts the scan's file by nnU-Net alone."""
    import torch

    from . import nnunet_contender  # noqa: F401 - nnU-Net's surroundings are set there

    from nnunetv2.imageio.simpleitk_reader_writer import SimpleITKIO  # isort: skip
    from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor  # isort: skip

    predictor = nnUNetPredictor(
        use_mirroring=way.mirroring, perform_everything_on_device=False, device=torch.device("cpu"), allow_tqdm=False
    )
    predictor.initialize_from_trained_model_folder(str(model), tuple(folds))

    def run() -> np.ndarray:
        images, properties = SimpleITKIO().read_images([str(scan)])
        return predictor.predict_single_npy_array(images, properties)

    return run


def run_child(options: argparse.Namespace) -> None:
    """Measure one way in this process, write its labels and print its figures."""
    way = next(way for way in WAYS if way.name == options.child)
    predict = (
        our_labels(options.checkpoint, options.scan, way)
        if way.ours
        else nnunet_labels(options.model, options.scan, way, options.folds)
    )
    labels, seconds, cpu_seconds = timed(predict)
    figures = {"seconds": seconds, "cpu_seconds": cpu_seconds, "peak_gb": peak_memory_gb()}
    np.save(options.labels, labels)
    print(json.dumps(figures))


def measure(way: Way, checkpoint: Path, labels: Path, options: argparse.Namespace) -> dict[str, float]:
    """Measure one way in a process of its own."""
    arguments = [str(options.model), str(options.scan), "--folds", *options.folds, "--child", way.name]
    process = subprocess.run(
        [sys.executable, "-m", "benchmarks.nnunet_speed", *arguments, "--checkpoint", checkpoint, "--labels", labels],
        env={**os.environ, "OMP_NUM_THREADS": str(options.threads)},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return json.loads(process.stdout.splitlines()[-1])


def mean_and_lowest_dice(labels: np.ndarray, reference: np.ndarray) -> tuple[float, float]:
    """Mean and lowest Dice over the structures that either has; 1 if none has any."""
    numbers = np.union1d(labels, reference)
    dice = [
        2 * float(((labels == n) & (reference == n)).sum()) / float((labels == n).sum() + (reference == n).sum())
        for n in numbers[numbers > 0]
    ]
    return float(np.mean(dice or [1.0])), min(dice, default=1.0)


HEADERS = ("", "seconds", "CPU s", "ours is faster by", "CPU", "peak GB", "labels as nnU-Net", "mean Dice", "lowest")


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line."""
    options = parsed(arguments)
    require(options.model, options.scan, options.checkpoint)
    if options.child:
        run_child(options)
        return
    with tempfile.TemporaryDirectory(prefix="unetsegmenter-bench-") as folder:
        checkpoint = Path(folder) / "imported.pt"
        # nnU-Net's predictor leaves postprocessing to another command of nnU-Net
        model = shutil.copytree(
            options.model, Path(folder) / "model", ignore=shutil.ignore_patterns("crossval_results*")
        )
        command = ["import", str(model), "--output", str(checkpoint), "--folds", *options.folds]
        subprocess.run([sys.executable, "-m", "unetseg.cli", *command], check=True)
        figures, labels = {}, {}
        for way in WAYS:
            print(f"{way.name} ...", file=sys.stderr, flush=True)
            path = Path(folder) / f"{len(labels)}.npy"
            figures[way.name] = measure(way, checkpoint, path, options)
            labels[way.name] = np.load(path)
    folds = f"{'fold' if len(options.folds) == 1 else 'folds'} {' and '.join(options.folds)}"
    print(f"{options.model.name}, {folds}; {options.scan.name}; {machine_text(options.threads)}\n")
    print(report(figures, labels))


def report(figures: dict[str, dict[str, float]], labels: dict[str, np.ndarray]) -> str:
    """The table in Markdown."""
    lines = ["| " + " | ".join(HEADERS) + " |", "|---" * len(HEADERS) + "|"]
    for way in WAYS:
        suffix = ", mirroring" if way.mirroring else ""
        one, ours, reference = figures[way.name], figures[f"ours{suffix}"], f"nnU-Net{suffix}"
        mean, lowest = mean_and_lowest_dice(labels[way.name], labels[reference])
        ratios = [f"{one[key] / ours[key]:.1f} x" if one is not ours else "" for key in ("seconds", "cpu_seconds")]
        same = (f"{agreement(labels[way.name], labels[reference])[0]:.3%}", f"{mean:.4f}", f"{lowest:.4f}")
        equal = same if way.ours else ("", "", "")
        cells = (
            way.name,
            f"{one['seconds']:.1f}",
            f"{one['cpu_seconds']:.1f}",
            *ratios,
            f"{one['peak_gb']:.2f}",
            *equal,
        )
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def parsed(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The options."""
    parser = parser_of("nnunet_speed", __doc__)
    parser.add_argument("model", type=Path, help="folder of a trained model: plans.json, dataset.json, fold_0 ...")
    parser.add_argument("scan", type=Path, help="scan to predict")
    parser.add_argument("--folds", nargs="+", default=["0"], help="folds to average")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1, help="threads of either")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    parser.add_argument("--checkpoint", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--labels", type=Path, help=argparse.SUPPRESS)
    return parser.parse(arguments_of(arguments))


if __name__ == "__main__":
    sys.exit(run(main, "nnunet_speed"))
