"""Ablation of the training configuration: one choice is changed at a time, on the same data set, seed and steps.

    python -m benchmarks.ablation PREPROCESSED --output RUNS --vary input_slices=1,5 --vary augmentation.elastic=0.06 --steps 1200
    python -m benchmarks.ablation --vary loss=mse,cross_entropy,dice          (synthetic hearts, a minute or two each)

Where the data set has folds, each change is trained on all of them, so that every patient is predicted by a network that never
saw it; else the validation cases count. Prints a Markdown table of Dice, whole volumes at the network's grid, averaged weights
after the last step: the mean over the cases of their mean over structures, and the difference to the unchanged configuration,
case by case, with its 95 % interval and the p value of Wilcoxon's signed-rank test. Any option of `unetseg train` can be varied;
`augmentation` takes a strength; 1 leaves it unchanged. --set changes all runs alike. Vary `seed` too: differences smaller than
those between seeds mean nothing. Runs are kept in RUNS, so the same command goes on where it was stopped.
"""

from __future__ import annotations

import math
import sys
import tempfile
import time
from collections.abc import Collection, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from unetseg.console import print_line
from unetseg.data.layouts.detection import read_dataset
from unetseg.data.preprocessed_dataset import PreprocessedDataset, read_preprocessed_dataset
from unetseg.data.splits import fold_names, fold_splits
from unetseg.evaluation.paired_comparison import OVER_ALL, compare_paired
from unetseg.synthetic.phantom_cases import write_phantoms
from unetseg.training.configuration import TrainingConfig, read_config
from unetseg.training.preparation import prepare
from unetseg.training.training_loop import train
from unetseg.training.training_state import read_state
from unetseg.training.validation import validation_cases
from unetseg.yaml_files import parse_yaml
from UNetSegmenterLib.engine.counting import counted
from UNetSegmenterLib.engine.errors import InputError

from .command_line import arguments_of, parser_of, run

HEARTS = TrainingConfig(
    steps=300, patch=(64, 64), base_width=8, depth=3, learning_rate=5e-3, ema=0.95, input_slices=1
)  # learns on the synthetic hearts in a minute


Dice = dict[tuple[str, str], float]  # by case and structure

UNCHANGED = "unchanged"
UNCHANGED_FOLDER = "the-recipe"  # as earlier versions named it, so that their runs go on


@dataclass(frozen=True)
class AblationRun:
    """One run: what is changed, and the training configuration with that change."""

    name: str
    config: TrainingConfig


def hearts(folder: Path) -> PreprocessedDataset:
    """Eight hearts of 24 slices of 64 x 64 pixels, two of them for validation."""
    write_phantoms(folder / "hearts", 8, seed=1, shape=(24, 64, 64))
    prepare(read_dataset(folder / "hearts"), folder / "preprocessed", window_hu=(-150.0, 550.0), validation=2)
    return read_preprocessed_dataset(folder / "preprocessed")


def changed(config: TrainingConfig, key: str, value: str) -> TrainingConfig:
    """The training configuration with one option changed.

    Raises:
        InputError: the option or the value does not exist.
    """
    parsed, values = parse_yaml(value, f"{key}={value}"), asdict(config)
    if key == "augmentation":
        return replace(config, augmentation=config.augmentation.scaled(float(parsed)))
    group, dot, name = key.rpartition(".")
    (values[group] if dot and isinstance(values.get(group), dict) else values)[name] = parsed
    return read_config(values, "the training configuration")


def ablation_runs(base: TrainingConfig, vary: Sequence[str]) -> list[AblationRun]:
    """The unchanged configuration, then one run per value; `vary` holds KEY=VALUE,VALUE."""
    found = [AblationRun(UNCHANGED, base)]
    for text in vary:
        key, equals, values = text.partition("=")
        if not equals or not values:
            raise InputError(f"--vary {text} is not of the form KEY=VALUE,VALUE.")
        found += [AblationRun(f"{key} {value}", changed(base, key, value)) for value in values.split(",")]
    return found


