"""Files that torch.save does not write are refused with the reason: other containers, and archives that hold more or less."""

import io
import pickle
import struct
import tarfile
import zipfile

import pytest
import torch
from UNetSegmenterLib.engine.model import tensor_file
from UNetSegmenterLib.engine.model.tensor_file import read_tensor_file

from .tensor_files import Bomb, members_of, refusal, with_program, write_members

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
