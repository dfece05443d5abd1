"""The sections of the page of a set of cases: statistics per structure, box plots, and one row per case."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ..counting import counted
from ..evaluation.comparison import Comparison, StructureComparison
from ..evaluation.measure_definitions import BY_KEY, goodness
from ..evaluation.statistics import counted_cases, mean_dice, summary
from ..evaluation.verdict import SCORES, Verdict
from .case_page import CurveFigure, curve_figure
from .charts import box_plot, distributions
from .page_elements import (
    STATUS_LABELS,
    CaseMaterial,
    Cell,
    ColumnHead,
    Link,
    PageSection,
    PageSummary,
    PictureElement,
    Table,
    TableRow,
    Tile,
    dice_of,
    embedded,
    measured_rows,
    sort_value,
)
from .plausibility_summary import case_link, count_findings, set_takeaway, set_tiles

_MOST_NOTES = 12


@dataclass(frozen=True)
class CaseSet:
    """The cases of a page with what is shown besides: material and address of the own page, by case.

    `trained_on` names the cases that the checkpoint was trained on, and how each was recognised.
    """

    comparisons: Sequence[Comparison]
    material: Mapping[str, CaseMaterial] = field(default_factory=dict)
    pages: Mapping[str, str] = field(default_factory=dict)
    trained_on: Mapping[str, str] = field(default_factory=dict)


def case_set_sections(
    cases: CaseSet, pictures: Sequence[tuple[str, bytes]] = (), notes: Sequence[str] = ()
) -> list[PageSection]:
    """The sections of a set of cases in the order of its page.

    Cases that were trained on stand in a section of their own and in no number, unless there are no others. `notes` warn
    beside the numbers of the summary.
    """
    tested = replace(cases, comparisons=counted_cases(cases.comparisons, cases.trained_on))
    names = {one.case for one in tested.comparisons}
    tested = replace(tested, material={case: own for case, own in cases.material.items() if case in names})
    seen = replace(cases, comparisons=[one for one in cases.comparisons if one.case not in names])
    statistics = summary([row for one in tested.comparisons for row in one.rows])
    return [
        PageSection("summary", "Summary", _page_summary(tested, statistics, notes, not seen.comparisons)),
        PageSection("extremes", "Worst, median, best", _extreme_cards(tested)),
        PageSection("structures", "Structures", _structure_table(tested.comparisons, statistics)),
        PageSection("distribution", "Distribution over cases", _box_plots(tested.comparisons)),
        PageSection("cases", "Cases", _case_table(tested)),
        PageSection("trained-on", "Cases that were trained on", _seen_content(seen)),
        PageSection("pictures", "Pictures", embedded(pictures)),
    ]


def _page_summary(tested: CaseSet, statistics: Mapping[str, Any], notes: Sequence[str], is_all: bool) -> PageSummary:
    case_notes = list(dict.fromkeys(f"{one.case}: {note}" for one in tested.comparisons for note in one.notes))
    if len(case_notes) > _MOST_NOTES:
        rest = len(case_notes) - _MOST_NOTES
        case_notes = [*case_notes[:_MOST_NOTES], f"and {rest} more notes on the case pages"]
    takeaway = set_takeaway(tested.comparisons, tested.material, tested.pages)
    if tested.trained_on and is_all:
        known = "The network was trained on every one of these cases: their results say nothing about new patients. "
        takeaway = [known, *takeaway]
    tiles = _tiles(tested, statistics)
    return PageSummary(takeaway, _result_sentence(tested.comparisons, statistics), tiles, notes, case_notes)


def _in_reference(comparisons: Sequence[Comparison]) -> int:
    """How many structures the references have, over all cases."""
    return sum(row.status in ("ok", "missed") for one in comparisons for row in one.rows)


def _result_sentence(comparisons: Sequence[Comparison], statistics: Mapping[str, Any]) -> str:
    """The result over all cases in words."""
    if statistics["mean_dice"] is None:
        return "Nothing was compared: no structure is in both the predictions and the references."
    means = {name: one["dice"]["mean"] for name, one in statistics["structures"].items() if one["dice"]["n"]}
    weakest = min(means, key=lambda name: means[name])
    over = f"{counted(statistics['cases'], 'case')} and {counted(len(means), 'structure')}"
    sentences = [f"The mean Dice over cases is {statistics['mean_dice_over_cases']['mean']:.2f} ({over})."]
    if in_reference := _in_reference(comparisons):
        sentences.append(f"Missed: {statistics['missed']} of {in_reference}.")
    if statistics["spurious"]:
        sentences.append(f"Predicted although the reference has none: {statistics['spurious']}.")
    sentences.append(f"The weakest structure is the {weakest} (mean Dice over its cases {means[weakest]:.2f}).")
    return " ".join(sentences)


def _tiles(tested: CaseSet, statistics: Mapping[str, Any]) -> list[Tile]:
    """Mean Dice over cases with its interval, that over structures, cases, missed, surface agreement, plausibility."""
    if statistics["mean_dice"] is None:
        return []
    over, structures = statistics["mean_dice_over_cases"], statistics["structures"].values()
    interval = "one case: no interval"
    if over["ci95"]:
        interval = f"95 % CI {over['ci95'][0]:.3f} to {over['ci95'][1]:.3f}, n = {over['n']} cases"
    measured = sum(one["dice"]["n"] > 0 for one in structures)
    nsd = [one["nsd"]["mean"] for one in structures if one["nsd"]["n"]]
    tolerance = next(row.tolerance_mm for one in tested.comparisons for row in one.rows)
    remark = "mean of {} structures’ means; no interval"
    missed, mean = statistics["missed"], sum(nsd) / len(nsd)
    return [
        Tile("Mean Dice over cases", f"{over['mean']:.3f}", remark=interval),
        Tile("Mean Dice over structures", f"{statistics['mean_dice']:.3f}", remark=remark.format(measured)),
        Tile("Cases", str(statistics["cases"]), remark=counted(measured, "structure")),
        Tile(
            "Missed structures",
            str(missed),
            f"of {_in_reference(tested.comparisons)}",
            "counted with Dice 0",
            missed > 0,
        ),
        Tile(f"Mean NSD over structures, at {tolerance:g} mm", f"{mean:.3f}", remark=remark.format(len(nsd))),
        *set_tiles(tested.material),
    ]


@dataclass(frozen=True)
class CaseCard:
    """The worst, the median or the best case: its first picture, and the slices of its weakest structure."""

    name: str
    case: str | Link
    mean_dice: str
    weakest: str
    picture: PictureElement | None
    curve: CurveFigure | None


def _extreme_cards(tested: CaseSet) -> list[CaseCard]:
    """Worst, median and best case by mean Dice; nothing for fewer than three cases."""
    ranked = sorted((one for one in tested.comparisons if measured_rows(one)), key=lambda one: mean_dice(one.rows))
    if len(ranked) < 3:
        return []
    chosen = {"Worst case": ranked[0], "Median case": ranked[(len(ranked) - 1) // 2], "Best case": ranked[-1]}
    return [_case_card(name, comparison, tested) for name, comparison in chosen.items()]


def _case_card(name: str, comparison: Comparison, tested: CaseSet) -> CaseCard:
    weakest = min(measured_rows(comparison), key=dice_of)
    status = (
        f"Dice {dice_of(weakest):.2f}" if weakest.status == "ok" else STATUS_LABELS[weakest.status].removeprefix("✕ ")
    )
    pictures = tested.material.get(comparison.case, CaseMaterial()).pictures
    return CaseCard(
        name,
        case_link(comparison.case, tested.pages),
        f"Mean Dice {mean_dice(comparison.rows):.3f}",
        f"weakest: {weakest.structure} ({status})",
        embedded(pictures[:1])[0] if pictures else None,
        curve_figure(weakest),
    )


def _structure_table(comparisons: Sequence[Comparison], statistics: Mapping[str, Any]) -> Table | None:
    """One row per structure: mean, standard deviation, interval, median, n and missed for the main measures."""
    rows = [row for comparison in comparisons for row in comparison.rows]
    if not rows:
        return None
    colors = {row.structure: row.color for row in reversed(rows)}
    return Table(
        "Table of structures over all cases",
        f"Mean ± standard deviation over cases, below it the {statistics['ci95_method']}. Missed structures count with Dice "
        "and NSD 0; distances are over the cases in which the structure was found, whose number stands below where it "
        "differs. One case has no interval.",
        _structure_heads(rows[0].tolerance_mm),
        [TableRow(name, _structure_cells(one), color=colors[name]) for name, one in statistics["structures"].items()],
    )


_TABLE_MEASURES = ("dice", "nsd", "hd95_mm", "assd_mm", "difference_ml")


def _structure_heads(tolerance_mm: float) -> list[ColumnHead]:
    heads = [
        ColumnHead("Structure", "", "Name in the reference", "ascending"),
        ColumnHead("n", "cases", "Cases in which the structure was measured"),
        ColumnHead("Missed", "cases", "Cases in which the reference has it and the prediction does not"),
    ]
    for key in _TABLE_MEASURES:
        unit = {"dice": "", "nsd": f"at {tolerance_mm:g} mm"}.get(key, BY_KEY[key].unit)
        text = f"{BY_KEY[key].text} Mean ± standard deviation, 95 % confidence interval of the mean, median."
        heads.append(ColumnHead(BY_KEY[key].title, unit, text))
        if key != "difference_ml":
            heads.append(ColumnHead("Median", unit, "Median over all cases; missed ones count as infinitely far."))
    return heads


def _structure_cells(one: Mapping[str, Any]) -> list[Cell]:
    cells = [Cell(str(number), number) for number in (one["dice"]["n"], one["missed"])]
    for key in _TABLE_MEASURES:
        cells.append(_mean_cell(key, one[key], one["dice"]["n"]))
        if key != "difference_ml":
            unknown = math.inf if one["dice"]["n"] else math.nan
            median = unknown if one[key]["median"] is None else one[key]["median"]
            cells.append(Cell(BY_KEY[key].shown(median), sort_value(median)))
    return cells


def _mean_cell(key: str, one: Mapping[str, Any], cases: int) -> Cell:
    """Mean, standard deviation and interval; and over how many cases, where that is not the number in the row's column n."""
    if one["mean"] is None:
        return Cell("–")
    shown = BY_KEY[key].shown
    deviation = "" if one["sd"] is None else f" ± {one['sd']:.{BY_KEY[key].digits}f}"
    details = []
    if one["ci95"] is not None:
        details.append(f"{shown(one['ci95'][0])} to {shown(one['ci95'][1])}")
    elif one["n"] == 1:
        details.append("one case")
    if one["n"] != cases:
        details.append(f"n = {one['n']}")
    return Cell(shown(one["mean"]) + deviation, one["mean"], details)


