"""nnU-Net's ignore label, from dataset.json through the preprocessed data set, losses and validation to the measures."""

import json

import numpy as np
import pytest
import torch
from unetseg.data.layouts.detection import declared_structures, read_dataset
from unetseg.data.preprocessed_dataset import read_preprocessed_dataset
from unetseg.data.structure_presence import structure_presence
from unetseg.data.structure_selection import selected
from unetseg.training.configuration import TrainingConfig
from unetseg.training.fold_predictions import unseen_cases
from unetseg.training.losses import LOSSES, make_loss, over_levels
from unetseg.training.preparation import prepare
from unetseg.training.training_loop import train
from unetseg.training.validation import dice_of_volume
from UNetSegmenterLib.engine.errors import InputError
from UNetSegmenterLib.engine.io.image_reading import read_image
from UNetSegmenterLib.engine.io.image_writing import write_image
from UNetSegmenterLib.engine.labels.ignored import IGNORED
from UNetSegmenterLib.engine.model.checkpoint import read_card

from ..command import unetseg_here
from ..datasets import write_dataset

SHAPE = (3, 3, 12, 10)  # batch, classes, rows, columns


def with_ignore(folder, value=9, cases=4):
    """The blobs, in whose labels the columns from 30 on are ignored, and in one case a whole slice as well."""
    dataset = write_dataset(folder, cases=cases)
    description = json.loads((dataset / "dataset.json").read_text())
    description["labels"] = {"background": 0, "liver": 1, "spleen": 7, "ignore": value}
    (dataset / "dataset.json").write_text(json.dumps(description))
    for file in sorted((dataset / "labelsTr").iterdir()):
        labels, geometry = read_image(file, labels=True)
        changed = np.where(labels == 2, 7, labels).astype(np.uint8)
        changed[:, :, 30:] = value
        changed[3 if "case1" in file.name else []] = value
        write_image(changed, geometry, file)
    return dataset


@pytest.mark.parametrize("name", ["Ignore", "IGNORE", " ignore"])
def test_other_spellings_are_read_so_and_said(tmp_path, name):
    folder = with_ignore(tmp_path / "data")
    description = json.loads((folder / "dataset.json").read_text())
    description["labels"] = {"background": 0, "liver": 1, "spleen": 7, name: 9}
    (folder / "dataset.json").write_text(json.dumps(description))
    dataset = read_dataset(folder)
    assert [structure.name for structure in dataset.structures] == ["liver", "spleen"]
    assert any(f'"{name}"' in note and '"ignore"' in note for note in dataset.notes)
    assert {case.ignore_value for case in dataset.cases} == {9}


@pytest.mark.parametrize("value", [8, 9, 255])
def test_it_is_read_as_no_structure(tmp_path, value):
    dataset = read_dataset(with_ignore(tmp_path / "data", value))
    assert [one.name for one in dataset.structures] == ["liver", "spleen"]
    assert any(f"value {value} are ignored" in note for note in dataset.notes)
    assert {case.ignore_value for case in dataset.cases} == {value}
    assert declared_structures(dataset.cases[0].label)[-1].values == (value,)


@pytest.mark.parametrize("value", [0, 3, 7, [9], "x", True, 70000])
def test_a_value_that_is_not_the_highest_is_refused(tmp_path, value):
    dataset = write_dataset(tmp_path / "data", cases=1)
    description = json.loads((dataset / "dataset.json").read_text())
    description["labels"] = {"background": 0, "liver": 1, "spleen": 7, "ignore": value}
    (dataset / "dataset.json").write_text(json.dumps(description))
    with pytest.raises(InputError):
        read_dataset(dataset)


def test_the_preprocessed_data_set_keeps_it_apart(tmp_path):
    dataset = read_dataset(with_ignore(tmp_path / "data"))
    prepare(dataset, tmp_path / "preprocessed", spacing_mm=2.0, window_hu=(-200.0, 300.0), validation=1)
    preprocessed = read_preprocessed_dataset(tmp_path / "preprocessed")
    assert preprocessed.has_ignored
    assert set(np.unique(preprocessed.labels)) == {0, 1, 2, IGNORED}
    assert structure_presence(preprocessed.labels, preprocessed.structures).shape[1] == 2
    facts = preprocessed.fingerprint["by_case"][0]["structure_ml"]
    assert facts["liver"] > facts["spleen"]  # most of the spleen is behind column 30
    assert preprocessed.fingerprint["label_statistics"] == {}
    assert any("voxels that are ignored" in text for text in preprocessed.fingerprint["warnings"])


def test_other_data_sets_are_written_as_before(tmp_path):
    prepare(
        read_dataset(write_dataset(tmp_path / "data", cases=2)), tmp_path / "preprocessed", window_hu=(-200.0, 300.0)
    )
    assert "has_ignored" not in json.loads((tmp_path / "preprocessed" / "pack.json").read_text())
    assert not read_preprocessed_dataset(tmp_path / "preprocessed").has_ignored


def batch(seed=0):
    torch.manual_seed(seed)
    logits = torch.randn(SHAPE, dtype=torch.float64, requires_grad=True)
    targets = torch.randint(0, SHAPE[1], (SHAPE[0], *SHAPE[2:]))
    return logits, targets


@pytest.mark.parametrize("name", LOSSES)
def test_no_loss_counts_ignored_pixels(name):
    """The loss is that of the cropped batch, and what the network says of ignored pixels changes nothing."""
    logits, targets = batch()
    expected = make_loss(name)(logits[:, :, :, :7], targets[:, :, :7])
    targets[:, :, 7:] = IGNORED
    loss = make_loss(name, ignoring=True)(logits, targets)
    torch.testing.assert_close(loss, expected)
    loss.backward()
    assert not logits.grad[:, :, :, 7:].any()
    assert logits.grad[:, :, :, :7].any()


