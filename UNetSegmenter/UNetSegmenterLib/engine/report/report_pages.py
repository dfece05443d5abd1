"""The report's pages: one HTML file that holds everything, opens offline in any browser and prints.

A single case gets its table, slice curves, findings, pictures and a viewer; a set of cases gets an index with box plots and
one row per case. Nothing is fetched: style, script, charts and pictures are inside, and the page's own policy forbids
requests. The files in templates/ lay out what case_page.py and case_set_page.py prepare.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import InputError
from ..evaluation.comparison import Comparison
from ..evaluation.measure_definitions import DEFINITIONS
from ..io.atomic_files import write_text
from ..plausibility.finding import Finding
from .case_page import case_sections
from .case_set_page import CaseSet, case_set_sections
from .charts import forest_plot, svg_text
from .niivue_viewer import ViewerData
from .page_elements import CaseMaterial, Link, PageSection
from .paired_table import PairedComparison, paired_table

if TYPE_CHECKING:
    import jinja2

Pictures = Sequence[tuple[str, bytes]]

_HERE = Path(__file__).parent
_LONGEST_NAME = 60  # characters; a file system takes 255 bytes


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
    """Write one self-contained HTML page about one comparison or a set of them.

    Args:
        path: the page's file.
        title: its title.
        comparisons: what the page is about.
        pictures: (caption, PNG bytes).
        provenance: shown as it comes: checkpoint, hash, code version, device, time.
        reference_note: says who made the reference; it stands beside every number.
        findings: of a single case.
        viewer: of a single case; it follows the `unetseg:slice` events of the curves.

    Returns:
        The path of the page.

    Raises:
        InputError: if the file can't be written, or Jinja2 is not installed.
    """
    several = [comparisons] if isinstance(comparisons, Comparison) else list(comparisons)
    if len(several) == 1:
        sections = case_sections(several[0], CaseMaterial(pictures, findings, viewer=viewer), reference_note)
    else:
        sections = case_set_sections(CaseSet(several), pictures)
    return _write_page(Path(path), title, several, sections, provenance, reference_note=reference_note)


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
    """Write `report.html` over all cases and one page per case under `cases/`; a single comparison gives one page.

    Args:
        folder: where the pages go.
        title: of `report.html`; the page of a case has the case's name after it.
        comparisons: the cases.
        material: pictures, findings, verdict and viewer by case; the first picture of the worst, median and best case is
            shown on the index.
        provenance: shown as it comes: checkpoint, hash, code version, device, time.
        reference_note: says who made the reference; it stands beside every number.
        notes: warnings beside the numbers of `report.html`.
        paired: a comparison with another checkpoint, shown in `report.html`.
        trained_on: cases that the checkpoint was trained on, and how each was recognised; they stand in a table of their
            own and in no number, unless there are no others.

    Returns:
        The path of `report.html`.

    Raises:
        InputError: if a file can't be written, or Jinja2 is not installed.
    """
    folder, material, index = Path(folder), material or {}, Path(folder) / "report.html"
    if len(comparisons) == 1:
        (only,) = comparisons
        own = material.get(only.case, CaseMaterial())
        sections = _with_paired(case_sections(only, own, reference_note, notes), paired)
        return _write_page(index, title, comparisons, sections, provenance, reference_note=reference_note)
    pages = _page_names([one.case for one in comparisons])
    for one in comparisons:
        sections = case_sections(one, material.get(one.case, CaseMaterial()), reference_note)
        name = f"{title}: {one.case}"
        _write_page(
            folder / pages[one.case], name, [one], sections, provenance,
            reference_note=reference_note, address_of_all="../report.html",
        )  # fmt: skip
    cases = CaseSet(comparisons, material, pages, trained_on or {})
    sections = _with_paired(case_set_sections(cases, notes=notes), paired)
    return _write_page(index, title, comparisons, sections, provenance, reference_note=reference_note)


def _page_names(cases: Sequence[str]) -> dict[str, str]:
    """A file for each case under cases/."""
    taken: set[str] = set()
    return {case: f"cases/{unique_name(case, taken)}.html" for case in cases}


def unique_name(text: str, taken: set[str]) -> str:
    """`text` without what a file's name can't have, numbered where it is `taken` on a disk that ignores case; adds to `taken`."""
    stem = name = re.sub(r"[^\w.-]+", "-", text).strip("-.")[:_LONGEST_NAME] or "case"
    number = 2
    while name.casefold() in taken:
        name, number = f"{stem}-{number}", number + 1
    taken.add(name.casefold())
    return name


def _with_paired(sections: list[PageSection], paired: PairedComparison | None) -> list[PageSection]:
    """The sections with the comparison of two checkpoints after the summary."""
    if paired is None:
        return sections
    content = {
        "this": paired.this,
        "other": Link(paired.other, paired.link) if paired.link else paired.other,
        "measure": paired.measure,
        "chart": forest_plot(paired),
        "table": paired_table(paired),
    }
    return [sections[0], PageSection("paired", f"Compared with {paired.other}", content), *sections[1:]]


def _definitions(tolerance_mm: float) -> list[tuple[str, str]]:
    """What each measure means, for those who read rather than hover."""
    return [
        *((f"{one.title}{f', {one.unit}' if one.unit else ''}", one.text) for one in DEFINITIONS),
        ("Tolerance", f"NSD is given at {tolerance_mm:g} mm."),
        ("Both empty", "A structure that neither side has is not counted; it stays in the table as absent."),
        (
            "One empty",
            "Dice, IoU and NSD are 0 and distances infinite (∞); it is reported as missed or not in reference.",
        ),
        ("Another grid", "The prediction’s labels are resampled to the reference’s grid with nearest neighbour."),
    ]


def _write_page(
    path: Path,
    title: str,
    comparisons: Sequence[Comparison],
    sections: Sequence[PageSection],
    provenance: Mapping[str, object] | None,
    *,
    reference_note: str,
    address_of_all: str = "",
) -> Path:
    tolerance = next((row.tolerance_mm for comparison in comparisons for row in comparison.rows), 2.0)
    facts = [(str(name).replace("_", " "), str(value)) for name, value in (provenance or {}).items()]
    sections = [
        *sections,
        PageSection("definitions", "What the measures mean", _definitions(tolerance)),
        PageSection("provenance", "Provenance", facts),
    ]
    fields: dict[str, Any] = {
        "title": title,
        "reference_note": reference_note,
        "address_of_all": address_of_all,
        "sections": [section for section in sections if section.content],
    }
    if len(comparisons) == 1:
        text = _templates().get_template("case_page.html").render(fields, comparison=comparisons[0])
    else:
        text = _templates().get_template("case_set_page.html").render(fields, case_count=len(comparisons))
    write_text(path, text)
    return path


@cache
def _templates() -> jinja2.Environment:
    """The templates, with everything escaped but the program's own files and charts.

    Jinja2 is imported here, because it comes with PyTorch and Slicer has it only once that is installed.
    """
    try:
        import jinja2
        from markupsafe import Markup
    except ModuleNotFoundError as error:
        raise InputError(
            f"The report's pages need {error.name}, which comes with PyTorch and is not installed; install PyTorch with the "
            "button in the panel, or Jinja2 with pip."
        ) from error

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_HERE / "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    # The only two that are marked safe: files of this folder hold no text from outside, and ElementTree has escaped a chart's.
    environment.globals["own_file"] = lambda name: Markup((_HERE / name).read_text(encoding="utf-8"))
    environment.filters["chart"] = lambda chart: Markup(svg_text(chart))
    return environment
