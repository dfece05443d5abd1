"""Prepare a trained checkpoint for publication: test results, statistics of its training labels, licence and description.

  unetseg release runs/all/checkpoint.pt Dataset001_Abdomen --evaluated evaluated --output abdomen.pt --title "Abdomen"
  unetseg release ... --evaluated-checkpoint runs/train/checkpoint.pt
  unetseg release fold0.pt fold1.pt fold2.pt Dataset001_Abdomen --output ensemble.pt      (one file, logits averaged)
  unetseg release ... --cross-validated runs/cv           (postprocessing and figures of unetseg cross-validate)

  unetseg release abdomen.pt Dataset001_Abdomen --output new.pt           (new statistics, all else unchanged)
  unetseg release imported.onnx Dataset001_Abdomen --output new.onnx      (statistics for a model of another tool)

The results are those of unetseg evaluate in a folder, over the cases that neither the checkpoint nor an ancestor was trained
on; other evaluated cases are named. For a checkpoint trained on every patient no test patient is left: name with
--evaluated-checkpoint the tested checkpoint of the same training configuration, and the card says so.

A cross-validation of that configuration (--cross-validated) gives its figures, and the postprocessing that raised the Dice of
patients whom its networks had not seen.

The statistics are those of the cases that the model was trained on. A model of another tool does not know them: then all labelled
cases of the data set are taken, with its structures matched to the model's by terminology, name or value.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from UNetSegmenterLib.engine.counting import counted
from UNetSegmenterLib.engine.errors import InputError

from ..console import ProgressCallback, print_line, progress, warn
from ..output_folder import Outputs
from .parser import CommandParser

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from UNetSegmenterLib.engine.io.volume import Volume
    from UNetSegmenterLib.engine.labels.segmentation import Segmentation
    from UNetSegmenterLib.engine.labels.structures import Structure
    from UNetSegmenterLib.engine.model.card import Card
    from UNetSegmenterLib.engine.model.checkpoint import Checkpoint

    from ..data.dataset import Dataset
    from ..data.seen_cases import CaseIdentity


def add_options(parser: CommandParser) -> None:
    """Add the options of this command."""
    parser.add_argument(
        "checkpoint",
        type=Path,
        nargs="+",
        help="trained checkpoint (.pt), several that become an ensemble in one file, or an imported model (.pt, .onnx)",
    )
    parser.add_argument("dataset", type=Path, help="folder of the data set it was trained on, or another with labels")
    parser.add_argument("--output", type=Path, required=True, metavar="FILE", help="file to write, of the same kind")
    parser.add_argument(
        "--evaluated",
        type=Path,
        metavar="DIR",
        help="results of unetseg evaluate (default: the card keeps its results)",
    )
    parser.add_argument(
        "--evaluated-checkpoint",
        type=Path,
        action="append",
        metavar="FILE",
        help="the checkpoint that was evaluated, if it is another one; or those of an ensemble",
    )
    parser.model_files.add("--evaluated-checkpoint")
    parser.add_argument(
        "--cross-validated",
        type=Path,
        metavar="RUNS",
        help="folder of unetseg cross-validate: its postprocessing, and without --evaluated its figures too",
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
    evaluated = [options.evaluated / name for name in ("summary.json", "metrics.csv")] if options.evaluated else []
    crossed = options.cross_validated  # a release may lie in it, as that of unetseg submit --chain does
    folds = [crossed / name for name in ("summary.json", "metrics.csv", "postprocessing.json")] if crossed else []
    read = (*options.checkpoint, *(options.evaluated_checkpoint or ()), *evaluated, *folds)
    return Outputs(options.output, inputs=(*read, options.dataset))


def run(options: Any) -> None:
    """Write the checkpoint with its test results, statistics and texts."""
    from UNetSegmenterLib.engine.model.checkpoint import load_checkpoint, save_with_card

    from ..data.layouts.detection import read_dataset
    from ..evaluation.ensemble import load_checkpoints
    from ..training.cross_validated_card import read_cross_validation

    checkpoint = load_checkpoints(options.checkpoint)
    if wrong := wrong_ending(options.output, checkpoint.card):
        warn(wrong)
    dataset = read_dataset(options.dataset)
    card = checkpoint.card
    validation, postprocessing = card.validation, card.postprocessing
    if options.cross_validated:
        crossed = read_cross_validation(options.cross_validated, card)
        validation, postprocessing = crossed.validation, crossed.steps
        for note in crossed.notes:
            warn(note)
        _print_postprocessing(postprocessing, card)
    if options.evaluated:
        tested = load_checkpoints(options.evaluated_checkpoint or options.checkpoint)
        validation, notes = test_results(options.evaluated, tested, card)
        for note in notes:
            warn(note)
    statistics, seen = statistics_and_cases(dataset, card, options.nominal_spacing)
    training = card.training | {"seen_cases": seen} if seen else card.training
    card = replace(
        card,
        title=options.title or card.title,
        description=options.description or card.description,
        data_licence=options.licence or card.data_licence,
        data_citation=options.citation or card.data_citation,
        validation=validation,
        postprocessing=postprocessing,
        training=training,
        statistics=statistics,
    )
    for missing in missing_texts(card):
        warn(missing)
    save_with_card(checkpoint, card, options.output)
    megabytes = options.output.stat().st_size / 1e6
    print_line(f"{options.output}: {card.title}, {megabytes:.1f} MB, SHA-256 {load_checkpoint(options.output).sha256}")


def wrong_ending(path: Path, card: Card) -> str:
    """The warning on a file whose name does not say what it holds, empty where it does."""
    from UNetSegmenterLib.engine.model.architectures import ONNX

    kind, ending = ("ONNX", ".onnx") if card.network.architecture == ONNX else ("PyTorch", ".pt")
    if path.suffix.lower() == ending:
        return ""
    return f"{path} holds {kind} weights but does not end in {ending}, so file dialogs don't show it; call it {path.stem}{ending}"


def missing_texts(card: Card) -> list[str]:
    """Warnings on what users of a published checkpoint need to know and its card does not say."""
    from ..training.training_card import default_title

    found = []
    if card.title == default_title(str(card.training.get("data_set"))):
        found.append(f'the title is still the one of the run, "{card.title}"; name what it segments with --title')
    if not card.data_licence.strip():
        found.append(
            "the licence of the training data is not named, so what the model may be used for is not known; give it with "
            "--licence"
        )
    if not card.data_citation.strip():
        found.append("the source of the training data is not named; give it with --citation")
    return found


def _print_postprocessing(steps: Sequence[dict[str, Any]], card: Card) -> None:
    from UNetSegmenterLib.engine.model.postprocessing_steps import step_text

    names = {structure.index: structure.name for structure in card.structures}
    lines = [step_text(step, names) for step in steps] or ["none"]
    for line in lines:
        print_line(f"postprocessing: {line}")


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
    of_released, of_tested = (dict(card.training.get("recipe", {})) for card in (released, tested.card))
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
    cases = [trained_cases(card) for card in (tested, released)]
    others = len(names[0])
    if cases == [None, None]:
        return "this model; the cases that it was trained on are not known"
    if names[0] == names[1] and cases[0] == cases[1]:
        return "this checkpoint"
    if (released.training.get("started_from") or {}).get("cases") == tested.training["cases"]:
        return (
            f"these weights when they had seen {counted(others, 'other patient')}, before they were trained on with all"
        )
    return f"the same training configuration, trained on {counted(others, 'other patient')}"


def trained_cases(card: Card) -> list[str] | None:
    """Names of the cases that a network was trained on, sorted; None for a model that does not tell them."""
    cases = card.training.get("cases")
    return sorted(map(str, cases)) if isinstance(cases, list) else None


def statistics_and_cases(
    dataset: Dataset, card: Card, nominal_spacing: bool
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Read the cases that the checkpoint was trained on, or all if it does not tell them, each in its own grid.

    Returns:
        Statistics of their labels; and all cases that the checkpoint has seen, with hashes where the card had none and the
        case is of this data set.

    Raises:
        InputError: the data set has none of these cases, or none of the model's structures.
    """
    from UNetSegmenterLib.engine.io.image_reading import read_volume
    from UNetSegmenterLib.engine.plausibility.training_statistics import training_statistics

    from ..data.seen_cases import seen_cases, to_json, voxels_sha256, with_voxel_hashes
    from ..data.structure_selection import read_labels

    seen, trained = seen_cases(card), trained_cases(card)
    taken = [case for case in dataset.cases if trained is None or case.name in trained]
    if not taken:
        raise InputError(
            f"{dataset.name} has none of the cases ({len(trained or ())}) that {card.title} was trained on; give the data set "
            "that it was trained on."
        )
    pairs = matched_structures(dataset, card)
    hashes: dict[str, str] = {}

    def cases(show: ProgressCallback) -> Iterator[tuple[Segmentation, Volume]]:
        for number, case in enumerate(taken):
            show(number, len(taken), case.name)
            volume = read_volume(case.image, case.resample)
            hashes[case.name] = voxels_sha256(volume)
            labels = read_labels(case, dataset.structures, volume.geometry)
            if labels.ignored is not None:
                warn(f"{case.name} has voxels that are ignored, so it is left out of the statistics")
                continue
            axis = card.preprocessing.slicing(volume.geometry).axis
            labels = replace(with_structures(labels, pairs).with_known_grid(volume.geometry), slicing_axis=axis)
            yield labels, replace(volume, intensities=card.preprocessing.intensities)
        show(len(taken), len(taken))

    with progress("measuring", "cases") as show:
        statistics = training_statistics(cases(show), nominal_spacing=nominal_spacing)
    return statistics if statistics["cases"] else {}, to_json(with_voxel_hashes(seen, dataset.name, hashes))


