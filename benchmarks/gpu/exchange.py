"""Proof: slices that are exchanged while the device computes give the same weights, and what that costs."""

from __future__ import annotations

import time
from pathlib import Path

from unetseg.data.preprocessed_dataset import read_preprocessed_dataset
from unetseg.training.configuration import TrainingConfig
from unetseg.training.training_loop import TrainingProgress, train

from .proof import Goal, Result, Setup
from .run_comparison import difference, short_config

KEPT = (1.0, 0.5, 0.1)  # fraction of the slices that the device has memory for


def run(setup: Setup) -> Result:
    """The same run with all slices on the device, half of them and a tenth."""
    dataset = read_preprocessed_dataset(setup.preprocessed)
    steps = 40 if setup.small else 400
    config = short_config(setup, dataset, steps)
    slices = sum(case.stop - case.start for case in dataset.of_split(config.train_split))
    size_gb = slices * (dataset.images[:1].nbytes + dataset.labels[:1].nbytes) / 2**30
    result = Result({"slices": slices, "slices_gb": size_gb, "steps": steps, "table": []})
    for kept in KEPT:
        if setup.seconds_left() < 0 and kept != KEPT[0]:
            result.notes.append(f"{kept:.0%} on the device was left out: the time was used up")
            continue
        run_folder = setup.work / f"kept-{kept}"
        memory_gb = None if kept == 1.0 else kept * size_gb
        seconds = _train(setup, run_folder, config, memory_gb)
        row = {"on_the_device": f"{kept:.0%}", "steps_per_s": 1 / seconds, "slices_per_s": config.batch_size / seconds}
        result.figures["table"].append(row)
        if kept != KEPT[0]:
            different = difference(setup.work / f"kept-{KEPT[0]}", run_folder)
            text = f"weights with {kept:.0%} of the slices on the device are those with all of them, to the bit"
            result.goals.append(Goal(text, different or "equal", not different))
            row["of_resident"] = row["steps_per_s"] / result.figures["table"][0]["steps_per_s"]
    return result


def _train(setup: Setup, folder: Path, config: TrainingConfig, memory_gb: float | None) -> float:
    """Seconds per step after the first quarter, between two checks of the loss, which wait for the device."""
    seen: list[tuple[int, float]] = []

    def watch(now: TrainingProgress) -> None:
        seen.append((now.step, time.perf_counter()))

    train(
        read_preprocessed_dataset(setup.preprocessed),
        folder,
        config,
        setup.device,
        validate_every=config.steps,
        save_every=config.steps,
        watch=watch,
        device_memory_gb=memory_gb,
    )
    timed = [one for one in seen if config.steps // 4 <= one[0] < config.steps] or seen
    (first, began), (last, ended) = timed[0], timed[-1]
    return (ended - began) / max(1, last - first) or float("nan")
