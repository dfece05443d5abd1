"""Plausibility checks of one segmentation without ground truth: from measured quantities to findings.

No check runs a network; the network's confidence is stored with the segmentation. With training statistics (stored in a
checkpoint's card) each quantity is compared with those of the training labels. Without them, rules of thumb are used, and the
checks that have none are left out.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np

from ..counting import counted
from ..errors import InputError
from ..io.slicing_axis import AXIAL
from ..io.volume import Volume
from ..labels.segmentation import Segmentation
from . import relations, tissue
from .anatomy import Anatomy, VoxelIndex
from .finding import FAIL, FEWEST_DIGITS, PASS, SEVERITIES, WARN, Finding, digits_apart, number_text, titled
from .quantity import (
    FEW_CASES,
    Limits,
    Quantity,
    Rule,
    digits_beside_limits,
    excess,
    expected_text,
    limits,
    measured_text,
)
from .rules import CHECKS, RULES
from .shape_and_size import AXES, FACES
from .training_statistics import VERSION, CaseQuantities, measure_case, position_differences

OFTEN_REMOVED = ("gallbladder", "appendix", "uterus", "prostate", "adrenal")
"""Organs that are so often removed by surgery that their absence alone is no failure."""
_TITLES = ("Head to feet", "Front to back", "Left to right")
_REVERSED = (", as if the scan were upside down", ", as if front and back were exchanged", ", as if mirrored")
SMALLEST_COVER = 0.75  # fraction of the left ventricle's surface
SMALLEST_CONTACT = 0.005  # fraction of the smaller surface
_TEXTBOOK_SLACK_MM = 10.0


def check(
    segmentation: Segmentation,
    volume: Volume | None = None,
    statistics: dict[str, Any] | None = None,
) -> list[Finding]:
    """Run all plausibility checks on a segmentation.

    Args:
        segmentation: The labels to check.
        volume: The scan on the segmentation's grid; the tissue checks need it, most of them in HU.
        statistics: What `training_statistics` returned; None for rules of thumb.

    Returns:
        Findings of all checks, "pass" included: at most one per check and structure.

    Raises:
        InputError: If the grids of scan and segmentation differ.
    """
    anatomy = Anatomy(segmentation, volume)
    return PlausibilityChecks(anatomy, measure_case(anatomy), statistics).findings()


class PlausibilityChecks:
    """Compares the measurements of one case with training statistics, or with rules of thumb without them.

    Raises:
        InputError: If the training statistics are of another version.
    """

    def __init__(self, anatomy: Anatomy, case: CaseQuantities, statistics: dict[str, Any] | None) -> None:
        self.anatomy = anatomy
        self.case = case
        self.statistics = statistics or {}
        if self.statistics and self.statistics.get("version") != VERSION:
            raise InputError(
                f"The checkpoint's statistics of training labels are of version {self.statistics.get('version')}, this "
                f"software reads version {VERSION}; update UNetSegmenter, or check without a checkpoint."
            )
        self.training: dict[str, dict[str, Any]] = self.statistics.get("structures", {})
        self.has_nominal_spacing = bool(self.statistics.get("nominal_spacing"))
        offsets = {(first, second): np.array(mm) for first, second, mm in self.statistics.get("offsets", [])}
        self.constellation = relations.Constellation(offsets)
        self.names = {anatomy.keys[s.index]: s.name for s in anatomy.structures}
        self.cut_at: tuple[set[str], ...] = tuple(set() for _ in FACES)  # structures that each face of the scan cuts
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
            subject = (RULES[quantity.key].check, quantity.structure)
            if subject not in worst or _is_more_severe((severity, reach), worst[subject][:2]):
                worst[subject] = (severity, reach, quantity, bounds)
        findings = [self._finding(severity, quantity, bounds) for severity, _, quantity, bounds in worst.values()]
        findings += [*self._presence(), *self._order(), *self._postprocessing()]
        if not self.statistics:
            findings += self._textbook()
        rank = {name: i for i, name in enumerate(self.names.values())}
        return sorted(findings, key=lambda f: (CHECKS.index(f.check), rank.get(f.structure, -1)))

    def _positions(self) -> list[Quantity]:
        sides = dict(zip(AXES, relations.SIDES, strict=True))
        return [
            Quantity("position", name, mm, self.anatomy.present[name].central_voxel, other=axis, detail=sides[axis])
            for name, axis, mm in position_differences(self.case.centroids_mm, self.constellation)
        ]

    def _tissues(self) -> list[Quantity]:
        found = []
        for name, histogram in self.case.histograms.items():
            training = self.training.get(name, {}).get("hu")
            if training is None and any(word in name for word in tissue.HOLDS_GAS):
                continue
            voxel_index = self.anatomy.present[name].central_voxel
            found += [Quantity(key, name, value, voxel_index) for key, value in tissue.tissue(histogram, training)]
        return found

    def _evaluate(self, quantity: Quantity) -> tuple[str, float, Quantity, Limits] | None:
        """Severity, `excess`, the quantity and its limits; None where there is nothing to compare with."""
        rule = RULES[quantity.key]
        if quantity.key in ("position", "cut") and any(quantity.structure in self._slab(axis) for axis in range(3)):
            return None
        structure = None if self._is_cut_otherwise(rule) else self.training.get(quantity.structure)
        bounds = limits(rule, None if structure is None else self._training_values(quantity, structure))
        if bounds is None:
            return None
        severity = bounds.severity(quantity.value, self._most_severe_allowed(rule, quantity))
        return severity, excess(rule, bounds, quantity.value), quantity, bounds

    def _is_cut_otherwise(self, rule: Rule) -> bool:
        """Whether a quantity goes from slice to slice along another axis than it did in the training labels."""
        return (
            rule.check == "continuity" and self.statistics.get("slicing_axis", AXIAL) != self.anatomy.slicing_axis.name
        )

    def _training_values(self, quantity: Quantity, structure: dict[str, Any]) -> dict[str, Any] | None:
        """Training statistics of a quantity; those of a pair may be stored with its other structure."""
        measures = structure["measures"]
        if quantity.name in measures or not quantity.other:
            return measures.get(quantity.name)
        mirrored = self.training.get(quantity.other, {}).get("measures", {})
        return mirrored.get(f"{quantity.key}|{quantity.structure}")

    def _most_severe_allowed(self, rule: Rule, quantity: Quantity) -> str:
        """Sizes compared with those of a nominal spacing, and relations of a structure that the scan cuts, only warn."""
        if rule.spacing_dependent and self.has_nominal_spacing:
            return WARN
        related = rule.check in ("neighbours", "containment", "position", "cut face")
        if related and {quantity.structure, quantity.other} & self.truncated:
            return WARN
        return rule.most_severe

    def _finding(self, severity: str, quantity: Quantity, bounds: Limits) -> Finding:
        rule = RULES[quantity.key]
        other = self.names.get(quantity.other, quantity.other)
        digits = digits_beside_limits(rule, bounds, quantity.value)
        sentence = rule.sentence.format(
            value=measured_text(rule, quantity, digits), detail=quantity.detail, other=other
        )
        expected = expected_text(rule, bounds, quantity.detail, digits)
        if rule.check == "continuity":
            sentence, expected = map(self.anatomy.slicing_axis.in_words, (sentence, expected))
        source = counted(bounds.cases, "training case") if bounds.cases else "rule of thumb"
        nominal = ", nominal spacing" if rule.spacing_dependent and self.has_nominal_spacing else ""
        name = self.names[quantity.structure]
        text = f"{titled(name)}: {sentence}; expected {expected} ({source}{nominal})."
        value = round(quantity.value * rule.scale, max(4, digits))
        voxel_index = quantity.voxel_index if severity == PASS else self._fault_voxel(quantity)
        return Finding(rule.check, name, severity, value, expected, self._ras_mm(voxel_index), text, rule.unit, digits)

    def _fault_voxel(self, quantity: Quantity) -> VoxelIndex | None:
        """Where the fault is; for some quantities this is searched for only when they raise an alarm."""
        organ = self.anatomy.present[quantity.structure]
        if quantity.key in ("low hu", "high hu", "spread", "gas"):
            training = self.training.get(quantity.structure, {}).get("hu")
            return tissue.deviating_voxel(self.anatomy, organ, quantity.key, training)
        if quantity.key == "contact":
            return self.anatomy.contact_voxel(organ, self.anatomy.present[quantity.other]) or quantity.voxel_index
        return quantity.voxel_index

    def _ras_mm(self, voxel_index: VoxelIndex | None) -> tuple[float, float, float] | None:
        return None if voxel_index is None else self.anatomy.to_ras_mm(voxel_index)

    # ------------------------------------------------------------------------------ checks that are not one quantity

    def _presence(self) -> list[Finding]:
        """Whether every structure is present that the field of view should hold.

        Metrics Reloaded (Maier-Hein et al., Nature Methods 21, 2024) counts missed structures apart from the quality of the
        others.
        """
        found = []
        for organ in self.anatomy.present.values():
            name = organ.structure.name
            text = f"{titled(name)}: found, {number_text(organ.volume_ml)} ml."
            found.append(
                Finding(
                    "presence", name, PASS, organ.volume_ml, "present", self._ras_mm(organ.central_voxel), text, "ml"
                )
            )
        for key, structure in self.anatomy.absent.items():
            found.append(self._missing(key, structure.name))
        return found

    def _postprocessing(self) -> list[Finding]:
        """What postprocessing changed of each structure that is still there; no fault, and nothing to compare it with."""
        found = []
        for key, change in self.anatomy.postprocessing.items():
            if (organ := self.anatomy.present.get(key)) is not None and change:
                name, ml = organ.structure.name, change.removed_ml + change.filled_ml
                text = f"{titled(name)}: by postprocessing {change.text()}."
                position = self._ras_mm(organ.central_voxel)
                found.append(Finding("postprocessing", name, PASS, ml, "", position, text, "ml"))
        return found

    def _missing(self, key: str, name: str) -> Finding:
        training = self.training.get(key)
        predicted_mm = self.constellation.predict(key, self.case.centroids_mm)
        voxel_index: Any = None
        if predicted_mm is not None:
            voxel_index = tuple(float(v) for v in predicted_mm / self.anatomy.spacing_mm)
        title = titled(name)
        if voxel_index is not None and not self._in_view(voxel_index):
            text = f"{title}: not found; its expected position lies outside the scan."
            return Finding("presence", name, PASS, 0.0, "outside the field of view", None, text, "ml")
        position_ras_mm = self._ras_mm(voxel_index)
        if training is None:
            text = f"{title}: not found, though the segmentation lists it."
            return Finding("presence", name, WARN, 0.0, "present", position_ras_mm, text, "ml")
        present, declared = training["present"], training["declared"]
        removed = any(word in key for word in OFTEN_REMOVED)
        always = present == declared >= FEW_CASES and not removed
        severity = FAIL if always else WARN if present > declared / 2 else PASS
        surgery = ", surgery may have removed it" if removed else ""
        text = f"{title}: not found; {present} of {counted(declared, 'training case')} have it{surgery}."
        expected = f"present in {present} of {declared}"
        return Finding("presence", name, severity, 0.0, expected, position_ras_mm, text, "ml")

    def _in_view(self, voxel_index: VoxelIndex) -> bool:
        return all(0 <= index < n for index, n in zip(voxel_index, self.anatomy.shape, strict=True))

    def _order(self) -> list[Finding]:
        """Left and right, front and back, above and below: one finding per axis, as a mirrored scan reverses every pair.

        Structures that the scan cuts at both ends of an axis are left out: their centroid is not the whole organ's.
        """
        known = self.statistics.get("order")
        expected = relations.known_relations(self.case.centroids_mm) if known is None else known
        found = []
        for axis, directions in enumerate(relations.DIRECTIONS):
            slab = self._slab(axis)
            whole_mm = {name: centroid for name, centroid in self.case.centroids_mm.items() if name not in slab}
            pairs = relations.order(whole_mm, [r for r in expected if r["axis"] == axis])
            along = [self._order_along(axis, directions, pairs)] if pairs else []
            arrangement = self._arrangement(axis, whole_mm)
            along += [arrangement] if arrangement else []
            if along:
                found.append(max(along, key=lambda finding: SEVERITIES.index(finding.severity)))
        return found

    def _slab(self, axis: int) -> set[str]:
        """Structures that the scan cuts at both ends of an axis."""
        return self.cut_at[2 * axis] & self.cut_at[2 * axis + 1]

    def _arrangement(self, axis: int, centroids_mm: dict[str, np.ndarray]) -> Finding | None:
        """The order of all structures together, for errors that no single pair shows reliably."""
        training = self.statistics.get("arrangement", [None] * 3)[axis]
        value = self.constellation.agreement(centroids_mm)[axis]
        if training is None or value is None:
            return None
        rule = RULES["arrangement"]
        bounds = limits(rule, training)
        severity = bounds.severity(value) if bounds else PASS
        digits = digits_beside_limits(rule, bounds, value) if bounds else FEWEST_DIGITS
        expected = expected_text(rule, bounds, digits=digits) if bounds else ""
        hint = _REVERSED[axis] if value < 0 else ""
        sentence = rule.sentence.format(value=number_text(value, digits))
        text = f"{_TITLES[axis]}: {sentence}{hint}; expected {expected} ({training['n']} training cases)."
        value = round(value, max(4, digits))
        return Finding("order", "", severity, value, expected, None, text, digits=digits)

    def _order_along(
        self, axis: int, directions: tuple[str, str], pairs: list[tuple[dict[str, Any], float]]
    ) -> Finding:
        """The finding on the order of all pairs along one axis."""
        reversed_pairs = sorted((mm, r["first"], r["second"], self._order_severity(r, mm)) for r, mm in pairs if mm < 0)
        title = _TITLES[axis]
        expected = f"0 of {len(pairs)} pairs reversed"
        if not reversed_pairs:
            text = f"{title}: all {len(pairs)} pairs of structures in order."
            return Finding("order", "", PASS, 0.0, expected, None, text, "pairs")
        counts = Counter(name for _, *pair, _ in reversed_pairs for name in pair)
        culprit = counts.most_common(1)[0][0]
        examples = "; ".join(
            f"the {self.names[first]} is {directions[1]} the {self.names[second]}"
            for _, first, second, _ in reversed_pairs[:3]
        )
        mirrored = len(reversed_pairs) > 0.6 * len(pairs) and len(pairs) > 2
        hint = _REVERSED[axis] if mirrored else ""
        text = f"{title}: {len(reversed_pairs)} of {len(pairs)} pairs reversed{hint}: {examples}."
        position_ras_mm = self._ras_mm(self.anatomy.present[culprit].central_voxel)
        fails = mirrored or any(severity == FAIL for *_, severity in reversed_pairs)
        structure = "" if mirrored else self.names[culprit]
        value = float(len(reversed_pairs))
        return Finding("order", structure, FAIL if fails else WARN, value, expected, position_ras_mm, text, "pairs")

    def _order_severity(self, relation: dict[str, Any], mm: float) -> str:
        """A reversed pair fails where the distances in the training labels exclude it."""
        if "mean" not in relation:
            return FAIL if mm < -_TEXTBOOK_SLACK_MM else WARN
        bounds = limits(RULES["order"], relation)
        return bounds.severity(mm) if bounds and mm < bounds.warn[0] else WARN

    def _textbook(self) -> list[Finding]:
        """Neighbours and containment of the heart by textbook, for segmentations without training statistics."""
        contacts = {frozenset((q.structure, q.other)): q for q in self.case.quantities if q.key == "contact"}
        found = []
        for should_touch, table in ((True, relations.KNOWN_NEIGHBOURS), (False, relations.KNOWN_APART)):
            for first, second in table:
                if quantity := contacts.get(frozenset((first, second))):
                    found.append(self._textbook_contact(quantity, first, second, should_touch))
        heart = {"left ventricle", "left ventricular myocardium", "left atrium", "ascending aorta"}
        if heart <= set(self.case.centroids_mm):
            covers = (q for q in self.case.quantities if q.key == "cover" and q.structure == "left ventricle")
            found += [self._textbook_cover(quantity) for quantity in covers]
        return found

    def _textbook_contact(self, quantity: Quantity, first: str, second: str, should_touch: bool) -> Finding:
        touches = quantity.value >= SMALLEST_CONTACT
        percent = quantity.value * 100
        verb = "touches" if touches else "does not touch"
        least = SMALLEST_CONTACT * 100
        expected = f"{'at least' if should_touch else 'at most'} {least:g} %"
        name = self.names[first]
        digits = digits_apart((percent, least))
        shared = number_text(percent, digits)
        text = f"{titled(name)}: {verb} the {self.names[second]} ({shared} % of the smaller surface)."
        severity = PASS if touches == should_touch else WARN
        position_ras_mm = self._ras_mm(quantity.voxel_index)
        return Finding("neighbours", name, severity, percent, expected, position_ras_mm, text, "%", digits)

    def _textbook_cover(self, quantity: Quantity) -> Finding:
        severity = PASS if quantity.value >= SMALLEST_COVER else WARN
        percent, least = quantity.value * 100, SMALLEST_COVER * 100
        digits = digits_apart((percent, least))
        text = f"Left ventricle: {number_text(percent, digits)} % of its surface lies on muscle, atrium and aorta."
        position_ras_mm = self._ras_mm(quantity.voxel_index)
        name, expected = self.names["left ventricle"], f"at least {least:g} %"
        return Finding("containment", name, severity, percent, expected, position_ras_mm, text, "%", digits)


def _is_more_severe(new: tuple[str, float], old: tuple[str, float]) -> bool:
    return (SEVERITIES.index(new[0]), new[1]) > (SEVERITIES.index(old[0]), old[1])
