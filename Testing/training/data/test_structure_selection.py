"""`--structures`: a subset of a data set's structures, or some of them merged, from the files to the preprocessed data set."""

import numpy as np
import pytest
from unetseg.data.layouts.detection import read_dataset
from unetseg.data.preprocessed_dataset import read_preprocessed_dataset
from unetseg.data.structure_selection import read_labels, selected
from unetseg.synthetic.phantom_cases import write_phantoms
from UNetSegmenterLib.engine.errors import InputError
from UNetSegmenterLib.engine.io.geometry import Geometry
from UNetSegmenterLib.engine.io.image_reading import read_volume
from UNetSegmenterLib.engine.labels.segmentation import Segmentation

from ..command import refused, unetseg_here


@pytest.fixture(scope="module")
def hearts(tmp_path_factory):
    folder = tmp_path_factory.mktemp("hearts") / "hearts"
    write_phantoms(folder, 4, seed=3, shape=(12, 40, 40), orientation="lps")
    return folder


def labels_of(dataset):
    case = dataset.cases[0]
    return read_labels(case, dataset.structures, read_volume(case.image).geometry).labels


def test_structures_are_left_out_and_merged(hearts):
    whole = read_dataset(hearts)
    before = labels_of(whole)
    indices = {structure.name: structure.index for structure in whole.structures}
    chosen = selected(whole, "right ventricle , left atrium+left ventricle=left heart")
    assert [(one.name, one.index) for one in chosen.structures] == [("right ventricle", 1), ("left heart", 2)]
    after = labels_of(chosen)
    np.testing.assert_array_equal(after == 1, before == indices["right ventricle"])
    left = (before == indices["left atrium"]) | (before == indices["left ventricle"])
    np.testing.assert_array_equal(after == 2, left)
    assert set(np.unique(after)) == {0, 1, 2}
    assert "left ventricular myocardium" in chosen.notes[-1]
    values = {one.name: one.values for one in whole.structures}
    assert chosen.structures[1].values == (*values["left atrium"], *values["left ventricle"])


@pytest.mark.parametrize("own", ["LV", "Left_Ventricle", "ventricle left"])
def test_a_structure_is_chosen_by_another_spelling_of_its_name(hearts, own):
    """A data set's own file may say LV; the structure is listed under one spelling for all data sets."""
    assert [one.name for one in selected(read_dataset(hearts), f"{own},RV").structures] == [
        "left ventricle",
        "right ventricle",
    ]


def test_a_chosen_structure_keeps_its_colour_and_terminology(hearts):
    whole = read_dataset(hearts)
    (aorta,) = selected(whole, "ascending aorta").structures
    (own,) = [one for one in whole.structures if one.name == "ascending aorta"]
    assert (aorta.color, aorta.terminology, aorta.values) == (own.color, own.terminology, own.values)


def test_what_a_left_out_structure_hid_is_seen(hearts):
    """Two overlapping structures of Slicer: the upper one is left out, so the lower one is whole."""
    whole = read_dataset(hearts)
    selection = selected(whole, whole.structures[0].name).cases[0].selection
    labels = np.array([[[1, 2, 0]]], np.uint8)
    overlapping = Segmentation(
        labels, Geometry((1, 1, 3), (1.0, 1.0, 1.0)), whole.structures, overlaps={1: np.array([1])}
    )
    assert selection.apply(overlapping).labels.tolist() == [[[1, 1, 0]]]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("left atrum", "did you mean left atrium"),
        ("left atrium,left atrium", "twice"),
        ("LV,left ventricle", '"left ventricle" twice'),
        ("left atrium,left atrium+left ventricle=both", "twice"),
        ("left atrium=a,left ventricle=a", "twice"),
        ("", "which the data set does not have"),
        ("left atrium,", "which the data set does not have"),
    ],
)
def test_names_that_do_not_fit_are_refused(hearts, text, words):
    with pytest.raises(InputError, match=words):
        selected(read_dataset(hearts), text)


def test_prepare_plan_and_evaluate_take_the_choice(hearts, tmp_path):
    pack, choice = tmp_path / "pack", ("--structures", "left atrium+left ventricle=left heart")
    assert "left out, and background" in unetseg_here("prepare", hearts, pack, "--test", 1, *choice).stdout
    prepared = read_preprocessed_dataset(pack)
    assert [one.name for one in prepared.structures] == ["left heart"]
    assert set(np.unique(prepared.labels)) == {0, 1}
    assert "nothing to do" in unetseg_here("prepare", hearts, pack, "--test", 1, *choice).stdout
    refused(unetseg_here("prepare", hearts, pack, "--test", 1), "has the structures left heart, not")
    plan = unetseg_here("plan", hearts, tmp_path / "plan.yaml", *choice)
    assert plan.returncode == 0
    assert "left heart 420+421+500" in plan.stdout
    run = unetseg_here("train", pack, "--output", tmp_path / "run", "--steps", 2, "--base-width", 4, "--depth", 2)
    assert run.returncode == 0, run.stderr
    evaluation = (
        "evaluate",
        tmp_path / "run" / "checkpoint.pt",
        hearts,
        "--split",
        "test",
        "--output",
        tmp_path / "out",
    )
    assert unetseg_here(*evaluation, *choice).returncode == 0
    assert "left heart" in (tmp_path / "out" / "metrics.csv").read_text()
