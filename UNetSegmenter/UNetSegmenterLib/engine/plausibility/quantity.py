"""Measured quantities, the rules they are held to, and the limits that training labels give them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from ..evaluation.statistics import student_t_quantile
from .anatomy import Place
from .finding import FAIL, PASS, WARN, number

WARN_TAIL = 1e-3
FAIL_TAIL = 1e-5
"""Two-sided probability that a case like the training cases leaves the limits, were the quantity normally distributed."""

FEW_CASES = 5
"""Below this number of training cases a limit learnt from them never fails a structure, it only warns."""

_NO_LIMIT = 1e6  # in the unit shown: what is allowed to reach it may be anything, so no number is printed


@dataclass(frozen=True)
class Quantity:
    """One number that a check measured on one structure (or on a pair), and where to look."""

    key: str
    structure: str
    value: float
    place: Place | None = None
    other: str = ""
    detail: str = ""

    @property
    def name(self) -> str:
        """Key within the structure's statistics."""
        return f"{self.key}|{self.other}" if self.other else self.key


@dataclass(frozen=True)
class Rule:
    """How a quantity is checked.

    With training labels: a prediction interval around their mean on a `log` scale (after adding `offset`) or a plain
    one; `floor` is the smallest standard deviation believed on that scale, because a few cases that agree by chance
    say little. Without: `absolute` limits (warn, fail), None where a number alone says nothing. `sides` names the
    direction that is wrong, `most` the gravest severity allowed, `counts` the noun of what is counted in whole numbers.
    `says` is the sentence about a structure, with {value}, {detail} and {other} to fill in.
    """

    check: str
    says: str
    unit: str = ""
    log: bool = False
    offset: float = 0.0
    floor: float = 0.0
    sides: str = "both"
    absolute: tuple[float | None, float | None] | None = None
    most: str = FAIL
    scale: float = 1.0  # from the value to the unit shown
    sized: bool = False  # whether it is in mm or ml, and so only as good as the spacing it was learnt with
    counts: str = ""
    signed: bool = False  # a distance to one of two sides, whose names the quantity's detail gives as "lower|higher"

    def forward(self, value: float) -> float:
        return math.log(max(value + self.offset, 1e-9)) if self.log else value

    def backward(self, value: float) -> float:
        return math.exp(min(value, 50.0)) - self.offset if self.log else value


@dataclass(frozen=True)
class Limits:
    """Interval outside which a value warns, and the wider one outside which it fails; `cases` 0 for rules of thumb."""

    warn: tuple[float, float]
    fail: tuple[float, float]
    cases: int = 0

    def severity(self, value: float, most: str = FAIL) -> str:
        """pass, warn or fail for a value."""
        if self.warn[0] <= value <= self.warn[1]:
            return PASS
        return FAIL if most == FAIL and not self.fail[0] <= value <= self.fail[1] else WARN


def summary(values: list[float], rule: Rule) -> dict[str, Any]:
    """What the statistics keep of a quantity: n, mean and standard deviation on the rule's scale, smallest and largest value."""
    scaled = [rule.forward(value) for value in values]
    mean = sum(scaled) / len(scaled)
    variance = sum((value - mean) ** 2 for value in scaled) / max(len(scaled) - 1, 1)
    rounded = {key: float(f"{value:.5g}") for key, value in (("mean", mean), ("sd", math.sqrt(variance)))}
    return {"n": len(values), **rounded, "min": min(values), "max": max(values)}


