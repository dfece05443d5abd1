"""A finding: the result of one plausibility check of one structure."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

PASS, WARN, FAIL = "pass", "warn", "fail"
SEVERITIES = (PASS, WARN, FAIL)
FEWEST_DIGITS, MOST_DIGITS = 3, 17
"""Significant digits of a number in a finding; a float has no more than the latter."""
_FORMER_POSITION = "place_ras"  # the key in files of versions before 0.2


@dataclass(frozen=True)
class Finding:
    """One result of one check.

    Attributes:
        check: One of `rules.CHECKS`.
        structure: Name of the structure, "" for the whole segmentation.
        severity: One of `SEVERITIES`.
        value: What was measured, in `unit`; None where nothing can be measured.
        expected: The range that the value was compared with, as text.
        position_ras_mm: Where to look, RAS; None for no particular position.
        sentence: The finding as a sentence.
        unit: Unit of `value`.
        digits: Significant digits of `value` that tell it from the limits in `expected`.
    """

    check: str
    structure: str
    severity: str
    value: float | None
    expected: str
    position_ras_mm: tuple[float, float, float] | None
    sentence: str
    unit: str = ""
    digits: int = FEWEST_DIGITS

    @property
    def value_text(self) -> str:
        """The value with its unit, as a table shows it."""
        return "" if self.value is None else f"{number_text(self.value, self.digits)} {self.unit}".strip()

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready dictionary of all fields."""
        return asdict(self)

    @classmethod
    def from_json(cls, plain: dict[str, Any]) -> Finding:
        """The finding that `to_json` wrote, in this version or an earlier one."""
        fields = dict(plain)
        position = fields.pop(_FORMER_POSITION) if _FORMER_POSITION in fields else fields.pop("position_ras_mm")
        return cls(**fields, position_ras_mm=None if position is None else tuple(position))


def number_text(value: float, digits: int = FEWEST_DIGITS) -> str:
    """The number with this many significant digits and no exponent: 0.0123, 1.23, 12.3; from 100 on all whole ones: 1,234."""
    more = digits - FEWEST_DIGITS
    if value == 0:
        return "0"
    if abs(value) >= 100:
        return f"{value:,.{more}f}"
    text = f"{value:.{digits}g}"
    return f"{value:.{4 + more}f}".rstrip("0").rstrip(".") if "e" in text else text


def digits_apart(*pairs: tuple[float, float]) -> int:
    """How many digits `number_text` needs, so that the two numbers of a pair don't read the same unless they are."""
    different = [(one, other) for one, other in pairs if one != other and math.isfinite(one - other)]
    for digits in range(FEWEST_DIGITS, MOST_DIGITS):
        if all(number_text(one, digits) != number_text(other, digits) for one, other in different):
            return digits
    return MOST_DIGITS


def titled(name: str) -> str:
    """A name at the beginning of a sentence: its first letter upper case, the rest unchanged."""
    return name[:1].upper() + name[1:]


def most_severe(findings: list[Finding]) -> str:
    """The most severe severity of the findings; "pass" for an empty list."""
    return max((finding.severity for finding in findings), key=SEVERITIES.index, default=PASS)


def alarm_score(findings: list[Finding]) -> int:
    """Number and severity of findings in one number: one for each warning, three for each failure."""
    return sum({PASS: 0, WARN: 1, FAIL: 3}[finding.severity] for finding in findings)