def _box_plots(comparisons: Sequence[Comparison]) -> list[dict[str, Any]]:
    """Box plots per structure, one measure at a time."""
    return [
        {"measure": one.measure, "title": BY_KEY[one.measure].title, "chart": box_plot(one)}
        for one in distributions(comparisons)
    ]


def _seen_content(seen: CaseSet) -> dict[str, Any] | None:
    """The cases that were trained on: how each was recognised, their mean Dice, and one row per case; None without any."""
    if not seen.comparisons:
        return None
    over = summary([row for one in seen.comparisons for row in one.rows])["mean_dice_over_cases"]
    return {
        "mean": f"Mean Dice over {counted(over['n'], 'case')}: {over['mean']:.3f}" if over["n"] else "",
        "cases": [(case_link(one.case, seen.pages), seen.trained_on[one.case]) for one in seen.comparisons],
        "table": _case_table(seen),
    }


def _case_table(cases: CaseSet) -> Table | None:
    """One row per case: mean Dice, missed, findings if there are any, and the Dice of every structure, coloured."""
    if not cases.comparisons:
        return None
    names = list(dict.fromkeys(row.structure for one in cases.comparisons for row in measured_rows(one)))
    are_checked = any(one.findings for one in cases.material.values())
    are_reviewed = any(one.verdict for one in cases.material.values())
    mean, hd95 = (BY_KEY[key].text for key in ("dice", "hd95_mm"))
    heads = [
        ColumnHead("Case", "", "Name of the case", "ascending"),
        ColumnHead("Mean Dice", "over structures", f"{mean} Mean over the structures of the case.", "ascending"),
        ColumnHead("Missed", "", "Structures that only the reference has"),
        ColumnHead("HD95", "mean, mm", f"{hd95} Mean over the structures found."),
    ]
    if are_checked:
        text = "Plausibility of the prediction alone: failures and warnings"
        heads.append(ColumnHead("Findings", "fail, warning", text))
    if are_reviewed:
        heads.append(ColumnHead("Verdict", "", "What a reviewer wrote about the prediction", "ascending"))
    heads += [ColumnHead(name, "", f"Dice of the {name}", "ascending", "named") for name in names]
    rows = []
    for comparison in cases.comparisons:
        own = cases.material.get(comparison.case, CaseMaterial())
        cells = _overall_cells(comparison)
        cells += [_finding_cell(own)] * are_checked + [_verdict_cell(own.verdict)] * are_reviewed
        by_name = {row.structure: row for row in comparison.rows}
        cells += [_dice_cell(by_name.get(name)) for name in names]
        rows.append(TableRow(comparison.case, cells, cases.pages.get(comparison.case, "")))
    caption = "One row per case, Dice in the coloured columns; ∅ where a structure was not measured."
    return Table("Table of all cases", caption, heads, rows)


