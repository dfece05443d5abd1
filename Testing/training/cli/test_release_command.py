"""A released checkpoint says on which patients it was measured, and figures of patients it was trained on are refused."""

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from unetseg.cli.main import main
from unetseg.cli.release import wrong_ending
from unetseg.data.layouts.detection import read_dataset
from unetseg.data.preprocessed_dataset import read_preprocessed_dataset
from unetseg.training.configuration import TrainingConfig
from unetseg.training.preparation import prepare
from unetseg.training.training_loop import train
from UNetSegmenterLib.engine.io.image_reading import read_volume
from UNetSegmenterLib.engine.labels.segmentation_files import read_segmentation
from UNetSegmenterLib.engine.labels.structures import known_structure
from UNetSegmenterLib.engine.model.checkpoint import load_checkpoint, read_card, save_checkpoint
from UNetSegmenterLib.engine.model.normalisation import Normalisation
from UNetSegmenterLib.engine.plausibility.plausibility_checks import check

from ...engine.checkpoints import small_card, small_weights
from ..datasets import STRUCTURES, write_dataset


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("release")
    dataset = write_dataset(folder / "data")
    prepare(read_dataset(dataset), folder / "preprocessed", window_hu=(-200.0, 300.0), test=["case3"])
    preprocessed = read_preprocessed_dataset(folder / "preprocessed")
    for name, split, steps in (("part", "train", 30), ("all", "all", 30), ("other", "all", 3)):
        config = TrainingConfig(steps=steps, batch_size=4, patch=(32, 32), base_width=4, depth=2, train_split=split)
        train(preprocessed, folder / name, config, device="cpu", validate_every=1000)
    evaluated = ["--cases", "case3", "--output", str(folder / "evaluated"), "--device", "cpu"]
    assert main(["evaluate", str(folder / "part" / "checkpoint.pt"), str(dataset), *evaluated]) == 0
    return folder


def release(folder, run, *options):
    return main(
        [
            "release",
            str(folder / run / "checkpoint.pt"),
            str(folder / "data"),
            f"--evaluated={folder / 'evaluated'}",
            f"--output={folder / 'released.pt'}",
            "--overwrite",
            *options,
        ]
    )


def test_card_says_what_was_measured_and_on_whom(trained):
    options = (
        "--title",
        "Blobs, released",
        "--licence",
        "CC0",
        "--evaluated-checkpoint",
        str(trained / "part" / "checkpoint.pt"),
    )
    assert release(trained, "all", *options) == 0
    card = read_card(trained / "released.pt")
    assert card.title == "Blobs, released"
    assert card.data_licence == "CC0"
    assert card.training["cases"] == ["case0", "case1", "case2", "case3"]
    assert card.validation["all"]["cases"] == ["case3"]
    assert card.validation["all"]["measured"] == "the same training configuration, trained on 3 other patients"
    with (trained / "evaluated" / "metrics.csv").open() as file:
        dice = {row["structure"]: float(row["dice"]) for row in csv.DictReader(file)}
    assert card.validation["liver"]["dice"]["mean"] == pytest.approx(dice["liver"], abs=1e-4)
    summary = json.loads((trained / "evaluated" / "summary.json").read_text())
    over = summary["mean_dice_over_cases"]
    assert card.validation["all"]["dice"] == {"mean": over["mean"], "sd": None, "ci95": None, "n": 1, "over": "cases"}


def test_statistics_are_renewed_and_all_else_stays(trained):
    assert release(trained, "all", "--evaluated-checkpoint", str(trained / "part" / "checkpoint.pt")) == 0
    released, renewed = trained / "released.pt", trained / "renewed.pt"
    stale = load_checkpoint(released)
    save_checkpoint(released, replace(stale.card, statistics={}), stale.weights)
    assert main(["release", str(released), str(trained / "data"), f"--output={renewed}"]) == 0
    again = load_checkpoint(renewed)
    assert again.card == stale.card
    assert all(torch.equal(again.weights[0][name], weight) for name, weight in stale.weights[0].items())


def test_statistics_of_the_card_let_the_training_labels_pass(trained):
    assert release(trained, "all", "--evaluated-checkpoint", str(trained / "part" / "checkpoint.pt")) == 0
    card = read_card(trained / "released.pt")
    assert card.statistics["cases"] == 4
    labels = read_segmentation(trained / "data" / "labelsTr" / "case1.nii.gz", card.structures)
    findings = check(labels, read_volume(trained / "data" / "imagesTr" / "case1_0000.nii.gz"), card.statistics)
    assert [finding for finding in findings if finding.severity == "fail"] == []


