"""Training on more slices than the memory holds: what it takes of memory, and what the exchange of slices costs.

    python -m benchmarks.data_larger_than_memory write FOLDER --gb 50           # phantoms, repeated; any size that the disk has
    python -m benchmarks.data_larger_than_memory train FOLDER --limit-gb 4      # with an upper limit of the process's memory
    python -m benchmarks.data_larger_than_memory compare PREPROCESSED           # steps a second: all, a tenth, none on the device

`train` sets the limit as RLIMIT_DATA, which counts all memory of the process that is not a file's; what the system keeps of files
in memory is not the process's, and is given back where something else needs it. `compare` runs the ways in turn, several times,
and checks that they end with the same weights. A GB is 10^9 bytes here.
"""

from __future__ import annotations

import hashlib
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from unetseg.data.layouts.detection import read_dataset
from unetseg.data.preprocessed_dataset import PreprocessedDataset, read_preprocessed_dataset
from unetseg.data.preprocessed_writer import PreprocessedWriter
from unetseg.synthetic.phantom_cases import write_phantoms
from unetseg.training.configuration import TrainingConfig
from unetseg.training.device_data import DeviceData
from unetseg.training.distributed import ProcessGroup
from unetseg.training.optimisation import Learner
from unetseg.training.preparation import prepare
from unetseg.training.training_loop import TrainingProgress, next_batch, train
from UNetSegmenterLib.engine.io.atomic_files import write_folder
from UNetSegmenterLib.engine.model.device import choose_device, keep_freed_memory

from .command_line import arguments_of, parser_of, run

GB = 10**9
STATUS = Path("/proc/self/status")
WARM_UP = 5  # steps that are not timed


def write_repeated(folder: Path, gb: float, size: int) -> None:
    """Write a preprocessed data set of phantoms, repeated until its arrays take `gb`, with the project's own writer.

    Args:
        folder: folder to write.
        gb: size of the two arrays.
        size: rows and columns of a slice.
    """
    with tempfile.TemporaryDirectory() as temporary:
        write_phantoms(Path(temporary) / "hearts", 4, seed=1, shape=(64, size, size))
        small_folder = Path(temporary) / "preprocessed"
        hearts = read_dataset(Path(temporary) / "hearts")
        prepare(hearts, small_folder, window_hu=(-150.0, 550.0), validation=1)
        small = read_preprocessed_dataset(small_folder)
        images, labels = np.array(small.images), np.array(small.labels)
        repeats = max(1, round(gb * GB / (images.nbytes + labels.nbytes)))
        cases = tuple(
            replace(case, name=f"{case.name}_{i}", start=case.start + i * len(images), stop=case.stop + i * len(images))
            for i in range(repeats)
            for case in small.cases
        )
        held_out = f"{small.splits['validation'][0]}_0"
        splits = {"train": [case.name for case in cases if case.name != held_out], "validation": [held_out], "test": []}

        def write(partial: Path) -> None:
            with PreprocessedWriter(partial, (repeats * len(images), *images.shape[1:]), small.structures) as writer:
                for _ in range(repeats):
                    writer.add(images, labels)
                repeated = replace(small, cases=cases, splits=splits, images=images[:0], labels=labels[:0])
                writer.finish(repeated)

        started = time.perf_counter()
        write_folder(folder, write)
    print(f"{folder}: {repeats * len(images)} slices, written and hashed in {time.perf_counter() - started:.0f} s")


def memory_gb(entry: str) -> float:
    """An entry of this process's status, such as VmHWM (the most that was resident) or RssAnon (what is no file's), in GB."""
    found = dict(line.split(":", 1) for line in STATUS.read_text(encoding="ascii").splitlines())
    return int(found[entry].split()[0]) * 1024 / GB


def train_within(folder: Path, config: TrainingConfig, device: str, device_memory_gb: float, limit_gb: float) -> None:
    """Train with a limit of the memory, and print what was used."""
    if limit_gb:
        resource.setrlimit(resource.RLIMIT_DATA, (int(limit_gb * GB),) * 2)
    dataset = read_preprocessed_dataset(folder)
    arrays_gb = (dataset.images.nbytes + dataset.labels.nbytes) / GB
    anonymous, times = [], []

    def watch(now: TrainingProgress) -> None:
        anonymous.append(memory_gb("RssAnon"))
        times.append(time.perf_counter())

    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as run:
        train(dataset, Path(run), config, device, watch=watch, device_memory_gb=device_memory_gb, validate_every=10**9)
    every = (config.steps - 10) / (times[-1] - times[0]) if len(times) > 1 else float("nan")
    print(
        f"{arrays_gb:.1f} GB of slices, {device_memory_gb:g} GB of them kept, limit {limit_gb:g} GB: {config.steps} steps of "
        f"{config.batch_size} slices, {every:.2f} steps/s; first steps done after {times[0] - started:.0f} s\n"
        f"most memory of the process {memory_gb('VmHWM'):.2f} GB, without files in memory {max(anonymous):.2f} GB (sampled)"
    )


