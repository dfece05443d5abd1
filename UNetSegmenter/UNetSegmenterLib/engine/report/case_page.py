"""The page of one case: its result in words, the table of structures and the slice curves."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from html import escape

from ..evaluation.comparison import Comparison, StructureComparison
from ..evaluation.measure_definitions import DEFINITIONS, goodness
from ..evaluation.statistics import mean_dice
from ..plausibility.finding import Finding
from .charts import curve_svg
from .page_elements import STATUS, count, counted, dice_of, sort_head, swatch, tile
from .plausibility_summary import LITTLE_DICE, Tally, badge, case_tile, tally


def case_sentence(comparison: Comparison) -> str:
    """The result of one case in words."""
    rows = counted(comparison)
    if not rows:
        return "Nothing was compared: no structure is in both the prediction and the reference."
    there = sum(row.status in ("ok", "missed") for row in rows)
    found = [row for row in rows if row.status == "ok"]
    parts = [
        f"Found: {len(found)} of {count(there, 'structure')} in the reference; mean Dice over the {len(rows)} compared: "
        f"{mean_dice(rows):.2f}."
    ]
    if len(found) > 1:
        weakest = min(found, key=dice_of)
        if dice_of(weakest) >= LITTLE_DICE:  # else it has been named already
            parts.append(f"The weakest is the {weakest.structure} (Dice {dice_of(weakest):.2f}).")
        farthest = max(found, key=lambda row: row.measures.hd_mm if row.measures else 0.0)
        assert farthest.measures is not None
        parts.append(f"The largest distance is {farthest.measures.hd_mm:.0f} mm, at the {farthest.structure}.")
    return escape(" ".join(parts))


def case_tiles(comparison: Comparison, findings: Sequence[Finding]) -> str:
    """Mean Dice, missed, surface agreement, distance and plausibility of one case."""
    rows = counted(comparison)
    missed = sum(row.status == "missed" for row in rows)
    there = sum(row.status in ("ok", "missed") for row in rows)
    found = [row.measures for row in rows if row.status == "ok" and row.measures]
    tolerance = rows[0].tolerance_mm if rows else 2.0
    if not rows:
        return ""
    nsd = sum(row.measures.nsd for row in rows if row.measures) / len(rows)
    tiles = [
        tile(
            "Mean Dice over structures",
            f"{mean_dice(rows):.3f}",
            f"{count(len(rows), 'structure')}; one case: no interval",
        ),
        tile("Missed structures", f"{missed} <small>of {there}</small>", "counted with Dice 0", alarm=missed > 0),
        tile(f"Mean NSD over structures, at {tolerance:g} mm", f"{nsd:.3f}", count(len(rows), "structure")),
    ]
    if found:
        hd95 = sum(measures.hd95_mm for measures in found) / len(found)
        tiles.append(tile("Mean HD95 over structures", f"{hd95:.1f} <small>mm</small>", f"over the {len(found)} found"))
    return f'<dl class="tiles">{"".join([*tiles, case_tile(findings)])}</dl>'


def structure_table(comparison: Comparison, reference_note: str, findings: Sequence[Finding] = ()) -> str:
    """All structures with all measures of one case, sortable and coloured; what is implausible stands with the name."""
    tolerance = comparison.rows[0].tolerance_mm if comparison.rows else 2.0
    head = sort_head("Structure", "", "Name in the reference", "ascending", "")
    for definition in DEFINITIONS:
        unit = f"at {tolerance:g} mm" if definition.key == "nsd" else definition.unit
        first = "descending" if definition.best is not None and not definition.logarithmic else "ascending"
        text = f"{definition.text} Tolerance {tolerance:g} mm." if definition.key == "nsd" else definition.text
        head += sort_head(definition.title, unit, text, first, "")
    body = "".join(_structure_row(row, reference_note, tally(findings, row)) for row in comparison.rows)
    caption = f"<b>{escape(reference_note)}</b> " if reference_note else ""
    caption += "Measured in 3D in the reference’s grid." + _rests_on(comparison)
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="Table of all structures"><table>'
        f"<caption><span>{caption}</span></caption><thead><tr>{head}</tr></thead><tbody>{body}</tbody>{_mean_row(comparison)}</table></div>"
        '<p class="legend"><span>worse</span><span class="ramp" aria-hidden="true"></span><span>better</span>'
        "<span>Dice, precision, recall, NSD from 0.5 to 1; IoU from 0.33 to 1; HD95 20 to 2 mm; HD 40 to 4 mm; ASSD 5 to "
        "0.5 mm; volume off by half or more to equal; pieces 6 too many to as many.</span></p>"
    )


def _rests_on(comparison: Comparison) -> str:
    """What the pairs of the table were matched by, and how many by each."""
    by = Counter(row.matched.removeprefix("by ") for row in comparison.rows if row.matched)
    return f" Matched by {', '.join(f'{how} ({n})' for how, n in by.items())}." if by else ""


def _structure_row(row: StructureComparison, reference_note: str, found: Tally) -> str:
    said = row.note.removeprefix(reference_note).removeprefix("; ")  # the caption says it for all rows
    note = f'<span class="row-note">{escape(said)}</span>' if said and row.measures else ""
    status = "" if row.status == "ok" else f' <span class="status {row.status}">{STATUS[row.status]}</span>'
    cells = f'<th scope="row">{swatch(row.color)}{escape(row.structure)}{status}{badge(found)}{note}</th>'
    if row.measures is None:
        return f'<tr>{cells}<td class="muted left" colspan="{len(DEFINITIONS)}" data-v="">{escape(said)}</td></tr>'
    for definition in DEFINITIONS:
        value = float(getattr(row.measures, definition.key))
        text = definition.shown(value)
        if definition.key == "components":
            text = f"{row.measures.components} / {row.measures.reference_components}"
        place = goodness(row.measures, definition.key)
        heat = "" if place is None else f' class="heat" style="--v:{place:.2f}"'
        sort = "" if math.isnan(value) else "Infinity" if math.isinf(value) else f"{value:.6g}"
        cells += f'<td{heat} data-v="{sort}">{text}</td>'
    return f"<tr>{cells}</tr>"


def _mean_row(comparison: Comparison) -> str:
    rows = [row.measures for row in comparison.rows if row.measures is not None]
    if len(rows) < 2:
        return ""
    cells = ""
    for definition in DEFINITIONS:
        if definition.key in ("prediction_ml", "reference_ml", "components"):
            cells += "<td></td>"
            continue
        values = [value for value in (getattr(measures, definition.key) for measures in rows) if math.isfinite(value)]
        mean = definition.shown(sum(values) / len(values)) if values else "–"
        cells += f'<td title="over {count(len(values), "structure")}">{mean}</td>'
    lost = sum(math.isinf(measures.hd_mm) for measures in rows)
    left_out = f", distances of {len(rows) - lost}" if lost else ""
    return (
        f'<tfoot><tr><th scope="row">Mean <span class="muted">of {len(rows)}{left_out}</span></th>{cells}</tr></tfoot>'
    )


def curves(comparison: Comparison) -> str:
    """A slice curve for each structure that has one, the weakest first."""
    rows = sorted((row for row in comparison.rows if row.curve is not None), key=dice_of)
    figures = ""
    for row in rows:
        figures += (
            f'<figure class="chart"><figcaption><h3>{swatch(row.color)}{escape(row.structure)}</h3>'
            f'<span class="muted">Dice {dice_of(row):.3f}</span></figcaption>{slice_curve(row)}</figure>'
        )
    return f'<div class="charts">{figures}</div>' if figures else ""


def slice_curve(row: StructureComparison) -> str:
    """The slice curve of one structure with the line below it that reads one slice; nothing if it has no curve."""
    if row.curve is None:
        return ""
    worst = row.curve.worst_first()[0]
    resting = (
        f"Largest disagreement: slice {row.curve.slices[worst]} (S {row.curve.superior_mm[worst]:.0f} mm), "
        f"Dice {row.curve.dice[worst]:.2f}, "
        f"{row.curve.error_mm2[worst] / 100:.1f} cm² claimed by one side only"
    )
    return f'{curve_svg(row.structure, row.curve)}<p class="reading" aria-live="polite">{resting}</p>'
