"""Gather in one folder what a machine with a GPU and no internet lacks: a preprocessed data set, and wheels of pure Python.

    python -m benchmarks.gpu.bundle abdomen8 [--output gpu-bundle] [--spacing 2 --window=-125,275]
    python -m benchmarks.gpu.bundle preprocessed/abdomen8

The data set is prepared as docs/models.md has it for the released checkpoint, unless it is one that `unetseg prepare` wrote. It
holds patients' scans: the folder is ignored by git, and nothing in it may be published. The checkpoint that prediction is
measured with is part of the checkout. SimpleITK (53 MB) is not carried: neither training nor prediction needs it.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Sequence
from pathlib import Path

from ..command_line import require, run
from .carried import BUNDLE, PREPROCESSED, ROOT, WHEELS

PACKAGES = (
    "monai",  # losses, and its cached data set
    "batchgeneratorsv2==0.3.6",  # nnU-Net's transforms; they need scikit-image and pandas, which are not carried
    "batchgenerators==0.25.5",
    "fft-conv-pytorch",
    "pytest",
    "pluggy",
    "iniconfig",
)
CONSTRAINTS = ROOT / "constraints.txt"
LARGEST = 64 * 2**20  # bundle and checkout together


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.gpu.bundle",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("data", type=Path, help="data set in any layout that unetseg reads, or a preprocessed one")
    parser.add_argument("--output", type=Path, default=BUNDLE)
    parser.add_argument("--spacing", default="2")
    parser.add_argument("--window", default="-125,275")
    options = parser.parse_args(arguments)
    require(options.data)
    options.output.mkdir(parents=True, exist_ok=True)
    fetch_wheels(options.output / WHEELS)
    with tempfile.TemporaryDirectory(dir=options.output) as work:
        folder = options.data
        if not (folder / "pack.json").exists():
            folder = Path(work) / "preprocessed"
            prepare(options.data, folder, options.spacing, options.window)
        pack(folder, options.output / PREPROCESSED)
    return report(options.output)


def fetch_wheels(folder: Path) -> None:
    """Wheels of the packages without their dependencies; only pure Python is taken, which runs on any machine.

    Raises:
        SystemExit: one of them is compiled.
    """
    shutil.rmtree(folder, ignore_errors=True)
    pinned = {line.partition("==")[0]: line.strip() for line in CONSTRAINTS.read_text().splitlines() if "==" in line}
    names = [pinned.get(package, package) for package in PACKAGES]
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(folder), *names]
    subprocess.run(command, check=True)
    if compiled := [wheel.name for wheel in folder.glob("*.whl") if not wheel.name.endswith("-none-any.whl")]:
        sys.exit(f"{', '.join(compiled)}: only wheels of pure Python can be carried.")


def prepare(data: Path, folder: Path, spacing: str, window: str) -> None:
    """The preprocessed data set of the released checkpoint."""
    command = [sys.executable, "-m", "unetseg.cli", "prepare", str(data), str(folder), "--spacing", spacing]
    command += [f"--window={window}", "--test", "3", "--validation", "2", "--seed", "0"]
    subprocess.run(command, check=True)


def pack(folder: Path, archive: Path) -> None:
    """The folder's files, compressed; written under another name first."""
    partial = archive.with_name(archive.name + ".partial")
    with tarfile.open(partial, "w:xz") as tar:
        for file in sorted(folder.iterdir()):
            if file.is_file() and not file.name.startswith("."):  # the manifest is the command's own
                tar.add(file, arcname=file.name)
    partial.replace(archive)


def report(folder: Path) -> int:
    """Print what the bundle weighs; 1 if it is more than 64 MB with the checkout."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    for path in files:
        print(f"{path.stat().st_size / 2**20:7.2f} MB  {path.relative_to(folder)}")
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, encoding="utf-8", check=False)
    checkout = sum(
        (ROOT / name).stat().st_size for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()
    )
    bundle = sum(path.stat().st_size for path in files)
    total = bundle + checkout
    print(f"{bundle / 2**20:7.2f} MB  in {folder}; {total / 2**20:.1f} MB with the files of this checkout")
    if total > LARGEST:
        print(f"More than {LARGEST / 2**20:.0f} MB: take a coarser --spacing.", file=sys.stderr)
    return int(total > LARGEST)


if __name__ == "__main__":
    sys.exit(run(main, "gpu.bundle"))
