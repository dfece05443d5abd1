"""How fast training is, side by side: our loop, a loader with augmentation a sample, and MONAI's cached data set.

    python -m unetseg.bench.training [PACK] [--steps 60] [--quick]

Same network, loss, optimiser, batch, steps and slices; only where the batch comes from differs:

* ours: the pack on the device, a batch drawn and augmented there at once;
* a loader in nnU-Net's manner: worker processes read a slice from the memory-mapped pack and augment it by itself, with
  the very same changes as ours;
* MONAI: CacheDataset with its dictionary transforms of the same kinds and ranges, in worker processes.

All three are validated on the same cases, so that speed is not bought with another result. Without PACK, synthetic hearts
are written to a temporary folder.
"""

from __future__ import annotations

import argparse
import math
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from torch.utils.flop_counter import FlopCounterMode
from UNetSegmenterLib.engine.memory import keep_freed_memory
from UNetSegmenterLib.engine.network import UNet
from UNetSegmenterLib.engine.prediction import choose_device
from UNetSegmenterLib.engine.preprocessing import Preprocessing, normalise

from ..augmentation import augment
from ..datasets import read_dataset
from ..device_data import DeviceData
from ..losses import make_loss
from ..pack import Pack, read_pack
from ..phantom import write_phantoms
from ..prepare import prepare
from ..recipe import Recipe
from ..schedules import schedule
from ..team import Team
from ..train import gradients, mixed_precision, step_generator, update_average
from ..validation import validate

WARM_UP = 3  # steps that are not timed: kernels are chosen, worker processes start
Batch = tuple[Tensor, Tensor]


@dataclass(frozen=True)
class Result:
    """One contender: seconds a step and of them for data, and the mean validation Dice after the last step."""

    name: str
    seconds_a_step: float
    data_seconds_a_step: float
    dice: float
    start_seconds: float


class SliceByIndex(Dataset):
    """A slice with its neighbours, augmented by itself, as a loader's worker does it."""

    def __init__(self, pack: Pack, data: DeviceData, preprocessing: Preprocessing, recipe: Recipe) -> None:
        self.images, self.labels = data.images.cpu(), data.labels.cpu()
        self.first, self.last, self.step = (part.cpu() for part in (data.first, data.last, data.step))
        self.window_hu, self.recipe = preprocessing.window_hu, recipe
        self.reach = preprocessing.input_slices // 2

    def raw(self, index: int) -> Batch:
        """(input slices, H, W) float32 in -1..1 and labels (H, W) uint8."""
        offsets = torch.arange(-self.reach, self.reach + 1) * self.step[index]
        near = torch.minimum(torch.maximum(index + offsets, self.first[index]), self.last[index])
        return normalise(self.images[near], self.window_hu), self.labels[index]

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> Batch:
        image, label = self.raw(index)
        generator = torch.Generator().manual_seed(torch.initial_seed() + index)
        images, targets = augment(image[None], label[None], self.recipe.patch, self.recipe.augmentation, generator)
        return images[0], targets[0]


def our_batches(data: DeviceData, recipe: Recipe, device: torch.device) -> Iterator[Batch]:
    """What `train` does."""
    for step in range(recipe.steps):
        generator = step_generator(recipe, step, device)
        images, labels = data.draw(recipe, generator)
        yield augment(images, labels, recipe.patch, recipe.augmentation, generator)


def loader_batches(
    dataset: Dataset, data: DeviceData, recipe: Recipe, device: torch.device, workers: int
) -> Iterator[Batch]:
    """The same slices by way of worker processes."""
    centres = [data._centres(recipe, step_generator(recipe, step, device)).tolist() for step in range(recipe.steps)]
    loader = DataLoader(
        dataset, batch_sampler=centres, num_workers=workers, pin_memory=device.type == "cuda", prefetch_factor=4
    )
    for batch in loader:
        images, targets = (batch["image"], batch["label"][:, 0]) if isinstance(batch, dict) else batch
        yield images.to(device, non_blocking=True), targets.to(device, non_blocking=True).long()


