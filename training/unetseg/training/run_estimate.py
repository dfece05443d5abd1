"""How long a planned run takes on this device and how much memory it needs, from a few steps on made-up slices."""

from __future__ import annotations

import math
import time
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from UNetSegmenterLib.engine.errors import InputError
from UNetSegmenterLib.engine.labels.structures import Structure
from UNetSegmenterLib.engine.model.device import keep_freed_memory, precision_name
from UNetSegmenterLib.engine.model.normalisation import window
from UNetSegmenterLib.engine.model.preprocessing import Preprocessing

from ..data.preprocessed_dataset import PreprocessedCase, PreprocessedDataset
from .device_data import DeviceData
from .distributed import ProcessGroup
from .optimisation import Learner
from .planning import Plan
from .training_loop import next_batch

TIMED_STEPS = 4
CPU_SLICES = 2  # of a batch: the time of a step grows with them, and a plan should not take minutes
MADE_UP_SLICES = 16
GB = 2**30
_PROCESS = Path("/proc/self")


@dataclass(frozen=True)
class RunEstimate:
    """What a run will need, more or less.

    Attributes:
        minutes: of all steps, without opening the data set and without validation.
        memory_gb: of a training step, and of the slices to train on.
        device: where it was measured, and in which precision.
    """

    minutes: float
    memory_gb: float
    device: str

    def text(self) -> str:
        """Half a sentence for the user."""
        time_text = f"{self.minutes:.0f} minutes" if self.minutes < 120 else f"{self.minutes / 60:.1f} hours"
        time_text = "1 minute" if self.minutes < 1.5 else time_text
        return f"about {time_text} and {self.memory_gb:.1f} GB on {self.device}"


def estimate_run(
    plan: Plan, structures: tuple[Structure, ...], size: tuple[int, int], slices: int, device: torch.device
) -> RunEstimate | None:
    """Train a few steps of a plan on made-up slices; None where the device has not the memory for them.

    Args:
        plan: the plan.
        structures: what the network would segment.
        size: rows and columns of a slice at the network's grid.
        slices: number of slices to train on.
        device: where to train.
    """
    keep_freed_memory()
    group = ProcessGroup(device)
    batch = plan.config.batch_size if device.type == "cuda" else min(CPU_SLICES, plan.config.batch_size)
    config = replace(plan.config, batch_size=batch, train_split="train", validation_split="")
    dataset = _made_up(plan, structures, size)
    memory = _Memory(device)
    try:
        with closing(DeviceData(dataset, dataset.cases, dataset.preprocessing, device)) as data:
            learner = Learner(config, dataset, group)
            times = []
            for step in range(1 + TIMED_STEPS):
                started = time.perf_counter()
                learner.step(step, *next_batch(data, config, step, group))
                _wait(device)
                times.append(time.perf_counter() - started)
    except (torch.OutOfMemoryError, InputError):  # not even a single slice fits
        return None
    # The first step also chooses algorithms and fills caches; of the others the fastest was the least disturbed.
    seconds = min(times[1:]) * plan.config.batch_size / batch
    step_gb = memory.peak_gb() * plan.config.batch_size / batch
    slices_gb = slices * math.prod(size) * 3 / GB  # int16 and uint8
    precision = precision_name(learner.dtype)
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else f"this {device.type.upper()}"
    return RunEstimate(seconds * plan.config.steps / 60, step_gb + slices_gb, f"{name} in {precision}")


def _made_up(plan: Plan, structures: tuple[Structure, ...], size: tuple[int, int]) -> PreprocessedDataset:
    """One case of noise in which every structure occurs; what is in a slice does not change how long a step takes."""
    random, shape = np.random.default_rng(0), (MADE_UP_SLICES, *size)
    low, high = plan.window_hu
    spacing = (plan.slice_distance_mm, plan.spacing_mm, plan.spacing_mm)
    return PreprocessedDataset(
        images=random.integers(int(low), int(high) + 1, shape, dtype=np.int16),
        labels=random.integers(0, len(structures) + 1, shape, dtype=np.uint8),
        name="made up",
        preprocessing=Preprocessing(
            spacing[1:],
            window(low, high),
            input_slices=plan.config.input_slices,
            slice_distance_mm=plan.slice_distance_mm,
            size_multiple=2**plan.config.depth,
        ),
        structures=structures,
        cases=(PreprocessedCase("made up", 0, MADE_UP_SLICES, 0, 0, *size, spacing, "", ""),),
        splits={"train": ["made up"]},
        fingerprint={},
    )


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


class _Memory:
    """The most memory that is taken from here on: of a GPU what torch allocates, of a CPU the growth of this process."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)
            return
        with suppress(OSError):
            (_PROCESS / "clear_refs").write_text("5")  # proc(5): the peak begins anew
        self.before = self._peak_of_process()

    def peak_gb(self) -> float:
        """The most that was taken, in GB; 0 where the system does not say."""
        if self.device.type == "cuda":
            return torch.cuda.max_memory_allocated(self.device) / GB
        return max(0, self._peak_of_process() - self.before) * 1024 / GB

    @staticmethod
    def _peak_of_process() -> int:
        with suppress(OSError):
            for line in (_PROCESS / "status").read_text(encoding="ascii", errors="ignore").splitlines():
                if line.startswith("VmHWM:"):
                    return int(line.split()[1])  # kB
        return 0
