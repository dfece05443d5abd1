"""Paths as users write them: the wrong thing, the wrong place, twice, with ~, a variable or a leading hyphen."""

import os
import shlex

import pytest
from unetseg.cli.argument_types import path as path_type
from unetseg.cli.path_kinds import kind_of
from unetseg.cli.scan_paths import find_scans
from unetseg.console import quoted
from UNetSegmenterLib.engine.io.atomic_files import WriteError, write_text

from ..command import refused, tree, unetseg_here

FILES = (
    *("scan.nii.gz", "m.pt", "plan.yaml", "notes.txt", "hearts/a.nii.gz", "hearts/structures.json", "pre/pack.json"),
    *("pre/plan.yaml", "run/run.yaml", "run/state.pt", "run/checkpoint.pt", "evaluated/evaluation.json"),
    *("folds/fold0/checkpoint.pt", "nnunet/plans.json", "nnunet/dataset.json", "mixed/checkpoint.pt", "mixed/b.mha"),
)
OUT = ("--output", "out")


@pytest.fixture(autouse=True)
def _things(tmp_path, monkeypatch):
    """Things that are told by their names alone, in the working folder, which is the home folder too."""
    for name in FILES:
        (tmp_path / name).parent.mkdir(exist_ok=True, parents=True)
        (tmp_path / name).touch()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (
            "segment m.pt --checkpoint scan.nii.gz",
            "--checkpoint is scan.nii.gz, an image, and SCANS is m.pt, a model: the two",
        ),
        (
            "evaluate hearts m.pt",
            "CHECKPOINT is hearts, a folder of images, and DATASET is m.pt, a model: the two are swapped",
        ),
        ("release hearts m.pt", "the two are swapped; exchange them"),
        (
            "segment scan.nii.gz --checkpoint run",
            "where a checkpoint (.pt, .onnx) is expected (--checkpoint); perhaps run",
        ),
        ("segment scan.nii.gz --checkpoint folds", "perhaps folds/fold0/checkpoint.pt is meant"),
        ("segment scan.nii.gz --checkpoint nnunet", "make one with: unetseg import nnunet --output FILE.pt"),
        ("segment pre", "pre is a preprocessed data set, where a scan is expected (SCANS)"),
        ("check evaluated", "the folder of an evaluation, where a segmentation is expected (SEGMENTATION)"),
        ("compare scan.nii.gz m.pt", "m.pt is a model, where a segmentation is expected (REFERENCE)"),
        ("compare scan.nii.gz scan.nii.gz --labels run", "perhaps run/checkpoint.pt is meant"),
        ("train hearts", "make one with: unetseg prepare hearts PREPROCESSED"),
        ("train pre --plan pre", "where a YAML file is expected (--plan); perhaps pre/plan.yaml is meant"),
        ("train pre --start-from run/state.pt", "the state of a training, where a checkpoint"),
        (
            "train --resume run/checkpoint.pt",
            "run/checkpoint.pt is a model, where the folder of a training is expected",
        ),
        (
            "train --resume folds",
            "the folder of a cross-validation, where the folder of a training is expected (--resume)",
        ),
        ("evaluate m.pt pre", "name the one that it was prepared from"),
        (
            "evaluate --merge run",
            "run is the folder of a training, where the folder of an evaluation is expected (--merge)",
        ),
        ("evaluate m.pt", "CHECKPOINT and DATASET are needed"),
    ],
)
def test_another_thing_than_expected_is_named(command, words, tmp_path):
    before = tree(tmp_path)
    refused(unetseg_here(*command.split(), *OUT), words)
    assert tree(tmp_path) == before


def test_what_can_not_be_told_by_its_name_is_left_to_its_reader():
    assert [kind_of(path_type(name)) for name in ("notes.txt", "nothing.pt")] == ["", ""]
    assert kind_of(path_type("mixed")) == "a folder of images", "scans beside a checkpoint"


@pytest.mark.parametrize("name", ["results.nii.gz", "report.html", "deep/r.seg.nrrd"])
@pytest.mark.parametrize("command", ["segment scan.nii.gz --output", "train pre --output", "prepare hearts", "phantom"])
def test_a_folder_that_is_called_like_a_file_is_not_made(command, name, tmp_path):
    before = tree(tmp_path)
    refused(unetseg_here(*command.split(), name), name, "is called like a file, where a folder is expected")
    assert tree(tmp_path) == before


