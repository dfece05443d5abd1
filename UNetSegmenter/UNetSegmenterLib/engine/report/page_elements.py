"""Parts that every page of the report uses, as HTML text."""

from __future__ import annotations

import base64
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING

from ..evaluation.comparison import Comparison, StructureComparison
from ..evaluation.measure_definitions import DEFINITIONS
from ..evaluation.verdict import Verdict
from ..plausibility.finding import Finding

if TYPE_CHECKING:
    from .niivue_viewer import ViewerData

STATUS = {
    "ok": "found",
    "missed": "✕ missed",
    "spurious": "✕ not in reference",
    "absent": "absent in both",
    "unmatched": "no counterpart",
}


@dataclass(frozen=True)
class CaseMaterial:
    """What a case page shows besides its comparison: pictures as (caption, PNG bytes), findings, a reviewer's verdict, the
    viewer's images; `warnings` stand beside its numbers.
    """

    pictures: Sequence[tuple[str, bytes]] = ()
    findings: Sequence[Finding] = ()
    verdict: Verdict | None = None
    viewer: ViewerData | None = None
    warnings: Sequence[str] = ()


def counted(comparison: Comparison) -> list[StructureComparison]:
    """Rows that have measures."""
    return [row for row in comparison.rows if row.measures is not None]


def fill(template: str, fields: Mapping[str, str]) -> str:
    """The template with each {{name}} replaced; what comes with a field is left alone, whatever it looks like."""
    return re.sub(r"\{\{(\w+)\}\}", lambda match: fields[match[1]], template)


def section(identifier: str, title: str, body: str, lead: str = "") -> str:
    """A titled section; nothing if the body is empty."""
    if not body:
        return ""
    lead = f'<p class="lead">{lead}</p>' if lead else ""
    heading = f'<h2 id="{identifier}-title">{title}</h2>'
    return f'<section id="{identifier}" aria-labelledby="{identifier}-title">{heading}{lead}{body}</section>'


def sentence(takeaway: str, result: str) -> str:
    """What stands at the top of a page: what to take away, then the result in numbers. Both are HTML text."""
    return f'<p class="sentence">{f"<b>{takeaway}</b> " if takeaway else ""}{result}</p>'


def tile(name: str, figure: str, under: str = "", alarm: bool = False) -> str:
    """One number of the summary with its name above and a remark below."""
    kind = "tile alarm" if alarm else "tile"
    return f'<div class="{kind}"><dt>{name}</dt><dd class="figure">{figure}</dd><dd class="under">{under}</dd></div>'


def notes(items: Iterable[str]) -> str:
    """Remarks that belong beside the numbers."""
    listed = "".join(f"<li>{escape(item)}</li>" for item in items)
    return f'<ul class="notes">{listed}</ul>' if listed else ""


def warnings(items: Iterable[str]) -> str:
    """What must be read before the numbers are believed."""
    listed = "".join(f"<li>{escape(item)}</li>" for item in items)
    return f'<ul class="notes warnings">{listed}</ul>' if listed else ""


def swatch(color: tuple[int, int, int]) -> str:
    """A structure's colour, for the eye only."""
    return f'<span class="swatch" style="background:rgb{color}" aria-hidden="true"></span>'


def dice_of(row: StructureComparison) -> float:
    """Dice of a row, NaN if it was not measured."""
    return row.measures.dice if row.measures else math.nan


def count(number: int, noun: str) -> str:
    """A number and its noun: 1 check, 2 checks."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def listed(names: Sequence[str]) -> str:
    """Names as a sentence has them: a, b and c."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def sort_head(title: str, unit: str, text: str, first: str, kind: str) -> str:
    """Column head with a button that sorts; `text` explains it, `first` is the order of the first click."""
    unit = f'<span class="unit">{escape(unit)}</span>' if unit else ""
    kind = f' class="{kind}"' if kind else ""
    return (
        f'<th scope="col" data-first="{first}"{kind}><button type="button" data-tip="{escape(text)}">'
        f"{escape(title)}</button>{unit}</th>"
    )


def image(caption: str, png: bytes) -> str:
    """An embedded PNG; not loaded lazily, which would leave it out of a print."""
    return (
        f'<img decoding="async" alt="{escape(caption)}" src="data:image/png;base64,{base64.b64encode(png).decode()}">'
    )


def pictures(items: Sequence[tuple[str, bytes]]) -> str:
    """Pictures given as PNG bytes, embedded, to be opened at full size."""
    figures = "".join(
        f'<figure><button type="button" aria-label="Enlarge: {escape(caption)}">{image(caption, png)}</button>'
        f"<figcaption>{escape(caption)}</figcaption></figure>"
        for caption, png in items
    )
    if not figures:
        return ""
    return (
        f'<div class="pictures">{figures}</div><dialog aria-label="Picture at full size"><img alt=""><p></p>'
        '<form method="dialog"><button>Close</button></form></dialog>'
    )


def verdict(one: Verdict | None) -> str:
    """What a reviewer said, and who and when; nothing if nobody said anything."""
    if not one:
        return ""
    who = " · ".join(filter(None, [one.reviewer, one.time.replace("T", " ").replace("Z", " UTC")]))
    comment = escape(one.comment).replace("\n", "<br>")
    return (
        f'<p class="sentence"><b>{escape(one.text.capitalize())}</b></p>'
        + (f"<blockquote>{comment}</blockquote>" if comment else "")
        + (f'<p class="muted">{escape(who)}</p>' if who else "")
    )


def definitions(tolerance_mm: float) -> str:
    """What each measure means, for those who read rather than hover."""
    pairs = [(f"{d.title}{f', {d.unit}' if d.unit else ''}", d.text) for d in DEFINITIONS]
    pairs += [
        ("Tolerance", f"NSD is given at {tolerance_mm:g} mm."),
        ("Both empty", "A structure that neither side has is not counted; it stays in the table as absent."),
        (
            "One empty",
            "Dice, IoU and NSD are 0 and distances infinite (∞); it is reported as missed or not in reference.",
        ),
        ("Another grid", "The prediction’s labels are brought onto the reference’s grid with nearest neighbour."),
    ]
    return definition_list(pairs)


def definition_list(pairs: Iterable[tuple[str, object]]) -> str:
    """Names and what belongs to them."""
    rows = "".join(
        f"<dt>{escape(str(name).replace('_', ' '))}</dt><dd>{escape(str(value))}</dd>" for name, value in pairs
    )
    return f'<dl class="pairs">{rows}</dl>' if rows else ""
