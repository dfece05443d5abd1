"""Only what torch.save writes of tensors, numbers and text is opened; whatever else a file may hold is refused and not run."""

import io
import json
import os
import pickle
import random
import struct
import sys
import tarfile
import zipfile
from collections import OrderedDict

import numpy as np
import pytest
import torch
from UNetSegmenterLib.engine.errors import InputError
from UNetSegmenterLib.engine.model import tensor_file
from UNetSegmenterLib.engine.model.checkpoint import load_checkpoint, save_checkpoint
from UNetSegmenterLib.engine.model.tensor_file import read_tensor_file

from ..checkpoints import small_card, small_weights


class Bomb:
    """Makes a folder when it is unpickled."""

    def __init__(self, trace):
        self.trace = trace

    def __reduce__(self):
        return os.mkdir, (str(self.trace),)


@pytest.fixture
def checkpoint(tmp_path):
    card = small_card()
    save_checkpoint(tmp_path / "good.pt", card, small_weights(card))
    return tmp_path / "good.pt"


def refusal(path, *words) -> str:
    with pytest.raises(InputError) as caught:
        read_tensor_file(path)
    message = str(caught.value)
    assert "\n" not in message
    assert path.name in message
    assert len(message) < len(str(path)) + 300
    for word in words:
        assert word in message, message
    return message


def members_of(path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        return {info.filename: archive.read(info) for info in archive.infolist()}


def write_members(path, members, **options):
    with zipfile.ZipFile(path, "w", **options) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


def with_program(checkpoint, path, program):
    """The checkpoint with another pickle in it."""
    members = {name: program if name.endswith("data.pkl") else data for name, data in members_of(checkpoint).items()}
    return write_members(path, members)


def same(one, other) -> bool:
    if isinstance(one, torch.Tensor):
        return one.dtype == other.dtype and one.stride() == other.stride() and torch.equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, (list, tuple)):
        return type(one) is type(other) and len(one) == len(other) and all(map(same, one, other))
    return type(one) is type(other) and one == other


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


# --- other containers ----------------------------------------------------------------------------------------------------


def bare_pickle(path, trace):
    path.write_bytes(pickle.dumps({"format": 1, "card": "{}", "weights": Bomb(trace)}))


def pickle_of_protocol_0(path, trace):
    path.write_bytes(pickle.dumps(Bomb(trace), protocol=0))


def legacy_file(path, trace):
    torch.save(Bomb(trace), path, _use_new_zipfile_serialization=False)


def tar_of_pickles(path, trace):
    """What PyTorch 0.1 wrote; torch.load hands it to an unrestricted unpickler (CVE-2025-32434) before 2.6."""
    with tarfile.open(path, "w") as tar:
        for name in ("storages", "tensors", "pickle"):
            data = pickle.dumps(Bomb(trace))
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))


def tar_with_a_zip_at_its_end(path, trace):
    """Both a tar and a zip archive, by whoever asks."""
    tar_of_pickles(path, trace)
    write_members(path.with_suffix(".zip"), {"archive/data.pkl": b"\x80\x02}."})
    path.write_bytes(path.read_bytes() + path.with_suffix(".zip").read_bytes())
    assert tarfile.is_tarfile(path)
    assert zipfile.is_zipfile(path)


def tar_that_begins_as_a_zip(path, trace):
    with tarfile.open(path, "w") as tar:
        data = pickle.dumps(Bomb(trace))
        info = tarfile.TarInfo("PK\x03\x04")
        info.size = len(data)
        tar.addfile(info, io.BytesIO(data))
    write_members(path.with_suffix(".zip"), {"archive/data.pkl": b"\x80\x02}."})
    path.write_bytes(path.read_bytes() + path.with_suffix(".zip").read_bytes())


@pytest.mark.parametrize(
    "write",
    [
        bare_pickle,
        pickle_of_protocol_0,
        legacy_file,
        tar_of_pickles,
        tar_with_a_zip_at_its_end,
        tar_that_begins_as_a_zip,
    ],
)
def test_another_container_is_refused(tmp_path, write):
    write(tmp_path / "other.pt", tmp_path / "ran")
    refusal(tmp_path / "other.pt")
    assert not (tmp_path / "ran").exists()


