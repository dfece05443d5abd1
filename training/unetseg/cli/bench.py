"""Measure prediction on this machine: the whole command, its memory, and reduced precision against float32.

  unetseg bench
  unetseg bench scan.nii.gz --checkpoint heart.pt --device cuda

Without SCAN a synthetic one of 512 x 512 x 275 voxels is used. Other work on the machine counts in the seconds, less so in
the CPU seconds.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..console import print_line, table
from ..output_folder import Outputs
from .parser import CommandParser, add_device


def add_options(parser: CommandParser) -> None:
    """Add the options of this command."""
    parser.add_argument("scan", nargs="?", type=Path, help="scan to measure with (default: a synthetic one)")
    parser.add_argument("--checkpoint", type=Path, help="trained checkpoint (default: the one that is shipped)")
    add_device(parser)
    parser.add_argument("--output", type=Path, metavar="FILE", help="also write the figures as JSON")


def outputs(options: Any) -> Outputs | None:
    """What this command writes and reads."""
    return Outputs(options.output, inputs=(options.scan, options.checkpoint)) if options.output else None


def run(options: Any) -> None:
    """Measure and print."""
    import json
    import os
    import platform
    import tempfile
    from dataclasses import asdict

    import torch
    from UNetSegmenterLib.engine.io.atomic_files import write_text
    from UNetSegmenterLib.engine.model.device import keep_freed_memory

    from ..evaluation.prediction_speed import standard_scan, time_command, try_precisions
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
