"""The sections of the page of one case: its result in words, the table of structures, findings and slice curves."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from xml.etree.ElementTree import Element

from ..counting import counted
from ..evaluation.comparison import Comparison, StructureComparison
from ..evaluation.measure_definitions import DEFINITIONS, MeasureDefinition, goodness
from ..evaluation.measures import Measures
from ..evaluation.statistics import mean_dice
from ..evaluation.verdict import Verdict
from ..io.slicing_axis import slicing_axis
from ..plausibility.finding import Finding
from .charts import curve_chart
from .niivue_viewer import viewer_content
from .page_elements import (
    STATUS_LABELS,
    CaseMaterial,
    Cell,
    ColumnHead,
    MeanRow,
    PageSection,
    PageSummary,
    Table,
    TableRow,
    Tile,
    dice_of,
    embedded,
    measured_rows,
    sort_value,
)
from .plausibility_summary import LITTLE_DICE, case_takeaway, case_tiles, count_findings, grouped_findings


def case_sections(
    comparison: Comparison, material: CaseMaterial, reference_note: str, notes: Sequence[str] = ()
) -> list[PageSection]:
    """The sections of a case in the order of its page; `notes` warn beside the numbers of the summary."""
    findings, viewer = material.findings, material.viewer
    stopped = [] if comparison.complete else ["The comparison was cancelled; the table holds what was done until then."]
    takeaway = case_takeaway(comparison, findings)
    summary = PageSummary(
        [takeaway] if takeaway else [],
        _result_sentence(comparison),
        _tiles(comparison, findings),
        [*notes, *material.warnings],
        [*stopped, *comparison.notes],
    )
    return [
        PageSection("summary", "Summary", summary),
        PageSection("verdict", "Reviewer’s verdict", _verdict_content(material.verdict)),
        PageSection("viewer", "Viewer", viewer and viewer_content(viewer)),
        PageSection("pictures", "Pictures", embedded(material.pictures)),
        PageSection("structures", "All structures", structure_table(comparison, reference_note, findings)),
        PageSection("findings", "Plausibility", grouped_findings(findings, comparison.rows, material.limits)),
        PageSection("slices", "Slice by slice", _curves(comparison)),
    ]


def _result_sentence(comparison: Comparison) -> str:
    """The result of one case in words."""
    rows = measured_rows(comparison)
    if not rows:
        return "Nothing was compared: no structure is in both the prediction and the reference."
    in_reference = sum(row.status in ("ok", "missed") for row in rows)
    found = [row for row in rows if row.status == "ok"]
    sentences = [
        f"Found: {len(found)} of {counted(in_reference, 'structure')} in the reference; mean Dice over the {len(rows)} "
        f"compared: {mean_dice(rows):.2f}."
    ]
    if len(found) > 1:
        weakest = min(found, key=dice_of)
        if dice_of(weakest) >= LITTLE_DICE:  # else it has been named already
            sentences.append(f"The weakest is the {weakest.structure} (Dice {dice_of(weakest):.2f}).")
        farthest = max(found, key=lambda row: row.measures.hd_mm if row.measures else 0.0)
        assert farthest.measures is not None
        sentences.append(f"The largest distance is {farthest.measures.hd_mm:.0f} mm, at the {farthest.structure}.")
    return " ".join(sentences)


def _tiles(comparison: Comparison, findings: Sequence[Finding]) -> list[Tile]:
    """Mean Dice, missed, surface agreement, distance and plausibility of one case."""
    rows = measured_rows(comparison)
    if not rows:
        return []
    missed = sum(row.status == "missed" for row in rows)
    in_reference = sum(row.status in ("ok", "missed") for row in rows)
    found = [row.measures for row in rows if row.status == "ok" and row.measures]
    nsd = sum(row.measures.nsd for row in rows if row.measures) / len(rows)
    structures = counted(len(rows), "structure")
    tiles = [
        Tile("Mean Dice over structures", f"{mean_dice(rows):.3f}", remark=f"{structures}; one case: no interval"),
        Tile("Missed structures", str(missed), f"of {in_reference}", "counted with Dice 0", missed > 0),
        Tile(f"Mean NSD over structures, at {rows[0].tolerance_mm:g} mm", f"{nsd:.3f}", remark=structures),
    ]
    if found:
        hd95 = sum(measures.hd95_mm for measures in found) / len(found)
        tiles.append(Tile("Mean HD95 over structures", f"{hd95:.1f}", "mm", f"over the {len(found)} found"))
    return tiles + case_tiles(findings)


def _verdict_content(verdict: Verdict | None) -> dict[str, object] | None:
    """Score, lines of the comment, reviewer and time; None without a verdict."""
    if not verdict:
        return None
    time = verdict.time.replace("T", " ").replace("Z", " UTC")
    return {
        "score": verdict.text.capitalize(),
        "comment": verdict.comment.split("\n") if verdict.comment else [],
        "signature": " · ".join(filter(None, [verdict.reviewer, time])),
    }


def structure_table(comparison: Comparison, reference_note: str, findings: Sequence[Finding] = ()) -> Table:
    """All structures with all measures of one case, coloured; what is implausible stands with the name."""
    tolerance = comparison.rows[0].tolerance_mm if comparison.rows else 2.0
    matched_by = Counter(row.matched.removeprefix("by ") for row in comparison.rows if row.matched)
    matching = ", ".join(f"{basis} ({n})" for basis, n in matched_by.items())
    return Table(
        "Table of all structures",
        "Measured in 3D in the reference’s grid." + (f" Matched by {matching}." if matching else ""),
        [
            ColumnHead("Structure", "", "Name in the reference", "ascending"),
            *(_measure_head(definition, tolerance) for definition in DEFINITIONS),
        ],
        [_structure_row(row, reference_note, findings) for row in comparison.rows],
        _mean_row(comparison),
    )


def _measure_head(definition: MeasureDefinition, tolerance_mm: float) -> ColumnHead:
    order = "descending" if definition.best is not None and not definition.logarithmic else "ascending"
    if definition.key == "nsd":
        explanation = f"{definition.text} Tolerance {tolerance_mm:g} mm."
        return ColumnHead(definition.title, f"at {tolerance_mm:g} mm", explanation, order)
    return ColumnHead(definition.title, definition.unit, definition.text, order)


def _structure_row(row: StructureComparison, reference_note: str, findings: Sequence[Finding]) -> TableRow:
    note = row.note.removeprefix(reference_note).removeprefix("; ")  # the caption has it for all rows
    status = [] if row.status == "ok" else [(row.status, STATUS_LABELS[row.status])]
    badges = [*status, *count_findings(findings, row).badges]
    if row.measures is None:
        cells = [Cell(note, css_class="muted left", columns=len(DEFINITIONS))]
        return TableRow(row.structure, cells, color=row.color, badges=badges)
    cells = [_measure_cell(definition, row.measures) for definition in DEFINITIONS]
    return TableRow(row.structure, cells, color=row.color, badges=badges, note=note)


def _measure_cell(definition: MeasureDefinition, measures: Measures) -> Cell:
    value = float(getattr(measures, definition.key))
    text = definition.shown(value)
    if definition.key == "components":
        text = f"{measures.components} / {measures.reference_components}"
    return Cell(text, sort_value(value), goodness=goodness(measures, definition.key))


def _mean_row(comparison: Comparison) -> MeanRow | None:
    rows = [row.measures for row in comparison.rows if row.measures is not None]
    if len(rows) < 2:
        return None
    cells = []
    for definition in DEFINITIONS:
        if definition.key in ("prediction_ml", "reference_ml", "components"):
            cells.append(("", ""))
            continue
        values = [value for value in (getattr(measures, definition.key) for measures in rows) if math.isfinite(value)]
        mean = definition.shown(sum(values) / len(values)) if values else "–"
        cells.append((mean, f"over {counted(len(values), 'structure')}"))
    infinite = sum(math.isinf(measures.hd_mm) for measures in rows)
    fewer = f", distances of {len(rows) - infinite}" if infinite else ""
    return MeanRow(f"of {len(rows)}{fewer}", cells)


@dataclass(frozen=True)
class CurveFigure:
    """The slice curve of one structure, with the line below it (`reading`) that tells the values of one slice."""

    structure: str
    color: tuple[int, int, int]
    dice: str
    chart: Element
    reading: str


def _curves(comparison: Comparison) -> list[CurveFigure]:
    """A slice curve for each structure that has one, the weakest first."""
    rows = sorted((row for row in comparison.rows if row.curve is not None), key=dice_of)
    return [figure for row in rows if (figure := curve_figure(row))]


def curve_figure(row: StructureComparison) -> CurveFigure | None:
    """The slice curve of one structure; None if it has none."""
    if (curve := row.curve) is None:
        return None
    worst, axis = curve.worst_first()[0], slicing_axis(curve.slicing_axis)
    number = axis.in_words(f"slice {curve.slices[worst]}")
    reading = (
        f"Largest disagreement: {number} ({axis.letter} {curve.position_mm[worst]:.0f} mm), "
        f"Dice {curve.dice[worst]:.2f}, {curve.error_mm2[worst] / 100:.1f} cm² claimed by one side only"
    )
    return CurveFigure(row.structure, row.color, f"Dice {dice_of(row):.3f}", curve_chart(row.structure, curve), reading)
