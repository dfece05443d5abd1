"""Statistics of training labels: what `train` writes into the card and the checks compare with."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any

import numpy as np

from ..io.volume import Volume
from ..labels.segmentation import Segmentation
from . import relations, shape, size, tissue
from .anatomy import Anatomy
from .quantity import Quantity, limits, summary
from .rules import RULES

VERSION = 1


@dataclass(frozen=True)
class CaseQuantities:
    """All that one case contributes: quantities, centroids (mm along superior, posterior, left) and histograms of HU."""

    structures: tuple[str, ...]
    quantities: list[Quantity]
    centroids_mm: dict[str, np.ndarray]
    histograms: dict[str, np.ndarray] = field(default_factory=dict)


def case_quantities_to_json(case: CaseQuantities) -> dict[str, Any]:
    """What statistics ask of a case, JSON-ready; places and details, which only findings show, are left out."""
    return {
        "structures": list(case.structures),
        "quantities": [[one.key, one.structure, one.value, one.other] for one in case.quantities],
        "centroids_mm": {name: place.tolist() for name, place in case.centroids_mm.items()},
        "histograms": {
            name: [[int(place), int(counts[place])] for place in np.flatnonzero(counts)]
            for name, counts in case.histograms.items()
        },
    }


def case_quantities_from_json(plain: dict[str, Any]) -> CaseQuantities:
    """The facts that `case_quantities_to_json` wrote."""
    histograms = {}
    for name, filled in plain["histograms"].items():
        histograms[name] = np.zeros(tissue.HU_BINS, dtype=np.int64)
        for place, number in filled:
            histograms[name][place] = number
    return CaseQuantities(
        tuple(plain["structures"]),
        [Quantity(key, structure, value, other=other) for key, structure, value, other in plain["quantities"]],
        {name: np.array(place) for name, place in plain["centroids_mm"].items()},
        histograms,
    )


MEASURES = (
    shape.pieces,
    shape.specks,
    shape.cavities,
    shape.gaps,
    shape.continuity,
    shape.jitter,
    shape.cut,
    shape.border,
    size.volume,
    size.extent,
    relations.neighbours,
    relations.containment,
    tissue.in_body,
    tissue.edges,
    tissue.drift,
    tissue.confidence,
)


def measure_case(anatomy: Anatomy) -> CaseQuantities:
    """Measure one case."""
    quantities = [quantity for measure in MEASURES for quantity in measure(anatomy)]
    centroids_mm = {name: anatomy.mm(part.centroid) for name, part in anatomy.parts.items()}
    return CaseQuantities(tuple(anatomy.keys.values()), quantities, centroids_mm, tissue.histograms(anatomy))


def position(
    centroids_mm: dict[str, np.ndarray], constellation: relations.Constellation
) -> list[tuple[str, str, float]]:
    """Distance (mm) of every structure from where the others say it lies, along each axis: (structure, axis, mm)."""
    found = []
    for name, place in centroids_mm.items():
        said = constellation.predict(name, centroids_mm)
        if said is not None:
            found += [(name, word, float(gap)) for word, gap in zip(size.AXES, place - said, strict=True)]
    return found


def training_statistics(
    cases: Iterable[tuple[Segmentation, Volume | None]], *, nominal_spacing: bool = False
) -> dict[str, Any]:
    """What the training labels look like, as JSON-ready numbers for the card's `statistics`.

    `cases` is read once and may be a generator. `nominal_spacing` says that the data set's spacing isn't the true one (as in
    8-bit copies of a challenge's slices); millimetres and millilitres then never fail a structure, they only warn.
    """
    measured = [measure_case(Anatomy(segmentation, volume)) for segmentation, volume in cases]
    return statistics_from_cases(measured, nominal_spacing=nominal_spacing)


def statistics_from_cases(measured: list[CaseQuantities], *, nominal_spacing: bool = False) -> dict[str, Any]:
    """`training_statistics` from cases that are measured already."""
    names = list(dict.fromkeys(name for case in measured for name in case.structures))
    values: dict[str, dict[str, list[float]]] = {name: {} for name in names}
    rules = {}

    def keep(structure: str, key: str, name: str, value: float) -> None:
        values[structure].setdefault(name, []).append(value)
        rules[name] = RULES[key]

    for case in measured:
        for quantity in case.quantities:
            keep(quantity.structure, quantity.key, quantity.name, quantity.value)
    centroids = [case.centroids_mm for case in measured]
    agreements: list[list[float]] = [[], [], []]
    for number, places in enumerate(centroids):
        others = relations.Constellation.learn(centroids[:number] + centroids[number + 1 :])
        for name, word, gap in position(places, others):
            keep(name, "position", f"position|{word}", gap)
        for axis, value in enumerate(others.agreement(places)):
            agreements[axis] += [] if value is None else [value]
    tissues = {
        name: _tissue_ranges([case.histograms[name] for case in measured if name in case.histograms]) for name in names
    }
    for case in measured:
        for name, histogram in case.histograms.items():
            for key, value in tissue.tissue(histogram, tissues[name]):
                keep(name, key, key, value)
    offsets = relations.Constellation.learn(centroids).offsets
    return {
        "version": VERSION,
        "cases": len(measured),
        "nominal_spacing": nominal_spacing,
        "structures": {
            name: {
                "declared": sum(name in case.structures for case in measured),
                "present": sum(name in case.centroids_mm for case in measured),
                "hu": tissues[name],
                "measures": {key: summary(found, rules[key]) for key, found in sorted(values[name].items())},
            }
            for name in names
        },
        "offsets": [[*pair, [round(float(mm), 2) for mm in mean]] for pair, mean in sorted(offsets.items())],
        "order": _order(centroids),
        "arrangement": [summary(found, RULES["arrangement"]) if found else None for found in agreements],
    }


def _tissue_ranges(histograms: list[np.ndarray]) -> dict[str, Any] | None:
    """HU range, median, and 1st and 99th percentile from each case's own median; every case counts the same."""
    if not histograms:
        return None
    pooled = np.sum([histogram / max(histogram.sum(), 1) for histogram in histograms], axis=0)
    filled = np.flatnonzero(pooled)
    edges = [tissue.HU_FIRST + tissue.HU_STEP * (int(bin_) + 0.5) for bin_ in (filled[0], filled[-1])]
    centred = np.zeros((len(histograms), 2 * tissue.HU_BINS))
    for row, histogram in zip(centred, histograms, strict=True):
        median = int(np.searchsorted(np.cumsum(histogram), 0.5 * histogram.sum()))
        row[tissue.HU_BINS - median : 2 * tissue.HU_BINS - median] = histogram / max(histogram.sum(), 1)
    share = np.cumsum(centred.sum(axis=0)) / len(histograms)
    low, high = (int(np.searchsorted(share, quantile)) - tissue.HU_BINS for quantile in (0.01, 0.99))
    return {
        "cases": len(histograms),
        "range": edges,
        "median": tissue.percentile(pooled, 0.5),
        "p1": low * tissue.HU_STEP,
        "p99": high * tissue.HU_STEP,
    }


def _order(centroids: list[dict[str, np.ndarray]]) -> list[dict[str, Any]]:
    """Pairs in the same order along an axis in every case, so far apart that the next case should have it too."""
    names = sorted({name for case in centroids for name in case})
    found = []
    for first, second in combinations(names, 2):
        apart = np.array([case[first] - case[second] for case in centroids if first in case and second in case])
        if len(apart) < 2:
            continue
        for axis in range(3):
            mm = apart[:, axis]
            ahead, behind = (first, second) if mm[0] > 0 else (second, first)
            learnt = summary([float(value) for value in np.abs(mm)], RULES["order"])
            bounds = limits(RULES["order"], learnt)
            if (np.sign(mm) == np.sign(mm[0])).all() and bounds and bounds.warn[0] > 0:
                found.append({"axis": axis, "first": ahead, "second": behind, **learnt})
    return found
