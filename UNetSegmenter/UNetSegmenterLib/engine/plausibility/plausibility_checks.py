"""Plausibility checks of one segmentation without ground truth: from measured quantities to findings.

No check needs a network; how confident the network was comes with the segmentation. With the statistics of the training labels
(`training_statistics`, stored in a checkpoint's card) each quantity is compared with what those labels show. Without them, the
checks that need no statistics run by rules of thumb.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np

from ..errors import InputError
from ..io.volume import Volume
from ..labels.segmentation import Segmentation
from . import relations, tissue
from .anatomy import Anatomy, Place
from .finding import FAIL, PASS, SEVERITIES, WARN, Finding, number
from .quantity import FEW_CASES, Limits, Quantity, Rule, excess, expected_text, limits, measured_text
from .rules import CHECKS, RULES
from .shape import FACES
from .size import AXES
from .training_statistics import VERSION, CaseQuantities, measure_case, position

OFTEN_REMOVED = ("gallbladder", "appendix", "uterus", "prostate", "adrenal")
"""Organs that surgeons take out so often that their absence alone is no failure."""
_TITLES = ("Head to feet", "Front to back", "Left to right")
_REVERSED = (", as if the scan were upside down", ", as if front and back were exchanged", ", as if mirrored")
SMALLEST_COVER = 0.75
SMALLEST_CONTACT = 0.005
_TEXTBOOK_SLACK_MM = 10.0


def check(
    segmentation: Segmentation,
    volume: Volume | None = None,
    statistics: dict[str, Any] | None = None,
) -> list[Finding]:
    """Run all plausibility checks on a segmentation.

    Args:
        segmentation: The labels to check.
        volume: The scan on the segmentation's grid, in HU; the tissue checks need it.
        statistics: What `training_statistics` returned; None for rules of thumb.

    Returns:
        Findings of all checks, "pass" included: at most one per check and structure.

    Raises:
        InputError: If the grids of scan and segmentation differ.
    """
    anatomy = Anatomy(segmentation, volume)
    return PlausibilityChecks(anatomy, measure_case(anatomy), statistics).findings()


class PlausibilityChecks:
    """Holds the facts of one case against the statistics of training labels, or against rules of thumb without them."""

    def __init__(self, anatomy: Anatomy, case: CaseQuantities, statistics: dict[str, Any] | None) -> None:
        self.anatomy = anatomy
        self.case = case
        self.statistics = statistics or {}
        if self.statistics and self.statistics.get("version") != VERSION:
            raise InputError(
                f"The checkpoint's statistics of training labels are of version {self.statistics.get('version')}, this "
                f"software reads version {VERSION}; update UNetSegmenter, or check without a checkpoint."
            )
        self.learnt: dict[str, dict[str, Any]] = self.statistics.get("structures", {})
        self.nominal = bool(self.statistics.get("nominal_spacing"))
        offsets = {(first, second): np.array(mm) for first, second, mm in self.statistics.get("offsets", [])}
        self.constellation = relations.Constellation(offsets)
        self.shown = {anatomy.keys[s.index]: s.name for s in anatomy.structures}
        self.cut_at: tuple[set[str], ...] = tuple(set() for _ in FACES)  # structures that the scan cuts, by its faces
        self.truncated: set[str] = set()

    def findings(self) -> list[Finding]:
        """All findings, in the order of `CHECKS`, structures in their own order within each."""
        quantities = [*self.case.quantities, *self._positions(), *self._tissues()]
        for quantity in quantities:
            if quantity.key == "border" and (found := self._evaluate(quantity)) and found[0] != PASS:
                self.cut_at[FACES.index(quantity.detail)].add(quantity.structure)
        self.truncated = set().union(*self.cut_at)
        evaluated = [found for quantity in quantities if (found := self._evaluate(quantity))]
        worst: dict[tuple[str, str], tuple[str, float, Quantity, Limits]] = {}
        for severity, reach, quantity, bounds in evaluated:
            place = (RULES[quantity.key].check, quantity.structure)
            if place not in worst or _graver((severity, reach), worst[place][:2]):
                worst[place] = (severity, reach, quantity, bounds)
        findings = [self._finding(severity, quantity, bounds) for severity, _, quantity, bounds in worst.values()]
        findings += [*self._presence(), *self._order()]
        if not self.statistics:
            findings += self._textbook()
        places = {name: i for i, name in enumerate(self.shown.values())}
        return sorted(findings, key=lambda f: (CHECKS.index(f.check), places.get(f.structure, -1)))

    def _positions(self) -> list[Quantity]:
        sides = dict(zip(AXES, relations.SIDES, strict=True))
        return [
            Quantity("position", name, gap, self.anatomy.parts[name].middle, other=word, detail=sides[word])
            for name, word, gap in position(self.case.centroids_mm, self.constellation)
        ]

    def _tissues(self) -> list[Quantity]:
        found = []
        for name, histogram in self.case.histograms.items():
            learnt = self.learnt.get(name, {}).get("hu")
            if learnt is None and any(word in name for word in tissue.HOLDS_GAS):
                continue
            place = self.anatomy.parts[name].middle
            found += [Quantity(key, name, value, place) for key, value in tissue.tissue(histogram, learnt)]
        return found

    def _evaluate(self, quantity: Quantity) -> tuple[str, float, Quantity, Limits] | None:
        rule = RULES[quantity.key]
        if quantity.key in ("position", "cut") and any(quantity.structure in self._slab(axis) for axis in range(3)):
            return None
        structure = self.learnt.get(quantity.structure)
        learnt = None if structure is None else self._summary(quantity, structure)
        bounds = limits(rule, learnt)
        if bounds is None:
            return None
        severity = bounds.severity(quantity.value, self._gravest(rule, quantity))
        return severity, excess(rule, bounds, quantity.value), quantity, bounds

    def _summary(self, quantity: Quantity, structure: dict[str, Any]) -> dict[str, Any] | None:
        measures = structure["measures"]
        if quantity.name in measures or not quantity.other:
            return measures.get(quantity.name)
        mirrored = self.learnt.get(quantity.other, {}).get("measures", {})
        return mirrored.get(f"{quantity.key}|{quantity.structure}")

    def _gravest(self, rule: Rule, quantity: Quantity) -> str:
        """Sizes learnt with a nominal spacing, and relations of a structure that the scan cuts, only warn."""
        if rule.sized and self.nominal:
            return WARN
        related = rule.check in ("neighbours", "containment", "position", "cut face")
        if related and {quantity.structure, quantity.other} & self.truncated:
            return WARN
        return rule.most

    def _finding(self, severity: str, quantity: Quantity, bounds: Limits) -> Finding:
        rule = RULES[quantity.key]
        other = self.shown.get(quantity.other, quantity.other)
        says = rule.says.format(value=measured_text(rule, quantity), detail=quantity.detail, other=other)
        expected = expected_text(rule, bounds, quantity.detail)
        source = f"{bounds.cases} training case{'s' * (bounds.cases > 1)}" if bounds.cases else "rule of thumb"
        nominal = ", nominal spacing" if rule.sized and self.nominal else ""
        name = self.shown[quantity.structure]
        text = f"{titled(name)}: {says}; expected {expected} ({source}{nominal})."
        value = round(quantity.value * rule.scale, 4)
        place = quantity.place if severity == PASS else self._place(quantity)
        return Finding(rule.check, name, severity, value, expected, self._ras(place), text, rule.unit)

    def _place(self, quantity: Quantity) -> Place | None:
        """Where the fault is, for quantities whose place is worth looking for only once they raise an alarm."""
        part = self.anatomy.parts[quantity.structure]
        if quantity.key in ("low hu", "high hu", "spread", "gas"):
            learnt = self.learnt.get(quantity.structure, {}).get("hu")
            return tissue.odd_voxel(self.anatomy, part, quantity.key, learnt)
        if quantity.key == "contact":
            return self.anatomy.contact_place(part, self.anatomy.parts[quantity.other]) or quantity.place
        return quantity.place

    def _ras(self, place: Place | None) -> tuple[float, float, float] | None:
        return None if place is None else self.anatomy.to_ras(place)

    # ------------------------------------------------------------------------------ what is not one number

    def _presence(self) -> list[Finding]:
        """Is every structure there that the field of view should hold? A missed structure is the first thing to report.

        Metrics Reloaded (Maier-Hein et al., Nature Methods 21, 2024) counts it apart from the quality of what is there.
        """
        found = []
        for part in self.anatomy.parts.values():
            name = part.structure.name
            text = f"{titled(name)}: found, {number(part.ml)} ml."
            found.append(Finding("presence", name, PASS, part.ml, "present", self._ras(part.middle), text, "ml"))
        for key, structure in self.anatomy.absent.items():
            found.append(self._missing(key, structure.name))
        return found

    def _missing(self, key: str, name: str) -> Finding:
        learnt = self.learnt.get(key)
        said = self.constellation.predict(key, self.case.centroids_mm)
        place: Any = None if said is None else tuple(float(v) for v in said / self.anatomy.spacing_mm)
        title = titled(name)
        if place is not None and not self._in_view(place):
            text = f"{title}: not found, and its place lies outside the scan."
            return Finding("presence", name, PASS, 0.0, "outside the field of view", None, text, "ml")
        ras = self._ras(place)
        if learnt is None:
            text = f"{title}: not found, though the segmentation lists it."
            return Finding("presence", name, WARN, 0.0, "present", ras, text, "ml")
        present, declared = learnt["present"], learnt["declared"]
        removed = any(word in key for word in OFTEN_REMOVED)
        always = present == declared >= FEW_CASES and not removed
        severity = FAIL if always else WARN if present > declared / 2 else PASS
        text = f"{title}: not found; {present} of {declared} training cases have it{', surgery may have removed it' * removed}."
        return Finding("presence", name, severity, 0.0, f"present in {present} of {declared}", ras, text, "ml")

    def _in_view(self, place: Place) -> bool:
        return all(0 <= where < n for where, n in zip(place, self.anatomy.shape, strict=True))

    def _order(self) -> list[Finding]:
        """Left and right, front and back, above and below: one finding an axis, as a mirrored scan reverses every pair.

        What the scan cuts at both ends of an axis is left out: the middle of such a slab says nothing about its place.
        """
        known = self.statistics.get("order")
        said = relations.known_relations(self.case.centroids_mm) if known is None else known
        found = []
        for axis, words in enumerate(relations.DIRECTIONS):
            slab = self._slab(axis)
            whole_mm = {name: place for name, place in self.case.centroids_mm.items() if name not in slab}
            pairs = relations.order(whole_mm, [r for r in said if r["axis"] == axis])
            told = [self._order_along(axis, words, pairs)] if pairs else []
            whole = self._arrangement(axis, whole_mm)
            told += [whole] if whole else []
            if told:
                found.append(max(told, key=lambda finding: SEVERITIES.index(finding.severity)))
        return found

    def _slab(self, axis: int) -> set[str]:
        """Structures that the scan cuts at both ends of an axis."""
        return self.cut_at[2 * axis] & self.cut_at[2 * axis + 1]

    def _arrangement(self, axis: int, centroids_mm: dict[str, np.ndarray]) -> Finding | None:
        """The order of all structures at once, for what no single pair is sure to show."""
        learnt = self.statistics.get("arrangement", [None] * 3)[axis]
        value = self.constellation.agreement(centroids_mm)[axis]
        if learnt is None or value is None:
            return None
        rule = RULES["arrangement"]
        bounds = limits(rule, learnt)
        severity = bounds.severity(value) if bounds else PASS
        expected = expected_text(rule, bounds) if bounds else ""
        hint = _REVERSED[axis] if value < 0 else ""
        says = rule.says.format(value=number(value))
        text = f"{_TITLES[axis]}: {says}{hint}; expected {expected} ({learnt['n']} training cases)."
        return Finding("order", "", severity, round(value, 4), expected, None, text)

    def _order_along(self, axis: int, words: tuple[str, str], pairs: list[tuple[dict[str, Any], float]]) -> Finding:
        wrong = sorted((mm, r["first"], r["second"], self._order_severity(r, mm)) for r, mm in pairs if mm < 0)
        title = _TITLES[axis]
        expected = f"0 of {len(pairs)} pairs reversed"
        if not wrong:
            text = f"{title}: all {len(pairs)} pairs of structures in order."
            return Finding("order", "", PASS, 0.0, expected, None, text, "pairs")
        counts = Counter(name for _, *pair, _ in wrong for name in pair)
        culprit = counts.most_common(1)[0][0]
        told = "; ".join(
            f"the {self.shown[first]} is {words[1]} the {self.shown[second]}" for _, first, second, _ in wrong[:3]
        )
        mirrored = len(wrong) > 0.6 * len(pairs) and len(pairs) > 2
        hint = _REVERSED[axis] if mirrored else ""
        text = f"{title}: {len(wrong)} of {len(pairs)} pairs reversed{hint}: {told}."
        place = self._ras(self.anatomy.parts[culprit].middle)
        severity = FAIL if any(grave == FAIL for *_, grave in wrong) or mirrored else WARN
        structure = "" if mirrored else self.shown[culprit]
        return Finding("order", structure, severity, float(len(wrong)), expected, place, text, "pairs")

    def _order_severity(self, relation: dict[str, Any], mm: float) -> str:
        """A reversed pair fails where the distances in the training labels leave no room for it."""
        if "mean" not in relation:
            return FAIL if mm < -_TEXTBOOK_SLACK_MM else WARN
        bounds = limits(RULES["order"], relation)
        return bounds.severity(mm) if bounds and mm < bounds.warn[0] else WARN

    def _textbook(self) -> list[Finding]:
        """Neighbours and containment of the heart by textbook, for segmentations without training statistics."""
        contact = {
            frozenset((q.structure, q.other)): q for q in self.case.quantities if q.key == "contact"
        }  # one a pair
        found = []
        for wanted, table in ((True, relations.KNOWN_NEIGHBOURS), (False, relations.KNOWN_APART)):
            for first, second in table:
                quantity = contact.get(frozenset((first, second)))
                if quantity is None:
                    continue
                touches = quantity.value >= SMALLEST_CONTACT
                share = quantity.value * 100
                verb = "touches" if touches else "does not touch"
                expected = f"{'at least' if wanted else 'at most'} {SMALLEST_CONTACT * 100:g} %"
                name = self.shown[first]
                text = f"{titled(name)}: {verb} the {self.shown[second]} ({number(share)} % of the smaller surface)."
                severity = PASS if touches == wanted else WARN
                found.append(
                    Finding("neighbours", name, severity, share, expected, self._ras(quantity.place), text, "%")
                )
        for quantity in self.case.quantities:
            heart = {"left ventricle", "left ventricular myocardium", "left atrium", "ascending aorta"}
            if (
                quantity.key == "cover"
                and quantity.structure == "left ventricle"
                and heart <= set(self.case.centroids_mm)
            ):
                severity = PASS if quantity.value >= SMALLEST_COVER else WARN
                text = (
                    f"Left ventricle: {number(quantity.value * 100)} % of its surface lies on muscle, atrium and aorta."
                )
                expected = f"at least {SMALLEST_COVER * 100:g} %"
                name = self.shown["left ventricle"]
                place = self._ras(quantity.place)
                found.append(Finding("containment", name, severity, quantity.value * 100, expected, place, text, "%"))
        return found


def titled(name: str) -> str:
    """A name at the head of a sentence: its first letter large, the rest as it is written."""
    return name[:1].upper() + name[1:]


def _graver(new: tuple[str, float], old: tuple[str, float]) -> bool:
    return (SEVERITIES.index(new[0]), new[1]) > (SEVERITIES.index(old[0]), old[1])
