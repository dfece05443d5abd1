"""Evaluation over processes, shards and interruptions: always the bytes of the undisturbed run in one process."""

from __future__ import annotations

import csv
import json
import math
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from unetseg.cli.main import main
from unetseg.data.layouts.detection import read_dataset
from unetseg.data.seen_cases import SeenCase
from unetseg.evaluation.case_evaluation import EvaluationSettings, evaluator, read_result, write_result
from unetseg.evaluation.evaluation_folder import EvaluationManifest, merge, parse_shard, sum_up
from unetseg.evaluation.evaluation_run import evaluate_cases
from unetseg.evaluation.paired_comparison import OVER_ALL
from unetseg.exit_status import DONE_IN_PART
from unetseg.process_pool import WorkerDied, run_in_processes
from UNetSegmenterLib.engine.errors import InputError
from UNetSegmenterLib.engine.io.geometry import Geometry
from UNetSegmenterLib.engine.io.image_writing import write_image, write_volume
from UNetSegmenterLib.engine.io.volume import Volume
from UNetSegmenterLib.engine.labels.distinct_colors import distinct_colors
from UNetSegmenterLib.engine.labels.segmentation_files import read_segmentation
from UNetSegmenterLib.engine.labels.structures import HEART
from UNetSegmenterLib.engine.model.checkpoint import load_checkpoint
from UNetSegmenterLib.engine.model.prediction import Predictor

from ...engine.checkpoints import small_card
from ..command import refused, tree
from ..datasets import STRUCTURES, blobs, write_checkpoint, write_dataset

CASES = 5


@pytest.fixture
def unetseg(capsys):
    """The command in this process, which spares the start of Python; interruptions below use a real one."""

    def run(*arguments) -> subprocess.CompletedProcess:
        capsys.readouterr()
        status = main(list(map(str, arguments)))
        return subprocess.CompletedProcess(arguments, status, *capsys.readouterr())

    return run


CARD = {"structures": STRUCTURES, "training": {"cases": ["case0"]}}


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory) -> Path:
    return write_checkpoint(tmp_path_factory.mktemp("models") / "small.pt", **CARD)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory) -> Path:
    return write_dataset(tmp_path_factory.mktemp("blobs"), CASES)


def cpu_settings(checkpoint: Path, sha256: str, folder: Path, data) -> EvaluationSettings:
    """Settings in float32, so that no timed choice of the precision can make two runs differ."""
    return EvaluationSettings(
        checkpoints=(checkpoint,),
        checkpoint_sha256=sha256,
        folder=folder,
        structures=data.structures,
        device="cpu",
        dtype=torch.float32,
    )


def evaluate(checkpoint: Path, dataset: Path, folder: Path, shard=(1, 1), workers=1) -> dict:
    """An evaluation in this process, or in several."""
    predictor = Predictor(load_checkpoint(checkpoint), "cpu", dtype=torch.float32)
    data = read_dataset(dataset)
    names = tuple(case.name for case in data.cases)
    manifest = EvaluationManifest(
        title="Small on Blobs",
        checkpoint="small",
        checkpoint_sha256=predictor.checkpoint.sha256,
        data_set=data.name,
        cases=names,
        seen_cases=(SeenCase("case0", ""),),
        shard=shard[0],
        shards=shard[1],
    )
    cases = [case for case in data.cases if case.name in manifest.own_cases]
    settings = cpu_settings(checkpoint, manifest.checkpoint_sha256, folder, data)
    results, failed = evaluate_cases(settings, manifest, cases, predictor, workers)
    assert not failed
    return sum_up(folder, manifest, results, {})


@pytest.fixture(scope="module")
def whole(checkpoint, dataset, tmp_path_factory) -> Path:
    """The evaluation in one process."""
    folder = tmp_path_factory.mktemp("whole") / "out"
    evaluate(checkpoint, dataset, folder)
    return folder


def same_results(one: Path, other: Path) -> None:
    assert (one / "metrics.csv").read_bytes() == (other / "metrics.csv").read_bytes()
    first, second = (json.loads((folder / "summary.json").read_text()) for folder in (one, other))
    for summary in (first, second):
        assert summary.pop("provenance")["checkpoint SHA-256"]
    assert first == second


