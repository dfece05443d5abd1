"""The card of a run's checkpoint: what it was trained on and how, what it reaches, and what its labels look like."""

from __future__ import annotations

import hashlib
import json
import time
from typing import Any

import numpy as np
import torch
from UNetSegmenterLib import __version__
from UNetSegmenterLib.engine.model.card import Card
from UNetSegmenterLib.engine.model.device import precision_name
from UNetSegmenterLib.engine.model.preprocessing import Preprocessing

from ..data.preprocessed_dataset import PreprocessedDataset
from ..data.seen_cases import VALIDATED, case_identity, find_overlap, seen_by_run, to_json, without_duplicates
from .configuration import TrainingConfig, stored_values
from .training_state import TrainingState
from .validation import validation_cases


def default_title(data_set: str) -> str:
    """The title of a checkpoint that was given none."""
    return f"{data_set}, 2D U-Net"


def training_card(
    dataset: PreprocessedDataset,
    config: TrainingConfig,
    preprocessing: Preprocessing,
    title: str,
    device: str,
    state: TrainingState,
) -> Card:
    """Card of a finished run; its validation figures are over the cases that no ancestor was trained on."""
    assert state.precision is not None, "the run has begun"
    cases = dataset.of_split(config.train_split)
    validated = () if state.dice is None else validation_cases(dataset, config)
    known = find_overlap(state.seen_before, [case_identity(case, dataset.name) for case in validated])
    seen = [seen_by_run(case_identity(case, dataset.name)) for case in cases]
    seen += [seen_by_run(case_identity(case, dataset.name), VALIDATED) for case in validated]
    return Card(
        title or default_title(dataset.name),
        config.network(len(dataset.structures)),
        dataset.structures,
        preprocessing,
        data_licence=dataset.licence,
        data_citation=dataset.citation,
        training={
            "data_set": dataset.name,
            "cases": [case.name for case in cases],
            "splits": dataset.splits,
            "slices": sum(case.stop - case.start for case in cases),
            "recipe": stored_values(config),
            "started_from": state.identity["started_from"],
            "seen_cases": to_json(without_duplicates(*seen, *state.seen_before)),
            "plan": dataset.fingerprint.get("plan", {}),
            "pack_sha256": hashlib.sha256(json.dumps(state.identity["cases"]).encode()).hexdigest(),
            "device": device,
            "precision": precision_name(state.precision),
            "minutes": round(state.minutes, 1),
            "software": f"unetsegmenter {__version__}, torch {torch.__version__}",
            "date": time.strftime("%Y-%m-%d", time.gmtime()),
        }
        | ({"extended": state.extended} if state.extended else {})
        | ({"validated_though_trained_on": known} if known else {}),
        validation=_validation(dataset, state.dice, [case.name not in known for case in validated]),
        statistics=label_statistics(dataset, {case.name for case in cases}),
    )


def label_statistics(dataset: PreprocessedDataset, trained: set[str]) -> dict[str, Any]:
    """Statistics of the labels of the training cases, without the cases that a run validates on.

    Empty, so that the plausibility checks use their default ranges, where the folder of an earlier version has no statistics
    of single cases.
    """
    training = dataset.splits["train"]
    if trained.issuperset(training):
        return dataset.fingerprint.get("label_statistics", {})
    by_case = dataset.fingerprint.get("label_facts", {})
    if not by_case:
        return {}
    from UNetSegmenterLib.engine.plausibility.training_statistics import (  # here: it needs SimpleITK, training does not
        case_quantities_from_json,
        statistics_from_cases,
    )

    known = [case_quantities_from_json(by_case[name]) for name in training if name in trained and name in by_case]
    return statistics_from_cases(known) if known else {}


def _validation(dataset: PreprocessedDataset, dice: np.ndarray | None, counted: list[bool]) -> dict[str, Any]:
    """Mean, standard deviation and n of each structure's Dice over the validation cases that count."""
    if dice is None or not any(counted):
        return {}
    validation = {}
    for structure, values in zip(dataset.structures, dice[np.array(counted)].T, strict=True):
        known = values[np.isfinite(values)]
        mean_and_sd = (
            {"mean": float(known.mean()), "sd": float(known.std(ddof=1)) if len(known) > 1 else None}
            if len(known)
            else {}
        )
        validation[structure.name] = {"dice": mean_and_sd | {"n": len(known)}}
    return validation
