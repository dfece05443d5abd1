"""The page of a set of cases: statistics per structure, box plots, and a row a case."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from html import escape

from ..evaluation.comparison import Comparison, StructureComparison
from ..evaluation.measure_definitions import BY_KEY, goodness
from ..evaluation.statistics import mean_dice, summary
from ..evaluation.verdict import SCORES, Verdict
from .case_page import slice_curve
from .charts import Distribution, box_plot_svg
from .page_elements import STATUS, CaseMaterial, count, counted, dice_of, image, sort_head, swatch, tile
from .plausibility_summary import case_link, set_tile, tally


def set_sentence(comparisons: Sequence[Comparison]) -> str:
    """The result over all cases in words."""
    rows = [row for comparison in comparisons for row in comparison.rows]
    result = summary(rows)
    if result["mean_dice"] is None:
        return "Nothing was compared: no structure is in both the predictions and the references."
    means = {n: s["dice"]["mean"] for n, s in result["structures"].items() if s["dice"]["n"]}
    weakest = min(means, key=lambda name: means[name])
    there = sum(row.status in ("ok", "missed") for row in rows)
    over = f"{count(result['cases'], 'case')} and {count(len(means), 'structure')}"
    text = f"The mean Dice over cases is {result['mean_dice_over_cases']['mean']:.2f} ({over}). "
    text += f"Missed: {result['missed']} of {there}. " if there else ""
    text += f"Predicted although the reference has none: {result['spurious']}. " if result["spurious"] else ""
    return escape(f"{text}The weakest structure is the {weakest} (mean Dice over its cases {means[weakest]:.2f}).")


def set_tiles(comparisons: Sequence[Comparison], material: Mapping[str, CaseMaterial]) -> str:
    """Mean Dice over cases with its interval, that over structures, cases, missed, surface agreement, plausibility."""
    rows = [row for comparison in comparisons for row in comparison.rows]
    result = summary(rows)
    if result["mean_dice"] is None:
        return ""
    over = result["mean_dice_over_cases"]
    there = sum(row.status in ("ok", "missed") for row in rows)
    interval = (
        f"95 % CI {over['ci95'][0]:.3f} to {over['ci95'][1]:.3f}, n = {over['n']} cases"
        if over["ci95"]
        else "one case: no interval"
    )
    measured = sum(entry["dice"]["n"] > 0 for entry in result["structures"].values())
    nsd = [entry["nsd"]["mean"] for entry in result["structures"].values() if entry["nsd"]["n"]]
    tiles = [
        tile("Mean Dice over cases", f"{over['mean']:.3f}", interval),
        tile(
            "Mean Dice over structures",
            f"{result['mean_dice']:.3f}",
            f"mean of {measured} structures’ means; no interval",
        ),
        tile("Cases", str(result["cases"]), count(measured, "structure")),
        tile(
            "Missed structures",
            f"{result['missed']} <small>of {there}</small>",
            "counted with Dice 0",
            result["missed"] > 0,
        ),
        tile(
            f"Mean NSD over structures, at {rows[0].tolerance_mm:g} mm",
            f"{sum(nsd) / len(nsd):.3f}",
            f"mean of {len(nsd)} structures’ means; no interval",
        ),
        set_tile(material),
    ]
    return f'<dl class="tiles">{"".join(tiles)}</dl>'


def extremes(comparisons: Sequence[Comparison], pages: Mapping[str, str], material: Mapping[str, CaseMaterial]) -> str:
    """Worst, median and best case by mean Dice, each with its first picture and the slices of its weakest structure."""
    ranked = sorted((c for c in comparisons if counted(c)), key=lambda c: mean_dice(c.rows))
    if len(ranked) < 3:
        return ""
    cards = ""
    chosen = {"Worst case": ranked[0], "Median case": ranked[(len(ranked) - 1) // 2], "Best case": ranked[-1]}
    for name, comparison in chosen.items():
        weakest = min(counted(comparison), key=dice_of)
        own = material.get(comparison.case, CaseMaterial()).pictures
        picture = image(*own[0]) if own else ""
        caption = f'<p class="row-note">{escape(own[0][0])}</p>' if own else ""
        cards += (
            f'<div class="card">{picture}{caption}<p class="overline">{name}</p><h3>{case_link(comparison.case, pages)}</h3>'
            f"<p>Mean Dice {mean_dice(comparison.rows):.3f}</p>"
            f'<p class="muted">weakest: {escape(weakest.structure)} ({_dice_or_status(weakest)})</p>{slice_curve(weakest)}</div>'
        )
    return f'<div class="cards">{cards}</div>'


def _dice_or_status(row: StructureComparison) -> str:
    return f"Dice {dice_of(row):.2f}" if row.status == "ok" else STATUS[row.status].removeprefix("✕ ")


def summary_table(comparisons: Sequence[Comparison], reference_note: str) -> str:
    """A row a structure: mean, standard deviation, interval, median, n and missed for the main measures."""
    rows = [row for comparison in comparisons for row in comparison.rows]
    if not rows:
        return ""
    result = summary(rows)
    colors = {row.structure: row.color for row in reversed(rows)}
    keys = ("dice", "nsd", "hd95_mm", "assd_mm", "difference_ml")
    head = sort_head("Structure", "", "Name in the reference", "ascending", "")
    head += sort_head("n", "cases", "Cases in which the structure was measured", "descending", "")
    head += sort_head(
        "Missed", "cases", "Cases in which the reference has it and the prediction does not", "descending", ""
    )
    for key in keys:
        unit = {"dice": "", "nsd": f"at {rows[0].tolerance_mm:g} mm"}.get(key, BY_KEY[key].unit)
        text = f"{BY_KEY[key].text} Mean ± standard deviation, 95 % confidence interval of the mean, median."
        head += sort_head(BY_KEY[key].title, unit, text, "descending", "")
        if key != "difference_ml":
            text = "Median over all cases; missed ones count as infinitely far."
            head += sort_head("Median", unit, text, "descending", "")
    body = ""
    for name, entry in result["structures"].items():
        cells = f'<th scope="row">{swatch(colors[name])}{escape(name)}</th>'
        cells += "".join(f'<td data-v="{number}">{number}</td>' for number in (entry["dice"]["n"], entry["missed"]))
        for key in keys:
            one = entry[key]
            shown = _with_interval(key, one, entry["dice"]["n"])
            cells += f'<td data-v="{"" if one["mean"] is None else one["mean"]}">{shown}</td>'
            if key != "difference_ml":
                missing = math.inf if entry["dice"]["n"] else math.nan
                cells += _median(key, missing if one["median"] is None else one["median"])
        body += f"<tr>{cells}</tr>"
    note = f"<b>{escape(reference_note)}</b> " if reference_note else ""
    return (
        '<div class="scroll" tabindex="0" role="region" aria-label="Table of structures over all cases"><table>'
        f"<caption><span>{note}Mean ± standard deviation over cases, below it the {result['ci95_method']}. Missed "
        "structures count with Dice and NSD 0; distances are over the cases found, whose number stands below where it is "
        "another. One case has no interval.</span></caption>"
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def _median(key: str, value: float) -> str:
    sort = "" if math.isnan(value) else "Infinity" if math.isinf(value) else f"{value:.6g}"
    return f'<td data-v="{sort}">{BY_KEY[key].shown(value)}</td>'


def _with_interval(key: str, one: Mapping, cases: int) -> str:
    """Mean, standard deviation and interval; and over how many cases, where that is not the number in the row's column n."""
    if one["mean"] is None:
        return "–"
    shown = BY_KEY[key].shown
    digits = BY_KEY[key].digits
    text = shown(one["mean"])
    if one["sd"] is not None:
        text += f" ± {one['sd']:.{digits}f}"
    if one["ci95"] is not None:
        text += f'<span class="interval">{shown(one["ci95"][0])} to {shown(one["ci95"][1])}</span>'
    elif one["n"] == 1:
        text += '<span class="interval">one case</span>'
    if one["n"] != cases:
        text += f'<span class="interval">n = {one["n"]}</span>'
    return text


