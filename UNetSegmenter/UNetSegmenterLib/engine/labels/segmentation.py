"""A segmentation: the voxels of each structure on a grid, and the same on another grid."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field, replace

import numpy as np

from ..errors import InputError
from ..io.geometry import Geometry
from ..io.resampling import resample_array
from ..io.slicing_axis import AXIAL
from .structures import Structure


@dataclass(frozen=True)
class Segmentation:
    """Labels `(slices, rows, columns)` uint8 with 0 = background and value = `Structure.index`, and their geometry.

    Where structures overlap, `labels` holds the later one; `overlaps` holds, by structure index, the flat indices of the voxels
    that are hidden under another structure. `mask` gives the complete structure. `confidence` is the mean largest probability
    of the network along each outline (0 to 1, by structure index), if a network drew it. `notes` are what a user should know
    about how the file was read. `slicing_axis` ("axial", "coronal" or "sagittal") is that of the network that drew it, which all
    that is measured slice by slice follows; axial where no network did. `grid_is_known` is False for an empty file of one voxel,
    which describes no grid; `with_known_grid` gives it one.
    """

    labels: np.ndarray
    geometry: Geometry
    structures: tuple[Structure, ...]
    name: str = ""
    _: KW_ONLY
    attributes: dict[str, str] = field(default_factory=dict)
    overlaps: Mapping[int, np.ndarray] = field(default_factory=dict)
    confidence: Mapping[int, float] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    grid_is_known: bool = True
    slicing_axis: str = AXIAL

    def __post_init__(self) -> None:
        if self.labels.shape != self.geometry.shape:
            raise InputError(f"{self.name}: labels of {self.labels.shape} on a grid of {self.geometry.shape}.")

    def mask(self, index: int) -> np.ndarray:
        """Boolean array of all voxels of the structure with this index, including those under another structure."""
        mask = self.labels == index
        if index in self.overlaps:
            mask.reshape(-1)[self.overlaps[index]] = True
        return mask

    def with_known_grid(self, grid: Geometry) -> Segmentation:
        """The segmentation itself, or an empty one on `grid` if its own grid is not known."""
        if self.grid_is_known:
            return self
        return replace(self, labels=np.zeros(grid.shape, dtype=np.uint8), geometry=grid, grid_is_known=True)

    def overlap_ml(self) -> float:
        """Volume of the voxels that belong to more than one structure, in ml."""
        if not self.overlaps:
            return 0.0
        return len(np.unique(np.concatenate(list(self.overlaps.values())))) * self.geometry.voxel_ml


def paint(shape: tuple[int, ...], masks: Sequence[np.ndarray]) -> tuple[np.ndarray, dict[int, np.ndarray]]:
    """Labels of some masks, where mask n becomes label n + 1 and later masks hide earlier ones.

    Returns:
        Labels uint8, and by label the flat indices of the voxels that are hidden under another one.
    """
    labels = np.zeros(shape, dtype=np.uint8)
    for index, mask in enumerate(masks, start=1):
        labels[mask] = index
    hidden = ((i, np.flatnonzero(mask & (labels != i))) for i, mask in enumerate(masks, start=1))
    return labels, {index: voxel_indices for index, voxel_indices in hidden if voxel_indices.size}


def resample_labels(labels: np.ndarray, geometry: Geometry, target: Geometry) -> np.ndarray:
    """Labels on the grid `target`, each voxel taken from the nearest one of `geometry`, 0 outside; uint8."""
    return resample_array(np.asarray(labels, dtype=np.uint8), geometry, target, nearest=True)


def resample_segmentation(segmentation: Segmentation, target: Geometry) -> Segmentation:
    """The segmentation on another grid, by nearest neighbour, overlaps included."""
    labels = resample_labels(segmentation.labels, segmentation.geometry, target)
    overlaps = {}
    for index in segmentation.overlaps:
        mask = resample_labels(segmentation.mask(index), segmentation.geometry, target).astype(bool)
        overlaps[index] = np.flatnonzero(mask & (labels != index))
    return replace(segmentation, labels=labels, geometry=target, overlaps=overlaps)
