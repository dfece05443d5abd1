"""The pages of a report as files: what they say, which means stand beside which numbers, and that no text becomes markup."""

import json
import math
import re
import sys
import xml.etree.ElementTree as ElementTree
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from unetseg.evaluation.paired_comparison import compare_paired
from UNetSegmenterLib.engine.errors import InputError
from UNetSegmenterLib.engine.evaluation.measure_definitions import BY_KEY, DEFINITIONS, goodness
from UNetSegmenterLib.engine.evaluation.measures import Measures, measure
from UNetSegmenterLib.engine.evaluation.verdict import Verdict
from UNetSegmenterLib.engine.io.volume import Volume
from UNetSegmenterLib.engine.labels.segmentation import Segmentation
from UNetSegmenterLib.engine.labels.structures import ABDOMEN8, Structure
from UNetSegmenterLib.engine.report import report_pages
from UNetSegmenterLib.engine.report.charts import box_plot, distributions, svg_text
from UNetSegmenterLib.engine.report.niivue_viewer import viewer_data
from UNetSegmenterLib.engine.report.page_elements import CaseMaterial
from UNetSegmenterLib.engine.report.paired_table import PairedComparison, PairedDifference
from UNetSegmenterLib.engine.report.report_folder import write_figures
from UNetSegmenterLib.engine.report.report_pages import write_report, write_reports

from .report_cases import GRID, case, finding, png


def test_nothing_in_the_page_points_outside(one, many):
    for path in (one, many, *(many.parent / "cases").iterdir()):
        text = path.read_text(encoding="utf-8")
        addresses = re.findall(r"""(?:src|href|action)\s*=\s*["']([^"']*)""", text) + re.findall(
            r"url\(([^)]*)\)", text
        )
        assert all(
            re.match(r"#|data:image/png;base64,|cases/[\w.-]+\.html$|\.\./report\.html$", address)
            for address in addresses
        ), path
        assert not re.search(r"@import|fetch\(|XMLHttpRequest|WebSocket|https?://", text)
        assert "default-src 'none'" in text and not re.search(r"\{\{ ?\w+|\{%|\{#", text)


def test_charts_say_n_and_keep_long_names_out_of_the_plot(tmp_path):
    long = "inferior mesenteric artery of the abdomen, left branch"
    structures = (ABDOMEN8[0], Structure(long, 2, (2,), (1, 2, 3), None))
    svg = svg_text(box_plot(next(distributions([case(str(i), structures=structures) for i in range(3)]))))
    assert svg.count("n = 3</text>") == 2 and f"<title>{long}</title>" in svg and "of the a…" in svg
    first_tick = float(re.search(r'class="grid" x1="([\d.]+)"', svg)[1])
    assert first_tick > 18 + 36 * 7.4


def paired_page(folder, measure, rows):
    """Text of a page on which two checkpoints are compared."""
    paired = PairedComparison("this", "other", measure, rows)
    return write_reports(folder, "t", [case("a")], paired=paired).read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("cases", "smallest"), [(4, "with 4 cases no p below 0.125 is possible"), (30, "interval first.<")]
)
def test_paired_differences_say_what_their_number_allows(tmp_path, cases, smallest):
    shared = {"n": cases, "difference": -0.0123, "better": 1, "worse": 2, "p": 1e-5}
    rows = [PairedDifference(structure="a", ci95=(-0.3, 0.2), p_holm=0.5, **shared)]
    rows += [PairedDifference(structure="b", ci95=(math.nan, 0.2), **shared)]
    page = paired_page(tmp_path, "Dice", rows)
    assert smallest in page and "−0.012" in page and ">-" not in page and "&lt; 0.001" in page
    assert page.count(f"n = {cases}</text>") == 2 and "Difference of Dice</text>" in page
    table = page.split('aria-label="Table of paired differences"')[1].split("</table>")[0]
    assert '<td data-v="">–</td>' in table and "nan" not in table


def test_paired_cases_with_an_infinite_distance_are_counted_apart(tmp_path):
    row = PairedDifference("a", 1, 2.0, (math.nan,) * 2, better=1, worse=2, p=0.5, p_holm=0.5, infinite=2)
    page = paired_page(tmp_path, "HD95", [row])
    assert "and 2 with ∞" in page and "one case: no interval" in page
    assert "with 3 cases no p below 0.25" in page  # the test ranks all three


def tiles(page):
    """Figure and remark of each tile by its name, as the page's text has them."""
    found = re.findall(
        r'<dt>(.*?)</dt><dd class="figure">(.*?)</dd><dd class="under">(.*?)</dd>', page.read_text(encoding="utf-8")
    )
    return {name: (figure, under) for name, figure, under in found}


