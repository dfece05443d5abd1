"""The ablation changes one thing at a time, and goes on where it was stopped."""

from __future__ import annotations

from dataclasses import asdict

import pytest
from unetseg.training.configuration import TrainingConfig
from UNetSegmenterLib.engine.errors import InputError

from benchmarks.ablation import ablation_runs, changed, main

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
