"""A checkpoint, a scan and a data set for the commands."""

from pathlib import Path

import pytest

from ..datasets import write_checkpoint, write_dataset, write_scan


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory) -> Path:
    """A checkpoint for three abdominal organs; its weights are random."""
    return write_checkpoint(tmp_path_factory.mktemp("models") / "small.pt")


@pytest.fixture(scope="session")
def scan(tmp_path_factory) -> Path:
    """The scan of one case of the blobs."""
    return write_scan(tmp_path_factory.mktemp("scans") / "scan.nii.gz")


@pytest.fixture
def dataset(tmp_path) -> Path:
    """A data set of three cases, which the test may change."""
    return write_dataset(tmp_path / "blobs", cases=3)
