"""No patient is tested who was trained on, by the checkpoint or an ancestor, under whatever name: real runs of few steps."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from unetseg.cli.main import main
from unetseg.data.preprocessed_dataset import read_preprocessed_dataset
from unetseg.data.seen_cases import (
    CaseIdentity,
    SeenCase,
    find_overlap,
    lacks_hashes,
    seen_cases,
    voxels_sha256,
    without_duplicates,
)
from unetseg.evaluation.leakage import seen_in_training
from unetseg.training.training_card import label_statistics
from UNetSegmenterLib.engine.errors import InputError
from UNetSegmenterLib.engine.io.geometry import Geometry
from UNetSegmenterLib.engine.io.image_reading import read_volume
from UNetSegmenterLib.engine.io.image_writing import write_image, write_volume
from UNetSegmenterLib.engine.io.volume import Volume
from UNetSegmenterLib.engine.model.checkpoint import (
    load_checkpoint,
    read_card,
    save_checkpoint,
    shipped_checkpoints,
)
from UNetSegmenterLib.panel.widgets.card_text import card_html

from ...engine.checkpoints import small_card
from ..datasets import blobs

SMALL = ("--steps=2", "--batch-size=2", "--patch=32,32", "--base-width=4", "--depth=2", "--device=cpu")


def write_cases(folder: Path, seeds: dict[str, int], turned: tuple[str, ...] = (), name: str = "Blobs") -> Path:
    """nnU-Net raw layout of one phantom per name; those in `turned` in another orientation and as float32."""
    for case, seed in seeds.items():
        hu, labels = blobs(seed)
        geometry = Geometry(hu.shape, (3.0, 2.0, 2.0), (10.0, 0.0, 0.0))
        image, label = folder / "imagesTr" / f"{case}_0000.nii.gz", folder / "labelsTr" / f"{case}.nii.gz"
        write_volume(Volume(hu, geometry), image)
        write_image(labels, geometry, label)
        if case in turned:
            for path, kind in ((image, sitk.sitkFloat32), (label, sitk.sitkUInt8)):
                sitk.WriteImage(sitk.Cast(sitk.DICOMOrient(sitk.ReadImage(str(path)), "RAS"), kind), str(path))
    labels_of = {"background": 0, "liver": 1, "spleen": 2}
    description = {"name": name, "channel_names": {"0": "CT"}, "labels": labels_of, "numTraining": len(seeds)}
    (folder / "dataset.json").write_text(json.dumps(description | {"file_ending": ".nii.gz"}))
    return folder


def run(*arguments) -> int:
    return main([str(argument) for argument in arguments])


def prepare_and_train(folder: Path, dataset: Path, test: str, *options) -> Path:
    preprocessed, output = folder / f"{dataset.name}-preprocessed", folder / f"{dataset.name}-run"
    assert run("prepare", dataset, preprocessed, f"--test={test}", "--window=-200,300") == 0
    assert run("train", preprocessed, "--output", output, *SMALL, *options) == 0
    return output / "checkpoint.pt"


@pytest.fixture(scope="module")
def family(tmp_path_factory) -> dict[str, Path]:
    """A parent trained on a0 to a3; a child on new patients, with a1 under another name, turned, among its test patients."""
    folder = tmp_path_factory.mktemp("family")
    first = write_cases(folder / "first", {"a0": 0, "a1": 1, "a2": 2, "a3": 3})
    second = write_cases(folder / "second", {"b0": 10, "b1": 11, "b2": 12, "other": 1}, ("other",), "Elsewhere")
    parent = prepare_and_train(folder, first, "0")
    child = prepare_and_train(folder, second, "other,b2", "--start-from", parent)
    return {"folder": folder, "first": first, "second": second, "parent": parent, "child": child}


def evaluate(checkpoint: Path, dataset: Path, out: Path, *options) -> dict:
    assert run("evaluate", checkpoint, dataset, "--output", out, "--device=cpu", "--workers=1", *options) == 0
    return json.loads((out / "summary.json").read_text())


# --- recognising -------------------------------------------------------------------------------------------------------


def test_a_scan_is_recognised_whatever_file_holds_it(family, tmp_path):
    original = read_volume(family["first"] / "imagesTr" / "a1_0000.nii.gz")
    turned = read_volume(family["second"] / "imagesTr" / "other_0000.nii.gz")
    assert original.geometry.orientation() != turned.geometry.orientation()
    assert voxels_sha256(original) == voxels_sha256(turned)
    moved = replace(original, geometry=replace(original.geometry, origin_lps=(0.0, 1.0, 2.0)))
    assert voxels_sha256(moved) == voxels_sha256(original)
    changed = original.array.copy()
    changed[3, 3, 3] += 1
    assert voxels_sha256(replace(original, array=changed)) != voxels_sha256(original)


SEEN = SeenCase("case1", "Abdomen", "p1", "aa")


@pytest.mark.parametrize(
    ("case", "words"),
    [
        (CaseIdentity("x", "Other", "", "aa"), "the same voxels as case1"),
        (CaseIdentity("x", "Abdomen", "p1", "bb"), "the same patient"),
        (CaseIdentity("x", "Other", "p1", "bb"), ""),
        (CaseIdentity("case1", "Other", "", ""), "the same name"),
        (CaseIdentity("case1", "Abdomen", "", "bb"), "other voxels"),
        (CaseIdentity("case1", "Other", "", "bb"), ""),
        (CaseIdentity("x", "Abdomen", "", "bb"), ""),
    ],
)
def test_how_a_case_is_recognised(case, words):
    found = find_overlap([SEEN], [case])
    assert list(found) == ([case.name] if words else [])
    assert words in found.get(case.name, "")


def test_voxels_are_told_before_names_and_a_number_of_cases_names_nobody():
    case = CaseIdentity("case1", "Abdomen", "", "bb")
    assert find_overlap([SEEN, replace(SEEN, name="z", voxels_sha256="bb")], [case]) == {
        "case1": "the same voxels as z"
    }
    assert seen_cases(small_card(training={"cases": 14, "started_from": "another"})) == ()
    old = {"data_set": "A", "cases": ["a", "b"], "started_from": {"cases": ["b", "c"]}}
    assert {one.name: one.generation for one in seen_cases(small_card(training=old))} == {"a": 0, "b": 0, "c": 1}


def test_a_case_stands_once_as_trained_on_if_it_ever_was():
    validated = replace(SEEN, role="validated")
    assert without_duplicates(validated, replace(SEEN, generation=2)) == (replace(SEEN, generation=2),)
    assert find_overlap([validated], [CaseIdentity("case1", "Abdomen", "", "aa")]) == {}


# --- training ----------------------------------------------------------------------------------------------------------


def test_preprocessed_data_and_cards_hold_hashes_and_the_cases_of_all_ancestors(family):
    preprocessed = read_preprocessed_dataset(family["folder"] / "first-preprocessed")
    images = {case.name: family["first"] / "imagesTr" / f"{case.name}_0000.nii.gz" for case in preprocessed.cases}
    assert {case.name: case.voxels_sha256 for case in preprocessed.cases} == {
        name: voxels_sha256(read_volume(path)) for name, path in images.items()
    }
    seen = seen_cases(read_card(family["child"]))
    assert {one.name: one.generation for one in seen} == {"b0": 0, "b1": 0, "a0": 1, "a1": 1, "a2": 1, "a3": 1}
    assert {one.data_set for one in seen} == {"Blobs", "Elsewhere"} and all(one.voxels_sha256 for one in seen)


def test_the_panel_s_card_says_with_whose_weights_training_began(family):
    child, parent = (card_html(read_card(family[name]), "0" * 64, 1) for name in ("child", "parent"))
    assert "Begun from</td><td>Blobs, 2D U-Net, trained on 4 other scans<" in child
    assert "Begun from" not in parent


def test_train_warns_of_its_parent_s_cases_and_of_another_input(family, tmp_path, capsys):
    preprocessed = tmp_path / "preprocessed"
    assert (
        run(
            "prepare",
            family["second"],
            preprocessed,
            "--test=other",
            "--validation=b2",
            "--window=-100,250",
            "--spacing=3",
        )
        == 0
    )
    capsys.readouterr()
    assert run("train", preprocessed, "--output", tmp_path / "run", *SMALL, "--start-from", family["parent"]) == 0
    said = capsys.readouterr().err
    assert "1 of 1 test cases were trained on" in said and "other (the same voxels as a1)" in said
    assert "validation cases were trained on" not in said
    assert (
        "the input 2 mm pixels, this data set has 3 mm pixels" in said
        and "-200 to 300, this data set has -100 to 250" in said
    )


def test_grandparents_count_through_a_run_that_was_resumed(family, tmp_path, capsys):
    third = write_cases(tmp_path / "third", {"c0": 20, "c1": 21, "a2": 2, "b1": 11}, name="Third")
    assert run("prepare", third, tmp_path / "preprocessed", "--test=a2,b1", "--window=-200,300") == 0
    train = ("train", tmp_path / "preprocessed", "--output", tmp_path / "run", *SMALL, "--start-from", family["child"])
    assert run(*train) == 0
    (tmp_path / "run" / "checkpoint.pt").unlink()
    assert run(*train) == 0  # from state.pt
    capsys.readouterr()
    seen = {one.name: one.generation for one in seen_cases(read_card(tmp_path / "run" / "checkpoint.pt"))}
    assert (seen["c0"], seen["b1"], seen["a2"]) == (0, 1, 2)
    summary = evaluate(tmp_path / "run" / "checkpoint.pt", third, tmp_path / "out", "--split=test")
    assert set(summary["trained_on"]["names"]) == {"a2", "b1"} and summary["trained_on"]["in_the_numbers_above"]
    assert "2 of 2 cases were trained on" in capsys.readouterr().err


def test_validation_figures_leave_out_what_the_parent_was_trained_on(family, tmp_path):
    third = write_cases(tmp_path / "third", {"c0": 20, "c1": 21, "c2": 22, "x": 3}, name="Third")
    assert run("prepare", third, tmp_path / "preprocessed", "--validation=c2,x", "--window=-200,300") == 0
    assert (
        run("train", tmp_path / "preprocessed", "--output", tmp_path / "run", *SMALL, "--start-from", family["parent"])
        == 0
    )
    card = read_card(tmp_path / "run" / "checkpoint.pt")
    assert card.training["validated_though_trained_on"] == {"x": "the same voxels as a3"}
    assert card.validation["liver"]["dice"]["n"] == 1
    assert {one.name for one in seen_cases(card) if one.role == "validated"} == {"c2"}


# --- evaluation --------------------------------------------------------------------------------------------------------


def test_evaluate_counts_the_ancestors_cases_apart(family, tmp_path, capsys):
    summary = evaluate(family["child"], family["second"], tmp_path / "out", "--split=test")
    printed = capsys.readouterr()
    assert "1 of 2 cases were trained on" in printed.err and "other (the same voxels as a1)" in printed.err
    assert "trained on (1): other" in printed.out
    assert summary["provenance"]["cases seen in training"] == "other"
    assert summary["trained_on"]["names"] == {"other": "the same voxels as a1"}
    assert not summary["trained_on"]["in_the_numbers_above"] and summary["trained_on"]["cases"] == 1
    alone = evaluate(family["child"], family["second"], tmp_path / "alone", "--cases=b2")
    assert summary["cases"] == 1 and summary["structures"] == alone["structures"]
    assert summary["mean_dice_over_cases"] == alone["mean_dice_over_cases"]
    assert alone["provenance"]["cases seen in training"] == "none" and "trained_on" not in alone
    with (tmp_path / "out" / "metrics.csv").open(newline="") as file:
        assert {row["case"]: row["trained_on"] for row in csv.DictReader(file)} == {"b2": "no", "other": "yes"}
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    cases, apart = (page.split(f'<section id="{name}"')[1].split("</section>")[0] for name in ("cases", "trained-on"))
    assert "other.html" in apart and "other.html" not in cases and "b2.html" in cases and "b2.html" not in apart
    assert "This case was trained on" in (tmp_path / "out" / "cases" / "other.html").read_text(encoding="utf-8")


def test_shards_and_their_sum_count_apart_too(family, tmp_path):
    for shard in ("1/2", "2/2"):
        evaluate(family["child"], family["second"], tmp_path / shard[0], "--split=test", "--shard", shard)
    assert run("evaluate", "--merge", tmp_path / "1", tmp_path / "2", "--output", tmp_path / "all") == 0
    summary = json.loads((tmp_path / "all" / "summary.json").read_text())
    assert list(summary["trained_on"]["names"]) == ["other"] and summary["cases"] == 1


def test_two_checkpoints_are_compared_on_what_neither_was_trained_on(family, tmp_path, capsys):
    arguments = ("--split=test", "--baseline", family["parent"])
    summary = evaluate(family["child"], family["second"], tmp_path / "out", *arguments)
    assert {row["n"] for row in summary["against"]["dice"]} == {1}
    capsys.readouterr()
    assert run("compare-models", tmp_path / "out", tmp_path / "out" / "against") == 0
    printed = capsys.readouterr()
    assert "trained on are left out: other" in printed.err and "values stand in one" not in printed.out


def test_a_card_without_hashes_falls_back_to_names_and_says_so(family, tmp_path, capsys):
    parent = load_checkpoint(family["parent"])
    old = {name: value for name, value in parent.card.training.items() if name != "seen_cases"}
    save_checkpoint(tmp_path / "old.pt", replace(parent.card, training=old), parent.weights)
    summary = evaluate(tmp_path / "old.pt", family["second"], tmp_path / "out", "--cases=other")
    assert summary["provenance"]["cases seen in training"].startswith("none by name")
    assert "without hashes" in capsys.readouterr().err
    summary = evaluate(tmp_path / "old.pt", family["first"], tmp_path / "named", "--cases=a1")
    assert summary["trained_on"]["names"] == {"a1": "the same name"}


def test_a_card_that_names_no_training_cases_is_not_taken_for_clean(family, tmp_path, capsys):
    parent = load_checkpoint(family["parent"])
    save_checkpoint(tmp_path / "mute.pt", replace(parent.card, training={}), parent.weights)
    summary = evaluate(tmp_path / "mute.pt", family["first"], tmp_path / "out", "--cases=a1")
    assert summary["provenance"]["cases seen in training"].startswith("not known")
    assert "names no training cases" in capsys.readouterr().err


def test_two_scans_of_one_patient_and_validation_cases_are_said():
    seen = [SeenCase("v", "Abdomen", "", "vv", "validated")]
    cases = [CaseIdentity(name, "Abdomen", "p1", name) for name in ("a", "b")] + [
        CaseIdentity("v", "Abdomen", "", "vv")
    ]
    notes = " ".join(seen_in_training(seen, cases).notes)
    assert "a, b are of one patient" in notes and "1 of 3 cases were validated with" in notes


# --- release, folds ----------------------------------------------------------------------------------------------------


def test_release_counts_the_unseen_alone_and_refuses_where_there_are_none(family, tmp_path, capsys):
    evaluate(family["child"], family["second"], tmp_path / "out", "--split=test")
    release = ("release", family["child"], family["second"], "--output", tmp_path / "released.pt")
    assert run(*release, "--evaluated", tmp_path / "out") == 0
    said = read_card(tmp_path / "released.pt").validation["all"]
    assert said["cases"] == ["b2"] and said["dice"]["n"] == 1 and said["dice"]["ci95"] is None
    assert said["trained_on"] == {"other": "the same voxels as a1"} and said["dice"]["over"] == "cases"
    assert seen_cases(read_card(tmp_path / "released.pt")) == seen_cases(read_card(family["child"]))
    evaluate(family["child"], family["second"], tmp_path / "seen", "--cases=other")
    capsys.readouterr()
    assert run(*release, "--evaluated", tmp_path / "seen", "--overwrite") == 2
    assert "other were trained on" in capsys.readouterr().err


def test_release_refuses_figures_of_another_checkpoint_and_of_before_the_rule(family, tmp_path, capsys):
    evaluate(family["parent"], family["second"], tmp_path / "out", "--cases=b2")
    release = ("release", family["child"], family["second"], "--output", tmp_path / "released.pt")
    assert run(*release, "--evaluated", tmp_path / "out") == 2
    assert "SHA-256" in capsys.readouterr().err
    summary = evaluate(family["child"], family["second"], tmp_path / "old", "--split=test")
    del summary["trained_on"]
    (tmp_path / "old" / "summary.json").write_text(json.dumps(summary))
    assert run(*release, "--evaluated", tmp_path / "old") == 2
    assert "other, which were trained on" in capsys.readouterr().err


def test_release_gives_hashes_to_a_card_that_has_none(family, tmp_path):
    parent = load_checkpoint(family["parent"])
    old = {name: value for name, value in parent.card.training.items() if name != "seen_cases"}
    save_checkpoint(tmp_path / "old.pt", replace(parent.card, training=old), parent.weights)
    assert run("release", tmp_path / "old.pt", family["first"], "--output", tmp_path / "new.pt") == 0
    new = load_checkpoint(tmp_path / "new.pt")
    assert seen_cases(new.card) == seen_cases(parent.card)
    assert all(
        np.array_equal(weight.numpy(), parent.weights[0][name].numpy()) for name, weight in new.weights[0].items()
    )


def test_folds_that_an_ancestor_was_trained_on_are_counted_apart(family, tmp_path, capsys):
    fourth = write_cases(tmp_path / "fourth", {"d0": 30, "d1": 31, "d2": 32, "x": 0}, name="Fourth")
    assert run("prepare", fourth, tmp_path / "preprocessed", "--folds=2", "--window=-200,300") == 0
    capsys.readouterr()
    arguments = ("--output", tmp_path / "runs", *SMALL, "--start-from", family["parent"])
    assert run("cross-validate", tmp_path / "preprocessed", *arguments) == 0
    summary = json.loads((tmp_path / "runs" / "summary.json").read_text())
    assert summary["cases"] == summary["mean_dice_over_cases"]["n"] == 3
    assert summary["trained_on"] == {"names": {"x": "the same voxels as a0"}, "in_the_numbers_above": False}
    assert "x (the same voxels as a0)" in capsys.readouterr().err


def test_a_fold_s_statistics_are_of_its_own_training_cases(family, tmp_path):
    data = write_cases(tmp_path / "data", {f"e{i}": 40 + i for i in range(4)})
    assert run("prepare", data, tmp_path / "preprocessed", "--folds=2", "--window=-200,300") == 0
    assert run("train", tmp_path / "preprocessed", "--output", tmp_path / "run", *SMALL, "--fold=0") == 0
    card, preprocessed = (
        read_card(tmp_path / "run" / "checkpoint.pt"),
        read_preprocessed_dataset(tmp_path / "preprocessed"),
    )
    trained = card.training["cases"]
    assert trained == preprocessed.splits["fold1"] and card.statistics["cases"] == 2
    alone = write_cases(tmp_path / "alone", {name: 40 + int(name[1]) for name in trained})
    assert run("prepare", alone, tmp_path / "alone-preprocessed", "--window=-200,300") == 0
    assert card.statistics == read_preprocessed_dataset(tmp_path / "alone-preprocessed").fingerprint["label_statistics"]
    old = replace(preprocessed, fingerprint={k: v for k, v in preprocessed.fingerprint.items() if k != "label_facts"})
    assert label_statistics(old, set(trained)) == {}
    assert label_statistics(old, set(preprocessed.splits["train"])) == preprocessed.fingerprint["label_statistics"]


ABDOMEN8 = Path(__file__).parents[4] / "shared" / "data" / "abdomen8"


def test_the_shipped_card_names_its_cases_by_the_hashes_of_their_images():
    (shipped,) = [path for path in shipped_checkpoints() if path.name == "abdomen8.pt"]
    card = read_card(shipped)
    seen = seen_cases(card)
    assert {one.name for one in seen} == set(card.training["cases"])
    assert len({one.voxels_sha256 for one in seen}) == 14 and not lacks_hashes(seen)
    if not ABDOMEN8.is_dir():
        pytest.skip(f"no data at {ABDOMEN8}")
    volume = read_volume(ABDOMEN8 / "imagesTr" / "case0009_0000.nii.gz")
    renamed = CaseIdentity("x", "y", "", voxels_sha256(volume))
    assert find_overlap(seen, [renamed]) == {"x": "the same voxels as case0009"}


def test_a_card_whose_seen_cases_are_malformed_is_refused(family, tmp_path):
    parent = load_checkpoint(family["parent"])
    training = parent.card.training | {"seen_cases": [{"name": 7, "data_set": ""}]}
    save_checkpoint(tmp_path / "bad.pt", replace(parent.card, training=training), parent.weights)
    with pytest.raises(InputError, match="seen_cases"):
        load_checkpoint(tmp_path / "bad.pt")
