"""A segmentation prepared for measuring: axial order, one mask per structure, contact areas between all of them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import SimpleITK as sitk

from ..errors import InputError
from ..io.geometry import Geometry, grid_difference
from ..io.slicing_axis import slicing_axis
from ..io.volume import HU, Volume
from ..labels.bounding_boxes import Box, bounding_box, label_boxes
from ..labels.segmentation import Segmentation
from ..labels.structures import Structure, canonical_name

WORKING_SPACING_MM = 1.5
"""Spacing in a slice that is fine enough for every check; finer grids are thinned to about this (slices never are)."""

SUBSTANTIAL_FRACTION = 0.05
"""A connected component below this fraction of its structure's volume is a small component."""

AIR_HU = -120
"""Below it lies air or lung; set so high that scans whose HU were clipped at -125 still show where the body ends."""

_NEIGHBOURHOOD = 4  # pixels to each side that `densest_voxel` looks at, about 6 mm

VoxelIndex = tuple[float, float, float]
"""(slice, row, column) in an array, as floats, because a centroid lies between voxels."""


@dataclass(frozen=True)
class Component:
    """A connected component: its number of voxels, and its centroid in the working grid."""

    voxels: int
    centroid: VoxelIndex


class StructureMask:
    """One structure in the working grid.

    Attributes:
        structure: The structure that the mask is of.
        mask: Its voxels, boolean, cropped to the structure.
        corner: First voxel of `mask` (slice, row, column) in the working grid.
        grid_shape: Shape of the working grid.
        faces: Whether it reaches the volume's inferior, superior, anterior, posterior, right and left face.
        profiles: Number of voxels in each layer along each of the three axes.
        small_components: Components that `without_small_components` has taken out of the mask.
    """

    def __init__(
        self,
        structure: Structure,
        mask: np.ndarray,
        corner: tuple[int, int, int],
        grid_shape: tuple[int, int, int],
        voxel_ml: float,
    ) -> None:
        self.structure = structure
        self.grid_shape, self.voxel_ml = grid_shape, voxel_ml
        self.small_components: list[Component] = []
        ends = zip(corner, mask.shape, grid_shape, strict=True)
        self.faces = tuple(hit for first, n, last in ends for hit in (first == 0, first + n == last))
        self.mask = mask
        self.corner = corner
        self.voxels = int(np.count_nonzero(mask))
        self.volume_ml = self.voxels * voxel_ml
        self.profiles = tuple(mask.sum(axis=other) for other in ((1, 2), (0, 2), (0, 1)))

    @property
    def box(self) -> Box:
        """Where the mask lies in the working grid."""
        return tuple(slice(c, c + n) for c, n in zip(self.corner, self.mask.shape, strict=True))  # type: ignore[return-value]

    @cached_property
    def centroid(self) -> VoxelIndex:
        """Centre of gravity in the working grid."""
        return self.to_working_grid(*(float(np.arange(p.size) @ p) / self.voxels for p in self.profiles))

    def to_working_grid(self, *inside: float) -> VoxelIndex:
        """Index in the working grid of an index (slice, row, column) in the cropped mask."""
        return tuple(float(c + i) for c, i in zip(self.corner, inside, strict=True))  # type: ignore[return-value]

    @cached_property
    def central_voxel(self) -> VoxelIndex:
        """The central voxel of the slice nearest to the centroid: in the structure even where a hollow one's centroid is not."""
        filled = np.flatnonzero(self.profiles[0])
        return self.central_voxel_of_layer(0, int(filled[np.abs(filled + self.corner[0] - self.centroid[0]).argmin()]))

    def central_voxel_of_layer(self, axis: int, layer: int) -> VoxelIndex:
        """The structure's voxel nearest to the middle of one layer of `mask`, which must not be empty."""
        inside = np.argwhere(np.take(self.mask, layer, axis=axis))
        nearest = inside[((inside - inside.mean(axis=0)) ** 2).sum(axis=1).argmin()]
        return self.to_working_grid(*(float(v) for v in np.insert(nearest, axis, layer)))

    @cached_property
    def _ranked(self) -> tuple[tuple[np.ndarray, ...], np.ndarray, np.ndarray]:
        """Indices of all voxels, the rank of the component that each belongs to (0 is the largest), and the components' sizes.

        Voxels that touch at a corner are connected (26 neighbours). Components that leave the volume through the same face
        as the main body count as one with it: they may meet outside, as the ascending and the descending aorta do.
        """
        labelled = sitk.GetArrayFromImage(sitk.ConnectedComponent(_image(self.mask), True))
        indices = np.nonzero(self.mask)
        component_of = self._joined_outside(labelled[indices], indices)
        sizes = np.bincount(component_of)
        order = np.argsort(sizes)[::-1][: np.count_nonzero(sizes)]
        rank = np.zeros(len(sizes), np.int32)
        rank[order] = np.arange(len(order))
        return indices, rank[component_of], sizes[order]

    @cached_property
    def components(self) -> list[Component]:
        """Connected components, largest first; after the largest hundred, the structure's corner stands for the centroid."""
        indices, rank, sizes = self._ranked
        sums = [np.bincount(rank, weights=axis) for axis in indices]
        near = [tuple(float(s[i] / size) for s in sums) for i, size in enumerate(sizes[:100])]
        far = [(0.0, 0.0, 0.0)] * (len(sizes) - len(near))
        return [Component(int(size), self.to_working_grid(*c)) for size, c in zip(sizes, [*near, *far], strict=True)]

    def without_small_components(self) -> StructureMask:
        """The structure's main body, which holds its small components apart in `small_components`.

        They are one fault, and add no gap, extent or position to the organ.
        """
        indices, rank, sizes = self._ranked
        kept = max(1, int(np.count_nonzero(sizes >= SUBSTANTIAL_FRACTION * self.voxels)))
        if kept == len(sizes):
            return self
        inside = [axis[rank < kept] for axis in indices]
        box = tuple(slice(int(axis.min()), int(axis.max()) + 1) for axis in inside)
        mask = np.zeros_like(self.mask)
        mask[tuple(inside)] = True
        corner = self.corner[0] + box[0].start, self.corner[1] + box[1].start, self.corner[2] + box[2].start
        body = StructureMask(self.structure, mask[box], corner, self.grid_shape, self.voxel_ml)
        body.components, body.small_components = self.components[:kept], self.components[kept:]
        return body

    def _joined_outside(self, component_of: np.ndarray, indices: tuple[np.ndarray, ...]) -> np.ndarray:
        """Component numbers of the voxels, with the components that share a face of the volume with the largest given to it."""
        main = int(np.argmax(np.bincount(component_of)))
        joined = component_of.copy()
        for face, outside in enumerate(self.faces):
            end = 0 if face % 2 == 0 else self.mask.shape[face // 2] - 1
            at_face = np.unique(component_of[indices[face // 2] == end]) if outside else np.array([])
            if main in at_face:
                joined[np.isin(component_of, at_face)] = main
        return joined

    def cavities(self, solid: np.ndarray) -> list[Component]:
        """Background that the structure encloses (6 neighbours), the largest cavity first.

        Args:
            solid: Voxels of other structures, boolean, cropped as `mask` is; they are no cavity.
        """
        filled = sitk.GetArrayFromImage(sitk.BinaryFillhole(_image(self.mask), False)).view(np.bool_)
        holes = filled & ~self.mask & ~solid
        if not holes.any():
            return []
        labelled = sitk.GetArrayFromImage(sitk.ConnectedComponent(_image(holes), False))
        sizes = np.bincount(labelled.ravel())[1:]
        largest = 1 + int(np.argmax(sizes))
        inside = self.to_working_grid(*densest_voxel(labelled == largest))
        return [Component(int(size), inside) for size in np.sort(sizes)[::-1]]


def densest_voxel(mask: np.ndarray) -> VoxelIndex:
    """The voxel of a boolean array with most others around it, in the slice that has most; the array must not be empty."""
    layer = int(np.argmax(np.count_nonzero(mask, axis=(1, 2))))
    plane = mask[layer]
    radius = (_NEIGHBOURHOOD, _NEIGHBOURHOOD)
    around = sitk.GetArrayFromImage(sitk.BoxMean(_image(plane.astype(np.uint8) * 200), radius))
    row, column = np.unravel_index(int(np.argmax(np.where(plane, around, 0))), plane.shape)
    return float(layer), float(row), float(column)


def _image(mask: np.ndarray) -> sitk.Image:
    return sitk.GetImageFromArray(np.ascontiguousarray(mask).view(np.uint8))


class Anatomy:
    """A segmentation in the working grid, and what more than one check measures on it.

    The working grid is the axial view (slices inferior to superior, rows anterior to posterior, columns right to left) of
    the segmentation, thinned to about 1.5 mm except along its slicing axis.

    Attributes:
        labels: Label of every voxel of the working grid (slices, rows, columns), uint8.
        scan: The scan in the working grid; None without a scan.
        hu: The same, None if its values are not HU.
        spacing_mm: Spacing of the working grid (slice, row, column).
        keys: Name under which each structure is compared, by its index.
        present: The masks of the structures that have voxels, by name.
        absent: The structures without voxels, by name.
        confidence: Mean confidence of the network along the outline, by name, for the structures that have one.
        postprocessing: What postprocessing changed, by name, for the structures that it changed.
        slicing_axis: The axis along which the network that drew the segmentation, if one did, cut the scan into slices.
        slices_along: The axis of the working grid nearest to it.

    Raises:
        InputError: If the scan does not have the segmentation's grid.
    """

    def __init__(
        self,
        segmentation: Segmentation,
        volume: Volume | None = None,
    ) -> None:
        _check_grids(segmentation, volume)
        self.geometry: Geometry = segmentation.geometry
        spacing = self.geometry.axial_spacing_mm
        self.slicing_axis = slicing_axis(segmentation.slicing_axis)
        self.slices_along = 2 - self.slicing_axis.component
        strides = (max(1, round(WORKING_SPACING_MM / step)) for step in spacing)
        self.stride = tuple(1 if axis == self.slices_along else stride for axis, stride in enumerate(strides))
        self.spacing_mm = np.array(spacing) * self.stride
        self.voxel_ml = float(np.prod(self.spacing_mm)) / 1000
        self.labels = np.ascontiguousarray(self._thin(segmentation.labels))
        self.scan = None if volume is None else self._thin(volume.array)
        self.hu = self.scan if volume is not None and volume.intensities == HU else None
        self.structures = segmentation.structures
        self.keys = _keys(segmentation.structures)
        self.present = {self.keys[organ.structure.index]: organ for organ in self._masks(segmentation)}
        self.absent = {key: s for s in self.structures if (key := self.keys[s.index]) not in self.present}
        self.confidence = {self.keys[index]: value for index, value in segmentation.confidence.items()}
        self.postprocessing = {self.keys[index]: change for index, change in segmentation.postprocessing.items()}

    def _thin(self, array: np.ndarray) -> np.ndarray:
        return self.geometry.to_axial(array)[tuple(slice(None, None, step) for step in self.stride)]

    def _masks(self, segmentation: Segmentation) -> list[StructureMask]:
        boxes = label_boxes(self.labels, [structure.index for structure in segmentation.structures])
        masks = []
        for structure in segmentation.structures:
            if structure.index in segmentation.overlaps:
                whole = self._thin(segmentation.mask(structure.index))
                found = bounding_box(whole)
            else:
                found = boxes.get(structure.index)
                whole = None
            if found is None:
                continue
            mask = self.labels[found] == structure.index if whole is None else np.ascontiguousarray(whole[found])
            corner = (found[0].start, found[1].start, found[2].start)
            masks.append(StructureMask(structure, mask, corner, self.shape, self.voxel_ml).without_small_components())
        return masks

    @property
    def shape(self) -> tuple[int, int, int]:
        """Shape of the working grid."""
        return self.labels.shape

    def to_mm(self, voxel_index: VoxelIndex) -> np.ndarray:
        """Distance (mm) of a position of the working grid from its first voxel, along superior, posterior and left."""
        return np.asarray(voxel_index) * self.spacing_mm

    def to_ras_mm(self, voxel_index: VoxelIndex) -> tuple[float, float, float]:
        """A position of the working grid in the patient's RAS coordinates, mm, to two decimals."""
        axes, flips = self.geometry.axial()
        index = [0.0, 0.0, 0.0]
        for value, step, axis, flipped in zip(voxel_index, self.stride, axes, flips, strict=True):
            full = value * step
            index[axis] = self.geometry.shape[axis] - 1 - full if flipped else full
        x, y, z = self.geometry.position_ras_mm(index)
        return round(x, 2), round(y, 2), round(z, 2)

    @cached_property
    def contacts_mm2(self) -> np.ndarray:
        """Area of the voxel faces between every two labels: (labels, labels), symmetric; index 0 is background."""
        count = max(s.index for s in self.structures) + 1 if self.structures else 1
        areas = np.zeros((count, count))
        low, high = _bounds(self.present.values(), self.shape)
        inside = self.labels[tuple(slice(a, b) for a, b in zip(low, high, strict=True))]
        for axis in range(3):
            face_mm2 = float(np.prod(np.delete(self.spacing_mm, axis)))
            here, there = inside[_slices(axis, 0, -1)], inside[_slices(axis, 1, None)]
            differ = here != there
            codes = here[differ].astype(np.int32) * count + there[differ]
            areas += np.bincount(codes, minlength=count * count).reshape(count, count) * face_mm2
        return areas + areas.T

    def contact_voxel(self, first: StructureMask, second: StructureMask) -> VoxelIndex | None:
        """A voxel of the first structure that touches the second one; None if the two do not touch."""
        low, high = _bounds([first], self.shape)
        window = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
        mine, theirs = (self.labels[window] == organ.structure.index for organ in (first, second))
        touching = np.zeros_like(mine)
        for axis in range(3):
            lower, upper = _slices(axis, 0, -1), _slices(axis, 1, None)
            touching[lower] |= mine[lower] & theirs[upper]
            touching[upper] |= mine[upper] & theirs[lower]
        if not touching.any():
            return None
        return tuple(float(a + v) for a, v in zip(low, densest_voxel(touching), strict=True))  # type: ignore[return-value]

    def surface_mm2(self, organ: StructureMask) -> float:
        """Area of the structure's voxel faces towards anything else."""
        return float(self.contacts_mm2[organ.structure.index].sum())

    @cached_property
    def body_mm(self) -> list[tuple[float, float] | None]:
        """Extent of the body along (superior, posterior, left), mm; None where the view cuts it or there is no scan."""
        if self.hu is None:
            return [None, None, None]
        coarse = self.hu[:, ::3, ::3] > AIR_HU
        labelled = sitk.GetArrayFromImage(sitk.ConnectedComponent(_image(coarse), False))
        sizes = np.bincount(labelled.ravel())
        if len(sizes) < 2:
            return [None, None, None]
        body = labelled == 1 + int(np.argmax(sizes[1:]))
        result: list[tuple[float, float] | None] = [None]
        for axis, others in ((1, (0, 2)), (2, (0, 1))):
            filled = np.flatnonzero(body.sum(axis=others) > 0.002 * body.shape[0] * body.shape[others[1]])
            cut = filled.size == 0 or filled[0] == 0 or filled[-1] == body.shape[axis] - 1
            step = 3 * self.spacing_mm[axis]
            result.append(None if cut else (float(filled[0] * step), float(filled[-1] * step)))
        return result


def _keys(structures: tuple[Structure, ...]) -> dict[int, str]:
    """Name under which each structure is compared, by index; spelling does not count unless two names would become one."""
    canonical = [canonical_name(structure.name) for structure in structures]
    return {
        structure.index: name if canonical.count(name) == 1 else structure.name
        for structure, name in zip(structures, canonical, strict=True)
    }


def _check_grids(segmentation: Segmentation, volume: Volume | None) -> None:
    if volume is not None and not volume.geometry.is_close(segmentation.geometry):
        raise InputError(
            f"{segmentation.name or 'The segmentation'} has another grid than the scan: "
            f"{grid_difference(segmentation.geometry, volume.geometry)}; resample the segmentation onto the scan first."
        )


def _bounds(masks: Iterable[StructureMask], shape: tuple[int, int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Box around all masks and one voxel more, as (first, one past last)."""
    masks = list(masks)
    corners = np.array([organ.corner for organ in masks]).reshape(-1, 3)
    ends = np.array([np.add(organ.corner, organ.mask.shape) for organ in masks]).reshape(-1, 3)
    if not len(corners):
        return np.zeros(3, int), np.zeros(3, int)
    return np.maximum(corners.min(axis=0) - 1, 0), np.minimum(ends.max(axis=0) + 1, shape)


def _slices(axis: int, start: int, stop: int | None) -> tuple[slice, ...]:
    return tuple(slice(start, stop) if i == axis else slice(None) for i in range(3))
