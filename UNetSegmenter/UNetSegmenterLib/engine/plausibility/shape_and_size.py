"""Checks that need the labels alone: connected components, cavities, continuity, cut faces, the volume's border, and sizes."""

from __future__ import annotations

import numpy as np

from ..labels.dice import dice_coefficient
from .anatomy import Anatomy, StructureMask, VoxelIndex, densest_voxel
from .finding import number_text
from .quantity import Quantity

CONTINUITY_STEP_MM = 3.0
"""Slices are compared at about this distance, so that thin slices do not look smoother than thick ones."""

AXES = ("height", "depth", "width")
"""Extents along the axes of the axial view: inferior-superior, anterior-posterior, right-left."""

FACES = ("inferior", "superior", "anterior", "posterior", "right", "left")


def components(anatomy: Anatomy) -> list[Quantity]:
    """Number of connected components that hold a substantial fraction of the structure.

    One of the criteria of an anatomically valid heart in Painchaud et al., IEEE TMI 39, 2020.
    """
    found = []
    for name, organ in anatomy.present.items():
        voxel_index = organ.components[1].centroid if len(organ.components) > 1 else organ.central_voxel
        found.append(Quantity("pieces", name, len(organ.components), voxel_index))
    return found


def small_components(anatomy: Anatomy) -> list[Quantity]:
    """Volume (ml) of all small components together, and its fraction of the structure."""
    found = []
    for name, organ in anatomy.present.items():
        voxels = sum(component.voxels for component in organ.small_components)
        voxel_index = organ.small_components[0].centroid if organ.small_components else organ.central_voxel
        detail = _small_components_text(anatomy, organ)
        found.append(Quantity("specks", name, voxels * anatomy.voxel_ml, voxel_index, detail=detail))
        found.append(Quantity("speck share", name, voxels / (voxels + organ.voxels), voxel_index, detail=detail))
    return found


def _small_components_text(anatomy: Anatomy, organ: StructureMask) -> str:
    if not organ.small_components:
        return "in no component"
    largest = organ.small_components[0]
    body_mm = (np.argwhere(organ.mask) + organ.corner) * anatomy.spacing_mm
    gap = f"{np.linalg.norm(body_mm - anatomy.to_mm(largest.centroid), axis=1).min():.0f} mm from it"
    if len(organ.small_components) == 1:
        return f"in one component {gap}"
    volume = number_text(largest.voxels * anatomy.voxel_ml)
    return f"in {len(organ.small_components):,} components, the largest of {volume} ml {gap}"


def cavities(anatomy: Anatomy) -> list[Quantity]:
    """Volume (ml) of the background that the structure encloses on all sides.

    The second Betti number of Byrne et al., IEEE TMI 42, 2023, by volume instead of by count.
    """
    found = []
    for name, organ in anatomy.present.items():
        holes = organ.cavities(anatomy.labels[organ.box] != 0)
        ml = sum(hole.voxels for hole in holes) * anatomy.voxel_ml
        voxel_index = holes[0].centroid if holes else organ.central_voxel
        detail = f", in {len(holes):,} cavities" if len(holes) > 1 else ""
        found.append(Quantity("cavities", name, ml, voxel_index, detail=detail))
    return found


def gaps(anatomy: Anatomy) -> list[Quantity]:
    """Number of empty slices between the first and the last slice of the structure, an error of 2D networks."""
    found, axis = [], anatomy.slices_along
    for name, organ in anatomy.present.items():
        filled = np.flatnonzero(organ.profiles[axis] > 0.02 * organ.profiles[axis].max())
        steps = np.diff(filled)
        voxel_index = organ.central_voxel
        if steps.size and steps.max() > 1:
            before = int(np.argmax(steps))
            middle = float(filled[before] + filled[before + 1]) / 2
            voxel_index = _between_slices(organ, axis, int(filled[before]), middle)
        found.append(Quantity("gaps", name, int((steps - 1).sum()), voxel_index))
    return found


def continuity(anatomy: Anatomy) -> list[Quantity]:
    """Smallest Dice and largest change of area between slices about 3 mm apart, in the structure's middle part.

    Neighbouring slices of one organ resemble each other; predictions made slice by slice need not (2.5D input and
    slice-to-slice consistency terms are made against this error).
    """
    step, axis = _slice_step(anatomy), anatomy.slices_along
    found = []
    for name, organ in anatomy.present.items():
        area, mask = organ.profiles[axis].astype(float), np.moveaxis(organ.mask, axis, 0)
        if len(area) <= step:
            continue
        below, above = area[:-step], area[step:]
        shared = np.count_nonzero(mask[:-step] & mask[step:], axis=(1, 2))
        middle = np.minimum(below, above) > 0.15 * area.max()
        if not middle.any():
            continue
        dice = np.where(middle, dice_coefficient(shared, below, above), 1.0)
        jump = np.where(middle, np.abs(above - below) / area.max(), 0.0)
        for key, values, worst in (("overlap", dice, int(np.argmin(dice))), ("jump", jump, int(np.argmax(jump)))):
            voxel_index = _between_slices(organ, axis, worst if middle[worst] else None, worst + step / 2)
            found.append(Quantity(key, name, float(values[worst]), voxel_index))
    return found


