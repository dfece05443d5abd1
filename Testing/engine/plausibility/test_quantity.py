"""Limits that training labels give: known quantiles, and what calibration promises."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from UNetSegmenterLib.engine.plausibility.finding import (
    FAIL,
    PASS,
    WARN,
    Finding,
    alarm_score,
    most_severe,
    number_text,
)
from UNetSegmenterLib.engine.plausibility.findings_page import findings_page
from UNetSegmenterLib.engine.plausibility.quantity import (
    Limits,
    Quantity,
    Rule,
    digits_beside_limits,
    expected_text,
    limits,
    measured_text,
    summarize,
)
from UNetSegmenterLib.engine.plausibility.relations import Constellation
from UNetSegmenterLib.engine.plausibility.rules import CHECKS, RULES

NO_LIMITS = (-math.inf, math.inf)


@given(st.lists(st.floats(0, 1000), min_size=1, max_size=30), st.sampled_from(sorted(RULES)))
def test_no_training_value_leaves_its_own_limits(values, key):
    rule = RULES[key]
    bounds = limits(rule, summarize(values, rule))
    assert {bounds.severity(value) for value in values} == {PASS}


@given(st.integers(5, 60))
def test_failure_limits_lie_outside_warning_limits(n):
    values = list(np.random.default_rng(n).normal(100, 10, n))
    bounds = limits(Rule("volume", "volume", min_sd=1), summarize(values, Rule("volume", "volume")))
    assert bounds.fail[0] < bounds.warn[0] < 100 < bounds.warn[1] < bounds.fail[1]


def test_few_cases_widen_the_limits_and_take_failures_away():
    rule = Rule("volume", "volume", log=True, min_sd=0.1)
    widths = [
        math.log(b.warn[1] / b.warn[0]) for n in (3, 6, 40) for b in [limits(rule, summarize([100, 120] * n, rule))]
    ]
    assert widths == sorted(widths, reverse=True)
    assert limits(rule, summarize([100.0, 120.0], rule)).fail == (-math.inf, math.inf)


@pytest.mark.parametrize("n", [2, 3, 4, 5])
def test_limits_of_few_cases_use_the_t_quantile_of_their_own_degrees_of_freedom(n):
    rule = Rule("volume", "volume")
    values = [100.0 + 7 * i for i in range(n)]
    bounds = limits(rule, summarize(values, rule))
    reach = stats.t.ppf(1 - 1e-3 / 2, n - 1) * np.std(values, ddof=1) * math.sqrt(1 + 1 / n)
    assert bounds.warn == pytest.approx((np.mean(values) - reach, np.mean(values) + reach), rel=1e-4)
    assert math.isfinite(bounds.fail[0]) == (n >= 5)


@pytest.mark.parametrize("key", sorted(RULES))
def test_one_case_gives_rules_of_thumb_that_hold_it_or_no_limit(key):
    rule, thumb = RULES[key], limits(RULES[key], None)
    bounds = limits(rule, summarize([0.9], rule))
    assert bounds.severity(0.9) == PASS
    if thumb is None:
        assert bounds.warn == bounds.fail == (-math.inf, math.inf)
        assert expected_text(rule, bounds, "lower|higher") == "any value"
    else:
        assert bounds.warn == (min(thumb.warn[0], 0.9), max(thumb.warn[1], 0.9)) and bounds.cases == 0


def test_limits_too_wide_to_mean_anything_are_not_printed_as_numbers():
    volume, order = RULES["volume"], RULES["position"]
    assert expected_text(volume, limits(volume, summarize([900.0, 1100.0], volume))) == "any value"
    assert expected_text(volume, limits(volume, summarize([900.0, 1100.0, 1000.0] * 4, volume))).endswith(" ml")
    assert "inf" not in expected_text(order, limits(order, summarize([1.0, 3.0], order)), "lower|higher")


def test_share_of_normal_values_outside_the_limits_is_the_tail():
    rule = Rule("volume", "volume")
    random = np.random.default_rng(1)
    outside = 0
    for _ in range(4000):
        *training, new = random.normal(0, 1, 14)
        bounds = limits(rule, summarize([float(v) for v in training], rule))
        outside += bounds.severity(float(new)) != PASS
    assert outside <= 12  # 4 expected at a tail of 1e-3


def test_without_training_labels_rules_of_thumb_or_nothing():
    assert limits(RULES["volume"], None) is None
    assert limits(RULES["specks"], None).severity(1.0) == WARN
    assert limits(RULES["speck share"], None).severity(0.09) == FAIL
    assert limits(RULES["confidence"], None).severity(0.3) == FAIL


def test_counts_are_expected_in_whole_numbers():
    components, gaps = RULES["pieces"], RULES["gaps"]
    assert expected_text(components, limits(components, None)) == "at most 1 connected component"
    assert expected_text(gaps, limits(gaps, None)) == "no empty slice"
    training = limits(components, summarize([1.0] * 11 + [2.0], components))
    assert (
        training.warn[1] % 1
        and expected_text(components, training) == f"at most {int(training.warn[1])} connected components"
    )


def test_ranges_in_words():
    assert expected_text(RULES["specks"], limits(RULES["specks"], None)) == "at most 0.2 ml"
    assert expected_text(RULES["confidence"], limits(RULES["confidence"], None)) == "at least 70 %"
    assert [number_text(v) for v in (0, 0.01234, 1.234, 12.34, 1234.5)] == ["0", "0.0123", "1.23", "12.3", "1,234"]


@pytest.mark.parametrize(
    ("key", "value", "limit", "measured", "expected"),
    [
        ("arrangement", 0.5876, 0.588, "0.5876", "at least 0.588"),
        ("confidence", 0.6999, 0.7, "69.99 %", "at least 70 %"),
        ("specks", 0.20004, 0.2, "0.20004 ml", "at most 0.2 ml"),
        ("speck share", 0.020004, 0.02, "2.0004 %", "at most 2 %"),
        ("spread", 120.4, 120.2, "120.4 HU", "at most 120.2 HU"),
        ("cavities", 1234.58, 1234.56, "1,234.58 ml", "at most 1,234.56 ml"),
        ("cavities", 0.00002, 0.00001, "0.00002 ml", "at most 0.00001 ml"),
        ("jump", 0.75, 0.7, "75 %", "at most 70 %"),
        ("overlap", 0.2, 0.1, "0.2", "at least 0.1"),
    ],
)
def test_a_value_outside_its_limit_does_not_read_like_it(key, value, limit, measured, expected):
    rule = RULES[key]
    limit = limit / rule.scale if rule.scale == 100 and limit > 1 else limit
    sides = (limit, math.inf) if rule.wrong_sides == "low" else (-math.inf, limit)
    bounds = Limits(sides, NO_LIMITS)
    digits = digits_beside_limits(rule, bounds, value)
    assert measured_text(rule, Quantity(key, "liver", value), digits) == measured
    assert expected_text(rule, bounds, digits=digits) == expected


def test_both_sides_of_a_range_and_of_a_signed_distance_read_differently():
    assert expected_text(RULES["hu"], Limits((54.02, 54.04), NO_LIMITS), digits=4) == "54.02 to 54.04 HU"
    assert digits_beside_limits(RULES["hu"], Limits((54.02, 54.04), NO_LIMITS), 54.03) == 4
    bounds, position = Limits((-12.04, 8.0), NO_LIMITS), Quantity("position", "liver", -12.041, detail="lower|higher")
    digits = digits_beside_limits(RULES["position"], bounds, position.value)
    assert measured_text(RULES["position"], position, digits) == "12.041 mm lower"
    assert expected_text(RULES["position"], bounds, "lower|higher", digits) == "12.04 mm lower to 8 mm higher"


def test_small_components_below_a_limit_do_not_read_like_it():
    found = [
        Finding("presence", "liver", PASS, 1500.0, "present", None, "", "ml"),
        Finding("components", "liver", WARN, 0.9996, "at most 0.2 ml", None, "", "ml"),
    ]
    assert findings_page(found).small_sentence.endswith("below 1 ml and 0.5%: liver (0.9996 ml).")


def test_every_rule_belongs_to_a_check():
    assert {rule.check for rule in RULES.values()} | {"presence", "postprocessing"} == set(CHECKS)


def test_one_misplaced_structure_does_not_drag_the_others_along():
    centroids = {name: np.array([10.0 * i, 5.0 * i * i, -20.0 * i]) for i, name in enumerate("abcdef")}
    constellation = Constellation.from_cases([centroids, centroids])
    moved = centroids | {"c": centroids["c"] + 200}
    for name in "abdef":
        assert np.linalg.norm(constellation.predict(name, moved) - centroids[name]) < 25
    assert np.linalg.norm(constellation.predict("c", moved) - centroids["c"]) < 1e-6
    assert constellation.predict("a", {"b": centroids["b"]}) is None


def test_constellation_follows_the_patients_size():
    centroids = {name: np.array([40.0 * i, 50.0 * i * i, -60.0 * i]) for i, name in enumerate("abcd")}
    large = {name: 1.2 * centroid for name, centroid in centroids.items()}
    constellation = Constellation.from_cases([centroids])
    assert np.allclose(constellation.scale(large), 1.2)
    assert np.allclose(constellation.predict("d", large), large["d"])


def test_alarm_score_counts_and_weighs():
    found = [Finding("border", "liver", severity, None, "", None, "") for severity in (PASS, WARN, FAIL, WARN)]
    assert alarm_score(found) == 5
    assert most_severe(found) == FAIL
    assert most_severe([]) == PASS
