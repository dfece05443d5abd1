"""A corrected case goes into a data set folder, which stays readable, consistent and whole."""

from __future__ import annotations

import json

import numpy as np
import pytest
from UNetSegmenterLib.engine.errors import InputError
from UNetSegmenterLib.engine.io.geometry import Geometry
from UNetSegmenterLib.engine.io.image_reading import read_volume
from UNetSegmenterLib.engine.io.volume import Volume
from UNetSegmenterLib.engine.labels import training_case
from UNetSegmenterLib.engine.labels.segmentation import Segmentation
from UNetSegmenterLib.engine.labels.segmentation_files import read_segmentation
from UNetSegmenterLib.engine.labels.structures import known_structure
from UNetSegmenterLib.engine.labels.training_case import ORIGINS, case_exists, case_name, write_training_case

TILT = np.radians(12.0)
DIRECTION = (
    (-1.0, 0.0, 0.0),
    (0.0, float(np.cos(TILT)), float(-np.sin(TILT))),
    (0.0, float(np.sin(TILT)), float(np.cos(TILT))),
)  # left-handed and oblique
GRID = Geometry((12, 20, 24), (3.0, 0.8, 0.9), (123.4, -56.7, 700.25), DIRECTION)
PAIR = (known_structure("liver", 1, (5,)), known_structure("left kidney", 2, (9,)))


def scan(seed=0):
    return Volume(np.random.default_rng(seed).integers(-1000, 1500, GRID.shape).astype(np.int16), GRID, "CT")


def drawn(structures=PAIR, seed=0):
    labels = np.random.default_rng(seed).integers(0, len(structures) + 1, GRID.shape).astype(np.uint8)
    return Segmentation(labels, GRID, structures)


def described(folder):
    return json.loads((folder / "dataset.json").read_text(encoding="utf-8"))


def test_a_new_data_set_holds_scan_and_labels_voxel_by_voxel(tmp_path):
    folder = tmp_path / "new" / "Dataset101_Liver"
    saved = write_training_case(folder, "case_1", scan(), drawn(), {"corrected_by": "A. Reader"})
    assert saved.cases == 1 and "at least two" in saved.notes[0]
    volume, labels = read_volume(saved.image), read_segmentation(saved.labels, PAIR_BY_INDEX)
    assert np.array_equal(volume.array, scan().array) and np.array_equal(labels.labels, drawn().labels)
    assert volume.geometry.is_close(GRID, 1e-3) and labels.geometry.is_close(GRID, 1e-3)
    assert saved.image == folder / "imagesTr" / "case_1_0000.nii.gz"
    assert saved.labels == folder / "labelsTr" / "case_1.nii.gz"
    description = described(folder)
    assert description["labels"] == {"background": 0, "liver": 1, "left kidney": 2}
    assert description["channel_names"] == {"0": "CT"} and description["file_ending"] == ".nii.gz"
    assert description["numTraining"] == 1 and description[ORIGINS]["case_1"] == {"corrected_by": "A. Reader"}
    assert sorted(path.name for path in folder.iterdir()) == ["dataset.json", "imagesTr", "labelsTr"], "no lock is left"


PAIR_BY_INDEX = (known_structure("liver", 1, (1,)), known_structure("left kidney", 2, (2,)))


def test_the_values_of_a_data_set_that_is_there_are_kept(tmp_path):
    (tmp_path / "dataset.json").write_text(
        json.dumps(
            {
                "name": "BTCV",
                "channel_names": {"0": "CT"},
                "labels": {"background": 0, "Kidney (L)": 7, "liver": 300},
                "numTraining": 0,
                "file_ending": ".nrrd",
                "reference": "somebody's",
            }
        ),
        encoding="utf-8",
    )
    saved = write_training_case(tmp_path, "a", scan(), drawn())
    assert saved.labels.name == "a.nrrd"
    values = read_volume(saved.labels).array
    assert np.array_equal(values, np.array([0, 300, 7])[drawn().labels])
    description = described(tmp_path)
    assert description["reference"] == "somebody's" and description["labels"]["Kidney (L)"] == 7
    assert description["numTraining"] == 1


