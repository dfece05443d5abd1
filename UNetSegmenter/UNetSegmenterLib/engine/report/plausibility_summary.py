"""Is it anatomy? What the pages say of plausibility: in one sentence at the top, beside a structure, and as a list."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

from ..evaluation.comparison import Comparison, StructureComparison
from ..evaluation.statistics import mean_dice
from ..plausibility.finding import Finding
from .page_elements import CaseMaterial, count, counted, dice_of, listed, tile

LITTLE_DICE, HIGH_DICE = 0.7, 0.9
"""Below the first there is little overlap; above the second two experts hardly agree better (docs/metrics.md)."""
_DOUBTFUL_WARNINGS = 2  # single warnings come with expert drawings too (docs/plausibility.md)
_NAMED = 3  # structures that a sentence names
_SEVERITIES = {"fail": "✕ fail", "warn": "! warning", "pass": "✓ pass"}
_MOST_FINDINGS = 40


@dataclass(frozen=True, order=True)
class Tally:
    """Findings counted; the larger the graver."""

    failed: int = 0
    warnings: int = 0

    @property
    def words(self) -> str:
        """Such as "1 check failed, 2 warnings"; empty if nothing was found."""
        failed = f"{count(self.failed, 'check')} failed" if self.failed else ""
        return ", ".join(filter(None, [failed, count(self.warnings, "warning") if self.warnings else ""]))

    @property
    def doubtful(self) -> bool:
        """Whether this is more than reference drawings give rise to now and then."""
        return bool(self.failed) or self.warnings >= _DOUBTFUL_WARNINGS


def tally(findings: Sequence[Finding], row: StructureComparison | None = None) -> Tally:
    """Failures and warnings, all of them or those about the structure of a row, which goes by its name in the prediction."""
    if row is not None:
        name = row.prediction.name if row.prediction else row.structure
        findings = [one for one in findings if one.structure == name]
    return Tally(*(sum(one.severity == kind for one in findings) for kind in ("fail", "warn")))


def case_takeaway(comparison: Comparison, findings: Sequence[Finding]) -> str:
    """What a reader must take away from one case: what is missing, little overlap, and anatomy that a high Dice hides."""
    found = [row for row in counted(comparison) if row.status == "ok"]
    little = sorted((row for row in found if dice_of(row) < LITTLE_DICE), key=dice_of)
    doubtful = [(own, row) for row in found if dice_of(row) >= HIGH_DICE and (own := tally(findings, row)).doubtful]
    said = []
    for status, words in (("missed", "Missed"), ("spurious", "Predicted although the reference has none")):
        if names := [row.structure for row in counted(comparison) if row.status == status]:
            said.append(f"{words}: {listed(names)}.")
    if little:
        said.append(f"Little overlap: {_some([f'{row.structure} (Dice {dice_of(row):.2f})' for row in little])}.")
    if doubtful:
        said.append(_doubted([(own, row, "") for own, row in doubtful]))
    if found and not said:
        anatomy = ", and nothing implausible was found" if findings and tally(findings) == Tally() else ""
        said.append(f"All structures overlap with a Dice of {min(map(dice_of, found)):.2f} or more{anatomy}.")
    return escape(" ".join(said))


def set_takeaway(
    comparisons: Sequence[Comparison], material: Mapping[str, CaseMaterial], pages: Mapping[str, str]
) -> str:
    """Which cases of a set to look at first, as links, and where a high Dice hides doubtful anatomy."""
    ranked = sorted((one for one in comparisons if counted(one)), key=lambda one: mean_dice(one.rows))
    if not ranked:
        return ""
    worst = ranked[0].case
    said = f"Look first at {case_link(worst, pages)} (mean Dice {mean_dice(ranked[0].rows):.2f}, the lowest)"
    tallies = {one.case: tally(material[one.case].findings) for one in ranked if one.case in material}
    gravest = max(tallies, key=lambda case: tallies[case], default=worst)
    if gravest != worst and tallies[gravest].failed:
        said += f" and at {case_link(gravest, pages)} ({tallies[gravest].words}, the gravest findings)"
    doubtful = [
        (own, row, f" in {one.case}")
        for one in ranked
        for row in counted(one)
        if one.case in material
        and dice_of(row) >= HIGH_DICE
        and (own := tally(material[one.case].findings, row)).doubtful
    ]
    return f"{said}. {escape(_doubted(doubtful)) if doubtful else ''}".strip()


def _doubted(doubtful: list[tuple[Tally, StructureComparison, str]]) -> str:
    ranked = sorted(doubtful, key=lambda one: one[0], reverse=True)
    names = [f"{row.structure}{where} (Dice {dice_of(row):.2f}, {own.words})" for own, row, where in ranked]
    return f"Dice is high but the anatomy is doubtful: {_some(names)}."


def _some(names: Sequence[str]) -> str:
    rest = len(names) - _NAMED
    return listed(names if rest <= 0 else [*names[:_NAMED], f"{rest} more"])


def case_link(case: str, pages: Mapping[str, str]) -> str:
    """A case's name, leading to its page where it has one."""
    return f'<a href="{escape(pages[case])}">{escape(case)}</a>' if case in pages else escape(case)


