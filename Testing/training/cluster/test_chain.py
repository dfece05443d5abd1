"""The chain to a release: its jobs wait for each other, end together, and go on. The scripts run in real shells; the schedulers
are stand-ins that honour dependencies, and `unetseg` writes down what it is given (in one test it is the real one)."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from unetseg.cli import submit_jobs
from unetseg.cli.main import main
from unetseg.data.layouts.detection import read_dataset
from unetseg.training.preparation import prepare
from UNetSegmenterLib.engine.model.checkpoint import read_card

from ..command import wait_until
from ..datasets import write_dataset
from .stand_in_schedulers import states, write_schedulers, write_tool

HOSTILE = 'it\'s "my" $HOME `touch pwned` $(touch pwned) & | * ? # 50% @NAME@ ~ ä 腹'
UNETSEG = """#!{python} -IS
import json, os, sys
with open({told!r}, "a") as file:
    file.write(json.dumps(sys.argv[1:]) + "\\n")
if os.path.exists({fails!r}) and open({fails!r}).read() in " ".join(sys.argv):
    sys.exit("unetseg: error: it was to fail")
"""


@pytest.fixture(scope="session")
def folds(hearts, tmp_path_factory) -> Path:
    """The hearts preprocessed at 6 mm, in two folds, with one to test."""
    folder = tmp_path_factory.mktemp("folds") / "pack"
    prepare(read_dataset(hearts), folder, spacing_mm=6.0, window_hu=(-100.0, 500.0), test=1, folds=2)
    return folder


@pytest.fixture
def place(folds, hearts, tmp_path, monkeypatch):
    """A working folder with the data under a hostile name, and tools in front of all others."""
    tools, work = tmp_path / "tools", tmp_path / "work"
    for folder in (tools, work / HOSTILE):
        folder.mkdir(parents=True)
    write_schedulers(tmp_path, tools)
    told, fails = str(tmp_path / "told"), str(tmp_path / "fails")
    write_tool(tools / "unetseg", UNETSEG.format(python=sys.executable, told=told, fails=fails))
    for name in (HOSTILE, "my data"):
        (work / name).mkdir(exist_ok=True)
        (work / name / "pack").symlink_to(folds)
        (work / name / "hearts").symlink_to(hearts)
    monkeypatch.setenv("PATH", f"{tools}:{os.defpath}")
    monkeypatch.chdir(work)
    return tmp_path


def submit(name: str, scheduler: str, *more: str, chain: str = "all") -> int:
    return main(
        [
            *("submit", f"{name}/pack", "--output", f"{name}/run 1", "--scheduler", scheduler, "--chain", chain),
            *("--dataset", f"{name}/hearts", "--setup", ":", "--gpus", "0", *more),
        ]
    )


def told(place: Path) -> list[list[str]]:
    path = place / "told"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def expected(name: str, chain: str) -> list[list[str]]:
    """What `unetseg` is to be given, in an order in which a scheduler may run it."""
    pack, runs, hearts = f"{name}/pack", f"{name}/run 1", f"{name}/hearts"
    folds = [["train", pack, "--steps", "9", "--output", f"{runs}/fold{i}", "--fold", str(i)] for i in range(2)]
    whole = ["--train-split", "train", "--validation-split", "", "--output", f"{runs}/all"]
    everyone = [["train", pack, "--steps", "9", *whole]] if chain == "all" else []
    merge = ["cross-validate", pack, "--steps", "9", "--device", "cpu", "--output", runs]
    networks = ["all"] if chain == "all" else ["fold0", "fold1"]
    release = [
        *("release", *(f"{runs}/{one}/checkpoint.pt" for one in networks), hearts),
        *("--cross-validated", runs, "--output", f"{runs}/released.pt", "--title", "it's $HOME"),
        *("--licence", "CC0", "--citation", "A & B"),
    ]
    return [*folds, *everyone, merge, release]


OPTIONS = ("--train", "--steps 9", "--release", '--title "it\'s $HOME" --licence CC0 --citation "A & B"')


@pytest.mark.parametrize("chain", ["all", "folds"])
@pytest.mark.parametrize(("scheduler", "name"), [("slurm", HOSTILE), ("lsf", "my data")])
def test_a_chain_runs_from_the_folds_to_the_release(place, capsys, scheduler, name, chain):
    assert submit(name, scheduler, *OPTIONS, chain=chain) == 0
    printed = capsys.readouterr().out
    assert told(place) == expected(name, chain)
    jobs = json.loads((place / "jobs.json").read_text())
    names = ["folds", "all", "merge", "release"] if chain == "all" else ["folds", "merge", "release"]
    assert [job["name"] for job in jobs.values()] == [f"{name}.sh" for name in names]
    needs = [[], [], ["17"], ["19", "18"]] if chain == "all" else [[], ["17"], ["18"]]
    assert [job["needs"] for job in jobs.values()] == needs
    assert set(states(place).values()) == {"done"}
    numbers = " ".join(jobs)
    assert f"cancel: {'scancel' if scheduler == 'slurm' else 'bkill'} {numbers}" in printed
    assert printed.index("merge and all" if chain == "all" else "merge") < printed.index("folds: job 17")
    assert "folds: job 17" in (place / "work" / name / "run 1" / "jobs.txt").read_text()
    assert not list(place.rglob("pwned"))


@pytest.mark.parametrize(
    ("scheduler", "folder", "shell"),
    [
        ("slurm", "", "zsh"),
        ("slurm", HOSTILE, "tcsh"),
        ("lsf", "my seg", "bash"),
        ("ssh", HOSTILE, "tcsh"),
        ("ssh", "", "sh"),
    ],
)
def test_a_chain_of_a_host(place, capsys, monkeypatch, scheduler, folder, shell):
    """The environment is made before anything is submitted, and names reach the host as they are, whatever shell the user has."""
    monkeypatch.setenv("LOGIN_SHELL", shutil.which(shell) or "sh")
    name = "my data" if scheduler == "lsf" else HOSTILE
    code = place / "the code's"
    (code / "preprocessed").mkdir(parents=True)
    (code / "pyproject.toml").write_text("[project]")
    (code / "Makefile").write_text(
        "setup:\n\tmkdir -p .venv/bin && echo : made > .venv/bin/activate && touch .venv/ready\n"
    )
    monkeypatch.setattr(submit_jobs, "code", lambda: code)
    host = r"DTU\me@gpu-1.dtu.dk"
    arguments = [
        *("submit", f"{name}/pack", "--output", f"{name}/run 1", "--scheduler", scheduler, "--chain", "all"),
        *("--dataset", f"{name}/hearts", "--gpus", "0", "--host", host, f"--folder={folder}", *OPTIONS),
    ]
    there = place / "home" / (folder or "unetsegmenter")
    assert main(arguments) == 0, capsys.readouterr().err
    printed = capsys.readouterr().out
    assert "make setup" in [line for line in printed.splitlines() if line.startswith("ssh ")][-2], (
        "before the submission"
    )
    wait_until(lambda: len(told(place)) == 5)
    assert told(place) == expected(name, "all")
    assert (there / ".venv" / "ready").exists()
    assert not (there / "preprocessed").exists(), "the data that are wanted are copied by themselves"
    assert (there / name / "hearts").is_dir()
    if scheduler == "ssh":
        log = there / name / "run 1" / "job.log"
        wait_until(lambda: "all done" in log.read_text())
        assert [line.split(" ", 2)[2] for line in log.read_text().splitlines()] == [
            *("folds 0", "folds 1", "all", "merge", "release", "all done")
        ]
    else:
        assert set(states(place).values()) == {"done"}
    assert set((place / "hosts").read_text().splitlines()) <= {host, host.partition("@")[2]}
    assert not list(place.rglob("pwned"))


@pytest.mark.parametrize("scheduler", ["slurm", "lsf"])
def test_a_chain_ends_where_a_job_fails_and_the_same_command_goes_on(place, capsys, scheduler):
    (place / "fails").write_text("--fold 1")
    assert submit("my data", scheduler, *OPTIONS) == 0
    assert states(place) == {"folds": "failed", "all": "done", "merge": "cancelled", "release": "cancelled"}
    assert [call[0] for call in told(place)] == ["train", "train", "train"], "nothing that needs the fold ran"
    logs = "".join(path.read_text() for path in (place / "work" / "my data" / "run 1" / "logs").iterdir())
    assert logs == "unetseg: error: it was to fail\n"
    (place / "fails").unlink()
    assert submit("my data", scheduler, *OPTIONS) == 0, capsys.readouterr().err
    assert set(states(place).values()) == {"done"}
    (place / "fails").write_text("cross-validate")
    assert submit("my data", scheduler, *OPTIONS) == 0
    assert states(place) == {"folds": "done", "all": "done", "merge": "failed", "release": "cancelled"}


@pytest.mark.parametrize("scheduler", ["slurm", "lsf"])
def test_what_was_submitted_is_taken_back_where_a_later_job_is_refused(place, capsys, scheduler):
    (place / "refused").write_text("merge.sh")
    assert submit("my data", scheduler, *OPTIONS) == 2
    assert states(place) == {"folds": "cancelled", "all": "cancelled"}
    error = capsys.readouterr().err
    assert "invalid partition" in error
    assert "refused merge, and no job of the chain is left in the queue" in error
    assert len(error.splitlines()) == 1


@pytest.fixture
def by_ssh(place, monkeypatch):
    monkeypatch.setattr(submit_jobs, "code", lambda: None)
    return lambda: submit(HOSTILE, "ssh", *OPTIONS, "--host", "server", "--folder", "here")


def test_without_a_scheduler_nothing_is_started_after_a_failure(place, by_ssh, capsys):
    (place / "fails").write_text("--fold 0")
    assert by_ssh() == 0
    assert "cancel: kill " in capsys.readouterr().out
    log = place / "home" / "here" / HOSTILE / "run 1" / "job.log"
    wait_until(lambda: log.exists() and "folds 0 ended with status 1; nothing after it was started" in log.read_text())
    assert len(told(place)) == 1
    (place / "fails").unlink()
    assert by_ssh() == 0, "the same command goes on"
    wait_until(lambda: "all done" in log.read_text())
    assert "ended with status 1" in log.read_text(), "the log of the first attempt is kept"
    assert told(place)[1:] == expected(HOSTILE, "all")


@pytest.mark.parametrize("shell", ["dash", "bash"])
def test_a_chain_without_a_scheduler_is_cancelled_by_its_process(place, by_ssh, shell):
    """What runs gets the signal and may save; nothing after it is started."""
    assert by_ssh() == 0
    here = place / "home" / "here"
    wait_until(lambda: len(told(place)) == 5)
    saves = "trap 'sleep 0.3; echo saved; exit 143' TERM; echo on > started; while :; do sleep 0.05; done"
    write_tool(place / "tools" / "unetseg", f"#!/bin/bash\n{saves}\n")
    script = (here / HOSTILE / "run 1" / "submit.sh").read_text()
    process = subprocess.Popen([shell, "-c", script], cwd=here.parent, stdout=subprocess.PIPE, encoding="utf-8")
    wait_until((here / "started").exists)
    process.send_signal(signal.SIGTERM)
    printed = process.communicate(timeout=60)[0]
    assert process.returncode == 143
    assert printed.splitlines()[1:] == ["saved", "folds 0 ended with status 143; nothing after it was started"]


@pytest.mark.slow
@pytest.mark.parametrize("chain", ["all", "folds"])
def test_a_chain_of_real_commands_releases_a_checkpoint(place, capsys, chain):
    write_tool(place / "tools" / "unetseg", f'#!/bin/sh\nexec {sys.executable} -m unetseg.cli "$@"\n')
    small = "--device cpu --steps 6 --batch-size 4 --patch 32,32 --base-width 4 --depth 2"
    options = ("--cores", "1", "--train", small, "--release", '--title "it\'s $HOME" --citation "A & B"')
    assert submit(HOSTILE, "slurm", *options, chain=chain) == 0, capsys.readouterr().err
    logs = [path.read_text() for path in (place / "work" / HOSTILE / "run 1" / "logs").iterdir()]
    assert set(states(place).values()) == {"done"}, logs
    card = read_card(Path(HOSTILE) / "run 1" / "released.pt")
    assert (card.title, card.data_citation) == ("it's $HOME", "A & B")
    assert len(card.validation["all"]["cases"]) == 4, "each patient but the one to test"
    assert "cross-validation" in card.validation["all"]["measured"]
    assert len(card.training["cases"]) == 4
    assert card.statistics


def test_dry_run_shows_the_whole_chain(place, capsys):
    assert submit("my data", "slurm", "--gpus", "2", "--queue", "a100", "--merge-queue", "cpu", "--dry-run") == 0
    printed = capsys.readouterr().out
    rows = {line.split()[0]: line.split() for line in printed.splitlines() if line.strip()}
    assert rows["folds"] == ["folds", "train", "x", "2", "at", "once", "a100", "2", "24"]
    assert rows["merge"] == ["merge", "cross-validate", "folds", "cpu", "0", "24"]
    assert rows["release"] == ["release", "release", "merge", "and", "all", "cpu", "0", "24"]
    for script in ("folds", "all", "merge", "release", "chain"):
        assert f"--- my data/run 1/{script}.sh" in printed
    assert printed.count("--gres=gpu:2") == 2
    assert "--dependency=afterok:${MERGE}:${ALL} --kill-on-invalid-dep=yes" in printed
    assert not (place / "work" / "my data" / "run 1").exists()
    assert told(place) == []


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        (("--folds", "3"), "trains all 2 folds"),
        (("--train", "--fold 1"), "--fold"),
        (("--train", "--train-split all"), "--train-split"),
        (("--train", "--start-from nowhere.pt"), "nowhere.pt, which --train names, is not there"),
        (("--release", "--titel x"), "did you mean --title?"),
        (("--release", '--title "half'), "No closing quotation"),
        (("--release", "--output told.pt"), "told.pt exists already"),
    ],
)
def test_what_would_fail_at_the_end_is_refused_at_once(place, capsys, more, expected):
    Path("told.pt").touch()
    assert submit("my data", "slurm", *more) == 2
    assert expected in capsys.readouterr().err
    assert not (place / "jobs.json").exists()


def test_what_the_card_will_lack_is_said_at_once(place, tmp_path, capsys):
    blobs = write_dataset(tmp_path / "blobs")
    prepare(read_dataset(blobs), tmp_path / "pack", spacing_mm=4.0, window_hu=(-200.0, 300.0), folds=2)
    given = ["submit", str(tmp_path / "pack"), "--output", "run", "--scheduler", "slurm", "--chain", "all", "--dry-run"]
    assert main([*given, "--dataset", str(blobs), "--release", "--licence CC0"]) == 0
    assert "will have no citation; give it with --release '--citation ...'" in capsys.readouterr().err


def test_chains_need_folds_and_the_data_set_that_was_prepared(place, preprocessed_folder, tmp_path, capsys):
    given = ["--output", "run", "--scheduler", "slurm", "--chain", "all"]
    assert main(["submit", "my data/pack", *given]) == 2
    assert "name that with --dataset" in capsys.readouterr().err
    assert main(["submit", str(preprocessed_folder), *given, "--dataset", "my data/hearts"]) == 2
    assert "prepare the data set with --folds 5" in capsys.readouterr().err
    other = write_dataset(tmp_path / "other")
    assert main(["submit", "my data/pack", *given, "--dataset", str(other)]) == 2
    assert "name with --dataset the data set that was prepared" in capsys.readouterr().err
    assert main(["submit", "my data/pack", "--output", "run", "--scheduler", "slurm", "--release", "--title x"]) == 2
    assert "ask for one with --chain all" in capsys.readouterr().err
