"""A report of one case and one of many."""

import pytest
from UNetSegmenterLib.engine.report.page_elements import CaseMaterial
from UNetSegmenterLib.engine.report.report_pages import write_report, write_reports

from .report_cases import REFERENCE_NOTE, case, finding, png


@pytest.fixture(scope="module")
def one(tmp_path_factory):
    comparison = case("case <1>", leave_out=(2,), extra=(3,))
    return write_report(
        tmp_path_factory.mktemp("one") / "report.html", "Test & <script>window.pwned=1</script>", comparison,
        [("Slice 7, <outline>", png()), ("3D pair", png())], {"Checkpoint": "a<b>.pt", "SHA-256": "0" * 64},
        reference_note=REFERENCE_NOTE,
        findings=[finding("pass"), finding("warn"), finding("fail"), *[finding("warn")] * 60],
    )  # fmt: skip


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    comparisons = [case(f"case/{i}", shift=i % 4, leave_out=(2,) if i == 3 else ()) for i in range(6)]
    comparisons.append(case("case 3", shift=9))
    material = {"case 3": CaseMaterial([("worst", png())], [finding("fail"), finding("warn")])}
    return write_reports(
        tmp_path_factory.mktemp("many"), "Test set", comparisons, material,
        {"Checkpoint": "a.pt"}, reference_note=REFERENCE_NOTE,
    )  # fmt: skip