@dataclass
class Way:
    """One way to hold the slices: its learner goes on from round to round."""

    name: str
    data: DeviceData
    learner: Learner
    step: int = 0

    def run(self, config: TrainingConfig, steps: int) -> tuple[float, float, float]:
        """Seconds, seconds until the batches were there (or queued, on a GPU), and CPU seconds of so many steps."""
        wait = _synchroniser(self.data.device)
        wait()
        started, cpu_started, data_seconds = time.perf_counter(), time.process_time(), 0.0
        for _ in range(steps):
            before = time.perf_counter()
            batch = next_batch(self.data, config, self.step, self.learner.process_group)
            data_seconds += time.perf_counter() - before
            self.learner.step(self.step, *batch)
            self.step += 1
        wait()
        return time.perf_counter() - started, data_seconds, time.process_time() - cpu_started

    def weights_sha256(self) -> str:
        """Hash of the network's weights."""
        state = self.learner.network.state_dict().values()
        return hashlib.sha256(b"".join(value.cpu().numpy().tobytes() for value in state)).hexdigest()


def _synchroniser(device: torch.device) -> Callable[[], object]:
    return (lambda: torch.cuda.synchronize(device)) if device.type == "cuda" else (lambda: None)


def compare(dataset: PreprocessedDataset, config: TrainingConfig, device: str, rounds: int, steps: int) -> str:
    """The table of all slices on the device, a tenth of them and none."""
    keep_freed_memory()
    group = ProcessGroup(choose_device(device))
    preprocessing = replace(dataset.preprocessing, input_slices=config.input_slices, size_multiple=2**config.depth)
    cases = dataset.of_split(config.train_split)
    whole = DeviceData(dataset, cases, preprocessing, group.device)
    total = whole.slice_count * whole.bytes_per_slice
    data = {"all on the device": whole} | {
        name: DeviceData(dataset, cases, preprocessing, group.device, total // 10 if name == "a tenth" else 0)
        for name in ("a tenth", "none")
    }
    ways = [Way(name, part, Learner(config, dataset, group)) for name, part in data.items()]
    for way in ways:
        way.run(config, WARM_UP)
    results: dict[str, list[tuple[float, float, float]]] = {way.name: [] for way in ways}
    for number in range(rounds):
        for way in ways[number % len(ways) :] + ways[: number % len(ways)]:
            results[way.name].append(way.run(config, steps))
    same = len({way.weights_sha256() for way in ways}) == 1
    for way in ways:
        way.data.close()
    lines = [
        f"{whole.slice_count} slices, {total / GB:.2f} GB, on {group.device}; batches of {config.batch_size} slices, "
        f"{config.input_slices} as input, cut to {config.patch[0]} x {config.patch[1]}, width {config.base_width}; median of "
        f"{rounds} rounds of {steps} steps",
        f"{'':20}{'steps/s':>9}{'data':>8}{'CPU s/step':>12}{'slower by':>11}",
    ]
    first = statistics.median(seconds for seconds, *_ in results[ways[0].name])
    for name, rows in results.items():
        seconds, waiting, cpu = (statistics.median(column) for column in zip(*rows, strict=True))
        lines.append(
            f"{name:20}{steps / seconds:9.2f}{waiting / seconds:8.1%}{cpu / steps:12.3f}{seconds / first - 1:11.1%}"
        )
    lines.append(f"weights after {ways[0].step} steps: {'equal to the bit' if same else 'DIFFERENT'}")
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> None:
    """Command line."""
    parser = parser_of("data_larger_than_memory", __doc__)
    parser.add_argument("what", choices=("write", "train", "compare"))
    parser.add_argument("folder", type=Path, help="folder to write, or a preprocessed data set")
    parser.add_argument("--gb", type=float, default=50, help="size to write")
    parser.add_argument("--size", type=int, default=256, help="rows and columns of the slices to write")
    parser.add_argument("--limit-gb", type=float, default=0, help="upper limit of the process's memory, 0 for none")
    parser.add_argument("--device-memory", type=float, default=1, help="GB of slices that stay on the device")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--steps", type=int, help="of the run (200), or of a round (20)")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--base-width", type=int, default=8)
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--patch", type=int, nargs=2, default=(96, 128))
    options = parser.parse(arguments_of(arguments))
    config = TrainingConfig(
        steps=options.steps or 200,
        batch_size=options.batch_size,
        base_width=options.base_width,
        patch=tuple(options.patch),
        loss="cross_entropy",
    )
    if options.what == "write":
        write_repeated(options.folder, options.gb, options.size)
    elif options.what == "train":
        train_within(options.folder, config, options.device, options.device_memory, options.limit_gb)
    else:
        dataset = read_preprocessed_dataset(options.folder)
        print(compare(dataset, config, options.device, options.rounds, options.steps or 20))


if __name__ == "__main__":
    sys.exit(run(main, "data_larger_than_memory"))
