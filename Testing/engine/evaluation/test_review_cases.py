"""Folders of scans with references in the layouts that are supported, and the predictions that belong to them."""

import json

import numpy as np
import pytest
from UNetSegmenterLib.engine.errors import InputError
from UNetSegmenterLib.engine.evaluation.review_cases import list_cases
from UNetSegmenterLib.engine.evaluation.verdict import make_verdict, write_reviews
from UNetSegmenterLib.engine.io.geometry import Geometry
from UNetSegmenterLib.engine.io.image_writing import write_volume
from UNetSegmenterLib.engine.io.volume import Volume
from UNetSegmenterLib.engine.labels.seg_nrrd import write_seg_nrrd
from UNetSegmenterLib.engine.labels.segmentation import Segmentation
from UNetSegmenterLib.engine.labels.segmentation_files import write_labelmap
from UNetSegmenterLib.engine.labels.structures import known_structure
from UNetSegmenterLib.engine.worker.review_serialization import (
    case_from_files,
    case_to_files,
    cases_from_json,
    cases_to_json,
)

AWKWARD = 'patient "7", ü 漢'


def touch(folder, *names):
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")


def listed(folder, results=None):
    found = list_cases(folder, results)
    return [(case.name, case.image.name, case.reference and case.reference.name) for case in found.cases], found


def test_the_raw_layout_of_nnunet(tmp_path):
    touch(tmp_path, "imagesTr/b_0000.nii.gz", "labelsTr/b.nii.gz", "imagesTs/a_0000.nii.gz", "imagesTs/a_0001.nii.gz")
    touch(tmp_path, "labelsTs/a.nii.gz", "imagesTs/c_0000.nii.gz", "imagesTs/._c_0000.nii.gz")
    (tmp_path / "dataset.json").write_text('{"labels": {"background": 0, "liver": 1, "kidneys": [2, 3]}}')
    cases, found = listed(tmp_path)
    assert cases == [
        ("a", "a_0000.nii.gz", "a.nii.gz"), ("c", "c_0000.nii.gz", None), ("b", "b_0000.nii.gz", "b.nii.gz"),
    ]  # fmt: skip
    assert [(one.name, one.values) for one in found.structures] == [("liver", (1,)), ("kidneys", (2, 3))]
    assert "1 of 3 cases have no reference" in found.notes[0]


def test_the_decathlon_names_structures_the_other_way_round(tmp_path):
    touch(tmp_path, "imagesTr/x_1.nii.gz", "labelsTr/x_1.nii.gz")
    (tmp_path / "dataset.json").write_text('{"labels": {"0": "background", "1": "spleen"}}')
    cases, found = listed(tmp_path)
    assert cases == [("x_1", "x_1.nii.gz", "x_1.nii.gz")]
    assert [(one.name, one.values) for one in found.structures] == [("spleen", (1,))]


def test_mmwhs_in_folders_of_its_own(tmp_path):
    touch(tmp_path, "ct_train/ct_train_1001_image.nii.gz", "ct_train/ct_train_1001_label.nii.gz")
    touch(tmp_path, "mr_train/mr_train_1001_image.nii.gz", "mr_train/mr_train_1001_label.nii.gz")
    cases, found = listed(tmp_path)
    assert [case[0] for case in cases] == ["ct_train_1001"]
    assert "left atrium" in [one.name for one in found.structures] and "MR" in found.notes[0]


def test_plain_pairs_with_awkward_names(tmp_path):
    touch(
        tmp_path,
        f"{AWKWARD}_image.nii.gz",
        f"{AWKWARD}_label.nii.gz",
        "scans/2.nrrd",
        "labels/2.seg.nrrd",
        "3_label.mha",
    )
    cases, found = listed(tmp_path)
    assert [(name, reference) for name, _, reference in cases] == [
        ("2", "2.seg.nrrd"),
        (AWKWARD, f"{AWKWARD}_label.nii.gz"),
    ]
    assert found.structures is None and "1 references have no scan" in found.notes[0]


