"""The command line as a person types it: real processes, small real files, everything that is left behind is opened."""

import csv
import json
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest
from unetseg.cli import COMMANDS
from unetseg.output_folder import MANIFEST
from UNetSegmenterLib.engine.io.geometry import Geometry
from UNetSegmenterLib.engine.io.image_reading import read_image, read_volume
from UNetSegmenterLib.engine.io.image_writing import write_image, write_volume
from UNetSegmenterLib.engine.io.volume import Volume
from UNetSegmenterLib.engine.labels.seg_nrrd import write_seg_nrrd
from UNetSegmenterLib.engine.labels.segmentation_files import read_segmentation
from UNetSegmenterLib.engine.labels.structures import known_structure
from UNetSegmenterLib.engine.model.checkpoint import load_checkpoint, read_card

from ..command import refused, tree, unetseg, unetseg_here
from ..datasets import STRUCTURES, blobs, write_checkpoint, write_dataset

OBLIQUE = ((0.0, -0.8, 0.6), (-1.0, 0.0, 0.0), (0.0, 0.6, 0.8))


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """A checkpoint of the right kind for `write_dataset`; its weights are random."""
    training = {"cases": ["case0"], "splits": {"test": ["case1", "case2"]}}
    path = tmp_path_factory.mktemp("models") / "small.pt"
    return write_checkpoint(path, structures=STRUCTURES, training=training)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return write_dataset(tmp_path_factory.mktemp("blobs"))


@pytest.fixture
def scan(tmp_path):
    """A CT stored oblique and left-handed."""
    hu, _ = blobs(0)
    path = tmp_path / "patient 7.nii.gz"
    write_volume(Volume(hu, Geometry(hu.shape, (3.0, 2.0, 2.0), (5.0, -20.0, 40.0), OBLIQUE)), path)
    return path


def help_without_slow_libraries(*arguments):
    """The help as the program prints it; none of the libraries that take time is imported for it."""
    code = (
        "import sys; import unetseg.cli.main\n"
        "try: status = unetseg.cli.main.main(sys.argv[1:])\n"
        "except SystemExit as end: status = end.code\n"
        "slow = {'torch', 'SimpleITK', 'numpy', 'scipy', 'slicer', 'rich', 'yaml'} & set(sys.modules)\n"
        "sys.exit(repr(slow) if slow else status)"
    )
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, encoding="utf-8", check=False)
    assert done.returncode == 0, done.stderr
    return done


def test_help_is_fast_and_names_every_command():
    done = help_without_slow_libraries("--help")
    for name in COMMANDS:
        assert f"\n  {name} " in done.stdout


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_itself(name):
    done = help_without_slow_libraries(name, "--help")
    assert f"unetseg {name} " in done.stdout, "an example to copy"
    assert "<class" not in done.stdout


def test_info(scan, tmp_path):
    done = unetseg("info", scan, "--plot", tmp_path / "plots" / "scan.png")
    assert done.returncode == 0, done.stderr
    facts = dict(line.split("  ", 1) for line in done.stdout.splitlines())
    assert "10 axial slices" in facts["size"]
    assert facts["spacing"].strip() == "2 x 2 mm in the slice"
    assert facts["slice distance"].strip().startswith("3 mm, even")
    assert "oblique by 36.9 degrees" in facts["orientation"]
    assert facts["field of view"].strip().startswith(("88 x 80 x 30", "80 x 88 x 30"))
    assert facts["HU"].strip().startswith("-1000 to ")
    picture = (tmp_path / "plots" / "scan.png").read_bytes()
    assert picture[:8] == b"\x89PNG\r\n\x1a\n"
    assert len(picture) > 20_000


