"""Checks of size: volume and extent, in mm and relative to the other structures."""

from __future__ import annotations

import numpy as np

from .anatomy import Anatomy
from .quantity import Quantity

AXES = ("height", "depth", "width")  # of the axial view: inferior-superior, anterior-posterior, right-left


def volume(anatomy: Anatomy) -> list[Quantity]:
    """Volume in ml, and as a multiple of the other structures' geometric mean, which holds in a small patient too.

    Ranges of organ volumes as a quality check: TotalSegmentator (Wasserthal et al., Radiology AI 5, 2023) and the z-scores of
    Robinson et al., J Cardiovasc Magn Reson 21, 2019. Structures that leave the volume are not checked by size.
    """
    found = []
    whole = {name: part for name, part in anatomy.parts.items() if not any(part.faces)}
    logs = {name: np.log(part.ml) for name, part in whole.items()}
    for name, part in whole.items():
        found.append(Quantity("volume", name, part.ml, part.middle))
        others = [value for other, value in logs.items() if other != name]
        if len(others) >= 3:
            ratio = float(np.exp(logs[name] - np.median(others)))
            found.append(Quantity("relative volume", name, ratio, part.middle))
    return found


def extent(anatomy: Anatomy) -> list[Quantity]:
    """Height, depth and width in mm, and as multiples of the cube root of the volume (a measure of form without a scale)."""
    found = []
    for name, part in anatomy.parts.items():
        if any(part.faces):
            continue
        edge_mm = (part.ml * 1000) ** (1 / 3)
        for axis, label in enumerate(AXES):
            filled = np.flatnonzero(part.profiles[axis] > 0.01 * part.profiles[axis].max())
            length_mm = float(filled[-1] - filled[0] + 1) * float(anatomy.spacing_mm[axis])
            found.append(Quantity("extent", name, length_mm, part.middle, other=label, detail=label))
            found.append(Quantity("form", name, length_mm / edge_mm, part.middle, other=label, detail=label))
    return found