def monai_dataset(slices: SliceByIndex, recipe: Recipe) -> Dataset:
    """MONAI's cached data set with random transforms of the same kinds and ranges as ours."""
    from monai.data import CacheDataset
    from monai.transforms import (
        Compose,
        RandAdjustContrastd,
        RandAffined,
        RandGaussianNoised,
        RandGaussianSmoothd,
        RandScaleIntensityd,
        RandShiftIntensityd,
        ToTensord,
    )

    settings, rows = recipe.augmentation, recipe.patch
    both, image = ["image", "label"], ["image"]
    transforms = Compose(
        [
            RandAffined(
                both,
                prob=1.0,
                rotate_range=math.radians(settings.rotation_degrees),
                scale_range=(1 / settings.scale - 1, settings.scale - 1),
                translate_range=[settings.shift * n / 2 for n in rows],
                spatial_size=rows,
                mode=("bilinear", "nearest"),
                padding_mode="border",
            ),
            RandAdjustContrastd(image, prob=settings.share, gamma=(1 / settings.gamma, settings.gamma)),
            RandScaleIntensityd(image, prob=1.0, factors=settings.contrast),
            RandShiftIntensityd(image, prob=1.0, offsets=settings.brightness),
            RandGaussianSmoothd(image, prob=settings.share, sigma_x=(0.1, 0.8), sigma_y=(0.1, 0.8)),
            RandGaussianNoised(image, prob=settings.share, std=settings.noise),
            ToTensord(both, track_meta=False),
        ]
    )
    items = [dict(zip(both, (part[0], part[1][None]), strict=True)) for part in map(slices.raw, range(len(slices)))]
    return CacheDataset(items, transforms, progress=False)


def measure(
    name: str,
    batches: Callable[[], Iterator[Batch]],
    pack: Pack,
    recipe: Recipe,
    preprocessing: Preprocessing,
    device: str,
) -> Result:
    """Train on the batches and time it; the clock starts after `WARM_UP` steps."""
    began = time.perf_counter()
    team = Team(choose_device(device))
    dtype = mixed_precision(team.device)
    torch.manual_seed(recipe.seed)
    network, average = (_network(pack, recipe, team.device) for _ in range(2))
    average.load_state_dict(network.state_dict())
    optimiser = torch.optim.AdamW(network.parameters(), lr=recipe.learning_rate, weight_decay=recipe.weight_decay)
    scaler = torch.amp.GradScaler(team.device.type, enabled=dtype == torch.float16)
    loss_of, source = make_loss(recipe.loss), batches()
    data_seconds, started = 0.0, began
    for step in range(recipe.steps):
        if step == WARM_UP:
            _finish(team.device)
            data_seconds, started = 0.0, time.perf_counter()
        before = time.perf_counter()
        images, targets = next(source)
        _finish(team.device)
        data_seconds += time.perf_counter() - before
        for group in optimiser.param_groups:
            group["lr"] = recipe.learning_rate * schedule(step, recipe)
        optimiser.zero_grad(set_to_none=True)
        gradients(network, loss_of, images, targets, 1, dtype, scaler, team)
        scaler.unscale_(optimiser)
        torch.nn.utils.clip_grad_norm_(network.parameters(), recipe.gradient_norm)
        scaler.step(optimiser)
        scaler.update()
        update_average(average, network, min(recipe.ema, (1 + step) / (10 + step)))
    _finish(team.device)
    timed = recipe.steps - WARM_UP
    seconds = (time.perf_counter() - started) / timed
    dice = validate(average, pack, recipe, preprocessing, team.device, dtype)
    mean = float("nan") if dice is None else float(np.nanmean(dice))
    return Result(name, seconds, data_seconds / timed, mean, started - began)


def _network(pack: Pack, recipe: Recipe, device: torch.device) -> UNet:
    network = UNet(recipe.input_slices, len(pack.structures) + 1, recipe.base_width, recipe.depth)
    return network.to(device, memory_format=torch.channels_last)


