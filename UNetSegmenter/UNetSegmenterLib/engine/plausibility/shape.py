"""Checks that need the segmentation alone: pieces, specks, cavities, continuity, gaps, cut faces, the volume's border."""

from __future__ import annotations

import numpy as np

from ..labels.dice import dice_coefficient
from .anatomy import Anatomy, Part, densest
from .finding import number
from .quantity import Quantity

CONTINUITY_STEP_MM = 3.0
"""Slices are compared at about this distance, so that thin slices don't look smoother than thick ones."""

FACES = ("inferior", "superior", "anterior", "posterior", "right", "left")


def pieces(anatomy: Anatomy) -> list[Quantity]:
    """Connected pieces that hold a substantial share of the structure.

    One of the criteria of an anatomically valid heart in Painchaud et al., IEEE TMI 39, 2020.
    """
    found = []
    for name, part in anatomy.parts.items():
        where = part.pieces[1].centroid if len(part.pieces) > 1 else part.middle
        found.append(Quantity("pieces", name, len(part.pieces), where))
    return found


def specks(anatomy: Anatomy) -> list[Quantity]:
    """Volume (ml) in pieces too small to be part of the organ, and its share of the structure, however many they are."""
    found = []
    for name, part in anatomy.parts.items():
        voxels = sum(piece.voxels for piece in part.specks)
        where = part.specks[0].centroid if part.specks else part.middle
        detail = _speck_detail(anatomy, part)
        found.append(Quantity("specks", name, voxels * anatomy.voxel_ml, where, detail=detail))
        found.append(Quantity("speck share", name, voxels / (voxels + part.voxels), where, detail=detail))
    return found


def _speck_detail(anatomy: Anatomy, part: Part) -> str:
    if not part.specks:
        return "in no piece"
    largest = part.specks[0]
    body_mm = (np.argwhere(part.mask) + part.corner) * anatomy.spacing_mm
    gap = f"{np.linalg.norm(body_mm - anatomy.mm(largest.centroid), axis=1).min():.0f} mm from it"
    if len(part.specks) == 1:
        return f"in one piece {gap}"
    return f"in {len(part.specks):,} pieces, the largest of {number(largest.voxels * anatomy.voxel_ml)} ml {gap}"


def cavities(anatomy: Anatomy) -> list[Quantity]:
    """Background (ml) that the structure shuts in on all sides.

    The second Betti number of Byrne et al., IEEE TMI 42, 2023, by volume instead of by count.
    """
    found = []
    for name, part in anatomy.parts.items():
        holes = part.cavities(anatomy.labels[part.box] != 0)
        ml = sum(hole.voxels for hole in holes) * anatomy.voxel_ml
        where = holes[0].centroid if holes else part.middle
        detail = f", in {len(holes):,} places" if len(holes) > 1 else ""
        found.append(Quantity("cavities", name, ml, where, detail=detail))
    return found


def gaps(anatomy: Anatomy) -> list[Quantity]:
    """Empty slices between the first and the last slice of the structure: a 2D network's own failure."""
    found = []
    for name, part in anatomy.parts.items():
        filled = np.flatnonzero(part.profiles[0] > 0.02 * part.profiles[0].max())
        steps = np.diff(filled)
        where = part.middle
        if steps.size and steps.max() > 1:
            before = int(np.argmax(steps))
            _, row, column = part.in_layer(0, int(filled[before]))
            where = (part.corner[0] + float(filled[before] + filled[before + 1]) / 2, row, column)
        found.append(Quantity("gaps", name, int((steps - 1).sum()), where))
    return found


def continuity(anatomy: Anatomy) -> list[Quantity]:
    """Smallest Dice and largest change of area between slices about 3 mm apart, in the structure's body.

    Neighbouring slices of one organ resemble each other; predictions made slice by slice need not (the failure that 2.5D
    input and slice-to-slice consistency terms are made against).
    """
    step = _slice_step(anatomy)
    found = []
    for name, part in anatomy.parts.items():
        area = part.profiles[0].astype(float)
        if len(area) <= step:
            continue
        below, above = area[:-step], area[step:]
        shared = np.count_nonzero(part.mask[:-step] & part.mask[step:], axis=(1, 2))
        body = np.minimum(below, above) > 0.15 * area.max()
        if not body.any():
            continue
        dice = np.where(body, dice_coefficient(shared, below, above), 1.0)
        jump = np.where(body, np.abs(above - below) / area.max(), 0.0)
        for key, values, at in (("overlap", dice, int(np.argmin(dice))), ("jump", jump, int(np.argmax(jump)))):
            _, row, column = part.in_layer(0, at) if body[at] else part.middle
            where = (part.corner[0] + at + step / 2, row, column)
            found.append(Quantity(key, name, float(values[at]), where))
    return found


def jitter(anatomy: Anatomy) -> list[Quantity]:
    """Pixels that differ from the slices about 3 mm below and above them, which agree, as a share of the outlines' length.

    What a median over three slices would change. In a coronal slice it is the ragged edge that tells a segmentation made
    slice by slice; labels drawn by hand in axial slices have some of it too, which the training labels tell.
    """
    step = _slice_step(anatomy)
    found = []
    for name, part in anatomy.parts.items():
        if len(part.mask) < 2 * step + 1:
            continue
        below, here, above = part.mask[: -2 * step], part.mask[step:-step], part.mask[2 * step :]
        odd = (below == above) & (here != below)
        outline = sum(_steps(here, axis) for axis in (1, 2))
        where = part.middle
        if odd.any():
            slice_, row, column = densest(odd)
            where = part.place(slice_ + step, row, column)
        found.append(Quantity("jitter", name, np.count_nonzero(odd) / max(outline, 1), where))
    return found


def _slice_step(anatomy: Anatomy) -> int:
    return max(1, round(CONTINUITY_STEP_MM / float(anatomy.spacing_mm[0])))


def _steps(mask: np.ndarray, axis: int) -> int:
    """How often a mask begins or ends along an axis."""
    inside = np.moveaxis(mask, axis, 0)
    return int(np.count_nonzero(inside[1:] != inside[:-1]) + np.count_nonzero(inside[[0, -1]]))


def cut(anatomy: Anatomy) -> list[Quantity]:
    """Area of the structure's outermost layer towards each of six sides, as a share of its largest cross-section.

    Organs taper; a structure that ends in a flat face was cut off. Sides where it leaves the volume are left out. No
    source but the observation that labels drawn by hand taper too; the limits are learnt a structure and a side.
    """
    found = []
    for name, part in anatomy.parts.items():
        for face, side in enumerate(FACES):
            profile = part.profiles[face // 2]
            if part.faces[face] or len(profile) < 4:
                continue
            end = 0 if face % 2 == 0 else len(profile) - 1
            share = float(profile[end]) / float(profile.max())
            found.append(Quantity("cut", name, share, part.in_layer(face // 2, end), other=side, detail=side))
    return found


def border(anatomy: Anatomy) -> list[Quantity]:
    """Area with which the structure leaves the volume on each side, as a share of its largest cross-section."""
    found = []
    for name, part in anatomy.parts.items():
        for face, side in enumerate(FACES):
            profile = part.profiles[face // 2]
            share, where = 0.0, part.middle
            if part.faces[face]:
                end = 0 if face % 2 == 0 else len(profile) - 1
                share, where = float(profile[end]) / float(profile.max()), part.in_layer(face // 2, end)
            found.append(Quantity("border", name, share, where, other=side, detail=side))
    return found
