"""Speed of prediction, side by side: our predictor, a plain loop, nnU-Net's predictor, MONAI, ONNX Runtime, OpenVINO.

    python -m benchmarks.prediction_speed [SCAN] [--checkpoint FILE] [--plot FILE] [--output FILE]
    python -m benchmarks.prediction_speed --small

One network (of an ensemble the first, without postprocessing), same weights, same scan, one run; each contender in a process
of its own (prediction_contenders.py). Without SCAN a synthetic one of 512 x 512 x 275 voxels is used. "From file to labels"
begins with the network loaded and ends with the labels in memory; "network alone" is given prepared slices and forgets the
logits. A contender whose package is not installed is named and left out; `make bench-predict` installs them all in an environment
of their own.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk
from UNetSegmenterLib.engine.errors import InputError

from .command_line import arguments_of, parser_of, require, run

REFERENCE = "plain loop"
WARM_UP_SLICES = 8
MARKS = ("<!-- prediction_speed.py writes this table -->", "<!-- end of the table -->")


@dataclass(frozen=True)
class Row:
    """What one contender took.

    Attributes:
        name: its name in the table.
        seconds: from the file to labels in memory.
        cpu_seconds: time of all cores for it.
        network_seconds: the network alone.
        network_cpu_seconds: time of all cores for it.
        peak_gb: largest resident memory of its process from the file to labels.
        same_labels: fraction of the voxels with the label of `REFERENCE`, which computes in float32.
        same_foreground: fraction of those voxels that either of the two gives a structure.
        failure: why there are no figures.
    """

    name: str
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    network_seconds: float = 0.0
    network_cpu_seconds: float = 0.0
    peak_gb: float = 0.0
    same_labels: float = 0.0
    same_foreground: float = 0.0
    failure: str = ""


# Each contender runs in a child process: it has a peak of memory of its own, and no library's threads disturb another's.


def run_child(name: str, scan: Path, checkpoint: Path, labels: Path) -> dict[str, float]:
    """Measure one contender in this process, write its labels and return the figures of a `Row`."""
    from UNetSegmenterLib.engine.model.checkpoint import load_checkpoint

    from .prediction_contenders import read

    opened = load_checkpoint(checkpoint)
    alone = replace(opened, weights=opened.weights[:1], card=replace(opened.card, postprocessing=()))
    pipeline = all_contenders()[name].open(alone)
    hu, spacing_mm = read(scan)
    pipeline.network_alone(hu[:WARM_UP_SLICES], spacing_mm)()
    del hu
    found, seconds, cpu_seconds = timed(lambda: pipeline.labels(scan))
    peak_gb = peak_memory_gb()
    np.save(labels, found)
    del found
    _, network_seconds, network_cpu_seconds = timed(pipeline.network_alone(*read(scan)))
    return {
        "seconds": seconds,
        "cpu_seconds": cpu_seconds,
        "network_seconds": network_seconds,
        "network_cpu_seconds": network_cpu_seconds,
        "peak_gb": peak_gb,
    }


def timed(action: Callable[[], Any]) -> tuple[Any, float, float]:
    """What the action returns, its wall time and the time of all cores."""
    wall, cpu = time.perf_counter(), time.process_time()
    result = action()
    return result, time.perf_counter() - wall, time.process_time() - cpu


def peak_memory_gb() -> float:
    """Largest resident memory of this process so far."""
    status = Path("/proc/self/status")
    if status.exists():  # the other figure may be the parent's: a child begins with it
        return next(int(line.split()[1]) for line in status.read_text().splitlines() if line.startswith("VmHWM")) / 1e6
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e9


def all_contenders() -> dict[str, Any]:
    """The contenders by name, ours first."""
    import torch

    from . import prediction_contenders as contenders
    from .nnunet_contender import Nnunet

    found = [
        contenders.Contender("ours", (), contenders.Ours),
        contenders.Contender("ours, float32", (), lambda c: contenders.Ours(c, torch.float32)),
        contenders.Contender("ours, ONNX file", ("onnx", "onnxruntime"), contenders.OursFromOnnx),
        contenders.Contender(REFERENCE, (), contenders.Pipeline),
        contenders.Contender("MONAI SliceInferer", ("monai",), contenders.Monai),
        contenders.Contender("nnU-Net", ("nnunetv2",), Nnunet),
        contenders.Contender("nnU-Net, mirroring", ("nnunetv2",), lambda c: Nnunet(c, mirroring=True)),
        contenders.Contender("nnU-Net, torch resampling", ("nnunetv2",), lambda c: Nnunet(c, fast_resampling=True)),
        contenders.Contender("ONNX Runtime", ("onnx", "onnxruntime"), contenders.OnnxRuntime),
        contenders.Contender("OpenVINO float32", ("onnx", "openvino"), lambda c: contenders.OpenVino(c, "f32")),
        contenders.Contender("OpenVINO bfloat16", ("onnx", "openvino"), lambda c: contenders.OpenVino(c, "bf16")),
    ]
    return {contender.name: contender for contender in found}


def measure(name: str, scan: Path, checkpoint: Path, labels: Path, threads: int) -> Row:
    """Measure one contender in a process of its own with that many threads; its labels are written to `labels`."""
    arguments = ["--child", name, str(scan), "--checkpoint", str(checkpoint), "--labels", str(labels)]
    command = [sys.executable, "-m", "benchmarks.prediction_speed", *arguments]
    process = subprocess.run(
        command, capture_output=True, text=True, check=False, env={**os.environ, "OMP_NUM_THREADS": str(threads)}
    )
    if process.returncode:
        return Row(name, failure=(process.stderr.strip().splitlines() or [f"status {process.returncode}"])[-1])
    return Row(name, **json.loads(process.stdout.splitlines()[-1]))


def agreement(labels: np.ndarray, reference: np.ndarray) -> tuple[float, float]:
    """Fraction of equal labels, of all voxels and of those that either calls a structure."""
    same, foreground = labels == reference, (labels > 0) | (reference > 0)
    return float(same.mean()), float(same[foreground].mean()) if foreground.any() else 1.0


def compare(scan: Path, checkpoint: Path, wanted: Sequence[str], threads: int) -> tuple[list[Row], list[str]]:
    """Measure the contenders one after the other; returns their rows and why others are left out."""
    rows, left_out = [], []
    with tempfile.TemporaryDirectory(prefix="unetsegmenter-bench-") as folder:
        for name, contender in all_contenders().items():
            if wanted and name not in wanted and name != REFERENCE:
                continue
            if missing := contender.missing():
                left_out.append(f"{name}: {', '.join(missing)} not installed")
                continue
            print(f"{name} ...", file=sys.stderr, flush=True)
            rows.append(measure(name, scan, checkpoint, Path(folder) / f"{len(rows)}.npy", threads))
        return [with_agreement(row, number, rows, Path(folder)) for number, row in enumerate(rows)], left_out


def with_agreement(row: Row, number: int, rows: list[Row], folder: Path) -> Row:
    """The row with the agreement of its labels with those of the reference."""
    reference = next(index for index, other in enumerate(rows) if other.name == REFERENCE)
    if row.failure or rows[reference].failure:
        return row
    same, foreground = agreement(np.load(folder / f"{number}.npy"), np.load(folder / f"{reference}.npy"))
    return Row(**{**asdict(row), "same_labels": same, "same_foreground": foreground})


HEADERS = (
    "",
    "file to labels, s",
    "CPU s",
    "network alone, s",
    "CPU s",
    "peak GB",
    "labels as float32",
    "of structures",
)


def report(rows: list[Row], left_out: list[str], title: str) -> str:
    """The table in Markdown; behind each time stands how many times ours it is."""
    lines = [f"{title}; in brackets: times ours", "", "| " + " | ".join(HEADERS) + " |", "|---" * len(HEADERS) + "|"]
    times = ("seconds", "cpu_seconds", "network_seconds", "network_cpu_seconds")
    ours = rows[0]
    for row in rows:
        if row.failure:
            lines.append(f"| {row.name} | failed: {row.failure} " + "| " * (len(HEADERS) - 2) + "|")
            continue
        cells = [f"{getattr(row, name):.1f}" for name in times]
        if row is not ours:
            cells = [
                f"{cell} ({getattr(row, name) / getattr(ours, name):.1f})"
                for cell, name in zip(cells, times, strict=True)
            ]
        cells += [f"{row.peak_gb:.2f}", f"{row.same_labels:.3%}", f"{row.same_foreground:.2%}"]
        lines.append(f"| {row.name} | " + " | ".join(cells) + " |")
    return "\n".join([*lines, *(["", *(f"Left out: {reason}." for reason in left_out)] if left_out else [])])


def machine_text(threads: int) -> str:
    """Processor, cores, threads and load."""
    import torch

    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    model = next(
        (line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine()
    )
    load = f", load {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else ""
    work = f"{os.cpu_count()} cores, {threads} {'thread' if threads == 1 else 'threads'} used{load}"
    return f"{model}, {work}, torch {torch.__version__}"


def publish(table: str, page: Path) -> None:
    """Replace the page's table, which stands between `MARKS`.

    Raises:
        ValueError: the page has no such marks.
    """
    before, begin, rest = page.read_text(encoding="utf-8").partition(MARKS[0])
    _, end, after = rest.partition(MARKS[1])
    if not begin or not end:
        raise ValueError(f"{page} has no lines {MARKS[0]} and {MARKS[1]}.")
    page.write_text(f"{before}{begin}\n{table}\n{end}{after}", encoding="utf-8")


def small_scan(folder: Path) -> Path:
    """A synthetic heart of a few small slices: enough to run everything and to find some structures."""
    from unetseg.synthetic.phantom_cases import make_phantom

    image, _ = make_phantom(0, (12, 96, 96), "lps").to_sitk()
    path = folder / "small.nii.gz"
    sitk.WriteImage(image, str(path))
    return path


def main(arguments: Sequence[str] | None = None) -> list[Row]:
    """Command line; returns the rows."""
    options = parsed(arguments)
    require(options.scan, options.checkpoint, options.publish)
    if options.child:
        print(json.dumps(run_child(options.child, options.scan, options.checkpoint, options.labels)))
        return []
    if unknown := [name for name in options.only if name not in all_contenders()]:
        raise InputError(
            f"{unknown[0]!r} is no contender of --only; they are {', '.join(map(repr, all_contenders()))}."
        )
    from unetseg.cli.bench import standard_scan
    from unetseg.evaluation.scan_prediction import open_predictor

    checkpoint = options.checkpoint or open_predictor(None, "cpu").checkpoint.path
    with tempfile.TemporaryDirectory(prefix="unetsegmenter-bench-") as folder:
        scan = options.scan or (small_scan if options.small else standard_scan)(Path(folder))
        title = f"{scan.name}; {machine_text(options.threads)}"
        rows, left_out = compare(scan, checkpoint, options.only, options.threads)
    table = report(rows, left_out, title)
    print(table)
    if options.publish:
        publish(table, options.publish)
    if options.output:
        options.output.write_text(json.dumps({"title": title, "rows": list(map(asdict, rows))}, indent=2) + "\n")
    if options.plot:
        from .prediction_plot import draw

        draw(rows, title, options.plot, cpu_seconds=options.threads == 1)
    return rows


def parsed(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The options."""
    parser = parser_of("prediction_speed", __doc__)
    parser.add_argument("scan", nargs="?", type=Path, help="scan stored in LPS directions (default: a synthetic one)")
    parser.add_argument("--checkpoint", type=Path, help="trained checkpoint (default: the one that is shipped)")
    parser.add_argument(
        "--only", nargs="+", default=[], metavar="NAME", help="contenders to run, beside the plain loop"
    )
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1, help="threads of every contender")
    parser.add_argument("--small", action="store_true", help="a tiny scan: does it run and agree, not how fast it is")
    parser.add_argument("--output", type=Path, metavar="FILE", help="also write the figures as JSON")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="also draw the table (SVG or PNG)")
    parser.add_argument(
        "--publish", type=Path, metavar="FILE", help="also replace the table of this page (docs/speed.md)"
    )
    parser.add_argument("--child", help=argparse.SUPPRESS)
    parser.add_argument("--labels", type=Path, help=argparse.SUPPRESS)
    return parser.parse(arguments_of(arguments))


if __name__ == "__main__":
    sys.exit(run(main, "prediction_speed"))
