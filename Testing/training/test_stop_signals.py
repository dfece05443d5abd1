"""Ctrl-C and SIGTERM: one sentence or silence, whenever they come, and never a line of a process behind the command."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch.distributed import TCPStore
from unetseg import exit_status
from unetseg.cli.bench import time_command
from unetseg.cli.main import guarded
from unetseg.process_pool import run_in_processes
from unetseg.stop_signals import STARTED_BY, goes_on_with
from unetseg.training.distributed import ProcessGroup
from unetseg.training.failure_watch import FailureWatch
from unetseg.training.run_lock import Stopped
from UNetSegmenterLib.engine.errors import InputError

from benchmarks.gpu.__main__ import _in_a_process

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


@pytest.mark.parametrize("variable", ["RANK", "LOCAL_RANK"])
def test_of_the_processes_of_a_training_the_main_one_says_it(variable, monkeypatch, capsys):
    for number, lines in (("0", 1), ("1", 0)):
        monkeypatch.setenv(variable, number)
        assert guarded(lambda: signal.raise_signal(signal.SIGINT) or 0) == exit_status.INTERRUPTED
        assert capsys.readouterr().err.count("\n") == lines


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


@pytest.mark.skipif(os.name != "posix", reason="terminals of POSIX")
@pytest.mark.parametrize("at_a_terminal", [False, True])
def test_ctrl_c_at_a_terminal_ends_the_command_by_the_signal_so_that_a_loop_of_a_shell_ends_too(
    at_a_terminal, tmp_path
):
    (tmp_path / "torch.py").write_text("import signal; signal.raise_signal(signal.SIGINT)\n")
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    command = [sys.executable, "-m", "unetseg.cli", "segment", "scan.nii.gz", "--output", str(tmp_path / "out")]
    reading, writing = os.openpty() if at_a_terminal else os.pipe()
    try:
        done = subprocess.run(command, stderr=writing, env=os.environ | {"PYTHONPATH": path}, check=False)
        said = os.read(reading, 1000).decode()
    finally:
        os.close(reading)
        os.close(writing)
    assert done.returncode == (-signal.SIGINT if at_a_terminal else exit_status.INTERRUPTED)
    assert said.splitlines() == ["unetseg: error: stopped by Ctrl-C; no half-written file is left"]


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


def test_a_process_of_a_training_leaves_signals_to_the_main_one_that_started_it(tmp_path):
    (tmp_path / "logging.py").write_text(
        "import signal; signal.raise_signal(signal.SIGINT); signal.raise_signal(signal.SIGTERM)\n"
    )
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    for parent, status in ((os.getpid(), 0), (1, -signal.SIGINT)):
        done = subprocess.run(
            [sys.executable, "-m", "unetseg.cli", "--version"], capture_output=True, encoding="utf-8",
            env=os.environ | {"PYTHONPATH": path, STARTED_BY: str(parent)}, check=False,
        )  # fmt: skip
        assert (done.returncode, done.stderr) == (status, "")


@pytest.mark.parametrize("stop", [KeyboardInterrupt(), Stopped(3, "SIGUSR1")])
def test_a_training_that_is_stopped_ends_its_processes_and_is_ended_by_none(stop):
    """Lightning Fabric watches the list of processes, and kills this one where one has ended with another status than 0."""
    store = TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    watched = [child]
    launcher = SimpleNamespace(procs=watched)
    fabric = SimpleNamespace(global_rank=0, world_size=2, strategy=SimpleNamespace(launcher=launcher))
    group = ProcessGroup(torch.device("cpu"), fabric, FailureWatch(0, 2, "127.0.0.1", store.port), store)
    try:
        with pytest.raises(type(stop)), group.all_end():
            raise stop
        assert not watched
        assert child.poll() == (None if isinstance(stop, Stopped) else -signal.SIGKILL)
    finally:
        child.kill()
        child.wait()


@pytest.mark.parametrize("where", ["bench", "gpu"])
def test_what_a_measurement_has_started_ends_with_it(where, tmp_path, monkeypatch):
    started = []

    class Endless(subprocess.Popen):
        """In place of the command: a process that ends by nothing but a signal."""

        def __init__(self, command, **settings):
            settings["stderr"] = None
            super().__init__([sys.executable, "-c", "import time; time.sleep(600)"], **settings)
            started.append(self)

        def wait(self, timeout=None):
            if timeout is not None:
                raise KeyboardInterrupt
            return super().wait()

    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(subprocess, "Popen", Endless)
    monkeypatch.setattr(os, "wait4", interrupted)
    with pytest.raises(KeyboardInterrupt):
        if where == "bench":
            time_command(tmp_path / "scan.nii.gz", tmp_path / "m.pt", "cpu")
        else:
            options = SimpleNamespace(output=tmp_path, device="cpu", preprocessed=tmp_path, small=True)
            _in_a_process(SimpleNamespace(name="resume"), 1.0, options, tmp_path)
    assert started[0].returncode == -signal.SIGKILL


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("train", "continues from what was saved"),
        ("cross-validate", "finished folds are kept, and the same command continues"),
    ],
)
def test_a_training_that_is_stopped_says_how_it_goes_on(command, words, tmp_path, monkeypatch):
    def stopped(*_):
        signal.raise_signal(signal.SIGINT)

    (tmp_path / "pack.json").touch()
    monkeypatch.setattr("unetseg.data.preprocessed_dataset.read_preprocessed_dataset", stopped)
    done = unetseg_here(command, tmp_path, "--output", tmp_path.parent / "run-of-this")
    assert done.returncode == exit_status.INTERRUPTED
    assert "stopped by Ctrl-C" in done.stderr and words in done.stderr and done.stderr.count("\n") == 1


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
