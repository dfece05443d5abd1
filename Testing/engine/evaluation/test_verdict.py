"""Verdicts and reviews.csv: awkward comments come back as they were, and reach report and tables."""

import csv
import json
import multiprocessing
import os

import pytest
from UNetSegmenterLib.engine.errors import InputError
from UNetSegmenterLib.engine.evaluation.comparison import Comparison, StructureComparison
from UNetSegmenterLib.engine.evaluation.verdict import (
    SCORES,
    Verdict,
    clean_text,
    make_verdict,
    read_reviews,
    write_reviews,
)
from UNetSegmenterLib.engine.report.page_elements import CaseMaterial
from UNetSegmenterLib.engine.report.report_folder import CaseReport, write_case_report, write_results

AWKWARD = 'He said "no", twice;\nthe second line: ü 漢 <b> & 100 %, =1+1\n\nand a last one'


def test_reviews_come_back_as_they_were(tmp_path):
    path = tmp_path / "reviews.csv"
    verdicts = {
        'case, "1"': make_verdict("plausible", AWKWARD, "Müller, A.", "abdomen8 (0123)"),
        "ü case": make_verdict("", "no score yet"),
        "untouched": Verdict(),
        "=1+1": make_verdict("implausible", ""),
    }
    write_reviews(path, verdicts)
    found = read_reviews(path)
    assert found == {case: verdict for case, verdict in verdicts.items() if verdict}
    assert found['case, "1"'].comment == AWKWARD and found["ü case"].text == "not reviewed"
    assert read_reviews(tmp_path / "nothing.csv") == {}


def review(path, reviewer, cases):
    for case in cases:
        write_reviews(path, {case: make_verdict("plausible", f"by {reviewer}", reviewer)})


def reviewed_by_four(path, cases_of):
    context = multiprocessing.get_context("fork")
    crew = [context.Process(target=review, args=(path, f"reviewer {n}", cases_of(n))) for n in range(4)]
    for one in crew:
        one.start()
    for one in crew:
        one.join()
    assert [one.exitcode for one in crew] == [0] * 4
    with path.open(encoding="utf-8", newline="") as file:
        return {(row["case"], row["reviewer"], row["comment"]) for row in csv.DictReader(file)}


def test_four_reviewers_on_one_table_lose_no_verdict(tmp_path):
    found = reviewed_by_four(tmp_path / "reviews.csv", lambda n: [f"case {n}-{number}" for number in range(50)])
    assert len(found) == 200
    assert len(read_reviews(tmp_path / "reviews.csv")) == 200
    assert os.listdir(tmp_path) == ["reviews.csv"]


def test_four_reviewers_on_the_same_cases_lose_no_verdict(tmp_path):
    found = reviewed_by_four(tmp_path / "reviews.csv", lambda n: [f"case {number}" for number in range(10)])
    assert found == {(f"case {k}", f"reviewer {n}", f"by reviewer {n}") for k in range(10) for n in range(4)}


def test_a_verdict_replaces_the_reviewers_own_alone_and_can_be_withdrawn(tmp_path):
    path = tmp_path / "reviews.csv"
    path.write_text("case,score,comment,reviewer,read by\na,plausible,fine,A,me\n", encoding="utf-8")
    write_reviews(path, {"a": Verdict("implausible", "", "B", "2026-01-02T00:00:00Z")})
    assert read_reviews(path)["a"].score == "implausible", "the later one"
    write_reviews(path, {"a": Verdict("small faults", "", "A", "2026-01-03T00:00:00Z")})
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["reviewer"], row["score"], row["read by"]) for row in rows] == [
        ("A", "small faults", "me"),
        ("B", "implausible", ""),
    ]
    assert write_reviews(path, {"a": Verdict("", "", "A", "2026-01-04T00:00:00Z")})["a"].reviewer == "B"


def test_a_spreadsheets_own_way_of_saving_is_read(tmp_path):
    path = tmp_path / "reviews.csv"
    path.write_bytes("\ufeffcase,score,comment\r\na,small faults,\r\n".encode())
    assert read_reviews(path) == {"a": Verdict("small faults")}


@pytest.mark.parametrize(
    ("text", "message"),
    [("a;b\n1;2\n", "column case, score"), ("case,score,comment\na,superb,\n", "superb"), ("", "column case")],
)
def test_another_table_is_refused_and_not_overwritten(tmp_path, text, message):
    path = tmp_path / "reviews.csv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=message):
        read_reviews(path)
    assert path.read_text(encoding="utf-8") == text


def test_a_folder_that_cannot_be_written_to_is_one_sentence(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(InputError, match="could not be written"):
        write_reviews(tmp_path / "file" / "reviews.csv", {"a": Verdict("plausible")})


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("  a\tb \r\n c\rd\ve \0\x1b", "a b\n c\nd\ne"),
        ("2\u00a0mm \ud800\ufffe", "2 mm"),
        ("می\u200cخواهم 👍", "می\u200cخواهم 👍"),
        ("x" * 20_000, "x" * 10_000),
    ],
)
def test_what_a_scene_cannot_hold_is_taken_out(text, kept):
    assert clean_text(text) == kept and clean_text(kept) == kept


def test_a_verdict_stands_in_report_and_tables(tmp_path):
    comparisons = [Comparison(case, (StructureComparison(case, "liver", "absent"),)) for case in ("a", "b")]
    material = {"a": CaseMaterial(verdict=make_verdict("small faults", AWKWARD, "Müller"))}
    write_results(tmp_path, "Two", comparisons, {}, material=material)
    page = (tmp_path / "cases" / "a.html").read_text(encoding="utf-8")
    assert (
        SCORES["small faults"].capitalize() in page and "&lt;b&gt; &amp; 100 %, =1+1<br>" in page and "Müller" in page
    )
    assert "Reviewer" not in (tmp_path / "cases" / "b.html").read_text(encoding="utf-8")
    assert SCORES["small faults"] in (tmp_path / "report.html").read_text(encoding="utf-8")
    with (tmp_path / "metrics.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["verdict"], row["comment"]) for row in rows] == [("small faults", AWKWARD), ("", "")]
    summary = json.loads((tmp_path / "summary.json").read_text(encoding="utf-8"))
    assert summary["verdicts"]["a"]["comment"] == AWKWARD and list(summary["verdicts"]) == ["a"]
    write_results(tmp_path, "Two", comparisons, {})
    assert "verdict" not in (tmp_path / "metrics.csv").read_text(encoding="utf-8")


def test_a_report_that_is_cancelled_leaves_nothing(tmp_path):
    report = CaseReport(
        Comparison("a", (StructureComparison("a", "liver", "absent"),)), verdict=make_verdict("plausible", "")
    )
    assert write_case_report(report, tmp_path / "none", lambda: True) is None and not (tmp_path / "none").exists()
    assert write_case_report(report, tmp_path / "made", lambda: False) == tmp_path / "made" / "report.html"
    assert "Plausible" in (tmp_path / "made" / "report.html").read_text(encoding="utf-8")
