"""The viewer inside a report: what it is given."""

import gzip

import numpy as np
import pytest
import SimpleITK as sitk
from UNetSegmenterLib.engine.evaluation.comparison import compare
from UNetSegmenterLib.engine.io.geometry import Geometry
from UNetSegmenterLib.engine.io.volume import ANY, Volume
from UNetSegmenterLib.engine.labels.segmentation import Segmentation
from UNetSegmenterLib.engine.report import niivue_viewer
from UNetSegmenterLib.engine.report.niivue_viewer import viewer_data
from UNetSegmenterLib.engine.report.report_pages import write_report
from UNetSegmenterLib.engine.report.slice_pictures import slice_pictures

from .viewer_material import LPS, STRUCTURES, TURNED, material


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