# --- processes ---------------------------------------------------------------------------------------------------------


def test_processes_give_the_bytes_of_one(checkpoint, dataset, whole, tmp_path):
    evaluate(checkpoint, dataset, tmp_path / "out", workers=2)
    same_results(whole, tmp_path / "out")
    for name in ("case0", "case4"):
        first, second = (
            json.loads((folder / f"cases/{name}.json").read_text()) for folder in (whole, tmp_path / "out")
        )
        assert first == second


def square_or_die(offset):
    def work(task):
        if task == 3:
            os._exit(7)
        if task == 100:
            raise InputError("a disk is full")
        return task * task + offset

    return work


def test_a_process_that_dies_costs_its_task_only():
    answers = dict(run_in_processes(square_or_die, 1, [0, 3, 2, 3, 4], workers=2, threads=1))
    assert {place: answer for place, answer in answers.items() if place in (0, 2, 4)} == {0: 1, 2: 5, 4: 17}
    assert answers[1] == answers[3] == WorkerDied(7)
    assert "fewer --workers" in str(answers[1])


def test_what_a_task_raises_ends_all():
    with pytest.raises(InputError, match="disk is full"):
        list(run_in_processes(square_or_die, 0, [1, 100, 2, 5], workers=2, threads=1))


# --- shards ------------------------------------------------------------------------------------------------------------


def test_shards_add_up_to_the_bytes_of_one_run(checkpoint, dataset, whole, tmp_path, unetseg):
    shards = [tmp_path / str(number) for number in (1, 2, 3)]
    for number, folder in enumerate(shards, start=1):
        evaluate(checkpoint, dataset, folder, (number, 3))
    assert [len(list((folder / "cases").glob("*.json"))) for folder in shards] == [2, 2, 1]
    done = unetseg("evaluate", "--merge", *shards, "--output", tmp_path / "all")
    assert done.returncode == 0, done.stderr
    assert "1 of 5 cases were trained on" in done.stderr
    same_results(whole, tmp_path / "all")
    assert {"report.html", "cases/case3.html"} < tree(tmp_path / "all")

    refused(unetseg("evaluate", "--merge", *shards, shards[1], "--output", tmp_path / "no"), "hold case1", "once")
    write_checkpoint(tmp_path / "other.pt", seed=1, **CARD)
    evaluate(tmp_path / "other.pt", dataset, tmp_path / "4", (3, 3))
    refused(unetseg("evaluate", "--merge", *shards[:2], tmp_path / "4", "--output", tmp_path / "no"), "SHA-256")
    refused(unetseg("evaluate", "--merge", tmp_path / "nowhere", "--output", tmp_path / "no"), "evaluation.json")
    assert not (tmp_path / "no").exists()

    (shards[1] / "cases" / "case4.json").unlink()
    done = unetseg("evaluate", "--merge", *shards[:2], "--output", tmp_path / "part")
    refused(done, "2 of 5 cases are missing", "case2: shard 3 of 3", "case4", str(shards[1]), status=DONE_IN_PART)
    summary = json.loads((tmp_path / "part" / "summary.json").read_text())
    assert summary["cases"] == 2
    assert set(summary["not_evaluated"]) == {"case2", "case4"}
    assert "case2 could not be evaluated" in (tmp_path / "part" / "report.html").read_text()


def test_shard_of_the_command_line(checkpoint, dataset, tmp_path, unetseg):
    done = unetseg("evaluate", checkpoint, dataset, "--shard", "2/4", "--output", tmp_path / "2")
    assert done.returncode == 0, done.stderr
    assert {row["case"] for row in csv.DictReader((tmp_path / "2" / "metrics.csv").open())} == {"case1"}
    assert "(shard 2 of 4)" in (tmp_path / "2" / "report.html").read_text()
    refused(unetseg("evaluate", checkpoint, dataset, "--shard", "5/4", "--output", tmp_path / "5"), "2/8")
    refused(unetseg("evaluate", checkpoint, "--output", tmp_path / "5"), "CHECKPOINT and DATASET")
    refused(unetseg("evaluate", checkpoint, dataset, "--merge", tmp_path / "2", "--output", tmp_path / "5"), "--merge")


