"""Checks that need the segmentation alone: pieces, specks, cavities, continuity, gaps, cut faces, the volume's border."""

from __future__ import annotations

import numpy as np

from .anatomy import Anatomy, Part
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
        where = part.pieces[1].centroid if len(part.pieces) > 1 else part.centroid
        found.append(Quantity("pieces", name, len(part.pieces), where))
    return found


def specks(anatomy: Anatomy) -> list[Quantity]:
    """Volume (ml) in pieces too small to be part of the organ, and its share of the structure, however many they are."""
    found = []
    for name, part in anatomy.parts.items():
        voxels = sum(piece.voxels for piece in part.specks)
        where = part.specks[0].centroid if part.specks else part.centroid
        detail = _speck_detail(anatomy, part) if part.specks else ""
        found.append(Quantity("specks", name, voxels * anatomy.voxel_ml, where, detail=detail))
        found.append(Quantity("speck share", name, voxels / (voxels + part.voxels), where, detail=detail))
    return found


def _speck_detail(anatomy: Anatomy, part: Part) -> str:
    largest = part.specks[0]
    away = f"{np.linalg.norm(anatomy.mm(largest.centroid) - anatomy.mm(part.pieces[0].centroid)):.0f} mm away"
    if len(part.specks) == 1:
        return f" (one piece, {away})"
    return f" ({len(part.specks):,} pieces, the largest {number(largest.voxels * anatomy.voxel_ml)} ml, {away})"


def cavities(anatomy: Anatomy) -> list[Quantity]:
    """Background (ml) that the structure shuts in on all sides.

    The second Betti number of Byrne et al., IEEE TMI 42, 2023, by volume instead of by count.
    """
    found = []
    for name, part in anatomy.parts.items():
        voxels, where = part.cavities(anatomy.labels[part.box] != 0)
        found.append(Quantity("cavities", name, voxels * anatomy.voxel_ml, where or part.centroid))
    return found


def gaps(anatomy: Anatomy) -> list[Quantity]:
    """Empty slices between the first and the last slice of the structure: a 2D network's own failure."""
    found = []
    for name, part in anatomy.parts.items():
        filled = np.flatnonzero(part.profiles[0] > 0.02 * part.profiles[0].max())
        steps = np.diff(filled)
        longest = int(np.argmax(steps)) if steps.size else 0
        where = part.centroid
        if steps.size and steps[longest] > 1:
            where = (part.corner[0] + (filled[longest] + filled[longest + 1]) / 2, *where[1:])
        found.append(Quantity("gaps", name, int((steps - 1).sum()), where))
    return found


def continuity(anatomy: Anatomy) -> list[Quantity]:
    """Smallest Dice and largest change of area between slices about 3 mm apart, in the structure's body.

    Neighbouring slices of one organ resemble each other; predictions made slice by slice need not (the failure that 2.5D
    input and slice-to-slice consistency terms are made against).
    """
    step = max(1, round(CONTINUITY_STEP_MM / float(anatomy.spacing_mm[0])))
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
        dice = np.where(body, 2 * shared / np.maximum(below + above, 1), 1.0)
        jump = np.where(body, np.abs(above - below) / area.max(), 0.0)
        for key, values, at in (("overlap", dice, int(np.argmin(dice))), ("jump", jump, int(np.argmax(jump)))):
            where = (part.corner[0] + at + step / 2, *part.centroid[1:])
            found.append(Quantity(key, name, float(values[at]), where))
    return found


def cut(anatomy: Anatomy) -> list[Quantity]:
    """Area of the structure's outermost layer towards each of six sides, as a share of its largest cross-section.

    Organs taper; a structure that ends in a flat face was cut off. Sides where it leaves the volume are left out. No
    source but the observation that labels drawn by hand taper too; the limits are learnt a structure and a side.
    """
    found = []
    for name, part in anatomy.parts.items():
        outside = part.faces
        for face, side in enumerate(FACES):
            profile = part.profiles[face // 2]
            if outside[face] or len(profile) < 4:
                continue
            inside = [(n - 1) / 2 for n in part.mask.shape]
            at = 0 if face % 2 == 0 else len(profile) - 1
            inside[face // 2] = at
            others = [axis for axis in range(3) if axis != face // 2]
            layer = np.argwhere(np.take(part.mask, at, axis=face // 2)).mean(axis=0)
            inside[others[0]], inside[others[1]] = layer
            share = float(profile[at]) / float(profile.max())
            found.append(Quantity("cut", name, share, part.place(*inside), other=side, detail=side))
    return found


def border(anatomy: Anatomy) -> list[Quantity]:
    """Area with which the structure leaves the volume on each side, as a share of its largest cross-section."""
    found = []
    for name, part in anatomy.parts.items():
        outside = part.faces
        for face, side in enumerate(FACES):
            profile = part.profiles[face // 2]
            end = float(profile[0 if face % 2 == 0 else -1]) / float(profile.max()) if outside[face] else 0.0
            inside = [c - first for c, first in zip(part.centroid, part.corner, strict=True)]
            if outside[face]:
                inside[face // 2] = 0 if face % 2 == 0 else len(profile) - 1
            found.append(Quantity("border", name, end, part.place(*inside), other=side, detail=side))
    return found