def _overall_cells(comparison: Comparison) -> list[Cell]:
    """Mean Dice, number of missed structures and mean HD95 of a case."""
    rows = measured_rows(comparison)
    mean, missed = mean_dice(rows), sum(row.status == "missed" for row in rows)
    hd95 = [row.measures.hd95_mm for row in rows if row.measures and math.isfinite(row.measures.hd95_mm)]
    mean_hd95 = sum(hd95) / len(hd95) if hd95 else math.nan
    return [
        Cell(BY_KEY["dice"].shown(mean), sort_value(mean)),
        Cell(str(missed), missed),
        Cell(BY_KEY["hd95_mm"].shown(mean_hd95), sort_value(mean_hd95)),
    ]


def _finding_cell(own: CaseMaterial) -> Cell:
    if not own.findings:
        return Cell("–")
    counts = count_findings(own.findings)
    return Cell(f"{counts.failed} ✕, {counts.warnings} !", 1000 * counts.failed + counts.warnings)


def _verdict_cell(verdict: Verdict | None) -> Cell:
    if not verdict:
        return Cell("–")
    return Cell(verdict.text, list(SCORES).index(verdict.score) if verdict.score else "", tooltip=verdict.comment)


def _dice_cell(row: StructureComparison | None) -> Cell:
    if row is None or row.measures is None:
        return Cell("∅", css_class="muted")
    dice, tooltip = row.measures.dice, "" if row.status == "ok" else STATUS_LABELS[row.status]
    return Cell(f"{dice:.2f}", sort_value(dice), goodness=goodness(row.measures, "dice"), tooltip=tooltip)
