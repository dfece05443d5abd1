"""Measure prediction on this machine: the whole command, its memory, and reduced precision against float32.

  unetseg bench
  unetseg bench scan.nii.gz --checkpoint heart.pt --device cuda

Without SCAN a synthetic one of 512 x 512 x 275 voxels is used. Other work on the machine counts in the seconds, less so in
the CPU seconds.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..console import print_line, table
from ..output_folder import Outputs
from .parser import CommandParser
from .shared_options import add_device

if TYPE_CHECKING:
    import numpy as np
    from UNetSegmenterLib.engine.io.volume import Volume
    from UNetSegmenterLib.engine.model.checkpoint import Checkpoint

STANDARD_SHAPE = (275, 512, 512)
STANDARD_SPACING_MM = (1.0, 0.78, 0.78)


def add_options(parser: CommandParser) -> None:
    """Add the options of this command."""
    parser.add_argument("scan", nargs="?", type=Path, help="scan to measure with (default: a synthetic one)")
    parser.add_argument("--checkpoint", type=Path, help="trained checkpoint (default: the one that is shipped)")
    add_device(parser)
    parser.add_argument("--output", type=Path, metavar="FILE", help="also write the figures as JSON")


def outputs(options: Any) -> Outputs | None:
    """What this command writes and reads."""
    inputs = (options.scan, options.checkpoint)
    return Outputs(options.output, inputs=inputs, endings=(".json",)) if options.output else None


def run(options: Any) -> None:
    """Measure and print."""
    import torch
    from UNetSegmenterLib.engine.io.atomic_files import write_text
    from UNetSegmenterLib.engine.model.device import keep_freed_memory

    from ..evaluation.scan_prediction import open_predictor, read_scan

    keep_freed_memory()
    checkpoint = open_predictor(options.checkpoint, options.device).checkpoint
    with tempfile.TemporaryDirectory(prefix="unetsegmenter-bench-") as folder:
        scan = options.scan or standard_scan(Path(folder))
        volume = read_scan(scan)
        machine = f"{platform.machine()}, {torch.get_num_threads()} threads, torch {torch.__version__}"
        print_line(f"{volume.name}, {volume.geometry.shape_text()} voxels; {checkpoint.card.title}; {machine}")
        cost = time_command(scan, checkpoint.path, options.device)
        rate = volume.geometry.axial_shape[0] / cost.seconds
        load = f", load {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else ""
        print_line(
            f"unetseg segment, whole command: {cost.seconds:.1f} s ({rate:.1f} slices/s), "
            f"{cost.cpu_seconds:.0f} CPU seconds, peak {cost.peak_gb:.2f} GB{load}"
        )
        trials = try_precisions(checkpoint, volume, options.device)
    headers = ("precision", "seconds", "slices/s", "same voxels as float32", "mean Dice", "lowest Dice")
    rows = [
        (
            trial.precision,
            f"{trial.seconds:.1f}",
            f"{trial.slices_per_second:.1f}",
            f"{trial.same_voxels:.4%}",
            f"{trial.mean_dice:.4f}",
            f"{trial.lowest_dice:.4f}",
        )
        for trial in trials
    ]
    table(headers, rows, "prediction alone")
    if options.output:
        figures = {
            "scan": volume.name,
            "machine": machine,
            "command": asdict(cost),
            "precisions": list(map(asdict, trials)),
        }
        text = json.dumps(figures, indent=2) + "\n"
        write_text(options.output, text)


@dataclass(frozen=True)
class CommandCost:
    """One run of a command: elapsed time, time of all processors, largest resident memory."""

    seconds: float
    cpu_seconds: float
    peak_gb: float


@dataclass(frozen=True)
class PrecisionTrial:
    """One prediction in one precision, compared with the float32 result.

    Attributes:
        same_voxels: fraction of the whole volume with the same label.
        lowest_dice: over the structures that either result has, as mean_dice.
    """

    precision: str
    seconds: float
    slices_per_second: float
    same_voxels: float
    lowest_dice: float
    mean_dice: float


def time_command(scan: Path, checkpoint: Path, device: str) -> CommandCost:
    """Run `unetseg segment` in a new process, with start-up, reading and writing."""
    with tempfile.TemporaryDirectory(prefix="unetsegmenter-bench-") as folder:
        command = [sys.executable, "-m", "unetseg.cli", "segment", str(scan), "--checkpoint", str(checkpoint)]
        started = time.perf_counter()
        process = subprocess.Popen(
            [*command, "--device", device, "--output", folder], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
        )
        try:
            _, status, usage = os.wait4(process.pid, 0)
        except BaseException:  # stopped: it would go on, and write into a folder that is removed
            process.kill()
            process.wait()
            raise
        seconds = time.perf_counter() - started
        if os.waitstatus_to_exitcode(status):
            raise RuntimeError(process.stderr.read().decode().strip())  # type: ignore[union-attr]
    unit = 1 if sys.platform == "darwin" else 1024  # bytes there, KiB on Linux
    return CommandCost(seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * unit / 1e9)


def try_precisions(checkpoint: Checkpoint, volume: Volume, device: str) -> list[PrecisionTrial]:
    """Predict in float32 and in bfloat16 and compare the labels; an ONNX file has one precision, its own."""
    import torch
    from UNetSegmenterLib.engine.model.architectures import ONNX
    from UNetSegmenterLib.engine.model.device import precision_name
    from UNetSegmenterLib.engine.model.prediction import Predictor

    trials: list[PrecisionTrial] = []
    exact = None
    is_onnx = checkpoint.card.network.architecture == ONNX
    for dtype in (torch.float32,) if is_onnx else (torch.float32, torch.bfloat16):
        predictor = Predictor(checkpoint, device, dtype=dtype)
        prediction = predictor.predict(volume)
        labels = prediction.segmentation.labels
        exact = labels if exact is None else exact
        dice = _dice(labels, exact)
        trials.append(
            PrecisionTrial(
                precision_name(dtype),
                prediction.seconds,
                prediction.slices / prediction.seconds,
                float((labels == exact).mean()),
                float(dice.min(initial=1.0)),
                float(dice.mean()) if dice.size else 1.0,
            )
        )
    return trials


def _dice(labels: np.ndarray, exact: np.ndarray) -> np.ndarray:
    """Dice of every structure that one of two label arrays has."""
    import numpy as np
    from UNetSegmenterLib.engine.labels.dice import dice_coefficient

    one, other, common = (
        np.bincount(array.ravel(), minlength=256) for array in (labels, exact, exact[labels == exact])
    )
    found = one + other > 0
    found[0] = False
    return dice_coefficient(common[found], one[found], other[found])


def standard_scan(folder: Path) -> Path:
    """Write a synthetic scan of the size of a chest CT at 1 mm: speed depends on the size, not on the content."""
    import numpy as np
    from UNetSegmenterLib.engine.io.geometry import Geometry
    from UNetSegmenterLib.engine.io.image_writing import write_volume
    from UNetSegmenterLib.engine.io.volume import Volume

    slices, rows, columns = STANDARD_SHAPE
    y, x = np.mgrid[-1 : 1 : rows * 1j, -1 : 1 : columns * 1j].astype(np.float32)
    body = np.where((x / 0.85) ** 2 + (y / 0.6) ** 2 < 1, 40, -1000)
    noise = np.random.default_rng(0).normal(0, 12, (8, rows, columns))
    hu = np.stack([body + noise[number % 8] for number in range(slices)]).astype(np.int16)
    path = folder / "standard-275x512x512.nii.gz"
    write_volume(Volume(hu, Geometry(STANDARD_SHAPE, STANDARD_SPACING_MM), path.name), path)
    return path
