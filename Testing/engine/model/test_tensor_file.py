"""What torch.save writes of tensors, numbers and text is read as torch.load reads it, and nothing else is."""

import io
import pickle
from collections import OrderedDict

import numpy as np
import pytest
import torch
from UNetSegmenterLib.engine.model.checkpoint import load_checkpoint
from UNetSegmenterLib.engine.model.tensor_file import read_tensor_file

from ..checkpoints import small_card
from .tensor_files import members_of, refusal, same, with_program


@pytest.mark.parametrize("to", ["path", "stream"])
def test_reads_what_torch_load_reads(tmp_path, to):
    flat = torch.arange(24.0)
    content = {
        "whole": flat,
        "part of the same": flat[3:15:2],
        "turned": flat.reshape(2, 3, 4).transpose(0, 2),
        "channels last": torch.randn(2, 3, 4, 5).contiguous(memory_format=torch.channels_last),
        "number": torch.tensor(7),
        "empty": torch.empty(0, 3),
        "nothing": None,
        "values": [True, False, -3, 2**40, 300, 70_000, 1.5, "Größe 腹部", (), (1, (2, [3]))],
        "more": list(range(2000)),
        4: {"state": OrderedDict(a=torch.ones(2, requires_grad=True).detach())},
    } | {str(t): torch.tensor([0, 1, 100]).to(t) for t in (torch.float64, torch.float16, torch.bfloat16, torch.int16)}
    target = tmp_path / "Datei mit ä.pt" if to == "path" else io.BytesIO()
    torch.save(content, target)
    if to == "stream":
        (tmp_path / "Datei mit ä.pt").write_bytes(target.getvalue())
    path = tmp_path / "Datei mit ä.pt"
    assert same(read_tensor_file(path), torch.load(path, weights_only=True))


def test_reads_the_state_of_a_training(tmp_path):
    network = torch.nn.Sequential(torch.nn.Conv2d(1, 4, 3), torch.nn.BatchNorm2d(4)).to(
        memory_format=torch.channels_last
    )
    optimiser = torch.optim.AdamW(network.parameters(), lr=1e-3)
    network(torch.randn(2, 1, 8, 8)).sum().backward()
    optimiser.step()
    parts = {
        "network": network.state_dict(),
        "optimiser": optimiser.state_dict(),
        "scaler": torch.amp.GradScaler("cpu").state_dict(),
    }
    torch.save(parts, tmp_path / "state.pt")
    read = read_tensor_file(tmp_path / "state.pt")
    assert same(read, parts)
    optimiser.load_state_dict(read["optimiser"])


def test_reads_numpy_scalars_and_devices_as_plain_numbers_and_text(tmp_path):
    numbers = [np.float64(0.1), np.float32("nan"), np.float16(0.5), np.int64(-(2**40)), np.int8(-3), np.uint8(200)]
    content = {"numbers": numbers, "flag": np.bool_(True), "devices": [torch.device("cuda", 1), torch.device("cpu")]}
    torch.save(content, tmp_path / "numbers.pt")
    read = read_tensor_file(tmp_path / "numbers.pt")
    assert all(type(number) in (int, float) for number in read["numbers"])
    assert np.array_equal(read["numbers"], [number.item() for number in numbers], equal_nan=True)
    assert read["flag"] is True
    assert read["devices"] == ["cuda:1", "cpu"]


def test_reads_numpy_scalars_under_the_name_that_they_had_before_numpy_2(tmp_path):
    torch.save({"dice": np.float64(0.75)}, tmp_path / "new.pt")
    (name,) = (name for name in members_of(tmp_path / "new.pt") if name.endswith("data.pkl"))
    program = members_of(tmp_path / "new.pt")[name].replace(b"numpy._core.multiarray", b"numpy.core.multiarray")
    assert read_tensor_file(with_program(tmp_path / "new.pt", tmp_path / "old.pt", program)) == {"dice": 0.75}


def test_nothing_else_of_numpy_is_let_in(tmp_path):
    others = [np.arange(3), np.datetime64("2024-01-01"), np.str_("text"), np.complex64(1j), np.random.default_rng(0)]
    for content in others:
        torch.save({"content": content}, tmp_path / "other.pt")
        refusal(tmp_path / "other.pt", "holds more than tensors, numbers and text")


def test_numpy_numbers_that_contradict_their_type_are_refused(tmp_path):
    torch.save({"dice": np.float64(0.75)}, tmp_path / "good.pt")
    (name,) = (name for name in members_of(tmp_path / "good.pt") if name.endswith("data.pkl"))
    program = members_of(tmp_path / "good.pt")[name]
    for part, other in ((b"f8", b"f4"), (b"f8", b"O8"), (b"<", b">"), (b"latin1", b"utf_16"), (b"encode", b"lookup")):
        assert part in program
        refusal(with_program(tmp_path / "good.pt", tmp_path / "bad.pt", program.replace(part, other)))


def test_the_shipped_checkpoint_is_read_as_torch_reads_it(checkpoint):
    assert same(read_tensor_file(checkpoint), torch.load(checkpoint, weights_only=True))


def test_neither_torch_load_nor_pickle_is_asked(checkpoint, monkeypatch):
    for module, name in ((torch, "load"), (pickle, "load"), (pickle, "loads"), (pickle, "Unpickler")):
        monkeypatch.setattr(module, name, lambda *args, **options: pytest.fail("unpickled"))
    assert load_checkpoint(checkpoint).card == small_card()
