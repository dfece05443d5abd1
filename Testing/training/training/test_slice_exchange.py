"""Slices that do not fit the device: the same batches and the same weights, whatever stays there and whatever is read ahead."""

from __future__ import annotations

import os
import shutil
import threading
from dataclasses import replace

import numpy as np
import pytest
import torch
from unetseg.cli.main import main
from unetseg.data.preprocessed_dataset import read_preprocessed_dataset
from unetseg.training import device_memory
from unetseg.training.device_data import DeviceData
from unetseg.training.device_memory import free_bytes, memory_for_slices
from unetseg.training.distributed import ProcessGroup
from unetseg.training.slice_exchange import AHEAD, SliceExchange
from unetseg.training.training_loop import next_batch, step_generator, train
from unetseg.training.validation import read_region, validate, validation_cases
from UNetSegmenterLib.engine.errors import InputError
from UNetSegmenterLib.engine.model.checkpoint import load_checkpoint

CPU = torch.device("cpu")


@pytest.fixture
def config(small_config):
    return replace(small_config, batch_size=6, neighbour_jitter=0.5, input_slices=3)


def device_data(dataset, memory_bytes=None, part=slice(None)):
    preprocessing = replace(dataset.preprocessing, input_slices=3, size_multiple=4)
    return DeviceData(dataset, dataset.of_split("train"), preprocessing, CPU, memory_bytes, part)


def some_bytes(dataset, slices):
    return slices * (dataset.images[:1].nbytes + dataset.labels[:1].nbytes)


def batches(data, config, steps, group=None):
    return [next_batch(data, config, step, group or ProcessGroup(CPU)) for step in steps]


def assert_equal(ones, others):
    for one, other in zip(ones, others, strict=True):
        for a, b in zip(one, other, strict=True):
            assert torch.equal(a, b)


@pytest.mark.parametrize("slices", [0, 1, 10, 23])
def test_batches_are_those_of_slices_that_all_stay(preprocessed, config, slices):
    """In turn, as after a resume, backwards and again; labels, images and the patches' centres."""
    whole, data = device_data(preprocessed), device_data(preprocessed, some_bytes(preprocessed, slices))
    assert whole.exchange is None
    assert data.exchange is not None
    assert (len(data.images), data.slice_count) == (slices, 24)
    steps = [*range(7), *range(40, 44), 43, 3, *range(3, 9)]
    assert_equal(batches(whole, config, steps), batches(data, config, steps))
    data.close()


def test_whatever_state_a_generator_is_in_decides_the_batch(preprocessed, config):
    """Two batches from one generator, and another configuration: nothing that was read ahead is mistaken for them."""
    whole, data = device_data(preprocessed), device_data(preprocessed, 0)
    drawn = []
    for source in (whole, data):
        generator = torch.Generator().manual_seed(5)
        settings = (config, config, replace(config, foreground_fraction=0.0), config)
        drawn.append([source.sample_batch(one, generator) for one in settings])
    assert_equal(*drawn)
    assert not torch.equal(drawn[0][0][0], drawn[0][1][0])
    data.close()


def test_each_batch_is_read_once_and_before_it_is_asked_for(preprocessed, config, monkeypatch):
    read = []
    load = SliceExchange._load

    def counted(self, config, state):
        read.append(bytes(state.numpy()))
        return load(self, config, state)

    monkeypatch.setattr(SliceExchange, "_load", counted)
    data = device_data(preprocessed, 0)
    batches(data, config, range(12))
    following = [ahead.batch for ahead in data.exchange._ahead]
    assert [len(batch.result(timeout=60).labels) for batch in following] == [6] * AHEAD, "read without being asked for"
    data.close()
    expected = [bytes(step_generator(config, step, CPU).get_state().numpy()) for step in range(12 + AHEAD)]
    assert sorted(read) == sorted(expected)


