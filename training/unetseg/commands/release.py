"""Make a trained checkpoint fit to be given away: with test results, statistics of its training labels, terms and words.

  unetseg release runs/all/checkpoint.pt Dataset001_Abdomen --evaluated evaluated --output abdomen.pt --title "Abdomen"
  unetseg release ... --measured-with runs/train/checkpoint.pt

  unetseg release abdomen.pt Dataset001_Abdomen --output abdomen.pt       (the statistics anew, all else as it was)

The results are those that unetseg evaluate left in a folder. A checkpoint trained on every patient has nobody left to test
on; then name with --measured-with the one of the same recipe that was tested, and the card says so.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from UNetSegmenterLib.engine.card import Card

    from ..datasets import DataSet


def add_options(parser: Any) -> None:
    parser.add_argument("checkpoint", type=Path, help="trained checkpoint (.pt)")
    parser.add_argument("dataset", type=Path, help="folder of the data set it was trained on")
    parser.add_argument("--output", type=Path, required=True, metavar="FILE", help="checkpoint to write (.pt)")
    parser.add_argument(
        "--evaluated",
        type=Path,
        metavar="DIR",
        help="results of unetseg evaluate (default: the card keeps its figures)",
    )
    parser.add_argument(
        "--measured-with", type=Path, metavar="FILE", help="the checkpoint that was evaluated, if another"
    )
    parser.add_argument("--title", help="what people shall call it")
    parser.add_argument("--description", default="", help="what they should know before they trust it")
    parser.add_argument("--licence", help="terms of the training data")
    parser.add_argument("--citation", help="source of the training data")
    parser.add_argument(
        "--nominal-spacing", action="store_true", help="the data set's spacing is not the true one: mm and ml only warn"
    )


def run(options: Any) -> None:
    from UNetSegmenterLib.engine.checkpoint import load_checkpoint, save_checkpoint

    from ..console import say
    from ..datasets import read_dataset

    checkpoint = load_checkpoint(options.checkpoint)
    dataset = read_dataset(options.dataset)
    card = checkpoint.card
    validation = card.validation
    if options.evaluated:
        tested = load_checkpoint(options.measured_with or options.checkpoint).card
        validation = test_results(options.evaluated, tested, card)
    card = replace(
        card,
        title=options.title or card.title,
        description=options.description or card.description,
        data_licence=options.licence or card.data_licence,
        data_citation=options.citation or card.data_citation,
        validation=validation,
        statistics=label_statistics(dataset, card, options.nominal_spacing),
    )
    save_checkpoint(options.output, card, checkpoint.weights)
    megabytes = options.output.stat().st_size / 1e6
    say(f"{options.output}: {card.title}, {megabytes:.1f} MB, SHA-256 {load_checkpoint(options.output).sha256}")


def test_results(folder: Path, tested: Card, released: Card) -> dict[str, Any]:
    """Dice per structure with n, and on whom; raises InputError if a tested patient was seen in training."""
    from UNetSegmenterLib.engine.csv_text import read_csv_rows
    from UNetSegmenterLib.engine.errors import InputError

    try:
        summary = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
        with (folder / "metrics.csv").open(encoding="utf-8", newline="") as file:
            cases = sorted({row["case"] for row in read_csv_rows(file)})
    except (OSError, ValueError, KeyError) as error:
        raise InputError(
            f"{folder} holds no results of unetseg evaluate ({error}); evaluate the checkpoint first."
        ) from error
    if seen := sorted(set(cases) & set(tested.training.get("cases", ()))):
        raise InputError(f"{', '.join(seen)} were trained on, so they test nothing; evaluate on the test split.")
    mine, theirs = (dict(card.training["recipe"]) for card in (released, tested))
    mine.pop("train_split", None)
    theirs.pop("train_split", None)
    if mine != theirs:
        raise InputError(
            "The evaluated checkpoint has another recipe, so its figures say nothing about the released one."
        )
    results: dict[str, Any] = {
        structure.name: {"dice": summary["structures"][structure.name]["dice"]}
        for structure in released.structures
        if structure.name in summary["structures"]
    }
    others = len(tested.training["cases"])
    of_whom = f"the same recipe trained on {others} other patients"
    if sorted(released.training["cases"]) == sorted(tested.training["cases"]):
        of_whom = "this checkpoint"
    elif (released.training.get("started_from") or {}).get("cases") == tested.training["cases"]:
        of_whom = f"these weights when they had seen {others} other patients, before they were trained on with all"
    results["all"] = {
        "dice": {"mean": summary["mean_dice"], "n": summary["cases"]},
        "cases": cases,
        "measured": of_whom,
    }
    return results


def label_statistics(dataset: DataSet, card: Card, nominal_spacing: bool) -> dict[str, Any]:
    """Reference statistics of the labels that the checkpoint was trained on, in their own grids."""
    from UNetSegmenterLib.engine.findings import reference_statistics
    from UNetSegmenterLib.engine.segmentation import read_segmentation
    from UNetSegmenterLib.engine.volume import read_volume

    trained = [case for case in dataset.cases if case.name in card.training["cases"]]
    cases = ((read_segmentation(case.label, dataset.structures), read_volume(case.image)) for case in trained)
    return reference_statistics(cases, nominal_spacing=nominal_spacing)