def test_each_mean_on_the_first_page_stands_with_its_own_interval_or_none(tmp_path):
    few = [case(name, leave_out=left, extra=extra) for name, left, extra in (
        ("a", (), (4, 5)), ("b", (4, 5), (4, 5)), ("c", (4, 5), (4, 5)), ("d", (4, 5), (4, 5)))]  # fmt: skip
    shown = tiles(write_report(tmp_path / "r.html", "t", few))
    figure, under = shown["Mean Dice over cases"]
    low, high, n = re.fullmatch(r"95 % CI ([\d.]+) to ([\d.]+), n = (\d) cases", under).groups()
    assert float(low) <= float(figure) <= float(high) and n == "4"
    by_case = [np.mean([row.measures.dice for row in one.rows if row.measures]) for one in few]
    assert float(figure) == pytest.approx(np.mean(by_case), abs=6e-4)
    figure, under = shown["Mean Dice over structures"]
    assert "CI" not in under and "no interval" in under
    means = [np.mean([row.measures.dice for one in few for row in one.rows if row.structure == s.name and row.measures])
             for s in ABDOMEN8[:5]]  # fmt: skip
    assert float(figure) == pytest.approx(np.mean(means), abs=6e-4)
    assert abs(np.mean(means) - np.mean(by_case)) > 0.1  # else the test could not tell them apart


def test_cases_that_were_trained_on_are_in_no_tile_but_in_a_table_of_their_own(tmp_path):
    two = [case("seen"), case("new", shift=3)]
    page = write_reports(tmp_path, "t", two, trained_on={"seen": "the same <voxels>"})
    dice = np.mean([row.measures.dice for row in two[1].rows if row.measures])
    assert float(tiles(page)["Mean Dice over cases"][0]) == pytest.approx(dice, abs=6e-4)
    assert tiles(page)["Cases"][0] == "1"
    own = page.read_text(encoding="utf-8").split('<section id="trained-on"')[1].split("</section>")[0]
    assert "the same &lt;voxels&gt;" in own and "seen.html" in own and "new.html" not in own
    every = write_reports(tmp_path / "all", "t", two, trained_on=dict.fromkeys(("seen", "new"), "the same voxels"))
    text = every.read_text(encoding="utf-8")
    assert "trained on every one of these" in text and tiles(every)["Cases"][0] == "2"
    assert '<section id="trained-on"' not in text


def test_one_case_is_said_to_have_no_interval(tmp_path):
    alone = tiles(write_report(tmp_path / "one.html", "t", case("a")))
    assert "one case: no interval" in alone["Mean Dice over structures"][1]
    nothing = case("b", leave_out=(1, 2, 3, 4, 5), extra=(1, 2, 3, 4, 5))
    two = tiles(write_report(tmp_path / "two.html", "t", [case("a"), nothing]))  # of which one counts
    assert two["Mean Dice over cases"][1] == "one case: no interval"


def test_names_that_a_disk_takes_for_one_get_files_of_their_own(tmp_path):
    names = ["Case 1", "case-1", "CASE/1", "x" * 300, "x" * 301, "..."]
    path = write_reports(tmp_path, "t", [case(name) for name in names])
    files = [page.name for page in (path.parent / "cases").iterdir()]
    assert len({name.casefold() for name in files}) == len(names) and max(map(len, files)) < 80


@pytest.mark.parametrize("cases", [1, 3])
def test_figures_are_files_of_their_own(tmp_path, cases):
    comparisons = [case(str(number), number) for number in range(cases)]
    paths = write_figures(tmp_path / "figures", comparisons, [("Worst slice: 7, <outline>", png())])
    names = sorted(path.name for path in paths)
    assert names == sorted(path.name for path in (tmp_path / "figures").iterdir())
    if cases == 1:
        assert names[-1] == "worst-slice.png" and len(names) == 6 and "slices-left-kidney.svg" in names
    else:
        assert names == ["assd-per-structure.svg", "dice-per-structure.svg", "hd95-per-structure.svg",
                         "nsd-per-structure.svg", "worst-slice.png"]  # fmt: skip
    for path in paths:
        if path.suffix == ".svg":
            root = ElementTree.fromstring(path.read_text(encoding="utf-8"))
            assert root.tag == "{http://www.w3.org/2000/svg}svg" and root.attrib["viewBox"]
        else:
            assert path.read_bytes() == png()