def test_segment_writes_in_the_scans_own_grid(scan, checkpoint, tmp_path):
    other = tmp_path / "other.nrrd"
    write_volume(read_volume(scan), other)
    done = unetseg("segment", scan, other, "--checkpoint", checkpoint, "--output", tmp_path / "out", "--nifti")
    assert done.returncode == 0, done.stderr
    assert "slices/s" in done.stdout
    names = ("patient 7.seg.nrrd", "patient 7.nii.gz", "other.seg.nrrd", "other.nii.gz")
    assert tree(tmp_path / "out") == {*names, MANIFEST}
    volume = read_volume(scan)
    written = read_segmentation(tmp_path / "out" / "patient 7.seg.nrrd")
    assert written.geometry.is_close(volume.geometry, 1e-4)
    assert [structure.name for structure in written.structures] == ["liver", "spleen"]
    assert written.labels.any() and set(written.confidence) <= {1, 2} and written.confidence
    values, geometry = read_image(tmp_path / "out" / "patient 7.nii.gz")
    assert geometry.is_close(volume.geometry, 1e-4)
    assert set(np.unique(values)) <= {0, 1, 7}, "values of the source data, not indices"
    np.testing.assert_array_equal(values == 7, written.labels == 2)
    np.testing.assert_array_equal(written.labels, read_segmentation(tmp_path / "out" / "other.seg.nrrd").labels)


def test_log_has_lines_and_no_control_characters(scan, checkpoint, tmp_path):
    done = unetseg("segment", scan, "--checkpoint", checkpoint, "--output", tmp_path / "out")
    assert "\x1b" not in done.stdout
    assert "\r" not in done.stdout
    assert "10 of 10 slices" in done.stdout


def test_warning_is_seen_and_the_work_goes_on(checkpoint, tmp_path):
    grey = np.random.default_rng(0).integers(0, 255, (10, 24, 24)).astype(np.uint8)
    write_image(grey, Geometry(grey.shape, (3.0, 2.0, 2.0)), tmp_path / "grey.nrrd")
    done = unetseg("segment", tmp_path / "grey.nrrd", "--checkpoint", checkpoint, "--output", tmp_path / "out")
    assert done.returncode == 0
    assert "unetseg: warning: grey: values run from" in done.stderr
    assert "8-bit grey" in done.stderr
    assert (tmp_path / "out" / "grey.seg.nrrd").is_file()


def test_evaluate_leaves_table_summary_and_report(dataset, checkpoint, tmp_path):
    out = tmp_path / "out"
    done = unetseg("evaluate", checkpoint, dataset, "--output", out, "--split", "test", "--predictions")
    assert done.returncode == 0, done.stderr
    assert "were trained on" not in done.stderr and "without hashes" in done.stderr, (
        "the card names case0 and has no hash"
    )
    rows = list(csv.DictReader((out / "metrics.csv").open(encoding="utf-8")))
    assert [(row["case"], row["structure"]) for row in rows] == [
        (case, name) for case in ("case1", "case2") for name in ("liver", "spleen")
    ]
    summary = json.loads((out / "summary.json").read_text(encoding="utf-8"))
    assert summary["cases"] == 2
    assert set(summary["structures"]) == {"liver", "spleen"}
    dice = summary["structures"]["liver"]["dice"]
    assert dice["n"] == 2
    assert dice["mean"] == pytest.approx(np.mean([float(row["dice"]) for row in rows[::2]]), abs=1e-5)
    assert {"sd", "ci95", "missed"} <= set(dice)
    assert "hd95_mm" in summary["structures"]["liver"]
    assert summary["provenance"]["checkpoint SHA-256"] == load_checkpoint(checkpoint).sha256
    report = (out / "report.html").read_text(encoding="utf-8")
    assert "case1" in report
    assert "liver" in report
    assert {"predictions/case1.seg.nrrd", "predictions/case2.seg.nrrd"} < tree(out)
    assert not any(".partial" in path for path in tree(out))
    read_segmentation(out / "predictions" / "case1.seg.nrrd")


def test_evaluate_says_which_cases_were_trained_on(dataset, checkpoint, tmp_path):
    done = unetseg_here("evaluate", checkpoint, dataset, "--output", tmp_path / "out", "--cases", "case0,case1")
    assert done.returncode == 0, done.stderr
    assert "1 of 2 cases were trained on" in done.stderr
    summary = json.loads((tmp_path / "out" / "summary.json").read_text(encoding="utf-8"))
    assert summary["provenance"]["cases seen in training"] == "case0"


