"""Two CPU processes of `unetseg train --devices 2`: where one fails both end, and two runs at once do not meet."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from UNetSegmenterLib.engine.model.checkpoint import read_card

from ...listening import sockets_until_all_end

# The command itself, in which one process runs out of memory at its third step: the same error as CUDA's. Lightning starts
# this script again for the second process.
COMMAND = """
import os, sys
import torch
from unetseg.cli.main import main
from unetseg.training.optimisation import SupervisedNetwork

fails, error = sys.argv[1].split(":")
if os.environ.get("LOCAL_RANK", "0") in fails.split(","):
    whole_forward, steps = SupervisedNetwork.forward, []

    def forward(self, images):
        steps.append(len(images))
        if self.training and len(steps) == 3:
            raise {"memory": torch.OutOfMemoryError, "fault": ValueError}[error]("pretended")
        return whole_forward(self, images)

    SupervisedNetwork.forward = forward
sys.exit(main(sys.argv[2:]))
"""
SMALL = "--steps 12 --batch-size 4 --patch 32,32 --base-width 4 --depth 2 --loss cross_entropy --device cpu --devices 2"


def start(folder: Path, fails: str, preprocessed: Path, run: Path, **environment: str) -> subprocess.Popen:
    """Start `unetseg train` on two processes; in those that `fails` names an error is raised."""
    script = folder / "command.py"
    script.write_text(COMMAND)
    command = [sys.executable, script, fails, "train", preprocessed, "--output", run, *SMALL.split()]
    variables = os.environ | {"OMP_NUM_THREADS": "1", "NO_COLOR": "1"} | environment
    return subprocess.Popen(command, env=variables, stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8")


@pytest.mark.parametrize("fails", ["0", "1", "0,1"])
def test_a_process_that_is_out_of_memory_ends_all_with_one_sentence(preprocessed_folder, tmp_path, fails):
    process = start(tmp_path, f"{fails}:memory", preprocessed_folder, tmp_path / "run")
    _, errors = process.communicate(timeout=240)  # which also waits for the second process: it holds stderr
    assert process.returncode == 2, errors
    sentences = [line for line in errors.splitlines() if line.startswith("unetseg: error:")]
    assert len(sentences) == 1, errors
    assert "2 slices per process do not fit into the memory of cpu; take a smaller batch_size" in sentences[0]
    assert "Traceback" not in errors
    assert fails == "0,1" or ("process 1 of 2; all of them end" in sentences[0]) == (fails == "1")


def test_any_other_failure_ends_all_too(preprocessed_folder, tmp_path):
    process = start(tmp_path, "1:fault", preprocessed_folder, tmp_path / "run")
    _, errors = process.communicate(timeout=240)
    assert process.returncode == 2, errors
    assert errors.count("Traceback") == 1, "the traceback of the process that failed, and no other"
    assert "unetseg: error: ValueError: pretended (process 1 of 2; all of them end)" in errors


def test_a_main_process_that_refuses_its_folder_ends_all(preprocessed_folder, tmp_path):
    run = tmp_path / "run"
    run.mkdir()
    (run / "metrics.csv").write_text("of something else\n")
    process = start(tmp_path, "none:none", preprocessed_folder, run)
    _, errors = process.communicate(timeout=240)
    assert process.returncode == 2, errors
    assert [line for line in errors.splitlines() if "error" in line.lower()] == [
        f"unetseg: error: {run / 'metrics.csv'} was not written by unetseg train; choose another --output, move it away, or "
        "replace it with --overwrite."
    ]


def test_two_runs_at_once_do_not_meet(preprocessed_folder, tmp_path):
    """Also where the environment names a port of an earlier run, which both would take; and nobody else can reach them."""
    names = {"MASTER_PORT": "29511", "STANDALONE_PORT": "29511"}
    runs = [tmp_path / name for name in ("one", "two")]
    processes = [start(tmp_path, "none:none", preprocessed_folder, run, **names) for run in runs]
    used = sockets_until_all_end(processes)
    ends = [process.communicate(timeout=240)[1] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], ends
    assert ("LISTEN", "127.0.0.1") in used and {address for _, address in used} == {"127.0.0.1"}, used
    assert all(read_card(run / "checkpoint.pt").training["device"].endswith("x 2") for run in runs)
