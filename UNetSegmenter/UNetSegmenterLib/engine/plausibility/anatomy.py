"""A segmentation laid out for measuring: axial order, one part a structure, contacts between all of them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import SimpleITK as sitk

from ..errors import InputError
from ..io.geometry import Geometry, grid_difference
from ..io.volume import Volume
from ..labels.bounding_boxes import bounding_box, label_boxes
from ..labels.segmentation import Segmentation
from ..labels.structures import Structure, canonical_name

WORKING_SPACING_MM = 1.5
"""In-plane spacing that is fine enough for every check; finer grids are thinned to about this (slices never are)."""

SUBSTANTIAL_SHARE = 0.05
"""A connected piece below this share of its structure's volume is a speck."""

AIR_HU = -120
"""Below it lies air or lung; set so high that scans whose HU were clipped at -125 still show where the body ends."""

_AROUND = 4  # pixels to each side that `densest` looks at, about 6 mm

Place = tuple[float, float, float]


@dataclass(frozen=True)
class Piece:
    """A piece of a structure that lies apart from the rest: voxels and centroid in the working grid."""

    voxels: int
    centroid: Place


class Part:
    """One structure in the working grid.

    `mask` is boolean and cropped to the structure; `corner` is its first voxel (slice, row, column) in the working grid.
    `whole` is the working grid's shape. `faces` says whether the structure reaches the volume's inferior, superior,
    anterior, posterior, right and left face. `specks` are pieces that `without_specks` has taken out of the mask.
    """

    def __init__(
        self,
        structure: Structure,
        mask: np.ndarray,
        corner: tuple[int, int, int],
        whole: tuple[int, int, int],
        voxel_ml: float,
    ) -> None:
        self.structure = structure
        self.whole, self.voxel_ml = whole, voxel_ml
        self.specks: list[Piece] = []
        ends = zip(corner, mask.shape, whole, strict=True)
        self.faces = tuple(hit for first, n, last in ends for hit in (first == 0, first + n == last))
        self.mask = mask
        self.corner = corner
        self.voxels = int(np.count_nonzero(mask))
        self.ml = self.voxels * voxel_ml
        self.profiles = tuple(mask.sum(axis=other) for other in ((1, 2), (0, 2), (0, 1)))

    @property
    def box(self) -> tuple[slice, slice, slice]:
        """Where the mask lies in the working grid."""
        return tuple(slice(c, c + n) for c, n in zip(self.corner, self.mask.shape, strict=True))  # type: ignore[return-value]

    @cached_property
    def centroid(self) -> Place:
        """Centre of gravity (slice, row, column) in the working grid."""
        return self.place(*(float(np.arange(p.size) @ p) / self.voxels for p in self.profiles))

    def place(self, *inside: float) -> Place:
        """A place in the cropped mask as a place in the working grid."""
        return tuple(float(c + i) for c, i in zip(self.corner, inside, strict=True))  # type: ignore[return-value]

    @cached_property
    def middle(self) -> Place:
        """The middle of the slice nearest to the centroid: a voxel of the structure, where a hollow one's centroid is none."""
        filled = np.flatnonzero(self.profiles[0])
        return self.in_layer(0, int(filled[np.abs(filled + self.corner[0] - self.centroid[0]).argmin()]))

    def in_layer(self, axis: int, at: int) -> Place:
        """The voxel of the structure nearest to the middle of one layer of `mask`, which must not be empty."""
        return self.place(*middle_of(self.mask, axis, at))

    @cached_property
    def _ranked(self) -> tuple[tuple[np.ndarray, ...], np.ndarray, np.ndarray]:
        """Indices of all voxels, the rank of the piece that each belongs to (0 is the largest), and the pieces' sizes.

        26 neighbours. Pieces that leave the volume through the same face as the main body count as one with it: they may
        meet outside, as the ascending and the descending aorta do.
        """
        labelled = sitk.GetArrayFromImage(sitk.ConnectedComponent(_image(self.mask), True))
        where = np.nonzero(self.mask)
        piece_of = self._joined_outside(labelled[where], where)
        sizes = np.bincount(piece_of)
        order = np.argsort(sizes)[::-1][: np.count_nonzero(sizes)]
        rank = np.zeros(len(sizes), np.int32)
        rank[order] = np.arange(len(order))
        return where, rank[piece_of], sizes[order]

    @cached_property
    def pieces(self) -> list[Piece]:
        """Connected pieces, largest first; places of all but the largest hundred are left at the structure's corner."""
        where, rank, sizes = self._ranked
        sums = [np.bincount(rank, weights=axis) for axis in where]
        near = [tuple(float(s[i] / size) for s in sums) for i, size in enumerate(sizes[:100])]
        far = [(0.0, 0.0, 0.0)] * (len(sizes) - len(near))
        return [Piece(int(size), self.place(*c)) for size, c in zip(sizes, [*near, *far], strict=True)]

    def without_specks(self) -> Part:
        """The structure's body, and its `specks` apart: they are one fault, and no gap, extent or place of the organ."""
        where, rank, sizes = self._ranked
        kept = max(1, int(np.count_nonzero(sizes >= SUBSTANTIAL_SHARE * self.voxels)))
        if kept == len(sizes):
            return self
        inside = [axis[rank < kept] for axis in where]
        box = tuple(slice(int(axis.min()), int(axis.max()) + 1) for axis in inside)
        mask = np.zeros_like(self.mask)
        mask[tuple(inside)] = True
        corner = self.corner[0] + box[0].start, self.corner[1] + box[1].start, self.corner[2] + box[2].start
        body = Part(self.structure, mask[box], corner, self.whole, self.voxel_ml)
        body.pieces, body.specks = self.pieces[:kept], self.pieces[kept:]
        return body

    def _joined_outside(self, piece_of: np.ndarray, where: tuple[np.ndarray, ...]) -> np.ndarray:
        """Piece numbers with those pieces given to the largest that share a face of the volume with it."""
        main = int(np.argmax(np.bincount(piece_of)))
        joined = piece_of.copy()
        for face, outside in enumerate(self.faces):
            end = 0 if face % 2 == 0 else self.mask.shape[face // 2] - 1
            there = np.unique(piece_of[where[face // 2] == end]) if outside else np.array([])
            if main in there:
                joined[np.isin(piece_of, there)] = main
        return joined

    def cavities(self, solid: np.ndarray) -> list[Piece]:
        """Background shut in by the structure (6 neighbours), the largest cavity first.

        `solid` is cropped as `mask` is and marks the voxels of other structures.
        """
        filled = sitk.GetArrayFromImage(sitk.BinaryFillhole(_image(self.mask), False)).view(np.bool_)
        holes = filled & ~self.mask & ~solid
        if not holes.any():
            return []
        labelled = sitk.GetArrayFromImage(sitk.ConnectedComponent(_image(holes), False))
        sizes = np.bincount(labelled.ravel())[1:]
        largest = 1 + int(np.argmax(sizes))
        place = self.place(*densest(labelled == largest))
        return [Piece(int(size), place) for size in np.sort(sizes)[::-1]]


def middle_of(mask: np.ndarray, axis: int, at: int) -> Place:
    """The marked voxel nearest to the middle of one layer of a boolean array, which must not be empty."""
    inside = np.argwhere(np.take(mask, at, axis=axis))
    near = inside[((inside - inside.mean(axis=0)) ** 2).sum(axis=1).argmin()]
    return tuple(float(v) for v in np.insert(near, axis, at))  # type: ignore[return-value]


def densest(mask: np.ndarray) -> Place:
    """The marked voxel of a boolean array with most others around it, in the slice that has most; one at least must be."""
    at = int(np.argmax(np.count_nonzero(mask, axis=(1, 2))))
    plane = mask[at]
    around = sitk.GetArrayFromImage(sitk.BoxMean(_image(plane.astype(np.uint8) * 200), (_AROUND, _AROUND)))
    row, column = np.unravel_index(int(np.argmax(np.where(plane, around, 0))), plane.shape)
    return float(at), float(row), float(column)


def _image(mask: np.ndarray) -> sitk.Image:
    return sitk.GetImageFromArray(np.ascontiguousarray(mask).view(np.uint8))


class Anatomy:
    """Everything that more than one check measures, once.

    The working grid is the axial view (inferior-superior, anterior-posterior, right-left) of the segmentation, thinned
    in plane to about 1.5 mm. Raises InputError where the scan doesn't have the segmentation's grid.
    """

    def __init__(
        self,
        segmentation: Segmentation,
        volume: Volume | None = None,
    ) -> None:
        _check_grids(segmentation, volume)
        self.geometry: Geometry = segmentation.geometry
        spacing = self.geometry.axial_spacing_mm
        self.stride = (1, *(max(1, round(WORKING_SPACING_MM / step)) for step in spacing[1:]))
        self.spacing_mm = np.array(spacing) * self.stride
        self.voxel_ml = float(np.prod(self.spacing_mm)) / 1000
        view = self._thin(segmentation.labels)
        self.labels = np.ascontiguousarray(view)
        self.hu = None if volume is None else self._thin(volume.array)
        self.structures = segmentation.structures
        self.keys = _keys(segmentation.structures)
        self.parts = {self.keys[part.structure.index]: part for part in self._parts(segmentation)}
        self.absent = {key: s for s in self.structures if (key := self.keys[s.index]) not in self.parts}
        self.confidence = {self.keys[index]: value for index, value in segmentation.confidence.items()}

    def _thin(self, array: np.ndarray) -> np.ndarray:
        return self.geometry.to_axial(array)[tuple(slice(None, None, step) for step in self.stride)]

    def _parts(self, segmentation: Segmentation) -> list[Part]:
        boxes = label_boxes(self.labels, [structure.index for structure in segmentation.structures])
        parts = []
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
            parts.append(Part(structure, mask, corner, self.shape, self.voxel_ml).without_specks())
        return parts

    @property
    def shape(self) -> tuple[int, int, int]:
        """Shape of the working grid."""
        return self.labels.shape

    def mm(self, place: Place) -> np.ndarray:
        """A place of the working grid in mm from its first voxel (superior, posterior, left)."""
        return np.asarray(place) * self.spacing_mm

    def to_ras(self, place: Place) -> tuple[float, float, float]:
        """A place of the working grid in the patient's RAS coordinates, mm."""
        axes, flips = self.geometry.axial()
        index = [0.0, 0.0, 0.0]
        for value, step, axis, flipped in zip(place, self.stride, axes, flips, strict=True):
            full = value * step
            index[axis] = self.geometry.shape[axis] - 1 - full if flipped else full
        x, y, z = self.geometry.position_ras_mm(index)
        return round(x, 2), round(y, 2), round(z, 2)

    @cached_property
    def contacts_mm2(self) -> np.ndarray:
        """Area of the voxel faces between every two labels, (labels, labels), symmetric; 0 is background."""
        count = max(s.index for s in self.structures) + 1 if self.structures else 1
        areas = np.zeros((count, count))
        low, high = _bounds(self.parts.values(), self.shape)
        inside = self.labels[tuple(slice(a, b) for a, b in zip(low, high, strict=True))]
        for axis in range(3):
            face_mm2 = float(np.prod(np.delete(self.spacing_mm, axis)))
            here, there = inside[_slices(axis, 0, -1)], inside[_slices(axis, 1, None)]
            differ = here != there
            codes = here[differ].astype(np.int32) * count + there[differ]
            areas += np.bincount(codes, minlength=count * count).reshape(count, count) * face_mm2
        return areas + areas.T

    def contact_place(self, first: Part, second: Part) -> Place | None:
        """A voxel of the first structure where the second one lies beside it, None where they don't touch."""
        low, high = _bounds([first], self.shape)
        window = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
        mine, theirs = (self.labels[window] == part.structure.index for part in (first, second))
        touching = np.zeros_like(mine)
        for axis in range(3):
            lower, upper = _slices(axis, 0, -1), _slices(axis, 1, None)
            touching[lower] |= mine[lower] & theirs[upper]
            touching[upper] |= mine[upper] & theirs[lower]
        if not touching.any():
            return None
        return tuple(float(a + v) for a, v in zip(low, densest(touching), strict=True))  # type: ignore[return-value]

    def surface_mm2(self, part: Part) -> float:
        """Area of the structure's voxel faces towards anything else."""
        return float(self.contacts_mm2[part.structure.index].sum())

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
    """Name under which each structure is compared, by index; spelling doesn't count unless two would fall together."""
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


def _bounds(parts: Iterable[Part], shape: tuple[int, int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Box around all parts and one voxel more, as (first, one past last)."""
    parts = list(parts)
    corners = np.array([part.corner for part in parts]).reshape(-1, 3)
    ends = np.array([np.add(part.corner, part.mask.shape) for part in parts]).reshape(-1, 3)
    if not len(corners):
        return np.zeros(3, int), np.zeros(3, int)
    return np.maximum(corners.min(axis=0) - 1, 0), np.minimum(ends.max(axis=0) + 1, shape)


def _slices(axis: int, start: int, stop: int | None) -> tuple[slice, ...]:
    return tuple(slice(start, stop) if i == axis else slice(None) for i in range(3))