def test_predictions_choose_the_cases(tmp_path):
    scans, results = tmp_path / "scans", tmp_path / "scans" / "evaluated"
    touch(scans, "imagesTr/a_0000.nii.gz", "imagesTr/b_0000.nii.gz", "labelsTr/a.nii.gz", "labelsTr/b.nii.gz")
    touch(results, "predictions/b.seg.nrrd")
    (results / "summary.json").write_text(
        json.dumps({"provenance": {"checkpoint": "abdomen8", "checkpoint SHA-256": "01"}})
    )
    found = list_cases(scans, results)
    assert [(case.name, case.prediction) for case in found.cases] == [("b", results / "predictions" / "b.seg.nrrd")]
    assert "1 of 2 cases have no prediction" in found.notes[0] and (found.checkpoint, found.sha256) == (
        "abdomen8",
        "01",
    )
    assert [case.prediction for case in list_cases(scans).cases] == [None, None]
    with pytest.raises(InputError, match="choose it for the results"):
        list_cases(results)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ([], "no scans with references"),
        (["a.txt", "b.pdf"], "expected are imagesTs"),
        (["a.nii.gz", "b.nii.gz"], "no scans with references"),
        (["a_image.nii.gz", "a_label.nii.gz", "a_ct.nii.gz"], "both the image of a"),
        (["imagesTr/a_0000.nii.gz", "imagesTs/a_0000.nii.gz"], "two scans of a"),
    ],
)
def test_what_is_no_test_set_is_one_sentence(tmp_path, names, message):
    touch(tmp_path, *names)
    with pytest.raises(InputError, match=message):
        list_cases(tmp_path)
    with pytest.raises(InputError, match="nowhere"):
        list_cases(tmp_path / "nowhere")


def test_a_folder_of_everything_is_not_searched_for_ever(tmp_path, monkeypatch):
    monkeypatch.setattr("UNetSegmenterLib.engine.evaluation.review_cases.MOST_FILES", 3)
    touch(tmp_path, *(f"{number}.txt" for number in range(5)))
    with pytest.raises(InputError, match="more than 3 files"):
        list_cases(tmp_path)


def test_a_case_and_its_list_go_through_the_worker(tmp_path):
    geometry = Geometry((4, 5, 6), (3.0, 1.5, 1.5), (1.0, 2.0, 3.0))
    array = np.arange(120, dtype=np.int16).reshape(4, 5, 6) - 1000
    labels = (array % 3).astype(np.uint8)
    pair = (known_structure("liver", 1, (6,)), known_structure("spleen", 2, (1,)))
    segmentation = Segmentation(labels, geometry, pair, "made")
    write_volume(Volume(array, geometry), tmp_path / "a_image.nii.gz")
    write_labelmap(segmentation, tmp_path / "a_label.nii.gz")
    write_seg_nrrd(segmentation, tmp_path / "predictions" / "a.seg.nrrd")
    (tmp_path / "structures.json").write_text('{"structures": {"liver": 6, "spleen": 1}}')
    write_reviews(tmp_path / "reviews.csv", {"a": make_verdict("plausible", 'fine, "really"\nyes')})
    found, reviews = cases_from_json(json.loads(json.dumps(cases_to_json(str(tmp_path), ""))))
    assert reviews["a"].comment == 'fine, "really"\nyes'
    (case,) = found.cases
    (tmp_path / "into").mkdir()
    request = {
        "image": str(case.image), "reference": str(case.reference), "prediction": str(case.prediction),
        "structures": [one.to_json() for one in found.structures], "into": str(tmp_path / "into"),
    }  # fmt: skip
    volume, reference, prediction = case_from_files(json.loads(json.dumps(case_to_files(request))))
    assert np.array_equal(volume.array, array) and volume.geometry.is_close(geometry)
    for side in (reference, prediction):
        assert {one.name: int((side.labels == one.index).sum()) for one in side.structures} == {
            "liver": 40,
            "spleen": 40,
        }