def _finish(device: torch.device) -> None:
    """Wait for a GPU: its work is queued, and a clock would only see the queueing."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def flop_a_step(pack: Pack, recipe: Recipe) -> float:
    """Multiplications and additions of one step, forward and backward, counted by torch."""
    network = _network(pack, recipe, torch.device("cpu"))
    images = torch.zeros(1, recipe.input_slices, *recipe.patch)
    with FlopCounterMode(display=False) as counter:
        network(images).sum().backward()
    return float(counter.get_total_flops()) * recipe.batch_size


def peak_flop_s(device: torch.device, dtype: torch.dtype) -> float:
    """What a large matrix product reaches here: the honest ceiling on a shared machine."""
    size = 8192 if device.type == "cuda" else 1024
    left = torch.randn(size, size, device=device, dtype=dtype)
    best = math.inf
    for _ in range(4):
        _finish(device)
        before = time.perf_counter()
        left @ left
        _finish(device)
        best = min(best, time.perf_counter() - before)
    return 2 * size**3 / best


def report(results: list[Result], pack: Pack, recipe: Recipe, slices: int, device: torch.device) -> str:
    """The table."""
    dtype = mixed_precision(device)
    what = torch.cuda.get_device_name(device) if device.type == "cuda" else f"{torch.get_num_threads()} CPU threads"
    load = f", load {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else ""
    work, peak = flop_a_step(pack, recipe), peak_flop_s(device, dtype)
    lines = [
        f"{what}, {str(dtype).removeprefix('torch.')}, torch {torch.__version__}{load}; {recipe.steps} steps of "
        f"{recipe.batch_size} slices of {recipe.patch[0]} x {recipe.patch[1]}, width {recipe.base_width}, depth {recipe.depth}",
        f"{'':28}{'s/step':>9}{'slices/s':>10}{'s/epoch':>9}{'data':>7}{'of peak':>9}{'Dice':>8}{'ours is':>10}",
    ]
    for result in results:
        ratio = result.seconds_a_step / results[0].seconds_a_step
        lines.append(
            f"{result.name:28}{result.seconds_a_step:9.3f}{recipe.batch_size / result.seconds_a_step:10.1f}"
            f"{result.seconds_a_step * slices / recipe.batch_size:9.1f}"
            f"{result.data_seconds_a_step / result.seconds_a_step:7.1%}{work / result.seconds_a_step / peak:9.1%}"
            f"{result.dice:8.3f}{f'{ratio:.2f} x':>10}"
        )
    lines.append("data: share of a step spent on waiting for the batch; ours draws and augments it in that time.")
    return "\n".join(lines)


def compare(pack: Pack, recipe: Recipe, device: str, workers: int) -> tuple[list[Result], int]:
    """Results of the three, ours first, and the number of slices they train on."""
    keep_freed_memory()
    where = choose_device(device)
    preprocessing = replace(pack.preprocessing, input_slices=recipe.input_slices, size_multiple=2**recipe.depth)
    data = DeviceData(pack, pack.of_split(recipe.train_split), preprocessing, where)
    one_by_one = SliceByIndex(pack, data, preprocessing, recipe)
    contenders = {
        "ours, on the device": lambda: our_batches(data, recipe, where),
        f"loader, a sample, {workers} workers": lambda: loader_batches(one_by_one, data, recipe, where, workers),
        f"MONAI cached, {workers} workers": lambda: loader_batches(
            monai_dataset(one_by_one, recipe), data, recipe, where, workers
        ),
    }
    results = [measure(name, batches, pack, recipe, preprocessing, device) for name, batches in contenders.items()]
    return results, len(data.images)


def phantom_pack(folder: Path, quick: bool) -> Pack:
    """Hearts at a size that trains in a minute or two."""
    shape = (12, 48, 48) if quick else (40, 128, 128)
    write_phantoms(folder / "hearts", 4 if quick else 8, seed=1, shape=shape)
    dataset = read_dataset(folder / "hearts")
    prepare(dataset, folder / "pack", window_hu=(-150.0, 550.0), validation=1 if quick else 2)
    return read_pack(folder / "pack")


def main(arguments: list[str] | None = None) -> None:
    """Command line."""
    parser = argparse.ArgumentParser(prog="python -m unetseg.bench.training", description=__doc__.split("\n")[0])
    parser.add_argument("pack", nargs="?", type=Path, help="pack to train on (default: synthetic hearts)")
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--workers", type=int, default=min(8, os.cpu_count() or 1))
    parser.add_argument("--quick", action="store_true", help="tiny hearts and network: does it run, not how fast it is")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        pack = read_pack(options.pack) if options.pack else phantom_pack(Path(folder), options.quick)
        recipe = replace(Recipe(), steps=options.steps, batch_size=options.batch_size, neighbour_jitter=0.0, ema=0.95)
        if options.quick:
            recipe = replace(recipe, steps=8, patch=(48, 48), base_width=4, depth=2, loss="cross_entropy")
        elif not options.pack:
            recipe = replace(recipe, patch=(96, 112))
        results, slices = compare(pack, recipe, options.device, options.workers)
        print(report(results, pack, recipe, slices, choose_device(options.device)))


if __name__ == "__main__":
    main()