@pytest.mark.parametrize(
    ("run", "options", "words"),
    [
        ("all", (), "trained on, so they test nothing"),
        ("other", ("--evaluated-checkpoint", "part"), "another training configuration"),
    ],
)
def test_figures_that_prove_nothing_are_refused(trained, capsys, run, options, words):
    options = [str(trained / "part" / "checkpoint.pt") if option == "part" else option for option in options]
    assert release(trained, run, *options) == 2
    error = capsys.readouterr().err
    assert words in error
    assert error.count("\n") == 1


# --- models of another tool ----------------------------------------------------------------------------------------------


def imported(path, structures, **preprocessing):
    """A model whose card says nothing of its training; returns the path."""
    card = small_card(structures=structures, training={}, validation={"liver": {"dice": {"mean": 0.8}}})
    card = replace(card, preprocessing=replace(card.preprocessing, **preprocessing))
    save_checkpoint(path, card, small_weights(card), half=False)
    return path


def test_an_imported_model_gets_the_statistics_of_a_labelled_data_set(trained, tmp_path, capsys):
    """Structures are matched by their meaning: the model has a kidney more, other values, and another order."""
    liver = replace(known_structure("liver", 1, (40,)), name="hepar")  # known by its terminology
    structures = (liver, known_structure("spleen", 2, (50,)), known_structure("left kidney", 3, (60,)))
    path = imported(tmp_path / "imported.pt", structures)
    before = load_checkpoint(path)
    assert before.weights[0]["exit.weight"].dtype == torch.float32
    assert main(["release", str(path), str(trained / "data"), f"--output={tmp_path / 'released.pt'}"]) == 0
    said = capsys.readouterr()
    assert "has no labels of left kidney: rules of thumb go on serving there" in said.err
    after = load_checkpoint(tmp_path / "released.pt")
    assert after.card == replace(before.card, statistics=after.card.statistics), "nothing else was changed"
    assert all(torch.equal(after.weights[0][name], one) for name, one in before.weights[0].items())
    assert after.weights[0]["exit.weight"].dtype == torch.float32, "full precision stays"
    assert after.card.statistics["cases"] == 4 and set(after.card.statistics["structures"]) == {"hepar", "spleen"}
    own = [read_case(trained, number, after.card) for number in range(4)]
    for labels, scan in own:
        findings = check(labels, scan, after.card.statistics)
        assert not any(finding.severity == "fail" for finding in findings)
        assert {f.structure for f in findings if "4 training cases" in f.sentence} == {"hepar", "spleen"}
    moved = np.roll(own[0][0].labels, 12, axis=2)
    found = check(replace(own[0][0], labels=moved), own[0][1], after.card.statistics)
    assert any("training cases" in finding.sentence for finding in found if finding.severity == "warn")


def read_case(trained, number, card):
    """Labels of a case with the structures of the model."""
    labels = read_segmentation(trained / "data" / "labelsTr" / f"case{number}.nii.gz")
    structures = (card.structures[0], card.structures[1])
    scan = read_volume(trained / "data" / "imagesTr" / f"case{number}_0000.nii.gz")
    return replace(labels, structures=structures), scan


def test_structures_that_training_merged_are_one_of_the_model(trained, tmp_path):
    whole = known_structure("upper abdomen", 1, (1, 2))
    card = small_card(structures=(whole,), training={"data_set": read_dataset(trained / "data").name})
    save_checkpoint(tmp_path / "merged.pt", card, small_weights(card))
    assert main(["release", str(tmp_path / "merged.pt"), str(trained / "data"), f"--output={tmp_path / 'new.pt'}"]) == 0
    measured = read_card(tmp_path / "new.pt").statistics["structures"]
    assert set(measured) == {"upper abdomen"} and measured["upper abdomen"]["measures"]["pieces"]["max"] == 2


@pytest.mark.parametrize("axis", ["coronal", "sagittal"])
def test_statistics_of_a_model_follow_its_slicing_axis(trained, tmp_path, axis):
    path = imported(tmp_path / "imported.pt", STRUCTURES, axis=axis)
    assert main(["release", str(path), str(trained / "data"), f"--output={tmp_path / 'released.pt'}"]) == 0
    statistics = read_card(tmp_path / "released.pt").statistics
    assert statistics["slicing_axis"] == axis
    plain = imported(tmp_path / "plain.pt", STRUCTURES)
    assert main(["release", str(plain), str(trained / "data"), f"--output={tmp_path / 'axial.pt'}"]) == 0
    axial = read_card(tmp_path / "axial.pt").statistics
    assert "slicing_axis" not in axial
    jitters = [one["structures"]["liver"]["measures"]["overlap"]["mean"] for one in (statistics, axial)]
    assert jitters[0] != jitters[1]


def test_a_model_that_reads_no_hu_gets_no_statistics_of_hu(trained, tmp_path):
    path = imported(tmp_path / "imported.pt", STRUCTURES, normalisation=Normalisation("z-score"), intensities="any")
    assert main(["release", str(path), str(trained / "data"), f"--output={tmp_path / 'released.pt'}"]) == 0
    liver = read_card(tmp_path / "released.pt").statistics["structures"]["liver"]
    assert liver["hu"] is None and not {"hu", "drift|depth", "gas"} & set(liver["measures"])
    assert {"volume", "edge"} <= set(liver["measures"])


