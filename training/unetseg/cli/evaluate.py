"""Predict every case of a data set and compare with its labels, in each scan's own grid.

  unetseg evaluate runs/first/checkpoint.pt Dataset001_Abdomen --split test --output evaluated
  unetseg evaluate heart.pt MMWHS --cases ct_train_1001,ct_train_1002 --output evaluated --predictions --pictures
  unetseg evaluate fold0.pt fold1.pt fold2.pt MMWHS --output evaluated  (an ensemble, logits averaged)
  unetseg evaluate new.pt MMWHS --baseline old.pt --output evaluated  (is it better? paired by case)
  unetseg evaluate heart.pt MMWHS --shard 2/8 --output shards/2       (one of eight machines; then, anywhere)
  unetseg evaluate --merge shards/1 shards/2 ... shards/8 --output evaluated

DIR gets metrics.csv (one row per case and structure), summary.json and report.html with one page per case. Each finished
case is kept, and the same command continues where it was stopped. Cases on which the checkpoint was trained are named:
results on them say nothing about new patients.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from UNetSegmenterLib.engine.counting import counted
from UNetSegmenterLib.engine.errors import InputError

from ..console import print_line, warn
from ..exit_status import DoneInPartError
from ..output_folder import RESULTS, OutputFolder, Outputs, claimed, refuse_output_in_input
from ..stop_signals import goes_on_with
from .argument_types import non_negative_integer
from .dataset_options import add_dataset_options, open_dataset
from .parser import CommandParser, add_overwrite
from .shared_options import (
    add_device,
    add_distinct_colors,
    add_mirror,
    add_no_postprocessing,
    add_precision,
)

if TYPE_CHECKING:
    from UNetSegmenterLib.engine.model.card import Card
    from UNetSegmenterLib.engine.model.checkpoint import Checkpoint
    from UNetSegmenterLib.engine.model.prediction import Predictor

    from ..data.dataset import Case, Dataset
    from ..evaluation.case_evaluation import CaseFailure, CaseResult
    from ..evaluation.evaluation_folder import BaselineEvaluation, EvaluationManifest

_GOES_ON = "finished cases are kept, and the same command continues from there"


def add_options(parser: CommandParser) -> None:
    """Add the options of this command."""
    parser.add_argument(
        "checkpoint", type=Path, nargs="*", help="trained checkpoint (.pt), or several that are an ensemble"
    )
    parser.add_argument("dataset", type=Path, nargs="?", help="folder of the data set, as for unetseg prepare")
    parser.add_argument("--output", type=Path, required=True, metavar="DIR", help="folder for the results")
    parser.add_argument(
        "--split", metavar="NAME", help="only train, validation or test, as the checkpoint's card has it"
    )
    parser.add_argument("--cases", metavar="A,B", help="only these cases")
    parser.add_argument(
        "--preprocessed", type=Path, metavar="DIR", help="take the split from this preprocessed data set"
    )
    add_device(parser)
    add_mirror(parser)
    add_no_postprocessing(parser)
    add_precision(parser)
    parser.add_argument("--predictions", action="store_true", help="also write each prediction as .seg.nrrd")
    parser.add_argument(
        "--pictures",
        action="store_true",
        help="also draw each case into its page, with a viewer (some seconds and MB each)",
    )
    add_distinct_colors(parser)
    parser.add_argument(
        "--workers",
        type=non_negative_integer,
        default=0,
        help="processes over cases (default: 1 on a GPU, half the cores on a CPU)",
    )
    parser.add_argument(
        "--baseline",
        type=Path,
        metavar="CHECKPOINT",
        help="also evaluate this checkpoint, and compare the two case by case",
    )
    add_overwrite(parser)
    parser.add_argument("--shard", metavar="I/N", help="only every N-th case, from the I-th on: one of N machines")
    parser.add_argument("--merge", type=Path, nargs="+", metavar="DIR", help="sum up the shards in these folders")
    add_dataset_options(parser)


def run(options: Any) -> None:
    """Evaluate, or merge shards."""
    from ..training.run_lock import Stopped, stopped_at_once

    *options.checkpoint, options.dataset = options.checkpoint or [None]  # argparse leaves nothing for the dataset
    refuse_output_in_input(options.output, [options.dataset, options.preprocessed, *(options.merge or ())])
    if options.merge:
        if options.checkpoint or options.dataset:
            raise InputError("--merge sums up what was evaluated; leave CHECKPOINT and DATASET out.")
        _merge(options.merge, options.output, options.overwrite)
        return
    if not (options.checkpoint and options.dataset):
        raise InputError("CHECKPOINT and DATASET are needed, in this order; or the folders of shards with --merge.")
    try:
        with goes_on_with(_GOES_ON), stopped_at_once():
            _evaluate(options)
    except Stopped as stop:
        warn(f"stopped by {stop.name}; {_GOES_ON}")
        raise


def _evaluate(options: Any) -> None:
    from UNetSegmenterLib.engine.model.device import keep_freed_memory

    from ..evaluation.evaluation_folder import BASELINE_FOLDER, BaselineEvaluation, sum_up
    from ..evaluation.evaluation_run import end_if_failed
    from ..evaluation.scan_prediction import open_predictor

    keep_freed_memory()
    if options.baseline:
        import scipy.stats  # noqa: F401  (an error before the work if it is missing)
    predictor = open_predictor(
        options.checkpoint, options.device, options.mirror, options.precision, not options.no_postprocessing
    )
    baseline = (
        open_predictor(
            options.baseline,
            options.device,
            precision=options.precision,
            postprocessing=not options.no_postprocessing,
        )
        if options.baseline
        else None
    )
    dataset = open_dataset(options)
    cases = chosen_cases(dataset, predictor.checkpoint.card, options.split, options.cases, options.preprocessed)
    _check_common(predictor.checkpoint.card, dataset)
    read = [*options.checkpoint, options.baseline, *(file for case in cases for file in (case.image, case.label))]
    with claimed(_outputs(options.output, read), "evaluate", options.overwrite) as output:
        folder = output.path
        manifest, results, failed = _one_checkpoint(predictor, dataset, cases, folder, options, output)
        reasons = {name: one.reason for name, one in failed.items()}
        compared = None
        if baseline is not None:
            own = _one_checkpoint(baseline, dataset, cases, folder / BASELINE_FOLDER, options, output)
            compared = BaselineEvaluation(own[0], own[1])
            sum_up(folder / BASELINE_FOLDER, *own[:2], {name: one.reason for name, one in own[2].items()})
            failed = failed | own[2]
        summary = sum_up(folder, manifest, results, reasons, compared)
    _print(manifest, results, summary, compared)
    print_line(f"{folder}: metrics.csv, summary.json, report.html" + (", predictions/" if options.predictions else ""))
    end_if_failed(
        failed, len(manifest.own_cases), f"{folder} holds the others; the same command tries the missing ones again."
    )


def _check_common(card: Card, dataset: Dataset) -> None:
    """Raise InputError if the model and the data set have no structure in common, so that no measure could be taken."""
    from UNetSegmenterLib.engine.labels.matching import match_structures

    if not match_structures(card.structures, dataset.structures).pairs:
        ours, theirs = (", ".join(one.name for one in owner.structures) for owner in (card, dataset))
        raise InputError(
            f"{card.title} segments {ours}; {dataset.name} has {theirs}: no structure in common, so nothing to compare."
        )


def _outputs(folder: Path, inputs: Sequence[Path | None]) -> Outputs:
    from ..evaluation.case_evaluation import CASES
    from ..evaluation.evaluation_folder import BASELINE_FOLDER, MANIFEST

    own = (*RESULTS, MANIFEST, f"{CASES}/*.json", f"{CASES}/*.html")
    return Outputs(folder, (*own, *(f"{BASELINE_FOLDER}/{name}" for name in own)), tuple(inputs), marker=MANIFEST)


def _one_checkpoint(
    predictor: Predictor, dataset: Dataset, cases: tuple[Case, ...], folder: Path, options: Any, output: OutputFolder
) -> tuple[EvaluationManifest, dict[str, CaseResult], dict[str, CaseFailure]]:
    """Evaluate one checkpoint into `folder`; raises InputError if no case could be used."""
    from ..data.seen_cases import seen_cases
    from ..evaluation.case_evaluation import EvaluationSettings
    from ..evaluation.evaluation_folder import EvaluationManifest, parse_shard
    from ..evaluation.evaluation_run import end_if_failed, evaluate_cases
    from ..evaluation.scan_prediction import networks_text

    checkpoint, card = predictor.checkpoint, predictor.checkpoint.card
    shard, shards = parse_shard(options.shard) if options.shard else (1, 1)
    manifest = EvaluationManifest(
        title=f"{card.title} on {dataset.name}",
        checkpoint=f"{card.title} ({_files(checkpoint)})",
        checkpoint_sha256=checkpoint.sha256,
        data_set=dataset.name,
        cases=tuple(case.name for case in cases),
        seen_cases=seen_cases(card),
        shard=shard,
        shards=shards,
    )
    cases = tuple(case for case in cases if case.name in manifest.own_cases)
    print_line(
        f"{card.title} on {predictor.device_name}{networks_text(predictor)}: {counted(len(cases), 'case')} of {dataset.name}"
    )
    settings = EvaluationSettings(
        checkpoints=checkpoint.paths,
        checkpoint_sha256=checkpoint.sha256,
        folder=folder,
        structures=dataset.structures,
        device=options.device,
        dtype=predictor.dtype,
        precision=options.precision,
        mirroring=bool(predictor.mirror_axes),
        postprocessing=predictor.postprocessing or not card.postprocessing,
        predictions=options.predictions,
        pictures=options.pictures,
        distinct_colors=options.distinct_colors,
        data_set=dataset.name,
    )
    results, failed = evaluate_cases(settings, manifest, cases, predictor, options.workers, output)
    for note in manifest.seen(results.values()).notes:
        warn(f"{_files(checkpoint)}: {note}")
    if not results:
        end_if_failed(failed, len(cases), "")
    return manifest, results, failed


def _files(checkpoint: Checkpoint) -> str:
    """The names of a checkpoint's files, with that of the folder where one is called as in every run."""
    return " + ".join(
        f"{path.resolve().parent.name}/{path.name}" if path.name == "checkpoint.pt" else path.name
        for path in checkpoint.paths
    )


