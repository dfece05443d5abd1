"""The viewer inside a report: what it is given, and that it does what it says in a real browser without a network."""

import gzip
import re

import numpy as np
import pytest
import SimpleITK as sitk
from UNetSegmenterLib.engine.evaluation.comparison import compare
from UNetSegmenterLib.engine.io.geometry import Geometry
from UNetSegmenterLib.engine.io.slicing_axis import slice_positions_mm, slices_along
from UNetSegmenterLib.engine.io.volume import ANY, Volume
from UNetSegmenterLib.engine.labels.segmentation import Segmentation
from UNetSegmenterLib.engine.labels.structures import ABDOMEN8
from UNetSegmenterLib.engine.plausibility.finding import Finding
from UNetSegmenterLib.engine.report import niivue_viewer
from UNetSegmenterLib.engine.report.niivue_viewer import viewer_data
from UNetSegmenterLib.engine.report.report_pages import write_report
from UNetSegmenterLib.engine.report.slice_pictures import slice_pictures

from ..chromium import BROWSER, Page

needs_viewer = pytest.mark.skipif(
    BROWSER is None or not niivue_viewer.LIBRARY.is_file(),
    reason="no Chromium here: apt-get install chromium" if BROWSER is None
    else "the viewer was not fetched: python tools/fetch_viewer.py",
)  # fmt: skip
STRUCTURES = ABDOMEN8[:3]
UPSIDE_DOWN = ((1.0, 0.0, 0.0), (0.0, -1.0, 0.0), (0.0, 0.0, -1.0))
LPS, TURNED = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)), ((0.0, 0.0, -1.0), (-1.0, 0.0, 0.0), (0.0, 1.0, 0.0))


