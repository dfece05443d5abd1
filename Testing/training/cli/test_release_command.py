"""A released checkpoint says on which patients it was measured, and figures of patients it was trained on are refused."""

import csv
import json
from dataclasses import replace

import pytest
import torch
from unetseg.cli.main import main
from unetseg.data.layouts.detection import read_dataset
from unetseg.data.preprocessed_dataset import read_preprocessed_dataset
from unetseg.training.configuration import TrainingConfig
from unetseg.training.preparation import prepare
from unetseg.training.training_loop import train
from UNetSegmenterLib.engine.io.image_reading import read_volume
from UNetSegmenterLib.engine.labels.segmentation_files import read_segmentation
from UNetSegmenterLib.engine.model.checkpoint import load_checkpoint, read_card, save_checkpoint
from UNetSegmenterLib.engine.plausibility.plausibility_checks import check

from ..datasets import write_dataset


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