def test_a_data_set_of_other_structures_is_refused(trained, tmp_path, capsys):
    path = imported(tmp_path / "imported.pt", (known_structure("aorta", 1, (9,)), known_structure("stomach", 2, (8,))))
    assert main(["release", str(path), str(trained / "data"), f"--output={tmp_path / 'released.pt'}"]) == 2
    error = capsys.readouterr().err
    assert "no structure in common" in error and "liver, spleen" in error and "aorta, stomach" in error
    assert not (tmp_path / "released.pt").exists()


def test_a_data_set_without_the_training_cases_is_refused(trained, tmp_path, capsys):
    card = read_card(trained / "all" / "checkpoint.pt")
    checkpoint = load_checkpoint(trained / "all" / "checkpoint.pt")
    other = replace(card, training=card.training | {"cases": ["patient 17"]})
    save_checkpoint(tmp_path / "other.pt", other, checkpoint.weights)
    assert main(["release", str(tmp_path / "other.pt"), str(trained / "data"), f"--output={tmp_path / 'x.pt'}"]) == 2
    assert "none of the cases (1) that" in capsys.readouterr().err


def test_results_of_an_imported_model_say_that_its_training_is_not_known(trained, tmp_path, capsys):
    path, folder = imported(tmp_path / "imported.pt", STRUCTURES), tmp_path / "evaluated"
    tested = [
        "evaluate",
        str(path),
        str(trained / "data"),
        "--cases",
        "case3",
        "--output",
        str(folder),
        "--device",
        "cpu",
    ]
    assert main(tested) == 0
    output = f"--output={tmp_path / 'released.pt'}"
    assert main(["release", str(path), str(trained / "data"), f"--evaluated={folder}", output]) == 0
    validation = read_card(tmp_path / "released.pt").validation
    assert validation["all"]["measured"] == "this model; the cases that it was trained on are not known"
    assert validation["all"]["cases"] == ["case3"]


def test_an_onnx_model_gets_statistics_and_stays_an_onnx_file(trained, tmp_path, capsys):
    onnx = pytest.importorskip("onnx")
    from UNetSegmenterLib.engine.model.architectures import ONNX, NetworkDescription
    from UNetSegmenterLib.engine.model.onnx_graph import read_onnx, write_onnx

    from ...engine.onnx_files import write_onnx_file

    parameters = {
        "input": "slices",
        "output": "result",
        "layout": "NCHW",
        "size": None,
        "activation": "logits",
        "background": True,
    }
    card = small_card(1, STRUCTURES, training={}, validation={}, network=NetworkDescription(ONNX, 1, 3, parameters))
    path = tmp_path / "imported.onnx"
    write_onnx(read_onnx(write_onnx_file(tmp_path / "bare.onnx")), card.to_json(), path)
    released = tmp_path / "released.onnx"
    assert main(["release", str(path), str(trained / "data"), f"--output={released}", "--title", "Blobs"]) == 0
    after = read_card(released)
    assert after == replace(card, title="Blobs", statistics=after.statistics) and after.statistics["cases"] == 4
    before, now = (onnx.load(file) for file in (path, released))
    assert before.graph == now.graph and len(now.metadata_props) == len(before.metadata_props) == 1
    capsys.readouterr()
    assert main(["release", str(path), str(trained / "data"), f"--output={tmp_path / 'released.pt'}"]) == 2
    assert "give the output the ending .onnx" in capsys.readouterr().err


def test_what_the_card_does_not_say_is_named(trained, capsys):
    tested = ("--evaluated-checkpoint", str(trained / "part" / "checkpoint.pt"))
    assert release(trained, "all", *tested) == 0
    warnings = capsys.readouterr().err
    for word in ("--title", "--licence", "--citation"):
        assert word in warnings
    assert "does not end in" not in warnings
    assert release(trained, "all", *tested, "--title", "B", "--licence", "CC0", "--citation", "nobody") == 0
    assert not any(word in capsys.readouterr().err for word in ("--title", "--licence", "--citation"))


@pytest.mark.parametrize(
    ("name", "architecture", "words"),
    [("a.pth", "UNet", "call it a.pt"), ("a", "UNet", "call it a.pt"), ("a.pt", "ONNX", "call it a.onnx")],
)
def test_an_ending_that_does_not_fit_is_named(name, architecture, words):
    card = small_card()
    card = replace(card, network=replace(card.network, architecture=architecture))
    assert words in wrong_ending(Path(name), card)
    assert not wrong_ending(Path(words.removeprefix("call it ")), card)
