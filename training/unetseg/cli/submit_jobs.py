"""From the options of `unetseg submit` to jobs: a training, the folds of one, an evaluation, or the chain to a release."""

from __future__ import annotations

import re
import shlex
import sys
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from UNetSegmenterLib.engine.counting import counted
from UNetSegmenterLib.engine.errors import InputError

from ..console import warn
from .argument_types import home_expanded
from .parser import command_and_parser

if TYPE_CHECKING:
    from argparse import Namespace

    from ..cluster.jobs import ClusterJob, JobChain, Resources
    from ..data.preprocessed_dataset import PreprocessedDataset

ALL, FOLDS = "all", "folds"
"""What the chain releases: a network trained on all patients, or those of the folds."""


def training(options: Any) -> JobChain:
    """One training, or an array of the folds of a cross-validation."""
    from ..cluster.job_commands import training_command
    from ..cluster.jobs import ClusterJob
    from ..data.preprocessed_dataset import read_preprocessed_dataset
    from ..data.splits import fold_splits

    preprocessed = read_preprocessed_dataset(options.source)
    for fold in range(options.folds):
        fold_splits(preprocessed.splits, fold)
    source, output = _safe_path(options.source), _safe_path(options.output)
    given, parsed = _checked_options("train", options.train, [source, "--output", output])
    command = training_command(source, output, given, options.folds, options.gpus, options.nodes)
    job = ClusterJob(name="submit", command=command, members=options.folds, resources=_resources(options))
    return _chain(options, (job,), (source, *_files(options, parsed)))


def evaluation(options: Any) -> JobChain:
    """An array of the shards of an evaluation, and the job that sums up."""
    from UNetSegmenterLib.engine.model.checkpoint import read_card

    from ..cluster.job_commands import evaluation_commands
    from ..cluster.jobs import ClusterJob
    from ..data.layouts.detection import read_dataset

    if options.folds or options.nodes > 1:
        raise InputError(
            "An evaluation has neither folds nor several nodes per member; --shards distributes it over machines."
        )
    read_card(options.source)
    cases = len(read_dataset(options.dataset).cases)
    if not 1 <= options.shards <= cases:
        raise InputError(
            f"{counted(options.shards, 'shard')} can't be made of {counted(cases, 'case')}; ask for 1 to {cases}."
        )
    source, dataset, output = map(_safe_path, (options.source, options.dataset, options.output))
    given, _ = _checked_options("evaluate", options.evaluate, [source, dataset, "--output", output])
    command, merge = evaluation_commands(source, dataset, output, given, options.shards, options.gpus)
    jobs = (
        ClusterJob(name="shards", command=command, members=options.shards, resources=_resources(options)),
        ClusterJob(name="merge", command=merge, needs=("shards",), resources=_resources_to_sum_up(options)),
    )
    return _chain(options, jobs, (source, dataset))


def release(options: Any) -> JobChain:
    """The folds, beside them a training on all patients if that is what is released, the summary, and the release."""
    from ..cluster.job_commands import cross_validation_command, release_command, training_command
    from ..cluster.jobs import ClusterJob
    from ..data.preprocessed_dataset import read_preprocessed_dataset

    if options.dataset is None:
        raise InputError(
            "--chain ends with a release, which measures the labels of the data set: name that with --dataset."
        )
    preprocessed = read_preprocessed_dataset(options.source)
    folds = _folds(preprocessed, options)
    _check_dataset(preprocessed, options.dataset)
    source, dataset, runs = map(_safe_path, (options.source, options.dataset, options.output))
    given, parsed = _checked_options("cross-validate", options.train, [source, "--output", runs])
    last = f"{runs}/{ALL}"
    released = (
        [f"{last}/checkpoint.pt"] if options.chain == ALL else [f"{runs}/fold{i}/checkpoint.pt" for i in range(folds)]
    )
    file, texts = _released_file(options, released, dataset, preprocessed)
    full, summing_up = _resources(options), _resources_to_sum_up(options)
    train = training_command(source, runs, given, folds, options.gpus, options.nodes)
    jobs = [ClusterJob(name="folds", command=train, members=folds, resources=full)]
    if options.chain == ALL:
        everyone = [*given, "--train-split", _trained_on(preprocessed), "--validation-split", ""]
        train = training_command(source, last, everyone, 0, options.gpus, options.nodes)
        jobs.append(ClusterJob(name=ALL, command=train, resources=full))
    sum_up = cross_validation_command(source, runs, given, summing_up.gpus)
    finish = release_command(released, dataset, runs, file, texts)
    needs = ("merge", ALL) if options.chain == ALL else ("merge",)
    jobs.append(ClusterJob(name="merge", command=sum_up, needs=("folds",), resources=summing_up))
    jobs.append(ClusterJob(name="release", command=finish, needs=needs, resources=summing_up))
    return _chain(options, tuple(jobs), (source, dataset, *_files(options, parsed)))


def _folds(preprocessed: PreprocessedDataset, options: Any) -> int:
    from ..data.splits import count_folds

    folds = count_folds(preprocessed.splits, options.source)
    if options.folds not in (0, folds):
        raise InputError(
            f"--chain trains all {folds} folds of {options.source}, not {options.folds}; leave --folds out."
        )
    return folds


