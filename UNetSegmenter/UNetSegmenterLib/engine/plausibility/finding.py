"""What a plausibility check says."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

PASS, WARN, FAIL = "pass", "warn", "fail"
SEVERITIES = (PASS, WARN, FAIL)
STORED_KEYS = {"position_ras_mm": "place_ras"}


@dataclass(frozen=True)
class Finding:
    """One result of one check.

    `check` is one of `findings.CHECKS`; `structure` the structure's name, "" where a finding speaks of the whole
    segmentation. `value` is what was measured in `unit` (None where nothing can be measured), `expected` the range it
    was held against, in words. `position_ras_mm` is where to look, in mm, RAS (None for "nowhere in particular").
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
        return "" if self.value is None else f"{number(self.value)} {self.unit}".strip()

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready dictionary of all fields; the position keeps the key `place_ras`, under which it was always stored."""
        return {STORED_KEYS.get(key, key): value for key, value in asdict(self).items()}

    @classmethod
    def from_json(cls, plain: dict[str, Any]) -> Finding:
        """The finding that `to_json` wrote."""
        position = plain["place_ras"]
        rest = {key: value for key, value in plain.items() if key != "place_ras"}
        return cls(**rest, position_ras_mm=None if position is None else tuple(position))


def number(value: float) -> str:
    """Three significant digits without an exponent: 0.0123, 1.23, 12.3, 1,234."""
    if value == 0:
        return "0"
    if abs(value) >= 100:
        return f"{value:,.0f}"
    text = f"{value:.3g}"
    return f"{value:.4f}".rstrip("0") if "e" in text else text


def worst(findings: list[Finding]) -> str:
    """The gravest severity among the findings; "pass" for an empty list."""
    return max((finding.severity for finding in findings), key=SEVERITIES.index, default=PASS)


def alarm_score(findings: list[Finding]) -> int:
    """Number and severity of findings in one figure: one for a warning, three for a failure."""
    return sum({PASS: 0, WARN: 1, FAIL: 3}[finding.severity] for finding in findings)
