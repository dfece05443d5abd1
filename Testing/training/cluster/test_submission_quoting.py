"""Names with spaces, quotes, dollars and leading dashes reach every program as they are: scripts and commands are run, by tools
that write down what they are given. The host's part runs in a folder of its own, by the shell that sshd would start.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from unetseg.cli import submit_jobs
from unetseg.cli.main import main
from unetseg.cluster.jobs import ClusterJob, JobChain
from unetseg.cluster.scripts import scripts
from unetseg.cluster.submission import commands
from UNetSegmenterLib.engine.errors import InputError

from ..command import wait_until

PLAIN, SPACES = "packs", "my packs; touch pwned"
HOSTILE = 'it\'s "my" $HOME `touch pwned` $(touch pwned) & | * ? # 50% @NAME@ ~ ä 腹'
TOOL = """#!{python}
import json, os, sys
with open({told!r}, "a") as file:
    file.write(json.dumps([{name!r}, *sys.argv[1:], os.getcwd()]) + "\\n")
{body}
"""
# As sshd does: what follows the host is one line for the user's shell, which begins in the home folder.
SSH = """
words = sys.argv[1:]
while words[0].startswith("-"):
    del words[: 2 if words[0] == "-l" else 1]
os.chdir({home!r})
sys.exit(os.WEXITSTATUS(os.system(" ".join(words[1:]))))
"""
# sbatch reads the lines of its own as src/sbatch/opt.c does: shlex with backslashes that escape in all quotes.
SBATCH = """
import shlex, subprocess
script = open(sys.argv[-1]).read()
lexer = shlex.shlex("\\n".join(line[7:] for line in script.splitlines() if line.startswith("#SBATCH")), posix=True)
lexer.whitespace_split, lexer.escapedquotes, lexer.commenters = True, "\\"'", "#"
(log,) = (word.partition("=")[2] for word in lexer if word.startswith("--output="))
log = log.replace("%%", "\\0").replace("%A", "17").replace("%a", "1").replace("%j", "17").replace("\\0", "%")
with open(log, "a") as file:
    subprocess.run(["bash", sys.argv[-1]], stdout=file, stderr=file, env=os.environ | {{"SLURM_ARRAY_TASK_ID": "1"}}, check=True)
print("Submitted batch job 17")
"""
BSUB = """
import shlex, subprocess
script = sys.stdin.read()
words = [word for line in script.splitlines() if line.startswith("#BSUB") for word in shlex.split(line[5:])]
log = words[words.index("-o") + 1].replace("%J", "17").replace("%I", "2")
with open(log, "a") as file:
    subprocess.run(["sh", "-c", script], stdout=file, stderr=file, env=os.environ | {{"LSB_JOBINDEX": "2"}}, check=True)
print("Job <17> is submitted to queue <gpu>.")
"""


@pytest.fixture
def told(tmp_path, monkeypatch):
    """What the tools were given, in the order of their calls: name, arguments, folder."""
    (tmp_path / "home").mkdir()
    tools, path = tmp_path / "tools", tmp_path / "told"
    tools.mkdir()
    bodies = {"ssh": SSH.format(home=str(tmp_path / "home")), "sbatch": SBATCH.format(), "bsub": BSUB.format()}
    for name, body in {**bodies, "unetseg": "print('trained')"}.items():
        (tools / name).write_text(TOOL.format(python=sys.executable, told=str(path), name=name, body=body))
        (tools / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}:{os.defpath}")
    monkeypatch.chdir(tmp_path)
    return lambda: [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def trained(told) -> list[str]:
    """What the job's command was given; it may run in the background."""
    return wait_until(lambda: [call[1:] for call in told() if call[0] == "unetseg"])[0]


def a_pack(preprocessed_folder, name) -> Path:
    (Path.cwd() / name).mkdir(parents=True, exist_ok=True)
    return shutil.copytree(preprocessed_folder, Path.cwd() / name / "pack")