def test_the_reason_says_what_the_file_is(tmp_path):
    bare_pickle(tmp_path / "other.pt", tmp_path / "ran")
    refusal(tmp_path / "other.pt", "bare pickle")
    tar_with_a_zip_at_its_end(tmp_path / "other.pt", tmp_path / "ran")
    refusal(tmp_path / "other.pt", "tar archive")
    (tmp_path / "other.pt").write_bytes(b"")
    refusal(tmp_path / "other.pt", "empty")


def test_a_torchscript_program_is_refused(tmp_path):
    class Doubler(torch.nn.Module):
        def forward(self, x):
            return 2 * x

    torch.jit.save(torch.jit.script(Doubler()), str(tmp_path / "script.pt"))
    refusal(tmp_path / "script.pt", "TorchScript", "run code")


# --- archives that torch.save would not write ------------------------------------------------------------------------------


def before(whole):
    return b"#!/bin/sh\necho hello\n" + whole


def other_start(whole):
    return b"PK\x03\x04" + bytes(40) + whole


def after(whole):
    return whole + b"more"


def comment(whole):
    return whole[:-2] + struct.pack("<H", 4) + b"more"


@pytest.mark.parametrize("change", [before, other_start, after, comment])
def test_other_bytes_around_the_archive_are_refused(checkpoint, change):
    checkpoint.write_bytes(change(checkpoint.read_bytes()))
    refusal(checkpoint)


def test_bytes_between_the_members_are_refused(checkpoint, tmp_path):
    members = list(members_of(checkpoint).items())
    with (tmp_path / "gap.pt").open("wb") as file:
        for name, data in members:
            with zipfile.ZipFile(file, "a") as archive:
                archive.writestr(name, data)
                file.seek(0, 2)
                archive.start_dir += 64  # the next member is written after a gap
    refusal(tmp_path / "gap.pt", "other bytes")


def test_a_compressed_archive_is_refused_before_it_is_unpacked(tmp_path):
    bomb = {"archive/data.pkl": b"\x80\x02}.", "archive/data/0": bytes(2**26)}
    write_members(tmp_path / "bomb.pt", bomb, compression=zipfile.ZIP_DEFLATED)
    refusal(tmp_path / "bomb.pt", "compressed")


def test_members_that_share_bytes_are_refused(checkpoint, tmp_path):
    """A zip bomb of uncompressed members: many entries of the directory show the same bytes."""
    write_members(tmp_path / "shared.pt", {"a/data.pkl": b"\x80\x02}.", "a/data/0": b"x" * 64, "a/data/1": b"x" * 64})
    with zipfile.ZipFile(tmp_path / "shared.pt", "a") as archive:
        first, second = archive.infolist()[1:]
        second.header_offset, second.filename = first.header_offset, "a/data/1"
        archive._didModify = True
    refusal(tmp_path / "shared.pt")


@pytest.mark.parametrize(
    "name", ["archive/readme.txt", "archive/data/x", "archive/../escape", "data.pkl", "other/version", "/data/1"]
)
def test_a_member_too_many_is_refused(checkpoint, tmp_path, name):
    members = {"archive/" + key.partition("/")[2]: data for key, data in members_of(checkpoint).items()}
    members.pop("archive/version")
    read_tensor_file(write_members(tmp_path / "as before.pt", members))
    refusal(write_members(tmp_path / "more.pt", members | {name: b"data"}))


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_two_members_of_one_name_are_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "two.pt", "w") as archive:
        archive.writestr("archive/data.pkl", b"\x80\x02}.")
        archive.writestr("archive/data.pkl", b"\x80\x02].")
    refusal(tmp_path / "two.pt", "data.pkl")


def test_numbers_of_another_byte_order_are_refused(checkpoint, tmp_path):
    members = {name: b"big" if name.endswith("byteorder") else data for name, data in members_of(checkpoint).items()}
    refusal(write_members(tmp_path / "big.pt", members), "little-endian")


def test_an_archive_without_a_pickle_is_refused(tmp_path):
    refusal(write_members(tmp_path / "none.pt", {"archive/version": b"3"}), "data.pkl")


def test_an_oversized_card_is_refused_before_it_is_read(checkpoint, tmp_path, monkeypatch):
    monkeypatch.setattr(tensor_file, "MOST_PROGRAM_BYTES", 1000)
    refusal(checkpoint, "more than")
    monkeypatch.undo()
    program = b"\x80\x02" + b"N" * (tensor_file.MOST_INSTRUCTIONS + 1) + b"."
    refusal(with_program(checkpoint, tmp_path / "long.pt", program), "things")