def _trained_on(preprocessed: PreprocessedDataset) -> str:
    """All patients but those of the test split: these stay what nothing has seen."""
    return "train+validation" if preprocessed.splits.get("validation") else "train"


def _check_dataset(preprocessed: PreprocessedDataset, folder: Path) -> None:
    """Raise InputError now, and not at the chain's end, if this is not the data set that was preprocessed."""
    from ..data.dataset import first_few
    from ..data.layouts.detection import read_dataset

    dataset = read_dataset(folder)
    there = {case.name for case in dataset.cases}
    if missing := [case.name for case in preprocessed.of_split(_trained_on(preprocessed)) if case.name not in there]:
        raise InputError(
            f"{folder} has no labelled {first_few(missing)}, which the networks will be trained on; name with --dataset the data "
            "set that was prepared."
        )


def _released_file(
    options: Any, checkpoints: list[str], dataset: str, preprocessed: PreprocessedDataset
) -> tuple[str, list[str]]:
    """The file of the release, and the options of its command; raises InputError if that would refuse it at the end."""
    runs = _safe_path(options.output)
    default = f"{runs}/released.pt"
    needed = [*checkpoints, dataset, "--cross-validated", runs, "--output", default]
    given, parsed = _checked_options("release", options.release, needed)
    if options.host and parsed.output.is_absolute():
        raise InputError("With --host, give the --output of --release relative to the working folder too.")
    if not options.host and parsed.output.exists() and not parsed.overwrite:
        raise InputError(
            f"{parsed.output} exists already; move it away, or replace it with --overwrite among the options of --release."
        )
    texts = {"licence": parsed.licence or preprocessed.licence, "citation": parsed.citation or preprocessed.citation}
    if empty := [name for name, text in texts.items() if not text]:
        warn(
            f"the released checkpoint will have no {' and no '.join(empty)}; give it with --release '--{empty[0]} ...'"
        )
    return default, given


def _checked_options(command: str, text: str, needed: list[str]) -> tuple[list[str], Namespace]:
    """Options for the command of a job, checked now rather than when the job starts; as they are given, and parsed."""
    option = {"cross-validate": "train"}.get(command, command)
    try:
        given = shlex.split(text)
    except ValueError as error:
        raise InputError(f"--{option} is {text!r} ({error}); options as in a shell are expected.") from error
    _, parser = command_and_parser(command)
    return given, parser.parse([*needed, *given])


def _files(options: Any, parsed: Namespace) -> tuple[str, ...]:
    """Files that the options of a training name and that are copied to the host; absolute paths are the host's own."""
    named = [path for name in ("config", "plan", "start_from") if (path := getattr(parsed, name, None)) is not None]
    here = [path for path in named if not (options.host and path.is_absolute())]
    if missing := [path for path in here if not path.is_file()]:
        raise InputError(f"{missing[0]}, which --train names, is not there; check the path.")
    return tuple(map(_safe_path, here))


def _safe_path(path: Path) -> str:
    """The path, written so that no command takes it for an option."""
    return f"./{path.as_posix()}" if path.as_posix().startswith("-") else path.as_posix()


def _resources(options: Any) -> Resources:
    from ..cluster.directives import Directives
    from ..cluster.jobs import Resources

    asked = {name: getattr(options, name) for name in ("queue", "gpus", "nodes", "cores", "memory_gb", "hours")}
    wanted = {field.name: getattr(options, field.name) for field in fields(Directives)}
    return Resources(**asked, directives=Directives(**wanted | {"directive": tuple(options.directive)}))


def _resources_to_sum_up(options: Any) -> Resources:
    return _resources(options).for_one_node(options.merge_queue, options.gpus if options.merge_gpu else 0)


def _chain(options: Any, jobs: tuple[ClusterJob, ...], inputs: tuple[str, ...]) -> JobChain:
    from ..cluster.jobs import JobChain

    folder = options.folder or ("unetsegmenter" if options.host else str(Path.cwd()))
    folder = folder if options.host else str(home_expanded(folder))
    setup, preparation = (options.setup, "") if options.setup else _environment(options.host)
    return JobChain(
        name=options.name or _job_name(options.output),
        output=_safe_path(options.output),
        folder=folder.removeprefix("~/") if options.host else folder,  # ssh begins in the home folder
        jobs=jobs,
        inputs=inputs,
        setup=setup,
        preparation=preparation,
        host=options.host,
    )


def _environment(host: str) -> tuple[str, str]:
    """The line that activates the environment of a job, and the one that makes it on the host beforehand."""
    if not host:
        script = Path(sys.prefix) / "bin" / "activate"
        return (f". {shlex.quote(str(script))}" if script.is_file() else ""), ""
    if code() is None:
        raise InputError(
            "This unetseg was installed without its project folder, so there is nothing to copy to the host: install it there "
            "too, and give the line that makes it available with --setup."
        )
    return ". .venv/bin/activate", "[ -e .venv/ready ] || make setup"


def _job_name(output: Path) -> str:
    """The output folder's name, with the characters that every scheduler accepts."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", output.name).strip("-._") or "unetseg"


def code() -> Path | None:
    """The project's folder, if this is run from a copy of it rather than from an installed wheel."""
    root = Path(__file__).resolve().parents[3]
    return root if (root / "pyproject.toml").is_file() else None
