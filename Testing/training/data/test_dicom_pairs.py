"""A data set of DICOM series with DICOM labels: found, paired, prepared, evaluated, reviewed."""

import json

import numpy as np
import pytest
from unetseg.data.fingerprint import read_case
from unetseg.data.layouts.detection import read_dataset
from UNetSegmenterLib.engine.errors import InputError
from UNetSegmenterLib.engine.evaluation.review_cases import list_cases
from UNetSegmenterLib.engine.io.geometry import Geometry
from UNetSegmenterLib.engine.io.image_reading import read_geometry
from UNetSegmenterLib.engine.worker.review_serialization import case_from_files, case_to_files

from ...engine.dicom_files import write_slices
from ...engine.dicom_label_files import FRAME, binary_frames, segment, structure_set, write_seg
from ..command import unetseg_here
from ..datasets import STRUCTURES, blobs, write_checkpoint

PLACES = (  # of the series, of its labels
    ("one/ct", "one/seg.dcm"),
    ("two", "two/seg.dcm"),
    ("images/three", "labels/three.dcm"),
    ("IDC/CT_88", "IDC/SEG_99/object"),
)
NAMES = ["IDC_CT_88", "one", "three", "two"]


def write_case(folder, seed, places, series=None, frame=FRAME):
    hu, labels = blobs(seed)
    grid = Geometry(hu.shape, (3.0, 2.0, 2.0), (10.0 * seed, 5.0, 100.0))
    uid = f"1.2.3.{seed}"

    def change(number, elements):
        elements[0x28, 0x30], elements[0x20, 0x52] = ("DS", "2\\2"), ("UI", FRAME)

    write_slices(folder / places[0], hu, [grid.position_lps_mm((k, 0, 0)) for k in range(len(hu))], change, series=uid)

    def name_series(elements):
        elements[8, 0x1115] = ("SQ", [{(0x20, 0xE): ("UI", series or uid)}])
        elements[0x20, 0x52] = ("UI", frame)

    segments = [segment(1, "Liver"), segment(2, "spleen")]
    write_seg(folder / places[1], grid, binary_frames(labels), segments, change=name_series)
    return labels


@pytest.fixture
def dicom_set(tmp_path):
    folder = tmp_path / "set"
    for seed, places in enumerate(PLACES):
        write_case(folder, seed, places)
    (folder / "structures.json").write_text(json.dumps({"structures": {"liver": 1, "spleen": 7}}))
    return folder


def test_series_and_labels_find_each_other_by_name_or_by_what_the_labels_name(dicom_set):
    cases = read_dataset(dicom_set).cases
    assert [case.name for case in cases] == NAMES
    for case in cases:
        seed = next(seed for seed, (image, _) in enumerate(PLACES) if dicom_set / image == case.image)
        volume, segmentation = read_case(case, read_dataset(dicom_set).structures)
        assert volume.geometry == segmentation.geometry and np.array_equal(segmentation.labels, blobs(seed)[1])
        assert read_geometry(case.image) == volume.geometry


def test_labels_without_a_series_and_of_another_patient_space_are_named(dicom_set):
    (dicom_set / "structures.json").write_text(json.dumps({"structures": {"liver": 1}}))
    with pytest.raises(InputError, match="not declared: spleen"):
        read_case(read_dataset(dicom_set).cases[0], read_dataset(dicom_set).structures)
    write_case(dicom_set, 0, PLACES[0], series="1.2.77", frame="1.2.78")
    (dicom_set / "structures.json").write_text(json.dumps({"structures": {"liver": 1, "spleen": 7}}))
    dataset = read_dataset(dicom_set)
    with pytest.raises(InputError, match="another frame of reference"):
        read_case(dataset.cases[1], dataset.structures)
    write_case(dicom_set, 5, ("five", "of_nobody.dcm"), series="1.2.79")
    with pytest.raises(InputError, match=r"five .*has no label"):
        read_dataset(dicom_set)


def test_structure_sets_are_labels_as_well(tmp_path):
    write_case(tmp_path, 0, ("a/ct", "a/seg.dcm"))
    (tmp_path / "a" / "seg.dcm").unlink()
    (tmp_path / "structures.json").write_text(json.dumps({"structures": {"liver": 1}}))
    box = [(20.0, 35.0), (40.0, 35.0), (40.0, 65.0), (20.0, 65.0)]
    contours = [[(x, y, 100 + 3.0 * k) for x, y in box] for k in (3, 4)]
    structure_set(tmp_path / "a" / "rtstruct.dcm", {"LIVER": contours}, series="1.2.3.0")
    dataset = read_dataset(tmp_path)
    _, segmentation = read_case(dataset.cases[0], dataset.structures)
    assert segmentation.mask(1).sum() == 2 * 11 * 16 and not segmentation.labels[:3].any()


def test_such_a_data_set_is_prepared_and_evaluated(dicom_set, tmp_path):
    checkpoint = write_checkpoint(tmp_path / "liver.pt", structures=STRUCTURES)
    done = unetseg_here("prepare", dicom_set, tmp_path / "pack", "--test", 1, "--validation", 1)
    assert done.returncode == 0, done.stderr
    out = tmp_path / "out"
    done = unetseg_here("evaluate", checkpoint, dicom_set, "--output", out, "--predictions")
    assert done.returncode == 0, done.stderr
    assert (out / "metrics.csv").read_text().count("liver") >= 4
    assert unetseg_here("info", dicom_set).returncode == 0


def test_the_review_lists_and_loads_them(dicom_set, tmp_path):
    found = list_cases(dicom_set)
    assert [case.name for case in found.cases] == NAMES and not found.notes
    case = found.cases[1]
    request = {"image": str(case.image), "reference": str(case.reference), "prediction": None, "into": str(tmp_path)}
    structures = [structure.to_json() for structure in found.structures]
    volume, reference, _ = case_from_files(case_to_files(request | {"structures": structures}))
    assert reference.geometry == volume.geometry and np.array_equal(reference.labels, blobs(0)[1])
