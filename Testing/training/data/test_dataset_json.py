"""dataset.json as it is found: written in older or other ways, or contradicting itself."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from unetseg.data.layouts.detection import read_dataset

from .layout_files import VALUES, edit_json, refused, write_json


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
