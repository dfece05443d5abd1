"""What page 7 says of its runs."""

from __future__ import annotations

import shlex

import pytest
from unetseg.data.preprocessed_dataset import read_preprocessed_dataset
from unetseg.training.configuration import TrainingConfig
from unetseg.training.optimisation import schedule

from .pages import answers, blocks, commands, run, text_of


def test_epochs(student, preparing):
    hearts = len(read_preprocessed_dataset(student / "preprocessed" / "hearts").splits["train"])
    assert hearts == 4 and f"have {hearts * 24} slices, so an epoch is {hearts * 24 // 8} steps" in answers(7)[0]
    assert f"{600 * 8 // (hearts * 24)} epochs" in answers(7)[0]


def test_an_average_over_twenty_steps():
    assert f"= {1 / (1 - 0.95):.0f} steps" in text_of(7)


def test_the_learning_rate_falls_along_a_cosine():
    config = TrainingConfig(steps=600, learning_rate=0.005)
    rates = [
        0.005 * schedule(step - 1, config) for step in (100, 300, 600)
    ]  # of the row's last step, which counts from 0
    assert answers(7)[1].startswith(f"{rates[0]:.4f}, {rates[1]:.4f} and {rates[2]:.0f}: a cosine from 0.005 to 0")
    warm_up = next(step for step in range(600) if schedule(step, config) == 1)
    assert f"a warm-up of {warm_up + 1} steps" in answers(7)[1]


@pytest.mark.slow
def test_a_run_learns_and_its_last_rows_are_nearly_the_same(trained, full_length):
    found = list(trained(commands(7)[0]).values())
    assert found[-1]["loss"] < found[0]["loss"] / 2
    assert found[-1]["dice_mean"] > (0.85 if full_length else 0.1)
    if full_length:
        assert abs(found[-1]["dice_mean"] - found[-2]["dice_mean"]) < 0.05


@pytest.mark.slow
def test_one_heart_is_learned_by_heart(student, trained, full_length):
    for command in commands(7)[1:3]:
        run(command, student)
    _, text, _, name = shlex.split(next(line for line in blocks(7, "sh")[1].splitlines() if line.startswith("echo")))
    (student / name).write_text(text + "\n", encoding="utf-8")
    command = commands(7)[3]
    command[command.index("--config") + 1] = str(student / name)
    found = trained(command)
    first, *_, last = found.values()
    assert last["loss"] < first["loss"] / (30 if full_length else 4)
    assert last["dice_mean"] < 0.75
    if full_length:
        assert abs(last["dice_mean"] - found[300]["dice_mean"]) < 0.08


@pytest.mark.slow
def test_a_learning_rate_that_is_far_too_large(trained, full_length):
    if not full_length:
        pytest.skip("a run of its own: make course trains it")
    (last,) = trained(commands(7)[4]).values()
    assert last["dice_mean"] < 0.1 and "the Dice is below 0.1" in answers(7)[5]