@pytest.mark.parametrize("name", [PLAIN, SPACES, HOSTILE, "-packs"])
@pytest.mark.parametrize("scheduler", ["lsf", "slurm"])
def test_jobs_of_this_machine(preprocessed_folder, told, tmp_path, scheduler, name):
    a_pack(preprocessed_folder, name)
    output = f"./{name}/run of $USER's" if scheduler == "slurm" else f"./{name}/run 1"
    arguments = [
        "submit",
        f"./{name}/pack",
        "--output",
        output,
        "--scheduler",
        scheduler,
        "--setup",
        ":",
        "--gpus",
        "0",
    ]
    if scheduler == "lsf" and name == HOSTILE:
        assert main(arguments) == 2, "LSF has no way to write such a log's name"
        return
    assert main([*arguments, "--train", '--title "it\'s $HOME"']) == 0
    pack, run = (str(Path(place)) for place in (f"{name}/pack", output))
    if name == "-packs":
        pack, run = f"./{pack}", f"./{run}"
    assert trained(told) == ["train", pack, "--title", "it's $HOME", "--output", run, str(tmp_path)]
    logs = list((tmp_path / output / "logs").iterdir())
    assert [log.read_text() for log in logs] == ["trained\n"]
    assert not list(tmp_path.rglob("pwned"))


@pytest.mark.skipif(not shutil.which("rsync"), reason="rsync is not installed here")
@pytest.mark.parametrize("folder", ["", "~/seg", "my seg", HOSTILE, "-seg", "deep/-er/$HOME"])
@pytest.mark.parametrize("scheduler", ["lsf", "slurm", "ssh"])
def test_jobs_of_a_host(preprocessed_folder, told, tmp_path, monkeypatch, scheduler, folder):
    """Everything but the network and the scheduler is real: the shell of the host, rsync, the script."""
    if scheduler == "lsf" and "$" in folder:
        pytest.skip("refused, as test_names_that_a_log_cannot_have holds")
    (tmp_path / "the code's").mkdir()
    (tmp_path / "the code's" / "pyproject.toml").write_text("[project]")
    monkeypatch.setattr(submit_jobs, "code", lambda: tmp_path / "the code's")
    a_pack(preprocessed_folder, "my: packs")
    given = ["submit", "my: packs/pack", "--output", "run 1", "--scheduler", scheduler, "--host", "me@server"]
    assert main([*given, f"--folder={folder}", "--setup", ":", "--gpus", "0"]) == 0
    there = tmp_path / "home" / (folder.removeprefix("~/") or "unetsegmenter")
    assert trained(told) == ["train", "my: packs/pack", "--output", "run 1", str(there)]
    assert (there / "pyproject.toml").read_text() == "[project]"
    assert {path.name for path in (there / "my: packs/pack").iterdir()} == {
        path.name for path in preprocessed_folder.iterdir()
    }
    assert (there / "run 1" / "submit.sh").read_text() == (tmp_path / "run 1" / "submit.sh").read_text()
    assert not list(tmp_path.rglob("pwned"))
    assert not (tmp_path / "home" / "~").exists()


@pytest.mark.skipif(not shutil.which("rsync"), reason="rsync is not installed here")
@pytest.mark.parametrize(
    "host", [r"DTU\me@gpu-1", "me@dtu.dk@login", "me@[::1]", "[fe80::1%eth0]", "größe", "gpu_1", "a+b.c", "10.0.0.7"]
)
def test_hosts_with_odd_names_are_reached(preprocessed_folder, told, tmp_path, host):
    """ssh itself takes the name too: -G prints what it would do."""
    a_pack(preprocessed_folder, "packs")
    given = ["submit", "packs/pack", "--output", "run", "--scheduler", "slurm", "--host", host, "--setup", ":"]
    assert main([*given, "--gpus", "0"]) == 0
    there = [call[1:-1] for call in told() if call[0] == "ssh"]
    user, _, name = host.rpartition("@")
    assert {call[1] for call in there if call[0] == "--"} == {
        f"{user}@{name}".strip("@").translate({91: None, 93: None})
    }
    by_rsync = [call for call in there if call[0] != "--"]
    assert by_rsync
    for call in by_rsync:
        assert call[: call.index("rsync")] == [*(["-l", user] if user else []), name.strip("[]")]
    if real := shutil.which("ssh", path=os.defpath):
        understood = subprocess.run([real, "-G", *there[0][:2]], capture_output=True, encoding="utf-8", check=True)
        assert f"hostname {name.strip('[]')}" in understood.stdout.splitlines()


