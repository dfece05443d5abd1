"""Nothing of anyone else is replaced, by any command; and a second run of the same command is no one else."""

import json
import os
import subprocess
import sys

import pytest
from unetseg.output_folder import MANIFEST, Outputs, claimed
from UNetSegmenterLib.engine.errors import InputError
from UNetSegmenterLib.engine.io.image_writing import write_image
from UNetSegmenterLib.engine.labels.segmentation_files import read_segmentation

from ...engine.checkpoints import small_card
from ..command import refused, tree, unetseg_here
from ..datasets import GRID, STRUCTURES, blobs, write_checkpoint, write_dataset, write_scan


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    return write_checkpoint(tmp_path_factory.mktemp("models") / "small.pt", structures=STRUCTURES)


def write_labels(path, seed=0):
    write_image(blobs(seed)[1], GRID, path)
    return path


# --- segment -------------------------------------------------------------------------------------------------------------


@pytest.fixture
def scan(tmp_path):
    return write_scan(tmp_path / "work" / "scan.nii.gz")


def test_a_scan_is_never_replaced_by_its_labels(scan, checkpoint):
    """Whatever it is called: its own name, a symbolic or a hard link to it, another spelling of the path."""
    before, folder = scan.read_bytes(), scan.parent
    options = ("--checkpoint", checkpoint, "--nifti", "--overwrite")
    refused(unetseg_here("segment", scan, "--output", folder, *options), "scan.nii.gz", "never replaced")
    refused(unetseg_here("segment", scan, "--output", folder / "." / ".." / "work", *options), "never replaced")
    for link in (os.symlink, os.link):
        (other := folder.parent / link.__name__).mkdir()
        link(scan, other / "scan.nii.gz")
        refused(unetseg_here("segment", scan, "--output", other, *options), "never replaced")
        refused(unetseg_here("segment", other / "scan.nii.gz", "--output", folder, *options), "never replaced")
        assert tree(other) == {"scan.nii.gz"}
    assert scan.read_bytes() == before and tree(folder) == {"scan.nii.gz"}
    done = unetseg_here("segment", scan, "--output", folder, "--checkpoint", checkpoint)
    assert done.returncode == 0, done.stderr
    assert scan.read_bytes() == before and tree(folder) == {"scan.nii.gz", "scan.seg.nrrd", MANIFEST}


def test_a_segmentation_drawn_by_hand_stays(scan, checkpoint):
    drawn = scan.with_name("scan.seg.nrrd")
    drawn.write_bytes(b"days of work")
    command = ("segment", scan, "--output", scan.parent, "--checkpoint", checkpoint)
    refused(unetseg_here(*command), "scan.seg.nrrd", "was not written by unetseg segment", "--overwrite")
    assert drawn.read_bytes() == b"days of work" and tree(scan.parent) == {"scan.nii.gz", "scan.seg.nrrd"}
    assert unetseg_here(*command, "--skip-existing").returncode == 0
    assert drawn.read_bytes() == b"days of work"
    assert unetseg_here(*command, "--overwrite").returncode == 0
    assert read_segmentation(drawn).structures


def test_what_an_earlier_run_wrote_may_be_replaced_until_someone_corrects_it(scan, checkpoint):
    command = ("segment", scan, "--output", scan.parent / "out", "--checkpoint", checkpoint, "--nifti")
    for _ in range(2):
        done = unetseg_here(*command)
        assert done.returncode == 0, done.stderr
    for name in ("scan.seg.nrrd", "scan.nii.gz"):
        result = scan.parent / "out" / name
        ours = result.read_bytes()
        result.write_bytes(b"corrected")
        refused(unetseg_here(*command), name, "was changed since")
        assert result.read_bytes() == b"corrected"
        result.write_bytes(ours)


def test_it_is_refused_before_the_work(tmp_path, checkpoint):
    """The first of two scans is not segmented where the second one's result can't be written."""
    scans = [write_scan(tmp_path / name) for name in ("a.nii.gz", "b.nii.gz")]
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "b.seg.nrrd").write_text("mine")
    refused(unetseg_here("segment", *scans, "--checkpoint", checkpoint, "--output", tmp_path / "out"), "b.seg.nrrd")
    assert tree(tmp_path / "out") == {"b.seg.nrrd"}


