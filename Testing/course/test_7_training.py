"""What page 7 says of its runs."""

from __future__ import annotations

import csv
import shlex

import pytest
from unetseg.data.preprocessed_dataset import read_preprocessed_dataset

from .pages import answers, blocks, commands, run, text_of


def rows(folder):
    with (folder / "metrics.csv").open(encoding="utf-8", newline="") as file:
        return [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]


def prepare(student):
    if not (student / "preprocessed" / "hearts").exists():
        run(commands(4)[0], student)


def test_epochs(student):
    prepare(student)
    hearts = len(read_preprocessed_dataset(student / "preprocessed" / "hearts").splits["train"])
    assert hearts == 4 and f"have {hearts * 24} slices, so an epoch is {hearts * 24 // 8} steps" in answers(7)[0]
    assert f"{600 * 8 // (hearts * 24)} epochs" in answers(7)[0]


def test_an_average_over_twenty_steps():
    assert f"= {1 / (1 - 0.95):.0f} steps" in text_of(7)


@pytest.mark.slow
def test_the_learning_rate_falls_along_a_cosine(student):
    prepare(student)
    run(commands(7)[0], student)
    found = rows(student / "runs" / "first")
    rates = {row["step"]: row["learning_rate"] for row in found}
    assert f"{rates[100]:.4f}, {rates[300]:.4f} and {rates[600]:.0f}:" in answers(7)[1]
    assert found[-1]["dice_mean"] > 0.85 and abs(found[-1]["dice_mean"] - found[-2]["dice_mean"]) < 0.05


@pytest.mark.slow
def test_one_heart_is_learned_by_heart(student):
    for command in commands(7)[1:3]:
        run(command, student)
    _, text, _, name = shlex.split(next(line for line in blocks(7, "sh")[1].splitlines() if line.startswith("echo")))
    (student / name).write_text(text + "\n", encoding="utf-8")
    run(commands(7)[3], student)
    found = {int(row["step"]): row for row in rows(student / "runs" / "overfit")}
    assert found[600]["loss"] < found[50]["loss"] / 30
    assert abs(found[600]["dice_mean"] - found[300]["dice_mean"]) < 0.08 and found[600]["dice_mean"] < 0.75
