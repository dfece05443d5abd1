"""The preprocessed data set: it holds what numpy can read, or nothing is left of it; the seed decides its splits."""

import numpy as np
import pytest
from unetseg.data.layouts.detection import read_dataset
from unetseg.data.preprocessed_dataset import read_preprocessed_dataset
from unetseg.data.splits import split_cases
from unetseg.training.preparation import prepare
from UNetSegmenterLib.engine.errors import InputError

from ..datasets import write_dataset


def test_seed_decides_the_split():
    names = [f"case{i}" for i in range(10)]
    splits = split_cases(names, test=3, validation=2, seed=0)
    assert splits == split_cases(names[::-1], test=3, validation=2, seed=0)
    assert splits != split_cases(names, test=3, validation=2, seed=1)
    assert sorted(name for members in splits.values() for name in members) == names
    with pytest.raises(InputError, match="Of 10 patients none is left"):
        split_cases(names, test=8, validation=2, seed=0)
    with pytest.raises(InputError, match="no such case"):
        split_cases(names, test=["case99"], validation=0, seed=0)


def test_data_set_with_other_arrays_is_refused(blob_dataset, tmp_path):
    prepare(blob_dataset, tmp_path / "preprocessed")
    images = np.load(tmp_path / "preprocessed" / "images.npy")
    images[0, 0, 0] += 1
    np.save(tmp_path / "preprocessed" / "images.npy", images)
    with pytest.raises(InputError, match=r"images\.npy is not the array"):
        read_preprocessed_dataset(tmp_path / "preprocessed")
    with pytest.raises(InputError, match="already holds a preprocessed"):
        prepare(blob_dataset, tmp_path / "preprocessed")


def test_failed_preparation_leaves_nothing(tmp_path):
    folder = write_dataset(tmp_path / "data", cases=2)
    (folder / "labelsTr" / "case1.nii.gz").write_bytes(b"no image")
    with pytest.raises(InputError, match=r"case1\.nii\.gz"):
        prepare(read_dataset(folder), tmp_path / "preprocessed")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data"]


def test_data_set_is_readable_with_numpy_alone(prepared_blobs, tmp_path):
    assert prepared_blobs.images.dtype == np.int16
    assert prepared_blobs.labels.dtype == np.uint8
    assert prepared_blobs.images.shape == prepared_blobs.labels.shape == (40, 48, 48)
    case = prepared_blobs.cases[1]
    assert (case.start, case.stop, case.rows, case.columns) == (10, 20, 40, 44)
    outside = np.array(prepared_blobs.images[case.start : case.stop])
    case_pixels = np.zeros(outside.shape[1:], bool)
    case_pixels[case.top : case.top + case.rows, case.left : case.left + case.columns] = True
    assert (outside[:, ~case_pixels] == -200).all()
