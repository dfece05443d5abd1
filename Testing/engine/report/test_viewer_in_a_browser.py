"""The viewer inside a report does what it says in a real browser without a network."""

import re

import numpy as np
import pytest
from UNetSegmenterLib.engine.evaluation.comparison import compare
from UNetSegmenterLib.engine.io.slicing_axis import slice_positions_mm
from UNetSegmenterLib.engine.io.volume import ANY, Volume
from UNetSegmenterLib.engine.labels.segmentation import Segmentation
from UNetSegmenterLib.engine.plausibility.finding import Finding
from UNetSegmenterLib.engine.report import niivue_viewer
from UNetSegmenterLib.engine.report.niivue_viewer import viewer_data
from UNetSegmenterLib.engine.report.report_pages import write_report

from ..chromium import BROWSER, Page
from .viewer_material import STRUCTURES, material

needs_viewer = pytest.mark.skipif(
    BROWSER is None or not niivue_viewer.LIBRARY.is_file(),
    reason="no Chromium here: apt-get install chromium" if BROWSER is None
    else "the viewer was not fetched: python tools/fetch_viewer.py",
)  # fmt: skip

PLACE = (-2.0, -41.0, 21.0)


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    comparison, *images = material()
    return write_report(
        tmp_path_factory.mktemp("viewer") / "report.html", "viewer", comparison,
        viewer=viewer_data(comparison, *images), findings=[Finding("pieces", "gallbladder", "warn", 2.0, "1", PLACE, "Two.")],
    )  # fmt: skip


@pytest.fixture(scope="module")
def page(report, tmp_path_factory):
    """The report with its viewer opened by a click on a slice curve."""
    with Page(report, tmp_path_factory.mktemp("browser"), size=(700, 700)) as page:
        # No smooth scrolling: it would move what is to be clicked away.
        page.ask("Emulation.setEmulatedMedia", features=[{"name": "prefers-reduced-motion", "value": "reduce"}])
        assert page.run("document.querySelector('.viewer-stage').hidden && !globalThis.niivue")  # nothing unpacked yet
        page.click("svg.curve", across=0.5)
        page.wait("document.querySelector('.viewer-reading').textContent")
        yield page
        assert page.problems == []


def reading(page):
    return page.run("document.querySelector('.viewer-reading').textContent")


def superior(page):
    return float(page.run("document.querySelector('[name=slice]').value"))


def changed(page, before, selector=".viewer-slices"):
    """Share of an element's pixels that differ from a picture taken before."""
    return float((np.abs(page.pixels(selector) - before).max(axis=-1) > 0.03).mean())


@needs_viewer
def test_slices_and_both_surfaces_are_drawn(page):
    for selector, least in ((".viewer-slices", 0.3), (".viewer-prediction", 0.02), (".viewer-reference", 0.02)):
        pixels = page.pixels(selector)[..., :3]
        assert (pixels.max(axis=-1) > 0.1).mean() > least, selector
        assert len(np.unique((pixels * 15).astype(int).reshape(-1, 3), axis=0)) > 8, selector


@needs_viewer
@pytest.mark.parametrize("layer", ["scan", "prediction", "reference"])
def test_layers_go_and_come_back_by_mouse_and_by_key(page, layer):
    before = page.pixels(".viewer-slices")
    page.click(f'[name="{layer}"]')
    assert not page.run(f"document.querySelector('[name={layer}]').checked")
    assert changed(page, before) > 0.003
    page.press(" ", 32)
    assert page.run(f"document.querySelector('[name={layer}]').checked")
    assert changed(page, before) < 0.001


@needs_viewer
def test_opacity_outline_and_structure_change_the_picture(page):
    before = page.pixels(".viewer-slices")
    page.click("[name=outline]")
    assert changed(page, before) > 0.003
    page.click("[name=outline]")
    choose = "s = document.querySelector('[name=structure]'); s.value = {}; s.dispatchEvent(new Event('input'))"
    for canvas in (".viewer-slices", ".viewer-prediction", ".viewer-reference"):
        page.run(choose.format(0))
        colourful = page.pixels(canvas)
        page.run(choose.format(2))
        assert changed(page, colourful, canvas) > 0.003, canvas
    page.run(choose.format(0))
    before = page.pixels(".viewer-slices")
    page.run("document.querySelector('[name=opacity]').focus()")
    page.press("Home", 36)
    assert changed(page, before) > 0.003
    page.run("o = document.querySelector('[name=opacity]'); o.value = 50; o.dispatchEvent(new Event('input'))")
    assert changed(page, before) < 0.001


@needs_viewer
def test_a_click_on_a_curve_leads_there_and_so_do_keys(page):
    lines = {}
    for across in (0.15, 0.85):
        before = page.pixels(".viewer-slices")
        page.click("svg.curve", across=across)
        lines[across] = re.match(
            r"Slice (\d+) \(S (-?[\d.]+) mm\)", page.run("document.querySelector('.reading').textContent")
        )
        page.wait(f"Math.abs(document.querySelector('[name=slice]').value - {lines[across][2]}) < 1.1")
        assert changed(page, before) > 0.003
    assert float(lines[0.85][2]) - float(lines[0.15][2]) >= 10
    name = page.run("document.querySelector('.chart h3').textContent")
    assert name in reading(page)  # the crosshair lies in the structure whose curve was clicked
    assert page.run("document.querySelector('[name=structure]').selectedOptions[0].textContent") == name
    at = superior(page)
    page.run("document.querySelector('[name=slice]').focus()")
    page.press("ArrowLeft", 37)
    page.wait(f"document.querySelector('[name=slice]').value < {at}")
    page.click("[name=error]")
    position = page.run("JSON.parse(document.getElementById('viewer-setup').textContent).positions[1]")
    assert abs(superior(page) - position[2]) < 1.1


