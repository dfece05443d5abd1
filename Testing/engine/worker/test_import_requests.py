"""What the panel asks the worker about a model that is imported: a real ONNX file from its draft to labels of a scan."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from UNetSegmenterLib.engine.io.geometry import Geometry
from UNetSegmenterLib.engine.model.checkpoint import load_checkpoint
from UNetSegmenterLib.engine.worker.image_serialization import geometry_to_json
from UNetSegmenterLib.engine.worker.service import Service

from ..onnx_files import write_onnx_file

GRID = Geometry((6, 40, 32), (3.0, 2.0, 2.0))


@pytest.fixture
def ask():
    """Ask a service in this process; returns the last answer, its type among the fields."""
    answers = []
    service = Service(lambda request_id, type_, **fields: answers.append(fields | {"type": type_}))

    def asked(**request):
        service.answer({"id": 1, **request})
        return json.loads(json.dumps(answers[-1]))  # as it comes through the pipe

    return asked


@pytest.fixture
def model(tmp_path) -> Path:
    return write_onnx_file(tmp_path / "fetal.onnx", classes=3, weights=np.array([[-1.0], [0.0], [1.0]]))


def filled(card):
    """The card as the panel's form leaves it."""
    card["structures"][1]["name"], card["structures"][2]["name"] = "liver", "fat"
    card["preprocessing"] |= {
        "spacing_mm": None,
        "normalisation": {"name": "window", "clip": [-100, 100], "range": [-1, 1]},
        "intensities": "HU",
    }
    card["network"]["parameters"] |= {"activation": "logits", "background": True}
    return card


def image(folder):
    values = np.random.default_rng(0).normal(0, 80, GRID.shape).astype(np.int16)
    path = folder / "image.raw"
    values.tofile(path)
    return values, {"path": str(path), "dtype": "int16"}


def test_a_model_is_described_previewed_imported_and_opened(ask, model, tmp_path):
    draft = ask(do="describe_import", path=str(model))
    assert (draft["type"], draft["kind"]) == ("result", "ONNX")
    assert {one["entry"] for one in draft["unknown"]} >= {"structures", "preprocessing.spacing_mm"}
    card = filled(draft["card"])
    _, scan = image(tmp_path)
    into = tmp_path / "preview"
    into.mkdir()
    preview = ask(
        do="preview_import",
        path=str(model),
        card=card,
        image=scan,
        geometry=geometry_to_json(GRID),
        slice=None,
        into=str(into),
    )
    assert preview["type"] == "result", preview
    assert Path(preview["labels"]).read_bytes().startswith(b"\x89PNG")
    output = tmp_path / "fetal-brain.onnx"
    assert ask(do="import", path=str(model), card=card, output=str(output))["type"] == "result"
    assert [one.name for one in load_checkpoint(output).card.structures] == ["liver", "fat"]
    assert ask(do="describe", checkpoint=str(output))["card"]["network"]["architecture"] == "ONNX"


def test_an_imported_model_segments_in_the_worker(ask, model, tmp_path):
    card = filled(ask(do="describe_import", path=str(model))["card"])
    output = tmp_path / "fetal-brain.onnx"
    ask(do="import", path=str(model), card=card, output=str(output))
    values, scan = image(tmp_path)
    labels = tmp_path / "labels.raw"
    np.zeros(GRID.shape, np.uint8).tofile(labels)
    answer = ask(
        do="segment",
        checkpoint=str(output),
        device="auto",
        image=scan,
        geometry=geometry_to_json(GRID),
        labels=str(labels),
    )
    assert answer["complete"], answer
    assert answer["device"] == "cpu (ONNX Runtime)"
    found = np.fromfile(labels, np.uint8).reshape(GRID.shape)
    clear = values != 0  # at 0 all three classes are equal
    assert np.array_equal(found[clear], np.where(values > 0, 2, 0)[clear])


@pytest.mark.parametrize("package", ["onnx", "onnxruntime"])
def test_a_missing_package_is_said_so_that_the_panel_can_ask_for_it(ask, model, monkeypatch, package):
    monkeypatch.setitem(sys.modules, package, None)
    answer = ask(do="describe_import", path=str(model))
    assert (answer["type"], answer["kind"]) == ("error", "missing")
    assert "onnxruntime" in answer["message"]


def test_a_card_that_does_not_fit_is_refused_in_one_sentence(ask, model, tmp_path):
    card = filled(ask(do="describe_import", path=str(model))["card"])
    card["network"]["parameters"]["activation"] = "softmax"
    output = tmp_path / "fetal-brain.onnx"
    answer = ask(do="import", path=str(model), card=card, output=str(output))
    assert (answer["type"], answer["kind"], answer["details"]) == ("error", "input", "")
    assert '"logits" is meant' in answer["message"]
    assert not output.exists()
