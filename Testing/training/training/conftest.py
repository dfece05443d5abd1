"""The blobs of a small data set, and the same preprocessed, for what is trained on them."""

import pytest
from unetseg.data.layouts.detection import read_dataset
from unetseg.data.preprocessed_dataset import read_preprocessed_dataset

from ..datasets import write_dataset


@pytest.fixture(scope="session")
def blob_dataset(tmp_path_factory):
    return read_dataset(write_dataset(tmp_path_factory.mktemp("blobs")))


@pytest.fixture(scope="session")
def prepared_blobs(blob_dataset, tmp_path_factory):
    from unetseg.training.preparation import prepare  # here: the tests of a GPU run without SimpleITK

    folder = tmp_path_factory.mktemp("preprocessed") / "blobs"
    prepare(blob_dataset, folder, window_hu=(-200.0, 300.0), test=["case3"], validation=["case2"])
    return read_preprocessed_dataset(folder)
