"""Requests that need no network, asked of a service in this process: real files in, real files out, cancelled in time."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest
from UNetSegmenterLib.engine.evaluation.comparison import compare
from UNetSegmenterLib.engine.evaluation.verdict import make_verdict, write_reviews
from UNetSegmenterLib.engine.io.geometry import Geometry
from UNetSegmenterLib.engine.io.image_reading import read_volume
from UNetSegmenterLib.engine.io.image_writing import png_bytes, write_volume
from UNetSegmenterLib.engine.io.volume import Volume
from UNetSegmenterLib.engine.labels.segmentation import Segmentation
from UNetSegmenterLib.engine.labels.segmentation_files import read_segmentation, write_labelmap
from UNetSegmenterLib.engine.labels.structures import known_structure
from UNetSegmenterLib.engine.plausibility.plausibility_checks import check
from UNetSegmenterLib.engine.report.report_folder import CaseImages, CaseReport
from UNetSegmenterLib.engine.stepwise import run_to_end
from UNetSegmenterLib.engine.worker.image_serialization import array_steps, segmentation_steps
from UNetSegmenterLib.engine.worker.result_serialization import comparison_from_json, report_steps
from UNetSegmenterLib.engine.worker.review_serialization import case_from_files, cases_from_json
from UNetSegmenterLib.engine.worker.service import Service

from ..images import body

PAIR = (known_structure("liver", 1, (1,)), known_structure("spleen", 2, (2,)))
HU, LABELS = body()
GRID = Geometry(HU.shape, (5.0, 3.0, 3.0), (-70.0, -60.0, 10.0))
SCAN, REFERENCE = Volume(HU, GRID, "CT"), Segmentation(LABELS, GRID, PAIR, "reference")
PREDICTION = Segmentation(np.roll(LABELS, 1, axis=2), GRID, PAIR, "prediction")


class Asked:
    """A service in this process, and all that it answered, as it comes through the pipe."""

    def __init__(self):
        self.answers = []
        self.cancel_at_progress = False
        self.service = Service(self.heard)

    def heard(self, request_id, type_, **fields):
        self.answers.append(json.loads(json.dumps(fields | {"type": type_})))
        if type_ == "progress" and self.cancel_at_progress:
            self.service.cancel(request_id)

    def __call__(self, **request):
        self.service.answer({"id": 1, **json.loads(json.dumps(request))})
        return self.answers[-1]


@pytest.fixture
def ask():
    return Asked()


def written(segmentation, folder, stem):
    return run_to_end(segmentation_steps(segmentation, folder, stem))


@pytest.fixture
def report(tmp_path):
    """What the panel writes for a report: comparison, findings, verdict, a picture and images."""
    comparison = compare(PREDICTION, REFERENCE, case="case 7")
    picture = png_bytes(np.zeros((2, 2, 3), np.uint8))
    made = CaseReport(
        comparison, check(PREDICTION, SCAN), make_verdict("plausible", "fine\nreally", "A"), {"Model": "Tiny"},
        (("A view", picture),), CaseImages(SCAN, PREDICTION, REFERENCE), "compared with textbooks",
    )  # fmt: skip
    (tmp_path / "private").mkdir()
    return run_to_end(report_steps(made, tmp_path / "private"))


def test_a_report_holds_what_the_panel_wrote(ask, report, tmp_path):
    answer = ask(do="report", report=report, folder=str(tmp_path / "out"))
    assert answer["type"] == "result", answer
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert answer["path"] == str(tmp_path / "out" / "report.html")
    for text in ("case 7", "A view", "really", "Tiny", "Compared with textbooks", "<canvas"):
        assert text in page, text
    rows = list(csv.DictReader((tmp_path / "out" / "metrics.csv").open(encoding="utf-8-sig", newline="")))
    own = compare(PREDICTION, REFERENCE)
    assert [(row["structure"], float(row["dice"])) for row in rows] == [
        (row.structure, pytest.approx(row.measures.dice, abs=1e-4)) for row in own.rows
    ]


def test_a_report_without_findings_verdict_pictures_and_images_is_written_too(ask, tmp_path):
    words = run_to_end(report_steps(CaseReport(compare(PREDICTION, REFERENCE)), tmp_path))
    assert ask(do="report", report=words, folder=str(tmp_path / "out"))["type"] == "result"
    assert "<canvas" not in (tmp_path / "out" / "report.html").read_text(encoding="utf-8")


@pytest.mark.parametrize("when", ["before", "while the pictures are drawn"])
def test_a_report_that_is_cancelled_writes_nothing(ask, report, tmp_path, when, monkeypatch):
    if when == "before":
        ask.service.cancel(1)
    else:
        from UNetSegmenterLib.engine.report import report_folder

        drawn = report_folder.slice_pictures

        def draw(*arguments):
            ask.service.cancel(1)
            return drawn(*arguments)

        monkeypatch.setattr(report_folder, "slice_pictures", draw)
    answer = ask(do="report", report=report, folder=str(tmp_path / "out"))
    assert (answer["type"], answer["complete"]) == ("result", False)
    assert not (tmp_path / "out").exists()
    assert ask(do="hello")["type"] == "result", "a cancel is of one request"


def test_a_check_that_is_cancelled_answers_with_what_is_done(ask, tmp_path):
    files = [written(one, tmp_path, one.name) for one in (PREDICTION, REFERENCE)]
    whole = ask(do="check", segmentations=files)
    assert whole["complete"] and len(whole["findings"]) == 2
    ask.cancel_at_progress = True
    part = ask(do="check", segmentations=files)
    assert not part["complete"] and part["findings"] == whole["findings"][:1]


def test_a_comparison_that_is_cancelled_says_so(ask, tmp_path):
    sides = {one.name: written(one, tmp_path, one.name) for one in (PREDICTION, REFERENCE)}
    ask.cancel_at_progress = True
    answer = ask(do="compare", **sides)
    assert (answer["type"], answer["complete"]) == ("result", False)
    assert [row.structure for row in comparison_from_json(answer).rows if row.measures] == ["liver"]


@pytest.fixture
def test_set(tmp_path):
    """A folder in nnU-Net's layout with a prediction and a review of its one case."""
    folder = tmp_path / "set ü"
    folder.mkdir()
    (folder / "dataset.json").write_text('{"labels": {"background": 0, "liver": 1, "spleen": 2}}')
    write_volume(SCAN, folder / "imagesTr" / "a_0000.nii.gz")
    write_labelmap(REFERENCE, folder / "labelsTr" / "a.nii.gz")
    write_labelmap(PREDICTION, folder / "results" / "predictions" / "a.nii.gz")
    write_reviews(folder / "results" / "reviews.csv", {"a": make_verdict("implausible", "no", "B")})
    return folder