def test_an_array_goes_into_folders_of_its_own(told, tmp_path):
    command = 'unetseg train p --output \'my runs/cv\'/fold"$MEMBER" --fold "$MEMBER"'
    job = ClusterJob(name="submit", command=command, members=3)
    chain = JobChain(name="cv", output="my runs/cv", folder=str(tmp_path), jobs=(job,))
    (tmp_path / "my runs/cv/logs").mkdir(parents=True)
    for scheduler, tool in (("slurm", ["sbatch", "script"]), ("lsf", ["sh", "-c", "bsub < script"])):
        (tmp_path / "script").write_text(scripts(chain, scheduler)["submit.sh"])
        subprocess.run(tool, check=True)
        assert trained(told) == ["train", "p", "--output", "my runs/cv/fold1", "--fold", "1", str(tmp_path)]
        (tmp_path / "told").unlink()
    assert {log.name for log in (tmp_path / "my runs/cv/logs").iterdir()} == {"17_1.log", "17_2.log"}


@pytest.mark.parametrize(
    "host",
    [
        "-oProxyCommand=touch pwned",
        "--x",
        "me@-oProxyCommand=x",
        "a b",
        "server;id",
        "$(id)",
        "a:b",
        "me@",
        "@a",
        "a\nb",
    ],
)
@pytest.mark.parametrize("scheduler", ["lsf", "slurm", "ssh"])
def test_hosts_that_are_none_are_refused(preprocessed_folder, told, tmp_path, capsys, host, scheduler):
    a_pack(preprocessed_folder, "packs")
    assert main(["submit", "packs/pack", "--output", "run", "--scheduler", scheduler, f"--host={host}"]) == 2
    assert "host" in capsys.readouterr().err
    assert told() == []
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("scheduler", ["lsf", "slurm", "ssh"])
@pytest.mark.parametrize(
    "option",
    [
        "--output=a\nb",
        "--folder=a\nb",
        "--setup=a\nb",
        "--train=--title 'a\n#BSUB -q other'",
        "--name=a\nb",
        "--queue=a\rb",
    ],
)
def test_line_ends_in_options_are_refused(preprocessed_folder, told, capsys, scheduler, option):
    a_pack(preprocessed_folder, "packs")
    arguments = ["submit", "packs/pack", "--scheduler", scheduler, "--host=server", option]
    arguments += [] if option.startswith("--output") else ["--output=run"]
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert "can't be used" in error or "line end" in error
    assert len(error.splitlines()) == 1
    assert told() == []


@pytest.mark.parametrize(("scheduler", "marks"), [("lsf", "\"'\\$`%"), ("slurm", "\\")])
def test_names_that_a_log_cannot_have_are_refused(scheduler, marks):
    jobs = (ClusterJob(name="submit", command="true"),)
    for mark in marks:
        with pytest.raises(InputError, match="choose another --output or --folder"):
            scripts(JobChain(name="run", output=f"a{mark}b", folder="/home/me", jobs=jobs), scheduler)
        with pytest.raises(InputError, match="choose another --output or --folder"):
            scripts(JobChain(name="run", output="run", folder=f"/home/a{mark}b", jobs=jobs), scheduler)


def test_plain_paths_are_left_as_people_write_them():
    jobs = (ClusterJob(name="submit", command="true"),)
    chain = JobChain(name="run", output="runs/cv", folder="seg", jobs=jobs, inputs=("packs/a",), host="server")
    assert "#BSUB -o seg/runs/cv/logs/%J_%I.log" in scripts(chain, "lsf")["submit.sh"].splitlines()
    assert "#SBATCH --output=seg/runs/cv/logs/%j.log" in scripts(chain, "slurm")["submit.sh"].splitlines()
    copies = [shlex.join(step) for step in commands(chain, "slurm", None) if step[0] == "rsync"]
    assert not any(" -s" in copy for copy in copies)


@pytest.mark.parametrize(
    ("output", "name"),
    [("run 1", "run-1"), ("it's $x", "it-s-x"), ("腹部", "unetseg"), ("-run", "run"), ("a.b_c-d", "a.b_c-d")],
)
def test_the_name_of_a_job_follows_from_the_output(preprocessed_folder, told, capsys, output, name):
    a_pack(preprocessed_folder, "packs")
    arguments = ["submit", "packs/pack", f"--output={output}", "--scheduler", "slurm", "--dry-run"]
    assert main(arguments) == 0
    assert f"#SBATCH --job-name={name}\n" in capsys.readouterr().out
