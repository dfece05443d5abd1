"""No warning of a library reaches the terminal of a normal run: each command is a process, and its standard error is empty."""

from __future__ import annotations

import pytest

from ..command import unetseg

SMALL = "--steps 4 --batch-size 2 --patch 24,24 --base-width 2 --depth 1 --device cpu --validate-every 2"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("quiet")


@pytest.mark.parametrize(
    "command",
    [
        "phantom hearts --count 6 --size 48 --slices 10",
        "plan hearts plan.yaml",
        "prepare hearts pre --test 1 --validation 1 --folds 2",
        f"train pre --output run {SMALL}",
        f"train pre --output two --devices 2 {SMALL}",
        f"cross-validate pre --output cv {SMALL} --loss cross_entropy",
        "segment hearts/ct_train_1001_image.nii.gz --checkpoint run/checkpoint.pt --output segmented --device cpu",
        "evaluate run/checkpoint.pt hearts --output evaluated --split test --device cpu",
        "check hearts/ct_train_1001_label.nii.gz --output checked --scan hearts/ct_train_1001_image.nii.gz",
        "export run/checkpoint.pt exported.onnx",
    ],
    ids=lambda command: " ".join(command.split()[:2]),
)
def test_standard_error_is_empty(folder, monkeypatch, command):
    monkeypatch.chdir(folder)
    result = unetseg(*command.split())
    assert result.returncode == 0, result.stderr
    ours = [line for line in result.stderr.splitlines() if line.startswith("unetseg: warning:")]
    assert result.stderr.splitlines() == ours, result.stderr
    assert not [line for line in ours if "distributed" in line or "backend" in line], ours
