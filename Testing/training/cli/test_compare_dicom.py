"""DICOM segmentations and structure sets as either side of `unetseg compare`, and in `unetseg check`."""

import json

import numpy as np
import pytest
from UNetSegmenterLib.engine.io.geometry import Geometry
from UNetSegmenterLib.engine.labels.seg_nrrd import write_seg_nrrd
from UNetSegmenterLib.engine.labels.segmentation import Segmentation
from UNetSegmenterLib.engine.labels.structures import known_structure

from ...engine.dicom_files import write_slices
from ...engine.dicom_label_files import FRAME, SERIES, binary_frames, segment, structure_set, write_seg
from ..command import refused, unetseg_here
from ..datasets import blobs

GRID = Geometry((10, 40, 44), (3.0, 2.0, 2.0), (5.0, -7.0, 100.0))
BOX = [(14.0, 25.0), (40.0, 25.0), (40.0, 49.0), (14.0, 49.0)]


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A scan as DICOM series far from its labels; the labels as .seg.nrrd, DICOM segmentation and structure set of the liver."""
    folder = tmp_path_factory.mktemp("dicom")
    hu, labels = blobs(0)
    hu[:, 10:22, 5:18] = 120

    def change(number, elements):
        elements[0x28, 0x30], elements[0x20, 0x52] = ("DS", "2\\2"), ("UI", FRAME)

    positions = [GRID.position_lps_mm((k, 0, 0)) for k in range(len(hu))]
    write_slices(folder / "far" / "away" / "ct", hu, positions, change, series=SERIES)
    structures = (known_structure("liver", 1, 1), known_structure("spleen", 2, 2))
    write_seg_nrrd(Segmentation(labels, GRID, structures), folder / "pred" / "own.seg.nrrd")
    write_seg(folder / "seg" / "seg.dcm", GRID, binary_frames(labels), [segment(1, "liver"), segment(2, "Spleen")])
    contours = [[(x, y, 100 + 3.0 * k) for x, y in BOX] for k in (4, 5)]
    structure_set(folder / "rt" / "rt.dcm", {"liver": contours})
    return folder, folder / "far" / "away" / "ct"


def dice(folder):
    structures = json.loads((folder / "summary.json").read_text())["structures"]
    return {name: values["dice"]["mean"] for name, values in structures.items()}


def test_a_segmentation_is_either_side_with_the_scan_or_without(tmp_path, files):
    folder, scan = files
    own, seg = folder / "pred" / "own.seg.nrrd", folder / "seg" / "seg.dcm"
    for number, arguments in enumerate(((own, seg, "--scan", scan), (seg, own), (seg, seg))):
        out = tmp_path / str(number)
        done = unetseg_here("compare", *arguments, "--output", out)
        assert done.returncode == 0, done.stderr
        assert set(dice(out).values()) == {1.0} and len(dice(out)) == 2


def test_a_structure_set_is_drawn_on_the_scan_or_on_the_prediction(tmp_path, files):
    folder, scan = files
    own, seg, rt = folder / "pred" / "own.seg.nrrd", folder / "seg" / "seg.dcm", folder / "rt" / "rt.dcm"
    _, labels = blobs(0)
    drawn = np.zeros(labels.shape, bool)
    drawn[4:6, 16:29, 5:18] = True
    expected = 2 * np.count_nonzero(drawn & (labels == 1)) / (drawn.sum() + np.count_nonzero(labels == 1))
    for number, arguments in enumerate(((own, rt), (rt, own), (seg, rt, "--scan", scan))):
        out = tmp_path / str(number)
        done = unetseg_here("compare", *arguments, "--output", out)
        assert done.returncode == 0, done.stderr
        assert dice(out)["liver"] == pytest.approx(expected, abs=1e-3), arguments
    refused(unetseg_here("compare", rt, rt, "--output", tmp_path / "x"), "give the scan")
    done = unetseg_here("check", rt, "--scan", scan, "--output", tmp_path / "checked")
    assert done.returncode == 0 and (tmp_path / "checked" / "findings.csv").exists(), done.stderr


def test_labels_of_another_patient_space_are_refused(tmp_path, files):
    folder, scan = files
    contours = [[(x, y, 100 + 3.0 * k) for x, y in BOX] for k in (4, 5)]
    other = structure_set(tmp_path / "other.dcm", {"liver": contours}, frame="1.2.55", series="1.2.56")
    own = folder / "pred" / "own.seg.nrrd"
    refused(
        unetseg_here("compare", own, other, "--scan", scan, "--output", tmp_path / "a"), "another frame of reference"
    )
    refused(unetseg_here("check", other, "--scan", scan, "--output", tmp_path / "b"), "another frame of reference")
    assert unetseg_here("compare", own, other, "--output", tmp_path / "c").returncode == 0, "no scan to compare with"
