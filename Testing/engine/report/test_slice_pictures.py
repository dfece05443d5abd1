"""The report's pictures of slices: which slices, and what they are called."""

import numpy as np
import pytest
import SimpleITK as sitk
from UNetSegmenterLib.engine.evaluation.comparison import compare
from UNetSegmenterLib.engine.io.geometry import Geometry
from UNetSegmenterLib.engine.io.slicing_axis import slices_along
from UNetSegmenterLib.engine.io.volume import Volume
from UNetSegmenterLib.engine.labels.segmentation import Segmentation
from UNetSegmenterLib.engine.report.report_pages import write_report
from UNetSegmenterLib.engine.report.slice_pictures import slice_pictures

from .viewer_material import LPS, STRUCTURES, TURNED, UPSIDE_DOWN, material


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
