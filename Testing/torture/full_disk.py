"""Commands on a disk that fills up, or has no room for another name: done, or one sentence and no part of a file left."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from UNetSegmenterLib.engine.io.geometry import Geometry
from UNetSegmenterLib.engine.io.image_reading import read_image
from UNetSegmenterLib.engine.io.image_writing import write_volume
from UNetSegmenterLib.engine.io.volume import Volume
from UNetSegmenterLib.engine.labels.segmentation_files import read_segmentation
from UNetSegmenterLib.engine.model.tensor_file import read_tensor_file

from ..training.command import unetseg_here
from ..training.datasets import STRUCTURES, preprocessed_blobs, write_checkpoint, write_dataset
from .harness import Bug, Tally

NAME = "full disk"
TRIED = "segment, prepare, train, evaluate and compare on a small tmpfs of random size, or with few inodes; then with enough"
FULL, SHORT = 300, 3
MOST_KB, MOST_INODES, ENOUGH_KB = 400, 40, 64 * 1024

Command = tuple[object, ...]


def run(tally: Tally, count: int) -> None:
    """Each case mounts its sizes on one small file system; without the right to do so, nothing is tried and the reason noted."""
    tally.most_seconds = 600  # a case is a whole command, twice
    with small_disk(tally.folder / "disk") as disk:
        if isinstance(disk, str):
            tally.notes.append(f"skipped: {disk}")
            return
        commands = list(made_commands(tally.folder, disk).items())
        draw = tally.random
        for number in range(count):
            name, command = commands[number % len(commands)]
            size, inodes = int(4 * (MOST_KB / 4) ** draw.random()), 0
            if number % 3 == 2:
                size, inodes = ENOUGH_KB, draw.randrange(2, MOST_INODES)
            case = f"{name} with {size} kB" if not inodes else f"{name} with {inodes} inodes"
            remount(disk, size, inodes)
            tally.try_one(lambda command=command: attempt(tally, disk, command), case)
            empty(disk)


def attempt(tally: Tally, disk: Path, command: Command) -> None:
    """Run a command; if it is refused, it must say so in one line, leave whole files alone, and succeed with enough space."""
    result = unetseg_here(*command)
    whole(disk)
    if result.returncode == 0:
        return
    lines = [line for line in result.stderr.splitlines() if not line.startswith("unetseg: warning:")]
    if result.returncode not in (1, 2) or "Traceback" in result.stderr or not lines:
        raise Bug(f"status {result.returncode}: {result.stderr[-500:]}")
    if not any(word in result.stderr for word in ("space", "memory", "written", "kept")):
        raise Bug(f"the disk is not to blame: {result.stderr[-300:]}")
    remount(disk, ENOUGH_KB, 0)
    again = unetseg_here(*command)
    if again.returncode:
        raise Bug(f"with enough space it ended with {again.returncode}: {again.stderr[-500:]}")
    whole(disk)
    tally.right -= 1
    tally.refuse(lines[-1], str(command))


def whole(disk: Path) -> None:
    """Every file on the disk must be one that its own reader opens."""
    readers: dict[str, Callable[[Path], object]] = {
        ".pt": read_tensor_file, ".json": lambda path: json.loads(path.read_text()), ".seg.nrrd": read_segmentation,
        ".nii.gz": read_image, ".npy": lambda path: np.load(path, mmap_mode="r"),
    }  # fmt: skip
    for path in disk.rglob("*"):
        if ".partial-" in path.name:
            raise Bug(f"left behind: {path}")
        for ending, read in readers.items():
            if path.name.endswith(ending) and path.is_file():
                try:
                    read(path)
                except Exception as error:
                    raise Bug(f"{path} is not whole: {error}") from error


def made_commands(folder: Path, disk: Path) -> dict[str, Command]:
    """Commands by what they do; all that they read lies elsewhere."""
    data, model, packed = write_dataset(folder / "blobs", cases=2), folder / "small.pt", folder / "packed"
    write_checkpoint(model, structures=STRUCTURES)
    preprocessed_blobs(packed)
    noise = np.random.default_rng(0).integers(-1000, 1500, (20, 64, 64)).astype(np.int16)
    write_volume(Volume(noise, Geometry(noise.shape, (3.0, 2.0, 2.0))), folder / "noise.nii.gz")
    labels = data / "labelsTr" / "case0.nii.gz"
    small = ("--steps", 4, "--base-width", 4, "--depth", 2, "--patch", "32,32", "--batch-size", 2, "--device", "cpu")
    return {
        "segment": ("segment", folder / "noise.nii.gz", "--checkpoint", model, "--output", disk / "out", "--nifti",
        "--device", "cpu"),
        "prepare": ("prepare", data, disk / "packed", "--spacing", 2),
        "train": ("train", packed, "--output", disk / "run", *small, "--save-every", 2, "--validate-every", 2),
        "evaluate": ("evaluate", model, data, "--output", disk / "out", "--predictions", "--workers", 1, "--device", "cpu"),
        "compare": ("compare", labels, labels, "--output", disk / "out"),
    }  # fmt: skip


@contextmanager
def small_disk(folder: Path) -> Iterator[Path | str]:
    """A small file system, or why there is none."""
    if sys.platform != "linux" or os.geteuid() != 0:
        yield "a small file system can only be mounted by root on Linux"
        return
    folder.mkdir()
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", folder], capture_output=True, check=False)
    if made.returncode:
        yield f"no tmpfs can be mounted here: {made.stderr.decode().strip()}"
        return
    try:
        yield folder
    finally:
        subprocess.run(["umount", folder], check=True)


def remount(folder: Path, size_kb: int, inodes: int) -> None:
    """Another size of the file system, and another number of files (0 for as many as one likes)."""
    options = f"remount,size={size_kb}k,nr_inodes={inodes or 100_000}"
    subprocess.run(["mount", "-o", options, folder], check=True, capture_output=True)


def empty(folder: Path) -> None:
    """Remove all that is on the file system."""
    for path in folder.iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()