def distributions(comparisons: Sequence[Comparison]) -> Iterator[tuple[str, str, str, bool, list[Distribution]]]:
    """What there is to plot: key of a measure, label, unit, whether it lies between 0 and 1, values by structure."""
    rows = [row for comparison in comparisons for row in counted(comparison)]
    names = list(dict.fromkeys(row.structure for row in rows))
    for key in ("dice", "nsd", "hd95_mm", "assd_mm") if names else ():
        groups = []
        for name in names:
            own = [row for row in rows if row.structure == name]
            values = tuple(float(getattr(row.measures, key)) for row in own)
            groups.append(Distribution(name, own[0].color, tuple(row.case for row in own), values))
        title, share = BY_KEY[key].title, not key.endswith("_mm")
        label = f"{title} at {rows[0].tolerance_mm:g} mm" if key == "nsd" else title
        yield key, label, "" if share else BY_KEY[key].unit, share, groups


def box_plots(comparisons: Sequence[Comparison]) -> str:
    """Box plots per structure, one measure at a time."""
    choices, charts = "", ""
    for key, label, unit, share, groups in distributions(comparisons):
        checked = "" if choices else " checked"
        choices += f'<label><input type="radio" name="measure" value="{key}"{checked}> {BY_KEY[key].title}</label>'
        svg = box_plot_svg(groups, label, unit, share)
        charts += f'<figure class="chart wide" data-measure="{key}">{svg}</figure>'
    if not charts:
        return ""
    return f'<fieldset class="choice js-only"><legend>Measure</legend>{choices}</fieldset><div class="charts">{charts}</div>'


