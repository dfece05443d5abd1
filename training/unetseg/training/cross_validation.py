"""The summary over the folds of a cross-validation: each patient was validated once, by a network that never saw it."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from UNetSegmenterLib.engine.errors import InputError
from UNetSegmenterLib.engine.evaluation.result_files import SEEN_COLUMN
from UNetSegmenterLib.engine.evaluation.statistics import CI_METHOD, SUMMARY_DEFINITIONS, Aggregate, aggregate
from UNetSegmenterLib.engine.io.atomic_files import write_atomically, write_text
from UNetSegmenterLib.engine.io.csv_text import csv_text
from UNetSegmenterLib.engine.model.checkpoint import read_card

from ..data.preprocessed_dataset import PreprocessedDataset
from ..data.seen_cases import case_identity, find_overlap, seen_cases
from ..data.splits import fold_splits
from ..data.structure_presence import absent_structures
from .configuration import TrainingConfig, read_config
from .training_state import read_state


@dataclass(frozen=True)
class FoldRow:
    """Dice of one structure in one case, at the network's grid.

    Attributes:
        fold: number of the fold.
        case: name of the case.
        structure: name of the structure.
        dice: NaN where neither prediction nor reference has the structure.
        seen: how the case was recognised as one that an ancestor of the fold's checkpoint was trained on; else empty.
    """

    fold: int
    case: str
    structure: str
    dice: float
    seen: str = ""


def lacking_structures(dataset: PreprocessedDataset, folds: int) -> list[str]:
    """One sentence for each fold whose cases, or whose training cases, lack a structure."""
    sentences = []
    for fold in range(folds):
        train_split, validation_split = fold_splits(dataset.splits, fold)
        trained, validated = ({case.name for case in dataset.of_split(one)} for one in (train_split, validation_split))
        if absent := absent_structures(dataset, validated):
            sentences.append(
                f"no case of fold {fold} has {', '.join(absent)}: its Dice is that of the other folds' cases"
            )
        if absent := absent_structures(dataset, trained):
            sentences.append(
                f"fold {fold} trains on no case with {', '.join(absent)}, so it can't learn it: its Dice counts as it is"
            )
    return sentences


def is_finished(run: Path) -> bool:
    """Whether a fold has its checkpoint.

    Raises:
        InputError: the checkpoint can't be read; without it the fold goes on from its last state.
    """
    path = run / "checkpoint.pt"
    if not path.exists():
        return False
    try:
        read_card(path)
    except InputError as error:
        reason = str(error).removeprefix(f"{path} ").partition(";")[0].rstrip(".")
        raise InputError(f"{path} {reason}; delete it and give the same command again, which makes it anew.") from error
    return True


def config_of_folds(runs: Sequence[Path]) -> TrainingConfig:
    """The training configuration of all folds, with the splits of the last one.

    Raises:
        InputError: a fold was trained with another configuration.
    """
    configs = [
        read_config(read_card(run / "checkpoint.pt").training["recipe"], f"{run / 'checkpoint.pt'}: recipe")
        for run in runs
    ]
    for run, config in zip(runs, configs, strict=True):
        own = replace(config, train_split=configs[0].train_split, validation_split=configs[0].validation_split)
        if own != configs[0]:
            raise InputError(
                f"{run} was trained with another training configuration than {runs[0]}, so they are no cross-validation; remove "
                "one of them and give the command again."
            )
    return configs[-1]


def fold_dice(run: Path, dataset: PreprocessedDataset, fold: int) -> list[FoldRow]:
    """Rows of a finished fold's validation cases.

    Raises:
        InputError: the run is not finished, or did not validate on this fold.
    """
    if not (run / "checkpoint.pt").exists():
        raise InputError(f"{run} is not finished; run the same command again, and it goes on there.")
    dice = read_state(run / "state.pt")["dice"]
    cases = dataset.of_split(f"fold{fold}")
    if dice is None or dice.shape != (len(cases), len(dataset.structures)):
        raise InputError(f"{run} did not validate on fold {fold} of this data set; choose another --output.")
    seen = find_overlap(
        seen_cases(read_card(run / "checkpoint.pt")), [case_identity(case, dataset.name) for case in cases]
    )
    return [
        FoldRow(fold, case.name, structure.name, float(value), seen.get(case.name, ""))
        for case, values in zip(cases, dice, strict=True)
        for structure, value in zip(dataset.structures, values, strict=True)
    ]


def summarise(rows: Sequence[FoldRow], structures: Sequence[str]) -> dict[str, Any]:
    """Mean, standard deviation and 95 % interval of each structure over all cases and of the cases' means, and means of folds.

    mean_dice and mean_dice_over_cases have the same definitions as in an evaluation (`SUMMARY_DEFINITIONS`). Cases that an
    ancestor was trained on are excluded and listed, unless there are no others.
    """
    trained_on = {row.case: row.seen for row in rows if row.seen}
    if trained_on and any(not row.seen for row in rows):
        excluded = {"trained_on": {"names": trained_on, "in_the_numbers_above": False}}
        return summarise([row for row in rows if not row.seen], structures) | excluded
    parts: dict[str, dict[str, Any]] = {}
    for name in structures:
        result = aggregate([row.dice for row in rows if row.structure == name], (0.0, 1.0))
        parts[name] = _interval(result)
    known = [part["mean"] for part in parts.values() if part["n"]]
    return {
        "cases": len({row.case for row in rows}),
        "mean_dice": sum(known) / len(known) if known else math.nan,
        "mean_dice_over_cases": _interval(mean_over_cases(rows)),
        "mean_dice_of_folds": [
            mean_over_cases([row for row in rows if row.fold == fold]).mean
            for fold in sorted({row.fold for row in rows})
        ],
        "ci95_method": CI_METHOD,
        "definitions": SUMMARY_DEFINITIONS,
        "structures": parts,
    } | ({"trained_on": {"names": trained_on, "in_the_numbers_above": True}} if trained_on else {})


def mean_over_cases(rows: Sequence[FoldRow]) -> Aggregate:
    """Mean over cases of each case's mean over its structures."""
    cases = dict.fromkeys(row.case for row in rows)
    return aggregate((aggregate(row.dice for row in rows if row.case == case).mean for case in cases), (0.0, 1.0))


def _interval(result: Aggregate) -> dict[str, Any]:
    ci95 = None if math.isnan(result.ci95[0]) else list(result.ci95)
    return {"mean": result.mean, "sd": result.sd, "ci95": ci95, "n": result.n}


def write_folds(rows: Sequence[FoldRow], summary: dict[str, Any], folder: Path) -> None:
    """Write metrics.csv (one row per case and structure) and summary.json."""

    def table(partial: Path) -> None:
        with partial.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(("fold", "case", "structure", "dice", SEEN_COLUMN))
            for row in rows:
                dice = "" if math.isnan(row.dice) else f"{row.dice:.6f}"
                seen = "yes" if row.seen else "no"
                writer.writerow((row.fold, csv_text(row.case), csv_text(row.structure), dice, seen))

    write_atomically(folder / "metrics.csv", table)
    text = json.dumps(_without_nan(summary), indent=1)
    write_text(folder / "summary.json", text)


def _without_nan(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nan(part) for key, part in value.items()}
    if isinstance(value, list):
        return [_without_nan(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
