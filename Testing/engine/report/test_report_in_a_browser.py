"""The report as a user meets it: in a real browser, without a network."""

import base64
import json
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from UNetSegmenterLib.engine.evaluation.comparison import compare
from UNetSegmenterLib.engine.evaluation.measure_definitions import BY_KEY
from UNetSegmenterLib.engine.evaluation.verdict import Verdict
from UNetSegmenterLib.engine.io.geometry import Geometry
from UNetSegmenterLib.engine.io.volume import Volume
from UNetSegmenterLib.engine.labels.segmentation import Segmentation
from UNetSegmenterLib.engine.labels.structures import ABDOMEN8, Structure
from UNetSegmenterLib.engine.report.niivue_viewer import viewer_data
from UNetSegmenterLib.engine.report.page_elements import CaseMaterial
from UNetSegmenterLib.engine.report.report_folder import write_figures
from UNetSegmenterLib.engine.report.report_pages import write_report, write_reports

from ..chromium import Page
from .report_cases import GRID, REFERENCE_NOTE, case, finding, png

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)

needs_browser = pytest.mark.skipif(BROWSER is None, reason="no Chromium here: apt-get install chromium")


def browse(path, script, *options):
    """Open a page in Chromium, run `script` in it (an expression giving JSON), and return its result and errors."""
    text = Path(path).read_text(encoding="utf-8")
    watch = "<script>window.problems=[];addEventListener('error',e=>problems.push(e.message));" \
            "addEventListener('securitypolicyviolation',e=>problems.push(e.blockedURI))</script>"  # fmt: skip
    run = "<script>addEventListener('load',async()=>{let r;try{r=await(async()=>{%s})()}catch(e){problems.push(String(e))}" \
          "const p=document.createElement('pre');p.id='result';p.textContent=JSON.stringify({r,problems});" \
          "document.body.append(p)})</script>"  # fmt: skip
    text = text.replace("<style>", watch + "<style>", 1).replace("</body>", run.replace("%s", script) + "</body>")
    probe = Path(path).with_name("probe.html")
    probe.write_text(text, encoding="utf-8")
    command = [
        BROWSER, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
        "--disable-background-networking", "--disable-component-update", "--disable-sync",
        "--host-resolver-rules=MAP * ~NOTFOUND", "--window-size=1280,900", f"--user-data-dir={probe.parent}/browser",
        "--virtual-time-budget=4000", *options, "--dump-dom", probe.as_uri(),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, encoding="utf-8", timeout=120, check=True)
    found = re.search(r'<pre id="result">(.*?)</pre>', done.stdout, re.S)
    assert found, done.stderr[-2000:]
    answer = json.loads(found[1].replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&"))
    assert answer["problems"] == []
    return answer.get("r")


@needs_browser
def test_table_sorts_with_what_was_not_measured_last(one):
    result = browse(one, """
        const table = document.querySelector("#structures table"), head = [...table.tHead.rows[0].cells];
        const names = () => [...table.tBodies[0].rows].map(r => r.cells[0].firstChild.nextSibling.textContent.trim());
        const find = title => head.find(h => h.textContent.startsWith(title)).querySelector("button");
        const click = title => { find(title).click(); return names(); };
        const wide = table.tBodies[0].rows[5].cells[1];
        return {wide: [wide.textContent, wide.colSpan], start: names(), dice: click("Dice"),
                again: click("Dice"), hd: click("HD95"),
                precision: click("Precision"),
                name: click("Structure"), sorted: head.map(h => h.getAttribute("aria-sort")), pwned: window.pwned ?? null,
                title: document.querySelector("h1").textContent, rows: table.tBodies[0].rows.length,
                scopes: head.every(h => h.scope === "col"), note: table.caption.textContent};
    """)  # fmt: skip
    assert result["pwned"] is None and result["title"] == "Test & <script>window.pwned=1</script>"
    assert result["rows"] == 6 and result["scopes"]
    assert result["start"][0] == "aorta" and result["start"][-1] == "femur"
    assert result["wide"] == ["only in the reference (0.0 ml), so not compared", 12]
    assert set(result["dice"][-3:-1]) == {"gallbladder", "left kidney"} and result["dice"][-1] == "femur"
    assert set(result["again"][:2]) == {"gallbladder", "left kidney"} and result["again"][-1] == "femur"
    assert set(result["hd"][-3:-1]) == {"gallbladder", "left kidney"}
    assert set(result["precision"][-2:]) == {"gallbladder", "femur"}
    assert result["name"] == sorted(result["name"])
    assert result["sorted"].count("ascending") == 1 and result["sorted"][0] == "ascending"
    assert REFERENCE_NOTE in result["note"]


@needs_browser
def test_curves_answer_to_mouse_and_keys(one):
    result = browse(one, """
        const svg = document.querySelector("svg.curve[aria-label^='liver']");
        const reading = svg.parentNode.querySelector(".reading");
        const said = [], told = [];
        document.addEventListener("unetseg:slice", e => told.push(e.detail));
        said.push(reading.textContent);
        const box = svg.getBoundingClientRect();
        svg.dispatchEvent(new PointerEvent("pointermove", {clientX: box.left + box.width - 20, clientY: box.top + 20}));
        said.push(reading.textContent);
        const press = k => svg.dispatchEvent(new KeyboardEvent("keydown", {key: k, bubbles: true}));
        const key = k => { press(k); said.push(reading.textContent); };
        svg.focus(); key("Home"); key("ArrowRight"); key("End"); key("w"); key("Enter");
        svg.dispatchEvent(new PointerEvent("pointermove", {clientX: box.left + 45, clientY: box.top + 20}));
        svg.dispatchEvent(new MouseEvent("click", {bubbles: true}));
        return {said, told, focusable: svg.tabIndex, role: svg.getAttribute("role"), spoken: svg.getAttribute("aria-valuetext"),
                curves: document.querySelectorAll("svg.curve").length};
    """)  # fmt: skip
    said = result["said"]
    assert said[0] == "Largest disagreement: slice 7 (S 26 mm), Dice 0.90, 0.1 cm² claimed by one side only"
    assert said[1].startswith("Slice 15 (S 50.0 mm): Dice 0.900, prediction 0.5 cm², reference 0.5 cm²")
    assert said[2].startswith("Slice 7 ") and said[3].startswith("Slice 8 ") and said[4].startswith("Slice 15 ")
    assert result["told"][1] == {"structure": "liver", "slice": 7, "position_mm": 26}
    assert (result["focusable"], result["role"], result["curves"]) == (0, "slider", 5)
    assert result["spoken"].startswith("Slice 7 (S 26.0 mm): Dice 0.900")


@needs_browser
@pytest.mark.parametrize("scheme", [0, 1], ids=["dark", "light"])
def test_colours_keep_text_readable(one, scheme):
    result = browse(one, """
        const canvas = document.createElement("canvas"); canvas.width = canvas.height = 1;
        const pen = canvas.getContext("2d", {willReadFrequently: true});
        const light = color => {
          pen.fillStyle = color; pen.fillRect(0, 0, 1, 1);
          const part = [...pen.getImageData(0, 0, 1, 1).data].slice(0, 3).map(v => v / 255)
            .map(v => v <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4);
          return .2126 * part[0] + .7152 * part[1] + .0722 * part[2];
        };
        const contrast = (a, b) => (Math.max(light(a), light(b)) + .05) / (Math.min(light(a), light(b)) + .05);
        const ground = element => { for (let e = element; e; e = e.parentElement) {
          const c = getComputedStyle(e).backgroundColor; if (c !== "rgba(0, 0, 0, 0)") return c; } return "white"; };
        const worst = {};
        for (const e of document.querySelectorAll("td, th, p, h1, h2, h3, dt, dd, a, span.status, span.severity, .unit, li"))
          if (e.textContent.trim() && e.offsetParent) {
            const value = contrast(getComputedStyle(e).color, ground(e)), key = `${e.tagName}.${e.className}`;
            worst[key] = Math.min(worst[key] ?? 99, value);
          }
        const heats = [...document.querySelectorAll("td.heat")].map(e => getComputedStyle(e).backgroundColor);
        return {worst, heats: new Set(heats).size,
                paper: light(getComputedStyle(document.body).backgroundColor)};
    """, f"--blink-settings=preferredColorScheme={scheme}")  # fmt: skip
    assert (result["paper"] > 0.5) == bool(scheme)
    assert result["heats"] > 4
    assert {name: value for name, value in result["worst"].items() if value < 4.5} == {}


@needs_browser
def test_what_a_screen_reader_and_the_network_get(one):
    result = browse(one, """
        const all = s => [...document.querySelectorAll(s)];
        all(".pictures button")[0].click();
        const dialog = document.querySelector("dialog");
        const enlarged = dialog.open && dialog.querySelector("p").textContent;
        return {
          enlarged, language: document.documentElement.lang,
          captions: all("table").every(t => t.caption && t.caption.textContent.trim()),
          pictures: all("main img[src]").map(i => [i.alt, i.src.slice(0, 22), i.naturalWidth]),
          labels: all("svg").every(s => ["img", "slider"].includes(s.getAttribute("role")) && s.getAttribute("aria-label")),
          positions: all(".where").map(w => [w.textContent, w.dataset.position, w.querySelector("button")])[0],
          close: (dialog.querySelector("button").click(), dialog.open),
          sections: all("section").every(s => document.getElementById(s.getAttribute("aria-labelledby"))),
          contents: all("nav a").every(a => document.querySelector(a.getAttribute("href"))),
          headings: all("h1,h2,h3").map(h => h.tagName).join(""),
          tips: all("th button").every(b => b.dataset.tip),
          fetched: performance.getEntriesByType("resource").map(r => r.name).filter(n => !n.startsWith("data:")),
          severities: all("#findings > .findings .severity").map(s => s.textContent.trim().slice(0, 1)).slice(0, 3),
          folded: all("#findings details").map(d => [d.querySelectorAll("li").length, d.open]),
          printed: (all("#findings .finding-group").forEach(d => d.open = false), dispatchEvent(new Event("beforeprint")),
            all("#findings .finding-group").every(d => d.open)),
          after: (dispatchEvent(new Event("afterprint")), all("#findings .finding-group").some(d => d.open)),
          device: document.querySelector("footer").textContent,
        };
    """)  # fmt: skip
    assert result["language"] == "en" and result["captions"] and result["labels"] and result["tips"]
    assert result["sections"] and result["contents"] and result["headings"].startswith("H1H2")
    assert result["pictures"][:2] == [
        ["Slice 7, <outline>", "data:image/png;base64,", 40],
        ["3D pair", "data:image/png;base64,", 40],
    ]
    assert result["enlarged"] == "Slice 7, <outline>" and not result["close"]
    assert result["positions"] == ["R 12, P 3, S 50 mm", "12.0 -3.4 50.0", None], "words where there is no viewer"
    assert result["fetched"] == []
    assert result["severities"] == ["✕", "✕", "!"] and result["folded"] == [[62, True], [1, False]]
    assert result["printed"] and not result["after"], "on paper every finding is seen"
    assert "not a medical device" in result["device"]


@needs_browser
def test_a_set_of_cases(many):
    result = browse(many, """
        const all = s => [...document.querySelectorAll(s)];
        const shown = () => all("[data-measure]").filter(c => !c.hidden).map(c => c.dataset.measure);
        const before = shown();
        const input = document.querySelector(".choice input[value=hd95_mm]"); input.click();
        const head = all("#cases thead th button")[1]; head.click();
        return {before, after: shown(), order: all("#cases tbody th").map(h => h.textContent),
                links: all("#cases tbody a").map(a => a.getAttribute("href")), cards: all("#extremes h3").map(h => h.textContent),
                points: document.querySelector("[data-measure=dice] svg").querySelectorAll("circle.case").length,
                lost: document.querySelector("[data-measure=hd95_mm] .lost").textContent,
                picture: all("#extremes img").map(i => i.alt), findings: all("#cases tbody tr")[0].cells[4].textContent,
                gallbladder: all("#structures tbody tr")[1].textContent};
    """)  # fmt: skip
    assert (result["before"], result["after"]) == (["dice"], ["hd95_mm"])
    assert result["order"][0] == "case 3" == result["cards"][0] and len(result["order"]) == 7
    assert result["cards"][2] in ("case/0", "case/4")  # both without a shift
    assert all((many.parent / link).is_file() for link in result["links"]) and len(set(result["links"])) == 7
    assert result["points"] == 7 * 5 and result["lost"] == "∞ × 1"
    assert result["picture"] == ["worst"] and result["findings"] == "1 ✕, 1 !"
    assert "gallbladder71" in result["gallbladder"]  # seven cases, one missed


@needs_browser
def test_pages_of_very_little(tmp_path):
    nothing = compare(
        Segmentation(np.zeros(GRID.shape, np.uint8), GRID, ABDOMEN8[:1]),
        Segmentation(np.zeros(GRID.shape, np.uint8), GRID, ABDOMEN8[4:5]),
        "nothing",
    )
    path = write_report(tmp_path / "report.html", "Nothing", nothing)
    text = browse(path, "return document.querySelector('main').textContent")
    assert "Nothing was compared" in text and "nothing was compared" in text
    flat = Geometry((1, 8, 8), (5.0, 1.0, 1.0))
    labels = np.zeros(flat.shape, np.uint8)
    labels[0, 2:5, 2:6] = 1
    single = compare(Segmentation(labels, flat, ABDOMEN8[:1]), Segmentation(labels, flat, ABDOMEN8[:1]), "flat")
    path = write_report(tmp_path / "report.html", "One slice", single)
    assert browse(path, "return document.querySelector('svg.curve').getAttribute('aria-label')").startswith(
        "aorta: Dice"
    )
    assert write_report(tmp_path / "empty.html", "No cases", []).is_file()


@needs_browser
def test_print_keeps_pictures_and_the_titles_of_tables(one, tmp_path):
    with Page(one, tmp_path) as page:
        pdf = base64.b64decode(page.ask("Page.printToPDF", printBackground=True, preferCSSPageSize=True)["data"])
        assert len(re.findall(rb"/Subtype\s*/Image", pdf)) >= 1, "no picture has been scrolled to"
        page.ask("Emulation.setEmulatedMedia", media="print")
        style = "getComputedStyle(document.querySelector('{}')).display"
        assert page.run(style.format("#structures th button")) == "contents", (
            "a button is not repeated on the next page"
        )
        assert page.run(style.format("#structures tfoot")) == "table-row-group", "a mean on every page"


@needs_browser
def test_the_table_of_cases_is_printed_across(many, tmp_path):
    with Page(many, tmp_path) as page:
        pdf = base64.b64decode(page.ask("Page.printToPDF", preferCSSPageSize=True)["data"])
    sizes = [tuple(map(float, size)) for size in re.findall(rb"/MediaBox\s*\[0 0 ([\d.]+) ([\d.]+)\]", pdf)]
    assert sum(width > height for width, height in sizes) == 1 < len(sizes)


@needs_browser
@pytest.mark.parametrize("page_of", ["one", "many"])
def test_on_a_phone_nothing_runs_out_and_charts_can_be_read(page_of, request, tmp_path):
    with Page(request.getfixturevalue(page_of), tmp_path) as page:
        page.ask("Emulation.setDeviceMetricsOverride", width=390, height=844, deviceScaleFactor=1, mobile=True)
        assert page.run("document.documentElement.scrollWidth") == 390
        smallest = page.run(
            "Math.min(...[...document.querySelectorAll('svg.plot text')].filter(t => t.getBoundingClientRect().width).map("
            "t => parseFloat(getComputedStyle(t).fontSize) * t.getScreenCTM().a))"
        )
        assert smallest > 8.5
        assert page.problems == []


@needs_browser
def test_a_sort_button_is_called_as_its_column_and_says_what_that_means(one, tmp_path):
    with Page(one, tmp_path) as page:
        nodes = page.ask("Accessibility.getFullAXTree")["nodes"]
    buttons = [node for node in nodes if node.get("role", {}).get("value") == "button"]
    said = {node["name"]["value"]: node.get("description", {}).get("value") for node in buttons}
    assert said["Dice"] == BY_KEY["dice"].text


HOSTILE = (
    "</script><img src=x onerror=window.pwned=1>",
    "{{script}}",
    "\"' onload=window.pwned=1 <b>&amp;",
    "Ärzte «ß»",
)


@needs_browser
def test_hostile_names_are_only_names(tmp_path):
    structures = [Structure(name, i, (i,), (200, 10 * i, 9), None) for i, name in enumerate(HOSTILE, 1)]
    comparisons = [case(name, structures=structures) for name in HOSTILE]
    scan = Volume(np.zeros(GRID.shape, np.int16), GRID, "scan")
    sides = [Segmentation(np.zeros(GRID.shape, np.uint8), GRID, tuple(structures)) for _ in range(2)]
    viewer = viewer_data(comparisons[0], scan, *sides)
    found = [finding("fail", name, (float("1e3"), 0, 0)) for name in HOSTILE]
    verdict = Verdict("implausible", HOSTILE[0], HOSTILE[2])
    material = {name: CaseMaterial([(name, png())], found, verdict, viewer, [name]) for name in HOSTILE}
    path = write_reports(
        tmp_path, HOSTILE[0], comparisons, material, dict.fromkeys(HOSTILE, HOSTILE[2]), reference_note=HOSTILE[0]
    )
    pages = sorted((tmp_path / "cases").glob("*.html"))
    assert len(pages) == len(HOSTILE)
    for number, page in enumerate([path, *pages]):
        with Page(page, tmp_path / str(number)) as shown:
            assert shown.run("window.pwned ?? null") is None and shown.problems == []
            assert shown.run("[...document.querySelectorAll('#structures tbody th')].map(h => h.textContent)")[
                0
            ].startswith(HOSTILE[0])
            if number:
                names = shown.run("[...document.querySelectorAll('[name=structure] option')].map(o => o.textContent)")
                assert names[1:5] == list(HOSTILE)
    write_figures(tmp_path / "figures", comparisons[:1])
