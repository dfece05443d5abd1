"""Training in a process of its own that says each step, and the comparison of two runs to the last bit."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from unetseg.data.preprocessed_dataset import PreprocessedDataset, read_preprocessed_dataset
from unetseg.training import training_loop
from unetseg.training.configuration import TrainingConfig, read_config
from unetseg.training.training_state import read_state

from .proof import Setup
from .release_training import release_configuration


def short_config(setup: Setup, dataset: PreprocessedDataset, steps: int) -> TrainingConfig:
    """The training configuration of the release (a tiny network in a rehearsal) for a few steps, without validation."""
    if setup.small:
        return TrainingConfig(
            steps=steps, batch_size=4, patch=(32, 32), base_width=4, depth=2, loss="cross_entropy", validation_split=""
        )
    return replace(release_configuration(dataset), steps=steps, validation_split="")


def difference(first: Path, second: Path) -> str:
    """The first tensor in which two runs' last states differ, and by how much; "" where all bits are equal."""
    return _difference(read_state(first / "state.pt")["parts"], read_state(second / "state.pt")["parts"], "")


def _difference(one: Any, other: Any, name: str) -> str:
    if isinstance(one, torch.Tensor):
        if torch.equal(one, other):
            return ""
        largest = (one.double() - other.double()).abs().max().item()
        return f"{name}: largest difference {largest:.3g}"
    if isinstance(one, dict):
        return next(filter(None, (_difference(one[key], other[key], f"{name}.{key}") for key in one)), "")
    if isinstance(one, list | tuple):
        return next(
            filter(None, (_difference(a, b, f"{name}[{i}]") for i, (a, b) in enumerate(zip(one, other, strict=True)))),
            "",
        )
    return "" if one == other else f"{name}: {one} and {other}"


class TrainingProcess:
    """`train` in a process of its own.

    Args:
        preprocessed: folder of the data set.
        run: folder of the run.
        config: the training configuration.
        options: further arguments of `train`, as JSON can hold them.
    """

    def __init__(self, preprocessed: Path, run: Path, config: TrainingConfig, options: dict[str, Any]) -> None:
        request = {"preprocessed": str(preprocessed), "run": str(run), "config": asdict(config), "options": options}
        command = [sys.executable, "-m", "benchmarks.gpu.run_comparison", json.dumps(request)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8")

    def steps(self) -> Iterator[int]:
        """Each step that it says it has done, until it ends."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line.startswith("step "):
                yield int(line.split()[1])

    def signal_after(self, step: int, number: int) -> int:
        """Send it a signal once it has done `step`; its exit status."""
        for done in self.steps():
            if done >= step:
                self.process.send_signal(number)
                break
        return self.end()[0]

    def end(self) -> tuple[int, str]:
        """Exit status and what it wrote to stderr."""
        _, text = self.process.communicate()
        return self.process.returncode, text


def main(request: dict[str, Any]) -> None:
    """Train as the request says; each check of the loss is said, or each step where `each_step` is among the options."""
    dataset = read_preprocessed_dataset(request["preprocessed"])
    config = read_config(request["config"], "the request")
    if request["options"].pop("each_step", False):
        training_loop.CHECK_EVERY = 1
    training_loop.train(
        dataset,
        Path(request["run"]),
        config,
        watch=lambda now: print("step", now.step, flush=True),
        **request["options"],
    )


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
