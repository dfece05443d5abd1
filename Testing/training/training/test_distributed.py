"""Two CPU processes through Lightning Fabric: the same validation as one, and one set of weights."""

from __future__ import annotations

import csv
import dataclasses
import os
import socket
import subprocess
import sys

import numpy as np
import pytest
import torch
from unetseg.data.layouts.detection import read_dataset
from unetseg.data.preprocessed_dataset import read_preprocessed_dataset
from unetseg.training.configuration import Augmentation, TrainingConfig
from unetseg.training.distributed import ProcessGroup, start_process_group
from unetseg.training.preparation import prepare
from unetseg.training.training_loop import step_generator, train
from unetseg.training.training_state import read_state
from unetseg.training.validation import validate
from UNetSegmenterLib.engine.errors import InputError
from UNetSegmenterLib.engine.model.checkpoint import load_checkpoint, read_card
from UNetSegmenterLib.engine.model.device import mixed_precision

from ..datasets import write_dataset

# What torchrun starts, without its launcher's start-up: the environment is what it sets.
PROCESS = """
import sys
from pathlib import Path
import torch; torch.set_num_threads(1)
from unetseg.data.preprocessed_dataset import read_preprocessed_dataset
from unetseg.training.configuration import Augmentation, TrainingConfig
from unetseg.training.distributed import start_process_group
from unetseg.training.training_loop import train
preprocessed, run, steps, memory_gb = sys.argv[1:5]
process_group = start_process_group("cpu", 2)
assert process_group.world_size == 2
gentle = Augmentation(rotation_degrees=5, scale=1.1, contrast=0.1, brightness=0.05, gamma=1.1, noise=0.05)
config = TrainingConfig(steps=int(steps), batch_size=8, patch=(32, 32), base_width=4, depth=2, learning_rate=1e-2, ema=0.9,
                        augmentation=gentle)
train(read_preprocessed_dataset(preprocessed), Path(run), config, save_every=1000, validate_every=1000,
      process_group=process_group, device_memory_gb=float(memory_gb))
"""


def two_processes(*arguments: object) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    processes = []
    for rank in range(2):
        environment = os.environ | {
            "OMP_NUM_THREADS": "1",
            "MASTER_ADDR": "127.0.0.1",
            "MASTER_PORT": str(port),
            "WORLD_SIZE": "2",
            "LOCAL_WORLD_SIZE": "2",
            "RANK": str(rank),
            "LOCAL_RANK": str(rank),
            "GROUP_RANK": "0",
            "TORCHELASTIC_RUN_ID": "test",
        }
        command = [sys.executable, "-c", PROCESS, *map(str, arguments)]
        processes.append(subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, encoding="utf-8"))
    ends = [process.communicate(timeout=400)[1] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], "\n".join(ends)


@pytest.mark.slow
def test_two_processes_train_and_validate_like_one(small_config, tmp_path):
    steps = 160
    prepare(
        read_dataset(write_dataset(tmp_path / "blobs", cases=5)),
        tmp_path / "preprocessed",
        window_hu=(-200.0, 300.0),
        test=["case3"],
        validation=["case1", "case2"],
    )
    preprocessed = read_preprocessed_dataset(tmp_path / "preprocessed")
    two_processes(tmp_path / "preprocessed", tmp_path / "two", steps, 1)
    gentle = Augmentation(rotation_degrees=5, scale=1.1, contrast=0.1, brightness=0.05, gamma=1.1, noise=0.05)
    config = dataclasses.replace(
        small_config, steps=steps, batch_size=8, loss="dice_ce", learning_rate=1e-2, ema=0.9, augmentation=gentle
    )
    train(preprocessed, tmp_path / "one", config, "cpu", save_every=1000, validate_every=1000)
    one, two = (read_card(tmp_path / name / "checkpoint.pt") for name in ("one", "two"))
    assert two.training["device"].endswith("x 2")
    first, second = (np.mean([part["dice"]["mean"] for part in card.validation.values()]) for card in (one, two))
    print(f"mean Dice of one process {first:.4f}, of two {second:.4f}")
    assert first > 0.8
    assert second == pytest.approx(first, abs=0.05)
    # Both processes shared the validation; the very weights that were released give the same table in one process.

    checkpoint = load_checkpoint(tmp_path / "two" / "checkpoint.pt")
    cpu = torch.device("cpu")
    again = validate(
        checkpoint.network(), preprocessed, config, two.preprocessing, mixed_precision(cpu), ProcessGroup(cpu)
    )
    for mean, part in zip(np.nanmean(again, axis=0), two.validation.values(), strict=True):
        assert part["dice"]["mean"] == pytest.approx(mean, abs=2e-3)  # bfloat16