@pytest.mark.parametrize("text", ["0/4", "4", "a/b", "1/", "-1/4", "1.0/2"])
def test_what_is_no_shard(text):
    with pytest.raises(InputError, match="no shard"):
        parse_shard(text)


def test_more_shards_than_cases(checkpoint, dataset, whole, tmp_path, unetseg):
    folders = [tmp_path / str(number) for number in range(1, 8)]
    for number, folder in enumerate(folders[:6], start=1):
        evaluate(checkpoint, dataset, folder, (number, 7))
    assert unetseg("evaluate", checkpoint, dataset, "--shard", "7/7", "--output", folders[6]).returncode == 0
    manifest, results, missing = merge(folders)
    assert not missing
    assert list(results) == list(manifest.cases) == [f"case{i}" for i in range(CASES)]


# --- interruptions -----------------------------------------------------------------------------------------------------


def test_goes_on_where_it_stopped_and_believes_no_stale_result(checkpoint, dataset, whole, tmp_path, capsys):
    data = write_dataset(tmp_path / "blobs", CASES)
    out = tmp_path / "out"
    evaluate(checkpoint, data, out)
    before = {path.name: path.stat().st_mtime_ns for path in (out / "cases").glob("*.json")}
    (out / "cases" / "case1.json").unlink()
    (out / "cases" / "case2.json").write_text("{")
    capsys.readouterr()
    evaluate(checkpoint, data, out)
    assert "3 of 5 cases were evaluated before" in capsys.readouterr().out
    after = {path.name: path.stat().st_mtime_ns for path in (out / "cases").glob("*.json")}
    assert {name for name in before if before[name] == after[name]} == {"case0.json", "case3.json", "case4.json"}
    same_results(whole, out)

    hu, labels = blobs(9)
    write_image(labels, Geometry(hu.shape, (3.0, 2.0, 2.0), (30.0, 0.0, 0.0)), data / "labelsTr" / "case3.nii.gz")
    evaluate(checkpoint, data, out)
    assert "4 of 5 cases" in capsys.readouterr().out, "another label: not the same case any more"
    evaluate(write_checkpoint(tmp_path / "other.pt", seed=1, **CARD), data, out)
    assert "before" not in capsys.readouterr().out, "another checkpoint: nothing of the old one is kept"


@pytest.mark.skipif(os.name != "posix", reason="signals are POSIX's")
@pytest.mark.parametrize(
    ("name", "status", "words"),
    [("SIGINT", -2, "Ctrl-C"), ("SIGTERM", 143, "SIGTERM"), ("SIGUSR1", 75, "SIGUSR1")],
)
def test_signal_ends_every_process_and_keeps_what_is_finished(name, status, words, checkpoint, tmp_path):
    data = write_dataset(tmp_path / "blobs", 2)
    hu, labels = blobs(0, (24, 96, 96))
    for number in range(2, 10):
        geometry = Geometry(hu.shape, (3.0, 2.0, 2.0))
        write_volume(Volume(hu, geometry), data / "imagesTr" / f"case{number}_0000.nii.gz")
        write_image(labels, geometry, data / "labelsTr" / f"case{number}.nii.gz")
    out = tmp_path / "out"
    command = [
        sys.executable,
        "-m",
        "unetseg.cli",
        "evaluate",
        checkpoint,
        data,
        "--output",
        out,
        "--workers",
        "2",
    ]
    process = subprocess.Popen(
        list(map(str, command)), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, encoding="utf-8",
        start_new_session=True, env=os.environ | {"OMP_NUM_THREADS": "2"},
    )  # fmt: skip
    while not list(out.glob("cases/case*.json")):
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.02)
    os.kill(process.pid, getattr(signal, name))
    said = process.communicate(timeout=60)[1]
    assert process.returncode == status, said
    assert words in said and "the same command continues from there" in said
    assert "Traceback" not in said
    assert_group_is_gone(process.pid)
    finished = {path.name for path in out.glob("cases/*.json")}
    assert 0 < len(finished) < 10
    assert "report.html" not in tree(out)


def assert_group_is_gone(group: int) -> None:
    for _ in range(100):
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return
        time.sleep(0.05)
    os.killpg(group, signal.SIGKILL)
    raise AssertionError("processes were left behind")


