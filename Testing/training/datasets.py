"""A small data set in nnU-Net's raw layout, two tissues that a network can learn in seconds; checkpoints of random weights."""

import json
from pathlib import Path

import numpy as np
from unetseg.data.preprocessed_dataset import (
    PreprocessedCase,
    PreprocessedDataset,
    read_preprocessed_dataset,
)
from unetseg.data.preprocessed_writer import write_preprocessed_dataset
from UNetSegmenterLib.engine.io.geometry import Geometry
from UNetSegmenterLib.engine.io.image_writing import write_image, write_volume
from UNetSegmenterLib.engine.io.volume import Volume
from UNetSegmenterLib.engine.labels.structures import known_structure
from UNetSegmenterLib.engine.model.checkpoint import save_checkpoint
from UNetSegmenterLib.engine.model.normalisation import window
from UNetSegmenterLib.engine.model.preprocessing import Preprocessing

from ..engine.checkpoints import small_card, small_weights

GRID = Geometry((10, 40, 44), (3.0, 2.0, 2.0))
STRUCTURES = (known_structure("liver", 1, (1,)), known_structure("spleen", 2, (7,)))


def blobs(seed: int, shape=(10, 40, 44)) -> tuple[np.ndarray, np.ndarray]:
    """HU and labels of two bright ellipsoids (1: liver at 120 HU, 2: spleen at 220 HU) in a body of 0 HU, noisy."""
    rng = np.random.default_rng(seed)
    z, y, x = np.indices(shape).astype(float)
    labels = np.zeros(shape, np.uint8)
    for index, centre in ((1, (5, 20, 14)), (2, (5, 22, 32))):
        shifted = np.asarray(centre) + rng.uniform(-1.5, 1.5, 3)
        radii = np.array([4.0, 8.0, 7.0]) * rng.uniform(0.85, 1.15, 3)
        inside = sum(
            ((axis - place) / radius) ** 2 for axis, place, radius in zip((z, y, x), shifted, radii, strict=True)
        )
        labels[inside < 1] = index
    hu = np.choose(labels, (0, 120, 220)) + rng.normal(0, 15, shape)
    hu[:, :4] = -1000
    return hu.astype(np.int16), labels


def write_dataset(folder, cases=4, spacing=(3.0, 2.0, 2.0)):
    """nnU-Net v2 raw layout of `cases` blobs; returns the folder."""
    for i in range(cases):
        hu, labels = blobs(i)
        geometry = Geometry(hu.shape, spacing, (10.0 * i, 0.0, 0.0))
        write_volume(Volume(hu, geometry), folder / "imagesTr" / f"case{i}_0000.nii.gz")
        write_image(labels, geometry, folder / "labelsTr" / f"case{i}.nii.gz")
    description = {
        "name": "Blobs",
        "channel_names": {"0": "CT"},
        "labels": {"background": 0, "liver": 1, "spleen": 2},
        "numTraining": cases,
        "file_ending": ".nii.gz",
    }
    (folder / "dataset.json").write_text(json.dumps(description))
    return folder


def preprocessed_blobs(folder: Path) -> PreprocessedDataset:
    """Four cases of the blobs as `prepare` would write them, made without SimpleITK; two are trained on."""
    scans, labels = (np.concatenate(arrays) for arrays in zip(*map(blobs, range(4)), strict=True))
    around = ((0, 0), (4, 4), (2, 2))  # to a multiple of 16
    scans = np.pad(scans.clip(-200, 300), around, constant_values=-200)
    labels = np.pad(labels, around)
    cases = [
        PreprocessedCase(f"case{i}", 10 * i, 10 * i + 10, 4, 2, *GRID.shape[1:], GRID.spacing_mm, f"{i}", f"label {i}")
        for i in range(4)
    ]
    splits = {"train": ["case0", "case1"], "validation": ["case2"], "test": ["case3"]}
    preprocessing = Preprocessing(GRID.spacing_mm[1:], window(-200.0, 300.0), slice_distance_mm=GRID.spacing_mm[0])
    made = PreprocessedDataset(scans, labels, "Blobs", preprocessing, STRUCTURES, tuple(cases), splits, {})
    write_preprocessed_dataset(made, folder)
    return read_preprocessed_dataset(folder)


def write_scan(path: Path, seed: int = 0) -> Path:
    """The scan of one case of the blobs; returns the path."""
    write_volume(Volume(blobs(seed)[0], GRID), path)
    return path


def write_checkpoint(path: Path, seed: int = 0, **card) -> Path:
    """A checkpoint of the small network, with these entries of its card; returns the path."""
    made = small_card(**card)
    save_checkpoint(path, made, small_weights(made, seed))
    return path
