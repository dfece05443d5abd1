"""What a page says first: which result to doubt, above all where Dice is high and the anatomy is not."""

import re

import numpy as np
import pytest
from UNetSegmenterLib.engine.evaluation.comparison import compare
from UNetSegmenterLib.engine.io.geometry import Geometry
from UNetSegmenterLib.engine.labels.segmentation import Segmentation
from UNetSegmenterLib.engine.labels.structures import ABDOMEN8, known_structure
from UNetSegmenterLib.engine.plausibility.finding import Finding
from UNetSegmenterLib.engine.report.page_elements import CaseMaterial
from UNetSegmenterLib.engine.report.plausibility_summary import case_takeaway, grouped_findings, set_takeaway
from UNetSegmenterLib.engine.report.report_pages import write_reports

GRID = Geometry((10, 30, 40), (1.0, 1.0, 1.0))
AORTA, GALLBLADDER, LEFT = ABDOMEN8[:3]
PLACE = (1.0, 2.0, -3.0)


def compared(name, names=None, **shifts):
    """Boxes of 20 rows, each shifted by so many of them; None leaves one out of the prediction."""
    ours, theirs = (np.zeros(GRID.shape, np.uint8) for _ in range(2))
    for place, structure in enumerate((AORTA, GALLBLADDER, LEFT)):
        columns = slice(12 * place, 12 * place + 10)
        theirs[:, 5:25, columns] = structure.index
        shift = shifts.get(structure.name.split()[0], 0)
        if shift is not None:
            ours[:, 5 + shift : 25 + shift, columns] = structure.index
    structures = tuple(known_structure(*one) for one in names) if names else (AORTA, GALLBLADDER, LEFT)
    by_hand = {structures[0].name: AORTA.name} if names else None
    return compare(
        Segmentation(ours, GRID, structures), Segmentation(theirs, GRID, ABDOMEN8[:3]), name, by_hand=by_hand
    )


def found(severity, structure="aorta", count=1):
    return [Finding("pieces", structure, severity, 2.0, "1 piece", None, f"{structure} has 2 pieces.")] * count


def test_high_dice_and_failed_anatomy_is_the_first_thing_said():
    said = case_takeaway(compared("a", aorta=1), found("fail") + found("warn", count=2) + found("pass", count=50))
    assert said == "Dice is high but the anatomy is doubtful: aorta (Dice 0.95, 1 check failed, 2 warnings)."


def test_a_single_warning_is_no_doubt_and_little_overlap_is_said_once():
    assert "Dice is high" not in case_takeaway(compared("a"), found("warn"))
    said = case_takeaway(compared("a", aorta=10, gallbladder=None), found("fail"))
    assert said == "Missed: gallbladder. Little overlap: aorta (Dice 0.57)."


def test_when_all_is_well_that_is_said_and_only_what_was_checked():
    assert case_takeaway(compared("a", aorta=2), ()) == "All structures overlap with a Dice of 0.90 or more."
    assert case_takeaway(compared("a"), found("pass")).endswith("1.00 or more, and nothing implausible was found.")
    assert case_takeaway(compared("a"), found("warn")).endswith("1.00 or more.")


def test_the_most_severe_come_first_and_a_crowd_is_counted():
    findings = [*found("warn", "aorta", 2), *found("fail", "gallbladder"), *found("fail", "left kidney", 2)]
    said = case_takeaway(compared("a"), findings)
    assert re.findall(r"(\w[\w ]*) \(Dice", said)[0].endswith("left kidney")
    assert said.index("left kidney") < said.index("gallbladder") < said.index("aorta")


def test_findings_go_by_the_predictions_names():
    comparison = compared("a", names=(("Segment_1", 1, 1), ("gallbladder", 2, 2), ("left kidney", 3, 3)))
    assert comparison.rows[0].structure == "aorta"
    assert "aorta (Dice 1.00, 1 check failed)" in case_takeaway(comparison, found("fail", "Segment_1"))


