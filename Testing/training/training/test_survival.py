"""A run that is killed, starved, doubled or fed something else: nothing is lost and nothing is mixed up."""

from __future__ import annotations

import csv
import dataclasses
import json
import multiprocessing
import os
import resource
import shutil
import signal
import sys
import time
from pathlib import Path

import pytest
import torch
from unetseg.data.preprocessed_dataset import read_preprocessed_dataset
from unetseg.training.configuration import TrainingConfig
from unetseg.training.device_data import DeviceData
from unetseg.training.distributed import ProcessGroup
from unetseg.training.run_lock import TRY_AGAIN, Stopped, run_lock
from unetseg.training.training_loop import train
from unetseg.training.training_state import differences, done_steps, read_state, stored_configuration
from UNetSegmenterLib.engine.errors import InputError
from UNetSegmenterLib.engine.model.checkpoint import load_checkpoint


class Process:
    """A forked process that trains and says each step it has done, waiting `pause` seconds after each."""

    def __init__(
        self, preprocessed: Path, run: Path, config: TrainingConfig, pause: float = 0.0, limit_bytes: int = 0
    ) -> None:
        context = multiprocessing.get_context("fork")
        self.said, writer = context.Pipe(duplex=False)
        self.process = context.Process(target=self._train, args=(preprocessed, run, config, pause, limit_bytes, writer))
        self.process.start()
        writer.close()

    @staticmethod
    def _train(preprocessed: Path, run: Path, config: TrainingConfig, pause: float, limit_bytes: int, writer) -> None:
        if limit_bytes:
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit_bytes, limit_bytes))

        def watch(now):
            writer.send(now.step)
            time.sleep(pause)

        try:
            train(
                read_preprocessed_dataset(preprocessed), run, config, "cpu", save_every=3, validate_every=6, watch=watch
            )
        except InputError as error:
            writer.send(str(error))
            sys.exit(2)

    @property
    def pid(self) -> int:
        return self.process.pid

    def until(self, step: int) -> None:
        while self.said.recv() != step:
            pass

    def send(self, number: int) -> None:
        os.kill(self.pid, number)

    def end(self) -> tuple[int, list]:
        """Exit status and what was said since."""
        said = []
        try:
            while True:
                said.append(self.said.recv())
        except EOFError:
            pass
        self.process.join()
        return self.process.exitcode, said


@pytest.fixture(autouse=True)
def look_at_every_step(monkeypatch):
    monkeypatch.setattr("unetseg.training.training_loop.CHECK_EVERY", 1)


def weights_of(run: Path) -> dict[str, torch.Tensor]:
    return load_checkpoint(run / "checkpoint.pt").weights[0]


def assert_same_weights(first: Path, second: Path) -> None:
    other = weights_of(second)
    for name, tensor in weights_of(first).items():
        assert torch.equal(tensor, other[name]), name


@pytest.fixture
def straight_run(preprocessed, small_config, tmp_path) -> Path:
    run = tmp_path / "straight"
    train(preprocessed, run, small_config, "cpu", save_every=3, validate_every=6)
    return run


def test_killed_anywhere_and_resumed_gives_the_same_weights(preprocessed_folder, small_config, straight_run, tmp_path):
    run = tmp_path / "killed"
    for step in (2, 5, 10):
        process = Process(preprocessed_folder, run, small_config, pause=0.3)
        process.until(step)
        process.send(signal.SIGKILL)
        assert process.end()[0] == -signal.SIGKILL
    assert process_to_the_end(preprocessed_folder, run, small_config) == [10, 11, 12]
    assert_same_weights(straight_run, run)
    table = (run / "metrics.csv").read_text()
    assert [row["step"] for row in csv.DictReader(table.splitlines())] == ["6", "12"]
    assert table == (straight_run / "metrics.csv").read_text(), "the loss of the steps before a break counts too"


@pytest.mark.parametrize("table", ["", "step,lo"])
def test_a_table_whose_first_row_was_cut_off_gets_its_heading(
    preprocessed, small_config, straight_run, tmp_path, table
):
    run = tmp_path / "killed"
    run.mkdir()
    (run / "metrics.csv").write_text(table)
    train(preprocessed, run, small_config, "cpu", save_every=3, validate_every=6)
    assert (run / "metrics.csv").read_text() == (straight_run / "metrics.csv").read_text()


def test_what_a_run_is_asked_to_go_on_with_is_known_by_the_state_before_a_damaged_one(straight_run):
    (straight_run / "state.pt").write_bytes((straight_run / "state.pt").read_bytes()[:1000])
    assert stored_configuration(straight_run)["steps"] == "12"
    assert done_steps(straight_run) is None


@pytest.mark.parametrize(("name", "status"), [("SIGTERM", 143), ("SIGUSR1", TRY_AGAIN)])
def test_signal_saves_and_the_next_start_goes_on(
    preprocessed_folder, small_config, straight_run, tmp_path, name, status
):
    run = tmp_path / "stopped"
    process = Process(preprocessed_folder, run, small_config, pause=0.3)
    process.until(4)
    process.send(getattr(signal, name))
    assert process.end()[0] == status
    assert torch.load(run / "state.pt", weights_only=True)["step"] in (4, 5)
    assert not (run / "checkpoint.pt").exists()
    process_to_the_end(preprocessed_folder, run, small_config)
    assert_same_weights(straight_run, run)


