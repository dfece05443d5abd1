"""The benchmarks of training: the ablation changes one thing at a time and continues; the contenders see the same slices."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import asdict, replace

import pytest
import torch
from unetseg.training.configuration import TrainingConfig
from unetseg.training.device_data import DeviceData
from UNetSegmenterLib.engine.errors import InputError

from benchmarks.ablation import ablation_runs, changed, main
from benchmarks.data_larger_than_memory import main as memory_main
from benchmarks.training_contenders import SliceByIndex, has_nnunet, our_batches
from benchmarks.training_speed import ContenderSpeed
from benchmarks.training_speed import main as speed_main

SMALL = [
    "--set",
    "patch=[32, 32]",
    "--set",
    "base_width=4",
    "--set",
    "depth=2",
    "--set",
    "batch_size=4",
    "--steps",
    "4",
]


def test_each_run_changes_one_thing():
    base = TrainingConfig()
    for run, key in zip(
        ablation_runs(base, ["input_slices=1,5", "loss=mse"])[1:], ("input_slices",) * 2 + ("loss",), strict=True
    ):
        different = [name for name, value in asdict(run.config).items() if value != asdict(base)[name]]
        assert different == [key]


def test_augmentation_is_varied_by_strength():
    assert changed(TrainingConfig(), "augmentation", "1") == TrainingConfig()
    none = changed(TrainingConfig(), "augmentation", "0").augmentation
    assert (none.rotation_degrees, none.scale, none.shift, none.gamma, none.noise, none.blur) == (0, 1, 0, 1, 0, 0)
    assert none.fraction == TrainingConfig().augmentation.fraction


def test_a_misspelt_option_is_named():
    with pytest.raises(InputError, match="did you mean base_width"):
        ablation_runs(TrainingConfig(), ["base_widht=8"])


def test_table_and_going_on(preprocessed_folder, tmp_path, capsys):
    arguments = [str(preprocessed_folder), "--output", str(tmp_path), *SMALL, "--device", "cpu", "--vary", "loss=mse"]
    main(arguments)
    first = [line.split("|")[1:4] for line in capsys.readouterr().out.splitlines() if line.startswith("|")][2:]
    assert [cells[0].strip() for cells in first] == ["unchanged", "loss mse"]
    assert float(first[1][2]) == pytest.approx(float(first[1][1]) - float(first[0][1]), abs=1.1e-3)
    written = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("checkpoint.pt")}
    assert len(written) == 2
    main(arguments)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("checkpoint.pt")} == written
    again = [line.split("|")[1:4] for line in capsys.readouterr().out.splitlines() if line.startswith("|")][2:]
    assert again == first


@pytest.mark.slow
def test_quick_bench_prints_a_row_a_contender(capsys):
    speed_main(["--quick", "--workers", "1", "--device", "cpu", "--target", "0.01"])
    lines = capsys.readouterr().out.splitlines()
    names = ["ours", "loader", *(["loader"] if has_nnunet() else []), "MONAI"]
    rows = lines[2 : 2 + len(names)]
    assert [row.split(",")[0].split()[0] for row in rows] == names
    assert rows[0].endswith("1.00 x")
    for row in rows:
        *_, step, slices, _, data, busy, _, dice, seconds, _, _ = row.split()
        assert float(slices) == pytest.approx(8 / float(step), rel=0.05)
        assert 0 <= float(dice) <= 1
        assert data.endswith("%")
        assert busy.endswith("%")
        assert seconds == "-" or float(seconds) == pytest.approx(8 * float(step), rel=0.2)


def test_seconds_to_a_dice_count_training_alone():
    result = ContenderSpeed("ours", 0.5, 0.1, None, ((60, 0.4), (80, 0.7), (100, 0.65), (120, 0.8)))
    assert result.seconds_to(0.7) == 40.0
    assert result.seconds_to(0.8) == 60.0
    assert result.seconds_to(0.81) is None


def test_loader_reads_the_slices_that_ours_draws(preprocessed, small_config):
    config = replace(small_config, neighbour_jitter=0.0)
    preprocessing = replace(preprocessed.preprocessing, input_slices=3, size_multiple=4)
    data = DeviceData(preprocessed, preprocessed.of_split("train"), preprocessing, torch.device("cpu"))
    generator = torch.Generator().manual_seed(1)
    images, labels, _ = data.sample_batch(config, generator)
    slices, _ = data.sample_slices(config, torch.Generator().manual_seed(1))
    loader = SliceByIndex(data, preprocessing, config)
    for position, number in enumerate(slices.tolist()):
        image, label = loader.raw(number)
        assert torch.equal(image, images[position])
        assert torch.equal(label, labels[position])
    batch, targets = next(our_batches(data, config, torch.device("cpu")))
    assert batch.shape == (4, 3, 32, 32)
    assert targets.shape == (4, 32, 32)


def test_data_larger_than_memory(tmp_path, capsys):
    """A small data set through all three commands: written, trained on within a limit, and three ways with equal weights."""
    folder, small = tmp_path / "large", ["--patch", "32", "32", "--base-width", "4", "--device", "cpu"]
    memory_main(["write", str(folder), "--gb", "0.004", "--size", "32"])
    command = [sys.executable, "-m", "benchmarks.data_larger_than_memory", "train", str(folder), *small]
    limits = ["--steps", "20", "--limit-gb", "3", "--device-memory", "0.001"]
    done = subprocess.run([*command, *limits], capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    assert "most memory of the process" in done.stdout
    assert "slices to train on take" in done.stderr
    memory_main(["compare", str(folder), *small, "--rounds", "2", "--steps", "3"])
    lines = capsys.readouterr().out.splitlines()
    assert [line.split("  ")[0] for line in lines[3:6]] == ["all on the device", "a tenth", "none"]
    assert lines[-1] == "weights after 11 steps: equal to the bit"
