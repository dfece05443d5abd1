"""Training statistics: measurements of the training labels, stored in the card, which the checks compare with."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any

import numpy as np

from ..counting import counted
from ..io.slicing_axis import AXIAL
from ..io.volume import Volume
from ..labels.segmentation import Segmentation
from . import relations, shape_and_size, tissue
from .anatomy import Anatomy
from .quantity import Quantity, limits, summarize
from .rules import RULES

VERSION = 1


@dataclass(frozen=True)
class CaseQuantities:
    """Measurements of one case: quantities, centroids (mm along superior, posterior, left) and HU histograms (1024,)."""

    structures: tuple[str, ...]
    quantities: list[Quantity]
    centroids_mm: dict[str, np.ndarray]
    histograms: dict[str, np.ndarray] = field(default_factory=dict)


def case_quantities_to_json(case: CaseQuantities) -> dict[str, Any]:
    """What the training statistics need of a case, JSON-ready; without positions and details, which only findings show."""
    return {
        "structures": list(case.structures),
        "quantities": [[one.key, one.structure, one.value, one.other] for one in case.quantities],
        "centroids_mm": {name: centroid.tolist() for name, centroid in case.centroids_mm.items()},
        "histograms": {
            name: [[int(bin_), int(counts[bin_])] for bin_ in np.flatnonzero(counts)]
            for name, counts in case.histograms.items()
        },
    }


def case_quantities_from_json(plain: dict[str, Any]) -> CaseQuantities:
    """The measurements that `case_quantities_to_json` wrote."""
    histograms = {}
    for name, filled in plain["histograms"].items():
        histograms[name] = np.zeros(tissue.HU_BINS, dtype=np.int64)
        for bin_, count in filled:
            histograms[name][bin_] = count
    return CaseQuantities(
        tuple(plain["structures"]),
        [Quantity(key, structure, value, other=other) for key, structure, value, other in plain["quantities"]],
        {name: np.array(centroid) for name, centroid in plain["centroids_mm"].items()},
        histograms,
    )


MEASURES = (
    shape_and_size.components,
    shape_and_size.small_components,
    shape_and_size.cavities,
    shape_and_size.gaps,
    shape_and_size.continuity,
    shape_and_size.jitter,
    shape_and_size.cut,
    shape_and_size.border,
    shape_and_size.volume,
    shape_and_size.extent,
    relations.neighbours,
    relations.containment,
    tissue.in_body,
    tissue.edges,
    tissue.drift,
    tissue.confidence,
)


def measure_case(anatomy: Anatomy) -> CaseQuantities:
    """Measure one case, with all measures that need no training statistics."""
    quantities = [quantity for measure in MEASURES for quantity in measure(anatomy)]
    centroids_mm = {name: anatomy.to_mm(organ.centroid) for name, organ in anatomy.present.items()}
    return CaseQuantities(tuple(anatomy.keys.values()), quantities, centroids_mm, tissue.histograms(anatomy))


def position_differences(
    centroids_mm: dict[str, np.ndarray], constellation: relations.Constellation
) -> list[tuple[str, str, float]]:
    """Distance of every structure from its predicted position along each axis, as (structure, axis, mm)."""
    found = []
    for name, centroid in centroids_mm.items():
        predicted = constellation.predict(name, centroids_mm)
        if predicted is not None:
            found += [
                (name, axis, float(mm)) for axis, mm in zip(shape_and_size.AXES, centroid - predicted, strict=True)
            ]
    return found


def training_statistics(
    cases: Iterable[tuple[Segmentation, Volume | None]], *, nominal_spacing: bool = False
) -> dict[str, Any]:
    """Measure the training labels, from slice to slice along their `slicing_axis`, which must be the network's.

    Args:
        cases: Labels and scans of the training cases; read once, may be a generator.
        nominal_spacing: Whether the data set's spacing is not the true one (as in 8-bit copies of a challenge's slices).
            Millimetres and millilitres then only warn.

    Returns:
        JSON-ready numbers, for the card's `statistics`.
    """
    measured, axes = [], set()
    for segmentation, volume in cases:
        measured.append(measure_case(Anatomy(segmentation, volume)))
        axes.add(segmentation.slicing_axis)
    own = {"slicing_axis": axes.pop() if len(axes) == 1 else "several"} if axes - {AXIAL} else {}
    return statistics_from_cases(measured, nominal_spacing=nominal_spacing) | own


def limits_text(statistics: Mapping[str, Any] | None, model: bool = True) -> str:
    """Where the limits of the checks come from, in words.

    Args:
        statistics: what `training_statistics` returned; None or empty without any.
        model: whether a model was named, which could hold statistics.
    """
    if statistics:
        cases = int(statistics["cases"])
        return f"limits: training statistics of {counted(cases, 'case')}"
    how = (
        "add statistics with unetseg release MODEL DATASET" if model else "name a model to use its training statistics"
    )
    return f"limits: rules of thumb; {how}"


def statistics_from_cases(measured: list[CaseQuantities], *, nominal_spacing: bool = False) -> dict[str, Any]:
    """`training_statistics` of cases that are measured already."""
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
    for number, case_centroids in enumerate(centroids):
        others = relations.Constellation.from_cases(centroids[:number] + centroids[number + 1 :])
        for name, along, mm in position_differences(case_centroids, others):
            keep(name, "position", f"position|{along}", mm)
        for axis, value in enumerate(others.agreement(case_centroids)):
            agreements[axis] += [] if value is None else [value]
    tissues = {
        name: _tissue_ranges([case.histograms[name] for case in measured if name in case.histograms]) for name in names
    }
    for case in measured:
        for name, histogram in case.histograms.items():
            for key, value in tissue.tissue(histogram, tissues[name]):
                keep(name, key, key, value)
    offsets = relations.Constellation.from_cases(centroids).offsets
    return {
        "version": VERSION,
        "cases": len(measured),
        "nominal_spacing": nominal_spacing,
        "structures": {
            name: {
                "declared": sum(name in case.structures for case in measured),
                "present": sum(name in case.centroids_mm for case in measured),
                "hu": tissues[name],
                "measures": {key: summarize(found, rules[key]) for key, found in sorted(values[name].items())},
            }
            for name in names
        },
        "offsets": [[*pair, [round(float(mm), 2) for mm in mean]] for pair, mean in sorted(offsets.items())],
        "order": _order(centroids),
        "arrangement": [summarize(found, RULES["arrangement"]) if found else None for found in agreements],
    }


def _tissue_ranges(histograms: list[np.ndarray]) -> dict[str, Any] | None:
    """HU range, median, and 1st and 99th percentile relative to each case's own median; every case has the same weight."""
    if not histograms:
        return None
    pooled = np.sum([histogram / max(histogram.sum(), 1) for histogram in histograms], axis=0)
    filled = np.flatnonzero(pooled)
    edges = [tissue.HU_FIRST + tissue.HU_STEP * (int(bin_) + 0.5) for bin_ in (filled[0], filled[-1])]
    centred = np.zeros((len(histograms), 2 * tissue.HU_BINS))
    for row, histogram in zip(centred, histograms, strict=True):
        median = int(np.searchsorted(np.cumsum(histogram), 0.5 * histogram.sum()))
        row[tissue.HU_BINS - median : 2 * tissue.HU_BINS - median] = histogram / max(histogram.sum(), 1)
    cumulative = np.cumsum(centred.sum(axis=0)) / len(histograms)
    low, high = (int(np.searchsorted(cumulative, fraction)) - tissue.HU_BINS for fraction in (0.01, 0.99))
    return {
        "cases": len(histograms),
        "range": edges,
        "median": tissue.quantile(pooled, 0.5),
        "p1": low * tissue.HU_STEP,
        "p99": high * tissue.HU_STEP,
    }


def _order(centroids: list[dict[str, np.ndarray]]) -> list[dict[str, Any]]:
    """Pairs in the same order along an axis in every case, so far apart that the next case should show the same order."""
    names = sorted({name for case in centroids for name in case})
    found = []
    for first, second in combinations(names, 2):
        apart = np.array([case[first] - case[second] for case in centroids if first in case and second in case])
        if len(apart) < 2:
            continue
        for axis in range(3):
            mm = apart[:, axis]
            ahead, behind = (first, second) if mm[0] > 0 else (second, first)
            distances = summarize([float(value) for value in np.abs(mm)], RULES["order"])
            bounds = limits(RULES["order"], distances)
            if (np.sign(mm) == np.sign(mm[0])).all() and bounds and bounds.warn[0] > 0:
                found.append({"axis": axis, "first": ahead, "second": behind, **distances})
    return found