def case_tile(findings: Sequence[Finding]) -> str:
    """Failures and warnings of one case, leading to the list; nothing where nothing was checked."""
    if not findings:
        return ""
    own = tally(findings)
    figure = f'<a href="#findings">{own.failed} <small>failed</small></a>'
    under = f"and {count(own.warnings, 'warning')}, of {count(len(findings), 'check')}"
    return tile("Is it anatomy?", figure, under, own.failed > 0)


def set_tile(material: Mapping[str, CaseMaterial]) -> str:
    """In how many cases a check failed; nothing where nothing was checked."""
    tallies = [tally(own.findings) for own in material.values() if own.findings]
    if not tallies:
        return ""
    failed, warned = (sum(getattr(one, kind) > 0 for one in tallies) for kind in ("failed", "warnings"))
    under = f"cases with a failed check; warnings in {warned}"
    return tile("Is it anatomy?", f"{failed} <small>of {len(tallies)}</small>", under, failed > 0)


def badge(own: Tally) -> str:
    """Failures and warnings of one structure, for its row in a table."""
    if not own.words:
        return ""
    kind, sign = ("fail", "✕") if own.failed else ("warn", "!")
    return f' <span class="status {kind}">{sign} {own.words}</span>'


def finding_list(items: Sequence[Finding], rows: Sequence[StructureComparison] = ()) -> str:
    """Plausibility findings, the grave ones first; what passed, and more than a screenful, is folded away.

    `rows` tell the names that the viewer gives to the structures.
    """
    if not items:
        return ""
    names = {row.prediction.name: row.structure for row in rows if row.prediction}
    order = list(_SEVERITIES)
    ranked = sorted(items, key=lambda one: order.index(one.severity) if one.severity in order else 0)
    open_ones = [one for one in ranked if one.severity != "pass"]
    passed = [one for one in ranked if one.severity == "pass"]
    shown = _list(open_ones[:_MOST_FINDINGS], names) if open_ones else "<p>Nothing implausible was found.</p>"
    if rest := open_ones[_MOST_FINDINGS:]:
        shown += f"<details><summary>{len(rest)} more</summary>{_list(rest, names)}</details>"
    if passed:
        folded = f"<summary>{count(len(passed), 'check')} passed</summary>{_list(passed, names)}"
        shown += f'<details class="all-passed">{folded}</details>'
    return shown


def _list(items: Sequence[Finding], names: Mapping[str, str]) -> str:
    rows = "".join(
        f'<li><span class="severity {escape(one.severity)}">{_SEVERITIES.get(one.severity, escape(one.severity))}</span>'
        f"<span>{escape(one.sentence)}</span>{_place(one, names)}</li>"
        for one in items
    )
    return f'<ul class="findings">{rows}</ul>'


def _place(one: Finding, names: Mapping[str, str]) -> str:
    """Where to look: a button where there is a viewer, which page.js makes of it, else words."""
    if one.position_ras_mm is None:
        return '<span class="where"></span>'
    letters = zip(one.position_ras_mm, ("RL", "AP", "SI"), strict=True)
    words = ", ".join(f"{names[mm < 0]} {abs(mm):.0f}" for mm, names in letters)
    place = " ".join(f"{mm:.1f}" for mm in one.position_ras_mm)
    structure = escape(names.get(one.structure, one.structure))
    return f'<span class="where" data-place="{place}" data-structure="{structure}">{words} mm</span>'
