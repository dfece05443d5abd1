"""Statistics over cases: mean, standard deviation, confidence interval and median of each measure, and the summary of them."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from .comparison import Comparison, StructureComparison

MEASURES = ("dice", "iou", "precision", "recall", "nsd", "hd95_mm", "hd_mm", "assd_mm", "difference_ml")
_BETWEEN_0_AND_1 = ("dice", "iou", "precision", "recall", "nsd")
STATUSES = ("ok", "missed", "spurious", "absent", "unmatched")
WORST = 3  # cases that a summary names
CI_METHOD = "95 % confidence interval of the mean from Student's t distribution"
SUMMARY_DEFINITIONS = {
    "mean_dice": "mean over structures of each structure's mean over its cases; it has no interval",
    "mean_dice_over_cases": "mean over cases of each case's mean over its structures, with the interval of that mean",
    "structures": "means over the cases in which the structure was measured; n counts the values of a mean and its interval",
    "counted": "a missed or spurious structure counts with Dice, IoU and NSD 0; its infinite distances are in no mean, but in "
    "the median; a structure that neither side has, or only one side knows, is in no mean",
}


@dataclass(frozen=True)
class Aggregate:
    """Statistics of the values of one measure.

    Attributes:
        mean: Mean of the finite values.
        sd: Sample standard deviation of the finite values; NaN below two of them.
        ci95: 95 % confidence interval of the mean; NaN below two values.
        median: Median of all values, infinite ones included, so that it cannot hide a missed structure.
        n: Number of finite values.
    """

    mean: float
    sd: float
    ci95: tuple[float, float]
    median: float
    n: int


def aggregate(values: Iterable[float], bounds: tuple[float, float] = (-math.inf, math.inf)) -> Aggregate:
    """Statistics of some values; NaN means not measured. The interval is limited to `bounds`, the range of the measure."""
    every = np.array([value for value in values if not math.isnan(value)], dtype=float)
    finite = every[np.isfinite(every)]
    nan = float("nan")
    median = float(np.median(every)) if every.size and not np.isneginf(every).any() else nan
    if not finite.size:
        return Aggregate(nan, nan, (nan, nan), median, 0)
    mean = float(finite.mean())
    if finite.size == 1:
        return Aggregate(mean, nan, (nan, nan), median, 1)
    sd = float(finite.std(ddof=1))
    half = student_t_quantile(0.975, finite.size - 1) * sd / math.sqrt(finite.size)
    return Aggregate(mean, sd, (max(bounds[0], mean - half), min(bounds[1], mean + half)), median, int(finite.size))


@cache
def student_t_quantile(probability: float, degrees: int) -> float:
    """Quantile of Student's t distribution for whole degrees of freedom and a probability above one half.

    By bisection of the closed form of Abramowitz and Stegun, Handbook of Mathematical Functions, 1964, 26.7.3-4; by hand,
    because Slicer's Python comes without scipy.
    """
    low, high = 0.0, 1e6
    for _ in range(200):
        middle = (low + high) / 2
        if _student_t_cdf(middle, degrees) < probability:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def _student_t_cdf(t: float, degrees: int) -> float:
    angle = math.atan2(t, math.sqrt(degrees))
    cosine2 = math.cos(angle) ** 2
    odd = degrees % 2
    term, total = (math.cos(angle) if odd else 1.0), 0.0
    for k in range(degrees // 2):
        total += term
        term *= cosine2 * ((2 * k + 2) / (2 * k + 3) if odd else (2 * k + 1) / (2 * k + 2))
    inside = (angle + math.sin(angle) * total) * 2 / math.pi if odd else math.sin(angle) * total
    return 0.5 + inside / 2


def summary(rows: Sequence[StructureComparison]) -> dict:
    """The content of summary.json: mean, sd, ci95, median, n and missed for each structure and measure, JSON-ready.

    `mean_dice` is the mean over structures of their mean Dice, `mean_dice_over_cases` that over cases. Only the second has
    an interval, because the cases are the sample. `SUMMARY_DEFINITIONS` defines which values count. The cases with the
    lowest Dice are named, over all structures and for each. NaN and infinity are null.
    """
    names = list(dict.fromkeys(row.structure for row in rows))
    structures = {name: _structure_summary([row for row in rows if row.structure == name]) for name in names}
    means = [entry["dice"]["mean"] for entry in structures.values() if entry["dice"]["n"]]
    cases = list(dict.fromkeys(row.case for row in rows))
    by_case = [mean_dice([row for row in rows if row.case == case]) for case in cases]
    over_cases = aggregate(by_case, (0.0, 1.0))
    ranked = sorted((mean, case) for mean, case in zip(by_case, cases, strict=True) if not math.isnan(mean))
    tolerances = sorted({row.tolerance_mm for row in rows})
    return {
        "cases": len(cases),
        "mean_dice": _number(float(np.mean(means)) if means else math.nan),
        "mean_dice_over_cases": _aggregate_json(over_cases),
        **{status: sum(row.status == status for row in rows) for status in STATUSES[1:]},
        "nsd_tolerance_mm": tolerances[0] if len(tolerances) == 1 else tolerances,
        "ci95_method": CI_METHOD,
        "definitions": SUMMARY_DEFINITIONS,
        "worst_cases": [{"case": case, "mean_dice": _number(mean)} for mean, case in ranked[:WORST]],
        "structures": structures,
    }


def mean_dice(rows: Iterable[StructureComparison]) -> float:
    """Mean Dice of the measured rows (0 for missed and spurious ones); NaN if there are none."""
    values = [row.measures.dice for row in rows if row.measures is not None]
    return float(np.mean(values)) if values else math.nan


def _structure_summary(rows: Sequence[StructureComparison]) -> dict:
    counted = [row.measures for row in rows if row.measures is not None]
    missed = sum(row.status == "missed" for row in rows)
    entry: dict = {}
    for name in MEASURES:
        bounds = (0.0, 1.0) if name in _BETWEEN_0_AND_1 else (0.0 if name.endswith("_mm") else -math.inf, math.inf)
        entry[name] = _aggregate_json(aggregate((getattr(m, name) for m in counted), bounds)) | {"missed": missed}
    for status in STATUSES:
        entry[status] = sum(row.status == status for row in rows)
    entry["matched"] = dict(Counter(row.matched for row in rows if row.matched))
    worst = sorted((row.measures.dice, row.case) for row in rows if row.measures is not None)
    entry["worst_cases"] = [{"case": case, "dice": _number(dice)} for dice, case in worst[:WORST]]
    return entry


def _aggregate_json(result: Aggregate) -> dict:
    low, high = (_number(bound) for bound in result.ci95)
    return {
        "mean": _number(result.mean),
        "sd": _number(result.sd),
        "ci95": None if low is None else [low, high],
        "median": _number(result.median),
        "n": result.n,
    }


def _number(value: float) -> float | None:
    return round(value, 6) if math.isfinite(value) else None


def counted_cases(comparisons: Sequence[Comparison], trained_on: Collection[str]) -> list[Comparison]:
    """The cases that statistics are computed over: those that were not trained on, or all if there are no others."""
    return [one for one in comparisons if one.case not in trained_on] or list(comparisons)
