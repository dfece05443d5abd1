"""A finding: the result of one plausibility check of one structure."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

PASS, WARN, FAIL = "pass", "warn", "fail"
SEVERITIES = (PASS, WARN, FAIL)
_STORED_KEYS = {"position_ras_mm": "place_ras"}


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
    """

    check: str
    structure: str
    severity: str
    value: float | None
    expected: str
    position_ras_mm: tuple[float, float, float] | None
    sentence: str
    unit: str = ""

    @property
    def value_text(self) -> str:
        """The value with its unit, as a table shows it."""
        return "" if self.value is None else f"{number_text(self.value)} {self.unit}".strip()

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready dictionary of all fields; files store the position under the key `place_ras`."""
        return {_STORED_KEYS.get(key, key): value for key, value in asdict(self).items()}

    @classmethod
    def from_json(cls, plain: dict[str, Any]) -> Finding:
        """The finding that `to_json` wrote."""
        position = plain["place_ras"]
        rest = {key: value for key, value in plain.items() if key != "place_ras"}
        return cls(**rest, position_ras_mm=None if position is None else tuple(position))


def number_text(value: float) -> str:
    """Three significant digits without an exponent: 0.0123, 1.23, 12.3, 1,234."""
    if value == 0:
        return "0"
    if abs(value) >= 100:
        return f"{value:,.0f}"
    text = f"{value:.3g}"
    return f"{value:.4f}".rstrip("0") if "e" in text else text


def titled(name: str) -> str:
    """A name at the beginning of a sentence: its first letter upper case, the rest unchanged."""
    return name[:1].upper() + name[1:]


def most_severe(findings: list[Finding]) -> str:
    """The most severe severity of the findings; "pass" for an empty list."""
    return max((finding.severity for finding in findings), key=SEVERITIES.index, default=PASS)


def alarm_score(findings: list[Finding]) -> int:
    """Number and severity of findings in one number: one for each warning, three for each failure."""
    return sum({PASS: 0, WARN: 1, FAIL: 3}[finding.severity] for finding in findings)
