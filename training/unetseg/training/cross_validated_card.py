"""What a cross-validation gives the card of a released checkpoint: postprocessing, and figures of patients not seen."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from UNetSegmenterLib.engine.errors import InputError
from UNetSegmenterLib.engine.model.card import Card
from UNetSegmenterLib.engine.model.card_facts import cross_validation_text

from .configuration import TrainingConfig, read_config, with_present_names
from .fold_predictions import POSTPROCESSING, decided_for

MAY_DIFFER = ("train_split", "validation_split")
"""Entries of the training configuration that differ between the folds and a checkpoint of all patients by their nature."""


@dataclass(frozen=True)
class CrossValidation:
    """What is read of a cross-validation's folder.

    Attributes:
        steps: the card's postprocessing.
        validation: results per structure and over all, as a card has them.
        notes: what differs between the folds and the released checkpoint, for the user.
    """

    steps: tuple[dict[str, Any], ...]
    validation: dict[str, Any]
    notes: tuple[str, ...]


def read_cross_validation(runs: Path, released: Card) -> CrossValidation:
    """Postprocessing and figures of the cross-validation in `runs` for the card of a released checkpoint.

    Raises:
        InputError: the folder holds none, or that of another kind of network: of other structures, preprocessing,
            architecture or data set.
    """
    decided, summary = _read(runs / POSTPROCESSING), _read(runs / "summary.json")
    try:
        different = _differences(runs, decided["decided_for"], decided_for(released))
        left_out = summary.get("trained_on", {})
        figures = {name: {"dice": part} for name, part in summary["structures"].items()}
        figures["all"] = {
            "dice": summary["mean_dice_over_cases"] | {"over": "cases"},
            "cases": decided["cases"],
            "measured": cross_validation_text(decided["folds"], different),
        }
        if left_out:
            figures["all"]["trained_on"] = left_out["names"]
        notes = [
            f"the folds in {runs} were trained with {name} {value} instead of the checkpoint's {own}"
            for name, value, own in different
        ]
        gone = [
            f"fold{fold}" for fold in range(decided["folds"]) if not (runs / f"fold{fold}" / "checkpoint.pt").exists()
        ]
        if 0 < len(gone) < decided["folds"]:
            notes.append(
                f"{runs} no longer has the checkpoint of {', '.join(gone)}: its figures are those that summary.json and "
                f"{POSTPROCESSING} keep, and can't be measured again"
            )
        crossed = CrossValidation(tuple(decided["steps"]), figures, tuple(notes))
    except (KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f"{runs / POSTPROCESSING}, or summary.json beside it, is not what this version's unetseg cross-validate writes; give "
            "that command again."
        ) from error
    _check_steps(runs, crossed, released)
    return crossed


def _check_steps(runs: Path, crossed: CrossValidation, released: Card) -> None:
    """Refuse steps that no card may have, as an edited file holds them, before anything is done with them."""
    try:
        Card.from_json(replace(released, postprocessing=crossed.steps).to_json())
    except InputError as error:
        raise InputError(
            f"{runs / POSTPROCESSING} holds steps that can't be carried out ({str(error).rstrip('.')}); give unetseg "
            "cross-validate again, which writes the file anew."
        ) from error


def _read(path: Path) -> dict[str, Any]:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(
            f"{path} can't be read ({error}); a folder that unetseg cross-validate has finished is expected."
        ) from error


def _differences(runs: Path, folds: dict[str, Any], own: dict[str, Any]) -> list[tuple[str, Any, Any]]:
    """Name, the folds' value and the checkpoint's of what differs in training; InputError for another kind of network.

    An ensemble's card has the entries in which its members agree; only these are compared.
    """
    for part in ("structures", "network", "preprocessing", "data_set"):
        if folds[part] != own[part]:
            what = part.replace("_", " ")
            raise InputError(
                f"The cross-validation in {runs} is of another {what} than the checkpoint "
                f"({_first_difference(folds[part], own[part])}), so it decides nothing for it; cross-validate the training "
                "configuration of the checkpoint."
            )
    if not own["recipe"]:
        raise InputError(
            "The checkpoint does not say how it was trained, so no cross-validation of its training is known; leave "
            "--cross-validated out."
        )
    before, now = (
        read_config(values, where)
        for values, where in ((folds["recipe"], f"{runs / POSTPROCESSING}: recipe"), (own["recipe"], "recipe"))
    )
    known = with_present_names(TrainingConfig, own["recipe"])
    return [
        (name, getattr(before, name), getattr(now, name))
        for name in vars(now)
        if name in known and name not in MAY_DIFFER and getattr(before, name) != getattr(now, name)
    ]


def _first_difference(one: Any, other: Any) -> str:
    if isinstance(one, dict) and isinstance(other, dict):
        name = next(name for name in {**one, **other} if one.get(name) != other.get(name))
        return f"{name} {one.get(name)} for {other.get(name)}"
    return f"{_listed(one)} for {_listed(other)}"


def _listed(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
