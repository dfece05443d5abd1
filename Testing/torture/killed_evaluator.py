"""An evaluation that is killed over and over: it goes on to the same tables and pages, with nothing left behind."""

from __future__ import annotations

import shutil
from pathlib import Path

from unetseg.cli.main import main
from UNetSegmenterLib.engine.io import atomic_files

from ..training.datasets import STRUCTURES, write_checkpoint, write_dataset
from .harness import Bug, Tally, left_in
from .killing import killed_after, seconds_of

NAME = "killed evaluator"
TRIED = "kill -9 of `unetseg evaluate` at random moments, with one process and with two; then it goes on to the same results"
FULL, SHORT = 200, 2


def run(tally: Tally, count: int) -> None:
    """Kill `count` times; whenever an evaluation is done, compare it and begin another."""
    data, model = write_dataset(tally.folder / "blobs", cases=3), tally.folder / "small.pt"
    write_checkpoint(model, structures=STRUCTURES, training={"cases": ["case9"]})
    atomic_files._JUST_MADE_SECONDS, just_made = -1.0, atomic_files._JUST_MADE_SECONDS
    straight, killed = tally.folder / "straight", tally.folder / "killed"
    draw, finished = tally.random, 0
    try:
        seconds = seconds_of(lambda: evaluation(data, model, straight, 1))
        for number in range(count):
            workers = 1 + number % 2
            moment = draw.uniform(0, 1.1 * seconds)
            status = killed_after(lambda workers=workers: evaluation(data, model, killed, workers), moment)
            tally.try_one(lambda: whole(killed), f"kill {number} after {moment:.3f} s, {workers} processes")
            if status == 0:
                finished += 1
                tally.try_one(lambda: same(straight, killed), f"an evaluation that ended after kill {number}")
                shutil.rmtree(killed)
        seconds_of(lambda: evaluation(data, model, killed, 1))
        tally.try_one(lambda: same(straight, killed), "the last evaluation")
    finally:
        atomic_files._JUST_MADE_SECONDS = just_made
    tally.notes.append(f"{finished + 1} evaluations came to their end, each compared with one that nobody disturbed")


def evaluation(data: Path, model: Path, output: Path, workers: int) -> None:
    """`unetseg evaluate` of three cases with predictions and pages."""
    options = ["--output", output, "--device", "cpu", "--workers", workers, "--predictions"]
    status = main(list(map(str, ["evaluate", model, data, *options])))
    if status:
        raise SystemExit(status)


def whole(folder: Path) -> None:
    """No more than one part of each file may be there."""
    partial = [Path(name).name for name in left_in(folder) if ".partial-" in name] if folder.exists() else []
    tails = [name.split("-", 2)[2] for name in partial]
    if len(tails) > len(set(tails)) + 1:
        raise Bug(f"parts of files of earlier kills are still there: {sorted(partial)}")


def same(straight: Path, killed: Path) -> None:
    """The same files with the same content, but for times and durations."""
    one, other = left_in(straight), left_in(killed)
    if one != other:
        raise Bug(f"other files: {sorted(set(one) ^ set(other))}")
    for name in one:
        if name.endswith(".csv") and (straight / name).read_bytes() != (killed / name).read_bytes():
            raise Bug(f"another {name}")
        if name.endswith(".nii.gz") and (straight / name).read_bytes() != (killed / name).read_bytes():
            raise Bug(f"other labels in {name}")
