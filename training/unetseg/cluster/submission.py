"""A job for a scheduler: fill in the template of its script, copy code and data, submit it."""

from __future__ import annotations

import logging
import re
import shlex
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath

from UNetSegmenterLib.engine.errors import InputError
from UNetSegmenterLib.engine.io.atomic_files import write_text

from .directives import Directives

MERGE = "merge.sh"  # beside submit.sh
MOST_STARTS = 50  # of one job: one that is queued again more often than that does not get on
SCHEDULERS = ("lsf", "slurm", "ssh")
NOT_COPIED = (".git", ".venv", "__pycache__", "*.egg-info", "build", "demo-output", "packs", "runs")
_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_HOST = re.compile(r"(?:[A-Za-z0-9_][A-Za-z0-9._-]*@)?[A-Za-z0-9][A-Za-z0-9._-]*")
_PLAIN_PATH = re.compile(r"[A-Za-z0-9_./@+,:-]*")
_NOT_IN_LOGS = {"lsf": "\"'\\$`%", "slurm": "\\", "ssh": ""}  # characters that the name of a log can't have


@dataclass(frozen=True, kw_only=True)
class Resources:
    """What a job asks the scheduler for; GPUs, cores and memory are per node.

    Attributes:
        queue: queue (LSF) or partition (SLURM).
        hours: wall time.
        directives: what else the site wants.
    """

    queue: str = "gpu"
    gpus: int = 1
    nodes: int = 1
    cores: int = 4
    memory_gb: int = 16
    hours: float = 24.0
    directives: Directives = field(default_factory=Directives)

    def check(self, scheduler: str) -> None:
        """Raise InputError for what no scheduler would accept."""
        if not _WORD.fullmatch(self.queue):
            raise InputError(f'The queue "{self.queue}" can\'t be used; letters, digits, dots, - and _ are expected.')
        if min(self.nodes, self.cores, self.memory_gb) < 1 or self.gpus < 0 or not 0 < self.hours <= 24 * 366:
            raise InputError(
                f"{self.gpus} GPUs, {self.nodes} nodes, {self.cores} cores, {self.memory_gb} GB and {self.hours:g} hours are "
                "no job; positive numbers are expected (GPUs may be 0)."
            )
        if self.nodes > 1 and scheduler != "slurm":
            raise InputError(f"Several nodes ({self.nodes}) work with SLURM only; take one node with {scheduler}.")
        self.directives.check(scheduler)


@dataclass(frozen=True, kw_only=True)
class ClusterJob:
    """A command, or an array of commands, for a scheduler.

    Attributes:
        output: folder of results, scripts and logs.
        folder: where code and data lie on the machine that runs the job.
        command: a line of shell in which $MEMBER is the member of the array, from 0.
        inputs: files and folders that the command reads.
        members: size of the array; 0 for a single job.
        after: a command that runs when all members have succeeded; "" for none.
        after_queue: queue of that command, "" for the same one.
        after_gpus: GPUs that it asks for, although it needs none; some queues refuse jobs without.
        setup: a shell line that makes the command `unetseg` available (a virtual environment, modules).
        host: login node or server; "" for this machine.
    """

    name: str
    output: str
    folder: str
    command: str
    inputs: tuple[str, ...] = ()
    members: int = 0
    after: str = ""
    after_queue: str = ""
    after_gpus: int = 0
    resources: Resources = Resources()
    setup: str = ""
    host: str = ""

    @property
    def following(self) -> ClusterJob:
        """The job that runs `after`, on one node."""
        queue = self.after_queue or self.resources.queue
        resources = replace(self.resources, nodes=1, queue=queue, gpus=self.after_gpus)
        if not self.after_gpus:
            resources = replace(resources, directives=replace(resources.directives, gpu_type=""))
        return replace(self, name=f"{self.name}-merge", command=self.after, members=0, after="", resources=resources)

    def check(self, scheduler: str) -> None:
        """Raise InputError for what no scheduler would accept, and for what a shell or a scheduler would misread."""
        if scheduler not in SCHEDULERS:
            raise InputError(f'"{scheduler}" is no known scheduler; known are {", ".join(SCHEDULERS)}.')
        texts = (self.output, self.folder, self.command, *self.inputs, self.after, self.setup)
        if broken := next((text for text in texts if any(ord(character) < 32 for character in text)), None):
            raise InputError(
                f"{broken[:60]!r} has a line end or another control character; a job takes options of one line."
            )
        if self.host and not _HOST.fullmatch(self.host):
            raise InputError(f'The host "{self.host}" can\'t be used; NAME, or USER@NAME, as ssh knows it is expected.')
        if not _WORD.fullmatch(self.name):
            raise InputError(f'The name "{self.name}" can\'t be used; letters, digits, dots, - and _ are expected.')
        self.resources.check(scheduler)
        if scheduler == "ssh" and not self.host:
            raise InputError("For ssh, give the server with --host user@server.")