@needs_viewer
def test_a_finding_leads_to_its_place(page):
    assert page.run("document.querySelector('.where button').textContent") == "L 2, P 41, S 21 mm"
    page.click(".where button")
    page.wait("Math.abs(document.querySelector('[name=slice]').value - 21) < 1.1")
    assert reading(page).startswith("L 2, P 41, S 21 mm")
    assert page.run("document.querySelector('[name=structure]').selectedOptions[0].textContent") == "gallbladder"


@needs_viewer
def test_a_phone_opens_it_where_most_is_wrong_in_slices_that_can_be_seen(tmp_path):
    _, volume, _, reference = material()
    labels = reference.labels.copy()
    labels[14][labels[14] == STRUCTURES[1].index] = 0
    prediction = Segmentation(labels, volume.geometry, STRUCTURES)
    comparison = compare(prediction, reference, "case")
    report = write_report(
        tmp_path / "report.html", "phone", comparison, viewer=viewer_data(comparison, volume, prediction, reference)
    )
    with Page(report, tmp_path / "browser") as page:
        page.ask("Emulation.setDeviceMetricsOverride", width=390, height=844, deviceScaleFactor=1, mobile=True)
        page.click(".viewer-open")
        page.wait("document.querySelector('.viewer-reading').textContent")
        assert "prediction nothing, reference gallbladder" in reading(page)
        assert superior(page) == pytest.approx(-7 + 14 * 2, abs=1.1)
        drawn = (page.pixels(".viewer-slices")[..., :3].max(axis=-1) > 0.1).any(axis=1)
        assert drawn.mean() > 0.6, "two rows of slices fill the pane, one row leaves most of it black"
        assert page.run("document.documentElement.scrollWidth") == 390 and page.problems == []


@needs_viewer
@pytest.mark.parametrize("axis", ["coronal", "sagittal"])
def test_the_viewer_steps_through_the_slices_of_the_network(tmp_path, axis):
    _, volume, _, reference = material(spacing=(2.0, 2.0, 2.0))
    labels = reference.labels.copy()
    along, number = {"coronal": (1, 14), "sagittal": (2, 18)}[axis]
    np.moveaxis(labels, along, 0)[number] = 0
    prediction = Segmentation(labels, volume.geometry, STRUCTURES, slicing_axis=axis)
    comparison = compare(prediction, reference, "case")
    position = float(slice_positions_mm(volume.geometry, axis)[number])
    report = write_report(
        tmp_path / "report.html", axis, comparison, viewer=viewer_data(comparison, volume, prediction, reference)
    )
    with Page(report, tmp_path / "browser", size=(700, 700)) as page:
        page.ask("Emulation.setEmulatedMedia", features=[{"name": "prefers-reduced-motion", "value": "reduce"}])
        page.click(".viewer-open")
        page.wait("document.querySelector('.viewer-reading').textContent")
        assert superior(page) == pytest.approx(position, abs=1.1), "it opens where most is wrong"
        assert "prediction nothing" in reading(page)
        label = page.run("document.querySelector('.viewer-slice').textContent").strip()
        assert label == f"{axis.capitalize()} slice"
        page.click("svg.curve", across=0.85)
        line = re.match(
            rf"{axis.capitalize()} slice (\d+) \({'A' if axis == 'coronal' else 'R'} (-?[\d.]+) mm\)",
            page.run("document.querySelector('.reading').textContent"),
        )
        page.wait(f"Math.abs(document.querySelector('[name=slice]').value - {line[2]}) < 1.1")
        assert page.run("document.querySelector('.chart h3').textContent") in reading(page)
        assert " HU, prediction" in reading(page) and page.problems == []


@needs_viewer
def test_the_viewer_reads_values_without_a_unit_as_they_are(tmp_path):
    comparison, volume, prediction, reference = material()
    mr = Volume(((volume.array + 200) / 1000).astype(np.float32), volume.geometry, intensities=ANY)
    report = write_report(
        tmp_path / "report.html", "MR", comparison, viewer=viewer_data(comparison, mr, prediction, reference)
    )
    with Page(report, tmp_path / "browser", size=(700, 700)) as page:
        page.click(".viewer-open")
        page.wait("document.querySelector('.viewer-reading').textContent")
        assert re.search(r"mm: 0\.\d{1,4}, prediction ", reading(page)), reading(page)
        assert page.problems == []


@needs_viewer
def test_everything_has_a_name_and_nothing_is_fetched(page):
    unnamed = page.run(
        "[...document.querySelectorAll('#viewer input, #viewer select, #viewer button, #viewer canvas')]"
        ".filter(e => !(e.labels?.length || e.ariaLabel || e.textContent.trim())).length"
    )
    assert unnamed == 0
    assert page.run("document.querySelector('.viewer-reading').getAttribute('aria-live')") == "polite"
    assert "Niivue" in page.run("document.querySelector('.viewer-license pre').textContent")
    outside = [url for url in page.requests if not url.startswith(("file:", "data:", "blob:"))]
    assert outside == []


@needs_viewer
def test_without_webgl_the_page_is_whole_and_says_so(report, tmp_path):
    with Page(report, tmp_path, webgl=False) as page:
        page.click(".viewer-open")
        page.wait("!document.querySelector('.viewer-problem').hidden")
        assert "WebGL2" in page.run("document.querySelector('.viewer-problem').textContent")
        page.click("svg.curve")
        assert page.run("document.querySelector('.reading').textContent").startswith("Slice ")
        assert page.run("document.querySelector('.viewer-stage').hidden") and page.problems == []
