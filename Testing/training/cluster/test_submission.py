"""Job scripts and commands: every option where it belongs, nothing that a shell would take for its own."""

from __future__ import annotations

import dataclasses
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from unetseg.cli.main import main
from unetseg.cluster.directives import Directives
from unetseg.cluster.job_commands import evaluation_commands, training_command
from unetseg.cluster.jobs import ClusterJob, JobChain, Resources
from unetseg.cluster.scripts import MOST_STARTS, scripts
from unetseg.cluster.submission import commands, submit
from UNetSegmenterLib.engine.errors import InputError

from ..command import wait_until
from ..datasets import write_checkpoint

TRAINING = training_command("packs/abdomen", "runs/cv", ("--steps", "4000"), folds=5)
JOB = ClusterJob(name="submit", command=TRAINING, members=5, resources=Resources(queue="gpua100", cores=4, hours=7.5))
ALONE = JobChain(name="abdomen", output="runs/cv", folder="/home/me", inputs=("packs/abdomen",), jobs=(JOB,))
EVALUATE, MERGE = evaluation_commands("my heart.pt", "MMWHS", "evaluated", ("--split", "test"), 3)
SHARDS = ClusterJob(name="shards", command=EVALUATE, members=3)
ARRAY = JobChain(
    name="hearts",
    output="evaluated",
    folder="/home/me",
    inputs=("my heart.pt", "MMWHS"),
    jobs=(SHARDS, ClusterJob(name="merge", command=MERGE, needs=("shards",), resources=Resources(gpus=0))),
)


def script_of(scheduler: str, chain: JobChain = ALONE, **changes) -> str:
    """The first job's script, with changes of that job."""
    first = dataclasses.replace(chain.jobs[0], **changes)
    return next(iter(scripts(dataclasses.replace(chain, jobs=(first, *chain.jobs[1:])), scheduler).values()))


def test_lsf_script_has_the_documented_options():
    lines = script_of("lsf").splitlines()
    for line in (
        '#BSUB -J "abdomen[1-5]"',
        "#BSUB -q gpua100",
        '#BSUB -R "rusage[mem=4096MB]"',
        '#BSUB -gpu "num=1:mode=exclusive_process"',
        "#BSUB -W 7:30",
        "#BSUB -wa 'USR1'",
        '#BSUB -Q "75"',
        "#BSUB -o /home/me/runs/cv/logs/%J_%I.log",
        "MEMBER=$((${LSB_JOBINDEX:-1} - 1))",
        'exec unetseg train packs/abdomen --steps 4000 --device cuda --output runs/cv/fold"$MEMBER" --fold "$MEMBER"',
    ):
        assert line in lines
    assert "-gpu" not in script_of("lsf", resources=Resources(gpus=0))
    assert "[1-" not in script_of("lsf", members=0)


def test_slurm_script_has_the_documented_options():
    lines = script_of("slurm").splitlines()
    for line in (
        "#SBATCH --partition=gpua100",
        "#SBATCH --gres=gpu:1",
        "#SBATCH --time=0-07:30:00",
        "#SBATCH --array=0-4",
        "#SBATCH --signal=B:USR1@300",
        "#SBATCH --output=/home/me/runs/cv/logs/%A_%a.log",
    ):
        assert line in lines
    command = training_command("packs/abdomen", "runs/cv", gpus=4, nodes=2)
    several = script_of("slurm", command=command, resources=Resources(gpus=4, nodes=2, cores=16), members=0)
    assert "torchrun --nnodes=2 --nproc-per-node=4" in several
    assert "--device cuda --devices 4 --nodes 2" in several
    assert "export OMP_NUM_THREADS=4\n" in several, "16 cores for four processes"


SITE = Directives(
    account="dtu_1", qos="high", constraint="a100|h100", gpu_type="a100", mail="me@dtu.dk", directive=("--exclusive",)
)


@pytest.mark.parametrize(
    ("scheduler", "expected"),
    [
        (
            "slurm",
            '--gres=gpu:a100:1 --account=dtu_1 --qos=high --constraint="a100|h100" --mail-user=me@dtu.dk '
            "--mail-type=END,FAIL --exclusive",
        ),
        (
            "lsf",
            '-gpu "num=1:mode=exclusive_process:gmodel=a100" -P dtu_1 -sla high -R "select[a100|h100]" '
            "-u me@dtu.dk -N --exclusive",
        ),
    ],
)
def test_what_the_site_asks_for_is_handed_through(scheduler, expected):
    script = script_of(scheduler, resources=Resources(directives=SITE))
    prefix = {"slurm": "#SBATCH ", "lsf": "#BSUB "}[scheduler]
    assert expected in " ".join(line.removeprefix(prefix) for line in script.splitlines() if line.startswith(prefix))
    with pytest.raises(InputError, match="ssh has none"):
        script_of("ssh", dataclasses.replace(ALONE, host="me@server"), resources=Resources(directives=SITE))