# --- bad cases ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("workers", [1, 2])
def test_a_bad_case_is_named_and_loses_no_other(workers, checkpoint, tmp_path, unetseg):
    data = write_dataset(tmp_path / "blobs", 3)
    (data / "imagesTr" / "case1_0000.nii.gz").write_text("this is no image")
    out = tmp_path / "out"
    done = unetseg("evaluate", checkpoint, data, "--output", out, "--workers", workers)
    refused(
        done, "1 of 3 cases could not be evaluated", "case1_0000.nii.gz", "not an image", str(out), status=DONE_IN_PART
    )
    rows = list(csv.DictReader((out / "metrics.csv").open()))
    assert {row["case"] for row in rows} == {"case0", "case2"}
    summary = json.loads((out / "summary.json").read_text())
    assert list(summary["not_evaluated"]) == ["case1"]
    assert "case1 could not be evaluated" in (out / "report.html").read_text()

    write_dataset(tmp_path / "blobs", 3)
    done = unetseg("evaluate", checkpoint, data, "--output", out)
    assert done.returncode == 0, done.stderr
    assert "2 of 3 cases were evaluated before" in done.stdout
    assert "not_evaluated" not in json.loads((out / "summary.json").read_text())


def test_no_good_case_leaves_nothing(checkpoint, tmp_path, unetseg):
    data = write_dataset(tmp_path / "blobs", 1)
    (data / "imagesTr" / "case0_0000.nii.gz").write_text("this is no image")
    refused(unetseg("evaluate", checkpoint, data, "--output", tmp_path / "out"), "1 of 1 cases", "not an image")
    assert not (tmp_path / "out").exists()


def test_manifest_deals_cases_evenly():
    manifest = EvaluationManifest(
        title="t", checkpoint="c", checkpoint_sha256="0", data_set="d", cases=tuple("abcdefg")
    )
    parts = [replace(manifest, shard=number, shards=3).own_cases for number in (1, 2, 3)]
    assert parts == [("a", "d", "g"), ("b", "e"), ("c", "f")]


# --- two checkpoints ---------------------------------------------------------------------------------------------------


