"""Means, spreads, confidence intervals, and the files that carry them."""

import csv
import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from UNetSegmenterLib.engine.errors import InputError
from UNetSegmenterLib.engine.evaluation.comparison import StructureComparison
from UNetSegmenterLib.engine.evaluation.measures import measure
from UNetSegmenterLib.engine.evaluation.result_files import COLUMNS, write_metrics_csv, write_summary
from UNetSegmenterLib.engine.evaluation.statistics import aggregate, student_t_quantile, summary


@pytest.mark.parametrize(
    ("degrees", "expected"),
    [
        (1, 12.7062),
        (2, 4.30265),
        (3, 3.18245),
        (4, 2.77645),
        (9, 2.26216),
        (19, 2.09302),
        (30, 2.04227),
        (200, 1.97190),
    ],
)
def test_t_quantiles_of_the_printed_table(degrees, expected):
    assert student_t_quantile(0.975, degrees) == pytest.approx(expected, rel=1e-5)


def test_aggregate_of_known_values():
    result = aggregate([0.8, 0.9, 1.0, 0.9])
    assert (result.mean, result.median, result.n) == (pytest.approx(0.9), pytest.approx(0.9), 4)
    assert result.sd == pytest.approx(math.sqrt(0.02 / 3))
    half = 3.18245 * math.sqrt(0.02 / 3) / 2
    assert result.ci95 == pytest.approx((0.9 - half, 0.9 + half), rel=1e-4)
    assert aggregate([0.8, 0.9, 1.0, 0.9], (0, 1)).ci95[1] == 1


def test_infinite_values_are_in_the_median_only():
    result = aggregate([1.0, 2.0, 3.0, math.inf])
    assert (result.mean, result.n, result.median) == (2.0, 3, 2.5)
    assert aggregate([1.0, math.inf, math.inf]).median == math.inf
    assert aggregate([math.inf]).n == 0


@given(st.lists(st.floats(0, 1), max_size=2))
def test_few_values_have_no_interval(values):
    result = aggregate(values)
    assert result.n == len(values)
    assert math.isnan(result.sd) == (len(values) < 2) == math.isnan(result.ci95[0])


def rows():
    full, empty = np.ones((2, 2, 2), bool), np.zeros((2, 2, 2), bool)
    half = full.copy()
    half[0] = False
    make = lambda a, b: measure(a, b, (1, 1, 1))  # noqa: E731
    return [
        StructureComparison("a", "liver", "ok", make(full, full)),
        StructureComparison("b", "liver", "ok", make(half, full)),
        StructureComparison("c", "liver", "missed", make(empty, full)),
        StructureComparison("a", "gallbladder", "absent", note="removed, by surgery"),
        StructureComparison("b", "gallbladder", "spurious", make(full, empty)),
        StructureComparison("c", "rib", "unmatched", note="only in the reference"),
    ]


def test_summary_has_the_design_s_form():
    result = summary(rows())
    liver = result["structures"]["liver"]
    assert liver["dice"]["mean"] == pytest.approx((1 + 2 / 3 + 0) / 3, abs=1e-6)
    assert {"mean", "sd", "ci95", "n", "missed"} <= set(liver["dice"])
    assert (liver["dice"]["n"], liver["dice"]["missed"]) == (3, 1)
    assert (liver["hd95_mm"]["n"], liver["hd95_mm"]["missed"]) == (2, 1)
    assert result["structures"]["gallbladder"]["dice"]["mean"] == 0
    assert result["structures"]["rib"]["dice"] == {
        "mean": None, "sd": None, "ci95": None, "median": None, "n": 0, "missed": 0,
    }  # fmt: skip
    assert result["mean_dice"] == pytest.approx((5 / 9 + 0) / 2, abs=1e-6)
    assert (result["cases"], result["missed"], result["spurious"]) == (3, 1, 1)
    assert (result["absent"], result["unmatched"]) == (1, 1)
    by_case = [1, (2 / 3 + 0) / 2, 0]
    assert result["mean_dice_over_cases"]["mean"] == pytest.approx(np.mean(by_case), abs=1e-6)
    json.dumps(result, allow_nan=False)


def test_the_two_means_over_everything_differ_and_only_that_over_cases_has_an_interval():
    result = summary(rows())
    by_case = [1, 1 / 3, 0]
    assert result["mean_dice_over_cases"]["ci95"] == pytest.approx(
        [0, min(1, np.mean(by_case) + 4.30265 * np.std(by_case, ddof=1) / math.sqrt(3))], abs=1e-5
    )
    assert result["mean_dice_over_cases"]["n"] == 3 and result["mean_dice"] != result["mean_dice_over_cases"]["mean"]
    assert set(result["definitions"]) >= {"mean_dice", "mean_dice_over_cases"}
    assert summary(rows()[:1])["mean_dice_over_cases"]["ci95"] is None


def test_nothing_to_sum_up():
    assert summary([])["mean_dice"] is None
    assert summary([StructureComparison("a", "liver", "absent")])["mean_dice"] is None


def test_files(tmp_path):
    write_metrics_csv(rows(), tmp_path / "metrics.csv")
    with (tmp_path / "metrics.csv").open(newline="") as file:
        table = list(csv.DictReader(file))
    assert tuple(table[0]) == COLUMNS and len(table) == 6
    assert table[2]["status"] == "missed" and table[2]["hd95_mm"] == "inf" and table[2]["precision"] == ""
    assert table[3]["dice"] == "" and table[3]["note"] == "removed, by surgery"
    assert table[0]["nsd_tolerance_mm"] == "2"
    written = write_summary(rows(), tmp_path / "summary.json", {"reference": "by TotalSegmentator"})
    assert json.loads((tmp_path / "summary.json").read_text()) == written
    assert written["reference"] == "by TotalSegmentator"


def test_an_unwritable_folder_is_one_sentence():
    with pytest.raises(InputError, match="could not be written"):
        write_metrics_csv([], "/proc/nowhere/metrics.csv")
