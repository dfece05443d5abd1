"""A small preprocessed data set of synthetic hearts for everything that trains; checkpoint, scan and data set for commands."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from unetseg.data.layouts.detection import read_dataset
from unetseg.data.preprocessed_dataset import PreprocessedDataset, read_preprocessed_dataset
from unetseg.training.configuration import TrainingConfig

from .datasets import write_checkpoint, write_dataset, write_scan


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def hearts(tmp_path_factory) -> Path:
    """Five hearts in MM-WHS layout, 8 slices of 40 x 40 pixels."""
    from unetseg.synthetic.phantom_cases import write_phantoms  # here: the tests of a GPU run without SimpleITK

    folder = tmp_path_factory.mktemp("hearts")
    write_phantoms(folder, 5, seed=10, shape=(8, 40, 40))
    return folder


@pytest.fixture(scope="session")
def preprocessed_folder(hearts, tmp_path_factory) -> Path:
    """The hearts preprocessed at 6 mm: three to train on, one to validate, one to test."""
    from unetseg.training.preparation import prepare

    folder = tmp_path_factory.mktemp("preprocessed") / "hearts"
    prepare(read_dataset(hearts), folder, spacing_mm=6.0, window_hu=(-100.0, 500.0), test=1, validation=1)
    return folder


@pytest.fixture
def preprocessed(preprocessed_folder) -> PreprocessedDataset:
    return read_preprocessed_dataset(preprocessed_folder)


@pytest.fixture
def small_config() -> TrainingConfig:
    """Twelve steps of a tiny network: for tests of everything but the accuracy."""
    return TrainingConfig(steps=12, batch_size=4, patch=(32, 32), base_width=4, depth=2, loss="cross_entropy")


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