def test_the_slices_that_are_drawn_most_often_stay(preprocessed):
    """With a fifth of the memory: slices of the rarest structures first, none without a structure."""
    data = device_data(preprocessed, some_bytes(preprocessed, 5))
    held = [len(np.unique(labels)) - 1 for labels in data.labels.numpy()]
    everywhere = [len(np.unique(labels)) - 1 for labels in device_data(preprocessed).labels.numpy()]
    assert len(held) == 5
    assert min(held) > np.mean(everywhere)
    data.close()


def test_parts_of_several_processes_are_the_batch(preprocessed, config):
    whole = device_data(preprocessed).sample_batch(config, step_generator(config, 3, CPU))
    for slices in (0, 10, 24):
        for rank in range(4):
            part = slice(rank, None, 4)
            data = device_data(preprocessed, some_bytes(preprocessed, slices), part)
            own = data.sample_batch(config, step_generator(config, 3, CPU))
            assert_equal([own], [[tensor[part] for tensor in whole]])
            data.close()


def test_weights_are_the_same_and_runs_go_on_in_the_other_mode(preprocessed, config, tmp_path):
    """All slices on the device; none of them; and a run that is stopped half-way and goes on with more memory."""

    class Interrupted(Exception):
        pass

    def stop(progress):
        if progress.step == 8:
            raise Interrupted

    def run(name, memory_gb, watch=None):
        settings = {"save_every": 4, "validate_every": 6, "watch": watch, "device_memory_gb": memory_gb}
        return train(preprocessed, tmp_path / name, config, "cpu", **settings)

    whole = load_checkpoint(run("whole", None)).weights[0]
    exchanged = load_checkpoint(run("exchanged", 0)).weights[0]
    with pytest.raises(Interrupted):
        run("both", 0, stop)
    both = load_checkpoint(run("both", some_bytes(preprocessed, 100) / 2**30)).weights[0]
    for name in whole:
        assert torch.equal(whole[name], exchanged[name]), name
        assert torch.equal(whole[name], both[name]), name
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("slices")]


def test_the_user_hears_what_stays(preprocessed, config, tmp_path, caplog):
    train(preprocessed, tmp_path / "run", replace(config, steps=1), "cpu", device_memory_gb=0)
    assert "the 24 slices to train on take 0.0 GB; 0 of them stay on cpu, and the others are read" in caplog.text


@pytest.mark.parametrize("cut", [True, False])
def test_a_data_set_that_is_changed_while_it_is_trained_on_ends_the_run(preprocessed_folder, config, tmp_path, cut):
    """A file that is cut off, and one that is replaced by another of its size: a sentence, and no signal."""
    folder = shutil.copytree(preprocessed_folder, tmp_path / "preprocessed")
    data = device_data(read_preprocessed_dataset(folder), 0)
    batches(data, config, range(2))
    content = (folder / "images.npy").read_bytes()
    if cut:
        os.truncate(folder / "images.npy", 200)
    else:
        (folder / "other.npy").write_bytes(content[:-1] + b"\1")
        (folder / "other.npy").replace(folder / "images.npy")
    with pytest.raises(InputError, match=r"images\.npy was changed while it was trained on; prepare or copy it again"):
        batches(data, config, range(2, 12))
    data.close()


def test_no_memory_for_what_is_read_ahead_is_a_sentence(preprocessed, config, monkeypatch):
    """CUDA's error, raised in the thread where the slices are copied."""
    data = device_data(preprocessed, 0)

    def full(*_, **__):
        raise torch.OutOfMemoryError("pretended")

    monkeypatch.setattr(torch, "empty", full)
    with pytest.raises(InputError, match=r"too full for the slices of the next 4 steps; .* smaller --device-memory"):
        batches(data, config, [0])
    data.close()


