"""Structures that a fold lacks, that no patch can reach, or of which there are too many for a network."""

from __future__ import annotations

import json

import numpy as np
import pytest
from unetseg.data.layouts.detection import read_dataset
from unetseg.data.preprocessed_dataset import read_preprocessed_dataset
from unetseg.training.cross_validation import lacking_structures
from unetseg.training.preparation import prepare
from UNetSegmenterLib.engine.errors import InputError
from UNetSegmenterLib.engine.io.image_reading import read_image
from UNetSegmenterLib.engine.io.image_writing import write_image
from UNetSegmenterLib.engine.model.imports.nnunet_plans import structures_of

from ..command import refused, unetseg_here
from ..datasets import write_dataset

SMALL = "--steps 2 --batch-size 2 --patch 24,24 --base-width 2 --depth 1 --loss cross_entropy --device cpu"


def change_labels(folder, names, change) -> None:
    for name in names:
        path = folder / "labelsTr" / f"{name}.nii.gz"
        labels, geometry = read_image(path)
        labels = np.array(labels)
        change(labels)
        path.unlink()
        write_image(labels, geometry, path)


def no_spleen(labels) -> None:
    labels[labels == 2] = 0


def only_in_the_corner(labels) -> None:
    labels[labels == 2] = 0
    labels[:, -3:, -3:] = 2


def test_a_fold_without_a_structure_is_said_and_no_number_is_missing_without_a_word(tmp_path):
    folder = write_dataset(tmp_path / "blobs", cases=4)
    splits = prepare(read_dataset(folder), tmp_path / "first", folds=2, window_hu=(-200.0, 300.0)).splits
    change_labels(folder, splits["fold1"], no_spleen)
    prepare(read_dataset(folder), tmp_path / "preprocessed", folds=2, window_hu=(-200.0, 300.0))
    dataset = read_preprocessed_dataset(tmp_path / "preprocessed")
    said = lacking_structures(dataset, 2)
    assert said == [
        "fold 0 trains on no case with spleen, so it can't learn it: its Dice counts as it is",
        "no case of fold 1 has spleen: its Dice is that of the other folds' cases",
    ]
    result = unetseg_here("cross-validate", tmp_path / "preprocessed", "--output", tmp_path / "cv", *SMALL.split())
    assert result.returncode == 0, result.stderr
    errors = " ".join(result.stderr.split())
    assert all(errors.count(sentence) == 2 for sentence in said), "at the start, and beside the table"
    assert json.loads((tmp_path / "cv" / "summary.json").read_text())["lacking"] == said
    assert "nan" not in result.stdout.lower()


def test_a_structure_that_no_patch_can_reach_is_refused(tmp_path):
    folder = write_dataset(tmp_path / "blobs", cases=3)
    change_labels(folder, ["case0", "case1", "case2"], only_in_the_corner)
    whole = prepare(read_dataset(folder), tmp_path / "whole", window_hu=(-200.0, 300.0))
    assert (whole.labels == 2).any()
    with pytest.raises(InputError, match=r"No training case has a pixel of spleen left .* 24 x 24 .* larger --size"):
        prepare(read_dataset(folder), tmp_path / "cut", window_hu=(-200.0, 300.0), slice_size=(24, 24))
    assert not (tmp_path / "cut" / "pack.json").exists()


def test_more_structures_than_labels_can_hold_are_refused(tmp_path):
    folder = write_dataset(tmp_path / "blobs", cases=3)
    description = json.loads((folder / "dataset.json").read_text())
    for count in (254, 300):
        labels = {"background": 0} | {f"part {value}": value for value in range(1, count + 1)}
        (folder / "dataset.json").write_text(json.dumps(description | {"labels": labels}))
        if count == 254:
            assert len(read_dataset(folder).structures) == 254
            assert len(structures_of({"labels": labels})) == 254
    refused(unetseg_here("prepare", folder, tmp_path / "pre"), "names 300 structures; a network has at most 254")
    with pytest.raises(InputError, match="has 301 labels with the background; a model with at most 255"):
        structures_of({"labels": labels})
