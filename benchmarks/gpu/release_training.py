"""Proof: the training of the release at its full length, stopped in time and saved where it does not fit."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

from unetseg.data.preprocessed_dataset import PreprocessedDataset, read_preprocessed_dataset
from unetseg.training.configuration import TrainingConfig, read_config
from unetseg.yaml_files import read_yaml
from UNetSegmenterLib.engine.model.checkpoint import load_checkpoint

from .proof import Figures, Goal, Result, Setup

CONFIGURATION = Path(__file__).with_suffix(".yaml")
SMALL_OPTIONS = ["--steps=40", "--patch=32,32", "--base-width=4", "--depth=2", "--batch-size=4", "--validate-every=40"]
STOPPED = 128 + signal.SIGTERM
TO_SAVE_S = 15.0  # before the deadline the run is asked to stop
LARGEST_FILE = 15 * 2**20
STATE_PARTS = 4  # a state of more parts is left behind


def release_configuration(dataset: PreprocessedDataset) -> TrainingConfig:
    """The training configuration of the release, with the splits that the data set has."""
    config = read_config(read_yaml(CONFIGURATION), str(CONFIGURATION))
    if dataset.splits.get("test"):
        return config
    values = read_yaml(CONFIGURATION) | {"train_split": "train", "validation_split": "validation"}
    return read_config(values, str(CONFIGURATION))


def run(setup: Setup) -> Result:
    """`unetseg train` as a user would start it, ended by SIGTERM where the time ends before it does."""
    dataset, folder, log = (
        read_preprocessed_dataset(setup.preprocessed),
        setup.work / "release",
        setup.output / "train.log",
    )
    config = release_configuration(dataset)
    status, seconds = _train(_command(setup, config, folder), log, setup.seconds_left() - TO_SAVE_S)
    result = Result({"steps": config.steps, "seconds_with_start": seconds, "status": status})
    if status == 0:
        result.figures |= _figures(folder / "checkpoint.pt")
    saved = status == STOPPED and (folder / "state.pt").exists()  # none where it stopped before its first step
    if saved:
        result.notes.append(_bring_state(folder / "state.pt", setup.output))
    for name in ("checkpoint.pt", "metrics.csv", "curves.png"):
        if (folder / name).exists():
            (setup.output / name).write_bytes((folder / name).read_bytes())
    result.notes.append(log.read_text(encoding="utf-8")[-1500:])
    found = "finished" if status == 0 else "stopped and saved" if saved else f"status {status}, and no state"
    result.goals = [
        Goal("the run finished, or was stopped and saved", found, status == 0 or saved),
        Goal("all steps fitted into the time", found, status == 0, required=False),
    ]
    return result


def _command(setup: Setup, config: TrainingConfig, folder: Path) -> list[str]:
    command = [sys.executable, "-m", "unetseg.cli", "train", str(setup.preprocessed), "--output", str(folder)]
    command += ["--config", str(CONFIGURATION), "--device", setup.device, "--title", "Abdomen, 8 organs"]
    command += ["--train-split", config.train_split, "--validation-split", config.validation_split]
    command += ["--save-every", "500", "--validate-every", str(config.steps)]
    return command + (SMALL_OPTIONS if setup.small else [])


def _train(command: list[str], log: Path, seconds: float) -> tuple[int, float]:
    """Exit status and seconds of the run, which is asked to stop after `seconds`."""
    began = time.monotonic()
    with log.open("w", encoding="utf-8") as file:
        process = subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT)
        try:
            status = process.wait(timeout=max(1.0, seconds))
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGTERM)
            status = process.wait(timeout=60)
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
    return status, time.monotonic() - began


def _figures(checkpoint: Path) -> Figures:
    """What the card says of the run: minutes of the loop, and the Dice of the patients that it never saw."""
    card = load_checkpoint(checkpoint).card
    dice = {name: part["dice"].get("mean") for name, part in card.validation.items()}
    known = [value for value in dice.values() if value is not None]
    figures: Figures = {"steps": card.training["recipe"]["steps"], "minutes": card.training["minutes"]}
    figures |= {"device": card.training["device"], "mean_dice": sum(known) / len(known) if known else None}
    return figures | {"table": [{"structure": name, "dice": value} for name, value in dice.items()]}


def _bring_state(state: Path, output: Path) -> str:
    """Copy a state in parts that are small enough to come home, and say how it is put together again."""
    content = state.read_bytes()
    parts = -(-len(content) // LARGEST_FILE)
    if parts > STATE_PARTS:
        return f"the run was stopped by SIGTERM and saved; its state of {len(content) / 2**20:.0f} MB was left behind"
    for part in range(parts):
        piece = content[part * LARGEST_FILE : (part + 1) * LARGEST_FILE]
        (output / f"state.pt.part{part}").write_bytes(piece)
    return "the run was stopped by SIGTERM and saved; to go on: cat state.pt.part* > RUN/state.pt, and the same command"
