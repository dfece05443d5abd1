"""A segmentation: the voxels of each structure on a grid, and the same on another grid."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field, replace

import numpy as np

from ..errors import InputError
from ..io.geometry import Geometry
from ..io.resampling import resample_array
from ..io.slicing_axis import AXIAL
from ..io.volume import SeriesIdentity
from .cropped_grid import continued, reach
from .postprocessing_change import PostprocessingChange, changes_text
from .structures import Structure


@dataclass(frozen=True)
class Segmentation:
    """Labels `(slices, rows, columns)` uint8 with 0 = background and value = `Structure.index`, and their geometry.

    Where structures overlap, `labels` holds the later one; `overlaps` holds, by structure index, the flat indices of the voxels
    that are hidden under another structure. `mask` gives the complete structure. `confidence` is the mean largest probability
    of the network along each outline (0 to 1, by structure index), if a network drew it, and `postprocessing` what was changed
    of the structures afterwards. `notes` are what a user should know
    about how the file was read. `slicing_axis` ("axial", "coronal" or "sagittal") is that of the network that drew it, which all
    that is measured slice by slice follows; axial where no network did. `grid_is_known` is False for an empty file of one voxel,
    which describes no grid, and `grid_is_complete` for a file that leaves out slices without labels, so that its grid may end
    anywhere: `with_known_grid` gives them one. `drawn_on` is the DICOM series that the file names. `ignored` are the voxels that
    an annotator left undecided (boolean, None for none); they are background in `labels`, and nothing is measured there.
    """

    labels: np.ndarray
    geometry: Geometry
    structures: tuple[Structure, ...]
    name: str = ""
    _: KW_ONLY
    attributes: dict[str, str] = field(default_factory=dict)
    overlaps: Mapping[int, np.ndarray] = field(default_factory=dict)
    confidence: Mapping[int, float] = field(default_factory=dict)
    postprocessing: Mapping[int, PostprocessingChange] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    grid_is_known: bool = True
    slicing_axis: str = AXIAL
    grid_is_complete: bool = True
    drawn_on: SeriesIdentity | None = None
    ignored: np.ndarray | None = None

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
        """The segmentation itself; on `grid` if it is empty and has none, continued over it if it may end anywhere."""
        if not self.grid_is_known:
            return replace(self, labels=np.zeros(grid.shape, dtype=np.uint8), geometry=grid, grid_is_known=True)
        if self.grid_is_complete:
            return self
        low, high = reach(grid, self.geometry)
        if (high <= 0).any() or (low >= np.array(self.geometry.shape[::-1])).any():
            return self
        labels, overlaps, geometry = continued(self.labels, self.overlaps, self.geometry, grid, self.name)
        return replace(self, labels=labels, overlaps=overlaps, geometry=geometry)

    def restricted_to(self, structures: Sequence[Structure]) -> Segmentation:
        """The same without all other structures; their voxels become background, or what they hid."""
        kept = {structure.index for structure in structures}
        table = np.array([index if index in kept else 0 for index in range(256)], np.uint8)
        labels, overlaps = table[self.labels], {}
        for index in sorted(kept & set(self.overlaps)):
            mask = self.mask(index)
            labels[mask & (labels == 0)] = index
            if (hidden := np.flatnonzero(mask & (labels != index))).size:
                overlaps[index] = hidden
        return replace(
            self,
            labels=labels,
            structures=tuple(structure for structure in self.structures if structure.index in kept),
            overlaps=overlaps,
            confidence={index: value for index, value in self.confidence.items() if index in kept},
            postprocessing={index: change for index, change in self.postprocessing.items() if index in kept},
        )

    def changes_text(self) -> str:
        """What postprocessing changed, as one sentence; empty if it changed nothing."""
        named = ((one.name, self.postprocessing.get(one.index)) for one in self.structures)
        return changes_text((name, change) for name, change in named if change)

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


class Canvas:
    """Labels into which masks of slices are painted; the later structure hides the earlier one."""

    def __init__(self, shape: tuple[int, int, int]) -> None:
        self.labels = np.zeros(shape, np.uint8)
        self._hidden: dict[int, list[np.ndarray]] = {}

    def paint(self, number: int, index: int, mask: np.ndarray) -> None:
        """Add the pixels `mask` (rows, columns) of slice `number` to a structure whose index is not below those before."""
        below = self.labels[number]
        under = np.flatnonzero(mask & (below != 0) & (below != index))
        hidden = below.reshape(-1)[under]
        for other in np.unique(hidden):
            self._hidden.setdefault(int(other), []).append(under[hidden == other] + number * below.size)
        below[mask] = index

    def overlaps(self) -> dict[int, np.ndarray]:
        """Flat indices of the voxels of each structure that are hidden under another one."""
        return {index: np.unique(np.concatenate(parts)) for index, parts in sorted(self._hidden.items())}


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
    ignored = segmentation.ignored
    if ignored is not None:
        ignored = resample_labels(ignored, segmentation.geometry, target).astype(bool)
    return replace(
        segmentation, labels=labels, geometry=target, overlaps=overlaps, grid_is_complete=True, ignored=ignored
    )
