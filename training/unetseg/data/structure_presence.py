"""Which slices of a preprocessed data set hold which structures."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np
from UNetSegmenterLib.engine.labels.structures import Structure

from .preprocessed_dataset import PreprocessedDataset


def structure_presence(labels: np.ndarray, structures: Sequence[Structure]) -> np.ndarray:
    """Whether each slice holds each structure; one pass, with one slice in memory.

    Args:
        labels: uint8 structure indices (slices, rows, columns).
        structures: the structures, in the order of the columns.

    Returns:
        bool (slices, structures).
    """
    indices = [structure.index for structure in structures]
    counts = (np.bincount(one.ravel(), minlength=256)[indices] for one in labels)
    return np.array([count > 0 for count in counts], dtype=bool).reshape(len(labels), len(indices))


def absent_structures(dataset: PreprocessedDataset, cases: Collection[str]) -> list[str]:
    """Names of the structures that none of the named cases has, by the data set's fingerprint; empty where it says nothing."""
    volumes = [one["structure_ml"] for one in dataset.fingerprint.get("by_case", ()) if one["name"] in cases]
    names = [structure.name for structure in dataset.structures]
    return [name for name in names if volumes and not any(volume.get(name, 0) > 0 for volume in volumes)]
