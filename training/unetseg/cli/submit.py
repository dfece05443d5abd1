"""Submit a training, an evaluation or a whole cross-validation with its release to LSF, SLURM or another machine.

--folds makes a job array with one member per fold. With --chain the folds are summed up, their post-processing is decided and
a checkpoint is released, in jobs that start by themselves when those that they need have succeeded. With --dataset alone a
checkpoint is evaluated: an array with one member per shard, and a job that sums up. Before the wall time is over, a job saves
its state and is queued again. --dry-run prints the scripts and the commands and does nothing.

  unetseg submit preprocessed/abdomen --output runs/first --scheduler lsf --queue gpua100 --hours 8 --dry-run
  unetseg submit preprocessed/abdomen --output runs/cv --scheduler slurm --folds 5 --train "--steps 4000 --base-width 32"
  unetseg submit preprocessed/abdomen --output runs/abdomen --scheduler slurm --queue a100 --chain all \\
      --dataset Dataset001_Abdomen --release "--title Abdomen --licence CC-BY-4.0"
  unetseg submit preprocessed/abdomen --output runs/first --scheduler ssh --host me@server --folder unetsegmenter
  unetseg submit heart.pt --dataset MMWHS --shards 8 --output evaluated --scheduler slurm --evaluate "--split test"
"""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

from UNetSegmenterLib.engine.errors import InputError

from ..console import print_line, table
from ..output_folder import refuse_output_in_input
from . import submit_jobs
from .argument_types import non_negative_integer, number, positive_integer
from .parser import CommandParser, add_overwrite

if TYPE_CHECKING:
    from ..cluster.jobs import ClusterJob, JobChain


def add_options(parser: CommandParser) -> None:
    """Add the options of this command."""
    parser.add_argument(
        "source",
        type=Path,
        help="preprocessed data set to train on, or with --dataset a checkpoint; relative to the working folder",
    )
    parser.add_argument("--output", type=Path, required=True, metavar="DIR", help="folder of the results, relative too")
    parser.add_argument("--scheduler", required=True, help="lsf, slurm or ssh")
    parser.add_argument("--queue", default="gpu", help="queue (LSF) or partition (SLURM)")
    parser.add_argument("--gpus", type=non_negative_integer, default=1, help="GPUs per node; 0 runs on the CPU")
    parser.add_argument("--nodes", type=positive_integer, default=1, help="machines (training with SLURM)")
    parser.add_argument("--cores", type=positive_integer, default=4, help="CPU cores per node")
    parser.add_argument("--memory-gb", type=positive_integer, default=16, help="memory per node")
    parser.add_argument("--hours", type=number, default=24.0, help="wall time")
    parser.add_argument("--account", default="", help="who pays (SLURM --account, LSF -P)")
    parser.add_argument("--qos", default="", help="quality of service (SLURM --qos, LSF -sla)")
    parser.add_argument("--constraint", default="", help="features of the nodes (SLURM --constraint, LSF select[...])")
    parser.add_argument("--gpu-type", default="", help="model of the GPUs, as the site names it")
    parser.add_argument("--mail", default="", metavar="ADDRESS", help="write there when the job ends or fails")
    parser.add_argument(
        "--directive", action="append", default=[], metavar="OPTION", help="an option of the scheduler, taken as it is"
    )
    parser.add_argument(
        "--merge-queue", default="", help="queue of the jobs that sum up and release (default: the same)"
    )
    parser.add_argument("--merge-gpu", action="store_true", help="let them ask for GPUs too, where a queue wants that")
    parser.add_argument("--folds", type=non_negative_integer, default=0, help="a job array over this many folds")
    parser.add_argument(
        "--chain",
        choices=(submit_jobs.ALL, submit_jobs.FOLDS),
        help="cross-validate, decide the post-processing and release: a network trained on all patients, or the folds' networks "
        "as one ensemble; needs --dataset",
    )
    parser.add_argument(
        "--dataset", type=Path, help="data set to evaluate the checkpoint on; with --chain the one that was prepared"
    )
    parser.add_argument("--shards", type=positive_integer, default=4, help="members of the array of an evaluation")
    parser.add_argument("--name", default="", help="name of the job (default: the output folder)")
    parser.add_argument("--host", default="", metavar="USER@HOST", help="submit there, after copying code and data")
    parser.add_argument(
        "--folder",
        default="",
        help="folder of code and data (default: on a host unetsegmenter in your home, else this one)",
    )
    parser.add_argument(
        "--setup",
        default="",
        metavar="LINE",
        help="shell line that makes the command unetseg available (default: activates .venv on a host, else the environment of "
        "this command)",
    )
    parser.add_argument(
        "--train", default="", metavar="OPTIONS", help='options of unetseg train, such as "--steps 4000"'
    )
    parser.add_argument(
        "--evaluate", default="", metavar="OPTIONS", help='options of unetseg evaluate, such as "--split test"'
    )
    parser.add_argument(
        "--release",
        default="",
        metavar="OPTIONS",
        help='options of unetseg release, such as "--title Abdomen --licence CC-BY-4.0"',
    )
    add_overwrite(parser)
    parser.add_argument("--dry-run", action="store_true", help="print, and do nothing")