def material(shape=(30, 36, 40), spacing=(2.0, 1.0, 1.0), direction=LPS, shift=2):
    """A noisy scan with three bright boxes, the prediction shifted along the rows."""
    geometry = Geometry(shape, spacing, (-12.0, 34.0, -7.0), direction)
    ours, theirs = np.zeros(shape, np.uint8), np.zeros(shape, np.uint8)
    scan = np.random.default_rng(1).normal(0, 15, shape).astype(np.int16)
    slices, rows, columns = (slice(n // 3, 2 * n // 3 or 1) for n in shape)
    for i, structure in enumerate(STRUCTURES):
        part = slice(columns.start - 6 + 9 * i, columns.start + 9 * i)
        theirs[slices, rows, part] = structure.index
        ours[slices, rows.start + shift : rows.stop + shift, part] = structure.index
        scan[slices, rows, part] += 100 + 40 * i
    prediction, reference = (Segmentation(labels, geometry, STRUCTURES) for labels in (ours, theirs))
    return compare(prediction, reference, "case"), Volume(scan, geometry), prediction, reference


def image(packed, tmp_path):
    (tmp_path / "image.nii").write_bytes(gzip.decompress(packed))
    return sitk.ReadImage(str(tmp_path / "image.nii"))


@pytest.mark.parametrize("direction", [LPS, TURNED], ids=["straight", "turned"])
@pytest.mark.parametrize("most_bytes", [1_000_000, 8_000], ids=["whole", "reduced"])
def test_the_images_lie_where_the_scan_lies(tmp_path, direction, most_bytes):
    comparison, volume, prediction, reference = material(direction=direction)
    data = viewer_data(comparison, volume, prediction, reference, most_bytes)
    assert len(data.scan) <= most_bytes
    scan, ours, theirs = (image(packed, tmp_path) for packed in (data.scan, data.prediction, data.reference))
    assert scan.GetSize() == ours.GetSize() == theirs.GetSize()
    for number, row in enumerate(comparison.rows, start=1):
        assert data.structures[number - 1][:2] == (row.structure, row.color)
        inside = np.argwhere(reference.labels == row.reference.index).mean(0)[::-1]
        middle = volume.geometry.affine_lps() @ [*inside, 1.0]
        index = theirs.TransformPhysicalPointToIndex([float(mm) for mm in middle[:3]])
        assert theirs[index] == number
        hu = volume.array[reference.labels == row.reference.index].mean()
        assert abs(scan[index] - hu) < 60
    whole = most_bytes > 8_000
    assert ("averaged" in data.words) != whole
    if whole:
        assert sorted(scan.GetSize()) == sorted(volume.array.shape)
        assert int((sitk.GetArrayFromImage(ours) > 0).sum()) == int((prediction.labels > 0).sum())
        greys = sitk.GetArrayFromImage(scan)
        assert abs(greys.mean() - volume.array.mean()) < 2


def test_bright_and_dark_structures_widen_the_window():
    comparison, volume, prediction, reference = material()
    assert viewer_data(comparison, volume, prediction, reference).window_hu == (-160.0, 240.0)
    lung = Volume(volume.array - 800, volume.geometry)
    low, high = viewer_data(comparison, lung, prediction, reference).window_hu
    assert low < -650 and high == 240.0


def test_values_without_a_unit_are_shown_between_their_own_ends(tmp_path):
    comparison, volume, prediction, reference = material()
    mr = Volume(((volume.array + 200) / 1000).astype(np.float32), volume.geometry, intensities=ANY)
    data = viewer_data(comparison, mr, prediction, reference)
    low, high = data.window_hu
    assert 0.1 < low < 0.2 and 0.35 < high < 0.45 and data.unit == ""
    assert "HU" not in data.words and f"from {low:.4g} to {high:.4g}." in data.words
    scan = sitk.GetArrayFromImage(image(data.scan, tmp_path))
    assert scan.std() == pytest.approx(mr.array.std(), rel=0.1), "not all of it is black or white"
    (tmp_path / "slice.png").write_bytes(slice_pictures(mr, prediction, reference, comparison)[0][1])
    picture = sitk.GetArrayFromImage(sitk.ReadImage(str(tmp_path / "slice.png")))
    assert 20 < np.median(picture) < 200


def test_a_prediction_on_another_grid_is_brought_onto_the_scans(tmp_path):
    _, volume, prediction, reference = material()
    coarse = Geometry((15, 18, 20), (4.0, 2.0, 2.0), (-11.5, 34.5, -6.0))
    other = Segmentation(np.ascontiguousarray(prediction.labels[::2, ::2, ::2]), coarse, STRUCTURES)
    data = viewer_data(compare(other, reference), volume, other, reference)
    ours = sitk.GetArrayFromImage(image(data.prediction, tmp_path))
    assert ours.shape == volume.array.shape
    assert abs((ours > 0).sum() / (prediction.labels > 0).sum() - 1) < 0.3


@pytest.mark.parametrize("shape", [(1, 36, 40), (30, 36, 40)], ids=["one slice", "nothing segmented"])
def test_very_little_is_shown_too(tmp_path, shape):
    comparison, volume, prediction, reference = material(shape)
    if shape[0] > 1:
        empty = Segmentation(np.zeros(shape, np.uint8), volume.geometry, STRUCTURES)
        comparison, prediction, reference = compare(empty, empty), empty, empty
    data = viewer_data(comparison, volume, prediction, reference)
    assert image(data.scan, tmp_path).GetSize() == shape[::-1]
    assert write_report(tmp_path / "report.html", "little", comparison, viewer=data).is_file()


def test_without_the_library_the_report_is_whole_and_says_so(tmp_path, monkeypatch):
    comparison, *images = material()
    monkeypatch.setattr(niivue_viewer, "LIBRARY", tmp_path / "nothing.js")
    page = write_report(tmp_path / "report.html", "static", comparison, viewer=viewer_data(comparison, *images))
    text = page.read_text(encoding="utf-8")
    assert "no interactive viewer" in text and "fetch_viewer.py" in text
    assert 'id="viewer-scan"' not in text and "svg class" in text and page.stat().st_size < 200_000


def test_no_images_no_viewer(tmp_path):
    text = write_report(tmp_path / "report.html", "bare", material()[0]).read_text(encoding="utf-8")
    assert "unetseg-viewer" not in text and 'id="viewer"' not in text


# --- pictures of slices ----------------------------------------------------------------------------------------------


def test_worst_median_and_best_slice_are_pictured(tmp_path):
    """Box 1 of 3 is missing in one slice, box 2 half in two others; elsewhere all agree."""
    _, volume, _, reference = material()
    labels = reference.labels.copy()
    labels[12][labels[12] == STRUCTURES[0].index] = 0
    labels[14, 12:17][labels[14, 12:17] == STRUCTURES[1].index] = 0
    prediction = Segmentation(labels, volume.geometry, STRUCTURES)
    pictures = slice_pictures(volume, prediction, reference, compare(prediction, reference, "case"))
    captions = [caption for caption, _ in pictures]
    assert captions[0].startswith("Worst slice: axial slice 12 (S 17 mm)") and "0.7 cm²" in captions[0]
    assert [caption.split(":")[0] for caption in captions] == ["Worst slice", "Median slice", "Best slice"]
    assert "slice 12 " not in captions[2] and "Dice 1.00" in captions[2]
    (tmp_path / "slice.png").write_bytes(pictures[0][1])
    rgb = sitk.GetArrayFromImage(sitk.ReadImage(str(tmp_path / "slice.png"))).astype(int)
    half = rgb.shape[1] // 2
    color = [
        (np.abs(rgb - STRUCTURES[0].color).max(axis=-1) < 2)[:, part].any() for part in (slice(half), slice(half, None))
    ]
    assert color == [True, False]  # reference left, prediction right
    assert len(slice_pictures(volume, prediction, reference, compare(prediction, reference), most=1)) == 1


@pytest.mark.parametrize("direction", [LPS, UPSIDE_DOWN, TURNED], ids=["straight", "upside down", "turned"])
def test_pictures_name_the_slice_as_the_curves_do(direction):
    _, volume, _, reference = material(direction=direction)
    axis = volume.geometry.axial()[0][0]
    labels = np.moveaxis(reference.labels.copy(), axis, 0)
    wrong = int(np.flatnonzero(labels.any((1, 2)))[2])
    labels[wrong] = 0
    prediction = Segmentation(np.ascontiguousarray(np.moveaxis(labels, 0, axis)), volume.geometry, STRUCTURES)
    comparison = compare(prediction, reference)
    caption = slice_pictures(volume, prediction, reference, comparison)[0][0]
    curve = comparison.rows[0].curve
    worst = curve.worst_first()[0]
    assert curve.slices[worst] == wrong
    assert caption.startswith(f"Worst slice: axial slice {wrong} (S {curve.position_mm[worst]:.0f} mm)")


@pytest.mark.parametrize("direction", [LPS, UPSIDE_DOWN, TURNED], ids=["straight", "upside down", "turned"])
@pytest.mark.parametrize(("axis", "letter"), [("coronal", "A"), ("sagittal", "R")])
def test_pictures_of_a_network_that_is_not_axial_are_of_its_slices(tmp_path, axis, letter, direction):
    """Head up, and the patient's right or front at the left, as a radiologist looks at them."""
    geometry = Geometry((30, 36, 40), (1.0, 1.0, 1.0), (-12.0, 34.0, -7.0), direction)
    labels = np.zeros(geometry.shape, np.uint8)
    upright = geometry.to_axial(labels)  # slices to superior, rows to posterior, columns to left
    upright[tuple(slice(n - 12, n - 4) for n in upright.shape)] = STRUCTURES[0].index
    reference = Segmentation(labels, geometry, STRUCTURES)
    torn = labels.copy()
    layers = np.moveaxis(torn, slices_along(geometry, axis)[0], 0)
    wrong = int(np.flatnonzero(layers.any((1, 2)))[2])
    layers[wrong] = 0
    prediction = Segmentation(torn, geometry, STRUCTURES, slicing_axis=axis)
    comparison = compare(prediction, reference)
    volume = Volume(np.zeros(geometry.shape, np.int16), geometry)
    caption, png = slice_pictures(volume, prediction, reference, comparison)[0]
    curve = comparison.rows[0].curve
    worst = curve.worst_first()[0]
    assert curve.slices[worst] == wrong
    where = f"{axis} slice {wrong} ({letter} {curve.position_mm[worst]:.0f} mm)"
    assert caption.startswith(f"Worst slice: {where}, where most is labelled differently (0.6 cm²)")
    (tmp_path / "slice.png").write_bytes(png)
    rgb = sitk.GetArrayFromImage(sitk.ReadImage(str(tmp_path / "slice.png"))).astype(int)
    there = np.argwhere(np.abs(rgb - STRUCTURES[0].color).max(axis=-1) < 2)
    half = (rgb.shape[1] - 6) // 2
    assert (there[:, 1] < half).all(), "in the reference alone"
    assert there[:, 0].mean() < 0.5 * rgb.shape[0], "superior is up"
    assert there[:, 1].mean() > 0.5 * half, "left, or posterior, is at the right"
    text = write_report(tmp_path / "report.html", "x", comparison).read_text(encoding="utf-8")
    assert f"How well each {axis} slice agrees" in text and f"Largest disagreement: {where}" in text
    low, high = {"coronal": ("posterior", "anterior"), "sagittal": ("left", "right")}[axis]
    assert f">{low}</text>" in text and f">{high}</text>" in text and ">superior</text>" not in text
    assert f"Dice over 8 {axis} slices from {low} to {high}" in text


def test_nothing_to_picture():
    _, volume, _, _ = material()
    empty = Segmentation(np.zeros(volume.array.shape, np.uint8), volume.geometry, STRUCTURES)
    assert slice_pictures(volume, empty, empty, compare(empty, empty)) == ()


PLACE = (-2.0, -41.0, 21.0)


# --- in the browser --------------------------------------------------------------------------------------------------


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
