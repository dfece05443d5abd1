"""Findings in reading order: how many structures look plausible, then each that does not, the most severe first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .finding import FAIL, PASS, SEVERITIES, WARN, Finding, digits_apart, number_text, titled

SMALL_ML, SMALL_FRACTION = 1.0, 0.005
"""Small components below both limits change nothing that a reader would measure or mention."""
WHOLE = "Whole segmentation"


@dataclass(frozen=True)
class FindingGroup:
    """Findings of one structure ("" for the whole segmentation), the most severe first; never empty."""

    structure: str
    findings: tuple[Finding, ...]

    @property
    def severity(self) -> str:
        """The most severe of its findings."""
        return self.findings[0].severity

    @property
    def title(self) -> str:
        """The structure's name as a heading."""
        return titled(self.structure) if self.structure else WHOLE

    @property
    def counts(self) -> str:
        """Such as "1 not plausible, 2 worth a look"."""
        counted = [(sum(one.severity == severity for one in self.findings), severity) for severity in (FAIL, WARN)]
        return ", ".join(f"{count} {SEVERITY_TEXTS[severity]}" for count, severity in counted if count)

    def text(self, finding: Finding) -> str:
        """A finding's sentence without the structure's name, which is the heading."""
        rest = finding.sentence.removeprefix(f"{self.title}: ")
        return titled(rest)


SEVERITY_TEXTS = {FAIL: "not plausible", WARN: "worth a look", PASS: "as expected"}


@dataclass(frozen=True)
class FindingsPage:
    """The findings of one segmentation, sorted for reading.

    Attributes:
        plausible: Number of structures without a warning or failure that matters.
        structures: Number of structures in the field of view.
        groups: The other structures with their findings.
        small: Warnings of components that are too small to matter.
        passed: Findings that are as expected.
        changed: What postprocessing changed.
    """

    plausible: int
    structures: int
    groups: tuple[FindingGroup, ...]
    small: tuple[Finding, ...]
    passed: tuple[Finding, ...]
    changed: tuple[Finding, ...] = ()

    @property
    def severity(self) -> str:
        """The most severe of the groups."""
        return max((group.severity for group in self.groups), key=_rank, default=PASS)

    @property
    def headline(self) -> str:
        """How many structures look plausible, in one sentence."""
        noun, verb = "structure" if self.structures == 1 else "structures", "looks" if self.plausible == 1 else "look"
        return f"{self.plausible} of {self.structures} {noun} {verb} plausible."

    @property
    def small_sentence(self) -> str:
        """One sentence for all small components; empty where there are none."""
        if not self.small:
            return ""
        volumes = ", ".join(f"{one.structure} ({_measured(one)})" for one in self.small)
        limits = f"{SMALL_ML:g} ml and {SMALL_FRACTION:.1%}"
        return f"Small components apart from the main body, each structure's below {limits}: {volumes}."


def findings_page(findings: Sequence[Finding]) -> FindingsPage:
    """Sort the findings of one segmentation into a page.

    Structures outside the field of view are not counted. Groups are ordered by the number of failures, then by the number of
    warnings; equal ones keep their order.
    """
    present_ml = {one.structure: one.value or 0.0 for one in findings if one.check == "presence"}
    expected = [one for one in findings if one.check == "presence" and (one.value or one.severity != PASS)]
    small = tuple(one for one in findings if _is_small(one, present_ml.get(one.structure, 0.0)))
    by_structure: dict[str, list[Finding]] = {}
    for one in findings:
        if one.severity != PASS and one not in small:
            by_structure.setdefault(one.structure, []).append(one)
    groups = [
        FindingGroup(structure, tuple(sorted(own, key=lambda one: -_rank(one.severity))))
        for structure, own in by_structure.items()
    ]
    groups.sort(
        key=lambda group: [-sum(one.severity == severity for one in group.findings) for severity in (FAIL, WARN)]
    )
    plausible = sum(one.structure not in by_structure for one in expected)
    changed = tuple(one for one in findings if one.check == "postprocessing")
    passed = tuple(one for one in findings if one.severity == PASS and one not in changed)
    return FindingsPage(plausible, len(expected), tuple(groups), small, passed, changed)


def _rank(severity: str) -> int:
    """The larger the more severe; a word that is none of ours, in a file of others, counts as the least."""
    return SEVERITIES.index(severity) if severity in SEVERITIES else 0


def _is_small(finding: Finding, body_ml: float) -> bool:
    """Whether a finding is a warning of small components that stay below both limits."""
    if finding.check != "components" or finding.severity != WARN or not finding.value or not body_ml:
        return False
    if finding.unit == "ml":
        ml, fraction = finding.value, finding.value / (finding.value + body_ml)
    elif finding.unit == "%" and finding.value < 100:
        fraction = finding.value / 100
        ml = body_ml * fraction / (1 - fraction)
    else:  # a number of components, which are all large
        return False
    return ml < SMALL_ML and fraction < SMALL_FRACTION


def _measured(finding: Finding) -> str:
    value, limit = finding.value or 0.0, SMALL_ML if finding.unit == "ml" else 100 * SMALL_FRACTION
    return f"{number_text(value, digits_apart((value, limit)))} {finding.unit}"