def test_an_unwritable_place_is_one_sentence():
    with pytest.raises(InputError, match="could not be written"):
        write_report("/proc/nowhere/report.html", "x", case("a"))


def test_without_jinja2_one_sentence_says_what_to_install(tmp_path, monkeypatch):
    report_pages._templates.cache_clear()
    monkeypatch.setitem(sys.modules, "jinja2", None)
    with pytest.raises(InputError, match=r"jinja2.*PyTorch"):
        write_report(tmp_path / "report.html", "x", case("a"))
    assert not list(tmp_path.iterdir())


def test_every_measure_is_defined():
    assert {definition.key for definition in DEFINITIONS} | {"reference_components"} == set(
        Measures.__dataclass_fields__
    )
    assert [BY_KEY["difference_ml"].shown(value) for value in (-1.25, 0.04, 3.0)] == ["−1.2", "0.0", "+3.0"]
    assert [BY_KEY["hd_mm"].shown(value) for value in (float("inf"), float("nan"), 2.345)] == ["∞", "–", "2.3"]


def test_colours_go_from_worst_to_best():
    mask = np.zeros((8, 8, 8), bool)
    mask[2:6, 2:6, 2:6] = True
    perfect, missed = measure(mask, mask, (1, 1, 1)), measure(mask & False, mask, (1, 1, 1))
    for key in ("dice", "iou", "recall", "nsd", "hd95_mm", "hd_mm", "assd_mm", "difference_ml"):
        assert (goodness(perfect, key), goodness(missed, key)) == (1.0, 0.0), key
    assert goodness(perfect, "components") == 1.0 and goodness(missed, "components") == 0.5
    assert goodness(missed, "precision") is None and goodness(perfect, "prediction_ml") is None


class Markup(HTMLParser):
    """The tags of a page with the names of their attributes, and the scripts' texts."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.scripts, self._in_script = [], [], False
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, *sorted(name for name, _ in attrs)))
        self._in_script = tag == "script"

    def handle_endtag(self, tag):
        self._in_script = False

    def handle_data(self, data):
        if self._in_script:
            self.scripts.append(data)


def markup_of(folder, name, monkeypatch):
    """The markup of all pages of a test set in which every text that a user can choose is `name` (and a number)."""
    monkeypatch.setattr("UNetSegmenterLib.engine.report.niivue_viewer.LIBRARY", Path(__file__))
    structures = [Structure(f"{name}{i}", i, (i,), (200, 10 * i, 9), None) for i in range(1, 4)]
    comparisons = [case(f"{name}{i}", structures=structures) for i in range(2)]
    sides = [Segmentation(np.zeros(GRID.shape, np.uint8), GRID, tuple(structures)) for _ in range(2)]
    viewer = viewer_data(comparisons[0], Volume(np.zeros(GRID.shape, np.int16), GRID, name), *sides)
    found = [finding("fail", f"{name}1"), finding(name, name, None, name)]
    material = CaseMaterial([(name, png())], found, Verdict("implausible", name, name), viewer, [name])
    paired = PairedComparison(
        name,
        name,
        name,
        [compare_paired({("a", name): 0.5, ("b", name): 0.7}, {("a", name): 0.4, ("b", name): 0.8})[0]],
    )
    write_reports(
        folder, name, comparisons, {one.case: material for one in comparisons}, {name: name}, reference_note=name,
        notes=[name], paired=paired,
    )  # fmt: skip
    pages = [folder / "report.html", *sorted((folder / "cases").iterdir())]
    return [Markup(page.read_text(encoding="utf-8")) for page in pages]


@pytest.mark.parametrize(
    "name",
    [
        "<script>window.pwned=1</script>", "</script><script>alert(1)</script>", "<!--<script>", "]]>x", "\"onload='alert(1)'",
        "' onfocus=alert(1) x='", "{{script}}", "{{library}}", "</textarea></style></title>", "&lt;b&gt;",
        "<img src=x onerror=x>", "javascript:alert(1)", "a\u2028\u2029b",
    ],
)  # fmt: skip
def test_no_text_becomes_markup_or_script(tmp_path, name, monkeypatch):
    plain = markup_of(tmp_path / "plain", "plain", monkeypatch)
    hostile = markup_of(tmp_path / "hostile", name, monkeypatch)
    for one, other in zip(plain, hostile, strict=True):
        assert one.tags == other.tags
        assert len(one.scripts) == len(other.scripts)
        for script, changed in zip(one.scripts, other.scripts, strict=True):
            assert script == changed or json.loads(changed)["names"][1] == f"{name}1"
