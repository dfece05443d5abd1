"""A checkpoint, a data set, and the command in this process."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from unetseg.cli.main import main

from ..datasets import write_checkpoint, write_dataset
from .evaluations import CARD, CASES


@pytest.fixture
def unetseg(capsys):
    """The command in this process, which spares the start of Python; interruptions use a real one."""

    def run(*arguments) -> subprocess.CompletedProcess:
        capsys.readouterr()
        status = main(list(map(str, arguments)))
        return subprocess.CompletedProcess(arguments, status, *capsys.readouterr())

    return run


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory) -> Path:
    return write_checkpoint(tmp_path_factory.mktemp("models") / "small.pt", **CARD)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory) -> Path:
    return write_dataset(tmp_path_factory.mktemp("blobs"), CASES)
