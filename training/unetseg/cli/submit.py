"""Submit a training run or an evaluation to LSF, SLURM or another machine: write its script, copy its inputs, submit.

Before the wall time is over, the job saves its state and is queued again. --folds makes a job array with one member per
fold. With --dataset a checkpoint is evaluated: an array with one member per shard, and a job that sums up when all have
succeeded. --dry-run prints the scripts and the commands and does nothing.

  unetseg submit preprocessed/abdomen --output runs/first --scheduler lsf --queue gpuv100 --hours 8 --dry-run
  unetseg submit preprocessed/abdomen --output runs/cv --scheduler slurm --folds 5 --train "--steps 4000 --base-width 32"
  unetseg submit preprocessed/abdomen --output runs/first --scheduler ssh --host me@server --folder unetsegmenter
  unetseg submit heart.pt --dataset MMWHS --shards 8 --output evaluated --scheduler slurm --evaluate "--split test"
"""

from __future__ import annotations

import re
import shlex
import sys
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from UNetSegmenterLib.engine.errors import InputError

from ..console import print_line
from .parser import CommandParser, add_overwrite, command_and_parser, non_negative_integer, number, positive_integer

if TYPE_CHECKING:
    from ..cluster.submission import ClusterJob


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
    parser.add_argument("--merge-queue", default="", help="queue of the job that sums up (default: the same)")
    parser.add_argument("--merge-gpu", action="store_true", help="let it ask for GPUs too, where a queue wants that")
    parser.add_argument("--folds", type=non_negative_integer, default=0, help="a job array over this many folds")
    parser.add_argument("--dataset", type=Path, help="evaluate the checkpoint on this data set")
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
    add_overwrite(parser)
    parser.add_argument("--dry-run", action="store_true", help="print, and do nothing")


def run(options: Any) -> None:
    """Submit the job, or print what would be submitted."""

    from ..cluster.submission import commands, job_script, submit

    if not options.hours > 0:
        raise InputError(f"--hours is {options.hours:g}; more than 0 hours of wall time are expected.")
    paths = [path for path in (options.source, options.dataset, options.output) if path is not None]
    if options.host and any(path.is_absolute() for path in paths):
        raise InputError(
            "With --host, give what is read and --output relative to the working folder: they are there on the host too."
        )
    job = _evaluation(options) if options.dataset else _training(options)
    script, code = options.output / "submit.sh", _code() if options.host else None
    if not options.dry_run:
        print_line(submit(job, options.scheduler, script, code, options.overwrite))
        return
    print_line(job_script(job, options.scheduler))
    if job.after and options.scheduler != "ssh":
        print_line(job_script(job.following, options.scheduler))
    for step in commands(job, options.scheduler, script, code):
        print_line(f"would run: {shlex.join(step)}")


def _training(options: Any) -> ClusterJob:
    from ..cluster.submission import training_command
    from ..data.preprocessed_dataset import read_preprocessed_dataset
    from ..data.splits import fold_splits

    preprocessed = read_preprocessed_dataset(options.source)
    for fold in range(options.folds):
        fold_splits(preprocessed.splits, fold)
    source, output = _safe_path(options.source), _safe_path(options.output)
    given = _checked_options("train", options.train, [source, "--output", output])
    command = training_command(source, output, given, options.folds, options.gpus, options.nodes)
    return _job(options, command, (source,), options.folds)


def _evaluation(options: Any) -> ClusterJob:
    from UNetSegmenterLib.engine.model.checkpoint import read_card

    from ..cluster.submission import evaluation_commands
    from ..data.layouts.detection import read_dataset

    if options.folds or options.nodes > 1:
        raise InputError(
            "An evaluation has neither folds nor several nodes per member; --shards distributes it over machines."
        )
    read_card(options.source)
    cases = len(read_dataset(options.dataset).cases)
    if not 1 <= options.shards <= cases:
        raise InputError(f"{options.shards} shards can't be made of {cases} cases; ask for 1 to {cases}.")
    source, dataset, output = map(_safe_path, (options.source, options.dataset, options.output))
    given = _checked_options("evaluate", options.evaluate, [source, dataset, "--output", output])
    command, merge = evaluation_commands(source, dataset, output, given, options.shards, options.gpus)
    return _job(options, command, (source, dataset), options.shards, merge)


def _checked_options(command: str, text: str, needed: list[str]) -> list[str]:
    """Options for the command of the job, checked now rather than when the job starts."""
    try:
        given = shlex.split(text)
    except ValueError as error:
        raise InputError(f"--{command} is {text!r} ({error}); options as in a shell are expected.") from error
    _, parser = command_and_parser(command)
    parser.parse([*needed, *given])
    return given


def _safe_path(path: Path) -> str:
    """The path, written so that no command takes it for an option."""
    return f"./{path.as_posix()}" if path.as_posix().startswith("-") else path.as_posix()


def _job_name(output: Path) -> str:
    """The output folder's name, with the characters that every scheduler accepts."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", output.name).strip("-._") or "unetseg"


def _folder(options: Any) -> str:
    if not options.folder:
        return "unetsegmenter" if options.host else str(Path.cwd())
    return options.folder.removeprefix("~/") if options.host else options.folder  # ssh begins in the home folder


def _setup(host: str) -> str:

    script = Path(sys.prefix) / "bin" / "activate"
    if host:
        return "[ -e .venv/ready ] || make setup; . .venv/bin/activate"
    return f". {shlex.quote(str(script))}" if script.is_file() else ""


def _job(options: Any, command: str, inputs: tuple[str, ...], members: int, after: str = "") -> ClusterJob:
    from ..cluster.directives import Directives
    from ..cluster.submission import ClusterJob, Resources

    asked = {name: getattr(options, name) for name in ("queue", "gpus", "nodes", "cores", "memory_gb", "hours")}
    wanted = {field.name: getattr(options, field.name) for field in fields(Directives)}
    directives = Directives(**wanted | {"directive": tuple(options.directive)})
    resources = Resources(**asked, directives=directives)
    return ClusterJob(
        name=options.name or _job_name(options.output),
        output=_safe_path(options.output),
        folder=_folder(options),
        command=command,
        inputs=inputs,
        members=members,
        after=after,
        after_queue=options.merge_queue,
        after_gpus=options.gpus if options.merge_gpu else 0,
        resources=resources,
        setup=options.setup or _setup(options.host),
        host=options.host,
    )


def _code() -> Path | None:
    """The project's folder, if this is run from a copy of it rather than from an installed wheel."""
    root = Path(__file__).resolve().parents[3]
    return root if (root / "pyproject.toml").is_file() else None
