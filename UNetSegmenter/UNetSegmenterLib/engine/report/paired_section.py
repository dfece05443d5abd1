"""The section in which two checkpoints are compared on the same cases: differences with intervals, drawn and in a table."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Protocol

from .charts import WIDTH, names_width, round_up, row_name
from .page_elements import count, sort_head

_ROW, _RIGHT = 30, 40


class Pairing(Protocol):
    """One structure over n cases: the mean of this checkpoint's value less the other's, with its interval.

    `infinite` further cases have an infinite distance: they are in better, worse and p, but in no mean.
    """

    @property
    def structure(self) -> str: ...
    @property
    def n(self) -> int: ...
    @property
    def difference(self) -> float: ...
    @property
    def ci95(self) -> tuple[float, float]: ...
    @property
    def better(self) -> int: ...
    @property
    def worse(self) -> int: ...
    @property
    def p(self) -> float: ...
    @property
    def p_holm(self) -> float: ...
    @property
    def infinite(self) -> int: ...


@dataclass(frozen=True)
class PairedComparison:
    """This checkpoint and the other one, the measure, and a row a structure; `link` leads to the other's own report."""

    this: str
    other: str
    measure: str
    rows: Sequence[Pairing]
    link: str = ""


def paired_section(paired: PairedComparison) -> str:
    """Differences as dots with their intervals, and below them the table."""
    other = escape(paired.other)
    linked = f'<a href="{escape(paired.link)}">{other}</a>' if paired.link else other
    said = (
        f"{escape(paired.measure)} of <b>{escape(paired.this)}</b> less that of <b>{linked}</b> on the same cases: right of "
        "zero this checkpoint is better. Line: 95 % confidence interval of the mean difference."
    )
    return f'<p class="lead">{said}</p><figure class="chart wide">{forest_svg(paired)}</figure>{_table(paired)}'


def forest_svg(paired: PairedComparison) -> str:
    """A row a structure: mean difference as a dot, its 95 % confidence interval as a line, zero as the axis."""
    ends = [abs(value) for row in paired.rows for value in (row.difference, *row.ci95) if math.isfinite(value)]
    end = round_up(max([*ends, 0.01]))
    reach = end * 1.02
    left = names_width([row.structure for row in paired.rows])
    width, bottom = 2 * WIDTH, len(paired.rows) * _ROW + 12

    def at(value: float) -> float:
        return left + (width - _RIGHT - left) * (value + reach) / (2 * reach)

    parts = [
        f'<line class="grid" x1="{at(tick):.1f}" x2="{at(tick):.1f}" y1="8" y2="{bottom}"/>'
        f'<text x="{at(tick):.1f}" y="{bottom + 16}" text-anchor="middle">{_signed(tick, "g")}</text>'
        for tick in (-end, -end / 2, end / 2, end)
    ]
    parts.append(
        f'<line class="axis" x1="{at(0):.1f}" x2="{at(0):.1f}" y1="8" y2="{bottom}"/>'
        f'<text x="{at(0):.1f}" y="{bottom + 16}" text-anchor="middle">0</text>'
        f'<text class="strong" x="{at(0):.1f}" y="{bottom + 34}" text-anchor="middle">'
        f"Difference of {escape(paired.measure)}</text>"
    )
    for number, row in enumerate(paired.rows):
        y = 8 + _ROW * (number + 0.5)
        parts.append(row_name(8, y + 4, row.structure, row.n))
        if all(math.isfinite(value) for value in row.ci95):
            low, high = (at(value) for value in row.ci95)
            parts.append(f'<line class="median" x1="{low:.1f}" x2="{high:.1f}" y1="{y:.1f}" y2="{y:.1f}"/>')
        if math.isfinite(row.difference):
            parts.append(f'<circle class="dot" cx="{at(row.difference):.1f}" cy="{y:.1f}" r="5"/>')
    said = "; ".join(f"{row.structure} {_signed(row.difference)}" for row in paired.rows)
    label = escape(f"Differences of {paired.measure}: {said}")
    return (
        f'<svg class="plot" viewBox="0 0 {width} {bottom + 42}" role="img" aria-label="{label}">{"".join(parts)}</svg>'
    )


def _signed(value: float, form: str = ".3f") -> str:
    return f"{value:+{form}}".replace("-", "−")


def _p_cell(p: float) -> str:
    if math.isnan(p):
        return '<td data-v="">–</td>'
    return f'<td data-v="{p}">{"&lt; 0.001" if p < 0.001 else f"{p:.3f}"}</td>'


def _table(paired: PairedComparison) -> str:
    head = sort_head("Structure", "", "Name in the reference", "ascending", "")
    for title, text in (
        ("Difference", f"Mean over cases of {paired.measure}: this checkpoint less the other"),
        ("Better", "Cases in which this checkpoint has more"),
        ("Worse", "Cases in which it has less"),
        ("Cases", "Cases over which difference and interval are; with an infinite distance in one more, it says so"),
        ("p", "Wilcoxon's signed-rank test, two-sided"),
        ("p (Holm)", "The same after Holm's correction for testing several structures"),
    ):
        head += sort_head(title, "", text, "descending", "")
    body = ""
    for row in paired.rows:
        low, high = row.ci95
        none = '<span class="interval">one case: no interval</span>' if row.n == 1 else ""
        interval = none if math.isnan(low) else f'<span class="interval">{_signed(low)} to {_signed(high)}</span>'
        difference = "–" if math.isnan(row.difference) else f"{_signed(row.difference)}{interval}"
        cells = "".join(f'<td data-v="{number}">{number}</td>' for number in (row.better, row.worse))
        more = f'<span class="interval">and {row.infinite} with ∞</span>' if row.infinite else ""
        cells += f'<td data-v="{row.n}">{row.n}{more}</td>'
        cells += _p_cell(row.p) + _p_cell(row.p_holm)
        name = f'<th scope="row">{escape(row.structure)}</th>'
        body += f'<tr>{name}<td data-v="{row.difference}">{difference}</td>{cells}</tr>'
    cases = max((row.n + row.infinite for row in paired.rows), default=0)
    smallest = f": with {count(cases, 'case')} no p below {2 / 2**cases:.3g} is possible" if 0 < cases < 10 else ""
    return (
        '<div class="scroll" tabindex="0" role="region" aria-label="Table of paired differences"><table>'
        f"<caption><span>Look at the difference and its interval first{smallest}.</span></caption>"
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )
