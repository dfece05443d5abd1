"""Prepare a trained checkpoint for publication: test results, statistics of its training labels, licence and description.

  unetseg release runs/all/checkpoint.pt Dataset001_Abdomen --evaluated evaluated --output abdomen.pt --title "Abdomen"
  unetseg release ... --evaluated-checkpoint runs/train/checkpoint.pt

  unetseg release abdomen.pt Dataset001_Abdomen --output new.pt           (new statistics, all else unchanged)

The results are those of unetseg evaluate in a folder, over the cases that neither the checkpoint nor an ancestor was trained
on; other evaluated cases are named. For a checkpoint trained on every patient no test patient is left: name with
--evaluated-checkpoint the tested checkpoint of the same training configuration, and the card says so.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from UNetSegmenterLib.engine.errors import InputError

from ..console import print_line, warn
from ..output_folder import Outputs
from .parser import CommandParser

if TYPE_CHECKING:
    from collections.abc import Iterator

    from UNetSegmenterLib.engine.io.volume import Volume
    from UNetSegmenterLib.engine.labels.segmentation import Segmentation
    from UNetSegmenterLib.engine.model.card import Card
    from UNetSegmenterLib.engine.model.checkpoint import Checkpoint

    from ..data.dataset import Dataset
    from ..data.seen_cases import CaseIdentity


def add_options(parser: CommandParser) -> None:
    """Add the options of this command."""
    parser.add_argument("checkpoint", type=Path, help="trained checkpoint (.pt)")
    parser.add_argument("dataset", type=Path, help="folder of the data set it was trained on")
    parser.add_argument("--output", type=Path, required=True, metavar="FILE", help="checkpoint to write (.pt)")
    parser.add_argument(
        "--evaluated",
        type=Path,
        metavar="DIR",
        help="results of unetseg evaluate (default: the card keeps its results)",
    )
    parser.add_argument(
        "--evaluated-checkpoint",
        type=Path,
        metavar="FILE",
        help="the checkpoint that was evaluated, if it is another one",
    )
    parser.add_argument("--title", help="name that users see")
    parser.add_argument("--description", default="", help="what users should know before they use it")
    parser.add_argument("--licence", help="licence of the training data")
    parser.add_argument("--citation", help="source of the training data")
    parser.add_argument(
        "--nominal-spacing", action="store_true", help="the data set's spacing is not the true one: mm and ml only warn"
    )


def outputs(options: Any) -> Outputs:
    """What this command writes and reads."""
    return Outputs(
        options.output, inputs=(options.checkpoint, options.evaluated_checkpoint, options.evaluated, options.dataset)
    )


def run(options: Any) -> None:
    """Write the checkpoint with its test results, statistics and texts."""
    from UNetSegmenterLib.engine.model.checkpoint import load_checkpoint, save_checkpoint

    from ..data.layouts.detection import read_dataset

    checkpoint = load_checkpoint(options.checkpoint)
    dataset = read_dataset(options.dataset)
    card = checkpoint.card
    validation = card.validation
    if options.evaluated:
        tested = load_checkpoint(options.evaluated_checkpoint or options.checkpoint)
        validation, notes = test_results(options.evaluated, tested, card)
        for note in notes:
            warn(note)
    statistics, seen = statistics_and_cases(dataset, card, options.nominal_spacing)
    card = replace(
        card,
        title=options.title or card.title,
        description=options.description or card.description,
        data_licence=options.licence or card.data_licence,
        data_citation=options.citation or card.data_citation,
        validation=validation,
        training=card.training | {"seen_cases": seen},
        statistics=statistics,
    )
    save_checkpoint(options.output, card, checkpoint.weights)
    megabytes = options.output.stat().st_size / 1e6
    print_line(f"{options.output}: {card.title}, {megabytes:.1f} MB, SHA-256 {load_checkpoint(options.output).sha256}")


def test_results(folder: Path, tested: Checkpoint, released: Card) -> tuple[dict[str, Any], list[str]]:
    """Dice per structure with n and the tested cases, without those that the tested checkpoint or an ancestor was trained on.

    Args:
        folder: what `unetseg evaluate` wrote.
        tested: the checkpoint that was evaluated.
        released: card of the checkpoint that gets the results.

    Returns:
        The results as the card holds them, and notes for the user.

    Raises:
        InputError: no other cases were evaluated, the results contain trained cases, or they are of another checkpoint.
    """
    from ..data.seen_cases import seen_cases
    from ..evaluation.leakage import seen_in_training

    summary, identities = evaluated_cases(folder)
    seen = seen_in_training(seen_cases(tested.card), identities)
    apart = summary.get("trained_on", {})
    left_out = [] if apart.get("in_the_numbers_above") else apart.get("names", [])
    if len(seen.trained) == len(identities):
        raise InputError(
            f"{', '.join(seen.trained)} were trained on, so they test nothing; evaluate on patients that neither "
            f"{tested.path.name} nor its ancestors have seen."
        )
    if wrong := sorted(set(seen.trained) - set(left_out)):
        raise InputError(
            f"The results in {folder} contain {', '.join(wrong)}, which were trained on; run unetseg evaluate again, which "
            "counts such cases apart."
        )
    _check_evaluated(folder, summary, tested, released)
    counted = [one.name for one in identities if one.name not in left_out]
    results: dict[str, Any] = {
        structure.name: {"dice": summary["structures"][structure.name]["dice"]}
        for structure in released.structures
        if structure.name in summary["structures"]
    }
    over = summary["mean_dice_over_cases"]
    results["all"] = {
        "dice": {name: over[name] for name in ("mean", "sd", "ci95", "n")} | {"over": "cases"},
        "cases": counted,
        "measured": measured_weights(tested.card, released),
    }
    if left_out:
        results["all"]["trained_on"] = dict(left_out)
    return results, seen.notes


def evaluated_cases(folder: Path) -> tuple[dict[str, Any], list[CaseIdentity]]:
    """The summary of an evaluation, and the identities of its cases (names alone in those of earlier versions)."""
    from UNetSegmenterLib.engine.io.csv_text import read_csv_rows

    from ..data.seen_cases import CaseIdentity

    try:
        summary = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
        with (folder / "metrics.csv").open(encoding="utf-8", newline="") as file:
            names = sorted({row["case"] for row in read_csv_rows(file)})
        images = summary.get("images", {})
        return summary, [CaseIdentity(**images.get(name, {"name": name, "data_set": ""})) for name in names]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{folder} holds no results of unetseg evaluate ({error}); evaluate the checkpoint first."
        ) from error


def _check_evaluated(folder: Path, summary: dict[str, Any], tested: Checkpoint, released: Card) -> None:
    of_released, of_tested = (dict(card.training["recipe"]) for card in (released, tested.card))
    of_released.pop("train_split", None)
    of_tested.pop("train_split", None)
    if of_released != of_tested:
        raise InputError(
            "The evaluated checkpoint has another training configuration, so its results say nothing about the released one."
        )
    evaluated = summary.get("provenance", {}).get("checkpoint SHA-256")
    if evaluated != tested.sha256:
        raise InputError(
            f"The results in {folder} are those of the checkpoint with SHA-256 {str(evaluated)[:12]}, not of {tested.path} "
            f"({tested.sha256[:12]}); name the one that was evaluated with --evaluated-checkpoint."
        )


def measured_weights(tested: Card, released: Card) -> str:
    """Which weights the results of a released card belong to, as the card says it."""
    from ..data.seen_cases import TRAINED, seen_cases

    names = [{one.name for one in seen_cases(card) if one.role == TRAINED} for card in (tested, released)]
    others = len(names[0])
    if names[0] == names[1] and sorted(released.training["cases"]) == sorted(tested.training["cases"]):
        return "this checkpoint"
    if (released.training.get("started_from") or {}).get("cases") == tested.training["cases"]:
        return f"these weights when they had seen {others} other patients, before they were trained on with all"
    return f"the same training configuration, trained on {others} other patients"


def statistics_and_cases(
    dataset: Dataset, card: Card, nominal_spacing: bool
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Read the cases that the checkpoint was trained on, each in its own grid.

    Returns:
        Statistics of their labels; and all cases that the checkpoint has seen, with hashes where the card had none and the
        case is of this data set.
    """
    from UNetSegmenterLib.engine.io.image_reading import read_volume
    from UNetSegmenterLib.engine.labels.segmentation_files import read_segmentation
    from UNetSegmenterLib.engine.plausibility.training_statistics import training_statistics

    from ..data.seen_cases import seen_cases, to_json, voxels_sha256, with_voxel_hashes

    seen = seen_cases(card)
    hashes: dict[str, str] = {}

    def cases() -> Iterator[tuple[Segmentation, Volume]]:
        for case in dataset.cases:
            if case.name in card.training["cases"]:
                volume = read_volume(case.image)
                hashes[case.name] = voxels_sha256(volume)
                yield read_segmentation(case.label, dataset.structures, grid=volume.geometry), volume

    statistics = training_statistics(cases(), nominal_spacing=nominal_spacing)
    return statistics, to_json(with_voxel_hashes(seen, dataset.name, hashes))
