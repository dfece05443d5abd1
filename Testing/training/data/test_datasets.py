"""Every layout, written as real small files by the phantom, and what is refused with which reason."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from unetseg.data.layouts.detection import read_dataset
from unetseg.synthetic.phantom_cases import LABEL_VALUES
from UNetSegmenterLib.engine.errors import InputError
from UNetSegmenterLib.engine.labels.segmentation_files import read_segmentation

from .layout_files import VALUES, edit_json, refused, write_json


def test_mmwhs_flat(mmwhs):
    dataset = read_dataset(mmwhs)
    assert dataset.layout == "MM-WHS"
    assert [case.name for case in dataset.cases] == ["ct_train_1001", "ct_train_1002", "ct_train_1003"]
    assert sorted(value for part in dataset.structures for value in part.values) == sorted([*LABEL_VALUES, 421])
    assert "3 cases" in dataset.describe()
    assert "420+421" in dataset.describe()


def test_mmwhs_stray_421_is_left_atrium(mmwhs):
    dataset = read_dataset(mmwhs)
    labels = read_segmentation(dataset.cases[2].label, dataset.structures).labels
    stored = read_segmentation(dataset.cases[2].label)
    stray = next(part.index for part in stored.structures if 421 in part.values)
    assert (stored.labels == stray).any()
    assert set(labels[stored.labels == stray]) == {2}


def test_mmwhs_in_subfolders_with_test_cases_and_mr(mmwhs):
    for number in (1001, 1002):
        (mmwhs / "ct_train" / str(number)).mkdir(parents=True)
        for role in ("image", "label"):
            (mmwhs / f"ct_train_{number}_{role}.nii.gz").rename(
                mmwhs / "ct_train" / str(number) / f"ct_train_{number}_{role}.nii.gz"
            )
    for role in ("image", "label"):
        (mmwhs / f"ct_train_1003_{role}.nii.gz").rename(mmwhs / f"ct_test_2001_{role}.nii.gz")
    shutil.copy(mmwhs / "ct_test_2001_image.nii.gz", mmwhs / "ct_test_2002_image.nii.gz")
    shutil.copy(mmwhs / "ct_test_2001_image.nii.gz", mmwhs / "mr_train_1001_image.nii.gz")
    dataset = read_dataset(mmwhs)
    assert [case.name for case in dataset.cases] == ["ct_test_2001", "ct_train_1001", "ct_train_1002"]
    assert dataset.locked_test == ("ct_test_2001",)
    assert "left out, as they have no labels: 1 test image" in dataset.describe()
    assert "1 MR cases" in dataset.describe()


def test_mmwhs_refuses_a_lonely_file_and_finds_the_misspelt_one(mmwhs):
    (mmwhs / "ct_train_1002_label.nii.gz").rename(mmwhs / "ct_train_1002_lable.nii.gz")
    reason = refused(mmwhs)
    assert "no label ct_train_1002_label.nii.gz" in reason
    assert "ct_train_1002_lable.nii.gz looks like it" in reason
    (mmwhs / "ct_train_1002_lable.nii.gz").rename(mmwhs / "ct_train_1002_label.nii.gz")
    (mmwhs / "ct_train_1001_image.nii.gz").unlink()
    assert "no image ct_train_1001_image.nii.gz" in refused(mmwhs)


def test_mmwhs_refuses_a_case_that_lies_twice(mmwhs):
    (mmwhs / "copy").mkdir()
    shutil.copy(mmwhs / "ct_train_1001_image.nii.gz", mmwhs / "copy" / "ct_train_1001_image.nii.gz")
    assert "remove one of them" in refused(mmwhs)


def test_nnunet(nnunet):
    dataset = read_dataset(nnunet)
    assert dataset.layout == "nnU-Net v2 raw"
    assert len(dataset.cases) == 3
    assert dataset.notes == ()
    assert {part.name for part in dataset.structures} == set(VALUES)


def test_nnunet_locked_test(nnunet):
    for part in ("images", "labels"):
        (nnunet / f"{part}Ts").mkdir()
    shutil.move(nnunet / "imagesTr/ct_train_1003_0000.nii.gz", nnunet / "imagesTs")
    assert "no image" in refused(nnunet)
    shutil.move(nnunet / "labelsTr/ct_train_1003.nii.gz", nnunet / "labelsTs")
    dataset = read_dataset(nnunet)
    assert dataset.locked_test == ("ct_train_1003",)
    assert len(dataset.cases) == 3
    assert "dataset.json counts 3 training cases, 2 are there" in dataset.describe()


def test_nnunet_undeclared_value_is_named_when_read(nnunet):
    labels = {name: value for name, value in VALUES.items() if value != 850}
    edit_json(nnunet / "dataset.json", labels={"background": 0, **labels})
    dataset = read_dataset(nnunet)
    with pytest.raises(InputError, match=r"850 \(\d+ voxels\)"):
        read_segmentation(dataset.cases[0].label, dataset.structures)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"labels": None, "lables": {"a": 1}}, '"lables" stands there: correct it to "labels"'),
        ({"file_ending": None}, 'has no "file_ending"'),
        ({"labels": {"background": 0, "all": [205, 420]}}, "regions of several values (all)"),
        ({"labels": {"background": 0, "one": 205, "ignore": 8}}, '"ignore"'),
        ({"labels": {"one": 205, "two": 205}}, 'to both "one" and "two"'),
        ({"labels": {"one": "205.5"}}, "whole numbers are expected"),
        ({"labels": {"background": 0}}, "names no structure"),
        ({"labels": {"Background": 1, "liver": 2}}, '"Background" the value 1, but background is 0'),
        ({"channel_names": {"0": "CT", "1": "PET"}}, "2 channels (CT, PET)"),
        ({"channel_names": "CT"}, '"channel_names": "CT"'),
        ({"channel_names": {}}, "0 channels"),
        ({"name": 7}, '"name": 7'),
        ({"licence": ["CC0"]}, '"licence"'),
        ({"labels": {"liver": "\u00b2"}}, "whole numbers are expected"),
        ({"labels": {"liver": "9" * 5000}}, "whole numbers are expected"),
        ({"labels": {"liver": 1, "ignore": "x" * 3000}}, "one number above all structures"),
        ({"file_ending": "/**"}, '"file_ending"'),
        ({"file_ending": ".nrrd"}, "holds no imagesTr/*_0000.nrrd"),
    ],
)
def test_nnunet_refuses(nnunet, changes, expected):
    edit_json(nnunet / "dataset.json", **changes)
    message = refused(nnunet)
    assert expected in message and len(message) < len(str(nnunet)) + 300


def test_nnunet_refuses_a_second_channel_and_a_missing_one(nnunet):
    image = nnunet / "imagesTr/ct_train_1001_0000.nii.gz"
    second = Path(shutil.copy(image, nnunet / "imagesTr/ct_train_1001_0001.nii.gz"))
    assert "second channel" in refused(nnunet)
    second.rename(nnunet / "imagesTr/other.nii.gz")
    assert "lacks the channel" in refused(nnunet)


def test_decathlon(decathlon):
    dataset = read_dataset(decathlon)
    assert dataset.layout == "Medical Segmentation Decathlon"
    assert [case.name for case in dataset.cases] == ["heart_1001", "heart_1002", "heart_1003"]
    assert dataset.licence == "CC-BY-SA 4.0"
    assert dataset.notes == ("left out, as they have no labels: 1 test image",)


def test_decathlon_refuses_what_is_not_there(decathlon):
    (decathlon / "labelsTr/heart_1002.nii.gz").unlink()
    assert "lists the label" in refused(decathlon)
    edit_json(decathlon / "dataset.json", training=[])
    assert "no training pairs" in refused(decathlon)
    edit_json(decathlon / "dataset.json", training=None, trainings=[])
    assert '"trainings" stands there: correct it to "training"' in refused(decathlon)
    edit_json(decathlon / "dataset.json", training=[{"image": "a"}])
    assert 'without "image" and "label"' in refused(decathlon)


def test_pairs_by_file_name(pairs):
    dataset = read_dataset(pairs)
    assert dataset.layout == "plain pairs"
    assert [case.name for case in dataset.cases] == ["ct_train_1001", "ct_train_1002", "ct_train_1003"]
    assert (dataset.licence, len(dataset.structures)) == ("own", 7)


def test_pairs_in_folders_of_images_and_labels(nnunet):
    (nnunet / "dataset.json").unlink()
    write_json(nnunet / "structures.json", structures=VALUES)
    (nnunet / "imagesTr").rename(nnunet / "images")
    (nnunet / "labelsTr").rename(nnunet / "labels")
    assert [case.name for case in read_dataset(nnunet).cases] == ["ct_train_1001", "ct_train_1002", "ct_train_1003"]


def test_pairs_in_a_folder_a_case(tmp_path, phantoms):
    for number, (image, label) in enumerate(phantoms):
        (tmp_path / f"p{number}").mkdir()
        shutil.copy(image, tmp_path / f"p{number}" / "image.nii.gz")
        shutil.copy(label, tmp_path / f"p{number}" / "label.nii.gz")
    write_json(tmp_path / "structures.json", structures=VALUES)
    assert [case.name for case in read_dataset(tmp_path).cases] == ["p0", "p1", "p2"]


def test_pairs_by_pattern_and_patient(pairs):
    for file in list(pairs.glob("*_label.nii.gz")):
        file.rename(pairs / file.name.replace("ct_train_100", "heart-").replace("_label", ""))
    for file in list(pairs.glob("*_image.nii.gz")):
        file.rename(pairs / file.name.replace("ct_train_100", "ct-").replace("_image", ""))
    edit_json(pairs / "structures.json", image="ct-*.nii.gz", label="heart-*.nii.gz", patient="^([0-9])")
    assert [(case.name, case.patient_or_name) for case in read_dataset(pairs).cases] == [
        ("1", "1"),
        ("2", "2"),
        ("3", "3"),
    ]
    edit_json(pairs / "structures.json", patient="^(p[0-9])")
    assert "finds no (group)" in refused(pairs)


def test_pairs_refuse(pairs):
    label = pairs / "ct_train_1001_label.nii.gz"
    label.rename(pairs / "ct_train_101_label.nii.gz")
    assert "has no label" in refused(pairs)
    assert "ct_train_101_label.nii.gz looks like it" in refused(pairs)
    (pairs / "ct_train_1001_image.nii.gz").unlink()
    assert "has no image" in refused(pairs)
    edit_json(pairs / "structures.json", structurs={"liver": 1})
    assert "did you mean structures?" in refused(pairs)
    (pairs / "structures.json").write_text("{", encoding="utf-8")
    assert "can't be read as JSON" in refused(pairs)


def test_unknown_layouts(tmp_path, nnunet, phantoms):
    assert "did you mean" in refused(tmp_path)
    assert "Dataset001_Heart" in refused(tmp_path)
    assert "does not exist" in refused(tmp_path / "nowhere")
    assert "is a file" in refused(phantoms[0][0])
    (tmp_path / "empty").mkdir()
    assert "it is empty" in refused(tmp_path / "empty")
    shutil.copy(phantoms[0][0], tmp_path / "empty" / "scan.nii.gz")
    assert "1 image file (scan.nii.gz) that nothing describes" in refused(tmp_path / "empty")
