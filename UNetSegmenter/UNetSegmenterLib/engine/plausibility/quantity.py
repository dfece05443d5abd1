"""Measured quantities, the rules that they are checked by, and the limits that training labels set."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from ..counting import counted
from ..evaluation.statistics import student_t_quantile
from .anatomy import VoxelIndex
from .finding import FAIL, FEWEST_DIGITS, PASS, WARN, digits_apart, number_text

WARN_TAIL = 1e-3
FAIL_TAIL = 1e-5
"""Two-sided probability that a case like the training cases leaves the limits, if the quantity is normally distributed."""

FEW_CASES = 5
"""With fewer training cases than this, a limit never fails a structure; it only warns."""

_NO_LIMIT = 1e6  # in the displayed unit: a limit beyond it allows any value, so no number is printed


@dataclass(frozen=True)
class Quantity:
    """One number that a check measured on one structure, or on a pair of structures.

    Attributes:
        key: Key of its rule in `RULES`.
        structure: Name of the structure.
        value: The number, before the rule's `scale`.
        voxel_index: Where to look, in the working grid; None for no particular position.
        other: The second structure of a pair, or the side or axis that is measured.
        detail: Text for the rule's sentence.
    """

    key: str
    structure: str
    value: float
    voxel_index: VoxelIndex | None = None
    other: str = ""
    detail: str = ""

    @property
    def name(self) -> str:
        """Key within the structure's statistics."""
        return f"{self.key}|{self.other}" if self.other else self.key


@dataclass(frozen=True)
class Rule:
    """How a quantity is checked: its limits and its sentence.

    With training labels, the limits are a prediction interval around their mean. Without, they are rules of thumb.

    Attributes:
        check: The check that the quantity belongs to, one of `CHECKS`.
        sentence: The finding's sentence about the structure, with {value}, {detail} and {other} to fill in.
        unit: Displayed unit.
        log: Whether the interval is computed on the logarithms of the values, after adding `offset`.
        min_sd: Smallest standard deviation that is used on that scale, because a few cases that agree by chance tell little.
        wrong_sides: The direction that is wrong: "both", "high" or "low".
        rule_of_thumb: Limits without training labels (warn, fail); None where a number alone tells nothing.
        most_severe: The most severe result that is allowed.
        scale: Factor from the value to the displayed unit.
        spacing_dependent: Whether it is in mm or ml, and so only as good as the spacing of the training cases.
        counted_noun: What is counted, for whole numbers.
        signed: Whether it is a distance to one of two sides, named by the quantity's detail as "lower|higher".
    """

    check: str
    sentence: str
    unit: str = ""
    log: bool = False
    offset: float = 0.0
    min_sd: float = 0.0
    wrong_sides: str = "both"
    rule_of_thumb: tuple[float | None, float | None] | None = None
    most_severe: str = FAIL
    scale: float = 1.0
    spacing_dependent: bool = False
    counted_noun: str = ""
    signed: bool = False

    def forward(self, value: float) -> float:
        """A value on the scale that the interval is computed on."""
        return math.log(max(value + self.offset, 1e-9)) if self.log else value

    def backward(self, value: float) -> float:
        """The value that `forward` brings to this position on the scale."""
        return math.exp(min(value, 50.0)) - self.offset if self.log else value


@dataclass(frozen=True)
class Limits:
    """A value outside `warn` warns, one outside the wider `fail` fails; `cases` is 0 for rules of thumb."""

    warn: tuple[float, float]
    fail: tuple[float, float]
    cases: int = 0

    def severity(self, value: float, most_severe: str = FAIL) -> str:
        """Severity of a value, at most `most_severe`."""
        if self.warn[0] <= value <= self.warn[1]:
            return PASS
        return FAIL if most_severe == FAIL and not self.fail[0] <= value <= self.fail[1] else WARN


def summarize(values: list[float], rule: Rule) -> dict[str, Any]:
    """n, minimum and maximum of the values, and their mean and standard deviation on the rule's scale (5 digits)."""
    scaled = [rule.forward(value) for value in values]
    mean = sum(scaled) / len(scaled)
    variance = sum((value - mean) ** 2 for value in scaled) / max(len(scaled) - 1, 1)
    rounded = {key: float(f"{value:.5g}") for key, value in (("mean", mean), ("sd", math.sqrt(variance)))}
    return {"n": len(values), **rounded, "min": min(values), "max": max(values)}


