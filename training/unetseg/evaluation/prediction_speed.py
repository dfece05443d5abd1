"""Speed and memory of `unetseg segment` as a person meets it, and whether reduced precision changes the result."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from UNetSegmenterLib.engine.labels.dice import dice_coefficient

if TYPE_CHECKING:
    from UNetSegmenterLib.engine.io.volume import Volume
    from UNetSegmenterLib.engine.model.checkpoint import Checkpoint

STANDARD_SHAPE = (275, 512, 512)
STANDARD_SPACING_MM = (1.0, 0.78, 0.78)


@dataclass(frozen=True)
class CommandCost:
    """One run of a command: time on the clock, time of all processors, largest resident memory."""

    seconds: float
    cpu_seconds: float
    peak_gb: float


@dataclass(frozen=True)
class PrecisionTrial:
    """One prediction in one precision, and how much of the float32 result it repeats.

    `same_voxels` is over the whole volume; `dice` is the lowest and the mean over structures that either result has.
    """

    precision: str
    seconds: float
    slices_per_second: float
    same_voxels: float
    lowest_dice: float
    mean_dice: float


def time_command(scan: Path, checkpoint: Path, device: str) -> CommandCost:
    """Run `unetseg segment` in a process of its own, start-up, reading and writing included."""
    with tempfile.TemporaryDirectory(prefix="unetsegmenter-bench-") as folder:
        command = [sys.executable, "-m", "unetseg.cli", "segment", str(scan), "--checkpoint", str(checkpoint)]
        started = time.perf_counter()
        process = subprocess.Popen(
            [*command, "--device", device, "--output", folder], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
        )
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - started
        if os.waitstatus_to_exitcode(status):
            raise RuntimeError(process.stderr.read().decode().strip())  # type: ignore[union-attr]
    unit = 1 if sys.platform == "darwin" else 1024  # bytes there, KiB on Linux
    return CommandCost(seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * unit / 1e9)


def try_precisions(checkpoint: Checkpoint, volume: Volume, device: str) -> list[PrecisionTrial]:
    """Predict in float32 and in bfloat16, each after a short warm-up, and compare the labels."""
    import torch
    from UNetSegmenterLib.engine.model.prediction import Predictor

    trials: list[PrecisionTrial] = []
    exact = None
    for dtype in (torch.float32, torch.bfloat16):
        predictor = Predictor(checkpoint, device, dtype=dtype)
        prediction = predictor.predict(volume)
        labels = prediction.segmentation.labels
        exact = labels if exact is None else exact
        dice = _dice(labels, exact)
        trials.append(
            PrecisionTrial(
                str(dtype).removeprefix("torch."),
                prediction.seconds,
                prediction.slices / prediction.seconds,
                float((labels == exact).mean()),
                min(dice, default=1.0),
                float(np.mean(dice)) if dice else 1.0,
            )
        )
    return trials


def _dice(labels: np.ndarray, exact: np.ndarray) -> list[float]:
    """Dice of every structure that one of two label arrays has."""
    ours, theirs = (np.bincount(array.ravel(), minlength=256) for array in (labels, exact))
    common = np.bincount(exact[labels == exact], minlength=256)
    dice = dice_coefficient(common, ours, theirs, if_empty=np.nan)[1:]
    return dice[~np.isnan(dice)].tolist()


def standard_scan(folder: Path) -> Path:
    """A synthetic scan of the size of a chest CT at 1 mm: speed depends on the size, not on what is seen."""
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