def process_to_the_end(preprocessed_folder: Path, run: Path, config: TrainingConfig) -> list:
    status, said = Process(preprocessed_folder, run, config).end()
    assert status == 0, said
    return said


def test_two_runs_refuse_each_other_and_a_killed_one_leaves_no_lock(
    preprocessed_folder, preprocessed, small_config, tmp_path
):
    run = tmp_path / "run"
    process = Process(preprocessed_folder, run, small_config, pause=30)
    process.until(1)
    with pytest.raises(InputError, match=rf"another run \(process {process.pid} on "):
        train(preprocessed, run, small_config, "cpu")
    process.send(signal.SIGKILL)
    process.end()
    train(preprocessed, run, small_config, "cpu")


def test_lock_is_of_one_holder(tmp_path):
    with run_lock(tmp_path), pytest.raises(InputError, match="another run"), run_lock(tmp_path):
        pass
    with run_lock(tmp_path):
        pass


def test_full_disk_says_so_and_keeps_the_last_state(preprocessed_folder, small_config, straight_run, tmp_path):
    run = tmp_path / "full"
    process = Process(preprocessed_folder, run, small_config, pause=0.3)
    process.until(7)
    process.send(signal.SIGKILL)
    process.end()
    size = (run / "state.pt").stat().st_size
    status, said = Process(preprocessed_folder, run, small_config, limit_bytes=size // 2).end()
    assert status == 2
    assert "state.pt could not be written (File too large: a limit" in said[-1]
    assert torch.load(run / "state.pt", weights_only=True)["step"] == 6
    assert not list(run.glob(".partial*"))
    process_to_the_end(preprocessed_folder, run, small_config)
    assert_same_weights(straight_run, run)


def test_damaged_state_falls_back_to_the_one_before(preprocessed, small_config, straight_run, tmp_path, caplog):
    run = Path(shutil.copytree(straight_run, tmp_path / "damaged"))
    assert torch.load(run / "state.previous.pt", weights_only=True)["step"] == 9
    whole = (run / "state.pt").read_bytes()
    (run / "state.pt").write_bytes(whole[: len(whole) // 2])
    (run / "checkpoint.pt").unlink()
    train(preprocessed, run, small_config, "cpu")
    assert "state.pt is damaged" in caplog.text
    assert_same_weights(straight_run, run)
    for name in ("state.pt", "state.previous.pt"):
        (run / name).write_bytes(b"no state")
    with pytest.raises(InputError, match="no good state before it"):
        train(preprocessed, run, small_config, "cpu")


class Bomb:
    def __init__(self, trace):
        self.trace = trace

    def __reduce__(self):
        return os.mkdir, (str(self.trace),)


@pytest.mark.parametrize("zipped", [True, False])
def test_code_in_a_state_is_not_run(preprocessed, small_config, straight_run, tmp_path, caplog, zipped):
    run = Path(shutil.copytree(straight_run, tmp_path / "hostile"))
    state = torch.load(run / "state.pt", weights_only=True) | {"dice": Bomb(tmp_path / "ran")}
    for name in ("state.pt", "state.previous.pt"):
        torch.save(state, run / name, _use_new_zipfile_serialization=zipped)
    with pytest.raises(InputError, match="no good state"):
        train(preprocessed, run, small_config, "cpu")
    assert "could run code" in caplog.text
    assert not (tmp_path / "ran").exists()


def test_a_checkpoint_is_no_state(straight_run):
    with pytest.raises(InputError, match="no state of a training"):
        read_state(straight_run / "checkpoint.pt")


def test_loss_that_is_no_number_names_the_cases_of_its_batch(preprocessed, small_config, tmp_path):
    config = dataclasses.replace(small_config, learning_rate=1e30, gradient_norm=1e30)
    with pytest.raises(InputError, match=r"at step \d+, on slices of ct_train_10") as caught:
        train(preprocessed, tmp_path, config, "cpu")
    written = json.loads((tmp_path / "failed_batch.json").read_text())
    assert f"at step {written['step']}," in str(caught.value)
    assert sum(map(len, written["slices_of_cases"].values())) == config.batch_size
    assert set(written["slices_of_cases"]) <= set(preprocessed.splits["train"])
    assert not (tmp_path / "state.pt").exists()


def test_batch_statistics_beyond_float32_end_a_run_at_once_and_not_at_its_end(
    preprocessed, small_config, tmp_path, monkeypatch
):
    """The loss stays finite, because training normalises by the batch; only validation and the checkpoint would not be."""
    from unetseg.training import training_loop

    original = training_loop.next_batch

    def huge(*arguments):
        images, targets = original(*arguments)
        return images * 1e25, targets

    monkeypatch.setattr(training_loop, "next_batch", huge)
    with pytest.raises(InputError, match=r"weights became no numbers at step 1, .* lower the learning rate"):
        train(preprocessed, tmp_path, small_config, "cpu")


def test_run_of_another_configuration_or_data_set_is_refused_by_name(
    preprocessed, small_config, straight_run, preprocessed_folder, tmp_path
):
    with pytest.raises(InputError, match=r": learning_rate was 0.002 and is 0.1"):
        train(preprocessed, straight_run, dataclasses.replace(small_config, learning_rate=0.1), "cpu")
    changed = dataclasses.replace(
        preprocessed, splits=preprocessed.splits | {"train": preprocessed.splits["train"][1:]}
    )
    with pytest.raises(InputError, match=r"splits\.train was"):
        train(changed, straight_run, small_config, "cpu")
    copy = Path(shutil.copytree(preprocessed_folder, tmp_path / "copy"))
    content = json.loads((copy / "pack.json").read_text())
    content["preprocessing"]["window_hu"] = [-200, 500]
    (copy / "pack.json").write_text(json.dumps(content))
    with pytest.raises(InputError, match=r"preprocessing.window_hu\[0\] was -100.0 and is -200"):
        train(read_preprocessed_dataset(copy), straight_run, small_config, "cpu")


def test_changed_array_is_noticed_when_the_data_set_is_opened(preprocessed_folder, tmp_path):
    copy = Path(shutil.copytree(preprocessed_folder, tmp_path / "copy"))
    data = bytearray((copy / "labels.npy").read_bytes())
    data[-1] ^= 1
    (copy / "labels.npy").write_bytes(data)
    with pytest.raises(InputError, match="is not the array that"):
        read_preprocessed_dataset(copy)


def test_state_without_later_entries_is_still_resumed():
    assert differences({"recipe": {"steps": 5}}, {"recipe": {"steps": 5, "new": 1}, "arrays": {}}) == []
    assert differences({"a": [1, 2]}, {"a": [1, 3]}) == ["a[1] was 2 and is 3"]
    assert differences({"a": [1, 2]}, {"a": [1]}) == ["a was [1, 2] and is [1]"]


def test_out_of_memory_takes_micro_batches_and_says_so(preprocessed, small_config, tmp_path, monkeypatch, caplog):
    """A device that holds one slice at a time: the same error as CUDA's, raised where the network is too large for it."""
    from unetseg.training.optimisation import SupervisedNetwork

    whole_forward = SupervisedNetwork.forward

    def forward(self, images):
        if self.training and len(images) > 1:
            raise torch.OutOfMemoryError("pretended")
        return whole_forward(self, images)

    monkeypatch.setattr(SupervisedNetwork, "forward", forward)
    train(preprocessed, tmp_path / "run", small_config, "cpu")
    assert caplog.text.count("Out of memory on cpu") == 2
    assert "1 slices at a time" in caplog.text

    def never(self, images):
        raise torch.OutOfMemoryError("pretended")

    monkeypatch.setattr(SupervisedNetwork, "forward", never)
    with pytest.raises(InputError, match="One slice does not fit"):
        train(preprocessed, tmp_path / "never", small_config, "cpu")


def test_a_data_set_that_does_not_fit_the_device_is_refused(preprocessed, small_config, tmp_path, monkeypatch):
    """A device without room for a single array: the same error as CUDA's, raised where the slices are sent there."""

    def full(*_, **__):
        raise torch.OutOfMemoryError("pretended")

    monkeypatch.setattr(torch, "empty", full)
    with pytest.raises(InputError, match=r"24 slices to train on \(0\.0 GB\) do not fit .* smaller --device-memory"):
        DeviceData(preprocessed, preprocessed.of_split("train"), preprocessed.preprocessing, torch.device("cpu"))


def test_a_signal_that_another_process_got_alone_is_the_one_that_stops_this_one(preprocessed, small_config, tmp_path):
    """A scheduler warns the main process; the others agree to stop with it, and to the same status."""

    class Second(ProcessGroup):
        asked = False

        def any_process(self, value, due):
            return self.asked and due

        def map(self, function, items):
            return [*super().map(function, items), "SIGUSR1"]

    group = Second(torch.device("cpu"))
    with pytest.raises(Stopped) as caught:
        train(
            preprocessed,
            tmp_path,
            dataclasses.replace(small_config, steps=30),
            process_group=group,
            watch=lambda now: setattr(group, "asked", True),
        )
    assert (caught.value.name, caught.value.code) == ("SIGUSR1", TRY_AGAIN)


def test_stop_in_this_process_restores_the_handlers(preprocessed, small_config, tmp_path):
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(Stopped) as caught:
        train(
            preprocessed,
            tmp_path,
            dataclasses.replace(small_config, steps=30),
            "cpu",
            watch=lambda now: os.kill(os.getpid(), signal.SIGTERM),
        )
    assert (caught.value.name, caught.value.code) == ("SIGTERM", 143)
    assert signal.getsignal(signal.SIGTERM) == before
