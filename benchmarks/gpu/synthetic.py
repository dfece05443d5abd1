"""A preprocessed data set of synthetic hearts made with numpy alone, where no other is at hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from unetseg.data.preprocessed_dataset import PreprocessedCase, PreprocessedDataset
from unetseg.data.preprocessed_writer import write_preprocessed_dataset
from unetseg.synthetic.phantom_anatomy import LABEL_VALUES, anatomy
from UNetSegmenterLib.engine.labels.structures import HEART
from UNetSegmenterLib.engine.model.normalisation import window
from UNetSegmenterLib.engine.model.preprocessing import Preprocessing

FIELD_MM = 250.0
WINDOW_HU = (-150, 550)


def write_hearts(folder: Path, cases: int, slices: int, pixels: int) -> None:
    """Hearts of `slices` x `pixels` x `pixels` in air-free slices; two thirds are trained on, the others validated."""
    lengths_mm = np.array([0.66 * FIELD_MM, FIELD_MM, FIELD_MM])
    shape = np.array([slices, pixels, pixels])
    spacing = tuple(float(step) for step in lengths_mm / shape)
    axes = [(np.arange(n) - (n - 1) / 2) * step for n, step in zip(shape, spacing, strict=True)]
    z, y, x = np.meshgrid(*axes, indexing="ij")
    points = np.stack([x.ravel(), y.ravel(), z.ravel()], axis=1).astype(np.float32)
    index_of = np.zeros(max(LABEL_VALUES) + 1, np.uint8)
    index_of[list(LABEL_VALUES)] = np.arange(1, len(LABEL_VALUES) + 1)
    images, labels = [], []
    for case in range(cases):
        random = np.random.default_rng(case)
        values, tissue = anatomy(points, random)
        noisy = tissue.reshape(shape) + random.normal(0, 20, shape)
        images.append(noisy.clip(*WINDOW_HU).astype(np.int16))
        labels.append(index_of[values].reshape(shape))
    members = tuple(
        PreprocessedCase(f"heart{i}", i * slices, (i + 1) * slices, 0, 0, pixels, pixels, spacing, f"{i}", f"label {i}")
        for i in range(cases)
    )
    names = [member.name for member in members]
    trained = max(1, cases * 2 // 3)
    splits = {"train": names[:trained], "validation": names[trained:], "test": []}
    preprocessing = Preprocessing(spacing[1:], window(*map(float, WINDOW_HU)), slice_distance_mm=spacing[0])
    made = PreprocessedDataset(
        np.concatenate(images), np.concatenate(labels), "Hearts", preprocessing, HEART, members, splits, {}
    )
    write_preprocessed_dataset(made, folder)
