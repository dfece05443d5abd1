"""The plan's estimate: a few real steps of the planned network on made-up slices."""

from __future__ import annotations

import pytest
import torch
from unetseg.data.fingerprint import dataset_facts, fingerprint
from unetseg.data.layouts.detection import read_dataset
from unetseg.training import run_estimate
from unetseg.training.configuration import TrainingConfig
from unetseg.training.optimisation import Learner
from unetseg.training.planning import Plan, read_plan
from unetseg.training.run_estimate import RunEstimate, estimate_run
from UNetSegmenterLib.engine.labels.structures import known_structure

from ..command import unetseg_here

CPU = torch.device("cpu")
STRUCTURES = tuple(known_structure(name, index, (index,)) for index, name in enumerate(("liver", "spleen"), start=1))
PLAN = Plan(
    2.0,
    (-100.0, 300.0),
    3.0,
    TrainingConfig(steps=600, batch_size=8, patch=(32, 48), base_width=4, depth=2, loss="cross_entropy"),
)


@pytest.fixture
def steps_of_one_second(monkeypatch):
    """A clock that goes on by one second in every step, whatever else is done."""
    steps = []
    original = Learner.step

    def step(self, number, images, targets):
        steps.append(tuple(images.shape))
        return original(self, number, images, targets)

    monkeypatch.setattr(Learner, "step", step)
    monkeypatch.setattr(run_estimate.time, "perf_counter", lambda: float(len(steps)))
    return steps


def test_the_planned_network_is_tried_and_the_whole_run_is_estimated(steps_of_one_second):
    estimate = estimate_run(PLAN, STRUCTURES, (64, 80), slices=1000, device=CPU)
    assert set(steps_of_one_second) == {(run_estimate.CPU_SLICES, 3, 32, 48)}
    assert estimate.minutes == pytest.approx(600 * 8 / run_estimate.CPU_SLICES / 60)
    assert estimate.memory_gb >= 1000 * 64 * 80 * 3 / 2**30  # the slices, and perhaps a step
    assert estimate.device.startswith("this CPU in ")


def test_a_device_without_the_memory_has_no_estimate(monkeypatch):
    monkeypatch.setattr(Learner, "accumulate_gradients", lambda *_: None)
    assert estimate_run(PLAN, STRUCTURES, (64, 80), slices=10, device=CPU) is None


@pytest.mark.parametrize(
    ("minutes", "text"), [(0.2, "about 1 minute and"), (42.4, "about 42 minutes and"), (150, "about 2.5 hours and")]
)
def test_the_estimate_is_said_in_words(minutes, text):
    assert RunEstimate(minutes, 1.23, "this CPU in float32").text().startswith(text)


def test_plan_says_and_keeps_the_estimate(dataset, tmp_path):
    result = unetseg_here("plan", dataset, tmp_path / "plan.yaml", "--gpu-gb", 0)
    assert result.returncode == 0, result.stderr
    assert "training: about 1 minute and" in result.stdout or "minutes and" in result.stdout
    line = next(line for line in (tmp_path / "plan.yaml").read_text().splitlines() if line.startswith("  steps:"))
    assert "slices is sampled about" in line
    assert " GB on this CPU in " in line
    slices = fingerprint(dataset_facts(read_dataset(dataset)))["slices"]
    assert f"each of {slices} slices" in line
    assert read_plan(tmp_path / "plan.yaml").config.steps > 0


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_plan_for_another_machine_says_that_nothing_is_estimated(dataset, tmp_path):
    result = unetseg_here("plan", dataset, tmp_path / "plan.yaml", "--gpu-gb", 16)
    assert "planned for a GPU of 16 GB, which this machine does not have" in result.stdout