def test_compare_a_segmentation_with_itself(dataset, tmp_path):
    label = dataset / "labelsTr" / "case0.nii.gz"
    done = unetseg("compare", label, label, "--output", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    summary = json.loads((tmp_path / "out" / "summary.json").read_text(encoding="utf-8"))
    assert summary["mean_dice"] == 1.0
    assert "mean Dice over 2 structures: 1.000" in done.stdout
    report = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert 'id="findings"' in report and "rule of thumb" in report, "plausibility is checked too"
    charts = {f"figures/slices-{name}.svg" for name in summary["structures"]}
    assert {
        "metrics.csv",
        "summary.json",
        "report.html",
        "figures",
        MANIFEST,
        *(name.replace(" ", "-") for name in charts),
    } == tree(tmp_path / "out")


def test_compare_with_a_scan_draws(dataset, tmp_path):
    pytest.importorskip("slicer", reason="slicer-core is not installed")
    label, image = dataset / "labelsTr" / "case0.nii.gz", dataset / "imagesTr" / "case0_0000.nii.gz"
    reference = read_segmentation(label, read_segmentation(label).structures)
    write_seg_nrrd(reference, tmp_path / "case0.seg.nrrd")
    done = unetseg("compare", label, tmp_path / "case0.seg.nrrd", "--scan", image, "--output", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    left = tree(tmp_path / "out")
    assert {"pictures/sheet.png", "scene.mrb"} < left, done.stderr
    assert "data:image/png" in (tmp_path / "out" / "report.html").read_text(encoding="utf-8")


def test_without_the_scene_libraries_the_report_is_whole(dataset, tmp_path):
    """A folder that stands in front of the slicer package and has nothing: as if slicer-core were not installed."""
    (tmp_path / "front").mkdir()
    (tmp_path / "front" / "slicer.py").write_text("raise ModuleNotFoundError('No module', name='slicer')\n")
    label, image = dataset / "labelsTr" / "case0.nii.gz", dataset / "imagesTr" / "case0_0000.nii.gz"
    done = unetseg(
        "compare", label, label, "--scan", image, "--output", tmp_path / "out", PYTHONPATH=str(tmp_path / "front")
    )
    assert done.returncode == 0, done.stderr
    assert "slicer is not installed" in done.stderr
    left = tree(tmp_path / "out")
    assert {"metrics.csv", "summary.json", "report.html", "figures/worst-slice.png"} < left
    assert not any(path.startswith("pictures") or path.endswith(".mrb") for path in left)
    assert "Worst slice: axial slice" in (tmp_path / "out" / "report.html").read_text(encoding="utf-8")


def test_check_finds_what_is_no_anatomy(tmp_path):
    _, labels = blobs(0)
    labels[:, :4, :4] = 1  # a column of liver in the air
    write_image(labels, Geometry(labels.shape, (3.0, 2.0, 2.0)), tmp_path / "labels.nii.gz")
    done = unetseg("check", tmp_path / "labels.nii.gz", "--output", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    findings = json.loads((tmp_path / "out" / "findings.json").read_text(encoding="utf-8"))
    assert any(finding["severity"] != "pass" and finding["check"] == "components" for finding in findings)
    assert len(list(csv.DictReader((tmp_path / "out" / "findings.csv").open()))) == len(findings)


def test_prepare_then_train_by_configuration_file(dataset, tmp_path):
    done = unetseg_here(
        "prepare",
        dataset,
        tmp_path / "preprocessed",
        "--test",
        1,
        "--validation",
        1,
        "--spacing",
        2,
        "--window=-100,300",
    )
    assert done.returncode == 0, done.stderr
    assert "train" in done.stdout
    assert unetseg_here("prepare", dataset, tmp_path / "preprocessed").returncode == 0, (
        "the same sources: nothing to do"
    )
    config = tmp_path / "config.yaml"
    config.write_text(
        "steps: 3\nbase_width: 4\ndepth: 2\npatch: [32, 32]\nbatch_size: 2\naugmentation:\n  noise: 0.0\n"
    )
    arguments = (
        "train",
        tmp_path / "preprocessed",
        "--output",
        tmp_path / "run",
        "--config",
        config,
        "--batch-size",
        4,
    )
    done = unetseg_here(*arguments)
    assert done.returncode == 0, done.stderr
    assert "validation cases" in done.stdout
    stored = load_checkpoint(tmp_path / "run" / "checkpoint.pt").card.training["recipe"]
    assert stored["steps"] == 3
    assert stored["augmentation"]["noise"] == 0.0
    assert stored["batch_size"] == 4, "the command line wins over the file"
    refused(unetseg_here(*arguments, "--seed", 5), "another training configuration")


def test_the_stored_plan_is_executed_and_what_is_given_wins(dataset, tmp_path):
    preprocessed = tmp_path / "preprocessed"
    done = unetseg_here(
        "prepare", dataset, preprocessed, "--test", 1, "--spacing", 2, "--window", "-100,300", "--gpu-gb", 8
    )
    assert done.returncode == 0, done.stderr
    assert "slices of 48 x 48 pixels of 2 mm" in done.stdout
    plan = (preprocessed / "plan.yaml").read_text()
    assert "base_width: 32  # for a GPU of 8 GB" in plan
    (preprocessed / "plan.yaml").write_text(plan.replace("learning_rate: 0.002", "learning_rate: 0.004"))
    done = unetseg_here(
        *("train", preprocessed, "--output", tmp_path / "run", "--steps", 2, "--base_width", 16, "--patch", "16,24"),
        *("--augmentation.noise", 0, "--device", "cpu"),
    )
    assert done.returncode == 0, done.stderr
    assert "2 steps of 32 slices of 16 x 24 pixels, 3 as input, width 16, depth 2" in done.stdout
    assert (tmp_path / "run" / "curves.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    stored = load_checkpoint(tmp_path / "run" / "checkpoint.pt").card.training["recipe"]
    assert stored["base_width"] == 16, "given, though it is what the configuration has where there is no plan"
    assert (stored["learning_rate"], stored["patch"]) == (0.004, [16, 24])
    assert (stored["augmentation"]["noise"], stored["augmentation"]["blur"]) == (0.0, 1.0)


def test_a_preprocessed_data_set_that_is_there_is_not_taken_for_another(dataset, tmp_path):
    preprocessed = tmp_path / "preprocessed"
    done = unetseg_here("prepare", dataset, preprocessed, "--test", 1, "--spacing", 2)
    assert done.returncode == 0, done.stderr
    assert "nothing to do" in unetseg_here("prepare", dataset, preprocessed, "--test", 1, "--spacing", 2).stdout
    refused(unetseg_here("prepare", dataset, preprocessed, "--spacing", 1), "was prepared with spacing_mm 2.0, not 1.0")
    refused(unetseg_here("prepare", dataset, preprocessed, "--window=0,100"), "was prepared with window_hu")
    refused(unetseg_here("prepare", dataset, preprocessed, "--size", "32,32"), "was prepared with slice_size (0, 0)")
    refused(unetseg_here("prepare", dataset, preprocessed, "--test", 2), "was prepared with another split")


def test_options_are_spelt_with_hyphens():
    for name in ("train", "cross-validate", "submit", "plan", "prepare"):
        told = unetseg(name, "--help").stdout
        assert "--gpu-gb" in told or "--base-width" in told or "--memory-gb" in told
        assert not re.findall(r"--\w[\w.]*_\w+", told), name


def test_folds_of_one_configuration_make_a_table(dataset, tmp_path):
    preprocessed, runs = tmp_path / "preprocessed", tmp_path / "runs"
    done = unetseg_here("prepare", dataset, preprocessed, "--folds", 2, "--spacing", 2)
    assert done.returncode == 0, done.stderr
    assert f"unetseg cross-validate {preprocessed} --output RUNS" in done.stdout
    small = ("--base-width", 4, "--depth", 2, "--batch-size", 2, "--device", "cpu")
    arguments = ("cross-validate", preprocessed, "--output", runs, *small)
    done = unetseg_here(*arguments, "--steps", 2)
    assert done.returncode == 0, done.stderr
    assert (
        f"unetseg release {runs / 'fold0' / 'checkpoint.pt'} {runs / 'fold1' / 'checkpoint.pt'} DATASET" in done.stdout
    )
    assert "no Dice" not in done.stdout
    assert json.loads((runs / "summary.json").read_text())["cases"] == 4
    decided = json.loads((runs / "postprocessing.json").read_text())
    assert len(decided["cases"]) == 4
    assert set(decided["structures"]) == {"liver", "spleen"}
    assert decided["structures"]["liver"]["components"]["cases"] == 4
    done = unetseg_here(*arguments, "--steps", 3)
    assert done.returncode == 0, done.stderr
    assert "were trained before, with steps 2: the table shows those runs" in done.stderr
    whole = tmp_path / "whole"
    done = unetseg_here(
        "train", preprocessed, "--output", whole, *small, "--steps", 4, "--train-split", "all", "--validation-split="
    )
    assert done.returncode == 0, done.stderr
    assert "no Dice: no validation cases" in done.stdout
    release = ("release", whole / "checkpoint.pt", dataset, "--cross-validated", runs, "--output")
    done = unetseg_here(*release, tmp_path / "released.pt")
    assert done.returncode == 0, done.stderr
    assert "were trained with steps 2 instead of the checkpoint's 4" in done.stderr
    card = read_card(tmp_path / "released.pt")
    assert list(card.postprocessing) == decided["steps"]
    assert "each on the patients that it was not trained on" in card.validation["all"]["measured"]
    assert card.validation["liver"]["dice"]["n"] == 4
    checkpoint = runs / "fold1" / "checkpoint.pt"
    whole_bytes = checkpoint.read_bytes()
    checkpoint.write_bytes(whole_bytes[:-100])
    refused(unetseg_here(*arguments, "--steps", 2), "fold1", "delete it and give the same command again")
    checkpoint.unlink()
    shutil.rmtree(runs / "fold1" / "tensorboard", ignore_errors=True)
    before = tree(runs)
    refused(unetseg_here(*arguments, "--steps", 3), "has 1 of 2 folds, trained with steps 2")
    assert tree(runs) == before, "nothing is trained before that is said"
    done = unetseg_here(*release, tmp_path / "again.pt")
    assert "no longer has the checkpoint of fold1" in done.stderr
    done = unetseg_here(*arguments, "--steps", 2)
    assert done.returncode == 0, done.stderr
    assert read_card(checkpoint).training["recipe"]["steps"] == 2, "made anew from the last state"
    refused(unetseg_here(*arguments, "--fold", 1), "--fold")


def test_demo_on_a_scan_of_ones_own(dataset, checkpoint, tmp_path):
    label, image = dataset / "labelsTr" / "case0.nii.gz", dataset / "imagesTr" / "case0_0000.nii.gz"
    out = tmp_path / "out"
    done = unetseg("demo", "--scan", image, "--checkpoint", checkpoint, "--output", out)
    assert done.returncode == 0, done.stderr
    assert set(json.loads((out / "summary.json").read_text())["volumes_ml"]) == {"liver", "spleen"}
    assert (out / "case0_0000.seg.nrrd").is_file()
    reference = tmp_path / "mine.seg.nrrd"
    structures = [known_structure("liver", 1, (1,)), known_structure("spleen", 2, (2,))]
    write_seg_nrrd(read_segmentation(label, structures), reference)
    done = unetseg_here("demo", "--scan", image, "--reference", reference, "--checkpoint", checkpoint, "--output", out)
    assert done.returncode == 0, done.stderr
    assert "reference mine.seg.nrrd" in done.stdout
    assert {"report.html", "summary.json", "metrics.csv"} < tree(out)
