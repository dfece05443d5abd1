"""Paired comparison of two evaluations: against scipy, and against what can be counted by hand."""

from __future__ import annotations

import re

import numpy as np
import pytest
from scipy import stats
from unetseg.cli.main import main
from unetseg.evaluation.paired_comparison import compare_paired, holm, read_unseen, wilcoxon_p
from unetseg.evaluation.result_table import print_pairs
from UNetSegmenterLib.engine.errors import InputError


@pytest.mark.parametrize("n", [3, 8, 20, 45])
def test_wilcoxon_is_scipys_exact_one(n):
    differences = np.random.default_rng(n).normal(0.3, 1, n)
    assert wilcoxon_p(differences) == pytest.approx(stats.wilcoxon(differences, method="exact").pvalue)


def test_wilcoxon_of_many_is_scipys_approximation():
    differences = np.random.default_rng(1).normal(0.1, 1, 90)
    expected = stats.wilcoxon(differences, method="asymptotic", correction=False).pvalue
    assert wilcoxon_p(differences) == pytest.approx(expected)


def test_wilcoxon_by_hand():
    assert wilcoxon_p([1, 2, 3, 4, 5]) == 2 / 32
    assert wilcoxon_p([0, 0]) == 1
    assert wilcoxon_p([1, 1, -1]) == 1  # ranks 2, 2, 2: as small a sum as 2 in half the patterns, twice
    assert wilcoxon_p([np.inf, 2, 3]) == 2 / 8


def test_holm_by_hand():
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.9, 0.8]) == [1.0, 1.0]


def test_pairs_are_of_the_same_case():
    first = {("a", "liver"): 0.8, ("b", "liver"): 0.6, ("c", "liver"): 0.1}
    second = {("b", "liver"): 0.7, ("a", "liver"): 0.85}
    (row,) = compare_paired(first, second)
    assert (row.n, row.better, row.worse) == (2, 2, 0)
    assert row.difference == pytest.approx(0.075)
    with pytest.raises(InputError, match="share no case"):
        compare_paired(first, {("d", "liver"): 1.0})


def test_n_counts_the_pairs_of_the_interval_and_the_test_keeps_those_with_infinite_distances():
    values = {"old": (9, 8, 7, "inf", "inf", 4), "new": (3, 9, 5, 4, "inf", "inf")}
    first, second = ({(str(i), "liver"): float(mm) for i, mm in enumerate(side)} for side in values.values())
    (row,) = compare_paired(first, second, less_is_better=True)
    finite = [3 - 9, 9 - 8, 5 - 7]
    assert (row.n, row.infinite) == (3, 3)
    assert row.difference == pytest.approx(np.mean(finite))
    assert row.ci95 == pytest.approx(stats.t.interval(0.95, 2, np.mean(finite), stats.sem(finite)))
    assert (row.better, row.worse) == (
        3,
        2,
    )  # the one that found what the other missed is better; both missed is a draw
    assert row.p == wilcoxon_p([*finite, -np.inf, 0, np.inf])


def test_one_pair_has_no_interval(capsys):
    rows = compare_paired({("a", "liver"): 0.8}, {("a", "liver"): 0.9})
    assert rows[0].n == 1 and np.isnan(rows[0].ci95).all()
    print_pairs(rows, "title")
    printed = capsys.readouterr().out
    assert "one case has no interval" in printed and "nan" not in printed


def test_of_a_distance_less_is_better(tmp_path, capsys):
    for name, hd95 in (("old", (9, 8, "inf")), ("new", (3, 9, 4))):
        (tmp_path / name).mkdir()
        lines = ["case,structure,hd95_mm", *(f"{case},liver,{mm}" for case, mm in zip("abc", hd95, strict=True))]
        (tmp_path / name / "metrics.csv").write_text("\n".join([*lines, "d,spleen,inf"]))
    first, second = read_unseen([tmp_path / name for name in ("old", "new")], "hd95_mm")[0]
    liver = compare_paired(first, second, less_is_better=True)[0]
    assert (liver.better, liver.worse, liver.difference) == (2, 1, pytest.approx(-2.5))
    assert main(["compare-models", str(tmp_path / "old"), str(tmp_path / "new"), "--measure", "hd95_mm"]) == 0
    printed = capsys.readouterr().out
    assert re.search(r"liver +-2\.5000 .* 2 +1 +2 .* 1 *$", printed, re.MULTILINE)
    assert "nan" not in printed and '"infinite" counts further cases' in printed
    assert main(["compare-models", str(tmp_path / "old"), str(tmp_path / "new"), "--measure", "difference_ml"]) == 2
    assert "--measure is one of dice," in capsys.readouterr().err


def test_command(tmp_path, capsys):
    for name, dice in (("old", 0.7), ("new", 0.8)):
        (tmp_path / name).mkdir()
        lines = [f"case{place},spleen,{dice + place / 100}" for place in range(6)]
        (tmp_path / name / "metrics.csv").write_text("\n".join(["case,structure,dice", *lines, "case9,spleen,"]))
    assert main(["compare-models", str(tmp_path / "old"), str(tmp_path / "new")]) == 0
    printed = capsys.readouterr().out
    assert "+0.1000" in printed
    assert "0.031" in printed
    assert main(["compare-models", str(tmp_path / "old"), str(tmp_path / "none")]) == 2
    assert main(["compare-models", str(tmp_path / "old"), str(tmp_path / "new"), "--measure", "dise"]) == 2
