"""Several checkpoints are one ensemble: logits averaged, one file of several folds, a card that knows what each has seen."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from unetseg.data.layouts.detection import read_dataset
from unetseg.data.seen_cases import seen_cases
from unetseg.evaluation.ensemble import CROSS_VALIDATED, load_checkpoints
from unetseg.training.preparation import prepare
from UNetSegmenterLib.engine.errors import InputError
from UNetSegmenterLib.engine.io.image_reading import read_volume
from UNetSegmenterLib.engine.labels.segmentation_files import read_segmentation
from UNetSegmenterLib.engine.model.checkpoint import load_checkpoint, read_card, save_with_card
from UNetSegmenterLib.engine.model.normalisation import window
from UNetSegmenterLib.engine.model.prediction import Predictor

from ...engine.checkpoints import small_card
from ..command import refused, unetseg_here
from ..datasets import STRUCTURES, write_checkpoint, write_dataset, write_scan

TINY = ("--batch-size", 4, "--patch", "32,32", "--base-width", 4, "--depth", 2, "--loss", "cross_entropy")


@pytest.fixture(scope="module")
def folds(tmp_path_factory) -> Path:
    """A folder with a data set of six cases and three folds trained on it."""
    folder = tmp_path_factory.mktemp("ensemble")
    dataset = write_dataset(folder / "data", cases=6)
    prepare(read_dataset(dataset), folder / "preprocessed", window_hu=(-200.0, 300.0), test=0, folds=3)
    done = unetseg_here(
        "cross-validate", folder / "preprocessed", "--output", folder / "cv", "--steps", 30, "--device", "cpu", *TINY
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return folder


def fold_files(folder: Path) -> list[Path]:
    return [folder / "cv" / f"fold{number}" / "checkpoint.pt" for number in range(3)]


@pytest.fixture(scope="module")
def released(folds) -> Path:
    path = folds / "ensemble.pt"
    done = unetseg_here("release", *fold_files(folds), folds / "data", "--output", path, "--title", "Blobs of three")
    assert done.returncode == 0, done.stderr
    return path


def test_logits_are_the_mean_of_the_networks(tmp_path):
    files = [write_checkpoint(tmp_path / f"{seed}.pt", seed) for seed in range(3)]
    slices = torch.randn(2, 3, 24, 24)
    singly = [Predictor(load_checkpoint(file), "cpu", dtype=torch.float32).logits(slices) for file in files]
    together = Predictor(load_checkpoints(files), "cpu", dtype=torch.float32).logits(slices)
    torch.testing.assert_close(together, torch.stack(singly).mean(dim=0), rtol=1e-5, atol=1e-5)
    assert not torch.equal(together, singly[0])


def test_the_order_of_the_files_does_not_change_a_bit(tmp_path):
    files = [write_checkpoint(tmp_path / f"{seed}.pt", seed) for seed in range(3)]
    slices = torch.randn(2, 3, 24, 24)
    one, other = (load_checkpoints(order) for order in (files, files[::-1]))
    assert one.sha256 == other.sha256
    assert torch.equal(*(Predictor(each, "cpu").logits(slices) for each in (one, other)))


def test_one_file_predicts_what_the_folds_predict(folds, released, tmp_path):
    scan = folds / "data" / "imagesTr" / "case0_0000.nii.gz"
    options = ("--device", "cpu")
    several = unetseg_here(
        "segment", "--checkpoint", *fold_files(folds), scan, "--output", tmp_path / "several", *options
    )
    assert several.returncode == 0, several.stderr
    assert "an ensemble of 3 networks" in several.stdout
    assert (
        unetseg_here("segment", scan, "--checkpoint", released, "--output", tmp_path / "one", *options).returncode == 0
    )
    assert unetseg_here(
        "segment", scan, "--checkpoint", fold_files(folds)[0], "--output", tmp_path / "single", *options
    ).returncode == 0  # fmt: skip
    labels = {
        name: read_segmentation(tmp_path / name / "case0.seg.nrrd").labels for name in ("several", "one", "single")
    }
    np.testing.assert_array_equal(labels["several"], labels["one"])
    assert labels["one"].any()
    assert (labels["one"] != labels["single"]).any()


def test_card_says_who_was_trained_on_what(folds, released):
    card = read_card(released)
    assert len(load_checkpoint(released).weights) == 3
    assert card.title == "Blobs of three"
    cases = {f"case{number}" for number in range(6)}
    assert {one.name for one in seen_cases(card) if one.role == "trained"} == cases
    assert set(card.training["cases"]) == cases
    assert card.statistics["cases"] == 6
    members = card.training["ensemble"]
    assert [set(member["cases"]) for member in members] == [
        set(read_card(file).training["cases"]) for file in fold_files(folds)
    ]
    assert [member["sha256"] for member in members] == [load_checkpoint(file).sha256 for file in fold_files(folds)]


def test_figures_are_those_of_the_cross_validation(folds, released):
    card = read_card(released)
    summary = json.loads((folds / "cv" / "summary.json").read_text())["structures"]
    for name, expected in summary.items():
        dice = card.validation[name]["dice"]
        assert dice["n"] == expected["n"] == 6
        assert dice["mean"] == pytest.approx(expected["mean"], abs=1e-5)
        assert dice["sd"] == pytest.approx(expected["sd"], abs=1e-5)
    assert card.validation["all"]["measured"] == CROSS_VALIDATED
    shown = unetseg_here("info", released).stdout
    assert "ensemble of 3 networks" in shown
    assert "others of the ensemble were" in " ".join(shown.split())


def test_same_patients_are_not_counted_twice(tmp_path):
    seen = [{"name": "case9", "data_set": "d", "role": "validated"}, {"name": "case1", "data_set": "d"}]
    validation = {"liver": {"dice": {"mean": 0.5, "sd": None, "n": 1}}}
    files = [
        write_checkpoint(tmp_path / f"{seed}.pt", seed, training={"seen_cases": seen}, validation=validation)
        for seed in range(2)
    ]
    card = load_checkpoints(files).card
    assert card.validation == {}
    assert [member["validation"] for member in card.training["ensemble"]] == [validation] * 2


def test_an_evaluated_ensemble_is_released_with_its_own_figures(folds, tmp_path):
    unseen = write_dataset(tmp_path / "unseen", cases=8)
    files = fold_files(folds)
    options = ("--cases", "case6,case7", "--device", "cpu", "--workers", 2)
    done = unetseg_here("evaluate", *files, "--output", tmp_path / "evaluated", unseen, *options)
    assert done.returncode == 0, done.stderr
    assert "fold0/checkpoint.pt + fold1/checkpoint.pt" in (tmp_path / "evaluated" / "summary.json").read_text()
    release = ("release", *files[::-1], folds / "data", "--evaluated", tmp_path / "evaluated")
    assert unetseg_here(*release, "--output", tmp_path / "released.pt").returncode == 0
    overall = read_card(tmp_path / "released.pt").validation["all"]
    assert overall["cases"] == ["case6", "case7"]
    assert overall["measured"] == "this checkpoint"
    refused(
        unetseg_here("release", *files[:2], folds / "data", "--evaluated", tmp_path / "evaluated", "--output", "x.pt"),
        "name the one that was evaluated",
    )


def test_cases_that_one_member_was_trained_on_are_named(folds, tmp_path):
    files = fold_files(folds)[:2]
    done = unetseg_here(
        "evaluate", *files, folds / "data", "--output", tmp_path / "out", "--cases", "case0", "--device", "cpu"
    )
    assert done.returncode == 0, done.stderr
    assert "1 of 1 cases were trained on" in done.stderr


def other_spacing():
    return {"preprocessing": replace(small_card().preprocessing, spacing_mm=(1.0, 1.0))}


def other_window():
    return {"preprocessing": replace(small_card().preprocessing, normalisation=window(-100.0, 300.0))}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (other_spacing(), ("spacing_mm", "1.0, 1.0", "2.0, 2.0")),
        (other_window(), ("normalisation", "-160 to 240", "-100 to 300")),
        ({"structures": STRUCTURES}, ("structures", "spleen 7")),
        ({"input_slices": 1}, ("input_slices", "3 and 1")),
        ({"postprocessing": ({"keep_largest_component_of": [1]},)}, ("postprocessing", "none and {")),
        ({"training": {"cases": ["case0"]}}, ("training cases", "not named and named")),
    ],
)
def test_what_differs_is_named(tmp_path, changes, words):
    files = [write_checkpoint(tmp_path / "a.pt"), write_checkpoint(tmp_path / "b.pt", 1, **changes)]
    with pytest.raises(InputError) as refusal:
        load_checkpoints(files)
    for word in ("a.pt", "b.pt", *words):
        assert word in str(refusal.value)


def test_the_same_file_twice_is_refused(tmp_path):
    file = write_checkpoint(tmp_path / "a.pt")
    (tmp_path / "copy.pt").write_bytes(file.read_bytes())
    with pytest.raises(InputError, match="are the same checkpoint"):
        load_checkpoints([file, tmp_path / "copy.pt"])


def test_a_network_that_two_files_share_is_refused(tmp_path):
    files = [write_checkpoint(tmp_path / f"{seed}.pt", seed) for seed in range(3)]
    both = load_checkpoints(files[:2])
    for name, member in (("both.pt", both), ("released.pt", load_checkpoint(files[0]))):
        save_with_card(member, replace(member.card, title="released"), tmp_path / name)
        with pytest.raises(InputError, match=rf"0.pt and .*{name} hold the same network, which would count twice"):
            load_checkpoints([files[0], tmp_path / name])
    assert len(load_checkpoints([tmp_path / "both.pt", files[2]]).weights) == 3


@pytest.mark.parametrize(
    "dice", [None, 3, {"mean": "x", "n": 2}, {"mean": 0.5, "n": "2"}, {"mean": 0.5, "n": 2, "sd": "x"}]
)
def test_figures_and_recipes_of_another_kind_are_left_out(tmp_path, dice):
    files = []
    for seed in range(2):
        seen = [
            {"name": name, "data_set": "d", "role": role}
            for name, role in ((f"v{seed}", "validated"), ("t", "trained"))
        ]
        card = {
            "training": {"recipe": seed + 3, "seen_cases": seen},
            "validation": {"liver": {"dice": dice}, "spleen": dice},
        }
        files.append(write_checkpoint(tmp_path / f"{seed}.pt", seed, structures=STRUCTURES, **card))
    card = load_checkpoints(files).card
    assert card.validation["liver"]["dice"] == {"n": 0}
    assert "recipe" not in card.training


def test_scans_behind_the_checkpoints_are_scans(tmp_path):
    files = [write_checkpoint(tmp_path / f"{seed}.pt", seed) for seed in range(2)]
    scan = write_scan(tmp_path / "scan.nii.gz")
    for given in (
        ("--checkpoint", *files),
        ("--checkpoint", files[0], "--checkpoint", files[1]),
        (f"--checkpoint={files[0]}",),
    ):
        done = unetseg_here("segment", *given, scan, "--output", tmp_path / "out", "--device", "cpu", "--overwrite")
        assert done.returncode == 0, done.stderr
        assert ("ensemble of 2" in done.stdout) == (len(given) > 1)
    assert read_volume(scan).array.shape == read_segmentation(tmp_path / "out" / "scan.seg.nrrd").labels.shape


def test_a_run_starts_from_the_first_network_of_an_ensemble(folds, released, tmp_path):
    options = ("--steps", 1, "--learning-rate", 0, "--weight-decay", 0, "--ema", 0, "--device", "cpu", *TINY)
    run = tmp_path / "run"
    done = unetseg_here("train", folds / "preprocessed", "--output", run, "--start-from", released, *options)
    assert done.returncode == 0, done.stderr
    assert "holds 3 networks: the run begins with the first" in " ".join(done.stderr.split())
    parent, weights = load_checkpoint(released), load_checkpoint(run / "checkpoint.pt").weights[0]
    learnt = [name for name in weights if name.endswith(("weight", "bias"))]
    assert all(torch.equal(weights[name], parent.weights[0][name]) for name in learnt)
    assert not all(torch.equal(weights[name], parent.weights[1][name]) for name in learnt)


def test_folds_are_released_with_what_their_cross_validation_decided(folds, tmp_path):
    released = tmp_path / "released.pt"
    done = unetseg_here(
        "release", *fold_files(folds), folds / "data", "--cross-validated", folds / "cv", "--output", released
    )
    assert done.returncode == 0, done.stderr
    card = read_card(released)
    decided = json.loads((folds / "cv" / "postprocessing.json").read_text())
    assert [dict(step) for step in card.postprocessing] == decided["steps"]
    assert sorted(card.validation["all"]["cases"]) == [f"case{number}" for number in range(6)]
    assert "3 networks" in card.validation["all"]["measured"]
