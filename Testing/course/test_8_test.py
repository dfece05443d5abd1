"""The intervals and p-values of page 8."""

from __future__ import annotations

from scipy import stats

from .pages import answers, run, text_of
from .test_2_annotations import rows_of


def test_widths_of_intervals():
    widths = [stats.t.ppf(0.975, n - 1) * 3 / n**0.5 for n in (4, 20, 40)]
    four, twenty, forty = (f"±{width:.1f}" for width in widths)
    assert f"{four}, {twenty} and {forty} points" in answers(8)[0]
    assert f"±{stats.t.ppf(0.975, 1) * 3 / 2**0.5:.0f} points" in answers(8)[0]


def test_values_of_students_table():
    table = [f"{stats.t.ppf(0.975, n - 1):.3g}" for n in (2, 4, 7, 20, 40)]
    assert f"{', '.join(table[:-1])} and {table[-1]} for n = 2, 4, 7, 20 and 40" in text_of(8)


def test_smallest_p_of_a_paired_test():
    smallest = {n: stats.wilcoxon([0.01 * (one + 1) for one in range(n)], mode="exact").pvalue for n in range(2, 8)}
    assert answers(8)[2].startswith("Six.") and min(n for n, p in smallest.items() if p < 0.05) == 6
    assert f"With seven it is {smallest[7]:.3f}," in answers(8)[2]
    assert f"{smallest[2]:.1f} for 2, {smallest[5]:.4f} for 5, {smallest[6]:.3f} for 6" in answers(8)[2]


def test_the_dark_atrium_of_a_test_heart(student):
    hu = rows_of(run(["info", "hearts"], student), "median HU")
    of = {name: dict(zip(range(1001, 1009), map(int, values), strict=True)) for name, values in hu.items()}
    atrium, trained_on = of["right atrium"], (1001, 1002, 1006, 1008)
    low, high = min(atrium[one] for one in trained_on), max(atrium[one] for one in trained_on)
    assert f"has {atrium[1005]} HU; in training they had {low} to {high}." in answers(8)[5]
    assert f"({atrium[1004]} and {atrium[1007]})" in answers(8)[5]
    assert f"({min(of['myocardium'].values())} to {max(of['myocardium'].values())})" in answers(8)[5]