def test_the_job_that_sums_up_asks_for_no_gpu_unless_told_to():
    full = Resources(queue="gpua100", nodes=2, gpus=2, directives=SITE)

    def merge(*changes) -> str:
        job = dataclasses.replace(ARRAY.jobs[1], resources=full.for_one_node(*changes))
        return scripts(dataclasses.replace(ARRAY, jobs=(SHARDS, job)), "slurm")["merge.sh"]

    assert "gpu:" not in merge()
    assert "a100" not in merge("cpu"), "no node without GPUs has what those with GPUs have"
    assert "--partition=gpua100" in merge()
    assert "--account=dtu_1" in merge()
    assert "--nodes=1" in merge()
    assert "--gres=gpu:a100:2" in merge("cpu", 2)
    assert "--partition=cpu" in merge("cpu", 2)


def test_two_jobs_of_several_nodes_meet_at_different_ports():
    """The line as the shell reads it, with the tools of SLURM and torchrun that write down what they are told."""
    command = training_command("packs/abdomen", "runs/cv", gpus=1, nodes=2).partition(" - ")[2]
    tools = 'scontrol() { echo node7; echo node8; }; torchrun() { echo "$@"; }; '
    told = [
        subprocess.run(
            ["sh", "-c", tools + command],
            env={"PATH": os.defpath, "SLURM_JOB_ID": number, "SLURM_JOB_NODELIST": "node[7-8]"},
            capture_output=True,
            encoding="utf-8",
            check=True,
        ).stdout
        for number in ("1234567", "1234568")
    ]
    assert "--rdzv-id=1234567 --rdzv-endpoint=node7:30567 " in told[0]
    assert "--rdzv-id=1234568 --rdzv-endpoint=node7:30568 " in told[1]


@pytest.mark.parametrize("scheduler", ["lsf", "slurm"])
def test_a_job_that_never_gets_on_is_not_queued_again_for_ever(tmp_path, scheduler):
    """LSF's script counts its starts itself; SLURM says how often it has queued the job again."""
    tools = tmp_path / "tools"
    tools.mkdir()
    (tmp_path / "runs/cv/logs").mkdir(parents=True)
    write_tool(tools / "scontrol", 'echo "$@" > requeued')
    write_tool(tools / "unetseg", "echo ran >> ran; exit 75")
    script = script_of(scheduler, dataclasses.replace(ALONE, folder=str(tmp_path)))
    statuses = []
    for restarts in range(MOST_STARTS + (scheduler == "lsf")):
        environment = {"PATH": f"{tools}:{os.defpath}", "LSB_JOBID": "9", "SLURM_JOB_ID": "9"}
        environment["SLURM_RESTART_COUNT"] = str(restarts)
        if scheduler == "slurm" and 0 < restarts < MOST_STARTS - 2:
            continue
        statuses.append(subprocess.run(["bash", "-c", script], env=environment, check=False).returncode)
    assert set(statuses[:-1]) == {75}
    assert statuses[-1] == 1
    if scheduler == "lsf":
        assert (tmp_path / "ran").read_text().count("ran") == MOST_STARTS


@pytest.mark.parametrize("scheduler", ["lsf", "slurm", "ssh"])
def test_scripts_are_whole_and_a_shell_reads_them(scheduler):
    command = training_command("packs/my abdomen", "runs/cv", folds=5)
    alone = dataclasses.replace(ALONE, jobs=(dataclasses.replace(JOB, command=command),))
    for chain in (alone, ARRAY):
        for script in scripts(dataclasses.replace(chain, host="me@server"), scheduler).values():
            assert "@" not in script.replace("B:USR1@300", "").replace('"$@"', "")
            for shell in ("bash", "dash") if script.startswith("#!/bin/sh") else ("bash",):
                subprocess.run([shell, "-n"], input=script, encoding="utf-8", check=True)
    assert "'packs/my abdomen'" in script_of(scheduler, dataclasses.replace(alone, host="me@server"))