def run(options: Any) -> None:
    """Show the jobs and submit them, or print what would be submitted."""
    from ..cluster.scripts import scripts
    from ..cluster.submission import commands, submit

    refuse_output_in_input(options.output, [options.source, options.dataset])
    if not options.hours > 0:
        raise InputError(f"--hours is {options.hours:g}; more than 0 hours of wall time are expected.")
    paths = [path for path in (options.source, options.dataset, options.output) if path is not None]
    if options.host and any(path.is_absolute() for path in paths):
        raise InputError(
            "With --host, give what is read and --output relative to the working folder: they are there on the host too."
        )
    chain = _jobs(options)
    code = submit_jobs.code() if options.host else None
    texts = scripts(chain, options.scheduler)
    if len(chain.jobs) > 1:
        _print_chain(chain, options.scheduler)
    if options.dry_run:
        for name, text in texts.items():
            print_line(f"--- {chain.output}/{name}")
            print_line(text)
        for step in commands(chain, options.scheduler, code):
            print_line(f"would run: {shlex.join(step)}")
        return
    print_line(submit(chain, options.scheduler, code, options.overwrite, print_line if options.host else _silent))


def _silent(line: str) -> None:
    pass


def _jobs(options: Any) -> JobChain:
    if options.chain:
        return submit_jobs.release(options)
    if options.release:
        raise InputError("--release gives options to the job that ends a chain; ask for one with --chain all.")
    return submit_jobs.evaluation(options) if options.dataset else submit_jobs.training(options)


def _print_chain(chain: JobChain, scheduler: str) -> None:
    """Print one row per job: what it runs, when it starts and what it asks for."""
    rows = [
        (
            job.name,
            _command_text(job),
            " and ".join(job.needs) if job.needs else "at once",
            *(() if scheduler == "ssh" else _asked(job)),
        )
        for job in chain.jobs
    ]
    columns = () if scheduler == "ssh" else ("queue", "GPUs", "hours")
    how = "one after another" if scheduler == "ssh" else "each when those that it needs have succeeded"
    table(("job", "runs", "after", *columns), rows, f"{len(chain.jobs)} jobs, {how}")


def _command_text(job: ClusterJob) -> str:
    """The command of unetseg that a job runs, and how often."""
    words = job.command.split()
    command = next(word for word in words[words.index("-m") + 2 if "-m" in words else 1 :] if word)
    return f"{command} x {job.members}" if job.members else command


def _asked(job: ClusterJob) -> tuple[str, str, str]:
    needed = job.resources
    gpus = f"{needed.nodes} x {needed.gpus}" if needed.nodes > 1 else str(needed.gpus)
    return needed.queue, gpus, f"{needed.hours:g}"
