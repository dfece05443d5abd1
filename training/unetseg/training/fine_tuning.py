"""Checks of a checkpoint before a run begins with its weights: the cases it has seen, its input, its network."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from torch import Tensor
from UNetSegmenterLib.engine.errors import InputError
from UNetSegmenterLib.engine.model.architectures import NetworkDescription
from UNetSegmenterLib.engine.model.checkpoint import Checkpoint

from ..data.preprocessed_dataset import PreprocessedDataset
from ..data.seen_cases import case_identity, find_overlap, lacks_hashes, overlap_text, seen_cases
from .configuration import TrainingConfig
from .validation import validation_cases


def warnings_of_parent(parent: Checkpoint, dataset: PreprocessedDataset, config: TrainingConfig) -> list[str]:
    """Warnings on held-out cases that the parent was trained on, and on differences of its input from this data set's."""
    seen = seen_cases(parent.card)
    name = parent.path.name
    trained = {case.name for case in dataset.of_split(config.train_split)}
    warnings = []
    for split, members in held_out(dataset, config).items():
        cases = [
            case_identity(case, dataset.name)
            for case in dataset.cases
            if case.name in members and case.name not in trained
        ]
        if found := find_overlap(seen, cases):
            warnings.append(
                f"{len(found)} of {len(cases)} {split} cases were trained on by {name} or its ancestors, so they are no unseen "
                f"patients: {overlap_text(found)}; they are excluded from the results"
            )
    if not seen:
        warnings.append(
            f"the card of {name} names no training cases, so whether held-out cases are among them is not known"
        )
    if lacks_hashes(seen):
        warnings.append(
            f"the card of {name} has cases without hashes of their images; these are compared by name, and if {name} was "
            "itself begun with another checkpoint than its card says, that one's cases are not known"
        )
    if not all(case.voxels_sha256 for case in dataset.cases):
        warnings.append(
            "the data set was prepared before images were hashed, so cases are compared by name alone; prepare it again"
        )
    if len(parent.weights) > 1:
        warnings.append(f"{name} holds {len(parent.weights)} networks: the run begins with the first")
    return warnings + input_differences(parent, dataset)


def held_out(dataset: PreprocessedDataset, config: TrainingConfig) -> dict[str, list[str]]:
    """The splits whose cases a run must not have seen, by name: those for testing, and those that are validated."""
    validated = [case.name for case in validation_cases(dataset, config)]
    splits = {"test": dataset.splits.get("test", []), config.validation_split: validated}
    return {split: members for split, members in splits.items() if members}


def input_differences(parent: Checkpoint, dataset: PreprocessedDataset) -> list[str]:
    """How the input of the parent's network differed from this data set's, one sentence each."""
    before, now = parent.card.preprocessing, dataset.preprocessing
    shown = {
        "the input": [one.pixels_text() for one in (before, now)],
        "values of": [one.normalisation.text() for one in (before, now)],
        "neighbours at": [f"{one.slice_distance_mm} mm" for one in (before, now)],
    }
    return [
        f"{parent.path.name} was trained with {what} {old}, this data set has {new}: its weights come from other images"
        for what, (old, new) in shown.items()
        if old != new
    ]


def tested_but_trained_on(dataset: PreprocessedDataset, config: TrainingConfig) -> list[str]:
    """Test cases that this run trains on, as a release does that needs no test any more."""
    trained = {case.name for case in dataset.of_split(config.train_split)}
    return [name for name in dataset.splits.get("test", ()) if name in trained]


def fitting_weights(start_from: Checkpoint, config: TrainingConfig, dataset: PreprocessedDataset) -> dict[str, Tensor]:
    """Weights to begin a run with: those of an ensemble's first network.

    Raises:
        InputError: the checkpoint has another network or other structures than the run.
    """
    wanted = config.network(len(dataset.structures))
    names = [[structure.name for structure in owner.structures] for owner in (start_from.card, dataset)]
    before, now = _entries(start_from.card.network), _entries(wanted)
    found = [
        f"{name.replace('_', ' ')} {before.get(name)}, not {value}"
        for name, value in now.items()
        if before.get(name) != value
    ]
    if names[0] != names[1]:
        found.append(f"the structures {', '.join(names[0])}, not {', '.join(names[1])}")
    if found:
        raise InputError(
            f"{start_from.path} has {'; '.join(found)}; start from a checkpoint of the same network and structures, in the "
            "same order, or give this run its options."
        )
    return start_from.weights[0]


def _entries(network: NetworkDescription) -> dict[str, Any]:
    """Architecture, sizes and parameters in one row."""
    sizes = {name: value for name, value in asdict(network).items() if name != "parameters"}
    return sizes | {"skip_connections": True} | network.parameters