def test_a_case_of_a_test_set_is_listed_and_read(ask, test_set, tmp_path):
    listed = ask(do="cases", folder=str(test_set), results=str(test_set / "results"))
    found, reviews = cases_from_json(listed)
    assert [case.name for case in found.cases] == ["a"] and reviews["a"].score == "implausible"
    (case,) = found.cases
    structures = [one.to_json() for one in found.structures]
    for sides in (("reference", "prediction"), ("reference",), ("prediction",), ()):
        paths = {side: str(getattr(case, side)) if side in sides else None for side in ("reference", "prediction")}
        answer = ask(do="load", image=str(case.image), structures=structures, into=str(tmp_path), **paths)
        volume, *read = case_from_files(answer)
        assert np.array_equal(volume.array, HU)
        for side, one, made in zip(("reference", "prediction"), read, (REFERENCE, PREDICTION), strict=True):
            assert (one is not None) == (side in sides)
            assert one is None or np.array_equal(one.labels, made.labels)


def test_a_corrected_case_is_saved_with_its_origin(ask, tmp_path):
    image = run_to_end(array_steps(HU, tmp_path / "scan.raw", "<i2"))
    fields = {
        "labels": written(PREDICTION, tmp_path, "labels"), "image": image, "name": "case_1",
        "folder": str(tmp_path / "set"), "origin": {"corrected_by": "A"}, "replace": False,
    }  # fmt: skip
    answer = ask(do="save_case", **fields)
    assert answer["complete"] and answer["cases"] == 1, answer
    assert np.array_equal(read_volume(answer["image"]).array, HU)
    assert np.array_equal(read_segmentation(answer["labels"], PAIR).labels, PREDICTION.labels)
    assert "corrected_by" in (tmp_path / "set" / "dataset.json").read_text(encoding="utf-8")
    again = ask(do="save_case", **fields)
    assert (again["type"], again["kind"]) == ("error", "input") and "case_1" in again["message"]
    assert ask(do="save_case", **fields | {"replace": True})["complete"]


@pytest.mark.parametrize("do", ["load", "save_case", "report", "preview_import", "import"])
def test_what_is_cancelled_before_its_turn_touches_no_file(ask, do, tmp_path):
    """The files that it names are not there, so whatever was read would be an error."""
    gone = str(tmp_path / "gone")
    ask.service.cancel(1)
    answer = ask(do=do, image=gone, report={}, folder=gone)
    assert (answer["type"], answer["complete"], answer["slices_done"]) == ("result", False, 0)
    assert not list(tmp_path.iterdir())
