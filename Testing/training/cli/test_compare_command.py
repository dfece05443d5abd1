"""`unetseg compare` and the plausibility in its report: whose yardstick, and which scan."""

import csv
import json

import numpy as np
import pytest
from unetseg.cli.main import main
from UNetSegmenterLib.engine.io.geometry import Geometry
from UNetSegmenterLib.engine.io.image_writing import write_image, write_volume
from UNetSegmenterLib.engine.io.volume import Volume
from UNetSegmenterLib.engine.labels.distinct_colors import distinct_colors
from UNetSegmenterLib.engine.labels.seg_nrrd import write_seg_nrrd
from UNetSegmenterLib.engine.labels.segmentation import Segmentation
from UNetSegmenterLib.engine.labels.structures import known_structure
from UNetSegmenterLib.engine.plausibility.training_statistics import training_statistics

from ...engine.slicer_files import cropped
from ..command import tree
from ..datasets import blobs, write_checkpoint

STRUCTURES = (known_structure("liver", 1, 1), known_structure("spleen", 2, 2))


@pytest.fixture
def pair(tmp_path):
    """Paths of a prediction with a second component of liver, and of its reference."""
    _, labels = blobs(0)
    geometry = Geometry(labels.shape, (3.0, 2.0, 2.0))
    reference = Segmentation(labels, geometry, STRUCTURES, "reference")
    wrong = labels.copy()
    wrong[0:2, 0:6, 0:6] = 1
    for name, array in (("prediction", wrong), ("reference", labels)):
        write_seg_nrrd(Segmentation(array, geometry, STRUCTURES, name), tmp_path / f"{name}.seg.nrrd")
    statistics = training_statistics([(reference, None)] * 3)
    write_checkpoint(tmp_path / "small.pt", structures=STRUCTURES, statistics=statistics)
    return tmp_path


def compared(folder, *options):
    status = main(
        ["compare", f"{folder}/prediction.seg.nrrd", f"{folder}/reference.seg.nrrd", "--output", f"{folder}/out",
         *map(str, options)]
    )  # fmt: skip
    page = folder / "out" / "report.html"
    return status, page.read_text(encoding="utf-8") if page.is_file() else ""


def test_a_checkpoint_is_the_yardstick_of_plausibility(pair):
    status, text = compared(pair)
    assert status == 0 and "rule of thumb" in text
    status, text = compared(pair, "--checkpoint", pair / "small.pt")
    assert status == 0 and "3 training cases" in text and "rule of thumb" not in text


def test_a_scan_on_another_grid_serves_and_one_elsewhere_leaves_nothing(pair, capsys):
    hu = np.random.default_rng(0).normal(0, 20, (20, 40, 44)).astype(np.int16)
    finer = Geometry((20, 40, 44), (1.5, 2.0, 2.0), (0.0, 0.0, -0.75))
    write_volume(Volume(hu, finer), pair / "finer.nii.gz")
    status, text = compared(pair, "--scan", pair / "finer.nii.gz")
    assert status == 0 and 'id="findings"' in text and 'id="viewer"' in text
    assert "another grid than the scan" in capsys.readouterr().err
    away = Geometry(finer.shape, finer.spacing_mm, (900.0, 0.0, 0.0))
    write_volume(Volume(hu, away), pair / "away.nii.gz")
    before = tree(pair)
    assert compared(pair, "--scan", pair / "away.nii.gz", "--output", pair / "other")[0] == 2
    assert "lie apart" in capsys.readouterr().err and tree(pair) == before


def test_distinct_colours_are_in_table_and_viewer_of_the_report(pair):
    hu = np.random.default_rng(0).normal(0, 20, (10, 40, 44)).astype(np.int16)
    write_volume(Volume(hu, Geometry(hu.shape, (3.0, 2.0, 2.0))), pair / "scan.nii.gz")
    status, text = compared(pair, "--scan", pair / "scan.nii.gz", "--distinct-colors")
    assert status == 0
    for form in ("rgb({}, {}, {})", "[{}, {}, {}]"):
        assert form.format(*distinct_colors(["liver"])[0]) in text and form.format(*STRUCTURES[0].color) not in text


def written(folder, name, labels, structures=STRUCTURES):
    geometry = Geometry(labels.shape, (3.0, 2.0, 2.0))
    write_seg_nrrd(Segmentation(labels, geometry, structures, name), folder / f"{name}.seg.nrrd")
    return geometry


def table_of(folder, output="out"):
    with (folder / output / "metrics.csv").open(encoding="utf-8", newline="") as file:
        return {row["structure"]: row for row in csv.DictReader(file)}


AORTA_FIRST = (known_structure("aorta", 1, 1), known_structure("liver", 2, 2))


def ones_of_the_liver(folder, name):
    """A prediction whose value 1 is the aorta, and the liver alone as ones."""
    _, labels = blobs(0)
    swapped = np.array([0, 2, 1], np.uint8)[labels]
    geometry = written(folder, "prediction", swapped, AORTA_FIRST)
    write_image((labels == 1).astype(np.uint8), geometry, folder / name)


@pytest.mark.parametrize(
    "options", [(), ("--labels", "prediction.seg.nrrd"), ("--reference-labels", "prediction.seg.nrrd")]
)
def test_a_file_of_ones_is_what_its_name_says(tmp_path, capsys, options, monkeypatch):
    ones_of_the_liver(tmp_path, "liver.nii.gz")
    monkeypatch.chdir(tmp_path)
    assert main(["compare", "prediction.seg.nrrd", "liver.nii.gz", "--output", "out", *options]) == 0
    rows = table_of(tmp_path)
    assert rows["liver"]["dice"] == "1" and rows["liver"]["matched"] == "terminology"
    assert rows["aorta"]["status"] == "unmatched"
    assert "matched by" in capsys.readouterr().out
    assert "Matched by terminology (1)." in (tmp_path / "out" / "report.html").read_text(encoding="utf-8")


