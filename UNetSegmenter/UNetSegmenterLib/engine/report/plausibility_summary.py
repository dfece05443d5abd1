"""What the pages show of plausibility: in one sentence at the top, beside a structure, and as a list."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ..counting import counted
from ..evaluation.comparison import Comparison, StructureComparison
from ..evaluation.statistics import mean_dice
from ..plausibility.finding import FAIL, Finding, titled
from ..plausibility.findings_page import FindingGroup, findings_page
from .page_elements import CaseMaterial, Link, LinkedText, Tile, dice_of, listed, measured_rows

LITTLE_DICE, HIGH_DICE = 0.7, 0.9
"""Below the first there is little overlap; above the second two experts hardly agree better (docs/metrics.md)."""
_DOUBTFUL_WARNINGS = 2  # single warnings come with expert drawings too (docs/plausibility.md)
_NAMED = 3  # structures that a sentence names
_SEVERITY_LABELS = {"fail": "✕ fail", "warn": "! warning", "pass": "✓ pass"}


@dataclass(frozen=True, order=True)
class FindingCounts:
    """Findings counted; the larger the more severe."""

    failed: int = 0
    warnings: int = 0

    @property
    def text(self) -> str:
        """Such as "1 check failed, 2 warnings"; empty if nothing was found."""
        failed = f"{counted(self.failed, 'check')} failed" if self.failed else ""
        return ", ".join(filter(None, [failed, counted(self.warnings, "warning") if self.warnings else ""]))

    @property
    def is_doubtful(self) -> bool:
        """Whether this is more than reference drawings give rise to now and then."""
        return bool(self.failed) or self.warnings >= _DOUBTFUL_WARNINGS

    @property
    def badges(self) -> list[tuple[str, str]]:
        """(CSS class, text) of what stands beside a structure's name in a table."""
        if not self.text:
            return []
        return [("fail", f"✕ {self.text}") if self.failed else ("warn", f"! {self.text}")]


def count_findings(findings: Sequence[Finding], row: StructureComparison | None = None) -> FindingCounts:
    """Failures and warnings, all of them or those about the structure of a row, which goes by its name in the prediction."""
    if row is not None:
        name = row.prediction.name if row.prediction else row.structure
        findings = [one for one in findings if one.structure == name]
    return FindingCounts(*(sum(one.severity == kind for one in findings) for kind in ("fail", "warn")))


def case_takeaway(comparison: Comparison, findings: Sequence[Finding]) -> str:
    """What a reader must take away from one case: what is missing, little overlap, and anatomy that a high Dice hides."""
    found = [row for row in measured_rows(comparison) if row.status == "ok"]
    little = sorted((row for row in found if dice_of(row) < LITTLE_DICE), key=dice_of)
    sentences = []
    for status, text in (("missed", "Missed"), ("spurious", "Predicted although the reference has none")):
        if names := [row.structure for row in measured_rows(comparison) if row.status == status]:
            sentences.append(f"{text}: {listed(names)}.")
    if little:
        named = _first_named([f"{row.structure} (Dice {dice_of(row):.2f})" for row in little])
        sentences.append(f"Little overlap: {named}.")
    if doubtful := [(counts, row, "") for row, counts in _doubtful_rows(comparison, findings)]:
        sentences.append(_doubtful_sentence(doubtful))
    if found and not sentences:
        nothing_found = findings and count_findings(findings) == FindingCounts()
        anatomy = ", and nothing implausible was found" if nothing_found else ""
        sentences.append(f"All structures overlap with a Dice of {min(map(dice_of, found)):.2f} or more{anatomy}.")
    return " ".join(sentences)


def set_takeaway(
    comparisons: Sequence[Comparison], material: Mapping[str, CaseMaterial], pages: Mapping[str, str]
) -> LinkedText:
    """Which cases of a set to look at first, as links, and where a high Dice hides doubtful anatomy."""
    ranked = sorted((one for one in comparisons if measured_rows(one)), key=lambda one: mean_dice(one.rows))
    if not ranked:
        return []
    worst = ranked[0].case
    text: list[str | Link] = [
        "Look first at ",
        case_link(worst, pages),
        f" (mean Dice {mean_dice(ranked[0].rows):.2f}, the lowest)",
    ]
    counts = {one.case: count_findings(material[one.case].findings) for one in ranked if one.case in material}
    most_severe = max(counts, key=lambda case: counts[case], default=worst)
    if most_severe != worst and counts[most_severe].failed:
        text += [" and at ", case_link(most_severe, pages), f" ({counts[most_severe].text}, the most severe findings)"]
    doubtful = [
        (found, row, f" in {one.case}")
        for one in ranked
        if one.case in material
        for row, found in _doubtful_rows(one, material[one.case].findings)
    ]
    return [*text, f". {_doubtful_sentence(doubtful)}" if doubtful else "."]


