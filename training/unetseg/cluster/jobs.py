"""Jobs for a scheduler: what each asks for, which others it needs, and where all of them run."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath

from UNetSegmenterLib.engine.errors import InputError

from .directives import Directives

SCHEDULERS = ("lsf", "slurm", "ssh")
_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
# What ssh and rsync both take for a host: USER@NAME, with a domain before the user (DOMAIN\user) or an address in brackets.
_HOST = re.compile(r"(?:\w[\w.+@\\-]*@)?(?:\w[\w.+-]*|\[[0-9A-Fa-f:.]+(?:%\w+)?\])")


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

    @property
    def threads(self) -> int:
        """Cores for each process; a job has one process per GPU."""
        return max(1, self.cores // max(1, self.gpus))

    def for_one_node(self, queue: str = "", gpus: int = 0) -> Resources:
        """The same for a job that needs no GPU, such as one that sums up; some queues refuse jobs without (`gpus`).

        Features of nodes with GPUs are not asked for where no GPU is.
        """
        directives = self.directives if gpus else replace(self.directives, gpu_type="", constraint="")
        return replace(self, queue=queue or self.queue, nodes=1, gpus=gpus, directives=directives)

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
    """A command, or an array of commands.

    Attributes:
        name: what it does, in one word of letters; its script is NAME.sh.
        command: a line of shell in which $MEMBER is the member of the array, from 0.
        members: size of the array; 0 for a single job.
        needs: names of the jobs that must have succeeded before it starts.
    """

    name: str
    command: str
    members: int = 0
    needs: tuple[str, ...] = ()
    resources: Resources = field(default_factory=Resources)


@dataclass(frozen=True, kw_only=True)
class JobChain:
    """Jobs in an order in which each comes after those that it needs; often one alone.

    Attributes:
        name: what the scheduler calls them.
        output: folder of results, scripts and logs.
        folder: where code and data lie on the machine that runs the jobs.
        inputs: files and folders that the commands read.
        setup: a shell line that makes the command `unetseg` available (a virtual environment, modules).
        preparation: a shell line that is run once on the host, in `folder`, before anything is submitted there.
        host: login node or server; "" for this machine.
    """

    name: str
    output: str
    folder: str
    jobs: tuple[ClusterJob, ...]
    inputs: tuple[str, ...] = ()
    setup: str = ""
    preparation: str = ""
    host: str = ""

    def check(self, scheduler: str) -> None:
        """Raise InputError for what no scheduler would accept, and for what a shell or a scheduler would misread."""
        if scheduler not in SCHEDULERS:
            raise InputError(f'"{scheduler}" is no known scheduler; known are {", ".join(SCHEDULERS)}.')
        _check_texts((self.output, self.folder, *self.inputs, self.setup, *(job.command for job in self.jobs)))
        if self.host and not _HOST.fullmatch(self.host):
            raise InputError(f'The host "{self.host}" can\'t be used; NAME, or USER@NAME, as ssh knows it is expected.')
        if not _WORD.fullmatch(self.name):
            raise InputError(f'The name "{self.name}" can\'t be used; letters, digits, dots, - and _ are expected.')
        for job in self.jobs:
            job.resources.check(scheduler)
        if scheduler == "ssh" and not self.host:
            raise InputError("For ssh, give the server with --host user@server.")

    def name_of(self, job: ClusterJob) -> str:
        """What the scheduler calls a job."""
        return self.name if len(self.jobs) == 1 else f"{self.name}-{job.name}"


def _check_texts(texts: Sequence[str]) -> None:
    for text in texts:
        if any(ord(character) < 32 or ord(character) == 127 for character in text):
            raise InputError(
                f"{text[:60]!r} has a line end or another control character; a job takes options of one line, so rename it."
            )
        if any("\ud800" <= character <= "\udfff" for character in text):
            raise InputError(f"{text[:60]!r} has bytes that are no UTF-8, which no script can hold; rename it.")


def below(folder: str, path: str) -> str:
    """A path in a folder, written so that no command takes it for an option."""
    whole = str(PurePosixPath(folder) / path)
    return f"./{whole}" if whole.startswith("-") else whole