def matched_structures(dataset: Dataset, card: Card) -> list[tuple[tuple[Structure, ...], Structure]]:
    """Structures of a data set and of a model that are the same, with warnings for those that have no counterpart.

    Several of the data set that its training merged are one of the model.
    """
    from UNetSegmenterLib.engine.labels.matching import match_structures

    found = match_structures(dataset.structures, card.structures)
    pairs: list[tuple[tuple[Structure, ...], Structure]] = [
        ((pair.prediction,), pair.reference) for pair in found.pairs
    ]
    if card.training.get("data_set") == dataset.name:
        pairs += [(parts, one) for one in found.only_reference if (parts := _merged(found.only_prediction, one))]
    used = {one.name for parts, whole in pairs for one in (*parts, whole)}
    ours, theirs = (", ".join(one.name for one in side) for side in (dataset.structures, card.structures))
    if not pairs:
        raise InputError(
            f"{dataset.name} and {card.title} have no structure in common, by terminology, name or value: the data set has "
            f"{ours}, the model {theirs}; give a data set with labels of the model's structures, or correct its card."
        )
    if missing := [one.name for one in found.only_reference if one.name not in used]:
        warn(f"{dataset.name} has no labels of {', '.join(missing)}: rules of thumb go on serving there")
    if others := [one.name for one in found.only_prediction if one.name not in used]:
        warn(f"not among the model's structures, so left out: {', '.join(others)}")
    return pairs


def _merged(structures: Iterable[Structure], whole: Structure) -> tuple[Structure, ...]:
    """Those structures of a data set whose values together are those of `whole`; empty if they are not."""
    parts = tuple(one for one in structures if set(one.values) <= set(whole.values))
    return parts if {value for one in parts for value in one.values} == set(whole.values) else ()


def with_structures(labels: Segmentation, pairs: Sequence[tuple[tuple[Structure, ...], Structure]]) -> Segmentation:
    """Labels of a data set with the model's structures instead of the data set's."""
    import numpy as np

    table = np.zeros(256, dtype=np.uint8)
    for parts, whole in pairs:
        table[[one.index for one in parts]] = whole.index
    return replace(
        labels,
        labels=table[labels.labels],
        structures=tuple(whole for _, whole in pairs),
        overlaps={int(table[index]): voxels for index, voxels in labels.overlaps.items() if table[index]},
    )
