"""Checks between structures: order in the patient, neighbours, containment, position relative to the others."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import combinations
from typing import Any

import numpy as np

from .anatomy import Anatomy
from .quantity import Quantity

DIRECTIONS = (("above", "below"), ("behind", "in front of"), ("left of", "right of"))
"""Texts for the positive and negative direction along the axes of the axial view."""

SIDES = ("lower|higher", "further forward|further back", "further right|further left")
"""Texts for a position on the negative and on the positive side of another, along the axes of the axial view."""

# Textbook relations, for segmentations without training statistics: (structure, direction, structure).
KNOWN_ORDER: tuple[tuple[str, str, str], ...] = (
    ("spleen", "left of", "liver"),
    ("stomach", "left of", "liver"),
    ("spleen", "left of", "gallbladder"),
    ("left ventricle", "left of", "right atrium"),
    ("left ventricle", "left of", "right ventricle"),
    ("left ventricular myocardium", "left of", "right atrium"),
    ("right atrium", "right of", "left atrium"),
    ("left atrium", "behind", "right ventricle"),
    ("ascending aorta", "above", "left ventricle"),
    ("pulmonary artery", "above", "right ventricle"),
)
KNOWN_NEIGHBOURS: tuple[tuple[str, str], ...] = (
    ("left ventricle", "left ventricular myocardium"),
    ("left ventricle", "left atrium"),
    ("left ventricle", "ascending aorta"),
    ("right ventricle", "right atrium"),
    ("right ventricle", "pulmonary artery"),
)
KNOWN_APART: tuple[tuple[str, str], ...] = (
    ("left ventricle", "right ventricle"),
    ("left ventricle", "pulmonary artery"),
    ("left ventricle", "right atrium"),
    ("right ventricle", "left atrium"),
)


def neighbours(anatomy: Anatomy) -> list[Quantity]:
    """Contact area of every two structures as a fraction of the smaller one's surface.

    What must and must not touch is the topological prior of Byrne et al., IEEE TMI 42, 2023 (label pairs of the whole
    heart). Here it is measured on the training labels, by area, because one voxel of contact is not a relation.
    """
    found = []
    for (name, organ), (other, second) in combinations(anatomy.present.items(), 2):
        area = float(anatomy.contacts_mm2[organ.structure.index, second.structure.index])
        smaller = min(anatomy.surface_mm2(organ), anatomy.surface_mm2(second))
        found.append(Quantity("contact", name, area / max(smaller, 1e-9), organ.central_voxel, other=other))
    return found


def containment(anatomy: Anatomy) -> list[Quantity]:
    """Fraction of the structure's surface that lies on other structures: near 1 for a blood pool, 0 for an organ alone."""
    found = []
    for name, organ in anatomy.present.items():
        surface = anatomy.surface_mm2(organ)
        if surface:
            open_area = float(anatomy.contacts_mm2[organ.structure.index, 0])
            found.append(Quantity("cover", name, 1 - open_area / surface, organ.central_voxel))
    return found


def order(
    centroids_mm: dict[str, np.ndarray], relations: Iterable[dict[str, Any]]
) -> list[tuple[dict[str, Any], float]]:
    """Signed distances along the relations' directions; negative means that the order is reversed.

    Args:
        centroids_mm: Centroid of each structure (superior, posterior, left).
        relations: {"axis": 0..2, "first": name, "second": name}: the first lies above, behind or left of the second.

    Returns:
        Relation and distance (mm), for the relations whose two structures are present.
    """
    return [
        (relation, float((centroids_mm[relation["first"]] - centroids_mm[relation["second"]])[relation["axis"]]))
        for relation in relations
        if relation["first"] in centroids_mm and relation["second"] in centroids_mm
    ]