def results(
    dataset: PreprocessedDataset, todo: Sequence[AblationRun], folder: Path, device: str
) -> Iterator[tuple[AblationRun, Dice, float]]:
    """Each run with its Dice and the seconds it took: over all folds of the data set, or over the validation split."""
    folds = range(len(fold_names(dataset.splits)))
    for one in todo:
        name = UNCHANGED_FOLDER if one.name == UNCHANGED else one.name.replace(" ", "-")
        began, dice = time.perf_counter(), {}
        for fold in folds or [None]:
            run, config = folder / name, one.config
            if fold is not None:
                train_split, validation_split = fold_splits(dataset.splits, fold)
                run, config = (
                    run / f"fold{fold}",
                    replace(config, train_split=train_split, validation_split=validation_split),
                )
            if not (run / "checkpoint.pt").exists():
                train(dataset, run, config, device, validate_every=config.steps, save_every=config.steps)
            dice |= validated(dataset, config, run)
        yield one, dice, time.perf_counter() - began


def validated(dataset: PreprocessedDataset, config: TrainingConfig, run: Path) -> Dice:
    """Dice of the run's last validation; structures that neither side has are left out."""
    cases, values = validation_cases(dataset, config), read_state(run / "state.pt")["dice"]
    if not cases:
        raise InputError(f"{dataset.name} has neither folds nor validation cases; prepare it with --folds 5.")
    return {
        (case.name, structure.name): float(value)
        for case, row in zip(cases, values, strict=True)
        for structure, value in zip(dataset.structures, row, strict=True)
        if math.isfinite(value)
    }


def case_means(dice: Dice) -> Dice:
    """Each case's mean over its structures."""
    return {
        (case, OVER_ALL): mean([value for (name, _), value in dice.items() if name == case])
        for case in dict.fromkeys(name for name, _ in dice)
    }


def mean(values: Collection[float]) -> float:
    """Mean of the numbers; NaN if there is none."""
    return sum(values) / len(values) if values else math.nan


def row(one: AblationRun, dice: Dice, first: Dice, names: Sequence[str], seconds: float) -> str:
    """A line of the table; `first` is the Dice of the unchanged configuration."""
    change = ["", "", "", ""]
    if one.name != UNCHANGED:
        (paired,) = compare_paired(case_means(first), case_means(dice))
        interval = "{:+.3f} to {:+.3f}".format(*paired.ci95)
        change = [f"{paired.difference:+.3f}", interval, f"{paired.better} / {paired.worse}", f"{paired.p:.2f}"]
    parts = [f"{mean([value for (_, part), value in dice.items() if part == name]):.3f}" for name in names]
    return " | ".join([f"| {one.name}", f"{mean(case_means(dice).values()):.3f}", *change, *parts, f"{seconds:.0f} |"])


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line."""
    parser = parser_of("ablation", __doc__)
    parser.add_argument(
        "preprocessed",
        nargs="?",
        type=Path,
        help="data set with folds or a validation split (default: synthetic hearts)",
    )
    parser.add_argument(
        "--output", type=Path, metavar="RUNS", help="folder to keep the runs in (default: none are kept)"
    )
    parser.add_argument("--vary", action="append", default=[], metavar="KEY=VALUE,VALUE")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="changes all runs")
    parser.add_argument("--steps", type=int)
    parser.add_argument("--device", default="auto")
    options = parser.parse(arguments_of(arguments))
    with tempfile.TemporaryDirectory() as temporary:
        dataset = read_preprocessed_dataset(options.preprocessed) if options.preprocessed else hearts(Path(temporary))
        base = TrainingConfig() if options.preprocessed else HEARTS
        for text in options.set:
            key, equals, value = text.partition("=")
            if not equals:
                raise InputError(f"--set {text} is not of the form KEY=VALUE.")
            base = changed(base, key, value)
        base = replace(base, steps=options.steps or base.steps)
        todo = ablation_runs(base, options.vary)
        names = [structure.name for structure in dataset.structures]
        print_line(f"{dataset.name}: {base.steps} steps of {base.batch_size} slices per run\n")
        head = ["changed", "mean", "difference", "95 % interval", "better / worse", "p", *names, "seconds"]
        print_line(f"| {' | '.join(head)} |")
        print_line("|---" * len(head) + "|")
        first: Dice = {}
        for one, dice, seconds in results(dataset, todo, options.output or Path(temporary), options.device):
            first = first or dice
            print_line(row(one, dice, first, names, seconds))
        print_line(f"\nOver {counted(len(case_means(first)), 'case')}, none seen by the network that predicted it.")


if __name__ == "__main__":
    sys.exit(run(main, "ablation"))