def test_ones_without_a_name_are_proposed_with_what_to_type(tmp_path, capsys, monkeypatch):
    ones_of_the_liver(tmp_path, "my seg.nii.gz")
    monkeypatch.chdir(tmp_path)
    command = ["compare", "prediction.seg.nrrd", "my seg.nii.gz", "--output", "out"]
    assert main(command) == 0
    said = capsys.readouterr().err
    assert "--pair 'liver=label 1'" in said
    assert all(row["status"] == "unmatched" for row in table_of(tmp_path).values())
    assert "overlaps “label 1” of the reference" in table_of(tmp_path)["liver"]["note"]
    assert "overlaps" in (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert main([*command, "--pair", "liver=label 1", "--pair", "aorta=", "--output", "again"]) == 0
    row = table_of(tmp_path, "again")["label 1"]
    assert row["dice"] == "1" and row["matched"] == "by hand"
    assert "--pair" not in capsys.readouterr().err


def test_a_dataset_json_says_what_values_mean(tmp_path, capsys, monkeypatch):
    _, labels = blobs(0)
    geometry = written(tmp_path, "ours", labels)
    write_image(np.array([0, 2, 1], np.uint8)[labels], geometry, tmp_path / "theirs.nii.gz")
    swapped = {"background": 0, "liver": 2, "spleen": 1}
    (tmp_path / "dataset.json").write_text(json.dumps({"labels": swapped}), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    command = ["compare", "ours.seg.nrrd", "theirs.nii.gz", "--reference-labels", "dataset.json", "--output", "out"]
    assert main(command) == 0
    assert {name: row["dice"] for name, row in table_of(tmp_path).items()} == {"liver": "1", "spleen": "1"}
    (tmp_path / "dataset.json").write_text('{"labels": 5}', encoding="utf-8")
    assert main([*command, "--overwrite"]) == 2
    assert "dataset.json" in capsys.readouterr().err


def test_labels_say_whose_values_they_mean(tmp_path, capsys, monkeypatch):
    """Two label maps of two schemes, each with its own meaning; one option for both would guess."""
    _, labels = blobs(0)
    geometry = written(tmp_path, "ours", labels)
    written(
        tmp_path, "theirs", labels, tuple(reversed([known_structure("liver", 2, 7), known_structure("spleen", 1, 9)]))
    )
    write_image(labels, geometry, tmp_path / "a.nii.gz")
    write_image(np.array([0, 9, 7], np.uint8)[labels], geometry, tmp_path / "b.nii.gz")
    monkeypatch.chdir(tmp_path)
    assert main(["compare", "a.nii.gz", "b.nii.gz", "--labels", "ours.seg.nrrd", "--output", "out"]) == 2
    assert "both are label maps" in capsys.readouterr().err
    assert main(["compare", "ours.seg.nrrd", "theirs.seg.nrrd", "--labels", "ours.seg.nrrd", "--output", "out"]) == 2
    assert "none is a label map" in capsys.readouterr().err
    sides = ["--prediction-labels", "ours.seg.nrrd", "--reference-labels", "theirs.seg.nrrd"]
    assert main(["compare", "a.nii.gz", "b.nii.gz", *sides, "--output", "out"]) == 0
    rows = table_of(tmp_path)
    assert set(rows) == {"liver", "spleen"} and rows["liver"]["dice"] == "0", "b calls the spleen's values liver"


def test_notes_of_a_reference_stand_in_the_comparison(pair, capsys):
    _, labels = blobs(0)
    cropped(pair / "reference.seg.nrrd", labels, Geometry(labels.shape, (3.0, 2.0, 2.0)), {0: ("liver", 1, 0)})
    assert compared(pair)[0] == 0
    assert "belongs to no segment" in (pair / "out" / "summary.json").read_text(encoding="utf-8")
    assert "belongs to no segment" in capsys.readouterr().out


@pytest.mark.parametrize("tolerance", ["-1", "-0.001", "nan", "inf", "-inf"])
def test_a_tolerance_that_is_no_length_is_refused_before_anything_is_read(tmp_path, capsys, tolerance):
    command = ["compare", "a.seg.nrrd", "b.seg.nrrd", "--output", f"{tmp_path}/out", f"--tolerance={tolerance}"]
    try:
        status = main(command)
    except SystemExit as end:  # not a number for the parser either
        status = end.code
    assert status == 2 and "tolerance" in capsys.readouterr().err.lower() and not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "command",
    [
        "evaluate x y --workers=-1", "info x --workers=-1", "submit --gpus=-1 p", "submit --nodes=0 p", "submit --cores=0 p",
        "submit --memory-gb=-4 p", "submit --folds=-1 p", "submit --shards=0 p", "phantom x --seed=-1",
        "submit --hours=-1 --dry-run --scheduler slurm --output o p", "submit --hours=0 --dry-run --scheduler slurm --output o p",
        "train p --output x --devices=0", "train p --output x --nodes=-1", "train p --output x --fold=-1",
        "prepare s p --spacing=-1", "prepare s p --spacing=inf", "prepare s p --window=nan,5", "prepare s p --window=-5,inf",
        "plan p --gpu-gb=-1",
    ],
)  # fmt: skip
def test_numbers_that_can_not_be_meant_are_refused(tmp_path, capsys, monkeypatch, command):
    monkeypatch.chdir(tmp_path)
    try:
        status = main(command.split())
    except SystemExit as end:
        status = end.code
    said = capsys.readouterr().err
    option = next(word for word in command.split() if "=" in word).split("=")[0].lstrip("-")
    assert status == 2 and option in said and not list(tmp_path.iterdir())