@pytest.fixture
def three(tmp_path):
    comparisons = [compared("low", aorta=4), compared("odd <1>"), compared("fine")]
    material = {"odd <1>": CaseMaterial(findings=found("fail")), "fine": CaseMaterial(findings=found("pass"))}
    return comparisons, material, write_reports(tmp_path, "Set", comparisons, material)


def test_a_set_names_the_cases_to_look_at_as_links(three):
    comparisons, _, path = three
    text = path.read_text(encoding="utf-8")
    top = text[text.index('<p class="sentence">') : text.index('<dl class="tiles">')]
    assert 'Look first at <a href="cases/low.html">low</a> (mean Dice 0.93, the lowest)' in top
    assert 'and at <a href="cases/odd-1.html">odd &lt;1&gt;</a> (1 check failed, the most severe findings).' in top
    assert "Dice is high but the anatomy is doubtful: aorta in odd &lt;1&gt; (Dice 1.00, 1 check failed)." in top
    assert "1 <small>of 2</small></dd>" in text and "cases with a failed check" in text
    assert list(set_takeaway([], {}, {})) == []
    assert "".join(set_takeaway(comparisons[2:], {}, {})) == "Look first at fine (mean Dice 1.00, the lowest)."


def test_a_structure_s_row_says_what_is_wrong_with_it(three):
    page = (three[2].parent / "cases" / "odd-1.html").read_text(encoding="utf-8")
    rows = re.findall(r"<tr><th scope=.row.>(.*?)</th>", page)
    assert [re.sub("<.*?>", "", row).strip() for row in rows] == [
        "aorta ✕ 1 check failed", "gallbladder", "left kidney", "Mean of 3",
    ]  # fmt: skip
    assert '<a href="#findings">1 <small>failed</small></a></dd><dd class="under">and 0 warnings, of 1 check<' in page


def test_thirteen_warnings_are_three_lines_and_what_fails_is_first_and_open():
    findings = [*found("warn", count=6), *found("warn", "gallbladder", 4), *found("warn", "left kidney", 2)]
    groups = grouped_findings([*findings, *found("fail", "left kidney"), *found("pass")]).groups
    assert [(one.title, one.counts, one.is_open, len(one.lines)) for one in groups] == [
        ("Left kidney", "1 not plausible, 2 worth a look", True, 3),
        ("Aorta", "6 worth a look", False, 6),
        ("Gallbladder", "4 worth a look", False, 4),
    ]
    assert [line.severity for line in groups[0].lines] == ["fail", "warn", "warn"] and groups[0].severity == "fail"
    page = grouped_findings(found("pass") * 3)
    assert page.groups == [] and page.passed_text == "3 checks passed" and grouped_findings([]) is None


def test_within_a_group_the_name_is_the_head_s_and_a_single_finding_says_it_itself():
    odd = [Finding("extent", "aorta", "warn", 1.0, "", PLACE, f"Aorta: ends {where}.") for where in ("here", "there")]
    alone = Finding("hu", "Segment_3", "warn", 1.0, "", PLACE, "Segment_3: is dense.")
    comparison = compared("a", names=(("aorta", 1, 1), ("gallbladder", 2, 2), ("Segment_3", 3, 3)))
    first, second = grouped_findings([*odd, alone], comparison.rows).groups
    assert [line.sentence for line in first.lines] == ["Ends here.", "Ends there."]
    assert [(line.sentence, line.position_mm) for line in second.lines] == [("Segment_3: is dense.", "1.0 2.0 -3.0")]


def test_components_too_small_to_matter_are_one_line_that_opens():
    present = [Finding("presence", name, "pass", 100.0, "", None, "", "ml") for name in ("aorta", "gallbladder")]
    small = [Finding("components", one.structure, "warn", 0.1, "", PLACE, "Apart.", "ml") for one in present]
    (line,) = grouped_findings([*present, *small]).groups
    assert "aorta (0.1 ml), gallbladder (0.1 ml)" in line.counts and len(line.lines) == 2 and not line.is_open