def _print(
    manifest: EvaluationManifest,
    results: dict[str, CaseResult],
    summary: dict[str, Any],
    baseline: BaselineEvaluation | None,
) -> None:
    from ..evaluation.evaluation_folder import paired_rows
    from ..evaluation.result_table import print_pairs, print_results

    comparisons = [results[name].comparison for name in manifest.own_cases if name in results]
    print_results(comparisons, summary, manifest.data_set)
    if baseline is not None and comparisons:
        rows, _ = paired_rows(manifest, results, baseline)
        print_pairs(rows, f"Dice: {manifest.checkpoint} minus {baseline.manifest.checkpoint}, paired by case")


def _merge(folders: list[Path], output: Path, overwrite: bool) -> None:
    from ..evaluation.case_evaluation import CASES
    from ..evaluation.evaluation_folder import BASELINE_FOLDER, BaselineEvaluation, merge, sum_up

    manifest, results, missing = merge(folders)
    for note in manifest.seen(results.values()).notes:
        warn(note)
    baseline = None
    read = [file for part in folders for file in (part, part / CASES)]
    with claimed(_outputs(output, read), "evaluate", overwrite) as claim:
        folder = claim.path
        if any((part / BASELINE_FOLDER).is_dir() for part in folders):
            own = merge([part / BASELINE_FOLDER for part in folders])
            baseline = BaselineEvaluation(own[0], own[1])
            sum_up(folder / BASELINE_FOLDER, *own)
            missing = own[2] | missing
        summary = sum_up(folder, manifest, results, missing, baseline)
    _print(manifest, results, summary, baseline)
    print_line(f"{output}: metrics.csv, summary.json, report.html")
    if missing:
        reasons = "; ".join(f"{name}: {reason}" for name, reason in list(missing.items())[:3])
        more = f"; and {len(missing) - 3} more" if len(missing) > 3 else ""
        raise DoneInPartError(
            f"{len(missing)} of {len(manifest.cases)} cases are missing in {output}: {reasons}{more}."
        )


