"""Splits that don't leak, fingerprints that notice what can't be, and plans that a person can edit."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path

import pytest
import SimpleITK as sitk
from unetseg.cli.main import main
from unetseg.data.fingerprint import check_spacings
from unetseg.data.layouts.detection import read_dataset
from unetseg.data.preprocessed_dataset import read_preprocessed_dataset
from unetseg.data.splits import fold_splits, refuse_leaks, split_cases
from unetseg.training.configuration import Augmentation, TrainingConfig, read_config, stored_values
from unetseg.training.planning import make_plan, read_plan, write_plan
from unetseg.training.preparation import prepare
from UNetSegmenterLib.engine.errors import InputError

NAMES = [f"p{patient}_{scan}" for patient in range(6) for scan in range(2)]
PATIENTS = {name: name[:2] for name in NAMES}
ABDOMEN = {
    "slices": 1500,
    "median_size": [130, 256, 256],
    "median_spacing_mm": [3.0, 1.52, 1.52],
    "structure_hu_percentiles_0.5_50_99.5": [-60.0, 100.0, 240.0],
}


@pytest.fixture
def mmwhs(hearts, tmp_path) -> Path:
    return Path(shutil.copytree(hearts, tmp_path / "mmwhs"))


def prepared(folder: Path, **options):
    return prepare(
        read_dataset(folder), folder.parent / "preprocessed", spacing_mm=6.0, window_hu=(-100.0, 500.0), **options
    )


def test_scans_of_a_patient_stay_together_in_every_split_and_fold():
    splits = split_cases(NAMES, 1, 1, seed=3, folds=4, patients=PATIENTS)
    assert [len(splits[name]) for name in ("train", "validation", "test")] == [8, 2, 2]
    for group in (("train", "validation", "test"), ("fold0", "fold1", "fold2", "fold3", "test")):
        persons = [PATIENTS[name] for split in group for name in {PATIENTS[n]: n for n in splits[split]}.values()]
        assert len(persons) == len(set(persons))
    assert sorted(name for fold in range(4) for name in splits[f"fold{fold}"]) == splits["train"]
    assert fold_splits(splits, 1) == ("fold0+fold2+fold3", "fold1")
    with pytest.raises(InputError, match="0 to 3"):
        fold_splits(splits, 4)
    with pytest.raises(InputError, match="2 to 4 can be made"):
        split_cases(NAMES, 1, 1, seed=3, folds=5, patients=PATIENTS)


def test_a_patient_torn_apart_by_names_is_refused():
    with pytest.raises(InputError, match="p2_1 is of the same patient as a test case"):
        split_cases(NAMES, ["p2_0"], 0, seed=0, patients=PATIENTS)
    assert split_cases(NAMES, ["p2_0", "p2_1"], 0, seed=0, patients=PATIENTS)["test"] == ["p2_0", "p2_1"]


def test_the_same_voxels_in_two_splits_are_refused_whatever_their_file(mmwhs):
    image = sitk.ReadImage(str(mmwhs / "ct_train_1001_image.nii.gz"))
    image.SetOrigin((1.0, 2.0, 3.0))
    sitk.WriteImage(image, str(mmwhs / "ct_train_1009_image.nii.gz"), useCompression=True, compressionLevel=9)
    label = sitk.ReadImage(str(mmwhs / "ct_train_1001_label.nii.gz"))
    label.SetOrigin((1.0, 2.0, 3.0))
    sitk.WriteImage(label, str(mmwhs / "ct_train_1009_label.nii.gz"))
    with pytest.raises(InputError, match="hold the very same voxels"):
        prepared(mmwhs, test=["ct_train_1009"])
    assert not (mmwhs.parent / "preprocessed").exists()
    preprocessed = prepared(mmwhs, test=["ct_train_1002"])
    assert "both in train" in preprocessed.fingerprint["warnings"][0]


def test_the_same_voxels_in_two_folds_are_refused():
    splits = {"train": ["a", "b"], "test": [], "fold0": ["a"], "fold1": ["b"]}
    with pytest.raises(InputError, match=r"a \(fold0\) and b \(fold1\)"):
        refuse_leaks(splits, {"a": "same", "b": "same"})
    assert refuse_leaks(splits, {"a": "one", "b": "other"}) == []


def test_pixels_ten_times_as_large_are_refused_and_slice_distances_warned_of(mmwhs):
    for role in ("image", "label"):
        path = str(mmwhs / f"ct_train_1002_{role}.nii.gz")
        image = sitk.ReadImage(path)
        image.SetSpacing([10 * mm for mm in image.GetSpacing()])
        sitk.WriteImage(image, path)
    with pytest.raises(InputError, match=r"ct_train_1002.*have lost its spacing"):
        prepared(mmwhs)
    assert "slice distances run from 0.5 mm (a)" in check_spacings({"a": (0.5, 1, 1), "b": (5.0, 1, 1)})[0]
    assert check_spacings({"a": (1, 1, 1), "b": (5.0, 1.9, 2)}) == []


def test_a_structure_that_a_split_lacks(mmwhs):
    path = mmwhs / "ct_train_1003_label.nii.gz"
    label = sitk.ReadImage(str(path))
    sitk.WriteImage(sitk.ChangeLabel(label, {850: 0}), str(path))
    preprocessed = prepared(mmwhs, test=["ct_train_1003"])
    assert preprocessed.fingerprint["warnings"] == [
        "no case of the split test has pulmonary artery: it can't be measured there"
    ]
    shutil.rmtree(mmwhs.parent / "preprocessed")
    others = [f"ct_train_100{number}" for number in (1, 2, 4, 5)]
    with pytest.raises(InputError, match="No training case has any voxel of pulmonary artery"):
        prepared(mmwhs, test=others)


def test_locked_test_stays_the_test(mmwhs):
    for role in ("image", "label"):
        (mmwhs / f"ct_train_1003_{role}.nii.gz").rename(mmwhs / f"ct_test_2003_{role}.nii.gz")
    with pytest.raises(InputError, match="sets 1 test cases apart itself"):
        prepared(mmwhs, test=1)
    preprocessed = prepared(mmwhs, validation=1, folds=3)
    assert preprocessed.splits["test"] == ["ct_test_2003"]
    assert "ct_test_2003" not in preprocessed.splits["train"] + preprocessed.splits["validation"]


def test_plan_of_an_abdomen_and_its_way_through_a_file(tmp_path):
    plan = make_plan(ABDOMEN)
    assert (plan.spacing_mm, plan.window_hu, plan.slice_distance_mm) == (1.52, (-90.0, 270.0), 3.0)
    assert (plan.config.patch, plan.config.depth, plan.config.input_slices) == ((176, 224), 4, 3)
    assert plan.config.steps == round(40 * 1500 / plan.config.batch_size / 100) * 100
    path = tmp_path / "plan.yaml"
    write_plan(plan, path, "an abdomen")
    assert "spacing_mm: 1.52  # median pixel 1.52 mm" in path.read_text()
    assert dataclasses.replace(read_plan(path), reasons=plan.reasons) == plan
    small, large = (make_plan(ABDOMEN, gpu_gb=gb).config for gb in (2, 80))
    assert (small.base_width, large.base_width, large.batch_size) == (32, 32, 32)
    assert small.batch_size < large.batch_size


def test_what_is_chosen_goes_into_the_plan_and_all_else_fits_it():
    planned, chosen = make_plan(ABDOMEN), make_plan(ABDOMEN, spacing_mm=2.0, window_hu=(-125.0, 275.0))
    assert (chosen.spacing_mm, chosen.window_hu) == (2.0, (-125.0, 275.0))
    assert (chosen.reasons["spacing_mm"], chosen.reasons["window_hu"]) == ("chosen", "chosen")
    assert chosen.config.patch == (144, 176), "0.7 x 0.9 of 195 x 195 pixels of 2 mm, in multiples of 16"
    assert "195 x 195 pixels" in chosen.reasons["patch"]
    cut = make_plan(ABDOMEN, spacing_mm=2.0, slice_size=(128, 160))
    assert (cut.config.patch, cut.config.depth) == ((88, 144), 3)
    assert cut.reasons["slice_size"] == "chosen"
    same = make_plan(ABDOMEN, spacing_mm=planned.spacing_mm, slice_size=(0, 0))
    assert same == planned


def test_prepare_keeps_a_plan_that_fits_its_data(mmwhs, caplog):
    preprocessed = prepared(mmwhs, test=["ct_train_1003"], validation=1, slice_size=(32, 36))
    plan = read_plan(mmwhs.parent / "preprocessed" / "plan.yaml")
    assert (plan.spacing_mm, plan.window_hu, plan.slice_size) == (6.0, (-100.0, 500.0), (32, 36))
    assert all(wanted <= own for wanted, own in zip(plan.config.patch, preprocessed.images.shape[1:], strict=True))
    slices = sum(case.stop - case.start for case in preprocessed.of_split("train"))
    assert f"each of {slices} slices is sampled" in preprocessed.fingerprint["plan"]["reasons"]["steps"]
    assert "larger than the slices" not in caplog.text
    wide = dataclasses.replace(plan, config=TrainingConfig(patch=(128, 128)))
    prepare(read_dataset(mmwhs), mmwhs.parent / "wide", plan=wide)
    assert "the plan's patch of 128 x 128 is larger than the slices of 32 x 36 pixels" in caplog.text


def test_test_patients_have_no_say_in_the_plan(mmwhs):
    dataset = read_dataset(mmwhs)
    prepare(dataset, mmwhs.parent / "before", test=["ct_train_1003"])
    path = str(mmwhs / "ct_train_1003_image.nii.gz")
    sitk.WriteImage(sitk.Clamp(sitk.ReadImage(path) + 700, sitk.sitkInt16, -1024, 3000), path)
    prepare(dataset, mmwhs.parent / "after", test=["ct_train_1003"])
    before, after = (read_plan(mmwhs.parent / name / "plan.yaml") for name in ("before", "after"))
    assert before == after


def test_plan_and_prepare_read_the_same_training_cases(mmwhs, capsys, caplog):
    path = str(mmwhs / "ct_train_1003_image.nii.gz")
    sitk.WriteImage(sitk.Clamp(sitk.ReadImage(path) + 700, sitk.sitkInt16, -1024, 3000), path)
    plans = {name: mmwhs.parent / f"{name}.yaml" for name in ("apart", "all")}
    held_out = ("--test=ct_train_1003", "--validation=1", "--seed=4")
    for name, options in (("apart", held_out), ("all", ())):
        assert main(["plan", str(mmwhs), str(plans[name]), "--gpu-gb=0", *options]) == 0
    preprocessed = prepare(
        read_dataset(mmwhs), mmwhs.parent / "preprocessed", test=["ct_train_1003"], validation=1, seed=4
    )
    assert (
        read_plan(mmwhs.parent / "preprocessed" / "plan.yaml") == read_plan(plans["apart"]) != read_plan(plans["all"])
    )
    assert list(read_plan(plans["apart"]).made_from) == preprocessed.splits["train"]
    assert "plan was made" not in caplog.text
    arguments = [str(mmwhs), str(mmwhs.parent / "second"), f"--plan={plans['all']}", *held_out]
    assert main(["prepare", *arguments]) == 0
    (warning,) = [
        text
        for text in read_preprocessed_dataset(mmwhs.parent / "second").fingerprint["warnings"]
        if "plan was made" in text
    ]
    assert "ct_train_1003" in warning


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (
            "  learning_rate:",
            "  lerning_rate:",
            'recipe has an unknown entry "lerning_rate"; did you mean learning_rate?',
        ),
        ("  spacing_mm:", "  spacing:", 'has an unknown entry "spacing"; did you mean spacing_mm?'),
        ("recipe:", "recipes:", "did you mean recipe?"),
        ("    gamma:", "    gama:", 'recipe.augmentation has an unknown entry "gama"; did you mean gamma?'),
        ("  steps: ", "  steps: many ", "is 'many"),
        ("preprocessing:", "preprocessing: [", "can't be read as YAML"),
    ],
)
def test_a_plan_that_is_misspelt_is_refused_with_the_right_word(tmp_path, old, new, expected):
    path = tmp_path / "plan.yaml"
    write_plan(make_plan(ABDOMEN), path)
    path.write_text(path.read_text().replace(old, new, 1))
    with pytest.raises(InputError) as caught:
        read_plan(path)
    assert expected in str(caught.value)


def test_prepare_writes_the_plan_and_executes_an_edited_one(mmwhs):
    dataset = read_dataset(mmwhs)
    first = prepare(dataset, mmwhs.parent / "first", validation=1)
    plan = read_plan(mmwhs.parent / "first" / "plan.yaml")
    assert plan.spacing_mm == first.preprocessing.pixel_mm
    assert plan.window_hu == first.preprocessing.window_hu
    assert plan.window_hu[0] < 60 < 400 < plan.window_hu[1]
    edited = dataclasses.replace(plan, spacing_mm=7.0, config=TrainingConfig(steps=5))
    prepare(dataset, mmwhs.parent / "second", validation=1, plan=edited)
    second = read_preprocessed_dataset(mmwhs.parent / "second")
    assert second.preprocessing.pixel_mm == 7.0
    assert second.fingerprint["plan"]["recipe"]["steps"] == 5
    assert second.fingerprint["by_case"][0]["structure_ml"]["left ventricle"] > 10
    json.dumps(second.fingerprint, allow_nan=False)


def test_files_keep_the_names_that_fields_had():
    """Cards, states and plans of earlier versions open, and earlier versions open those of this one."""
    config = TrainingConfig(foreground_fraction=0.5, warmup_fraction=0.1, augmentation=Augmentation(fraction=0.2))
    stored = stored_values(config)
    assert (stored["foreground_share"], stored["warmup_share"], stored["augmentation"]["share"]) == (0.5, 0.1, 0.2)
    assert "foreground_fraction" not in stored and "fraction" not in stored["augmentation"]
    assert read_config(stored, "card") == config
    assert read_config({"foreground_fraction": 0.5}, "plan") == TrainingConfig(foreground_fraction=0.5)
    with pytest.raises(InputError, match="did you mean foreground_fraction"):
        read_config({"foreground_shares": 0.5}, "plan")