def test_commands_take_the_memory(preprocessed_folder, tmp_path, capsys):
    """None on the device and all of them: the same checkpoint's weights; a negative number is refused."""
    small = [
        "--steps",
        "2",
        "--batch-size",
        "2",
        "--patch",
        "32,32",
        "--base-width",
        "4",
        "--depth",
        "2",
        "--device",
        "cpu",
    ]
    for name, memory in (("none", "0"), ("all", "0.5")):
        command = ["train", str(preprocessed_folder), "--output", str(tmp_path / name), "--device-memory", memory]
        assert main([*command, *small]) == 0
    none, every = (load_checkpoint(tmp_path / name / "checkpoint.pt").weights[0] for name in ("none", "all"))
    assert all(torch.equal(none[name], every[name]) for name in none)
    for memory in ("-1", "nan", "inf", "1e400", "1e308", ""):
        command = ["train", str(preprocessed_folder), "--output", str(tmp_path / "run"), "--device-memory", memory]
        assert main(command) == 2
        assert "--device-memory" in capsys.readouterr().err
    assert not (tmp_path / "run" / "state.pt").exists()
    assert main(["cross-validate", "p", "--output", "x", "--device-memory", "1e9x"]) == 2
    assert "--device-memory" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["images", "labels"])
def test_a_data_set_that_is_cut_off_before_a_validation_ends_the_run(preprocessed_folder, config, tmp_path, name):
    """With all slices in memory it is the validation that reads the files; a signal would end this process too."""
    folder = shutil.copytree(preprocessed_folder, tmp_path / "preprocessed")
    dataset = read_preprocessed_dataset(folder)
    case = validation_cases(dataset, config)[0]
    array = getattr(dataset, name)
    assert np.array_equal(read_region(case, array), case.region(array))
    os.truncate(folder / f"{name}.npy", 200)
    with pytest.raises(InputError, match=rf"{name}\.npy was changed while it was trained on"):
        read_region(case, array)
    if name == "images":
        with pytest.raises(InputError, match=r"images\.npy was changed"):
            validate(torch.nn.Identity(), dataset, config, dataset.preprocessing, torch.float32, ProcessGroup(CPU))


def test_automatic_memory_is_what_a_step_leaves(config, monkeypatch):
    group = ProcessGroup(CPU)
    monkeypatch.setattr(device_memory, "free_bytes", lambda device: 10 * 2**30)
    one = memory_for_slices(config, group, None)
    assert 4 * 2**30 < one < 5 * 2**30
    assert memory_for_slices(replace(config, batch_size=600), group, None) < one
    assert memory_for_slices(replace(config, batch_size=10**6), group, None) == 0
    group.world_size = 2
    assert memory_for_slices(config, group, None) == pytest.approx(one / 2, rel=0.01)
    assert memory_for_slices(config, group, 0.5) == 2**29
    with pytest.raises(InputError, match=r"--device-memory is 11 GB, and 10\.0 GB of cpu are free; give less"):
        memory_for_slices(config, group, 11)
    monkeypatch.setattr(device_memory, "free_bytes", lambda device: None)
    assert memory_for_slices(config, group, None) is None


@pytest.mark.parametrize("version", [1, 2])
def test_the_limit_of_a_scheduler_counts(version, tmp_path, monkeypatch):
    """A job of 3 GB, of which 2.5 are used, 1 of them by files that can be dropped, in a group of 100 GB."""
    monkeypatch.setattr(device_memory, "CGROUPS", tmp_path / "groups")
    monkeypatch.setattr(device_memory, "PROCESS_CGROUPS", tmp_path / "cgroup")
    name, limit, used = (
        ("memory:", "memory.limit_in_bytes", "memory.usage_in_bytes")
        if version == 1
        else (":", "memory.max", "memory.current")
    )
    (tmp_path / "cgroup").write_text(f"7:cpu:/elsewhere\n0:{name}/slurm/job_1\n")
    root = tmp_path / "groups" / ("memory" if version == 1 else "")
    for group, gb in (("slurm", 100), ("slurm/job_1", 3)):
        (root / group).mkdir(parents=True)
        (root / group / limit).write_text(f"{gb * 2**30}\n")
        (root / group / used).write_text(f"{int(2.5 * 2**30)}\n")
        (root / group / "memory.stat").write_text(f"cache 5\ninactive_file {2**30}\n")
    assert free_bytes(CPU) == int(1.5 * 2**30)
