"""Proof: training steps, ours beside loaders that augment each sample with nnU-Net's and MONAI's transforms."""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import torch
from unetseg.data.preprocessed_dataset import PreprocessedDataset, read_preprocessed_dataset
from unetseg.training.configuration import TrainingConfig
from unetseg.training.device_data import DeviceData
from unetseg.training.distributed import ProcessGroup
from unetseg.training.optimisation import Learner
from UNetSegmenterLib.engine.model.device import choose_device

from ..training_contenders import Batch, contenders
from ..training_speed import flop_per_step, network_preprocessing, peak_flop_s
from .hardware import Timeline, UtilisationSampler, device_name, peak_of
from .proof import Figures, Goal, Result, Setup
from .release_training import release_configuration

OURS, NNUNET, MONAI, LOADER = "ours, on the device", "loader, nnU-Net's changes", "MONAI, cached", "loader, our changes"
ANY_KERNELS = "ours, kernels that need not repeat"
ORDER = (OURS, NNUNET, MONAI, ANY_KERNELS, LOADER)  # the last are left out first where time is short
WORKERS = 12  # nnU-Net's default
PREFETCHED = 4  # batches per worker; those of the warm-up were made before the clock starts
WANTED_RATIO, DATA_SHARE = 5.0, 0.10


@dataclass(frozen=True)
class Steps:
    """How long a contender is measured."""

    warm_up: int
    timed: int
    seconds: float


def run(setup: Setup) -> Result:
    """The network of the release, then that of a plan for a GPU (width 32, batches of 32)."""
    device = choose_device(setup.device)
    dataset = read_preprocessed_dataset(setup.preprocessed)
    result = Result({"device": device_name(device), "workers": _workers(setup), "table": []})
    settings = configurations(dataset, setup.small)
    for i, (name, config) in enumerate(settings.items()):
        seconds = setup.seconds_left() / (len(settings) - i)
        rows = _measure_all(name, dataset, config, setup, seconds, result.notes)
        result.figures["table"] += rows
        result.goals += _goals(name, rows, on_gpu=device.type == "cuda")
    return result


def configurations(dataset: PreprocessedDataset, small: bool) -> dict[str, TrainingConfig]:
    """Networks and batches to measure; neighbours are those of the slice, since the loaders can't draw others."""
    if small:
        tiny = TrainingConfig(
            batch_size=4, patch=(32, 32), base_width=4, depth=2, loss="cross_entropy", neighbour_jitter=0
        )
        return {"tiny": tiny}
    released = replace(release_configuration(dataset), neighbour_jitter=0.0, validation_split="")
    return {
        f"release: {released.batch_size} slices, width {released.base_width}": released,
        "plan for a GPU: 32 slices, width 32": replace(released, batch_size=32, base_width=32),
    }


def _workers(setup: Setup) -> int:
    return 1 if setup.small else min(WORKERS, os.cpu_count() or 1)


def _measure_all(
    setting: str,
    dataset: PreprocessedDataset,
    config: TrainingConfig,
    setup: Setup,
    seconds: float,
    notes: list[str],
) -> list[Figures]:
    """A row for each contender; ours is the first."""
    device, workers = choose_device(setup.device), _workers(setup)
    warm_up = 2 if setup.small else max(20, PREFETCHED * workers + 4)
    timed = 4 if setup.small else 300
    config = replace(config, steps=warm_up + timed)
    preprocessing = network_preprocessing(dataset, config)
    data = DeviceData(dataset, dataset.of_split(config.train_split), preprocessing, device)
    found = contenders(data, preprocessing, config, device, workers)
    found[ANY_KERNELS] = found[OURS]
    if NNUNET not in found:
        notes.append(
            "nnU-Net's own transforms were left out: batchgeneratorsv2, scikit-image or pandas is not installed"
        )
    names = [name for name in ORDER if name in found]
    work = flop_per_step(dataset, config)
    dtype = ProcessGroup(device).precision()
    peak, measured_peak = peak_of(device_name(device)), peak_flop_s(device, dtype)
    rows: list[Figures] = []
    for i, name in enumerate(names):
        steps = Steps(warm_up, timed, seconds / len(names))
        try:
            found_row = _measure(name, found[name], dataset, config, device, steps)
        except ImportError as error:
            notes.append(f"{name} was left out: {error}")
            continue
        per_second = work / found_row["seconds_per_step"]
        row = {"setting": setting, "contender": name, **found_row}
        row["tflop_s"] = per_second / 1e12
        row["of_peak"] = per_second / peak if peak else None
        row["of_measured_product"] = per_second / measured_peak
        row["ours_is_faster_by"] = found_row["seconds_per_step"] / rows[0]["seconds_per_step"] if i else 1.0
        rows.append(row)
    return rows


def _measure(
    name: str,
    contender: Callable[[], Iterator[Batch]],
    dataset: PreprocessedDataset,
    config: TrainingConfig,
    device: torch.device,
    steps: Steps,
) -> Figures:
    """Train on the contender's batches; nothing waits for the device between the first timed step and the last."""
    torch.backends.cudnn.deterministic = name != ANY_KERNELS  # as `train` has it
    learner, timeline, source = Learner(config, dataset, ProcessGroup(device)), Timeline(device), contender()
    for step in range(steps.warm_up):
        learner.step(step, *next(source))
    timeline.wait()
    marks: list[tuple[Any, Any]] = []
    waited = 0.0
    began = time.perf_counter()
    with UtilisationSampler(device) as sampler:
        first = timeline.mark()
        for step in itertools.count(steps.warm_up):
            asked, before = time.perf_counter(), timeline.mark()
            images, targets = next(source)
            waited += time.perf_counter() - asked
            marks.append((before, timeline.mark()))
            loss = learner.step(step, images, targets)
            if len(marks) == steps.timed or (len(marks) >= 4 and time.perf_counter() - began > steps.seconds):
                break
        end = timeline.mark()
        seconds = timeline.seconds(first, end)
    close = getattr(source, "close", None)
    if close:
        close()
    data_seconds = sum(timeline.seconds(*pair) for pair in marks)
    if not torch.isfinite(loss):
        raise ArithmeticError(f"{name}: the loss is {float(loss)}")
    return {
        "steps": len(marks),
        "seconds_per_step": seconds / len(marks),
        "slices_per_s": config.batch_size * len(marks) / seconds,
        "data_share": data_seconds / seconds,
        "python_share_for_data": waited / seconds,
        "utilisation": sampler.mean,
    }


def _goals(setting: str, rows: list[Figures], on_gpu: bool) -> list[Goal]:
    """Goals of a GPU; on a CPU the arithmetic outweighs all else, so there they say nothing."""
    if not on_gpu or not rows:
        return []
    share = rows[0]["data_share"]
    goals = [
        Goal(
            f"data and augmentation take at most {DATA_SHARE:.0%} of a step ({setting})",
            f"{share:.1%}",
            share <= DATA_SHARE,
            required=False,
        )
    ]
    for name in (NNUNET, MONAI):
        for row in rows:
            if row["contender"] == name:
                ratio = row["ours_is_faster_by"]
                wanted = WANTED_RATIO if name == NNUNET else 1.0
                text = f"ours is at least {wanted:g} times as fast as: {name} ({setting})"
                goals.append(Goal(text, f"{ratio:.2f} times", ratio >= wanted, required=False))
    return goals
