"""Findings in the order in which they are read: how many structures look plausible, then each that doesn't, the worst first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .finding import FAIL, PASS, SEVERITIES, WARN, Finding, number

SMALL_ML, SMALL_FRACTION = 1.0, 0.005
"""Components apart from the main body that stay below both change nothing that a reader would measure or mention."""
WHOLE = "Whole segmentation"


@dataclass(frozen=True)
class FindingGroup:
    """What was found on one structure ("" for the whole segmentation), the most severe first; never empty."""

    structure: str
    findings: tuple[Finding, ...]

    @property
    def severity(self) -> str:
        return self.findings[0].severity

    @property
    def title(self) -> str:
        """The structure's name at the head of a line."""
        return self.structure[:1].upper() + self.structure[1:] if self.structure else WHOLE

    @property
    def counts(self) -> str:
        """Such as "1 not plausible, 2 worth a look"."""
        counted = [(sum(one.severity == severity for one in self.findings), severity) for severity in (FAIL, WARN)]
        return ", ".join(f"{count} {SEVERITY_TEXTS[severity]}" for count, severity in counted if count)

    def text(self, finding: Finding) -> str:
        """A finding's sentence without the structure's name, which stands above it."""
        rest = finding.sentence.removeprefix(f"{self.title}: ")
        return rest[:1].upper() + rest[1:]


SEVERITY_TEXTS = {FAIL: "not plausible", WARN: "worth a look", PASS: "as expected"}


@dataclass(frozen=True)
class FindingsPage:
    """`plausible` of `structures` structures have no finding that matters; `groups` holds the others, `small` the findings on
    components that are too small to matter, `passed` what is as expected."""

    plausible: int
    structures: int
    groups: tuple[FindingGroup, ...]
    small: tuple[Finding, ...]
    passed: tuple[Finding, ...]

    @property
    def severity(self) -> str:
        """The most severe of what stands in the groups."""
        return max((group.severity for group in self.groups), key=SEVERITIES.index, default=PASS)

    @property
    def headline(self) -> str:
        """How many structures look plausible, in one sentence."""
        return f"{self.plausible} of {self.structures} structures look plausible."

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

    Structures outside the field of view are not counted. The groups go by their most severe finding, then by how many
    of it they have; what is equal keeps its order.
    """
    present_ml = {one.structure: one.value or 0.0 for one in findings if one.check == "presence"}
    expected = [one for one in findings if one.check == "presence" and (one.value or one.severity != PASS)]
    small = tuple(one for one in findings if _is_small(one, present_ml.get(one.structure, 0.0)))
    by_structure: dict[str, list[Finding]] = {}
    for one in findings:
        if one.severity != PASS and one not in small:
            by_structure.setdefault(one.structure, []).append(one)
    groups = [FindingGroup(structure, tuple(sorted(own, key=_severity))) for structure, own in by_structure.items()]
    groups.sort(
        key=lambda group: [-sum(one.severity == severity for one in group.findings) for severity in (FAIL, WARN)]
    )
    plausible = sum(one.structure not in by_structure for one in expected)
    passed = tuple(one for one in findings if one.severity == PASS)
    return FindingsPage(plausible, len(expected), tuple(groups), small, passed)


def _severity(finding: Finding) -> int:
    return -SEVERITIES.index(finding.severity)


def _is_small(finding: Finding, body_ml: float) -> bool:
    """Whether a warning is of components apart from the main body that stay below both limits."""
    if finding.check != "components" or finding.severity != WARN or not finding.value or not body_ml:
        return False
    if finding.unit == "ml":
        ml, fraction = finding.value, finding.value / (finding.value + body_ml)
    elif finding.unit == "%" and finding.value < 100:
        fraction = finding.value / 100
        ml = body_ml * fraction / (1 - fraction)
    else:  # a number of components, each of them large
        return False
    return ml < SMALL_ML and fraction < SMALL_FRACTION


def _measured(finding: Finding) -> str:
    return f"{number(finding.value or 0.0)} {finding.unit}"