def seen_table(
    comparisons: Sequence[Comparison],
    pages: Mapping[str, str],
    material: Mapping[str, CaseMaterial],
    reference_note: str,
    trained_on: Mapping[str, str],
) -> str:
    """The cases that were trained on: how each was recognised, their mean Dice, and a row a case; nothing without any."""
    if not comparisons:
        return ""
    over = summary([row for comparison in comparisons for row in comparison.rows])["mean_dice_over_cases"]
    mean = f"<p>Mean Dice over {count(over['n'], 'case')}: {over['mean']:.3f}</p>" if over["n"] else ""
    listed = "".join(f"<li>{case_link(one.case, pages)}: {escape(trained_on[one.case])}</li>" for one in comparisons)
    return f'{mean}<ul class="notes">{listed}</ul>{case_table(comparisons, pages, material, reference_note)}'


def case_table(
    comparisons: Sequence[Comparison],
    pages: Mapping[str, str],
    material: Mapping[str, CaseMaterial],
    reference_note: str,
) -> str:
    """A row a case: mean Dice, missed, findings if there are any, and the Dice of every structure, coloured."""
    if not comparisons:
        return ""
    names = list(dict.fromkeys(row.structure for c in comparisons for row in counted(c)))
    head = sort_head("Case", "", "Name of the case", "ascending", "")
    head += sort_head(
        "Mean Dice", "over structures", f"{BY_KEY['dice'].text} Mean over the structures of the case.", "ascending", ""
    )
    head += sort_head("Missed", "", "Structures that only the reference has", "descending", "")
    head += sort_head("HD95", "mean, mm", f"{BY_KEY['hd95_mm'].text} Mean over the structures found.", "descending", "")
    are_checked = any(one.findings for one in material.values())
    if are_checked:
        text = "Plausibility of the prediction alone: failures and warnings"
        head += sort_head("Findings", "fail, warning", text, "descending", "")
    reviewed = any(one.verdict for one in material.values())
    if reviewed:
        head += sort_head("Verdict", "", "What a reviewer said of the prediction", "ascending", "")
    head += "".join(sort_head(name, "", f"Dice of the {name}", "ascending", "named") for name in names)
    body = ""
    for comparison in comparisons:
        own = material.get(comparison.case, CaseMaterial())
        findings_cell = _finding_cell(own) if are_checked else ""
        findings_cell += _verdict_cell(own.verdict) if reviewed else ""
        body += _case_row(comparison, names, case_link(comparison.case, pages), findings_cell)
    note = f"<b>{escape(reference_note)}</b> " if reference_note else ""
    return (
        '<div class="scroll" tabindex="0" role="region" aria-label="Table of all cases"><table>'
        f"<caption><span>{note}A row a case, Dice in the coloured columns; ∅ where a structure was not measured.</span></caption>"
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def _finding_cell(own: CaseMaterial) -> str:
    if not own.findings:
        return '<td data-v="">–</td>'
    found = tally(own.findings)
    return f'<td data-v="{1000 * found.failed + found.warnings}">{found.failed} ✕, {found.warnings} !</td>'


def _verdict_cell(verdict: Verdict | None) -> str:
    place = list(SCORES).index(verdict.score) if verdict and verdict.score else ""
    comment = f' title="{escape(verdict.comment)}"' if verdict and verdict.comment else ""
    return f'<td data-v="{place}"{comment}>{escape(verdict.text) if verdict else "–"}</td>'


def _case_row(comparison: Comparison, names: Sequence[str], link: str, findings_cell: str) -> str:
    rows = {row.structure: row for row in comparison.rows}
    every = counted(comparison)
    mean = mean_dice(every)
    missed = sum(row.status == "missed" for row in every)
    hd95 = [row.measures.hd95_mm for row in every if row.measures and math.isfinite(row.measures.hd95_mm)]
    cells = f'<th scope="row">{link}</th>'
    cells += f'<td data-v="{"" if math.isnan(mean) else mean}">{BY_KEY["dice"].shown(mean)}</td>'
    cells += f'<td data-v="{missed}">{missed}</td>'
    cells += (
        f'<td data-v="{sum(hd95) / len(hd95):.6g}">{sum(hd95) / len(hd95):.1f}</td>' if hd95 else '<td data-v="">–</td>'
    )
    cells += findings_cell
    for name in names:
        row = rows.get(name)
        if row is None or row.measures is None:
            cells += '<td class="muted" data-v="">∅</td>'
            continue
        tip = "" if row.status == "ok" else f' title="{STATUS[row.status]}"'
        place = goodness(row.measures, "dice")
        cells += f'<td class="heat" style="--v:{place:.2f}" data-v="{row.measures.dice:.6g}"{tip}>{row.measures.dice:.2f}</td>'
    return f"<tr>{cells}</tr>"
