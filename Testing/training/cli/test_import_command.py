"""`unetseg import` of ONNX files: the card that it asks for, the file that it writes, what is refused."""

from __future__ import annotations

import os
import re
from pathlib import Path

import numpy as np
import pytest
import yaml
from UNetSegmenterLib.engine.io.image_reading import read_volume
from UNetSegmenterLib.engine.model.checkpoint import load_checkpoint
from UNetSegmenterLib.engine.model.prediction import Predictor

from ...engine.onnx_files import changed, write_onnx_file
from ..card_answers import done, fill_in
from ..command import refused, unetseg, unetseg_here


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    """An empty folder to work in, as a user would."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_card_is_written_filled_in_and_put_into_the_file(folder, scan):
    write_onnx_file(Path("fetal.onnx"), classes=3)
    text = done(unetseg_here("import", "fetal.onnx"))
    for entry in ("activation", "background", "structures", "spacing_mm", "normalisation", "intensities"):
        assert entry in text
    assert "unetseg import fetal.onnx --card card.yaml --output fetal-model.onnx" in text
    card = Path("card.yaml").read_text(encoding="utf-8")
    assert len(re.findall(r"\?\?\?$", card, re.MULTILINE)) + len(re.findall(r"- \?\?\?", card)) == 7
    assert max(map(len, card.splitlines())) < 150
    fill_in()
    text = done(unetseg_here("import", "fetal.onnx", "--card", "card.yaml", "--output", "fetal-model.onnx"))
    assert "fetal-model.onnx: fetal (liver, fat)" in text
    done(unetseg_here("import", "fetal.onnx", "--card", "card.yaml", "--output", "a.onnx", "--title", "Fat of a fetus"))
    assert load_checkpoint("a.onnx").card.title == "Fat of a fetus"
    card = load_checkpoint("fetal-model.onnx").card
    assert [one.name for one in card.structures] == ["liver", "fat"]
    assert card.preprocessing.spacing_mm == (1.5, 1.5)
    assert Predictor(load_checkpoint("fetal-model.onnx")).predict(read_volume(scan)).complete


@pytest.mark.parametrize("size", [(16, 24), (64, 64)])
@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
def test_a_file_of_one_size_gives_the_labels_of_one_of_any_size(folder, scan, size, layout):
    """In patches where the slices are larger, padded where they are smaller; a 1x1 convolution sees no border."""
    weights, labels = np.array([[-1.0], [0.0], [1.0]]), []
    for name, settings in (("any", {}), ("one", {"size": size, "batch": 1, "layout": layout})):
        write_onnx_file(Path(f"{name}.onnx"), weights=weights, **settings)
        done(unetseg_here("import", f"{name}.onnx", "--overwrite"))
        fill_in()
        done(unetseg_here("import", f"{name}.onnx", "--card", "card.yaml", "--output", f"{name}-model.onnx"))
        predictor = Predictor(load_checkpoint(f"{name}-model.onnx"), batch_size=3)
        labels.append(predictor.predict(read_volume(scan)).segmentation.labels)
    assert len(np.unique(labels[0])) == 2  # lines through 0 cross there alone
    assert (labels[0] == labels[1]).mean() > 0.9999


def test_each_answer_that_is_left_out_is_named(folder):
    write_onnx_file(Path("fetal.onnx"), classes=3)
    for name in ("activation", "spacing_mm", "normalisation", "intensities"):
        Path("card.yaml").unlink(missing_ok=True)
        done(unetseg_here("import", "fetal.onnx"))
        fill_in(**{name: "???"})
        refused(unetseg_here("import", "fetal.onnx", "--card", "card.yaml", "--output", "a.onnx"), "card.yaml", name)
    assert not Path("a.onnx").exists()


def test_a_short_card_is_enough(folder):
    write_onnx_file(Path("fetal.onnx"), classes=3, last="Softmax")
    card = {
        "title": "Fetal",
        "structures": ["liver", {"name": "fat", "value": 7, "color": [255, 220, 90]}],
        "preprocessing": {
            "spacing_mm": "as it is",
            "normalisation": {"name": "z-score", "over": "slice"},
            "intensities": "any",
        },
    }
    Path("own.yaml").write_text(yaml.safe_dump(card), encoding="utf-8")
    done(unetseg_here("import", "fetal.onnx", "--card", "own.yaml", "--output", "a.onnx"))
    read = load_checkpoint("a.onnx").card
    assert (read.title, read.structures[1].values, read.structures[1].color) == ("Fetal", (7,), (255, 220, 90))
    assert (read.preprocessing.spacing_mm, read.preprocessing.intensities) == (None, "any")


def test_a_card_that_the_file_has_is_edited_without_questions(folder):
    write_onnx_file(Path("fetal.onnx"), classes=3, last="Softmax")
    done(unetseg_here("import", "fetal.onnx"))
    fill_in()
    done(unetseg_here("import", "fetal.onnx", "--card", "card.yaml", "--output", "a.onnx"))
    text = done(unetseg_here("import", "a.onnx", "--overwrite"))
    assert "nothing unknown" in text
    edited = Path("card.yaml").read_text(encoding="utf-8").replace('title: "fetal"', "title: Second")
    assert "???" not in edited
    Path("card.yaml").write_text(edited, encoding="utf-8")
    done(unetseg_here("import", "a.onnx", "--card", "card.yaml", "--output", "b.onnx"))
    first, second = load_checkpoint("a.onnx").card, load_checkpoint("b.onnx").card
    assert second.title == "Second"
    assert (second.structures, second.preprocessing, second.network) == (
        first.structures,
        first.preprocessing,
        first.network,
    )


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "holds no card"),
        ("- liver\n", "holds no card"),
        ("title: [\n", "can't be read as YAML"),
        ("titel: Fetal\n", '"titel"; did you mean title?'),
        ("preprocessing: {spacing: 2}\n", '"spacing"; did you mean spacing_mm?'),
        ("structures: liver\n", "no list"),
        ("structures: [3, 4]\n", "structure 1"),
        ("structures: [{name: a, index: 2}, {name: b, index: 1}]\n", "structure 1 has the index 2"),
        ("title: 2026-13-01\n", "can't be read as YAML"),
        ("[" * 5000, "can't be read as YAML"),
        ("preprocessing: 3\n", "preprocessing is 3"),
        ("network: 3\n", "network is 3"),
    ],
)
def test_cards_that_are_none_are_refused(folder, content, words):
    write_onnx_file(Path("a.onnx"), classes=3, last="Softmax")
    Path("card.yaml").write_text(content, encoding="utf-8")
    refused(unetseg_here("import", "a.onnx", "--card", "card.yaml", "--output", "b.onnx"), "card.yaml", words)


def test_what_is_there_is_not_replaced(folder):
    write_onnx_file(Path("a.onnx"), classes=3, last="Softmax")
    Path("card.yaml").write_text("mine\n", encoding="utf-8")
    refused(unetseg_here("import", "a.onnx"), "card.yaml is here already")
    assert Path("card.yaml").read_text(encoding="utf-8") == "mine\n"
    done(unetseg_here("import", "a.onnx", "--overwrite"))
    fill_in()
    before = Path("a.onnx").read_bytes()
    refused(unetseg_here("import", "a.onnx", "--card", "card.yaml", "--output", "a.onnx", "--overwrite"), "input")
    assert Path("a.onnx").read_bytes() == before


def test_a_file_without_a_card_does_not_open(folder, scan):
    write_onnx_file(Path("a.onnx"))
    refused(unetseg_here("segment", scan, "--checkpoint", "a.onnx", "--output", "out"), "no card", "unetseg import")


def test_cards_in_a_file_that_do_not_fit_it_do_not_open(folder, scan):
    write_onnx_file(Path("a.onnx"), classes=3, last="Softmax")
    done(unetseg_here("import", "a.onnx"))
    fill_in()
    done(unetseg_here("import", "a.onnx", "--card", "card.yaml", "--output", "b.onnx"))

    def more_classes(model):
        entry = model.metadata_props[0]
        entry.value = entry.value.replace('"layout": "NCHW"', '"layout": "NHWC"')

    changed(Path("b.onnx"), more_classes)
    refused(unetseg_here("segment", scan, "--checkpoint", "b.onnx", "--output", "out"), "NHWC")
    changed(Path("b.onnx"), lambda model: setattr(model.metadata_props[0], "value", "{"))
    refused(unetseg_here("segment", scan, "--checkpoint", "b.onnx", "--output", "out"), "not JSON")


def test_packages_that_are_missing_are_named_with_the_extra(folder):
    write_onnx_file(Path("a.onnx"))
    for package in ("onnx", "onnxruntime"):
        Path("missing").mkdir(exist_ok=True)
        Path("missing/sitecustomize.py").write_text(f"import sys\nsys.modules[{package!r}] = None\n", encoding="utf-8")
        paths = os.pathsep.join([str(Path("missing").absolute()), os.environ.get("PYTHONPATH", "")])
        refused(unetseg("import", "a.onnx", PYTHONPATH=paths), package, 'pip install "unetsegmenter[onnx]"')