def known_relations(names: Iterable[str]) -> list[dict[str, Any]]:
    """Textbook relations between the named structures: those of `KNOWN_ORDER`, and "left x" to the left of "right x"."""
    present = set(names)
    found = []
    for first, direction, second in KNOWN_ORDER:
        axis = next(i for i, pair in enumerate(DIRECTIONS) if direction in pair)
        ahead, behind = (first, second) if direction == DIRECTIONS[axis][0] else (second, first)
        found.append({"axis": axis, "first": ahead, "second": behind})
    for name in present:
        if name.startswith("left ") and "right " + name[5:] in present and "ventric" not in name and "atri" not in name:
            found.append({"axis": 2, "first": name, "second": "right " + name[5:]})
    return [relation for relation in found if {relation["first"], relation["second"]} <= present]


class Constellation:
    """Mean offsets between the centroids of every two structures, which predict the position of each.

    A robust fit of the measured to the mean constellation: for each axis one positive scale by the median of slopes (Theil
    1950, Sen 1968), then the median of the other structures' predictions. One misplaced structure does not move the others.

    Args:
        offsets: Mean of the first centroid minus the second, by their names; (superior, posterior, left), mm.
    """

    def __init__(self, offsets: dict[tuple[str, str], np.ndarray]) -> None:
        self.offsets = offsets

    @classmethod
    def from_cases(cls, cases: list[dict[str, np.ndarray]]) -> Constellation:
        """Mean offsets over the cases that hold both structures; each case maps names to centroids (3,) in mm."""
        names = sorted({name for case in cases for name in case})
        offsets = {}
        for first, second in combinations(names, 2):
            found = [case[first] - case[second] for case in cases if first in case and second in case]
            if found:
                offsets[first, second] = np.mean(found, axis=0)
        return cls(offsets)

    def offset(self, first: str, second: str) -> np.ndarray | None:
        """Mean of first minus second (superior, posterior, left), mm; None where no case holds both."""
        if (first, second) in self.offsets:
            return self.offsets[first, second]
        reverse = self.offsets.get((second, first))
        return None if reverse is None else -reverse

    def scale(self, centroids_mm: dict[str, np.ndarray]) -> np.ndarray:
        """Size of this patient relative to the mean patient along each axis (3,), between 0.6 and 1.6."""
        slopes: list[list[float]] = [[], [], []]
        for (first, second), mean in self.offsets.items():
            if first in centroids_mm and second in centroids_mm:
                measured = centroids_mm[first] - centroids_mm[second]
                for axis in range(3):
                    if abs(mean[axis]) > 20:
                        slopes[axis].append(float(measured[axis] / mean[axis]))
        return np.array([np.clip(np.median(values), 0.6, 1.6) if len(values) >= 3 else 1.0 for values in slopes])

    def agreement(self, centroids_mm: dict[str, np.ndarray]) -> list[float | None]:
        """Cosine between the measured and the mean offsets of all pairs, for each axis: 1 as in training, -1 reversed."""
        pairs = [pair for pair in self.offsets if pair[0] in centroids_mm and pair[1] in centroids_mm]
        if len(pairs) < 3:
            return [None, None, None]
        mean = np.array([self.offsets[pair] for pair in pairs])
        measured = np.array([centroids_mm[first] - centroids_mm[second] for first, second in pairs])
        norms = np.linalg.norm(mean, axis=0) * np.linalg.norm(measured, axis=0)
        return [float(v) for v in (mean * measured).sum(axis=0) / np.maximum(norms, 1e-9)]

    def predict(self, name: str, centroids_mm: dict[str, np.ndarray]) -> np.ndarray | None:
        """Centroid (mm) of a structure as predicted from the other structures; None with fewer than three of them."""
        scale = self.scale(centroids_mm)
        predictions = []
        for other, centroid in centroids_mm.items():
            offset = None if other == name else self.offset(name, other)
            if offset is not None:
                predictions.append(centroid + scale * offset)
        return np.median(predictions, axis=0) if len(predictions) >= 3 else None
