"""Every layout, written as real small files by the phantom, and what is refused with which reason."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from unetseg.data.layouts.detection import read_dataset
from unetseg.synthetic.phantom_cases import LABEL_VALUES, write_phantoms
from UNetSegmenterLib.engine.errors import InputError
from UNetSegmenterLib.engine.labels.segmentation_files import read_segmentation
from UNetSegmenterLib.engine.labels.structures import HEART

SHAPE = (6, 16, 16)
VALUES = {structure.name: structure.values[0] for structure in HEART}


@pytest.fixture(scope="module")
def phantoms(tmp_path_factory) -> list[tuple[Path, Path]]:
    return write_phantoms(tmp_path_factory.mktemp("phantoms"), 3, seed=3, shape=SHAPE)


@pytest.fixture
def mmwhs(tmp_path, phantoms) -> Path:
    return Path(shutil.copytree(phantoms[0][0].parent, tmp_path / "mmwhs"))


@pytest.fixture
def nnunet(tmp_path, phantoms) -> Path:
    folder = tmp_path / "Dataset001_Heart"
    for part in ("imagesTr", "labelsTr"):
        (folder / part).mkdir(parents=True)
    for image, label in phantoms:
        name = image.name.removesuffix("_image.nii.gz")
        shutil.copy(image, folder / "imagesTr" / f"{name}_0000.nii.gz")
        shutil.copy(label, folder / "labelsTr" / f"{name}.nii.gz")
    write_json(
        folder / "dataset.json",
        channel_names={"0": "CT"},
        labels={"background": 0, **VALUES},
        numTraining=3,
        file_ending=".nii.gz",
    )
    return folder


@pytest.fixture
def decathlon(tmp_path, phantoms) -> Path:
    folder = tmp_path / "Task20_Heart"
    for part in ("imagesTr", "labelsTr"):
        (folder / part).mkdir(parents=True)
    training = []
    for image, label in phantoms:
        name = image.name.removeprefix("ct_train_").removesuffix("_image.nii.gz")
        shutil.copy(image, folder / "imagesTr" / f"heart_{name}.nii.gz")
        shutil.copy(label, folder / "labelsTr" / f"heart_{name}.nii.gz")
        training.append(
            {"image": f"./imagesTr/heart_{name}.nii.gz", "label": f"./labelsTr/heart_{name}.nii.gz"},
        )
    (folder / "imagesTr" / "._heart_1001.nii.gz").write_bytes(b"what macOS leaves")
    write_json(
        folder / "dataset.json",
        name="Heart",
        licence="CC-BY-SA 4.0",
        reference="someone",
        modality={"0": "CT"},
        labels={"0": "background", **{str(value): name for name, value in VALUES.items()}},
        numTraining=3,
        training=training,
        test=["./imagesTs/heart_1009.nii.gz"],
    )
    return folder


@pytest.fixture
def pairs(mmwhs) -> Path:
    write_json(mmwhs / "structures.json", structures={**VALUES, "left atrium": [420, 421]}, licence="own")
    return mmwhs


def write_json(path: Path, **content) -> None:
    path.write_text(json.dumps(content), encoding="utf-8")


def edit_json(path: Path, **changes) -> None:
    content = json.loads(path.read_text(encoding="utf-8")) | changes
    write_json(path, **{key: value for key, value in content.items() if value is not None})


def refused(folder: Path) -> str:
    with pytest.raises(InputError) as caught:
        read_dataset(folder)
    assert "\n" not in str(caught.value)
    return str(caught.value)


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


# --- dataset.json as it is found -----------------------------------------------------------------------------------------


def rewritten(folder: Path, change) -> list[str]:
    """Notes of a data set whose dataset.json was changed; its structures and cases stay those it had."""
    before = read_dataset(folder)
    path = folder / "dataset.json"
    description = json.loads(path.read_text())
    change(description)
    path.write_text(json.dumps(description))
    after = read_dataset(folder)
    assert [part.values for part in after.structures] == [part.values for part in before.structures]
    assert [part.name for part in after.structures] == [part.name for part in before.structures]
    assert [case.label for case in after.cases] == [case.label for case in before.cases]
    return list(after.notes)


def swap(description):
    description["labels"] = {str(value): name for name, value in description["labels"].items()}


def as_text(description):
    description["labels"] = {name: str(value) for name, value in description["labels"].items()}


def without_dot(description):
    description["file_ending"] = "nii.gz"


@pytest.mark.parametrize(
    ("change", "words"), [(swap, "instead of"), (as_text, "are text"), (without_dot, "lacks its dot")]
)
def test_what_nnunet_writes_otherwise_is_read_and_noted(nnunet, change, words):
    notes = rewritten(nnunet, change)
    assert [words in note for note in notes].count(True) == 1, notes


def test_nnunet_v1_is_read_by_its_list(nnunet):
    """The list names NAME, the file is NAME_0000."""

    def version_1(description):
        cases = [file.name for file in sorted((nnunet / "labelsTr").iterdir())]
        description["modality"] = description.pop("channel_names")
        del description["file_ending"]
        swap(description)
        description["training"] = [{"image": f"./imagesTr/{name}", "label": f"./labelsTr/{name}"} for name in cases]

    names = [case.name for case in read_dataset(nnunet).cases]
    notes = rewritten(nnunet, version_1)
    dataset = read_dataset(nnunet)
    assert dataset.layout == "nnU-Net v1 raw"
    assert [case.name for case in dataset.cases] == names
    assert all(case.image.name.endswith("_0000.nii.gz") for case in dataset.cases)
    assert any("nnU-Net v1" in note for note in notes)


def test_backslashes_of_windows_are_read(decathlon):
    def backslashes(description):
        for pair in description["training"]:
            for role in ("image", "label"):
                pair[role] = pair[role].replace("/", "\\")

    rewritten(decathlon, backslashes)


def test_decathlon_labels_the_other_way_round_are_read_and_noted(decathlon):
    def other_way(description):
        description["labels"] = {name: int(value) for value, name in description["labels"].items()}

    assert any("instead of" in note for note in rewritten(decathlon, other_way))


def test_two_values_of_one_name_are_refused(decathlon):
    path = decathlon / "dataset.json"
    description = json.loads(path.read_text())
    description["labels"]["421"] = "left atrium"
    path.write_text(json.dumps(description))
    assert "two values" in refused(decathlon)


@pytest.mark.parametrize("labels", [{"0": "1", "1": "2"}, {"liver": "one"}, {"liver": 1.5}, {"liver": None}])
def test_labels_that_mean_nothing_are_refused(nnunet, labels):
    path = nnunet / "dataset.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"labels": labels}))
    assert "dataset.json" in refused(nnunet)


@pytest.mark.parametrize("other", ["left_atrium", "LA", "Left Heart Atrium"])
def test_one_structure_under_two_spellings_is_refused(nnunet, other):
    labels = {"background": 0, **VALUES, other: 7}
    edit_json(nnunet / "dataset.json", labels=labels)
    assert f'"left atrium" and "{other}", which is one structure' in refused(nnunet)


def test_unknown_names_in_two_spellings_too(pairs):
    write_json(pairs / "structures.json", structures={**VALUES, "My_Femur": 1, "my femur": 2})
    assert '"My_Femur" and "my femur"' in refused(pairs)


@pytest.mark.parametrize("name", ["left atrium", "Aorta"])
def test_an_entry_that_is_there_twice_is_not_dropped(nnunet, name):
    text = (nnunet / "dataset.json").read_text(encoding="utf-8")
    (nnunet / "dataset.json").write_text(text.replace('"labels": {', f'"labels": {{"{name}": 7, "{name}": 8, ', 1))
    assert f'two entries "{name}"' in refused(nnunet)


def test_decathlon_refuses_two_spellings_and_one_name_for_two_values(decathlon):
    values = {"0": "background", **{str(value): name for name, value in VALUES.items()}}
    edit_json(decathlon / "dataset.json", labels={**values, "7": "left atrium"})
    assert 'the name "left atrium"' in refused(decathlon)
    edit_json(decathlon / "dataset.json", labels={**values, "7": "LA"})
    assert "which is one structure (left atrium)" in refused(decathlon)
