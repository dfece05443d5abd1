"""Schedules of the learning rate, and the moving average of the weights."""

import pytest
import torch
from unetseg.training.configuration import TrainingConfig
from unetseg.training.optimisation import SCHEDULES, schedule, update_average
from UNetSegmenterLib.engine.errors import InputError
from UNetSegmenterLib.engine.model.network import UNet


def test_schedule_warms_up_and_ends_at_zero():
    config = TrainingConfig(steps=100, warmup_fraction=0.1)
    rates = [schedule(step, config) for step in range(100)]
    assert rates[0] == pytest.approx(0.1)
    assert max(rates) == rates[9] == 1
    assert rates[55] == pytest.approx(0.5, abs=0.01)
    assert rates[-1] < 0.001


def test_other_schedules_fall_in_their_own_way():
    rates = {name: schedule(55, TrainingConfig(steps=100, warmup_fraction=0.1, schedule=name)) for name in SCHEDULES}
    assert rates["polynomial"] == pytest.approx(0.5**0.9)
    assert rates["constant"] == 1
    with pytest.raises(InputError, match="did you mean cosine"):
        schedule(0, TrainingConfig(schedule="cosin"))


def test_average_follows_weights_and_batch_statistics():
    network, average = (UNet(1, 2, 2, 1) for _ in range(2))
    average.load_state_dict(network.state_dict())
    with torch.no_grad():
        network.exit.weight.add_(1)
        network.entry[1].running_mean.add_(2)
    before = average.exit.weight.clone()
    update_average(average, network, 0.75)
    torch.testing.assert_close(average.exit.weight - before, torch.full_like(before, 0.25))
    assert average.entry[1].running_mean.tolist() == [0.5, 0.5]
