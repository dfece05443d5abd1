"""The report: one HTML file that holds everything, opens offline in any browser and prints.

A single case gets its table, slice curves, findings, pictures and a viewer; a set of cases gets an index with box plots and a
row a case. Nothing is fetched: style, script, charts and pictures are inside, and the page's own policy forbids requests.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from types import MappingProxyType

from ..evaluation.comparison import Comparison
from ..evaluation.statistics import counted_cases
from ..io.atomic_files import write_text
from ..plausibility.finding import Finding
from . import case_page, case_set_page, plausibility_summary
from . import page_elements as parts
from .niivue_viewer import ViewerData, viewer_html
from .page_elements import CaseMaterial
from .paired_section import PairedComparison, paired_section

Pictures = Sequence[tuple[str, bytes]]

_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'"
_LONGEST = 60  # characters of a name; a file system takes 255 bytes
_NOT_A_DEVICE = "UNetSegmenter is not a medical device. Do not use its results for diagnosis or treatment."


def write_report(
    path: Path | str,
    title: str,
    comparisons: Comparison | Sequence[Comparison],
    pictures: Pictures = (),
    provenance: Mapping[str, object] | None = None,
    *,
    reference_note: str = "",
    findings: Sequence[Finding] = (),
    viewer: ViewerData | None = None,
) -> Path:
    """Write one self-contained HTML page about one comparison or a set of them, and return its path.

    `pictures` are (caption, PNG bytes). `provenance` is shown as it comes: checkpoint, hash, code version, device,
    time. `reference_note` says who made the reference and stands beside every number. `findings` and `viewer` belong to
    a single case; the viewer follows the `unetseg:slice` events of the curves.
    Raises InputError if the file can't be written.
    """
    several = [comparisons] if isinstance(comparisons, Comparison) else list(comparisons)
    if len(several) == 1:
        sections = _case_sections(several[0], CaseMaterial(pictures, findings, viewer=viewer), reference_note)
    else:
        sections = _set_sections(several, pictures, {}, reference_note, {})
    return _write_page(Path(path), title, several, sections, provenance, reference_note)


def write_reports(
    folder: Path | str,
    title: str,
    comparisons: Sequence[Comparison],
    material: Mapping[str, CaseMaterial] | None = None,
    provenance: Mapping[str, object] | None = None,
    *,
    reference_note: str = "",
    notes: Sequence[str] = (),
    paired: PairedComparison | None = None,
    trained_on: Mapping[str, str] | None = None,
) -> Path:
    """Write `report.html` over all cases and a page a case under `cases/`; returns the path of `report.html`.

    A single comparison gives one page. `material` holds pictures and findings by case; the first picture of the worst,
    median and best case is shown on the index, and cases in `trained_on` (with how they were recognised) stand in a table of
    their own, below numbers that they are not in. `notes` warn beside the numbers of `report.html`; `paired` compares
    with another checkpoint there. Raises InputError if a file can't be written.
    """
    folder, material = Path(folder), material or {}
    alone = len(comparisons) == 1
    pages = {comparisons[0].case: "report.html"} if alone else _page_names([one.case for one in comparisons])
    for one in comparisons:
        sections = _case_sections(one, material.get(one.case, CaseMaterial()), reference_note, notes if alone else ())
        if alone and paired:
            sections.insert(1, _paired(paired))
        path, name = folder / pages[one.case], title if alone else f"{title}: {one.case}"
        _write_page(path, name, [one], sections, provenance, reference_note, "" if alone else "../report.html")
    if alone:
        return folder / "report.html"
    sections = _set_sections(comparisons, (), material, reference_note, pages, notes, trained_on or {})
    if paired:
        sections.insert(1, _paired(paired))
    return _write_page(folder / "report.html", title, comparisons, sections, provenance, reference_note)


def _page_names(cases: Sequence[str]) -> dict[str, str]:
    """A file for each case under cases/."""
    names: dict[str, str] = {}
    taken: set[str] = set()
    for case in cases:
        names[case] = f"cases/{unique_name(case, taken)}.html"
    return names


def unique_name(text: str, taken: set[str]) -> str:
    """`text` without what a file's name can't have, numbered where it is `taken` on a disk that ignores case; adds to `taken`."""
    stem = name = re.sub(r"[^\w.-]+", "-", text).strip("-.")[:_LONGEST] or "case"
    number = 2
    while name.casefold() in taken:
        name, number = f"{stem}-{number}", number + 1
    taken.add(name.casefold())
    return name


def _tolerance(comparisons: Sequence[Comparison]) -> float:
    return next((row.tolerance_mm for comparison in comparisons for row in comparison.rows), 2.0)


Sections = list[tuple[str, str, str, str]]


def _case_sections(
    comparison: Comparison, material: CaseMaterial, reference_note: str, notes: Sequence[str] = ()
) -> Sections:
    stopped = [] if comparison.complete else ["The comparison was cancelled; the table holds what was done until then."]
    note = f" <b>{escape(reference_note)}</b>" if reference_note else ""
    head = parts.sentence(
        plausibility_summary.case_takeaway(comparison, material.findings), case_page.case_sentence(comparison)
    )
    head += case_page.case_tiles(comparison, material.findings)
    head += parts.warnings([*notes, *material.warnings]) + parts.notes([*stopped, *comparison.notes])
    return [
        ("summary", "Summary", head, ""),
        ("verdict", "Reviewer’s verdict", parts.verdict(material.verdict), ""),
        ("viewer", "Viewer", viewer_html(material.viewer), ""),
        ("pictures", "Pictures", parts.pictures(material.pictures), ""),
        ("structures", "All structures", case_page.structure_table(comparison, reference_note, material.findings), ""),
        (
            "findings", "Is it anatomy?", plausibility_summary.finding_list(material.findings, comparison.rows),
            "Plausibility of the prediction, checked without the reference. Overlap can be high though the shape is not.",
        ),
        (
            "slices", "Slice by slice", case_page.curves(comparison),
            "How well each axial slice agrees, weakest structure first. The ring marks the slice with the largest area that "
            "only one side claims. <span class='screen'>Hover, or focus a chart and use the arrow keys.</span>" + note,
        ),
    ]  # fmt: skip


def _set_sections(
    comparisons: Sequence[Comparison],
    pictures: Pictures,
    material: Mapping[str, CaseMaterial],
    reference_note: str,
    pages: Mapping[str, str],
    notes: Sequence[str] = (),
    trained_on: Mapping[str, str] = MappingProxyType({}),
) -> Sections:
    every, comparisons = comparisons, counted_cases(comparisons, trained_on)
    names = {one.case for one in comparisons}
    seen = [one for one in every if one.case not in names]
    counted = {case: own for case, own in material.items() if case in names}
    said = list(dict.fromkeys(f"{c.case}: {note}" for c in comparisons for note in c.notes))
    if len(said) > 12:
        said = [*said[:12], f"and {len(said) - 12} more notes on the case pages"]
    note = f" <b>{escape(reference_note)}</b>" if reference_note else ""
    takeaway = plausibility_summary.set_takeaway(comparisons, counted, pages)
    if trained_on and not seen:
        takeaway = (
            f"The network was trained on every one of these cases: nothing here tells of new patients. {takeaway}"
        )
    head = parts.sentence(takeaway, case_set_page.set_sentence(comparisons)) + case_set_page.set_tiles(
        comparisons, counted
    )
    head += parts.warnings(notes) + parts.notes(said)
    return [
        ("summary", "Summary", head, ""),
        ("extremes", "Worst, median, best", case_set_page.extremes(comparisons, pages, material), ""),
        ("structures", "Structures", case_set_page.summary_table(comparisons, reference_note), ""),
        (
            "spread", "Spread over cases", case_set_page.box_plots(comparisons),
            "Box: middle half of the cases; thick line: median; whiskers: to 1.5 interquartile ranges; every point is a case."
            + note,
        ),
        ("cases", "Cases", case_set_page.case_table(comparisons, pages, counted, reference_note), ""),
        (
            "trained-on", "Cases that were trained on",
            case_set_page.seen_table(seen, pages, material, reference_note, trained_on),
            "In no number above: what a network knows already tells nothing of new patients.",
        ),
        ("pictures", "Pictures", parts.pictures(pictures), ""),
    ]  # fmt: skip


def _paired(paired: PairedComparison) -> tuple[str, str, str, str]:
    return ("paired", f"Against {paired.other}", paired_section(paired), "")


def _against(comparisons: Sequence[Comparison]) -> str:
    if len(comparisons) != 1:
        return f"{len(comparisons)} cases, prediction against reference"
    prediction, reference = (escape(name) for name in (comparisons[0].prediction_name, comparisons[0].reference_name))
    return f"Prediction <b>{prediction or 'prediction'}</b> against reference <b>{reference or 'reference'}</b>"


def _write_page(
    path: Path,
    title: str,
    comparisons: Sequence[Comparison],
    sections: Sections,
    provenance: Mapping[str, object] | None,
    reference_note: str,
    back: str = "",
) -> Path:
    here = Path(__file__).parent
    sections = [
        *sections,
        ("definitions", "What the measures mean", parts.definitions(_tolerance(comparisons)), ""),
        ("provenance", "Provenance", parts.definition_list((provenance or {}).items()), ""),
    ]
    filled = [entry for entry in sections if entry[2]]
    contents = [f'<a href="{back}">← all cases</a>'] if back else []
    contents += [f'<a href="#{key}">{escape(name)}</a>' for key, name, _, _ in filled]
    fields = {
        "policy": _POLICY,
        "title": escape(title),
        "style": "".join((here / name).read_text(encoding="utf-8") for name in ("page.css", "chart.css")),
        "against": _against(comparisons),
        "note": f'<p class="reference-note">{escape(reference_note)}</p>' if reference_note else "",
        "contents": "".join(f"<li>{link}</li>" for link in contents),
        "sections": "".join(parts.section(key, escape(name), body, lead) for key, name, body, lead in filled),
        "footer": _NOT_A_DEVICE,
        "script": (here / "page.js").read_text(encoding="utf-8"),
    }
    template = (here / "page.html").read_text(encoding="utf-8")
    text = parts.fill(template, fields)
    write_text(path, text)
    return path
