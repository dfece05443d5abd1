"""Speed of training, side by side: our loop, a loader that augments each sample, and MONAI's cached data set.

    python -m benchmarks.training_speed [PREPROCESSED] [--steps 300] [--target 0.5] [--quick]

Same network, loss, optimiser, batch, steps and slices; only the source of the batches differs (training_contenders.py). The first
steps are timed without interruption; then every contender is validated on the same cases every few steps, outside the
timed steps: this shows that the result is the same, and after how many seconds of training a Dice is reached. Without
PREPROCESSED, synthetic hearts are written to a temporary folder.
"""

from __future__ import annotations

import math
import os
import sys
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode
from unetseg.data.layouts.detection import read_dataset
from unetseg.data.preprocessed_dataset import PreprocessedDataset, read_preprocessed_dataset
from unetseg.training.configuration import TrainingConfig
from unetseg.training.device_data import DeviceData
from unetseg.training.distributed import ProcessGroup
from unetseg.training.optimisation import Learner, make_networks
from unetseg.training.validation import mean_over_structures, validate
from UNetSegmenterLib.engine.model.device import choose_device, keep_freed_memory, mixed_precision
from UNetSegmenterLib.engine.model.preprocessing import Preprocessing

from .command_line import arguments_of, parser_of, run
from .training_contenders import Contender, contenders, has_nnunet

WARM_UP = 3  # steps that are not timed: kernels are chosen, worker processes start
TIMED_STEPS = 60  # the first steps, in which nothing but training happens


@dataclass(frozen=True)
class ContenderSpeed:
    """The speed of one contender.

    Attributes:
        name: name of the contender.
        seconds_per_step: time of a step.
        data_seconds_per_step: the part of it that waiting for data took.
        busy: utilisation of the device, 0 to 1; None if unknown.
        curve: numbers of steps and the mean validation Dice after them.
    """

    name: str
    seconds_per_step: float
    data_seconds_per_step: float
    busy: float | None
    curve: tuple[tuple[int, float], ...]

    def seconds_to(self, dice: float) -> float | None:
        """Seconds of training until a validation found this Dice; None if none did."""
        steps = next((steps for steps, reached in self.curve if reached >= dice), None)
        return None if steps is None else steps * self.seconds_per_step