def test_a_case_that_is_named_twice_counts_once(tmp_path):
    from unetseg.cli.evaluate import chosen_cases
    from unetseg.data.layouts.detection import read_dataset

    dataset = read_dataset(write_dataset(tmp_path / "set", cases=2))
    assert [case.name for case in chosen_cases(dataset, small_card(), None, "case1,case0,case1", None)] == [
        "case1",
        "case0",
    ]


# --- the other commands --------------------------------------------------------------------------------------------------


def test_two_commands_do_not_share_a_folder(tmp_path, checkpoint):
    dataset, out = write_dataset(tmp_path / "set", cases=2), tmp_path / "out"
    done = unetseg_here("evaluate", checkpoint, dataset, "--output", out)
    assert done.returncode == 0, done.stderr
    report = (out / "report.html").read_bytes()
    label = dataset / "labelsTr" / "case0.nii.gz"
    for other in (("compare", label, label), ("check", label), ("segment", dataset / "imagesTr")):
        refused(unetseg_here(*other, "--output", out, "--overwrite"), "unetseg evaluate", "choose another --output")
    assert (out / "report.html").read_bytes() == report
    assert unetseg_here("evaluate", checkpoint, dataset, "--output", out).returncode == 0, "the same command goes on"


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """A data set, and the same preprocessed."""
    folder = tmp_path_factory.mktemp("prepared")
    dataset = write_dataset(folder / "set", cases=3)
    done = unetseg_here("prepare", dataset, folder / "preprocessed", "--spacing", 2, "--folds", 2)
    assert done.returncode == 0, done.stderr
    return dataset, folder / "preprocessed"


@pytest.fixture
def material(tmp_path, checkpoint, prepared):
    """A folder with files of each kind, all of them someone's own; the commands that would write over one of them."""
    mine = tmp_path / "mine"
    scan, label = write_scan(mine / "scan.nii.gz"), write_labels(mine / "label.nii.gz")
    for name in ("report.html", "findings.csv", "summary.json", "plot.png", "plan.yaml", "metrics.csv", "state.txt"):
        (mine / name).write_text("mine")
    (mine / "ct_train_1001_image.nii.gz").write_text("a patient")
    (mine / "model.pt").write_bytes(checkpoint.read_bytes())
    return mine, scan, label, *prepared, checkpoint


COMMANDS = {
    "compare": lambda mine, scan, label, *_: ("compare", label, label, "--output", mine),
    "check": lambda mine, scan, label, *_: ("check", label, "--output", mine),
    "info": lambda mine, scan, *_: ("info", scan, "--plot", mine / "plot.png"),
    "info set": lambda mine, scan, label, dataset, *_: ("info", dataset, "--plot", mine / "plot.png"),
    "plan": lambda mine, scan, label, dataset, *_: ("plan", dataset, mine / "plan.yaml"),
    "phantom": lambda mine, *_: ("phantom", mine, "--count", 1, "--size", 16, "--slices", 4),
    "bench": lambda mine, scan, label, dataset, preprocessed, model: ("bench", scan, "--output", mine / "summary.json"),
    "demo": lambda mine, scan, label, dataset, preprocessed, model: (
        *("demo", "--scan", scan, "--checkpoint", model, "--output", mine),
    ),
    "evaluate": lambda mine, scan, label, dataset, preprocessed, model: ("evaluate", model, dataset, "--output", mine),
    "release": lambda mine, scan, label, dataset, preprocessed, model: (
        *("release", model, dataset, "--output", mine / "model.pt"),
    ),
    "prepare": lambda mine, scan, label, dataset, *_: ("prepare", dataset, mine),
    "train": lambda mine, scan, label, dataset, preprocessed, model: (
        "train",
        preprocessed,
        "--output",
        mine,
        "--device",
        "cpu",
    ),
    "cross-validate": lambda mine, scan, label, dataset, preprocessed, model: (
        "cross-validate",
        preprocessed,
        "--output",
        mine,
    ),
}


@pytest.mark.parametrize("name", COMMANDS)
def test_no_command_replaces_what_it_did_not_write(name, material):
    mine = material[0]
    before = {path: path.read_bytes() for path in mine.iterdir()}
    refused(unetseg_here(*COMMANDS[name](*material)))
    assert {path: path.read_bytes() for path in mine.iterdir()} == before, "nor leaves anything"


