"""Files of tensors to read and to refuse, for the tests of their reader."""

import os
import zipfile

import pytest
import torch
from UNetSegmenterLib.engine.errors import InputError
from UNetSegmenterLib.engine.model.tensor_file import read_tensor_file


class Bomb:
    """Makes a folder when it is unpickled."""

    def __init__(self, trace):
        self.trace = trace

    def __reduce__(self):
        return os.mkdir, (str(self.trace),)


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