def training_command(
    preprocessed: str, run: str, options: Sequence[str] = (), folds: int = 0, gpus: int = 1, nodes: int = 1
) -> str:
    """The command line of a training, or of the fold $MEMBER of a cross-validation.

    A job with GPUs names the device: it fails at once where the GPU can't be used, and never runs on the CPU instead.
    """
    train = ["train", preprocessed, *options, *_device(options, gpus)]
    if gpus > 1 or nodes > 1:
        train += ["--devices", str(max(1, gpus))]
    start = "unetseg"
    if nodes > 1:
        train += ["--nodes", str(nodes)]
        # The warning would end torchrun before its processes have saved, so torchrun ignores it. The port follows from the
        # job's number, so that two jobs that begin on one node don't meet; it stays below the ports that systems hand out.
        start = (
            'srun sh -c \'trap "" USR1; exec "$@"\' - '
            f"torchrun --nnodes={nodes} --nproc-per-node={max(1, gpus)} --rdzv-backend=c10d "
            '--rdzv-id="$SLURM_JOB_ID" '
            '--rdzv-endpoint="$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1):$((20000 + SLURM_JOB_ID % 12000))" '
            "-m unetseg.cli"
        )
    fold = '/fold"$MEMBER" --fold "$MEMBER"' if folds else ""
    return f"{start} {shlex.join(train)} --output {shlex.quote(run)}{fold}"


def _device(options: Sequence[str], gpus: int) -> list[str]:
    given = any(option.partition("=")[0] == "--device" for option in options)
    return ["--device", "cuda"] if gpus and not given else []


def evaluation_commands(
    checkpoint: str, dataset: str, output: str, options: Sequence[str], shards: int, gpus: int = 1
) -> tuple[str, str]:
    """The command line of the shard $MEMBER of an evaluation, and the command line that sums the shards up."""
    evaluate = shlex.join(["evaluate", checkpoint, dataset, *options, *_device(options, gpus)])
    folders = [f"{output}/shards/{number}" for number in range(1, shards + 1)]
    part = f'--shard "$((MEMBER + 1))/{shards}" --output {shlex.quote(output)}/shards/"$((MEMBER + 1))"'
    merge = shlex.join(["evaluate", "--merge", *folders, "--output", output])
    return f"unetseg {evaluate} {part}", f"unetseg {merge}"


