"""Two checkpoints compared on the same cases: the differences per structure, and the table that shows them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from ..counting import counted
from .page_elements import Cell, ColumnHead, Table, TableRow, signed


@dataclass(frozen=True)
class PairedDifference:
    """One structure over `n` cases: the mean of this checkpoint's value minus the other's, with its 95 % interval.

    infinite: further cases in which a distance is infinite on one side or both; no mean can hold them. better and worse
    count, of the n and the infinite ones, the cases in which this checkpoint is nearer to the reference: more of an overlap,
    less of a distance. p is that of Wilcoxon's signed-rank test over the same cases, in which a missed structure is the
    largest difference; p_holm after Holm's correction over the structures.
    """

    structure: str
    n: int
    difference: float
    ci95: tuple[float, float]
    better: int
    worse: int
    p: float
    p_holm: float = math.nan
    infinite: int = 0


@dataclass(frozen=True)
class PairedComparison:
    """This checkpoint and the other one, the measure, and one row per structure; `link` leads to the other's own report."""

    this: str
    other: str
    measure: str
    rows: Sequence[PairedDifference]
    link: str = ""


def paired_table(paired: PairedComparison) -> Table:
    """The differences with their intervals, and in how many cases this checkpoint is better or worse."""
    columns = (
        ("Difference", f"Mean over cases of {paired.measure}: this checkpoint minus the other"),
        ("Better", "Cases in which this checkpoint is nearer to the reference"),
        ("Worse", "Cases in which the other checkpoint is nearer to the reference"),
        (
            "Cases",
            "Cases that difference and interval are computed over; cases with an infinite distance are counted apart",
        ),
        ("p", "Wilcoxon's signed-rank test, two-sided"),
        ("p (Holm)", "The same after Holm's correction for testing several structures"),
    )
    heads = [ColumnHead("Structure", "", "Name in the reference", "ascending")]
    heads += [ColumnHead(title, "", text) for title, text in columns]
    cases = max((row.n + row.infinite for row in paired.rows), default=0)
    smallest = f": with {counted(cases, 'case')} no p below {2 / 2**cases:.3g} is possible" if 0 < cases < 10 else ""
    return Table(
        "Table of paired differences",
        f"Look at the difference and its interval first{smallest}.",
        heads,
        [TableRow(row.structure, _cells(row)) for row in paired.rows],
    )


def _cells(row: PairedDifference) -> list[Cell]:
    interval = "" if math.isnan(row.ci95[0]) else f"{signed(row.ci95[0])} to {signed(row.ci95[1])}"
    if not interval and row.n == 1:
        interval = "one case: no interval"
    return [
        Cell("–")
        if math.isnan(row.difference)
        else Cell(signed(row.difference), row.difference, [interval] * bool(interval)),
        Cell(str(row.better), row.better),
        Cell(str(row.worse), row.worse),
        Cell(str(row.n), row.n, [f"and {row.infinite} with ∞"] * bool(row.infinite)),
        _p_cell(row.p),
        _p_cell(row.p_holm),
    ]


def _p_cell(p: float) -> Cell:
    if math.isnan(p):
        return Cell("–")
    return Cell("< 0.001" if p < 0.001 else f"{p:.3f}", p)