def chosen_cases(
    dataset: Dataset, card: Card, split: str | None, names: str | None, preprocessed_folder: Path | None
) -> tuple[Case, ...]:
    """The cases that the options choose; raises InputError if there is no such split or case."""
    wanted = list(dict.fromkeys(name for name in names.split(",") if name)) if names else None  # each counts once
    if split:
        splits = card.training.get("splits", {})
        if preprocessed_folder is not None:
            from ..data.preprocessed_dataset import read_preprocessed_dataset
            from ..training.preparation_checks import check_sources

            preprocessed = read_preprocessed_dataset(preprocessed_folder)
            check_sources(preprocessed, dataset)
            splits = preprocessed.splits
        if not splits.get(split):
            known = ", ".join(name for name, members in splits.items() if members)
            hint = (
                f"there are {known}: choose one, or name"
                if known
                else "the checkpoint names none: leave out --split, or use"
            )
            raise InputError(f'There is no split "{split}"; {hint} --cases A,B.')
        wanted = [name for name in splits[split] if wanted is None or name in wanted]
    if wanted is None:
        return dataset.cases
    there = {case.name: case for case in dataset.cases}
    if missing := [name for name in wanted if name not in there]:
        raise InputError(
            f"{dataset.name} has no case {', '.join(missing[:5])}; it has {', '.join(list(there)[:8])} ..."
        )
    if not wanted:
        raise InputError("No case is left to evaluate; --split and --cases have none in common.")
    return tuple(there[name] for name in wanted)
