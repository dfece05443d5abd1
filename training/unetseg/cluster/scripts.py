"""The scripts of jobs: one template per scheduler, filled in."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from pathlib import Path

from UNetSegmenterLib.engine.errors import InputError

from .jobs import ClusterJob, JobChain, below

MOST_STARTS = 50  # of one job: one that is queued again more often than that does not get on
CHAIN = "chain"  # the script that hands over several jobs
PLAIN_PATH = re.compile(r"[A-Za-z0-9_./@+,:-]*")
_NOT_IN_LOGS = {"lsf": "\"'\\$`%", "slurm": "\\"}  # characters that the name of a log can't have


def scripts(chain: JobChain, scheduler: str) -> dict[str, str]:
    """Texts of all scripts by the names of their files; raises InputError if the jobs can't be.

    The last one starts everything. Over ssh one script holds all commands; a scheduler gets one per job.
    """
    chain.check(scheduler)
    if scheduler == "ssh":
        return {"submit.sh": _script_without_scheduler(chain)}
    texts = {f"{job.name}.sh": _job_script(chain, job, scheduler) for job in chain.jobs}
    if len(chain.jobs) > 1:
        texts[f"{CHAIN}.sh"] = _chain_script(chain, scheduler)
    return texts


def submission(chain: JobChain, scheduler: str) -> str:
    """The shell line that starts everything, in the folder where a login begins."""
    target = shlex.quote(below(chain.folder, chain.output))
    if scheduler == "ssh":
        start = f"nohup sh {target}/submit.sh >> {target}/job.log 2>&1 < /dev/null &"
        return f'{start} echo "started as process $!; log: "{target}/job.log; echo "cancel: kill $!"'
    if len(chain.jobs) > 1:
        return f"sh {target}/{CHAIN}.sh"
    submit = {"slurm": "sbatch ", "lsf": "bsub < "}[scheduler]
    return f"mkdir -p -- {target}/logs && {submit}{target}/{chain.jobs[0].name}.sh"


def _job_script(chain: JobChain, job: ClusterJob, scheduler: str) -> str:
    needed = job.resources
    minutes = max(1, round(needed.hours * 60))
    values = {
        "NAME": chain.name_of(job),
        "QUEUE": needed.queue,
        "NODES": str(needed.nodes),
        "CORES": str(needed.cores),
        "THREADS": str(needed.threads),
        "MEMORY_MB": str(needed.memory_gb * 1024),
        "MEMORY_MB_A_CORE": str(-(-needed.memory_gb * 1024 // needed.cores)),
        "LSF_TIME": f"{minutes // 60}:{minutes % 60:02d}",
        "SLURM_TIME": f"{minutes // 1440}-{minutes % 1440 // 60:02d}:{minutes % 60:02d}:00",
        "DIRECTIVES": "\n".join(needed.directives.lines(scheduler, needed.gpus)),
        "LSF_ARRAY": f"[1-{job.members}]" if job.members else "",
        "SLURM_ARRAY": f"#SBATCH --array=0-{job.members - 1}" if job.members else "",
        "MOST_STARTS": str(MOST_STARTS),
        "LOG": _log(chain, job, scheduler),
        "OUTPUT": shlex.quote(chain.output),
        "FOLDER": shlex.quote(chain.folder),
        "SETUP": chain.setup,
        "COMMAND": job.command,
    }
    return _filled(f"job.{scheduler}.sh", values)


def _chain_script(chain: JobChain, scheduler: str) -> str:
    target = below(chain.folder, chain.output)
    values = {
        "HOME": "cd || exit 1" if chain.host else "",
        "LOGS": shlex.quote(f"{target}/logs"),
        "SUBMISSIONS": "\n".join(_handed_over(job, target, scheduler) for job in chain.jobs),
    }
    return _filled(f"chain.{scheduler}.sh", values)


def _handed_over(job: ClusterJob, target: str, scheduler: str) -> str:
    """A line of the chain's script: submit NAME SCRIPT OPTIONS, and its number into a variable of the job's name."""
    numbers = [f"${{{name.upper()}}}" for name in job.needs]
    script = shlex.quote(f"{target}/{job.name}.sh")
    options = ""
    if numbers and scheduler == "slurm":
        options = f" --dependency=afterok:{':'.join(numbers)} --kill-on-invalid-dep=yes"
    elif numbers:
        options = f' -w "{" && ".join(f"done({number})" for number in numbers)}" -ti'
    return f"submit {job.name} {script}{options}; {job.name.upper()}=$NUMBER"


def _script_without_scheduler(chain: JobChain) -> str:
    steps = []
    for job in chain.jobs:
        if job.members:
            members = " ".join(map(str, range(job.members)))
            steps += [f"for MEMBER in {members}; do", f'    start "{job.name} $MEMBER"']
            steps += [f"    {job.command} &", "    follow", "done"]
        else:
            steps += [f"start {job.name}", "MEMBER=0", f"{job.command} &", "follow"]
    values = {
        "FOLDER": shlex.quote(chain.folder),
        "SETUP": chain.setup,
        "THREADS": str(chain.jobs[0].resources.threads),
        "STEPS": "\n".join(steps),
    }
    return _filled("job.ssh.sh", values)


def _filled(template: str, values: Mapping[str, str]) -> str:
    """A template with its @NAMES@ filled in, without lines that this leaves empty."""
    text = (Path(__file__).parent / template).read_text(encoding="utf-8")
    text = re.sub(rf"@({'|'.join(values)})@", lambda match: values[match[1]], text)
    return re.sub(r"\n{2,}", "\n", text)


def _log(chain: JobChain, job: ClusterJob, scheduler: str) -> str:
    """The file of a job's output, written as the scheduler's line needs it: no shell reads that line.

    sbatch (src/sbatch/opt.c): quotes group, a backslash keeps the next character, %% is a percent sign in a name, and in a
    name with a backslash no numbers are filled in. bsub documents only quotes. Raises InputError for other names.
    """
    folder = below(chain.folder, f"{chain.output}/logs")
    if wrong := sorted(set(folder) & set(_NOT_IN_LOGS[scheduler])):
        raise InputError(
            f"The folder {folder} has {' '.join(wrong)} in its name, which {scheduler} can't write a log into; choose another "
            "--output or --folder."
        )
    start = "" if len(chain.jobs) == 1 else f"{job.name}_"
    if scheduler == "lsf":
        path = f"{folder}/{start}%J_%I.log"
    else:
        path = folder.replace("%", "%%") + f"/{start}{'%A_%a' if job.members else '%j'}.log"
    if PLAIN_PATH.fullmatch(path.replace("%", "")):
        return path
    return '"' + path.replace('"', '\\"') + '"'
