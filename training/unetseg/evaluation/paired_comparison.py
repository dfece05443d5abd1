"""Two checkpoints on the same cases: one paired test per structure, corrected for their number, with the effect size."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from UNetSegmenterLib.engine.errors import InputError
from UNetSegmenterLib.engine.evaluation.comparison import Comparison
from UNetSegmenterLib.engine.evaluation.result_files import SEEN_COLUMN
from UNetSegmenterLib.engine.evaluation.statistics import MEASURES, aggregate
from UNetSegmenterLib.engine.io.csv_text import read_csv_rows
from UNetSegmenterLib.engine.report.paired_table import PairedDifference

OVER_ALL = "each case's mean over structures"
PAIRED_MEASURES = tuple(name for name in MEASURES if name != "difference_ml")  # of which more, or less, is better
LARGEST_EXACT = 50  # differences up to which the p value of Wilcoxon's test is exact


def read_unseen(folders: Sequence[Path], measure: str = "dice") -> tuple[list[dict[tuple[str, str], float]], list[str]]:
    """Read a measure without the cases that the checkpoint of one of the folders was trained on.

    Returns:
        For each folder the measure by (case, structure), without what was not measured; and the names of the cases that
        were trained on. Where no other case is left, all are kept.
    """
    read = [_read_column(folder, measure) for folder in folders]
    seen = {case for _, trained in read for case in trained}
    unseen = [{key: value for key, value in values.items() if key[0] not in seen} for values, _ in read]
    return (unseen if all(unseen) else [values for values, _ in read]), sorted(seen)


def _read_column(folder: Path, measure: str) -> tuple[dict[tuple[str, str], float], set[str]]:
    if measure not in PAIRED_MEASURES:
        raise InputError(f'"{measure}" can\'t be compared; --measure is one of {", ".join(PAIRED_MEASURES)}.')
    path = folder / "metrics.csv"
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = read_csv_rows(file)
        values = {(row["case"], row["structure"]): float(row[measure]) for row in rows if row[measure]}
        return values, {row["case"] for row in rows if row.get(SEEN_COLUMN) == "yes"}
    except OSError as error:
        raise InputError(
            f"{path} can't be read ({error.strerror}); give the folder that unetseg evaluate wrote."
        ) from error
    except (KeyError, ValueError) as error:
        raise InputError(
            f'{path} has no column "{measure}" of numbers; give the folder that unetseg evaluate wrote.'
        ) from error


def compare_paired(
    first: Mapping[tuple[str, str], float], second: Mapping[tuple[str, str], float], *, less_is_better: bool = False
) -> list[PairedDifference]:
    """Compare two evaluations, one row per structure, over the cases that both have.

    Infinite distances can't be averaged: such pairs are left out of the mean, its interval and n, and are counted apart; the
    test ranks them.

    Args:
        first: a measure by (case, structure).
        second: the same measure of the other evaluation.
        less_is_better: whether the measure is a distance.

    Raises:
        InputError: the two share no case and structure.
    """
    common = [key for key in first if key in second]
    if not common:
        raise InputError(
            "The two evaluations share no case and structure; evaluate both checkpoints on the same cases."
        )
    rows = []
    for structure in dict.fromkeys(name for _, name in common):
        pairs = [(first[key], second[key]) for key in common if key[1] == structure]
        differences = [b - a if a != b else 0.0 for a, b in pairs]
        known = aggregate([b - a for a, b in pairs if math.isfinite(a) and math.isfinite(b)])
        better, worse = sum(value > 0 for value in differences), sum(value < 0 for value in differences)
        if less_is_better:
            better, worse = worse, better
        p, infinite = wilcoxon_p(differences), len(pairs) - known.n
        rows.append(PairedDifference(structure, known.n, known.mean, known.ci95, better, worse, p, infinite=infinite))
    corrected = holm([row.p for row in rows])
    return [replace(row, p_holm=p) for row, p in zip(rows, corrected, strict=True)]


def compare_dice(other: Sequence[Comparison], this: Sequence[Comparison]) -> list[PairedDifference]:
    """Dice of `this` minus that of `other`, one row per structure after a first row for each case's mean over structures.

    The first row answers one question, so it needs no correction (its p_holm is NaN). Raises InputError if the two share no
    case and structure.
    """
    sides = [
        {(row.case, row.structure): row.measures.dice for one in side for row in one.rows if row.measures is not None}
        for side in (other, this)
    ]
    rows = compare_paired(*sides)
    common = [key for key in sides[0] if key in sides[1]]
    means: list[dict[tuple[str, str], float]] = []
    for values in sides:
        by_case: dict[str, list[float]] = {}
        for case, structure in common:
            by_case.setdefault(case, []).append(values[case, structure])
        means.append({(case, OVER_ALL): sum(dice) / len(dice) for case, dice in by_case.items()})
    (first,) = compare_paired(*means)
    return [replace(first, p_holm=math.nan), *rows]


def wilcoxon_p(differences: Sequence[float]) -> float:
    """P value of the two-sided signed-rank test (Wilcoxon, Biometrics Bulletin 1945); zeros are left out, ties share ranks.

    Exact for up to `LARGEST_EXACT` differences, with ties too, for which the exact method of scipy is not made; beyond that
    the normal approximation with tie correction and without continuity correction.

    Args:
        differences: one per case; infinite ones rank as the largest.

    Returns:
        The p value; 1 if all differences are zero.
    """
    import numpy as np
    from scipy import stats

    values = np.array([value for value in differences if value != 0])
    if not values.size:
        return 1.0
    if values.size > LARGEST_EXACT:
        return float(stats.wilcoxon(values, method="asymptotic", correction=False).pvalue)
    doubled = np.rint(2 * stats.rankdata(np.abs(values))).astype(int)  # shared ranks can be halves
    patterns = np.ones(1)  # number of sign patterns by twice their sum of positive ranks; exact, as 2**50 < 2**53
    for rank in doubled:
        patterns = np.convolve(patterns, np.eye(1, rank + 1)[0] + np.eye(1, rank + 1, rank)[0])
    positive = doubled[values > 0].sum()
    smaller = min(positive, doubled.sum() - positive)
    return float(min(1.0, 2 * patterns[: smaller + 1].sum() / 2**values.size))


def holm(p_values: Sequence[float]) -> list[float]:
    """P values corrected for testing several at once (Holm, Scandinavian Journal of Statistics 1979)."""
    order = sorted(range(len(p_values)), key=lambda index: p_values[index])
    corrected = [0.0] * len(p_values)
    largest = 0.0
    for done, index in enumerate(order):
        largest = max(largest, min(1.0, (len(p_values) - done) * p_values[index]))
        corrected[index] = largest
    return corrected
