"""What a student has after the first commands of the pages, made once for all tests: hearts, a data set, trained networks."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from .pages import commands, metrics, run, with_options

FEW_STEPS, OFTEN = 200, 50


@pytest.fixture(scope="session")
def full_length(request) -> bool:
    """Whether runs are as long as the pages say, so that their figures can be compared with the text."""
    return request.config.getoption("--full-length")


@pytest.fixture(scope="session")
def student(tmp_path_factory) -> Path:
    """The folder of a student after the first command: hearts/."""
    folder = tmp_path_factory.mktemp("student")
    run(commands(1)[0], folder)
    return folder


@pytest.fixture(scope="session")
def preparing(student) -> str:
    """What the first command of page 4 prints; it leaves preprocessed/hearts."""
    return run(commands(4)[0], student)


@pytest.fixture(scope="session")
def trained(student, preparing, full_length) -> Callable[[list[str]], dict[int, dict[str, float]]]:
    """Trains by a command of a page, in a few steps without --full-length; the rows of the run's metrics.csv by their step.

    Two commands that differ in nothing but their output are trained once.
    """
    outputs: dict[tuple[str, ...], Path] = {}

    def train(command: list[str]) -> dict[int, dict[str, float]]:
        place = command.index("--output") + 1
        key = (*command[: place - 1], *command[place + 1 :])
        if key not in outputs:
            short = {"--steps": str(FEW_STEPS), "--validate-every": str(OFTEN)}
            run(command if full_length else with_options(command, short), student)
            outputs[key] = student / command[place]
        return metrics(outputs[key])

    return train
