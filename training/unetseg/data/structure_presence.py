"""Which slices of a preprocessed data set hold which structures."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

import numpy as np
from UNetSegmenterLib.engine.errors import InputError
from UNetSegmenterLib.engine.labels.structures import Structure

if TYPE_CHECKING:
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


def check_learnable(
    present: np.ndarray, structures: Sequence[Structure], size: tuple[int, int], pixel_mm: float
) -> None:
    """Check that patches can reach every structure: some training case has it at the network's grid.

    Args:
        present: whether some slice of a training case holds each structure, bool (structures,).
        structures: what is to be learned.
        size: rows and columns that slices were cut to; (0, 0) for whole slices.
        pixel_mm: the network's pixels.

    Raises:
        InputError: no training case has a structure any more.
    """
    if lost := [structure.name for structure, there in zip(structures, present, strict=True) if not there]:
        cut = f", and slices of {size[0]} x {size[1]} pixels about the body" if all(size) else ""
        raise InputError(
            f"No training case has a pixel of {', '.join(lost)} left at the network's grid (pixels of {pixel_mm:g} mm{cut}), so "
            "no patch can reach it; take a larger --size or a smaller --spacing, or leave it out with --structures."
        )


def absent_structures(dataset: PreprocessedDataset, cases: Collection[str]) -> list[str]:
    """Names of the structures that none of the named cases has, by the data set's fingerprint; empty where it says nothing."""
    volumes = [one["structure_ml"] for one in dataset.fingerprint.get("by_case", ()) if one["name"] in cases]
    names = [structure.name for structure in dataset.structures]
    return [name for name in names if volumes and not any(volume.get(name, 0) > 0 for volume in volumes)]