def test_inputs_are_never_replaced_by_a_file_either(material):
    mine, scan, label, dataset, _, checkpoint = material
    before = checkpoint.read_bytes(), scan.read_bytes(), label.read_bytes()
    refused(unetseg_here("release", checkpoint, dataset, "--output", checkpoint, "--overwrite"), "never replaced")
    refused(unetseg_here("info", scan, "--plot", scan, "--overwrite"), "never replaced")
    refused(unetseg_here("plan", dataset, dataset / "dataset.json", "--overwrite"), "nothing is written into an input")
    refused(unetseg_here("bench", scan, "--output", scan, "--overwrite"), "never replaced")
    os.link(label, mine / "findings.json")
    refused(unetseg_here("check", label, "--output", mine, "--overwrite"), "findings.json", "never replaced")
    assert (checkpoint.read_bytes(), scan.read_bytes(), label.read_bytes()) == before


def test_overwrite_replaces_what_is_in_the_way_and_nothing_else(material):
    mine, _, label, *_ = material
    done = unetseg_here("check", label, "--output", mine, "--overwrite")
    assert done.returncode == 0, done.stderr
    assert (mine / "findings.csv").read_text().startswith("severity,") and (mine / "plot.png").read_text() == "mine"
    assert unetseg_here("check", label, "--output", mine).returncode == 0, "it is of this command now"


def test_a_prediction_that_was_corrected_stays_when_an_evaluation_goes_on(tmp_path, checkpoint):
    dataset, out = write_dataset(tmp_path / "set", cases=2), tmp_path / "out"
    command = ("evaluate", checkpoint, dataset, "--output", out, "--predictions")
    assert unetseg_here(*command).returncode == 0
    corrected = out / "predictions" / "case0.seg.nrrd"
    corrected.write_bytes(b"corrected by hand")
    done = unetseg_here(*command)
    assert done.returncode == 0, done.stderr
    assert corrected.read_bytes() == b"corrected by hand"
    (out / "cases" / "case0.json").unlink()
    refused(unetseg_here(*command), "case0.seg.nrrd", "was changed since")
    assert corrected.read_bytes() == b"corrected by hand"


# --- runs that end early, and runs at once -------------------------------------------------------------------------------


def claim(folder, command="check", names=("findings.csv",)):
    return claimed(Outputs(folder, names), command, overwrite=False)


def test_a_folder_of_the_command_under_its_former_name_is_its_own(tmp_path):
    with claim(tmp_path, "crossvalidate", ("summary.json",)):
        (tmp_path / "summary.json").write_text("{}")
    with pytest.raises(InputError, match="unetseg crossvalidate wrote"), claim(tmp_path, "cross-validate"):
        pass
    with claimed(Outputs(tmp_path, ("summary.json",), former_command="crossvalidate"), "cross-validate", False):
        pass
    assert json.loads((tmp_path / MANIFEST).read_text())["command"] == "cross-validate"


def test_what_a_killed_run_wrote_is_known_to_be_of_the_command(tmp_path):
    code = (
        "import os, sys; from pathlib import Path; from unetseg.output_folder import Outputs, claimed\n"
        "with claimed(Outputs(Path(sys.argv[1]), ('findings.csv', 'figures/*.svg')), 'check', False) as output:\n"
        "    (output.path / 'figures').mkdir(); (output.path / 'figures' / 'a.svg').write_text('half of it')\n"
        "    os._exit(9)\n"
    )
    assert subprocess.run([sys.executable, "-c", code, tmp_path / "out"], check=False).returncode == 9
    with pytest.raises(InputError, match="unetseg check"), claim(tmp_path / "out", "compare", ("report.html",)):
        pass
    with claim(tmp_path / "out", names=("findings.csv", "figures/*.svg")) as output:
        (output.path / "figures" / "a.svg").write_text("whole")
    assert json.loads((tmp_path / "out" / MANIFEST).read_text())["unfinished"] == []
    (tmp_path / "out" / "figures" / "a.svg").write_text("drawn by hand")
    with pytest.raises(InputError, match="was changed"), claim(tmp_path / "out", names=("figures/*.svg",)):
        pass


def test_a_run_that_fails_leaves_no_manifest(tmp_path):
    (tmp_path / "own").mkdir()
    for folder in (tmp_path / "own", tmp_path / "deep" / "new"):
        with pytest.raises(MemoryError), claim(folder):
            raise MemoryError
    assert tree(tmp_path) == {"own"}


