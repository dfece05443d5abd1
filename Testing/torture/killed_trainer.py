"""Training that is killed over and over: it goes on to the same weights, and no file is damaged or left behind."""

from __future__ import annotations

import contextlib
import shutil
from pathlib import Path

import torch
from unetseg.data.preprocessed_dataset import read_preprocessed_dataset
from unetseg.training import training_loop
from unetseg.training.configuration import TrainingConfig
from unetseg.training.training_loop import train
from unetseg.training.training_state import read_state
from UNetSegmenterLib.engine.io import atomic_files
from UNetSegmenterLib.engine.model.checkpoint import load_checkpoint

from ..training.datasets import preprocessed_blobs
from .harness import Bug, Tally, left_in
from .killing import killed_after, seconds_of

NAME = "killed trainer"
TRIED = "kill -9 of a training at random moments; then it goes on: weights to the bit, one table, no damaged file"
FULL, SHORT = 200, 2

CONFIG = TrainingConfig(steps=12, batch_size=4, patch=(32, 32), base_width=4, depth=2, loss="cross_entropy")
FILES = {"checkpoint.pt", "metrics.csv", "state.pt", "state.previous.pt", "run.lock"}


def run(tally: Tally, count: int) -> None:
    """Kill `count` times; whenever a run is done, compare it and begin another."""
    data, straight, killed = (tally.folder / name for name in ("data", "straight", "killed"))
    preprocessed_blobs(data)
    with contextlib.suppress(ImportError):  # here, for all processes that are forked
        import unetseg.training.event_file  # noqa: F401
    training_loop.CHECK_EVERY, before = 1, training_loop.CHECK_EVERY
    atomic_files._JUST_MADE_SECONDS, just_made = -1.0, atomic_files._JUST_MADE_SECONDS
    draw, finished = tally.random, 0
    try:
        seconds = seconds_of(lambda: training(data, straight))
        for number in range(count):
            moment = draw.uniform(0, 1.1 * seconds)
            status = killed_after(lambda: training(data, killed), moment)
            tally.try_one(lambda: whole(killed), f"kill {number} after {moment:.3f} s")
            if status == 0:
                finished += 1
                tally.try_one(lambda: same(straight, killed), f"a run that ended after kill {number}")
                shutil.rmtree(killed)
        seconds_of(lambda: training(data, killed))
        tally.try_one(lambda: same(straight, killed), "the last run")
        tally.try_one(lambda: refused_after_damage(data, killed), "both states damaged")
    finally:
        training_loop.CHECK_EVERY, atomic_files._JUST_MADE_SECONDS = before, just_made
    tally.notes.append(f"{finished + 1} runs came to their end, each compared with one that nobody disturbed")


def training(data: Path, folder: Path) -> None:
    """A training of twelve steps that saves its state after each."""
    torch.set_num_threads(1)
    train(read_preprocessed_dataset(data), folder, CONFIG, "cpu", save_every=1, validate_every=3)


def whole(folder: Path) -> None:
    """Whatever is in the folder of a killed run must be whole, but for one file that was being written."""
    names = {name for name in left_in(folder) if not name.startswith("tensorboard")} if folder.exists() else set()
    partial = {name for name in names if name.startswith(".partial-")}
    if strange := names - FILES - partial:
        raise Bug(f"left behind: {strange}")
    if len(partial) > 2:
        raise Bug(f"parts of files of earlier kills are still there: {sorted(partial)}")
    for name in names & {"state.pt", "state.previous.pt"}:
        read_state(folder / name)
    if "checkpoint.pt" in names:
        load_checkpoint(folder / "checkpoint.pt")


def same(straight: Path, killed: Path) -> None:
    """A finished run must be what an undisturbed one is, with the same files."""
    one, other = (load_checkpoint(folder / "checkpoint.pt").weights[0] for folder in (straight, killed))
    if not all(torch.equal(tensor, other[name]) for name, tensor in one.items()):
        raise Bug("other weights than those of an undisturbed run")
    if (straight / "metrics.csv").read_text() != (killed / "metrics.csv").read_text():
        raise Bug(f"another table:\n{(killed / 'metrics.csv').read_text()}")
    left = {name for name in left_in(killed) if not name.startswith("tensorboard")}
    if left - {"run.lock"} != FILES - {"run.lock"}:
        raise Bug(f"these files are there: {sorted(left)}")


def refused_after_damage(data: Path, folder: Path) -> None:
    """Where both states are damaged, the run is refused and not begun anew over them."""
    for name in ("state.pt", "state.previous.pt"):
        content = (folder / name).read_bytes()
        (folder / name).write_bytes(content[: len(content) // 2])
    (folder / "checkpoint.pt").unlink()
    training(data, folder)
    raise Bug("a run with damaged states was begun anew")