def test_evaluation_is_an_array_of_shards_and_a_job_that_waits_for_it():
    part = "unetseg evaluate 'my heart.pt' MMWHS --split test --device cuda --shard \"$((MEMBER + 1))/3\""
    slurm, lsf = scripts(ARRAY, "slurm"), scripts(ARRAY, "lsf")
    for texts in (slurm, lsf):
        assert f'{part} --output evaluated/shards/"$((MEMBER + 1))"' in texts["shards.sh"]
        assert list(texts) == ["shards.sh", "merge.sh", "chain.sh"]
    assert "#SBATCH --array=0-2" in slurm["shards.sh"]
    assert '#BSUB -J "hearts-shards[1-3]"' in lsf["shards.sh"]
    assert "--array" not in slurm["merge.sh"]
    places = " ".join(f"evaluated/shards/{number}" for number in (1, 2, 3))
    assert f"\nunetseg evaluate --merge {places} --output evaluated &\n" in slurm["merge.sh"]
    ssh = scripts(dataclasses.replace(ARRAY, host="me@server"), "ssh")["submit.sh"].splitlines()
    assert ssh.index("for MEMBER in 0 1 2; do") < ssh.index("done") < ssh.index(f"{MERGE} &"), "after the loop"


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        (Resources(queue="gpu;rm"), 'queue "gpu;rm"'),
        (Resources(hours=0), "0 hours"),
        (Resources(nodes=2), "SLURM"),
        (Resources(directives=Directives(account="a b")), 'account is "a b"'),
        (Resources(directives=Directives(gpu_type='x"; rm')), "gpu-type"),
        (Resources(directives=Directives(constraint='a"; rm')), "features of nodes are expected"),
        (Resources(directives=Directives(constraint="$(id)")), "features of nodes are expected"),
        (Resources(directives=Directives(directive=("exclusive",))), 'directive is "exclusive"'),
        (Resources(directives=Directives(directive=("--x\n#",))), "directive is"),
    ],
)
def test_jobs_that_cannot_be_are_refused(changes, expected):
    with pytest.raises(InputError, match=expected):
        script_of("lsf", resources=changes)


def test_chains_that_cannot_be_are_refused():
    with pytest.raises(InputError, match='name "a b"'):
        scripts(dataclasses.replace(ALONE, name="a b"), "lsf")
    with pytest.raises(InputError, match="known are lsf, slurm, ssh"):
        scripts(ALONE, "pbs")
    with pytest.raises(InputError, match="--host"):
        scripts(ALONE, "ssh")
    with pytest.raises(InputError, match="no UTF-8"):
        scripts(dataclasses.replace(ALONE, output=os.fsdecode(b"runs/caf\xe9")), "slurm")


@pytest.mark.parametrize(
    "wanted", ["a100|h100", "[rack1|rack2]", "(knl&snc4)", "gpu40gb && ngpus>1", "!v100", "model==A100"]
)
def test_features_of_nodes_may_be_joined_and_compared(wanted):
    resources = Resources(directives=Directives(constraint=wanted))
    assert f'#BSUB -R "select[{wanted}]"' in script_of("lsf", resources=resources).splitlines()
    assert f'#SBATCH --constraint="{wanted}"' in script_of("slurm", resources=resources).splitlines()


def test_host_gets_code_pack_and_script_and_makes_the_environment_before_the_job(tmp_path, monkeypatch):
    chain = dataclasses.replace(ALONE, host="me@server", folder="unet", preparation="[ -e .venv/ready ] || make setup")
    (tmp_path / "packs" / "abdomen").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    steps = commands(chain, "slurm", Path("/code"))
    assert [step[0] for step in steps] == ["ssh", "rsync", "rsync", "rsync", "ssh", "ssh"]
    assert steps[1][-2:] == ["/code/", "me@server:unet/"]
    assert steps[2][-2:] == ["./packs/abdomen/", "me@server:unet/packs/abdomen/"]
    assert steps[3][-2:] == ["./runs/cv/submit.sh", "me@server:unet/runs/cv/submit.sh"]
    assert steps[4][-1] == "sh -c 'cd -- unet && { [ -e .venv/ready ] || make setup; }'"
    assert steps[5][-1].endswith("sbatch unet/runs/cv/submit.sh'")


def test_missing_scheduler_is_said(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", os.defpath)
    if shutil.which("bsub"):
        pytest.skip("LSF is installed here")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=r"bsub.*not found; the scripts are in runs/cv"):
        submit(dataclasses.replace(ALONE, folder=str(tmp_path)), "lsf", None)
    assert (tmp_path / "runs/cv/submit.sh").read_text().startswith("#!/bin/sh")


