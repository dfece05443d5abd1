"""Evaluation over processes, shards and interruptions: always the bytes of the undisturbed run in one process."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from unetseg.evaluation.evaluation_folder import EvaluationManifest, merge, parse_shard
from unetseg.exit_status import DONE_IN_PART
from unetseg.process_pool import WorkerDied, run_in_processes
from UNetSegmenterLib.engine.errors import InputError
from UNetSegmenterLib.engine.io.geometry import Geometry
from UNetSegmenterLib.engine.io.image_writing import write_image, write_volume
from UNetSegmenterLib.engine.io.volume import Volume

from ..command import refused, tree
from ..datasets import blobs, write_checkpoint, write_dataset
from .evaluations import CARD, CASES, evaluate, same_results


@pytest.fixture(scope="module")
def whole(checkpoint, dataset, tmp_path_factory) -> Path:
    """The evaluation in one process."""
    folder = tmp_path_factory.mktemp("whole") / "out"
    evaluate(checkpoint, dataset, folder)
    return folder


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
    [("SIGINT", 130, "Ctrl-C"), ("SIGTERM", 143, "SIGTERM"), ("SIGUSR1", 75, "SIGUSR1")],
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


def test_manifest_deals_cases_evenly():
    manifest = EvaluationManifest(
        title="t", checkpoint="c", checkpoint_sha256="0", data_set="d", cases=tuple("abcdefg")
    )
    parts = [replace(manifest, shard=number, shards=3).own_cases for number in (1, 2, 3)]
    assert parts == [("a", "d", "g"), ("b", "e"), ("c", "f")]


# --- two checkpoints ---------------------------------------------------------------------------------------------------


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
