"""What the worker answers on two segmentations: the comparison and the checks of the engine in this process."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from UNetSegmenterLib.engine.evaluation.comparison import compare
from UNetSegmenterLib.engine.io.geometry import Geometry
from UNetSegmenterLib.engine.io.volume import Volume
from UNetSegmenterLib.engine.labels.segmentation import Segmentation
from UNetSegmenterLib.engine.labels.structures import known_structure
from UNetSegmenterLib.engine.plausibility.finding import Finding
from UNetSegmenterLib.engine.plausibility.plausibility_checks import check
from UNetSegmenterLib.engine.plausibility.training_statistics import training_statistics
from UNetSegmenterLib.engine.worker import image_serialization, result_serialization

from .conversation import Conversation

PAIR = (known_structure("liver", 1, (1,)), known_structure("spleen", 2, (2,)))


def ball(shape, middle, radius):
    grid = np.ogrid[tuple(slice(0, size) for size in shape)]
    return sum((axis - at) ** 2 for axis, at in zip(grid, middle, strict=True)) < radius**2


@pytest.fixture
def sides():
    """Prediction on a grid of its own, shifted, without a spleen, with an overlap; and the reference."""
    geometry = Geometry((20, 40, 44), (3.0, 1.5, 1.5), (5.0, -7.0, 11.0))
    labels = np.zeros(geometry.shape, np.uint8)
    labels[ball(geometry.shape, (10, 20, 14), 7)] = 1
    reference = Segmentation(labels.copy(), geometry, PAIR, "reference")
    reference.labels[ball(geometry.shape, (10, 20, 32), 5)] = 2
    labels[ball(geometry.shape, (10, 20, 16), 7)] = 1
    overlap = np.flatnonzero(labels)[:50]
    moved = Geometry(geometry.shape, (3.0, 1.5, 1.5), (6.0, -7.0, 11.0))
    prediction = Segmentation(
        labels, moved, (*PAIR, known_structure("stomach", 3, (3,))), "prediction", overlaps={2: overlap}
    )
    return prediction, reference


def written(segmentation, folder, stem):
    steps = image_serialization.segmentation_steps(segmentation, folder, stem)
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value


def conversation(**request):
    """All answers to one request as the other side reads them."""
    with Conversation() as worker:
        answers = [worker.ask(id=1, **request)]
        while answers[-1]["type"] == "progress":
            answers.append(worker.hear())
    return answers


def test_blocks_make_the_whole_array(tmp_path, monkeypatch):
    array = np.arange(5 * 6 * 7, dtype=np.int32).reshape(5, 6, 7)
    monkeypatch.setattr(image_serialization, "BLOCK_BYTES", array[0].nbytes * 2)
    steps = image_serialization.array_steps(array, tmp_path / "a.raw", "<i2")
    pieces = 0
    while True:
        try:
            next(steps)
            pieces += 1
        except StopIteration as end:
            entry = end.value
            break
    assert pieces == 3
    assert np.array_equal(np.fromfile(entry["path"], entry["dtype"]).reshape(array.shape), array)


def test_the_worker_compares_as_the_engine_does(sides, tmp_path):
    files = {side: written(one, tmp_path, side) for side, one in zip(("prediction", "reference"), sides, strict=True)}
    *progress, result = conversation(do="compare", case="CT", **json.loads(json.dumps(files)))
    assert [(one["done"], one["total"]) for one in progress] == [(1, 2), (2, 2)]
    made, own = result_serialization.comparison_from_json(result), compare(*sides, case="CT")
    assert made.rows == own.rows and made.notes == own.notes and made.complete
    assert {row.status for row in made.rows} == {"ok", "unmatched"} and "another grid" in made.notes[0]
    assert made.rows[0].curve.worst_first() == own.rows[0].curve.worst_first()


def test_the_worker_checks_as_the_engine_does(sides, tmp_path):
    _, reference = sides
    hu = np.where(reference.labels > 0, 80, -60).astype("<i2")
    (tmp_path / "hu.raw").write_bytes(hu.tobytes())
    statistics = training_statistics([(reference, Volume(hu, reference.geometry))] * 4)
    (tmp_path / "statistics.json").write_text(json.dumps(statistics))
    unsure = {structure.index: 0.3 for structure in PAIR}
    reference = replace(reference, confidence=unsure)  # as a prediction would bring it
    broken = Segmentation(reference.labels[::-1].copy() * 0, reference.geometry, PAIR, "broken")
    files = [written(one, tmp_path, str(number)) for number, one in enumerate((broken, reference))]
    image = {"path": str(tmp_path / "hu.raw"), "dtype": "<i2"}
    statistics_path = str(tmp_path / "statistics.json")
    *progress, result = conversation(do="check", segmentations=files, image=image, statistics=statistics_path)
    assert [one["done"] for one in progress] == [1, 2] and result["complete"]
    for plain, segmentation in zip(result["findings"], (broken, reference), strict=True):
        own = check(segmentation, Volume(hu, segmentation.geometry), json.loads(json.dumps(statistics)))
        assert [Finding.from_json(one) for one in plain] == own
    assert any(one["severity"] != "pass" for one in result["findings"][0])
    assert any(one["check"] == "confidence" and one["severity"] == "fail" for one in result["findings"][1])


def test_what_cannot_be_compared_is_one_sentence(sides, tmp_path):
    prediction, reference = sides
    far = Geometry(prediction.geometry.shape, (3.0, 1.5, 1.5), (5000.0, 0.0, 0.0))
    files = {
        "prediction": written(Segmentation(prediction.labels, far, PAIR, "far"), tmp_path, "p"),
        "reference": written(reference, tmp_path, "r"),
    }
    answer = conversation(do="compare", **files)[-1]
    assert answer["type"] == "error" and answer["kind"] == "input" and "don't overlap" in answer["message"]
    files["prediction"]["labels"] = str(tmp_path / "gone.raw")
    answer = conversation(do="compare", **files)[-1]
    assert answer["kind"] == "input" and answer["message"].startswith("The comparison stopped")
    assert "gone.raw" in answer["message"]