# --- what the pickle asks for ------------------------------------------------------------------------------------------------


def text(value: str) -> bytes:
    return b"X" + struct.pack("<I", len(value.encode())) + value.encode()


STORAGE = b"(" + text("storage") + b"ctorch\nFloatStorage\n" + text("0") + text("cpu") + b"K%ctQ"


def tensor(offset=b"K\x00", size=b"K\x01\x85", stride=b"K\x01\x85", count=b"\x04", storage=STORAGE) -> bytes:
    """A program for a tensor on the storage data/0, of four float32."""
    return (
        b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n("
        + storage.replace(b"%c", count)
        + offset
        + size
        + stride
        + b"\x89ccollections\nOrderedDict\n)RtR."
    )


def four_numbers(path, program):
    return write_members(path, {"a/data.pkl": program, "a/data/0": struct.pack("<4f", 1, 2, 3, 4)})


def test_the_programs_below_begin_from_a_good_one(tmp_path):
    assert read_tensor_file(four_numbers(tmp_path / "good.pt", tensor())).tolist() == [1.0]


@pytest.mark.parametrize(
    "program",
    [
        b"cos\nmkdir\n" + text("{trace}") + b"\x85R.",
        b"cposix\nsystem\n" + text("mkdir {trace}") + b"\x85R.",
        b"cbuiltins\nexec\n" + text("import os; os.mkdir('{trace}')") + b"\x85R.",
        b"(" + text("{trace}") + b"ios\nmkdir\n.",
        text("os") + text("mkdir") + b"\x93" + text("{trace}") + b"\x85R.",
        b"(cos\nmkdir\n" + text("{trace}") + b"o.",
        b"ctorch.serialization\nload\n" + text("{trace}") + b"\x85R.",
        b"ctorch._utils\n_rebuild_tensor_v2.__globals__\n.",
        b"ctorch\nhub.load\n" + text("{trace}") + b"\x85R.",
        b"\x82\x01.",
        b"cnumpy.core.multiarray\n_reconstruct\n.",
    ],
)
def test_a_program_that_would_run_something_is_refused(tmp_path, program):
    trace = tmp_path / "ran"
    path = four_numbers(tmp_path / "bad.pt", b"\x80\x02" + program.replace(b"{trace}", str(trace).encode()))
    assert "refused" in refusal(path) or "damaged" in refusal(path)
    assert not trace.exists()


def test_the_refusal_names_what_is_asked_for(tmp_path):
    torch.save({"format": 1, "card": "{}", "weights": Bomb(tmp_path / "ran")}, tmp_path / "bad.pt")
    refusal(tmp_path / "bad.pt", f"{os.mkdir.__module__}.mkdir", "run code")
    torch.save(Bomb(tmp_path / "ran"), tmp_path / "bad.pt")
    refusal(tmp_path / "bad.pt", "run code")
    nested = {"card": [{"deep": (1, [Bomb(tmp_path / "ran")])}]}
    torch.save(nested, tmp_path / "bad.pt")
    refusal(tmp_path / "bad.pt", "run code")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    "program",
    [
        tensor(size=b"K\x05\x85"),  # CVE-2026-24747: more elements than the storage has
        tensor(count=b"\x64"),
        tensor(count=b"\x03"),
        tensor(offset=b"K\x04"),
        tensor(offset=b"J\xff\xff\xff\xff"),
        tensor(size=b"K\x02\x85", stride=b"K\x04\x85"),
        tensor(size=b"J\xff\xff\xff\xff\x85"),
        tensor(size=b"J\xff\xff\xff\x7f\x85", stride=b"K\x00\x85"),  # terabytes out of one number
        tensor(size=b"K\x01K\x01\x86"),
        tensor(size=b"X\x01\x00\x00\x00a\x85"),
        tensor(size=b"G\x3f\xf0\x00\x00\x00\x00\x00\x00\x85"),
        tensor(storage=b"K%c"),
        tensor(storage=STORAGE.replace(b"X\x01\x00\x00\x000", text("7"))),
        tensor(storage=STORAGE.replace(b"storage", b"modules")),
        tensor(storage=STORAGE.replace(b"ctorch\nFloatStorage\n", text("FloatStorage"))),
        tensor(storage=STORAGE.replace(b"FloatStorage", b"ComplexFloatStorage")),
        b"\x80\x02]K\x00K\x01s.",  # CVE-2026-24747: items set in what is no dict
        b"\x80\x02ctorch\nFloatStorage\nK\x00K\x01s.",
        b"\x80\x02}K\x01a.",
        b"\x80\x02}(K\x01u.",
        b"\x80\x02})K\x01s.",  # a tuple as a key: nested deep enough, its hash overflows the stack
        b"\x80\x02" + b")" + b"\x85" * 400_000 + b"}" + b"K\x01s.",
        b"\x80\x02ccollections\nOrderedDict\n](K\x01K\x02\x86e\x85R.",
        b"\x80\x02K\x01K\x01R.",
        b"\x80\x02.",
        b"\x80\x02R.",
        b"\x80\x02t.",
        b"\x80\x02e.",
        b"\x80\x02Q.",
        b"\x80\x02h\x09.",
        b"\x80\x02K\x01K\x01.",
        b"\x80\x02}",
        b"\x80\x02X\xff\xff\xff\x7fabc.",
        b"\x80\x02X\x01\x00\x00\x00\xff.",
        b"",
        b"\xff",
    ],
)
def test_a_program_that_makes_no_sense_is_refused(tmp_path, program):
    refusal(four_numbers(tmp_path / "bad.pt", program))