def _doubtful_rows(
    comparison: Comparison, findings: Sequence[Finding]
) -> list[tuple[StructureComparison, FindingCounts]]:
    """Rows with a high Dice whose findings make the anatomy doubtful."""
    high = [(row, count_findings(findings, row)) for row in measured_rows(comparison) if dice_of(row) >= HIGH_DICE]
    return [(row, counts) for row, counts in high if counts.is_doubtful]


def _doubtful_sentence(doubtful: list[tuple[FindingCounts, StructureComparison, str]]) -> str:
    ranked = sorted(doubtful, key=lambda one: one[0], reverse=True)
    names = [f"{row.structure}{where} (Dice {dice_of(row):.2f}, {counts.text})" for counts, row, where in ranked]
    return f"Dice is high but the anatomy is doubtful: {_first_named(names)}."


def _first_named(names: Sequence[str]) -> str:
    rest = len(names) - _NAMED
    return listed(names if rest <= 0 else [*names[:_NAMED], f"{rest} more"])


def case_link(case: str, pages: Mapping[str, str]) -> str | Link:
    """A case's name, leading to its page where it has one."""
    return Link(case, pages[case]) if case in pages else case


def case_tiles(findings: Sequence[Finding]) -> list[Tile]:
    """Failures and warnings of one case, leading to the list; nothing where nothing was checked."""
    if not findings:
        return []
    counts = count_findings(findings)
    remark = f"and {counted(counts.warnings, 'warning')}, of {counted(len(findings), 'check')}"
    return [Tile("Plausibility", str(counts.failed), "failed", remark, counts.failed > 0, "#findings")]


def set_tiles(material: Mapping[str, CaseMaterial]) -> list[Tile]:
    """In how many cases a check failed; nothing where nothing was checked."""
    counts = [count_findings(own.findings) for own in material.values() if own.findings]
    if not counts:
        return []
    failed, warned = (sum(getattr(one, kind) > 0 for one in counts) for kind in ("failed", "warnings"))
    remark = f"cases with a failed check; warnings in {warned}"
    return [Tile("Plausibility", str(failed), f"of {len(counts)}", remark, failed > 0)]


@dataclass(frozen=True)
class ReportedFinding:
    """A finding as the list shows it; `position` says where to look, `position_mm` is the same for the viewer (RAS, mm)."""

    severity: str
    label: str
    sentence: str
    structure: str
    position: str = ""
    position_mm: str = ""


@dataclass(frozen=True)
class FindingLines:
    """Findings on one line that opens to them; a single one stands there itself. `is_open` says whether it begins open."""

    title: str
    counts: str
    severity: str
    label: str
    lines: Sequence[ReportedFinding]
    is_open: bool = False


@dataclass(frozen=True)
class GroupedFindings:
    """What was found, one entry per structure and the most severe first, and what passed, which is folded away."""

    groups: Sequence[FindingLines]
    passed: Sequence[ReportedFinding]
    passed_text: str
    limits: str


def grouped_findings(
    findings: Sequence[Finding], rows: Sequence[StructureComparison] = (), limits: str = ""
) -> GroupedFindings | None:
    """Plausibility findings as the panel groups them; None where nothing was checked. Structures that fail begin open.

    `rows` tell the names that the viewer gives to the structures, `limits` what the findings were compared with.
    """
    if not findings:
        return None
    names = {row.prediction.name: row.structure for row in rows if row.prediction}
    page = findings_page(findings)
    groups = [_group_lines(group, names) for group in page.groups]
    if page.small:
        lines = [_reported_finding(one, names) for one in page.small]
        groups.append(FindingLines("Small components", page.small_sentence, "warn", _SEVERITY_LABELS["warn"], lines))
    passed = [_reported_finding(one, names) for one in (*page.changed, *page.passed)]
    return GroupedFindings(groups, passed, f"{counted(len(passed), 'check')} passed", titled(limits))


def _group_lines(group: FindingGroup, names: Mapping[str, str]) -> FindingLines:
    several = len(group.findings) > 1
    lines = [_reported_finding(one, names, group.text(one) if several else "") for one in group.findings]
    fails = group.severity == FAIL
    return FindingLines(group.title, group.counts, group.severity, lines[0].label, lines, fails)


def _reported_finding(one: Finding, names: Mapping[str, str], text: str = "") -> ReportedFinding:
    """The line of a finding, with its sentence or another text; page.js makes a button of its position where a viewer is."""
    sentence = text or one.sentence
    label, structure = _SEVERITY_LABELS.get(one.severity, one.severity), names.get(one.structure, one.structure)
    if one.position_ras_mm is None:
        return ReportedFinding(one.severity, label, sentence, structure)
    letters = zip(one.position_ras_mm, ("RL", "AP", "SI"), strict=True)
    position = ", ".join(f"{directions[mm < 0]} {abs(mm):.0f}" for mm, directions in letters)
    position_mm = " ".join(f"{mm:.1f}" for mm in one.position_ras_mm)
    return ReportedFinding(one.severity, label, sentence, structure, f"{position} mm", position_mm)