def test_two_evaluations_at_once_and_the_second_one_is_told(tmp_path, checkpoint):
    dataset, out = write_dataset(tmp_path / "set", cases=3), tmp_path / "out"
    command = [sys.executable, "-m", "unetseg.cli", "evaluate", checkpoint, dataset, "--output", out]
    crew = [
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8") for _ in range(2)
    ]
    said = [one.communicate(timeout=300)[1] for one in crew]
    statuses = sorted(one.returncode for one in crew)
    assert statuses in ([0, 2], [0, 0]), said
    if statuses == [0, 2]:
        assert any("another run (process" in text and "rights" not in text for text in said), said
    assert json.loads((out / "summary.json").read_text())["cases"] == 3
    assert not [name for name in tree(out) if "partial" in name or "lock" in name]


def test_a_folder_is_of_one_run_at_a_time(tmp_path):
    with claim(tmp_path / "out"), pytest.raises(InputError, match="another run"), claim(tmp_path / "out"):
        pass


def test_two_runs_of_segment_share_a_folder(tmp_path, checkpoint):
    """As xargs -P starts them: different scans, and one that both are given."""
    scans = [write_scan(tmp_path / f"{letter}.nii.gz", seed) for seed, letter in enumerate("abc")]
    command = [
        sys.executable,
        "-m",
        "unetseg.cli",
        "segment",
        "--checkpoint",
        checkpoint,
        "--output",
        tmp_path / "out",
    ]
    crew = [
        subprocess.Popen([*command, *some], stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8")
        for some in (scans[:2], scans[1:])
    ]
    said = [one.communicate(timeout=300)[1] for one in crew]
    assert all("another run (process" in text for text, one in zip(said, crew, strict=True) if one.returncode), said
    names = {f"{letter}.seg.nrrd" for letter in "abc"}
    assert tree(tmp_path / "out") == names | {MANIFEST}
    manifest = json.loads((tmp_path / "out" / MANIFEST).read_text())
    assert (set(manifest["files"]), manifest["unfinished"]) == (names, [])
    for name in names:
        assert read_segmentation(tmp_path / "out" / name).structures


# --- nothing is written into an input ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments",
    [
        "prepare DATA DATA",
        "prepare DATA DATA/preprocessed",
        "prepare DATA LINK/preprocessed",
        "plan DATA DATA/plan.yaml",
        "info DATA --plot DATA/set.png",
        "train PREPROCESSED --output PREPROCESSED",
        "train PREPROCESSED --output PREPROCESSED/run",
        "cross-validate PREPROCESSED --output PREPROCESSED/cv",
        "evaluate MODEL DATA --output DATA",
        "evaluate MODEL DATA --output PREPROCESSED/out --preprocessed PREPROCESSED --split test",
        "evaluate --merge SHARD --output SHARD/all",
        "segment DATA --output DATA/results",
        "segment DATA/imagesTr --output DATA/imagesTr/results",
        "segment PLAIN --output PLAIN",
        "release MODEL DATA --output DATA/released.pt",
        "check PLAIN --output PLAIN/checked",
        "compare PLAIN PLAIN --output PLAIN",
        "submit PREPROCESSED --output PREPROCESSED/run --scheduler slurm",
        "submit MODEL --dataset DATA --output DATA/out --scheduler slurm",
    ],
)
def test_no_command_writes_into_what_it_reads(arguments, tmp_path, preprocessed_folder, checkpoint):
    data, plain = write_dataset(tmp_path / "data", cases=1), tmp_path / "plain"
    write_scan(plain / "liver.nii.gz")
    (tmp_path / "link").symlink_to(data)
    (tmp_path / "shard").mkdir()
    names = {
        "SHARD": tmp_path / "shard",
        "DATA": data,
        "LINK": tmp_path / "link",
        "PLAIN": plain,
        "PREPROCESSED": preprocessed_folder,
        "MODEL": checkpoint,
    }
    before = tree(tmp_path), tree(preprocessed_folder)
    for name, path in names.items():
        arguments = " ".join(
            word.replace(name, str(path), 1) if word.startswith(name) else word for word in arguments.split()
        )
    refused(unetseg_here(*arguments.split()), "this command reads, and nothing is written into an input")
    assert (tree(tmp_path), tree(preprocessed_folder)) == before


@pytest.mark.parametrize(
    ("arguments", "ending"),
    [
        ("info SCAN --plot set.pdf", ".png"),
        ("plan DATA plan.json", ".yaml or .yml"),
        ("bench SCAN --output out.txt", ".json"),
    ],
)
def test_a_file_of_another_ending_is_refused_before_the_work(arguments, ending, scan, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = arguments.replace("SCAN", str(scan)).replace("DATA", str(scan.parent)).split()
    refused(unetseg_here(*words), f"does not end in {ending}")
