"""The pickle in an archive asks for tensors, numbers and text; whatever else it asks for is refused and not run."""

import json
import os
import random
import struct
import sys

import pytest
import torch
from UNetSegmenterLib.engine.errors import InputError
from UNetSegmenterLib.engine.model.checkpoint import load_checkpoint
from UNetSegmenterLib.engine.model.tensor_file import read_tensor_file

from .tensor_files import Bomb, members_of, refusal, same, with_program, write_members


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
