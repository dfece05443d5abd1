"""Train and validate every fold of a data set that was prepared with --folds, and sum up over the folds.

Each fold is a run of its own in RUNS/foldN, trained on the other folds; one that is finished is not trained again, so a
job array (`unetseg submit`) can do the training and this command the summary. RUNS/summary.json holds, for each structure, mean,
standard deviation and 95 % confidence interval over all patients, each validated once by a network that never saw it.
RUNS/postprocessing.json holds, for each structure, whether removing small components and filling cavities raises that Dice;
unetseg release --cross-validated RUNS puts what does into a checkpoint.

  unetseg cross-validate preprocessed/abdomen --output runs/cv --steps 2000
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from UNetSegmenterLib.engine.errors import InputError

from ..console import print_line, progress, quoted, table, warn
from ..output_folder import Outputs
from ..stop_signals import goes_on_with
from .parser import CommandParser

if TYPE_CHECKING:
    from ..data.preprocessed_dataset import PreprocessedDataset
    from ..training.cross_validation import FoldRow


def add_options(parser: CommandParser) -> None:
    """Add the options of this command."""
    from . import train

    train.add_training_options(parser, without=train.SPLITS)


def defaults(options: Any) -> dict[str, Any]:
    """The defaults of `unetseg train`."""
    from . import train

    return train.defaults(options)


def outputs(options: Any) -> Outputs:
    """What this command writes and reads."""
    inputs = (options.preprocessed, options.plan, options.start_from)
    return Outputs(
        options.output, ("metrics.csv", "summary.json", "postprocessing.json"), inputs, former_command="crossvalidate"
    )


@goes_on_with("finished folds are kept, and the same command continues with the others")
def run(options: Any) -> None:
    """Train the folds that are not finished, and sum up over all."""
    from ..data.preprocessed_dataset import read_preprocessed_dataset
    from ..data.splits import count_folds
    from ..training.cross_validation import (
        config_of_folds,
        fold_dice,
        is_finished,
        lacking_structures,
        summarise,
        write_folds,
    )
    from . import train

    dataset = read_preprocessed_dataset(options.preprocessed, options.verify)
    folds = count_folds(dataset.splits, options.preprocessed)
    lacking = lacking_structures(dataset, folds)
    for sentence in lacking:
        warn(sentence)
    runs = options.output
    finished = {fold: is_finished(runs / f"fold{fold}") for fold in range(folds)}
    _check_missing_folds(options, dataset, runs, finished)
    for fold in range(folds):
        options.output, options.fold = runs / f"fold{fold}", fold
        if not finished[fold]:
            print_line(f"fold {fold} of {folds}")
            train.run(options)
    trained = config_of_folds([runs / f"fold{fold}" for fold in range(folds)])
    if trained != (asked := train.training_config(options, dataset)):
        changes = [f"{name} {value}" for name, value in vars(trained).items() if value != getattr(asked, name)]
        warn(f"the folds in {runs} were trained before, with {', '.join(changes)}: the table shows those runs")
    rows = [row for fold in range(folds) for row in fold_dice(runs / f"fold{fold}", dataset, fold)]
    summary = summarise(rows, [structure.name for structure in dataset.structures])
    if lacking:
        summary["lacking"] = lacking
    write_folds(rows, summary, runs)
    _print_summary(summary, folds, runs)
    _decide_postprocessing([runs / f"fold{fold}" for fold in range(folds)], dataset, rows, options.device)
    checkpoints = " ".join(quoted(runs / f"fold{fold}" / "checkpoint.pt") for fold in range(folds))
    print_line(
        f"one file of all {folds} networks: unetseg release {checkpoints} DATASET --cross-validated {quoted(runs)} "
        "--output FILE.pt"
    )


def _print_summary(summary: Mapping[str, Any], folds: int, runs: Path) -> None:
    """The table over all folds, the warnings that belong beside it, and the two means."""
    from ..data.seen_cases import overlap_text

    table(
        ("structure", "Dice", "sd", "95 % interval", "cases"),
        [
            (
                name,
                f"{part['mean']:.3f}" if part["n"] else "-",
                f"{part['sd']:.3f}" if part["n"] > 1 else "-",
                _interval(part),
                str(part["n"]),
            )
            for name, part in summary["structures"].items()
        ],
        f"{folds} folds, each patient validated once at the network's grid",
    )
    for sentence in summary.get("lacking", ()):
        warn(sentence)
    if seen := summary.get("trained_on"):
        apart = (
            "they are in the table, as there is no other" if seen["in_the_numbers_above"] else "they are in no number"
        )
        warn(f"an ancestor of the folds' checkpoints was trained on {overlap_text(seen['names'])}: {apart}")
    over = summary["mean_dice_over_cases"]
    print_line(f"mean Dice over {over['n']} cases: {over['mean']:.3f} (95 % confidence interval {_interval(over)})")
    print_line(
        f"mean Dice over structures: {summary['mean_dice']:.3f}; {runs / 'summary.json'} and metrics.csv hold all of it"
    )


def _check_missing_folds(options: Any, dataset: PreprocessedDataset, runs: Path, finished: Mapping[int, bool]) -> None:
    """Refuse to train the folds that are missing in another way than those that are there, before that takes hours."""
    from ..training.cross_validation import config_of_folds
    from . import train

    there = [runs / f"fold{fold}" for fold, is_there in finished.items() if is_there]
    missing = [fold for fold, is_there in finished.items() if not is_there]
    if not there or not missing:
        return
    before = config_of_folds(there)
    options.fold = missing[0]
    asked = train.training_config(options, dataset)
    own = [name for name in vars(asked) if name not in ("train_split", "validation_split")]
    if changed := [f"{name} {getattr(before, name)}" for name in own if getattr(asked, name) != getattr(before, name)]:
        raise InputError(
            f"{runs} has {len(there)} of {len(finished)} folds, trained with {', '.join(changed)}; give the options that "
            f"fold{missing[0]} is to be trained with as those were, or choose another --output."
        )


def _decide_postprocessing(
    runs: Sequence[Path], dataset: PreprocessedDataset, rows: Sequence[FoldRow], device: str
) -> None:
    """Decide on postprocessing over the patients that no fold has seen, write it down and print what is kept."""
    import importlib.util

    if importlib.util.find_spec("SimpleITK") is None:
        warn(
            "SimpleITK is not installed here, so postprocessing was not decided; the same command where it is will do so"
        )
        return
    from ..training.fold_predictions import unseen_cases, write_decisions
    from ..training.postprocessing_decision import decide, names_of_kept

    left_out = {row.case: row.seen for row in rows if row.seen}
    with progress("predicting for postprocessing", "cases") as show:
        cases = list(unseen_cases(runs, dataset, device, left_out, show))
    decisions = decide(cases, dataset.structures)
    content = write_decisions(decisions, cases, runs, left_out)
    kept = [
        (one.structure, names_of_kept(one), *(f"{value:.4f}" for value in (worth.dice_without, worth.dice_with)),
         str(worth.better), str(worth.worse), str(worth.cases))
        for one in decisions if one.step is not None and (worth := one.evidence)
    ]  # fmt: skip
    where = runs[0].parent / "postprocessing.json"
    if not kept:
        print_line(f"postprocessing: none raises the mean Dice of unseen patients; {where} has the figures")
        return
    table(
        ("structure", "postprocessing", "Dice without", "with", "better", "worse", "cases"),
        kept,
        "steps that raise the mean Dice of patients who had no part in choosing them",
    )
    print_line(
        f"mean Dice over structures: {content['mean_dice_without']:.4f} without, {content['mean_dice_with']:.4f} with "
        f"postprocessing; {where} has all that was tried"
    )


def _interval(part: dict[str, Any]) -> str:
    return "none" if part["ci95"] is None else "{:.3f} to {:.3f}".format(*part["ci95"])