@pytest.mark.slow
def test_two_processes_that_keep_no_slices_end_with_the_same_weights(preprocessed_folder, tmp_path):
    for name, memory_gb in (("kept", 1), ("read", 0)):
        two_processes(preprocessed_folder, tmp_path / name, 5, memory_gb)
    kept, read = (load_checkpoint(tmp_path / name / "checkpoint.pt").weights[0] for name in ("kept", "read"))
    for name in kept:
        assert torch.equal(kept[name], read[name]), name


def test_one_process_is_not_wrapped():
    process_group = start_process_group("cpu")
    network = torch.nn.Linear(1, 1)
    assert process_group.wrap(network) is network
    assert process_group.map(str, [1, 2, 3]) == ["1", "2", "3"]
    assert process_group.is_main_process
    assert process_group.any_process(True, due=False)


def test_own_parts_cover_a_batch_once(tmp_path):
    process_groups = []
    for rank in range(3):
        process_group = ProcessGroup(torch.device("cpu"))
        process_group.rank, process_group.world_size = rank, 3
        process_groups.append(process_group)
    parts = [torch.arange(8)[process_group.part].tolist() for process_group in process_groups]
    assert sorted(value for part in parts for value in part) == list(range(8))


def test_every_process_augments_with_numbers_of_its_own():
    numbers = []
    for rank in range(3):
        process_group = ProcessGroup(torch.device("cpu"))
        process_group.rank, process_group.world_size = rank, 3
        numbers.append(
            torch.rand(
                4, generator=process_group.own_generator(step_generator(TrainingConfig(), 5, process_group.device))
            )
        )
    assert torch.equal(numbers[0], torch.rand(4, generator=step_generator(TrainingConfig(), 5, torch.device("cpu"))))
    assert len({tuple(drawn.tolist()) for drawn in numbers}) == 3


def test_devices_that_are_not_there_are_refused():
    with pytest.raises(InputError, match="at least 1"):
        start_process_group("cpu", devices=0)
    with pytest.raises(InputError, match='strategy "nonsense"'):
        start_process_group("cpu", devices=2, strategy="nonsense")


def test_float16_learns_what_float32_learns(preprocessed, small_config, tmp_path):
    config = dataclasses.replace(small_config, steps=80, loss="dice_ce", learning_rate=1e-2, ema=0.9)
    losses = {}
    for dtype in (torch.float32, torch.float16):
        run, name = tmp_path / str(dtype), str(dtype).removeprefix("torch.")
        trained = train(preprocessed, run, config, "cpu", validate_every=20, save_every=40, precision=name)
        checkpoint = load_checkpoint(trained)
        assert checkpoint.card.training["precision"] == name
        assert name in checkpoint.card.training["device"]
        scaler = read_state(run / "state.pt")["parts"]["scaler"]
        assert bool(scaler) == (dtype == torch.float16)
        with (run / "metrics.csv").open(newline="") as file:
            losses[dtype] = [float(row["loss"]) for row in csv.DictReader(file)]
    assert losses[torch.float32][-1] < 0.8 * losses[torch.float32][0]
    assert losses[torch.float16] == pytest.approx(losses[torch.float32], rel=0.05)
