"""A training job in a scheduler's words: fill in its template, copy code and pack, hand it over."""

from __future__ import annotations

import logging
import re
import shlex
import subprocess
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from UNetSegmenterLib.engine.errors import InputError
from UNetSegmenterLib.engine.volume import write_whole

SCHEDULERS = ("lsf", "slurm", "ssh")
NOT_COPIED = (".git", ".venv", "__pycache__", "*.egg-info", "build", "demo-output", "packs", "runs")
_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


@dataclass(frozen=True)
class Job:
    """A training run, or one a fold, as a scheduler is told of it.

    folds: 0 for one run, else the number of folds of the pack, each a member of a job array. folder: where code, pack and
    runs lie on the machine that trains. host: login node or server, "" for this machine. setup: shell lines that make the
    command `unetseg` known (a virtual environment, modules). memory_gb and cores are those of a node.
    """

    name: str
    pack: str
    run: str
    folder: str
    train_options: tuple[str, ...] = ()
    folds: int = 0
    queue: str = "gpu"
    gpus: int = 1
    nodes: int = 1
    cores: int = 4
    memory_gb: int = 16
    hours: float = 24.0
    setup: str = ". .venv/bin/activate"
    host: str = ""

    def check(self, scheduler: str) -> None:
        """Raise InputError for what no scheduler would take."""
        if scheduler not in SCHEDULERS:
            raise InputError(f'"{scheduler}" is no scheduler that is known; {", ".join(SCHEDULERS)} are.')
        for what, word in (("name", self.name), ("queue", self.queue)):
            if not _WORD.fullmatch(word):
                raise InputError(f'The {what} "{word}" can\'t be used; letters, digits, dots, - and _ are expected.')
        if min(self.nodes, self.cores, self.memory_gb) < 1 or self.gpus < 0 or not 0 < self.hours <= 24 * 366:
            raise InputError(
                f"{self.gpus} GPUs, {self.nodes} nodes, {self.cores} cores, {self.memory_gb} GB and {self.hours:g} hours are "
                "no job; positive numbers are expected (GPUs may be 0)."
            )
        if self.nodes > 1 and scheduler != "slurm":
            raise InputError(f"{self.nodes} nodes can be had from SLURM here; take one node with {scheduler}.")
        if scheduler == "ssh" and not self.host:
            raise InputError("For ssh, give the server with --host user@server.")

    def command(self) -> str:
        """The command line of the training, in which $FOLD is the fold."""
        train = ["train", self.pack, *self.train_options]
        if self.gpus > 1 or self.nodes > 1:
            train += ["--devices", str(max(1, self.gpus))]
        if self.nodes > 1:
            train += ["--nodes", str(self.nodes)]
            start = (
                f"srun torchrun --nnodes={self.nodes} --nproc-per-node={max(1, self.gpus)} --rdzv-backend=c10d "
                '--rdzv-endpoint="$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1):29500" -m unetseg.cli'
            )
        else:
            start = "unetseg"
        where = (
            f'--output {shlex.quote(self.run)}/fold"$FOLD" --fold "$FOLD"'
            if self.folds
            else f"--output {shlex.quote(self.run)}"
        )
        return f"{start} {shlex.join(train)} {where}"


def job_script(job: Job, scheduler: str) -> str:
    """The template of `scheduler` filled in for the job; raises InputError if the job can't be."""
    job.check(scheduler)
    minutes = max(1, round(job.hours * 60))
    logs = f"{job.run}/logs"
    values = {
        "NAME": job.name,
        "QUEUE": job.queue,
        "NODES": str(job.nodes),
        "CORES": str(job.cores),
        "GPUS": str(job.gpus),
        "MEMORY_MB": str(job.memory_gb * 1024),
        "MEMORY_MB_A_CORE": str(-(-job.memory_gb * 1024 // job.cores)),
        "LSF_TIME": f"{minutes // 60}:{minutes % 60:02d}",
        "SLURM_TIME": f"{minutes // 1440}-{minutes % 1440 // 60:02d}:{minutes % 60:02d}:00",
        "LSF_ARRAY": f"[1-{job.folds}]" if job.folds else "",
        "SLURM_ARRAY": f"#SBATCH --array=0-{job.folds - 1}" if job.folds else "",
        "SLURM_LOG": "%A_%a" if job.folds else "%j",
        "SLURM_GPUS": f"#SBATCH --gres=gpu:{job.gpus}" if job.gpus else "",
        "FOLDS": " ".join(map(str, range(max(1, job.folds)))),
        "LOGS": str(PurePosixPath(job.folder) / logs),
        "FOLDER": shlex.quote(job.folder),
        "SETUP": job.setup,
        "COMMAND": job.command(),
    }
    text = (Path(__file__).parent / f"train.{scheduler}.sh").read_text(encoding="utf-8")
    if not job.gpus:
        text = "".join(line for line in text.splitlines(keepends=True) if not line.startswith("#BSUB -gpu"))
    for key, value in values.items():
        text = text.replace(f"@{key}@", value)
    return re.sub(r"\n{2,}", "\n", text)


def commands(job: Job, scheduler: str, script: Path, code: Path | None, pack: Path) -> list[list[str]]:
    """What is run here, in order: copies of code and pack if there is a host, then the hand-over of the script."""
    target = str(PurePosixPath(job.folder) / job.run)
    hand_over = {
        "lsf": f"mkdir -p {shlex.quote(target)}/logs && bsub < {shlex.quote(target)}/submit.sh",
        "slurm": f"mkdir -p {shlex.quote(target)}/logs && sbatch {shlex.quote(target)}/submit.sh",
        "ssh": f"cd {shlex.quote(target)} && nohup sh submit.sh > train.log 2>&1 < /dev/null & echo started",
    }[scheduler]
    if not job.host:
        return [["sh", "-c", hand_over]]
    steps = [
        ["ssh", job.host, f"mkdir -p {shlex.quote(target)} {shlex.quote(str(PurePosixPath(job.folder) / job.pack))}"]
    ]
    if code is not None:
        excluded = [f"--exclude={name}" for name in NOT_COPIED]
        steps.append(["rsync", "-az", *excluded, f"{code}/", f"{job.host}:{job.folder}/"])
    steps.append(["rsync", "-az", "--partial", f"{pack}/", f"{job.host}:{PurePosixPath(job.folder) / job.pack}/"])
    steps.append(["rsync", "-az", str(script), f"{job.host}:{target}/submit.sh"])
    steps.append(["ssh", job.host, hand_over])
    return steps


def submit(job: Job, scheduler: str, script: Path, code: Path | None, pack: Path) -> str:
    """Write the script, run the commands and return what the last one said; raises InputError if one of them fails."""
    text = job_script(job, scheduler)
    write_whole(script, lambda partial: partial.write_text(text, encoding="utf-8"))
    said = ""
    for step in commands(job, scheduler, script, code, pack):
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
        said = result.stdout.strip()
    return said
