"""Programs with the names of schedulers' own: they run a job at once, keep its state, and honour what it depends on.

`jobs.json` in their folder holds the jobs by number: name of the script, state (done, failed, cancelled), what it needed. A
file `refused` there names a script that is refused.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

COMMON = """#!{python} -IS
import json, os, re, shlex, subprocess, sys
from pathlib import Path

ROOT = Path({root!r})

def known():
    path = ROOT / "jobs.json"
    return json.loads(path.read_text()) if path.exists() else {{}}

def keep(jobs):
    (ROOT / "jobs.json").write_text(json.dumps(jobs))

def hand_over(name, text, needs, members, shell, log, variables):
    \"\"\"Run a job that needs others if all of these are done; returns its number.\"\"\"
    refused = ROOT / "refused"
    if refused.exists() and refused.read_text().strip() == name:
        sys.exit("error: invalid partition specified")
    jobs = known()
    number = str(17 + len(jobs))
    state = "done"
    if any(jobs[one]["state"] != "done" for one in needs):
        state, members = "cancelled", []
    for member in members:
        own = {{variable: value.format(number=number, member=member) for variable, value in variables.items()}}
        with open(log(number, member), "a") as file:
            streams = dict(stdout=file, stderr=file, stdin=subprocess.DEVNULL)
            if subprocess.run([shell, "-c", text], env=os.environ | own, **streams).returncode:
                state = "failed"
    jobs[number] = {{"name": name, "state": state, "needs": needs}}
    keep(jobs)
    return number
"""
# sbatch reads the lines of its own as src/sbatch/opt.c does: shlex with backslashes that escape in all quotes.
SBATCH = """
options, script = sys.argv[1:-1], Path(sys.argv[-1])
given = dict(option.partition("=")[::2] for option in options)
assert "--parsable" in given, options
needs = given.get("--dependency", "").removeprefix("afterok:").split(":") if "--dependency" in given else []
assert not needs or given["--kill-on-invalid-dep"] == "yes"
text = script.read_text()
lexer = shlex.shlex("\\n".join(line[7:] for line in text.splitlines() if line.startswith("#SBATCH")), posix=True)
lexer.whitespace_split, lexer.escapedquotes, lexer.commenters = True, "\\"'", "#"
words = dict(word.partition("=")[::2] for word in lexer)
members = list(range(int(words["--array"].partition("-")[2]) + 1)) if "--array" in words else [0]

def log(number, member):
    name = words["--output"].replace("%%", "\\0").replace("%A", number).replace("%a", str(member))
    return name.replace("%j", number).replace("\\0", "%")

variables = {"SLURM_JOB_ID": "{number}"}
if "--array" in words:
    variables |= {"SLURM_ARRAY_JOB_ID": "{number}", "SLURM_ARRAY_TASK_ID": "{member}"}
print(hand_over(script.name, text, needs, members, "bash", log, variables) + ";cluster")
"""
BSUB = """
needs = re.findall("done[(]([0-9]+)[)]", sys.argv[sys.argv.index("-w") + 1]) if "-w" in sys.argv else []
assert not needs or "-ti" in sys.argv
text = sys.stdin.read()
words = [word for line in text.splitlines() if line.startswith("#BSUB") for word in shlex.split(line[5:])]
name, _, array = words[words.index("-J") + 1].partition("[1-")
members = list(range(1, int(array[:-1]) + 1)) if array else [0]
path = words[words.index("-o") + 1]
variables = {"LSB_JOBID": "{number}"} | ({"LSB_JOBINDEX": "{member}"} if array else {})
number = hand_over(name.rpartition("-")[2] + ".sh", text, needs, members, "sh",
                   lambda number, member: path.replace("%J", number).replace("%I", str(member)), variables)
print(f"Job <{number}> is submitted to queue <gpu>.")
"""
CANCEL = """
jobs = known()
for number in sys.argv[1:]:
    jobs[number]["state"] = "cancelled"
keep(jobs)
"""
# As sshd does: what follows the host is one line for the user's own shell, which begins in the home folder.
SSH = """
words = sys.argv[1:]
while words[0].startswith("-"):
    del words[: 2 if words[0] == "-l" else 1]
(ROOT / "hosts").open("a").write(words[0] + "\\n")
os.chdir(ROOT / "home")
os.environ["HOME"] = str(ROOT / "home")
sys.exit(subprocess.run([os.environ.get("LOGIN_SHELL", "sh"), "-c", " ".join(words[1:])]).returncode)
"""


def write_schedulers(folder: Path, tools: Path) -> None:
    """Write sbatch, bsub, scancel, bkill and ssh into `tools`; their jobs, and the home folder of a host, are in `folder`."""
    (folder / "home").mkdir()
    bodies = {"sbatch": SBATCH, "bsub": BSUB, "scancel": CANCEL, "bkill": CANCEL, "ssh": SSH}
    for name, body in bodies.items():
        write_tool(tools / name, COMMON.format(python=sys.executable, root=str(folder)) + body)


def write_tool(path: Path, text: str) -> None:
    """Write a program."""
    path.write_text(text, encoding="utf-8")
    path.chmod(0o755)


def states(folder: Path) -> dict[str, str]:
    """The state of each job by the name of its script, of the last one with that name."""
    path = folder / "jobs.json"
    jobs = json.loads(path.read_text()) if path.exists() else {}
    return {job["name"].removesuffix(".sh"): job["state"] for job in jobs.values()}