def limits(rule: Rule, learnt: dict[str, Any] | None) -> Limits | None:
    """Limits of a rule, from training labels where there are some.

    The interval is Student's prediction interval for one new observation (Hahn and Meeker, Statistical Intervals, 1991,
    section 4.2), widened where needed so that every training case stays inside with room to spare: calibration by
    construction. Few cases give wide limits: at a tail of 10^-3 the quantile is 637 for two cases, 32 for three, 13 for four,
    8.6 for five. One case has no spread; rules of thumb are taken then, widened to hold it.
    """
    if learnt is None:
        return _absolute_limits(rule)
    n = int(learnt["n"])
    if n < 2:
        return _limits_of_one(rule, float(learnt["min"]))
    spread = max(float(learnt["sd"]), rule.floor) * math.sqrt(1 + 1 / n)

    def interval(tail: float, room: float) -> tuple[float, float]:
        reach = student_t_quantile(1 - tail / 2, n - 1) * spread
        low = min(float(learnt["mean"]) - reach, rule.forward(float(learnt["min"])) - room * rule.floor)
        high = max(float(learnt["mean"]) + reach, rule.forward(float(learnt["max"])) + room * rule.floor)
        return (
            min(rule.backward(low), float(learnt["min"])) if rule.sides != "high" else -math.inf,
            max(rule.backward(high), float(learnt["max"])) if rule.sides != "low" else math.inf,
        )

    fail = interval(FAIL_TAIL, 2.0) if n >= FEW_CASES else (-math.inf, math.inf)
    return Limits(interval(WARN_TAIL, 1.0), fail, n)


def _limits_of_one(rule: Rule, value: float) -> Limits:
    bounds = _absolute_limits(rule)
    if bounds is None:
        return Limits((-math.inf, math.inf), (-math.inf, math.inf), 1)
    warn, fail = ((min(low, value), max(high, value)) for low, high in (bounds.warn, bounds.fail))
    return Limits(warn, fail)


def _absolute_limits(rule: Rule) -> Limits | None:
    if rule.absolute is None:
        return None
    warn, fail = rule.absolute
    if rule.sides == "low":
        low = -math.inf
        return Limits((low if warn is None else warn, math.inf), (low if fail is None else fail, math.inf))
    high = math.inf
    return Limits((-math.inf, high if warn is None else warn), (-math.inf, high if fail is None else fail))


def excess(rule: Rule, bounds: Limits, value: float) -> float:
    """How far a value has gone towards its nearest warning limit: 0 in the middle, 1 at the limit, more beyond."""
    low, high = (rule.forward(bound) if math.isfinite(bound) else bound for bound in bounds.warn)
    scaled = rule.forward(value)
    if math.isinf(low):
        return scaled / high if not rule.log and high > 0 else 1 + scaled - high
    if math.isinf(high):
        return 1 + low - scaled
    return abs(2 * scaled - low - high) / max(high - low, 1e-9)


def measured_text(rule: Rule, quantity: Quantity) -> str:
    """The value in its unit, in words."""
    value = quantity.value * rule.scale
    if rule.counts:
        return _counted(round(value), rule.counts)
    if rule.signed:
        return _towards(value, rule.unit, quantity.detail)
    return f"{number(value)} {rule.unit}".strip()


def expected_text(rule: Rule, bounds: Limits, sides: str = "") -> str:
    """The range without a warning, in words; `sides` is the detail of a signed quantity."""
    low, high = (bound * rule.scale for bound in bounds.warn)
    if rule.scale == 100 or rule.log:
        low = max(low, 0.0) if math.isfinite(low) else low
        high = min(high, 100.0) if rule.scale == 100 and math.isfinite(high) else high
    if high >= _NO_LIMIT:
        low, high = -math.inf if rule.log and low < 1 / _NO_LIMIT else low, math.inf
    if rule.counts and math.isinf(low):
        most = math.floor(high)
        return f"at most {_counted(most, rule.counts)}" if most else f"no {rule.counts}"
    if math.isinf(low) and math.isinf(high):
        return "any value"
    if rule.signed:
        return f"{_towards(low, rule.unit, sides)} to {_towards(high, rule.unit, sides)}"
    if math.isinf(low):
        text = f"at most {number(high)}"
    elif math.isinf(high):
        text = f"at least {number(low)}"
    else:
        text = f"{number(low)} to {number(high)}"
    return f"{text} {rule.unit}".strip()


def _counted(count: int, noun: str) -> str:
    return f"{count or 'no'} {noun}{'s' * (count > 1)}"


def _towards(value: float, unit: str, sides: str) -> str:
    negative, _, positive = sides.partition("|")
    return f"{number(abs(value))} {unit} {positive if value > 0 else negative}"
