"""What the pages of a report are made of: sections, tiles, tables, texts with links. templates/elements.html lays them out."""

from __future__ import annotations

import base64
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..evaluation.comparison import Comparison, StructureComparison
from ..evaluation.verdict import Verdict
from ..plausibility.finding import Finding

if TYPE_CHECKING:
    from .niivue_viewer import ViewerData

STATUS_LABELS = {
    "ok": "found",
    "missed": "✕ missed",
    "spurious": "✕ not in reference",
    "absent": "absent in both",
    "unmatched": "no counterpart",
}


@dataclass(frozen=True)
class CaseMaterial:
    """What the page of a case shows besides its comparison.

    `pictures` are (caption, PNG bytes); `warnings` stand beside the numbers; `limits` says what the findings were compared with.
    """

    pictures: Sequence[tuple[str, bytes]] = ()
    findings: Sequence[Finding] = ()
    verdict: Verdict | None = None
    viewer: ViewerData | None = None
    warnings: Sequence[str] = ()
    limits: str = ""


@dataclass(frozen=True)
class PageSection:
    """A titled section; `key` is its address in the page and selects its layout, `content` is what the layout needs."""

    key: str
    title: str
    content: Any


@dataclass(frozen=True)
class Link:
    """A text that leads to an address within the report."""

    text: str
    address: str


LinkedText = Sequence[str | Link]
"""Parts of one text, in order."""


@dataclass(frozen=True)
class Tile:
    """One number of the summary with its name above and a remark below; `small` follows the number in small type."""

    name: str
    figure: str
    small: str = ""
    remark: str = ""
    is_alarm: bool = False
    address: str = ""


@dataclass(frozen=True)
class PageSummary:
    """The top of a page: what to take away, the result in numbers, tiles, and what must be known beside them."""

    takeaway: LinkedText
    result: str
    tiles: Sequence[Tile]
    warnings: Sequence[str]
    notes: Sequence[str]


@dataclass(frozen=True)
class ColumnHead:
    """Head of a column that a click sorts; `first_order` is the order after the first click."""

    title: str
    unit: str
    explanation: str
    first_order: str = "descending"
    css_class: str = ""


@dataclass(frozen=True)
class Cell:
    """A cell of a table; `sort_value` orders it ("" comes last), `details` are small lines below its text.

    `goodness` from 0 (worst) to 1 (best) colours it; None leaves it without colour.
    """

    text: str
    sort_value: str | float = ""
    details: Sequence[str] = ()
    goodness: float | None = None
    tooltip: str = ""
    css_class: str = ""
    columns: int = 1


@dataclass(frozen=True)
class TableRow:
    """A row of a table: its name, with link, colour, (CSS class, text) badges and a note beside it, then the cells."""

    name: str
    cells: Sequence[Cell]
    address: str = ""
    color: tuple[int, int, int] | None = None
    badges: Sequence[tuple[str, str]] = ()
    note: str = ""


@dataclass(frozen=True)
class MeanRow:
    """The last row of a table: what its means are over, and (text, tooltip) of each column."""

    over: str
    cells: Sequence[tuple[str, str]]


@dataclass(frozen=True)
class Table:
    """A sortable table; `caption` stands above it, `label` is its name for a screen reader."""

    label: str
    caption: str
    heads: Sequence[ColumnHead]
    rows: Sequence[TableRow]
    mean_row: MeanRow | None = None


@dataclass(frozen=True)
class PictureElement:
    """A PNG inside the page."""

    caption: str
    base64: str


def embedded(pictures: Sequence[tuple[str, bytes]]) -> list[PictureElement]:
    """Pictures, given as (caption, PNG bytes), as a page holds them."""
    return [PictureElement(caption, base64.b64encode(png).decode()) for caption, png in pictures]


def measured_rows(comparison: Comparison) -> list[StructureComparison]:
    """Rows that have measures."""
    return [row for row in comparison.rows if row.measures is not None]


def dice_of(row: StructureComparison) -> float:
    """Dice of a row, NaN if it was not measured."""
    return row.measures.dice if row.measures else math.nan


def sort_value(value: float) -> str:
    """A number as the page's script sorts it; empty for NaN, which comes last."""
    return "" if math.isnan(value) else "Infinity" if math.isinf(value) else f"{value:.6g}"


def signed(value: float, form: str = ".3f") -> str:
    """A number with its sign, as it is printed."""
    return f"{value:+{form}}".replace("-", "−")


def listed(names: Sequence[str]) -> str:
    """Names as a sentence has them: a, b and c."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
