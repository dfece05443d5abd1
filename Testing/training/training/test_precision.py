"""Precision of training: chosen by the hardware or by name, the same in all processes, kept by a run that goes on."""

from __future__ import annotations

import pytest
import torch
from unetseg.training.distributed import ProcessGroup
from unetseg.training.optimisation import SupervisedNetwork
from unetseg.training.run_lock import Stopped
from unetseg.training.training_loop import train
from unetseg.training.training_state import TrainingState, read_state
from UNetSegmenterLib.engine.errors import InputError
from UNetSegmenterLib.engine.model import device as device_module
from UNetSegmenterLib.engine.model.checkpoint import read_card

CPU = torch.device("cpu")


@pytest.fixture
def with_bfloat16(monkeypatch):
    """The CPU has bfloat16 in hardware, or (called with False) it has not."""

    def set_hardware(has: bool) -> None:
        found = torch.bfloat16 if has else torch.float32
        monkeypatch.setattr(device_module, "mixed_precision", lambda device: found)
        monkeypatch.setattr("unetseg.training.distributed.mixed_precision", lambda device: found)

    set_hardware(True)
    return set_hardware


class TwoProcesses:
    """This process and another, which gives these answers to what the processes ask each other."""

    global_rank, world_size = 0, 2

    def __init__(self, answers: list[bool]) -> None:
        self.answers = answers

    def all_reduce(self, wish, reduce_op):
        return wish + float(self.answers.pop(0))


@pytest.mark.parametrize("own", [torch.bfloat16, torch.float16, torch.float32])
@pytest.mark.parametrize("other", [torch.bfloat16, torch.float16, torch.float32])
def test_all_processes_compute_in_one_precision(monkeypatch, own, other):
    """An A100 beside a V100: gradients that are averaged must all be scaled, or none."""
    monkeypatch.setattr("unetseg.training.distributed.mixed_precision", lambda device: own)
    two = TwoProcesses([other == torch.float16, other == torch.float32])
    expected = next(one for one in (torch.float16, torch.float32, torch.bfloat16) if one in (own, other))
    assert ProcessGroup(CPU, two).precision() is expected
    assert ProcessGroup(CPU).precision() is own


def test_a_run_keeps_its_precision_where_all_devices_have_it(with_bfloat16):
    group = ProcessGroup(CPU)
    assert group.precision("auto", torch.float32) is torch.float32
    assert group.precision("auto", torch.bfloat16) is torch.bfloat16
    assert group.precision("auto", torch.float16) is torch.bfloat16, "float16 is not in a CPU's hardware"
    assert group.precision("float16", torch.bfloat16) is torch.float16
    without = TwoProcesses([True, False, False])
    assert ProcessGroup(CPU, without).precision("auto", torch.bfloat16) is torch.bfloat16
    assert not without.answers, "the other process, which has no bfloat16, was not asked"
    with_bfloat16(False)
    assert group.precision("auto", torch.bfloat16) is torch.float32
    with pytest.raises(InputError, match="Apple GPU trains in float32, not in bfloat16"):
        ProcessGroup(torch.device("mps")).precision("bfloat16")


def test_the_network_computes_in_the_precision_and_the_loss_in_float32(
    preprocessed, small_config, tmp_path, monkeypatch
):
    seen = set()
    whole_forward = SupervisedNetwork.forward

    def forward(self, images):
        levels = whole_forward(self, images)
        seen.update(("logits", logits.dtype) for logits in levels)
        return levels

    def loss(logits, targets):
        seen.add(("loss", logits.dtype))
        return torch.nn.functional.cross_entropy(logits, targets)

    monkeypatch.setattr(SupervisedNetwork, "forward", forward)
    monkeypatch.setattr("unetseg.training.optimisation.make_loss", lambda *_: loss)
    for name in ("float32", "bfloat16", "float16"):
        seen.clear()
        checkpoint = train(preprocessed, tmp_path / name, small_config, "cpu", precision=name)
        assert seen == {("logits", getattr(torch, name)), ("loss", torch.float32)}
        assert read_state(tmp_path / name / "state.pt")["precision"] == name
        assert read_card(checkpoint).training["precision"] == name


def stopped(preprocessed, config, run, after: int, **settings) -> None:
    """Train until `after` steps are done and saved, as a run that is killed then has it on disk."""
    original = TrainingState.save

    def save_and_stop(self, step, minutes):
        original(self, step, minutes)
        if step == after:
            raise Stopped(step, "SIGTERM")

    with pytest.MonkeyPatch.context() as patch, pytest.raises(Stopped):
        patch.setattr(TrainingState, "save", save_and_stop)
        train(preprocessed, run, config, "cpu", save_every=after, **settings)


@pytest.mark.parametrize("name", ["float32", "bfloat16"])
def test_a_run_goes_on_to_the_bit_in_its_own_precision(preprocessed, small_config, tmp_path, with_bfloat16, name):
    """Also without --precision, on a machine whose hardware would have chosen another one."""
    straight = train(preprocessed, tmp_path / "straight", small_config, "cpu", precision=name)
    stopped(preprocessed, small_config, tmp_path / "broken", 6, precision=name)
    train(preprocessed, tmp_path / "broken", small_config, "cpu")
    states = [read_state(tmp_path / run / "state.pt") for run in ("straight", "broken")]
    assert states[0]["precision"] == states[1]["precision"] == name
    for key, weights in states[0]["parts"]["network"].items():
        assert torch.equal(weights, states[1]["parts"]["network"][key]), key
    assert read_card(straight).training["precision"] == name


def test_another_precision_than_the_states_is_said_aloud(preprocessed, small_config, tmp_path, with_bfloat16, caplog):
    stopped(preprocessed, small_config, tmp_path, 6)
    with_bfloat16(False)
    stopped(preprocessed, small_config, tmp_path, 9)
    assert "the run goes on in float32 from step 6; it was trained in bfloat16 before" in caplog.text
    caplog.clear()
    train(preprocessed, tmp_path, small_config, "cpu", precision="bfloat16")
    assert "goes on in bfloat16 from step 9; it was trained in float32 before" in caplog.text
    assert "bfloat16 is not in the hardware of cpu" in caplog.text


def test_a_state_of_an_earlier_version_goes_on_by_the_hardware(
    preprocessed, small_config, tmp_path, with_bfloat16, caplog
):
    stopped(preprocessed, small_config, tmp_path, 6)
    for name in ("state.pt", "state.previous.pt"):
        if (path := tmp_path / name).exists():
            content = read_state(path)
            del content["precision"]
            torch.save(content, path)
    assert TrainingState(tmp_path, small_config, preprocessed).precision is None
    assert read_card(train(preprocessed, tmp_path, small_config, "cpu")).training["precision"] == "bfloat16"
    assert "goes on in" not in caplog.text


def test_a_run_of_bfloat16_goes_on_where_gradients_are_scaled(preprocessed, small_config, tmp_path):
    """A job that is queued again may get an older GPU, which computes in float16; the saved scaler holds nothing then."""
    network = torch.nn.Linear(1, 1)
    begun = {"network": network, "scaler": torch.amp.GradScaler("cpu", enabled=False)}
    before = TrainingState(tmp_path, small_config, preprocessed)
    assert before.resume(begun, torch.bfloat16) == 0
    before.save(3, 0.1)
    later = {"network": torch.nn.Linear(1, 1), "scaler": torch.amp.GradScaler("cpu", enabled=True)}
    state = TrainingState(tmp_path, small_config, preprocessed)
    assert state.precision is torch.bfloat16
    assert state.resume(later, torch.float16) == 3
    assert torch.equal(later["network"].weight, network.weight)
    state.save(4, 0.1)
    assert TrainingState(tmp_path, small_config, preprocessed).precision is torch.float16