def limits(rule: Rule, training: dict[str, Any] | None) -> Limits | None:
    """Limits of a rule, from training labels where there are some.

    The interval is Student's prediction interval for one new observation (Hahn and Meeker, Statistical Intervals, 1991,
    section 4.2), widened where needed so that every training case lies inside with a margin: no training case ever raises
    an alarm. Few cases give wide limits: at a tail of 10^-3 the quantile is 637 for two cases, 32 for three, 13 for four,
    8.6 for five. One case has no standard deviation: the rule of thumb is used then, widened to hold its value.

    Args:
        rule: The rule of the quantity.
        training: What `summarize` returned for the training cases; None without them.

    Returns:
        The limits; None where there are neither training cases nor a rule of thumb.
    """
    if training is None:
        return _rule_of_thumb_limits(rule)
    n = int(training["n"])
    mean, minimum, maximum = (float(training[key]) for key in ("mean", "min", "max"))
    if n < 2:
        return _limits_of_one(rule, minimum)
    prediction_sd = max(float(training["sd"]), rule.min_sd) * math.sqrt(1 + 1 / n)

    def interval(tail: float, margin: float) -> tuple[float, float]:
        half_width = student_t_quantile(1 - tail / 2, n - 1) * prediction_sd
        low = min(mean - half_width, rule.forward(minimum) - margin * rule.min_sd)
        high = max(mean + half_width, rule.forward(maximum) + margin * rule.min_sd)
        return (
            min(rule.backward(low), minimum) if rule.wrong_sides != "high" else -math.inf,
            max(rule.backward(high), maximum) if rule.wrong_sides != "low" else math.inf,
        )

    fail = interval(FAIL_TAIL, 2.0) if n >= FEW_CASES else (-math.inf, math.inf)
    return Limits(interval(WARN_TAIL, 1.0), fail, n)


def _limits_of_one(rule: Rule, value: float) -> Limits:
    bounds = _rule_of_thumb_limits(rule)
    if bounds is None:
        return Limits((-math.inf, math.inf), (-math.inf, math.inf), 1)
    warn, fail = ((min(low, value), max(high, value)) for low, high in (bounds.warn, bounds.fail))
    return Limits(warn, fail)


def _rule_of_thumb_limits(rule: Rule) -> Limits | None:
    if rule.rule_of_thumb is None:
        return None
    warn, fail = rule.rule_of_thumb
    if rule.wrong_sides == "low":
        low = -math.inf
        return Limits((low if warn is None else warn, math.inf), (low if fail is None else fail, math.inf))
    high = math.inf
    return Limits((-math.inf, high if warn is None else warn), (-math.inf, high if fail is None else fail))


def excess(rule: Rule, bounds: Limits, value: float) -> float:
    """How close a value is to its nearest warning limit: 0 in the middle, 1 at the limit, more beyond it."""
    low, high = (rule.forward(bound) if math.isfinite(bound) else bound for bound in bounds.warn)
    scaled = rule.forward(value)
    if math.isinf(low):
        return scaled / high if not rule.log and high > 0 else 1 + scaled - high
    if math.isinf(high):
        return 1 + low - scaled
    return abs(2 * scaled - low - high) / max(high - low, 1e-9)


def measured_text(rule: Rule, quantity: Quantity, digits: int = FEWEST_DIGITS) -> str:
    """The value with its unit, as it stands in a sentence."""
    value = quantity.value * rule.scale
    if rule.counted_noun:
        return _counted(round(value), rule.counted_noun)
    if rule.signed:
        return _towards(value, rule.unit, quantity.detail, digits)
    return f"{number_text(value, digits)} {rule.unit}".strip()


def digits_beside_limits(rule: Rule, bounds: Limits, value: float) -> int:
    """Significant digits that a value and its limits need: one outside must not read like one at the limit."""
    low, high = _shown_limits(rule, bounds)
    shown = value * rule.scale
    return digits_apart((low, high), (min(shown, low), low), (max(shown, high), high))


def expected_text(rule: Rule, bounds: Limits, sides: str = "", digits: int = FEWEST_DIGITS) -> str:
    """The range without a warning, as it stands in a sentence; `sides` is the detail of a signed quantity."""
    low, high = _shown_limits(rule, bounds)
    if rule.counted_noun and math.isinf(low):
        highest = math.floor(high)
        return f"at most {_counted(highest, rule.counted_noun)}" if highest else f"no {rule.counted_noun}"
    if math.isinf(low) and math.isinf(high):
        return "any value"
    if rule.signed:
        return f"{_towards(low, rule.unit, sides, digits)} to {_towards(high, rule.unit, sides, digits)}"
    if math.isinf(low):
        text = f"at most {number_text(high, digits)}"
    elif math.isinf(high):
        text = f"at least {number_text(low, digits)}"
    else:
        text = f"{number_text(low, digits)} to {number_text(high, digits)}"
    return f"{text} {rule.unit}".strip()


def _shown_limits(rule: Rule, bounds: Limits) -> tuple[float, float]:
    """The limits without a warning in the displayed unit; infinite where they are beyond every value."""
    low, high = (bound * rule.scale for bound in bounds.warn)
    if rule.scale == 100 or rule.log:
        low = max(low, 0.0) if math.isfinite(low) else low
        high = min(high, 100.0) if rule.scale == 100 and math.isfinite(high) else high
    if high >= _NO_LIMIT:
        low, high = -math.inf if rule.log and low < 1 / _NO_LIMIT else low, math.inf
    return low, high


def _counted(count: int, noun: str) -> str:
    return counted(count, noun) if count else f"no {noun}"


def _towards(value: float, unit: str, sides: str, digits: int) -> str:
    negative, _, positive = sides.partition("|")
    return f"{number_text(abs(value), digits)} {unit} {positive if value > 0 else negative}"
