"""Which voxels belong to which structure: labels on a grid, and the same on another grid."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from ..errors import InputError
from ..io.geometry import Geometry
from ..io.resampling import resample_array
from .structures import Structure


@dataclass(frozen=True)
class Segmentation:
    """Labels `(slices, rows, columns)` uint8 with 0 = background and value = `Structure.index`, and their geometry.

    Where structures overlap, `labels` shows the later one; `overlaps` keeps, by structure index, the flat voxel indices
    that lie under another one. `mask` gives the whole structure. `confidence` is how sure the network was along each
    outline when it drew it (mean largest probability, 0 to 1, by structure index), as far as a network did. `notes` say
    what a user should know of how the file was read. `grid_is_known` is False for an empty file whose one voxel says
    nothing of a grid: `placed_on` gives it the grid of whatever it meets.
    """

    labels: np.ndarray
    geometry: Geometry
    structures: tuple[Structure, ...]
    name: str = ""
    attributes: dict[str, str] = field(default_factory=dict)
    overlaps: Mapping[int, np.ndarray] = field(default_factory=dict)
    confidence: Mapping[int, float] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    grid_is_known: bool = True

    def __post_init__(self) -> None:
        if self.labels.shape != self.geometry.shape:
            raise InputError(f"{self.name}: labels of {self.labels.shape} on a grid of {self.geometry.shape}.")

    def mask(self, index: int) -> np.ndarray:
        """Boolean array of all voxels of the structure with this index, those under another structure included."""
        mask = self.labels == index
        if index in self.overlaps:
            mask.reshape(-1)[self.overlaps[index]] = True
        return mask

    def placed_on(self, grid: Geometry) -> Segmentation:
        """The segmentation itself, or the same emptiness on `grid` if its own grid means nothing."""
        if self.grid_is_known:
            return self
        return replace(self, labels=np.zeros(grid.shape, dtype=np.uint8), geometry=grid, grid_is_known=True)

    def overlap_ml(self) -> float:
        """Volume that more than one structure claims, in ml."""
        if not self.overlaps:
            return 0.0
        return len(np.unique(np.concatenate(list(self.overlaps.values())))) * self.geometry.voxel_ml


def paint(shape: tuple[int, ...], masks: Sequence[np.ndarray]) -> tuple[np.ndarray, dict[int, np.ndarray]]:
    """Labels with mask n as n + 1, later over earlier, and what each structure has under others."""
    labels = np.zeros(shape, dtype=np.uint8)
    for index, mask in enumerate(masks, start=1):
        labels[mask] = index
    hidden = ((i, np.flatnonzero(mask & (labels != i))) for i, mask in enumerate(masks, start=1))
    return labels, {index: places for index, places in hidden if places.size}


def resample_labels(labels: np.ndarray, geometry: Geometry, target: Geometry) -> np.ndarray:
    """Labels on the grid `target`, each voxel taken from the nearest one of `geometry`, 0 outside; uint8."""
    return resample_array(np.asarray(labels, dtype=np.uint8), geometry, target, nearest=True)


def resample_segmentation(segmentation: Segmentation, target: Geometry) -> Segmentation:
    """The same segmentation on another grid, nearest neighbour, overlaps included."""
    labels = resample_labels(segmentation.labels, segmentation.geometry, target)
    overlaps = {}
    for index in segmentation.overlaps:
        mask = resample_labels(segmentation.mask(index), segmentation.geometry, target).astype(bool)
        overlaps[index] = np.flatnonzero(mask & (labels != index))
    return replace(segmentation, labels=labels, geometry=target, overlaps=overlaps)