@pytest.mark.parametrize("name", LOSSES)
def test_a_slice_that_is_all_ignored_counts_as_none(name):
    logits, targets = batch()
    expected = make_loss(name)(logits[:2], targets[:2])
    targets[2] = IGNORED
    torch.testing.assert_close(make_loss(name, ignoring=True)(logits, targets), expected)
    targets[:] = IGNORED
    loss = make_loss(name, ignoring=True)(logits, targets)
    loss.backward()
    assert float(loss) == 0
    assert torch.isfinite(logits.grad).all()


@pytest.mark.parametrize("name", LOSSES)
def test_without_the_label_a_loss_is_the_one_it_was(name):
    logits, targets = batch()
    assert torch.equal(make_loss(name)(logits, targets), LOSSES[name]()(logits, targets))
    torch.testing.assert_close(make_loss(name, ignoring=True)(logits, targets), make_loss(name)(logits, targets))


def test_coarser_levels_ignore_too():
    logits, targets = batch()
    targets[:, :, 6:] = IGNORED
    coarse = torch.randn(3, 3, 6, 5, dtype=torch.float64)
    loss = over_levels(make_loss("dice_ce", ignoring=True))
    before = loss([logits, coarse], targets)
    coarse[:, :, :, 3:] += 100
    assert torch.equal(before, loss([logits, coarse], targets))


def test_validation_counts_only_what_is_decided():
    reference = np.zeros((2, 4, 4), np.uint8)
    reference[:, :2] = 1
    prediction = reference.copy()
    prediction[:, :, 3] = 2
    assert dice_of_volume(prediction, reference, 3)[0] < 1
    reference[:, :, 3] = IGNORED
    assert dice_of_volume(prediction, reference, 3)[0] == 1
    assert np.isnan(dice_of_volume(prediction, reference, 3)[1])


def test_training_and_evaluation_take_it(tmp_path):
    folder = with_ignore(tmp_path / "data")
    dataset = read_dataset(folder)
    prepare(dataset, tmp_path / "preprocessed", spacing_mm=2.0, window_hu=(-200.0, 300.0), validation=1)
    config = TrainingConfig(steps=12, batch_size=4, patch=(32, 32), base_width=4, depth=2)
    train(
        read_preprocessed_dataset(tmp_path / "preprocessed"), tmp_path / "run", config, device="cpu", validate_every=6
    )
    card = read_card(tmp_path / "run" / "checkpoint.pt")
    assert card.network.classes == 3
    assert card.statistics == {}
    done = unetseg_here(
        "evaluate", tmp_path / "run" / "checkpoint.pt", folder, "--output", tmp_path / "out", "--device", "cpu",
        "--workers", 1,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "labelled to be ignored" in (tmp_path / "out" / "report.html").read_text(encoding="utf-8")


def test_a_choice_of_structures_keeps_it(tmp_path):
    dataset = selected(read_dataset(with_ignore(tmp_path / "data")), "liver")
    prepare(dataset, tmp_path / "preprocessed", spacing_mm=2.0, window_hu=(-200.0, 300.0))
    assert set(np.unique(read_preprocessed_dataset(tmp_path / "preprocessed").labels)) == {0, 1, IGNORED}


def test_info_and_compare_show_it_as_no_structure(tmp_path):
    folder = with_ignore(tmp_path / "data")
    scan, label = folder / "imagesTr" / "case0_0000.nii.gz", folder / "labelsTr" / "case0.nii.gz"
    shown = unetseg_here("info", scan, "--label", label)
    assert shown.returncode == 0, shown.stderr
    assert "ignore" not in shown.stdout
    both = ("compare", label, label, "--ignore-value", 9, "--output", tmp_path / "compared")
    compared = unetseg_here(*both)
    assert compared.returncode == 0, compared.stderr
    assert "labelled to be ignored" in (tmp_path / "compared" / "report.html").read_text(encoding="utf-8")


def test_a_cross_validation_decides_by_what_is_decided(tmp_path):
    folder = with_ignore(tmp_path / "data")
    prepare(read_dataset(folder), tmp_path / "preprocessed", spacing_mm=2.0, window_hu=(-200.0, 300.0), folds=2)
    tiny = ("--steps", 6, "--batch-size", 4, "--patch", "32,32", "--base-width", 4, "--depth", 2, "--device", "cpu")
    done = unetseg_here("cross-validate", tmp_path / "preprocessed", "--output", tmp_path / "cv", *tiny)
    assert done.returncode == 0, done.stderr
    dataset = read_preprocessed_dataset(tmp_path / "preprocessed")
    runs = [tmp_path / "cv" / f"fold{number}" for number in range(2)]
    for case in unseen_cases(runs, dataset, "cpu"):
        where = next(one for one in dataset.cases if one.name == case.name).region(dataset.labels) == IGNORED
        assert where.any()
        assert not case.prediction()[where].any()
        assert IGNORED not in case.reference


def test_labels_that_are_ignored_everywhere_are_refused_with_what_to_do(tmp_path):
    data = with_ignore(tmp_path / "data")
    for file in (data / "labelsTr").iterdir():
        labels, geometry = read_image(file, labels=True)
        write_image(np.full_like(labels, 9), geometry, file)
    with pytest.raises(InputError, match="No training case has any voxel of liver"):
        prepare(read_dataset(data), tmp_path / "preprocessed")
    done = unetseg_here("plan", data, tmp_path / "plan.yaml")
    assert done.returncode == 2 and "no window can be planned" in done.stderr, done.stderr
    assert not (tmp_path / "plan.yaml").exists()