def test_against_another_checkpoint_case_by_case(checkpoint, dataset, tmp_path, unetseg):
    other = write_checkpoint(tmp_path / "other.pt", seed=1, **CARD)
    done = unetseg("evaluate", checkpoint, dataset, "--baseline", other, "--output", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    assert "small.pt: 1 of 5 cases were trained on" in done.stderr
    assert "other.pt: 1 of 5 cases were trained on" in done.stderr
    assert "Dice: Small abdomen (small.pt) minus Small abdomen (other.pt)" in done.stdout
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert summary["against"]["checkpoint SHA-256"] == load_checkpoint(other).sha256
    rows = {row["structure"]: row for row in summary["against"]["dice"]}
    assert list(rows) == [OVER_ALL, "liver", "spleen"]
    tables = [list(csv.DictReader((tmp_path / part / "metrics.csv").open())) for part in ("out", "out/against")]
    for name in ("liver", "spleen"):
        ours, theirs = (
            [float(row["dice"]) for row in table if row["structure"] == name and row["trained_on"] == "no"]
            for table in tables
        )
        differences = [a - b for a, b in zip(ours, theirs, strict=True)]
        assert rows[name]["difference"] == pytest.approx(sum(differences) / (CASES - 1), abs=1e-5)
        assert rows[name]["better"] == sum(value > 0 for value in differences)
        assert rows[name]["p_holm"] >= rows[name]["p"] >= 2 / 2 ** (CASES - 1)
    assert rows[OVER_ALL]["p_holm"] is None and rows[OVER_ALL]["n"] == CASES - 1
    report = (tmp_path / "out" / "report.html").read_text()
    assert "Compared with Small abdomen (other.pt)" in report
    assert 'href="against/report.html"' in report

    shards = [tmp_path / "1", tmp_path / "2"]
    for number, folder in enumerate(shards, start=1):
        arguments = ("--baseline", other, "--shard", f"{number}/2", "--output", folder)
        assert unetseg("evaluate", checkpoint, dataset, *arguments).returncode == 0
    done = unetseg("evaluate", "--merge", *shards, "--output", tmp_path / "all")
    assert done.returncode == 0, done.stderr
    merged = json.loads((tmp_path / "all" / "summary.json").read_text())["against"]["dice"]
    assert [row["structure"] for row in merged] == list(rows)
    assert (tmp_path / "all" / "against" / "report.html").is_file()


def test_summary_names_the_worst_cases(whole):
    summary = json.loads((whole / "summary.json").read_text())
    table = list(csv.DictReader((whole / "metrics.csv").open()))
    liver = sorted((float(row["dice"]), row["case"]) for row in table if row["structure"] == "liver")
    assert [one["case"] for one in summary["structures"]["liver"]["worst_cases"]] == [case for _, case in liver[:3]]
    means = [one["mean_dice"] for one in summary["worst_cases"]]
    assert means == sorted(means)
    report = (whole / "report.html").read_text()
    worst = summary["worst_cases"][0]["case"]
    assert f'Look first at <a href="cases/{worst}.html">{worst}</a> (mean Dice' in report
    assert report.count('<div class="card"><img') == 3, "worst, median and best case have a picture"
    assert report.count('svg class="plot curve"') == 3, "and a slice curve"


def test_case_file_gives_back_all_it_was_given(checkpoint, dataset, tmp_path):
    predictor = Predictor(load_checkpoint(checkpoint), "cpu", dtype=torch.float32)
    data = read_dataset(dataset)
    work = replace(cpu_settings(checkpoint, predictor.checkpoint.sha256, tmp_path, data), pictures=True)
    assert evaluator(work, predictor)(data.cases[0]) is None
    result = read_result(work.result_path("case0"))
    assert result.material.viewer is not None
    assert result.material.viewer.scan[:2] == b"\x1f\x8b"
    assert result.material.pictures[0][1][:4] == b"\x89PNG"
    write_result(result, tmp_path / "again.json")
    assert (tmp_path / "again.json").read_bytes() == work.result_path("case0").read_bytes()
    assert read_result(tmp_path / "again.json") == result

    first, *others = result.comparison.rows
    missed = replace(first, measures=replace(first.measures, hd_mm=math.inf, precision=math.nan))
    result = replace(result, comparison=replace(result.comparison, rows=(missed, *others)))
    write_result(result, tmp_path / "missed.json")
    json.loads((tmp_path / "missed.json").read_text(), parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    assert repr(read_result(tmp_path / "missed.json").comparison.rows[0].measures) == repr(missed.measures)


def test_a_coronal_network_is_evaluated_in_coronal_slices(dataset, tmp_path, unetseg):
    """Curves, pictures, viewer, findings and provenance, also after they were read back from the case's file."""
    preprocessing = replace(small_card(structures=STRUCTURES).preprocessing, axis="coronal", intensities="HU")
    path = write_checkpoint(tmp_path / "coronal.pt", **CARD | {"training": {}, "preprocessing": preprocessing})
    folder = tmp_path / "evaluated"
    result = unetseg(
        "evaluate", path, dataset, "--cases", "case1", "--output", folder, "--device", "cpu", "--predictions"
    )
    assert result.returncode == 0, result.stderr
    read = read_result(folder / "cases" / "case1.json")
    assert read.comparison.slicing_axis == "coronal"
    assert read.material.limits == "limits: rules of thumb; add statistics with unetseg release MODEL DATASET"
    assert all(row.curve.slicing_axis == "coronal" for row in read.comparison.rows if row.curve)
    assert read.material.pictures[0][0].startswith("Worst slice: coronal slice ")
    assert json.loads((folder / "summary.json").read_text())["provenance"]["slicing axis"] == "coronal"
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert "How well each coronal slice agrees" in page and "Limits: rules of thumb; add statistics" in page
    assert read_segmentation(folder / "predictions" / "case1.seg.nrrd").slicing_axis == "coronal"


def test_mirroring_and_precision_reach_every_process_and_are_no_other_run_s_result(dataset, tmp_path, unetseg):
    """Two processes mirror as one does, and a finished result without mirroring is not taken for one with it."""
    preprocessing = replace(small_card(structures=STRUCTURES).preprocessing, mirror_axes=(0, 1))
    write_checkpoint(tmp_path / "mirrored.pt", **CARD | {"preprocessing": preprocessing})
    command = ("evaluate", tmp_path / "mirrored.pt", dataset, "--device", "cpu", "--precision", "float32")
    csv = {}
    for name, options in {"plain": (), "one": ("--mirror",), "two": ("--mirror", "--workers", 2)}.items():
        assert unetseg(*command, "--output", tmp_path / name, *options).returncode == 0
        csv[name] = (tmp_path / name / "metrics.csv").read_bytes()
    assert csv["one"] == csv["two"] != csv["plain"]
    assert unetseg(*command, "--output", tmp_path / "plain", "--mirror").returncode == 0
    assert (tmp_path / "plain" / "metrics.csv").read_bytes() == csv["one"]
    case = json.loads(next((tmp_path / "two" / "cases").glob("*.json")).read_text())
    assert (case["inputs"]["precision"], case["inputs"]["mirroring"]) == ("float32", "yes")
    assert "float32" in case["device"]


def test_postprocessing_is_left_out_on_request_and_results_of_both_are_not_mixed(dataset, tmp_path, unetseg):
    steps = tuple({"remove_components_smaller_than_ml": 1e6, "of": [one.index]} for one in STRUCTURES)
    path = write_checkpoint(tmp_path / "steps.pt", **CARD | {"postprocessing": steps})
    command = ("evaluate", path, dataset, "--device", "cpu")
    for name, options in {"with": (), "plain": ("--no-postprocessing", "--workers", 2)}.items():
        assert unetseg(*command, "--output", tmp_path / name, *options).returncode == 0
    csv = {name: (tmp_path / name / "metrics.csv").read_bytes() for name in ("with", "plain")}
    assert csv["with"] != csv["plain"]
    assert "left out" in json.loads((tmp_path / "plain" / "summary.json").read_text())["provenance"]["postprocessing"]
    case = json.loads(next((tmp_path / "with" / "cases").glob("*.json")).read_text())
    assert any("components removed" in one["sentence"] for one in case["findings"])
    assert "by postprocessing" in (tmp_path / "with" / "report.html").read_text(encoding="utf-8") or any(
        "by postprocessing" in page.read_text(encoding="utf-8") for page in (tmp_path / "with" / "cases").glob("*.html")
    )
    assert unetseg(*command, "--output", tmp_path / "plain").returncode == 0
    assert (tmp_path / "plain" / "metrics.csv").read_bytes() == csv["with"]
    shards = [tmp_path / "shards" / str(number) for number in (1, 2)]
    for folder, more in zip(shards, ((), ("--no-postprocessing",)), strict=True):
        assert unetseg(*command, "--output", folder, "--shard", f"{folder.name}/2", *more).returncode == 0
    refused(unetseg("evaluate", "--merge", *shards, "--output", tmp_path / "merged"), "--no-postprocessing")


def test_distinct_colours_reach_every_page_and_are_no_other_run_s_result(dataset, tmp_path, unetseg):
    model, out = write_checkpoint(tmp_path / "small.pt", structures=STRUCTURES), tmp_path / "out"
    command = ("evaluate", model, dataset, "--cases", "case0,case1", "--device", "cpu", "--output", out)
    assert unetseg(*command).returncode == 0
    assert unetseg(*command, "--distinct-colors").returncode == 0, "what was made without is made anew"
    colors = ["rgb({}, {}, {})".format(*color) for color in distinct_colors(one.name for one in STRUCTURES)]
    for page in (out / "cases" / "case0.html", out / "cases" / "case1.html"):
        text = page.read_text(encoding="utf-8")
        assert all(color in text for color in colors), page.name
    assert "distinct" in read_result(out / "cases" / "case0.json").inputs["colours"]


def test_a_model_of_other_structures_is_refused(dataset, tmp_path, unetseg):
    path = write_checkpoint(tmp_path / "heart.pt", structures=HEART[:2])
    refused(unetseg("evaluate", path, dataset, "--output", tmp_path / "out"), "nothing to compare", "liver, spleen")
    assert not (tmp_path / "out").exists()
