"""Pictures of the panel: each program of Testing/host in a process of its own, with Slicer's stand-in."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from unetseg.cli.main import main as unetseg
from unetseg.data.sample_download import default_cache, read_sample
from UNetSegmenterLib.engine.model.checkpoint import shipped_checkpoints

from .options import Options

ROOT = Path(__file__).resolve().parents[2]
SHOWN_CASE, SHOWN_SLICE = "case0006", 47  # of abdomen8: a slice with most organs
SAMPLE_SLICE = 92  # of the sample scan, likewise


def states(options: Options) -> None:
    """The panel from empty to done, and what goes wrong between."""
    _host("screenshots", _shipped(), _sample()[0], "--output", options.output)


def comparison(options: Options) -> None:
    """Table, findings, layouts, colours and errors of the sample scan."""
    for script in ("screenshots_compare", "screenshots_errors"):
        _host(script, _shipped(), *_sample(), "--structure", "liver", "--output", options.output)


def correction(options: Options) -> None:
    """A result that is corrected and saved as a training case."""
    _host("screenshots_correct", _shipped(), *_sample(), "--output", options.output)


def windows(options: Options) -> None:
    """The whole panel in a dark palette, and at 150 %."""
    _host("window_pictures", "dark", options.output, "--dark")
    _host("window_pictures", "scaled", options.output, QT_SCALE_FACTOR="1.5")


def import_of_onnx(options: Options) -> None:
    """The window of an ONNX file that says nothing of itself, which is the shipped checkpoint without its card."""
    import onnx

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "abdomen.onnx"
        unetseg(["export", str(_shipped()), str(path)])
        model = onnx.load(path)
        del model.metadata_props[:]
        onnx.save(model, path)
        scan = _sample()[0]
        _host(
            "screenshots_import",
            scan,
            "--onnx",
            path,
            "--slice",
            SAMPLE_SLICE,
            "--name",
            "Sample CT",
            "--output",
            options.output,
        )


def import_of_nnunet(options: Options) -> None:
    """The window of an nnU-Net, and its result beside the ground truth."""
    assert options.nnunet is not None and options.abdomen8 is not None
    scan = options.abdomen8 / "imagesTr" / f"{SHOWN_CASE}_0000.nii.gz"
    reference = options.abdomen8 / "labelsTr" / f"{SHOWN_CASE}.nii.gz"
    labels = json.loads((options.abdomen8 / "dataset.json").read_text(encoding="utf-8"))["labels"]
    names = [name.replace("_", " ") for name, value in sorted(labels.items(), key=lambda item: item[1]) if value]
    files = ("--nnunet", options.nnunet, "--reference", reference, "--slice", SHOWN_SLICE)
    _host("screenshots_import", scan, *files, "--output", options.output, "--names", *names)


def review(options: Options, checkpoint: Path, dataset: Path) -> None:
    """A test set of which two cases have a verdict."""
    _host("screenshots_review", checkpoint, dataset, "--output", options.output)


def _host(script: str, *arguments: object, **environment: str) -> None:
    command = [sys.executable, f"Testing/host/{script}.py", *map(str, arguments)]
    variables = os.environ | {"QT_QPA_PLATFORM": "offscreen"} | environment
    subprocess.run(command, cwd=ROOT, check=True, env=variables)


def _shipped() -> Path:
    return shipped_checkpoints()[0]


def _sample() -> tuple[Path, Path]:
    """The sample scan and its labels, which are fetched if they are not there."""
    read_sample()
    cached = next(default_cache().glob("totalsegmentator-*"))
    return cached / "example_ct.nii.gz", cached / "example_seg_fast_force_split.nii.gz"