def test_no_case_is_replaced_without_being_told_to(tmp_path):
    first = write_training_case(tmp_path, "a", scan(1), drawn())
    before = first.image.read_bytes(), first.labels.read_bytes()
    assert case_exists(tmp_path, "a") and not case_exists(tmp_path, "b")
    with pytest.raises(InputError, match="already"):
        write_training_case(tmp_path, "a", scan(2), drawn(seed=2))
    assert (first.image.read_bytes(), first.labels.read_bytes()) == before
    write_training_case(tmp_path, "a", scan(2), drawn(seed=2), replace=True)
    assert np.array_equal(read_volume(first.image).array, scan(2).array)
    assert write_training_case(tmp_path, "b", scan(3), drawn()).cases == 2


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        ({"background": 0, "liver": 1}, 'no value for "left kidney"'),
        ({"background": 0, "liver": 1, "left kidney": 2, "spleen": 3}, '"spleen".*trained as background'),
        ({"background": 0, "liver": [1, 2], "left kidney": 2}, "more than one value"),
    ],
)
def test_other_structures_are_refused_and_nothing_is_written(tmp_path, labels, words):
    description = {"channel_names": {"0": "CT"}, "labels": labels, "file_ending": ".nii.gz"}
    (tmp_path / "dataset.json").write_text(json.dumps(description), encoding="utf-8")
    with pytest.raises(InputError, match=words):
        write_training_case(tmp_path, "a", scan(), drawn())
    assert described(tmp_path) == description and not (tmp_path / "imagesTr").exists()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("{", "no description"),
        ("[]", "no description"),
        ('{"labels": {"liver": 1}}', "file_ending"),
        ('{"labels": {"liver": 1}, "file_ending": ".nii.gz", "channel_names": {"0": "T1"}}', "CT alone"),
        ('{"labels": {"liver": 1}, "file_ending": ".nii.gz", "channel_names": {"0": "CT", "1": "PET"}}', "CT alone"),
        ('{"labels": {"liver": 1}, "file_ending": ".png", "channel_names": {"0": "CT"}}', "file ending"),
    ],
)
def test_a_folder_of_another_kind_is_refused_with_the_reason(tmp_path, content, words):
    (tmp_path / "dataset.json").write_text(content, encoding="utf-8")
    with pytest.raises(InputError, match=words):
        write_training_case(tmp_path, "a", scan(), drawn())
    assert (tmp_path / "dataset.json").read_text(encoding="utf-8") == content


def test_images_without_a_description_are_left_alone(tmp_path):
    (tmp_path / "imagesTr").mkdir()
    (tmp_path / "imagesTr" / "x_0000.nii.gz").write_bytes(b"")
    with pytest.raises(InputError, match=r"no dataset\.json"):
        write_training_case(tmp_path, "a", scan(), drawn())


@pytest.mark.parametrize("name", ["", "../a", "a/b", "a b", ".hidden", "ä", "x" * 101])
def test_a_name_that_is_no_file_name_is_refused(tmp_path, name):
    with pytest.raises(InputError, match="can't name a case"):
        write_training_case(tmp_path, name, scan(), drawn())
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("text", "name"), [("3: Abdomen 5.0 B30f", "3_Abdomen_5.0_B30f"), ("", "case"), ("../..", "case"), ("肝", "case")]
)
def test_a_name_is_suggested_for_any_scan(text, name):
    assert case_name(text) == name


def test_labels_on_another_grid_are_refused(tmp_path):
    moved = Geometry(GRID.shape, GRID.spacing_mm, (0.0, 0.0, 0.0), DIRECTION)
    with pytest.raises(InputError, match="another grid"):
        write_training_case(tmp_path, "a", scan(), Segmentation(drawn().labels, moved, PAIR))
    assert not (tmp_path / "imagesTr").exists()


def test_where_labels_can_not_be_written_no_scan_is_left(tmp_path):
    (tmp_path / "labelsTr").write_text("a file is no folder", encoding="utf-8")
    (tmp_path / "dataset.json").write_text(
        json.dumps({"channel_names": {"0": "CT"}, "labels": {"liver": 1, "left kidney": 2}, "file_ending": ".nii.gz"}),
        encoding="utf-8",
    )
    with pytest.raises(InputError, match="labelsTr"):
        write_training_case(tmp_path, "a", scan(), drawn())
    assert not list((tmp_path / "imagesTr").iterdir())


@pytest.mark.parametrize("in_the_way", ["labels that are a folder", "no room"])
def test_where_labels_can_not_be_replaced_the_old_pair_stays(tmp_path, in_the_way, monkeypatch):
    saved = write_training_case(tmp_path, "a", scan(), drawn())
    before = saved.image.read_bytes(), (tmp_path / "dataset.json").read_text(encoding="utf-8")
    if in_the_way == "no room":

        def full(*arguments):
            raise InputError("no space left on the device")

        monkeypatch.setattr(training_case, "write_image", full)
    else:
        saved.labels.unlink()
        (saved.labels / "something").mkdir(parents=True)
    with pytest.raises(InputError):
        write_training_case(tmp_path, "a", scan(1), drawn(seed=1), replace=True)
    assert (saved.image.read_bytes(), (tmp_path / "dataset.json").read_text(encoding="utf-8")) == before
    assert [path.name for path in saved.image.parent.iterdir()] == [saved.image.name], "nothing else is left"
    assert [path.name for path in saved.labels.parent.iterdir()] == [saved.labels.name]