class StepTimer:
    """Wall time of the timed steps, the part of it that waiting for data took, and the utilisation of the device."""

    def __init__(self, device: torch.device) -> None:
        self.device, self.data_seconds, self.samples = device, 0.0, list[float]()
        self.restart()

    def restart(self) -> None:
        """Start timing here."""
        self._finish()
        self.data_seconds, self.samples = 0.0, []
        self.started, self.cpu_started = time.perf_counter(), time.process_time()

    def batch_arrived(self, since: float) -> None:
        """Count the time since the batch was asked for as time for data."""
        self._finish()
        self.data_seconds += time.perf_counter() - since

    def sample_utilisation(self) -> None:
        """Record the utilisation of a GPU."""
        if self.device.type == "cuda" and find_nvml():
            self.samples.append(torch.cuda.utilization(self.device) / 100)

    def stop(self) -> tuple[float, float, float | None]:
        """Seconds, seconds for data, and utilisation: of a GPU as its driver says, of CPUs by this process's CPU time."""
        self._finish()
        seconds = time.perf_counter() - self.started
        if self.device.type == "cuda":
            return seconds, self.data_seconds, float(np.mean(self.samples)) if self.samples else None
        threads = max(1, torch.get_num_threads())
        return seconds, self.data_seconds, (time.process_time() - self.cpu_started) / seconds / threads

    def _finish(self) -> None:
        """Wait for a GPU: its work is queued, and timing would only measure the queueing."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)


def find_nvml() -> bool:
    """Whether torch can read the utilisation of a GPU from its driver."""
    from importlib.util import find_spec

    return find_spec("pynvml") is not None


def measure(
    name: str,
    contender: Contender,
    dataset: PreprocessedDataset,
    config: TrainingConfig,
    process_group: ProcessGroup,
    validate_every: int,
) -> ContenderSpeed:
    """Train on the batches; time the steps from `WARM_UP` to `TIMED_STEPS`, and validate every few steps after them."""
    learner = Learner(config, dataset, process_group)
    preprocessing = network_preprocessing(dataset, config)
    source, timer = contender(), StepTimer(process_group.device)
    timed, curve = min(config.steps, TIMED_STEPS), []
    seconds, data_seconds, busy = math.nan, math.nan, None
    for step in range(config.steps):
        if step == WARM_UP:
            timer.restart()
        before = time.perf_counter()
        images, targets = next(source)
        timer.batch_arrived(before)
        learner.step(step, images, targets)
        if step % 10 == 0:
            timer.sample_utilisation()
        done = step + 1
        if done == timed:
            seconds, data_seconds, busy = timer.stop()
        if done == config.steps or (done >= timed and done % validate_every == 0):
            dice = validate(learner.average, dataset, config, preprocessing, learner.dtype, process_group)
            curve.append((done, float("nan") if dice is None else mean_over_structures(dice)))
    timed -= WARM_UP
    return ContenderSpeed(name, seconds / timed, data_seconds / timed, busy, tuple(curve))


def network_preprocessing(dataset: PreprocessedDataset, config: TrainingConfig) -> Preprocessing:
    """The data set's preprocessing with the configuration's input slices and network depth."""
    return replace(dataset.preprocessing, input_slices=config.input_slices, size_multiple=2**config.depth)


def flop_per_step(dataset: PreprocessedDataset, config: TrainingConfig) -> float:
    """Multiplications and additions of one step, forward and backward, counted by torch."""
    network, _ = make_networks(config, dataset, torch.device("cpu"))
    images = torch.zeros(1, config.input_slices, *config.patch)
    with FlopCounterMode(display=False) as counter:
        network(images).sum().backward()
    return float(counter.get_total_flops()) * config.batch_size


def peak_flop_s(device: torch.device, dtype: torch.dtype) -> float:
    """FLOP/s of a large matrix product: what the device reaches at most, also on a shared machine."""
    size = 8192 if device.type == "cuda" else 1024
    left = torch.randn(size, size, device=device, dtype=dtype)
    best = math.inf
    for _ in range(4):
        timer = StepTimer(device)
        left @ left
        best = min(best, timer.stop()[0])
    return 2 * size**3 / best


def report(
    results: list[ContenderSpeed],
    dataset: PreprocessedDataset,
    config: TrainingConfig,
    slices: int,
    device: torch.device,
    target: float,
) -> str:
    """The table of all contenders."""
    dtype = mixed_precision(device)
    what = torch.cuda.get_device_name(device) if device.type == "cuda" else f"{torch.get_num_threads()} CPU threads"
    load = f", load {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else ""
    work, peak = flop_per_step(dataset, config), peak_flop_s(device, dtype)
    lines = [
        f"{what}, {str(dtype).removeprefix('torch.')}, torch {torch.__version__}{load}; {config.steps} steps of "
        f"{config.batch_size} slices of {config.patch[0]} x {config.patch[1]}, width {config.base_width}, depth {config.depth}",
        f"{'':28}{'s/step':>9}{'slices/s':>10}{'s/epoch':>9}{'data':>7}{'busy':>7}{'of peak':>9}{'Dice':>8}"
        f"{f's to {target:g}':>10}{'ours is':>10}",
    ]
    for result in results:
        ratio = result.seconds_per_step / results[0].seconds_per_step
        reached, busy = result.seconds_to(target), result.busy
        lines.append(
            f"{result.name:28}{result.seconds_per_step:9.3f}{config.batch_size / result.seconds_per_step:10.1f}"
            f"{result.seconds_per_step * slices / config.batch_size:9.1f}"
            f"{result.data_seconds_per_step / result.seconds_per_step:7.1%}{'-' if busy is None else f'{busy:.0%}':>7}"
            f"{work / result.seconds_per_step / peak:9.1%}{result.curve[-1][1]:8.3f}"
            f"{'-' if reached is None else f'{reached:.1f}':>10}{f'{ratio:.2f} x':>10}"
        )
    lines += [
        "data: fraction of a step that waiting for the batch took; ours samples and augments it in that time.",
        "busy: a GPU's utilisation as its driver says, or this process's CPU time over that of its threads.",
        f"Dice: mean of the validation cases after the last step; s to {target:g}: steps until a validation found that Dice, "
        "times s/step (validation is not counted).",
    ]
    if not has_nnunet():
        lines.append("nnU-Net's own transforms are left out: batchgeneratorsv2 is not installed (docs/speed.md).")
    return "\n".join(lines)


def compare(
    dataset: PreprocessedDataset, config: TrainingConfig, device: str, workers: int, validate_every: int
) -> tuple[list[ContenderSpeed], int]:
    """Results of the contenders, ours first, and the number of slices they train on."""
    keep_freed_memory()
    process_group = ProcessGroup(choose_device(device))
    preprocessing = network_preprocessing(dataset, config)
    data = DeviceData(dataset, dataset.of_split(config.train_split), preprocessing, process_group.device)
    results = [
        measure(name, contender, dataset, config, process_group, validate_every)
        for name, contender in contenders(data, preprocessing, config, process_group.device, workers).items()
    ]
    return results, data.slice_count


def phantom_dataset(folder: Path, quick: bool) -> PreprocessedDataset:
    """Hearts at a size that trains in a minute or two."""
    from unetseg.synthetic.phantom_cases import write_phantoms  # here: benchmarks/gpu runs without SimpleITK
    from unetseg.training.preparation import prepare

    shape = (12, 48, 48) if quick else (40, 128, 128)
    write_phantoms(folder / "hearts", 4 if quick else 8, seed=1, shape=shape)
    dataset = read_dataset(folder / "hearts")
    prepare(dataset, folder / "preprocessed", window_hu=(-150.0, 550.0), validation=1 if quick else 2)
    return read_preprocessed_dataset(folder / "preprocessed")


def main(arguments: list[str] | None = None) -> None:
    """Command line."""
    parser = parser_of("training_speed", __doc__)
    parser.add_argument(
        "preprocessed", nargs="?", type=Path, help="preprocessed data set to train on (default: synthetic hearts)"
    )
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--target", type=float, default=0.5, help="validation Dice to reach")
    parser.add_argument("--validate-every", type=int, default=20, help="steps between validations, after those timed")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--workers", type=int, default=min(8, os.cpu_count() or 1))
    parser.add_argument("--quick", action="store_true", help="tiny hearts and network: does it run, not how fast it is")
    options = parser.parse(arguments_of(arguments))
    with tempfile.TemporaryDirectory() as folder:
        dataset = (
            read_preprocessed_dataset(options.preprocessed)
            if options.preprocessed
            else phantom_dataset(Path(folder), options.quick)
        )
        config = replace(
            TrainingConfig(), steps=options.steps, batch_size=options.batch_size, neighbour_jitter=0.0, ema=0.95
        )
        if options.quick:
            config = replace(config, steps=8, patch=(48, 48), base_width=4, depth=2, loss="cross_entropy")
        elif not options.preprocessed:
            config = replace(config, patch=(96, 112))
        results, slices = compare(dataset, config, options.device, options.workers, options.validate_every)
        print(report(results, dataset, config, slices, choose_device(options.device), options.target))


if __name__ == "__main__":
    sys.exit(run(main, "training_speed"))