@pytest.mark.parametrize("text", ["$HOME/out", "${HOME}/out", "$UNSET"])
def test_a_variable_that_no_shell_has_replaced_makes_no_folder_of_its_name(text, tmp_path):
    before = tree(tmp_path)
    refused(unetseg_here("phantom", text, "--count", 1), "begins with a variable that no shell has replaced", "~")
    (tmp_path / "options.yaml").write_text(f"output: {text}\n")
    refused(unetseg_here("train", "pre", "--config", "options.yaml"), "no shell has replaced")
    assert tree(tmp_path) - before == {"options.yaml"}
    (tmp_path / "$UNSET").mkdir()
    assert path_type("$UNSET/a").name == "a", "a folder of that name"
    assert path_type("a$b").name == "a$b"


def test_the_home_folder_is_meant_by_a_tilde_wherever_a_path_stands(tmp_path):
    done = unetseg_here("phantom", "--count=1", "--size=16", "--slices=4", "~/made here/Ä")
    assert done.returncode == 0 and (tmp_path / "made here" / "Ä").is_dir(), done.stderr
    refused(unetseg_here("prepare", "hearts", "~/hearts"), f"{tmp_path / 'hearts'} is what this command reads")
    refused(unetseg_here("train", "pre", *OUT, "--config=~/none.yaml"), f"{tmp_path / 'none.yaml'} is not there")
    (tmp_path / "list.txt").write_text("~/scan.nii.gz\n")
    assert [scan.path for scan in find_scans([tmp_path / "list.txt"])] == [tmp_path / "scan.nii.gz"]
    assert str(path_type("~nobody-of-that-name/a")) == "~nobody-of-that-name/a"


def test_a_folder_that_a_path_only_leads_out_of_is_not_made(tmp_path):
    assert unetseg_here("phantom", "a/../b", "--count=1", "--size=16", "--slices=4").returncode == 0
    assert (tmp_path / "b").is_dir() and not (tmp_path / "a").exists()
    (tmp_path / "link").symlink_to(tmp_path / "mixed")
    assert path_type("link/../hearts").resolve() == tmp_path / "hearts", "as the system goes out of a link"


def test_a_command_that_is_printed_is_one_that_a_shell_takes(tmp_path):
    folder = tmp_path / "it's mine" / "-hearts é"
    folder.mkdir(parents=True)
    (folder / "a.nii.gz").touch()
    said = unetseg_here("train", folder, *OUT).stderr
    assert shlex.split(said.partition("unetseg prepare ")[2].replace(" PREPROCESSED.", ""), posix=os.name == "posix")
    if os.name == "posix":
        assert f"unetseg prepare {shlex.quote(str(folder))} PREPROCESSED" in said
    assert (quoted("runs/a.pt"), quoted("-a")) == ("runs/a.pt", "./-a")


def test_a_file_where_a_folder_is_needed_is_named(tmp_path):
    with pytest.raises(WriteError, match=r"notes\.txt is a file, and a folder is expected"):
        write_text(tmp_path / "notes.txt" / "submit.sh", "#!/bin/sh\n")


def test_a_path_that_begins_with_a_hyphen(tmp_path):
    (tmp_path / "-scan.nii.gz").touch()
    refused(unetseg_here("segment", "-scan.nii.gz", *OUT), "write the path as ./-scan.nii.gz")
    refused(unetseg_here("segment", "./-scan.nii.gz", *OUT), "-scan.nii.gz")


def test_what_is_given_twice(tmp_path):
    done = unetseg_here("check", "m.pt", *OUT, "--output=other", "--scan", "a", "--scan", "b")
    warnings = [line for line in done.stderr.splitlines() if "warning" in line]
    assert [line.split()[2] for line in warnings] == ["--output", "--scan"] and "only the last one counts" in warnings[
        0
    ]
    assert "warning" not in unetseg_here("segment", "pre", "--checkpoint", "a.pt", "--checkpoint", "b.pt", *OUT).stderr
    refused(unetseg_here("compare-models", "evaluated", "./evaluated"), "given twice")