def jitter(anatomy: Anatomy) -> list[Quantity]:
    """Pixels that differ from the slices about 3 mm below and above them, which agree, as a fraction of the outlines' length.

    A median over three slices would change these pixels. In a slice across them they are the ragged edge of a segmentation made
    slice by slice. Labels drawn by hand in slices have some too; the training labels tell how many.
    """
    step, along = _slice_step(anatomy), anatomy.slices_along
    found = []
    for name, organ in anatomy.present.items():
        mask = np.moveaxis(organ.mask, along, 0)
        if len(mask) < 2 * step + 1:
            continue
        below, here, above = mask[: -2 * step], mask[step:-step], mask[2 * step :]
        different = (below == above) & (here != below)
        outline = sum(_edges_along(here, axis) for axis in (1, 2))
        voxel_index = organ.central_voxel
        if different.any():
            slice_, *inside = densest_voxel(different)
            inside.insert(along, slice_ + step)
            voxel_index = organ.to_working_grid(*inside)
        found.append(Quantity("jitter", name, np.count_nonzero(different) / max(outline, 1), voxel_index))
    return found


def _between_slices(organ: StructureMask, axis: int, layer: int | None, at: float) -> VoxelIndex:
    """The voxel in the middle of a slice of the structure (None: of its central one), moved to another position `at`.

    Both are counted along `axis` from the structure's first slice.
    """
    voxel_index = list(organ.central_voxel if layer is None else organ.central_voxel_of_layer(axis, layer))
    voxel_index[axis] = organ.corner[axis] + at
    return voxel_index[0], voxel_index[1], voxel_index[2]


def _slice_step(anatomy: Anatomy) -> int:
    return max(1, round(CONTINUITY_STEP_MM / float(anatomy.spacing_mm[anatomy.slices_along])))


def _edges_along(mask: np.ndarray, axis: int) -> int:
    """How often a mask begins or ends along an axis."""
    inside = np.moveaxis(mask, axis, 0)
    return int(np.count_nonzero(inside[1:] != inside[:-1]) + np.count_nonzero(inside[[0, -1]]))


def cut(anatomy: Anatomy) -> list[Quantity]:
    """Area of the structure's outermost layer towards each of six sides, as a fraction of its largest cross-section.

    Organs taper; a structure that ends in a flat face was cut off. Sides where it leaves the volume are left out. There is
    no published source: the limits are measured on the training labels, for each structure and side.
    """
    found = []
    for name, organ in anatomy.present.items():
        for face, side in enumerate(FACES):
            if not organ.faces[face] and len(organ.profiles[face // 2]) >= 4:
                fraction, layer = _end_face(organ, face)
                voxel_index = organ.central_voxel_of_layer(face // 2, layer)
                found.append(Quantity("cut", name, fraction, voxel_index, other=side, detail=side))
    return found


def border(anatomy: Anatomy) -> list[Quantity]:
    """Area with which the structure leaves the volume on each side, as a fraction of its largest cross-section."""
    found = []
    for name, organ in anatomy.present.items():
        for face, side in enumerate(FACES):
            fraction, voxel_index = 0.0, organ.central_voxel
            if organ.faces[face]:
                fraction, layer = _end_face(organ, face)
                voxel_index = organ.central_voxel_of_layer(face // 2, layer)
            found.append(Quantity("border", name, fraction, voxel_index, other=side, detail=side))
    return found


def _end_face(organ: StructureMask, face: int) -> tuple[float, int]:
    """Area of the outermost layer towards a face as a fraction of the largest cross-section along that axis, and the layer."""
    profile = organ.profiles[face // 2]
    layer = 0 if face % 2 == 0 else len(profile) - 1
    return float(profile[layer]) / float(profile.max()), layer


def volume(anatomy: Anatomy) -> list[Quantity]:
    """Volume in ml, and as a multiple of the other structures' median volume, which holds in a small patient too.

    Ranges of organ volumes as a quality check: TotalSegmentator (Wasserthal et al., Radiology AI 5, 2023) and the z-scores of
    Robinson et al., J Cardiovasc Magn Reson 21, 2019. Structures that leave the volume are not checked by size.
    """
    found = []
    whole = {name: organ for name, organ in anatomy.present.items() if not any(organ.faces)}
    logs = {name: np.log(organ.volume_ml) for name, organ in whole.items()}
    for name, organ in whole.items():
        found.append(Quantity("volume", name, organ.volume_ml, organ.central_voxel))
        others = [value for other, value in logs.items() if other != name]
        if len(others) >= 3:
            ratio = float(np.exp(logs[name] - np.median(others)))
            found.append(Quantity("relative volume", name, ratio, organ.central_voxel))
    return found


def extent(anatomy: Anatomy) -> list[Quantity]:
    """Height, depth and width in mm, and as multiples of the cube root of the volume (a measure of form without a scale)."""
    found = []
    for name, organ in anatomy.present.items():
        if any(organ.faces):
            continue
        edge_mm = (organ.volume_ml * 1000) ** (1 / 3)
        for axis, label in enumerate(AXES):
            filled = np.flatnonzero(organ.profiles[axis] > 0.01 * organ.profiles[axis].max())
            length_mm = float(filled[-1] - filled[0] + 1) * float(anatomy.spacing_mm[axis])
            found.append(Quantity("extent", name, length_mm, organ.central_voxel, other=label, detail=label))
            found.append(Quantity("form", name, length_mm / edge_mm, organ.central_voxel, other=label, detail=label))
    return found
