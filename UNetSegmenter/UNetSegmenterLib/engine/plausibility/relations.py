"""Checks between structures: order in the patient, neighbours, containment, position among the others."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import combinations
from typing import Any

import numpy as np

from .anatomy import Anatomy
from .quantity import Quantity

DIRECTIONS = (("above", "below"), ("behind", "in front of"), ("left of", "right of"))
"""Words for the positive and negative direction along the axes of the axial view."""

SIDES = ("lower|higher", "further forward|further back", "further right|further left")
"""Words for a place on the negative and on the positive side of another, along the axes of the axial view."""

# Textbook relations for structures whose training labels nobody measured: (structure, direction, structure).
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
    """Contact of every two structures as a share of the smaller one's surface.

    What must and must not touch is the topological prior of Byrne et al., IEEE TMI 42, 2023 (label pairs of the whole
    heart); here it is learnt from the labels, and measured by area, because one voxel of contact is not a relation.
    """
    found = []
    for (name, part), (other, second) in combinations(anatomy.parts.items(), 2):
        area = float(anatomy.contacts_mm2[part.structure.index, second.structure.index])
        smaller = min(anatomy.surface_mm2(part), anatomy.surface_mm2(second))
        found.append(Quantity("contact", name, area / max(smaller, 1e-9), part.middle, other=other))
    return found


def containment(anatomy: Anatomy) -> list[Quantity]:
    """Share of the structure's surface that lies on other structures: near 1 for a blood pool, 0 for a lone organ."""
    found = []
    for name, part in anatomy.parts.items():
        surface = anatomy.surface_mm2(part)
        if surface:
            open_area = float(anatomy.contacts_mm2[part.structure.index, 0])
            found.append(Quantity("cover", name, 1 - open_area / surface, part.middle))
    return found


def order(
    centroids_mm: dict[str, np.ndarray], relations: Iterable[dict[str, Any]]
) -> list[tuple[dict[str, Any], float]]:
    """Distances (mm) along the learnt directions, one a relation whose two structures are there; negative is reversed.

    A relation is {"axis": 0..2, "first": name, "second": name}: the first lies above, behind or left of the second.
    """
    return [
        (relation, float((centroids_mm[relation["first"]] - centroids_mm[relation["second"]])[relation["axis"]]))
        for relation in relations
        if relation["first"] in centroids_mm and relation["second"] in centroids_mm
    ]


def known_relations(names: Iterable[str]) -> list[dict[str, Any]]:
    """Order by textbook: the known relations, and "left x" to the left of "right x"."""
    present = set(names)
    found = []
    for first, words, second in KNOWN_ORDER:
        axis = next(i for i, pair in enumerate(DIRECTIONS) if words in pair)
        ahead, behind = (first, second) if words == DIRECTIONS[axis][0] else (second, first)
        found.append({"axis": axis, "first": ahead, "second": behind})
    for name in present:
        if name.startswith("left ") and "right " + name[5:] in present and "ventric" not in name and "atri" not in name:
            found.append({"axis": 2, "first": name, "second": "right " + name[5:]})
    return [relation for relation in found if {relation["first"], relation["second"]} <= present]


class Constellation:
    """Mean offsets (mm) between the centroids of every two structures, and what they predict for one of them.

    A robust fit of the found to the mean constellation: per axis one positive scale by the median of slopes (Theil 1950,
    Sen 1968), then the median of what the other structures say. One misplaced structure can't drag the rest along.
    """

    def __init__(self, offsets: dict[tuple[str, str], np.ndarray]) -> None:
        self.offsets = offsets

    @classmethod
    def learn(cls, cases: list[dict[str, np.ndarray]]) -> Constellation:
        """Mean offsets over the cases that hold both structures; `cases` map names to centroids in mm."""
        names = sorted({name for case in cases for name in case})
        offsets = {}
        for first, second in combinations(names, 2):
            found = [case[first] - case[second] for case in cases if first in case and second in case]
            if found:
                offsets[first, second] = np.mean(found, axis=0)
        return cls(offsets)

    def offset(self, first: str, second: str) -> np.ndarray | None:
        """Mean of first minus second, (superior, posterior, left) mm."""
        if (first, second) in self.offsets:
            return self.offsets[first, second]
        reverse = self.offsets.get((second, first))
        return None if reverse is None else -reverse

    def scale(self, centroids_mm: dict[str, np.ndarray]) -> np.ndarray:
        """Size of this patient against the mean one along each axis, between 0.6 and 1.6."""
        slopes: list[list[float]] = [[], [], []]
        for (first, second), mean in self.offsets.items():
            if first in centroids_mm and second in centroids_mm:
                found = centroids_mm[first] - centroids_mm[second]
                for axis in range(3):
                    if abs(mean[axis]) > 20:
                        slopes[axis].append(float(found[axis] / mean[axis]))
        return np.array([np.clip(np.median(values), 0.6, 1.6) if len(values) >= 3 else 1.0 for values in slopes])

    def agreement(self, centroids_mm: dict[str, np.ndarray]) -> list[float | None]:
        """Cosine between the found and the mean offsets of all pairs, per axis: 1 as in training, -1 reversed."""
        pairs = [pair for pair in self.offsets if pair[0] in centroids_mm and pair[1] in centroids_mm]
        if len(pairs) < 3:
            return [None, None, None]
        mean = np.array([self.offsets[pair] for pair in pairs])
        found = np.array([centroids_mm[first] - centroids_mm[second] for first, second in pairs])
        norms = np.linalg.norm(mean, axis=0) * np.linalg.norm(found, axis=0)
        return [float(v) for v in (mean * found).sum(axis=0) / np.maximum(norms, 1e-9)]

    def predict(self, name: str, centroids_mm: dict[str, np.ndarray]) -> np.ndarray | None:
        """Where the other structures say this one lies, mm; None with fewer than three of them."""
        scale = self.scale(centroids_mm)
        said = []
        for other, place in centroids_mm.items():
            offset = None if other == name else self.offset(name, other)
            if offset is not None:
                said.append(place + scale * offset)
        return np.median(said, axis=0) if len(said) >= 3 else None
