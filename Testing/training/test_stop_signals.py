"""Ctrl-C and SIGTERM: one sentence or silence, whenever they come, and never a line of a process behind the command."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from unetseg import exit_status
from unetseg.cli.main import guarded
from unetseg.process_pool import run_in_processes
from unetseg.stop_signals import goes_on_with
from UNetSegmenterLib.engine.errors import InputError

from .command import unetseg_here

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")


def test_a_library_that_makes_another_error_of_a_signal_stops_the_command_all_the_same(capsys):
    def work():
        try:
            signal.raise_signal(signal.SIGINT)
        except KeyboardInterrupt:
            raise InputError("the file could not be read") from None

    assert guarded(work) == exit_status.INTERRUPTED
    assert capsys.readouterr().err == "unetseg: error: stopped by Ctrl-C; no half-written file is left\n"


@pytest.mark.parametrize(
    ("number", "status"), [("SIGINT", exit_status.INTERRUPTED), ("SIGTERM", exit_status.TERMINATED)]
)
def test_who_presses_twice_interrupts_no_clearing_up(number, status, capsys):
    cleared = []

    def work():
        with goes_on_with("the same command continues from there"):
            try:
                signal.raise_signal(getattr(signal, number))
            finally:
                signal.raise_signal(signal.SIGINT)
                signal.raise_signal(signal.SIGTERM)
                cleared.append(True)

    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    assert guarded(work) == status
    assert cleared
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and said.endswith("; the same command continues from there\n")
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before


def test_what_a_shell_ignores_for_jobs_in_the_background_stays_ignored(monkeypatch):
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        assert guarded(lambda: signal.raise_signal(signal.SIGINT) or 0) == 0
    finally:
        signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("program", ["unetseg.cli", "benchmarks.ablation"])
def test_ctrl_c_while_a_program_imports_is_silent(program, tmp_path):
    (tmp_path / "logging.py").write_text("import signal; signal.raise_signal(signal.SIGINT)\n")
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, "-m", program, "--help"],
        capture_output=True, encoding="utf-8", cwd=ROOT, env=os.environ | {"PYTHONPATH": path}, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (-signal.SIGINT, "", "")


def test_a_stopped_command_ends_by_the_signal_so_that_a_loop_of_a_shell_ends_too(tmp_path):
    (tmp_path / "torch.py").write_text("import signal; signal.raise_signal(signal.SIGINT)\n")
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    command = [sys.executable, "-m", "unetseg.cli", "segment", "scan.nii.gz", "--output", str(tmp_path / "out")]
    done = subprocess.run(
        command, capture_output=True, encoding="utf-8", env=os.environ | {"PYTHONPATH": path}, check=False
    )
    assert done.returncode == -signal.SIGINT
    assert done.stderr == "unetseg: error: stopped by Ctrl-C; no half-written file is left\n"


def test_ctrl_c_while_a_process_behind_the_command_imports_is_left_to_the_command(tmp_path, monkeypatch, capfd):
    (tmp_path / "interrupted.py").write_text(
        "import os, signal\n"
        f"if os.getpid() != {os.getpid()}: signal.raise_signal(signal.SIGINT)\n"
        "def start(setup): return lambda task: setup + task\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    import interrupted

    answers = list(run_in_processes(interrupted.start, 1, [2], workers=1, threads=None))
    assert answers == [(0, 3)]
    assert capfd.readouterr().err == ""


def test_every_exit_status_is_in_the_readme():
    text = " ".join((ROOT / "README.md").read_text(encoding="utf-8").partition("**Exit status**")[2][:500].split())
    values = {value for name, value in vars(exit_status).items() if name.isupper()}
    assert len(values) == 7
    for value in values:
        assert f" {value} " in text, value


def test_a_signal_inside_a_command_leaves_nothing(tmp_path, monkeypatch):
    def stopped(*_, **__):
        signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr("unetseg.synthetic.phantom_cases.write_phantoms", stopped)
    done = unetseg_here("phantom", tmp_path / "deep" / "hearts")
    assert done.returncode == exit_status.TERMINATED
    assert not list(tmp_path.iterdir())
