"""Ablation of the training configuration: one choice is changed at a time, on the same data set, seed and steps.

    python -m benchmarks.ablation PREPROCESSED --output RUNS --vary input_slices=1,5 --vary augmentation=0,0.5 --steps 700
    python -m benchmarks.ablation --vary loss=mse,cross_entropy,dice          (synthetic hearts, a minute or two each)

Prints a Markdown table of the validation cases' Dice, whole volumes at the network's grid, averaged weights after the last
step. Any option of `unetseg train` can be varied; `augmentation` takes a strength; 1 leaves it unchanged. --set changes
all runs alike. Vary `seed` too: differences smaller than those between seeds mean nothing. Runs are kept in RUNS, so the same
command goes on where it was stopped.
"""

from __future__ import annotations

import argparse
import math
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import yaml
from unetseg.console import print_line
from unetseg.data.layouts.detection import read_dataset
from unetseg.data.preprocessed_dataset import PreprocessedDataset, read_preprocessed_dataset
from unetseg.synthetic.phantom_cases import write_phantoms
from unetseg.training.configuration import TrainingConfig, read_config
from unetseg.training.preparation import prepare
from unetseg.training.training_loop import train
from UNetSegmenterLib.engine.errors import InputError
from UNetSegmenterLib.engine.model.checkpoint import read_card

HEARTS = TrainingConfig(
    steps=300, patch=(64, 64), base_width=8, depth=3, learning_rate=5e-3, ema=0.95, input_slices=1
)  # learns on the synthetic hearts in a minute


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
    parsed = yaml.safe_load(value)
    if key == "augmentation":
        return replace(config, augmentation=config.augmentation.scaled(float(parsed)))
    return read_config(asdict(config) | {key: parsed}, "the training configuration")


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
) -> Iterator[tuple[AblationRun, list[float], float]]:
    """Each run with the Dice of each structure (mean over the validation cases) and the seconds it took."""
    for one in todo:
        name = UNCHANGED_FOLDER if one.name == UNCHANGED else one.name.replace(" ", "-")
        run, began = folder / name, time.perf_counter()
        steps = one.config.steps
        if not (run / "checkpoint.pt").exists():
            train(dataset, run, one.config, device, validate_every=steps, save_every=steps)
        card = read_card(run / "checkpoint.pt")
        dice = [part["dice"].get("mean", math.nan) for part in card.validation.values()]
        yield one, dice, time.perf_counter() - began


def mean(values: Sequence[float]) -> float:
    """Mean of the numbers among them; NaN if there is none."""
    known = [value for value in values if not math.isnan(value)]
    return sum(known) / len(known) if known else math.nan


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.ablation",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "preprocessed",
        nargs="?",
        type=Path,
        help="data set with a validation split (default: synthetic hearts)",
    )
    parser.add_argument(
        "--output", type=Path, metavar="RUNS", help="folder to keep the runs in (default: none are kept)"
    )
    parser.add_argument("--vary", action="append", default=[], metavar="KEY=VALUE,VALUE")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="changes all runs")
    parser.add_argument("--steps", type=int)
    parser.add_argument("--device", default="auto")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as temporary:
        dataset = read_preprocessed_dataset(options.preprocessed) if options.preprocessed else hearts(Path(temporary))
        base = TrainingConfig() if options.preprocessed else HEARTS
        for text in options.set:
            base = changed(base, *text.split("=", 1))
        base = replace(base, steps=options.steps or base.steps)
        todo = ablation_runs(base, options.vary)
        names = [structure.name for structure in dataset.structures]
        cases = len(dataset.of_split(base.validation_split))
        print_line(
            f"{dataset.name}: {base.steps} steps of {base.batch_size} slices per run, Dice over {cases} validation cases\n"
        )
        print_line("| changed | mean | difference | " + " | ".join(names) + " | seconds |")
        print_line("|---" * (len(names) + 4) + "|")
        first = math.nan
        for one, dice, seconds in results(dataset, todo, options.output or Path(temporary), options.device):
            first = mean(dice) if one is todo[0] else first
            cells = " | ".join(f"{value:.3f}" for value in dice)
            change = "" if one is todo[0] else f"{mean(dice) - first:+.3f}"
            print_line(f"| {one.name} | {mean(dice):.3f} | {change} | {cells} | {seconds:.0f} |")


if __name__ == "__main__":
    main()
