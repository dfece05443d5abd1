"""The script for several nodes as it is, with torchrun itself: two processes on the CPU train one network and write one run."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from unetseg.cluster.job_commands import training_command
from unetseg.cluster.jobs import ClusterJob, JobChain, Resources
from unetseg.cluster.scripts import scripts
from UNetSegmenterLib.engine.model.checkpoint import read_card

from .stand_in_schedulers import write_tool

# One command on each node at the same time, as srun does; here both nodes are this machine.
SRUN = """#!/bin/bash
"$@" & first=$!
"$@" & second=$!
wait $first || exit 1
wait $second
"""
OPTIONS = (
    *("--device", "cpu", "--steps", "6", "--batch-size", "4", "--patch", "32,32", "--base-width", "4", "--depth", "2"),
    *("--title", "it's $HOME"),
)


@pytest.mark.slow
def test_two_nodes_train_one_network_through_the_script(preprocessed_folder, tmp_path):
    tools, work = tmp_path / "tools", tmp_path / "my $work"
    for folder in (tools, work):
        folder.mkdir()
    write_tool(tools / "srun", SRUN)
    write_tool(
        tools / "scontrol", '#!/bin/sh\n[ "$1 $2 $3" = "show hostnames node[7-8]" ] && echo localhost && echo node8\n'
    )
    write_tool(tools / "torchrun", f'#!/bin/sh\nexec "{sys.executable}" -m torch.distributed.run "$@"\n')
    command = training_command(str(preprocessed_folder), "my run", OPTIONS, gpus=0, nodes=2)
    job = ClusterJob(name="submit", command=command, resources=Resources(gpus=0, nodes=2, cores=1))
    script = scripts(JobChain(name="two", output="my run", folder=str(work), jobs=(job,)), "slurm")["submit.sh"]
    own = {"PATH": f"{tools}:{os.environ['PATH']}", "SLURM_JOB_NODELIST": "node[7-8]", "SLURM_JOB_ID": str(os.getpid())}
    result = subprocess.run(
        ["bash", "-c", script], env=os.environ | own, capture_output=True, encoding="utf-8", check=False, timeout=400
    )
    assert result.returncode == 0, result.stderr
    card = read_card(work / "my run" / "checkpoint.pt")
    assert card.training["device"].endswith("x 2")
    assert card.title == "it's $HOME"
    assert result.stdout.count("6 steps of 4 slices") == 1, "one process speaks"
