"""Predictions of a cross-validation's folds for the patients that they did not see, and what they decide: postprocessing.json."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from UNetSegmenterLib.engine.io.atomic_files import write_text
from UNetSegmenterLib.engine.labels.ignored import IGNORED
from UNetSegmenterLib.engine.model.card import Card
from UNetSegmenterLib.engine.model.checkpoint import load_checkpoint, read_card
from UNetSegmenterLib.engine.model.prediction import Predictor
from UNetSegmenterLib.engine.model.preprocessing import Preprocessing

from ..data.preprocessed_dataset import PreprocessedCase, PreprocessedDataset
from .postprocessing_decision import METHOD, Decision, UnseenCase, steps_of
from .validation import predict_case, read_region

POSTPROCESSING = "postprocessing.json"


def unseen_cases(
    runs: Sequence[Path],
    dataset: PreprocessedDataset,
    device: str = "auto",
    left_out: Mapping[str, str] | None = None,
    show: Callable[[int, int], None] | None = None,
) -> Iterator[UnseenCase]:
    """Predict each patient at the network's grid with the checkpoint of the fold that was not trained on it.

    Args:
        runs: the folds' runs, in their order.
        dataset: what the folds were trained on.
        device: see `Predictor`.
        left_out: names of cases that are not predicted.
        show: called with (cases done, all cases).
    """
    folds = [
        [case for case in dataset.of_split(f"fold{fold}") if case.name not in (left_out or {})]
        for fold in range(len(runs))
    ]
    done, total = 0, sum(map(len, folds))
    for run, cases in zip(runs, folds, strict=True):
        if not cases:
            continue
        predictor = Predictor(load_checkpoint(run / "checkpoint.pt"), device)
        for case in cases:
            if show:
                show(done, total)
            yield _unseen_case(case, dataset, predictor)
            done += 1
    if show:
        show(total, total)


def _unseen_case(case: PreprocessedCase, dataset: PreprocessedDataset, predictor: Predictor) -> UnseenCase:
    labels = predict_case(
        predictor.networks[0],
        dataset,
        case,
        predictor.preprocessing,
        device=predictor.device,
        dtype=predictor.dtype,
        batch_size=predictor.batch_size,
    )
    reference = read_region(case, dataset.labels)
    if dataset.has_ignored:  # labels say nothing there, so no component is evaluated by what it has there
        ignored = reference == IGNORED
        labels, reference = (np.where(ignored, 0, one).astype(np.uint8) for one in (labels, reference))
    return UnseenCase.of(case.name, labels, reference, voxel_ml(case, dataset.preprocessing))


def voxel_ml(case: PreprocessedCase, preprocessing: Preprocessing) -> float:
    """Volume of a voxel of a preprocessed case, in ml."""
    slice_mm, *own = case.spacing_mm
    row_mm, column_mm = preprocessing.spacing_mm or own
    return float(slice_mm * row_mm * column_mm) / 1000


def write_decisions(
    decisions: Sequence[Decision], cases: Sequence[UnseenCase], runs: Sequence[Path], left_out: Mapping[str, str]
) -> dict[str, Any]:
    """Write postprocessing.json into the folder of the runs, and return its content."""
    structures: dict[str, dict[str, Any]] = {}
    for one in decisions:
        structures.setdefault(one.structure, {})[one.kind] = one.to_json()
    without, gained = _means(decisions)
    content = {
        "method": METHOD,
        "steps": steps_of(decisions),
        "mean_dice_without": without,
        "mean_dice_with": None if without is None else without + gained,
        "cases": [case.name for case in cases],
        "trained_on": dict(left_out),
        "decided_for": decided_for(read_card(runs[0] / "checkpoint.pt")),
        "folds": len(runs),
        "structures": structures,
    }
    write_text(runs[0].parent / POSTPROCESSING, json.dumps(content, indent=1) + "\n")
    return content


def decided_for(card: Card) -> dict[str, Any]:
    """What a network must have in common with those of the folds, as plain JSON."""
    plain = json.loads(card.to_json())
    return {
        "data_set": card.training.get("data_set", ""),
        "structures": [one.name for one in sorted(card.structures, key=lambda one: one.index)],
        "network": asdict(card.network),
        "preprocessing": plain["preprocessing"],
        "recipe": dict(card.training.get("recipe", {})),
    }


def _means(decisions: Sequence[Decision]) -> tuple[float | None, float]:
    """Mean Dice over structures without postprocessing, and what the steps that are kept add to it."""
    known = [one.evidence.dice_without for one in decisions if one.kind == "components" and one.evidence.cases]
    if not known:
        return None, 0.0
    rises = [one.evidence.dice_with - one.evidence.dice_without for one in decisions if one.step is not None]
    return sum(known) / len(known), sum(rises) / len(known)