def job_script(job: ClusterJob, scheduler: str) -> str:
    """The template of `scheduler` filled in for the job; raises InputError if the job can't be."""
    job.check(scheduler)
    needed = job.resources
    minutes = max(1, round(needed.hours * 60))
    values = {
        "NAME": job.name,
        "QUEUE": needed.queue,
        "NODES": str(needed.nodes),
        "CORES": str(needed.cores),
        "MEMORY_MB": str(needed.memory_gb * 1024),
        "MEMORY_MB_A_CORE": str(-(-needed.memory_gb * 1024 // needed.cores)),
        "LSF_TIME": f"{minutes // 60}:{minutes % 60:02d}",
        "SLURM_TIME": f"{minutes // 1440}-{minutes % 1440 // 60:02d}:{minutes % 60:02d}:00",
        "LSF_ARRAY": f"[1-{job.members}]" if job.members else "",
        "SLURM_ARRAY": f"#SBATCH --array=0-{job.members - 1}" if job.members else "",
        "DIRECTIVES": "" if scheduler == "ssh" else "\n".join(needed.directives.lines(scheduler, needed.gpus)),
        "MOST_STARTS": str(MOST_STARTS),
        "OUTPUT": shlex.quote(job.output),
        "MEMBERS": " ".join(map(str, range(max(1, job.members)))),
        "LOG": _log(job, scheduler),
        "FOLDER": shlex.quote(job.folder),
        "SETUP": job.setup,
        "COMMAND": job.command,
        "AFTER": job.after,
    }
    text = (Path(__file__).parent / f"job.{scheduler}.sh").read_text(encoding="utf-8")
    text = re.sub(rf"@({'|'.join(values)})@", lambda match: values[match[1]], text)
    return re.sub(r"\n{2,}", "\n", text)


def _log(job: ClusterJob, scheduler: str) -> str:
    """The file of a job's output, written as the scheduler's line needs it: no shell reads that line.

    sbatch (src/sbatch/opt.c): quotes group, a backslash keeps the next character, %% is a percent sign in a name, and in a
    name with a backslash no numbers are filled in. bsub documents only quotes. Raises InputError for other names.
    """
    folder = below(job.folder, f"{job.output}/logs")
    if wrong := sorted(set(folder) & set(_NOT_IN_LOGS[scheduler])):
        raise InputError(
            f"The folder {folder} has {' '.join(wrong)} in its name, which {scheduler} can't write a log into; choose another "
            "--output or --folder."
        )
    if scheduler == "lsf":
        path = f"{folder}/%J_%I.log"
    else:
        path = folder.replace("%", "%%") + ("/%A_%a.log" if job.members else "/%j.log")
    if _PLAIN_PATH.fullmatch(path.replace("%", "")):
        return path
    return '"' + path.replace('"', '\\"') + '"'


def below(folder: str, path: str) -> str:
    """A path in a folder, written so that no command takes it for an option."""
    whole = str(PurePosixPath(folder) / path)
    return f"./{whole}" if whole.startswith("-") else whole


def commands(job: ClusterJob, scheduler: str, script: Path, code: Path | None) -> list[list[str]]:
    """The commands to run here, in order: copies of code and data if there is a host, then the submission."""
    target = below(job.folder, job.output)
    submission = _submission(shlex.quote(target), scheduler, bool(job.after))
    if not job.host:
        return [["sh", "-c", submission]]
    copies = {path: below(job.folder, path) for path in job.inputs}
    folders = [target, *(there if Path(path).is_dir() else str(Path(there).parent) for path, there in copies.items())]
    steps = [_on_host(job, f"mkdir -p -- {shlex.join(folders)}")]
    if code is not None:
        excluded = [f"--exclude={name}" for name in NOT_COPIED]
        steps.append(_copy(job, f"{code}/", f"{below(job.folder, '.')}/", *excluded))
    for path, there in copies.items():
        end = "/" if Path(path).is_dir() else ""
        steps.append(_copy(job, f"{path}{end}", f"{there}{end}", "--partial"))
    for name in (script.name, MERGE)[: 2 if _has_merge_script(job, scheduler) else 1]:
        steps.append(_copy(job, str(script.with_name(name)), f"{target}/{name}"))
    steps.append(_on_host(job, submission))
    return steps


def _on_host(job: ClusterJob, line: str) -> list[str]:
    return ["ssh", "--", job.host, line]


def _copy(job: ClusterJob, here: str, there: str, *options: str) -> list[str]:
    """rsync of one file or folder; a name with a colon is a local file, and no name is an option.

    -s passes the path on as it is. It is left out for simple paths, because Apple's rsync does not know it.
    """
    here = here if here.startswith("/") else f"./{here}"
    protected = [] if _PLAIN_PATH.fullmatch(there) else ["-s"]
    return ["rsync", "-az", *protected, *options, "--", here, f"{job.host}:{there}"]


def _has_merge_script(job: ClusterJob, scheduler: str) -> bool:
    return bool(job.after) and scheduler != "ssh"


def _submission(target: str, scheduler: str, merges: bool) -> str:
    """The shell line that submits submit.sh, and merge.sh to run when all of that has succeeded."""
    logs = f"mkdir -p -- {target}/logs"
    if scheduler == "ssh":
        return f"nohup sh {target}/submit.sh > {target}/job.log 2>&1 < /dev/null & echo started"
    if scheduler == "slurm":
        if not merges:
            return f"{logs} && sbatch {target}/submit.sh"
        return (
            f'{logs} && JOB=$(sbatch --parsable {target}/submit.sh) && echo "array ${{JOB%%;*}}" && '
            f"sbatch --dependency=afterok:${{JOB%%;*}} --kill-on-invalid-dep=yes {target}/{MERGE}"
        )
    if not merges:
        return f"{logs} && bsub < {target}/submit.sh"
    number = "sed -n 's/^Job <\\([0-9]*\\)>.*/\\1/p'"
    return (
        f'{logs} && JOB=$(bsub < {target}/submit.sh | {number}) && [ -n "$JOB" ] && echo "array $JOB" && '
        f'bsub -w "done($JOB)" < {target}/{MERGE}'
    )


def submit(job: ClusterJob, scheduler: str, script: Path, code: Path | None, overwrite: bool = False) -> str:
    """Write the scripts, run the commands and return the output of the last one; raises InputError if one of them fails.

    A script that exists and differs is replaced only with `overwrite`: it may have been edited.
    """
    texts = {script: job_script(job, scheduler)}
    if _has_merge_script(job, scheduler):
        texts[script.with_name(MERGE)] = job_script(job.following, scheduler)
    for path, text in texts.items():
        if not overwrite and path.exists() and path.read_bytes() != text.encode():
            raise InputError(
                f"{path} exists and differs; submit it by hand, move it away, or replace it with --overwrite."
            )
    for path, text in texts.items():
        write_text(path, text)
    output = ""
    for step in commands(job, scheduler, script, code):
        logging.getLogger(__name__).info("%s", shlex.join(step))
        try:
            result = subprocess.run(step, capture_output=True, encoding="utf-8", errors="replace", check=False)
        except FileNotFoundError as error:
            raise InputError(
                f"{step[0]} is not installed here; install it, or take {script} to the cluster."
            ) from error
        if result.returncode:
            reason = (result.stderr.strip() or result.stdout.strip() or f"status {result.returncode}").splitlines()[-1]
            raise InputError(f"{shlex.join(step)[:160]} failed: {reason}; the script is {script}.")
        output = result.stdout.strip()
    return output