def test_lists_nested_deeply_are_read_or_refused_but_end_nothing(tmp_path, checkpoint):
    program = b"\x80\x02" + b"]" * 100_000 + b"a" * 99_999 + b"."
    assert type(read_tensor_file(four_numbers(tmp_path / "deep.pt", program))) is list


@pytest.mark.parametrize("kind", ["format", "card", "weights"])
def test_entries_of_other_types_are_refused(checkpoint, kind):
    content = torch.load(checkpoint, weights_only=True)
    for value in (torch.ones(3), [1], None, "x" * 10**5, {}, 1.0, (), True, 3):
        torch.save(content | {kind: value}, checkpoint)
        with pytest.raises(InputError) as caught:
            load_checkpoint(checkpoint)
        assert len(str(caught.value)) < len(str(checkpoint)) + 300


@pytest.mark.parametrize(("entry", "length"), [("title", 10**6), ("description", 10**5), ("data_licence", 10**5)])
def test_a_card_of_endless_text_is_refused(checkpoint, entry, length):
    content = torch.load(checkpoint, weights_only=True)
    card = json.loads(content["card"]) | {entry: "x" * length}
    torch.save(content | {"card": json.dumps(card)}, checkpoint)
    with pytest.raises(InputError, match=f"{entry}.*{length} characters") as caught:
        load_checkpoint(checkpoint)
    assert len(str(caught.value)) < len(str(checkpoint)) + 300


@pytest.mark.parametrize("seed", range(4))
def test_no_flipped_bit_ends_otherwise_than_refused_or_right(checkpoint, tmp_path, seed):
    """A flip may lie where nothing is read (times, padding); else it is found, by the checksums or by what it says."""
    whole, draw = checkpoint.read_bytes(), random.Random(seed)
    good = torch.load(checkpoint, weights_only=True)
    imported = set(sys.modules)
    refused = 0
    for _ in range(60):
        bit = draw.randrange(8 * len(whole))
        flipped = bytearray(whole)
        flipped[bit // 8] ^= 1 << bit % 8
        (tmp_path / "flipped.pt").write_bytes(flipped)
        try:
            assert same(read_tensor_file(tmp_path / "flipped.pt"), good)
        except InputError:
            refused += 1
    assert refused > 20
    assert set(sys.modules) == imported


@pytest.mark.parametrize("seed", range(4))
def test_no_changed_program_ends_otherwise_than_refused_or_read(checkpoint, tmp_path, seed):
    """The pickle itself is changed, with the checksum that fits: what comes out is data or a refusal."""
    (program,) = (data for name, data in members_of(checkpoint).items() if name.endswith("data.pkl"))
    draw = random.Random(seed)
    for _ in range(60):
        changed = bytearray(program)
        for _ in range(draw.randrange(1, 4)):
            changed[draw.randrange(len(changed))] = draw.randrange(256)
        path = with_program(checkpoint, tmp_path / "changed.pt", bytes(changed))
        try:
            assert type(read_tensor_file(path)) is dict
        except InputError as error:
            assert "\n" not in str(error)