def test_dry_run_prints_and_writes_nothing(preprocessed_folder, tmp_path, capsys):
    output = tmp_path / "run"
    arguments = [
        "submit",
        str(preprocessed_folder),
        "--output",
        str(output),
        "--scheduler",
        "lsf",
        "--queue",
        "gpua100",
        "--dry-run",
    ]
    assert main(arguments) == 0
    printed = capsys.readouterr().out
    assert "#BSUB -q gpua100" in printed
    assert "would run: sh -c" in printed
    assert not output.exists()
    assert f". {sys.prefix}/bin/activate" in printed, "the job's environment is this one"
    assert "--device cuda" in printed, "a job that asks for a GPU takes no CPU"
    assert main([*arguments, "--folds", "3"]) == 2
    assert "prepare the data set with --folds" in capsys.readouterr().err
    assert main([*arguments, "--train", '--title "half']) == 2
    assert "No closing quotation" in capsys.readouterr().err
    assert main([*arguments, "--train", "--stepz 3"]) == 2
    assert "did you mean --steps?" in capsys.readouterr().err, "now, not when the queue has come to it"


def test_dry_run_of_an_evaluation(hearts, tmp_path, capsys):
    checkpoint = write_checkpoint(tmp_path / "small.pt")
    arguments = ["submit", str(checkpoint), "--dataset", str(hearts), "--output", str(tmp_path / "out"), "--dry-run"]
    assert main([*arguments, "--scheduler", "slurm", "--shards", "2", "--evaluate", "--split test"]) == 0
    printed = capsys.readouterr().out
    assert "--split test --device cuda --shard" in printed
    assert "afterok" in printed
    assert not (tmp_path / "out").exists()
    assert main([*arguments, "--scheduler", "slurm", "--shards", "9"]) == 2
    assert "5 cases" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("array", "named"),
    [({}, "17"), ({"SLURM_ARRAY_JOB_ID": "17", "SLURM_ARRAY_TASK_ID": "3"}, "17_3")],
)
def test_slurm_script_passes_the_warning_on_and_asks_to_be_queued_again(tmp_path, array, named):
    """The script as it is, with a training that ends with 75 after USR1 and an scontrol that writes down what it is told."""
    tools = tmp_path / "tools"
    tools.mkdir()
    write_tool(tools / "scontrol", 'echo "$@" > requeued')
    write_tool(
        tools / "unetseg", "trap 'sleep 0.3; exit 75' USR1; echo training > started; while :; do sleep 0.1; done"
    )
    script = script_of("slurm", dataclasses.replace(ALONE, folder=str(tmp_path)))
    environment = {"PATH": f"{tools}:{os.defpath}", "SLURM_JOB_ID": "17", **array}
    process = subprocess.Popen(["bash", "-c", script], env=environment, stdout=subprocess.PIPE, encoding="utf-8")
    wait_for_the_training(process, tmp_path)
    process.send_signal(signal.SIGUSR1)
    assert "queued again" in process.communicate(timeout=120)[0]
    assert process.returncode == 75
    assert (tmp_path / "requeued").read_text() == f"requeue {named}\n"


@pytest.mark.parametrize("warned", [True, False])
def test_slurm_script_queues_again_what_failed_after_a_warning_and_nothing_else(tmp_path, warned):
    """torchrun says 1 for whatever its processes said; a training that fails by itself would only fail again."""
    tools = tmp_path / "tools"
    tools.mkdir()
    write_tool(tools / "scontrol", 'echo "$@" > requeued')
    lasts = "sleep 300 & wait" if warned else "true"
    write_tool(tools / "unetseg", f"trap 'kill $!; exit 1' USR1; echo training > started; {lasts}; exit 1")
    setup = "unset NOBODY; echo $NOBODY"
    script = script_of("slurm", dataclasses.replace(ALONE, folder=str(tmp_path), setup=setup))
    environment = {"PATH": f"{tools}:{os.defpath}", "SLURM_JOB_ID": "17"}
    process = subprocess.Popen(["bash", "-c", script], env=environment)
    if warned:
        wait_for_the_training(process, tmp_path)
        process.send_signal(signal.SIGUSR1)
    assert process.wait(timeout=120) == 1
    assert (tmp_path / "requeued").exists() == warned


def wait_for_the_training(process: subprocess.Popen, folder: Path) -> None:
    """Wait until the training runs, and until the script that starts it sleeps in its `wait`."""
    script = psutil.Process(process.pid)
    wait_until(lambda: (folder / "started").exists() and script.status() == psutil.STATUS_SLEEPING)


def write_tool(path: Path, body: str) -> None:
    path.write_text(f"#!/bin/bash\n{body}\n")
    path.chmod(0o755)
