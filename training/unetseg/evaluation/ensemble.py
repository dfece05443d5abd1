"""Several checkpoints as one: an ensemble of networks that read and tell the same, whose logits are averaged.

Every network counts the same, also one of a file that holds several.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from itertools import chain
from pathlib import Path
from typing import Any

from UNetSegmenterLib.engine.errors import InputError
from UNetSegmenterLib.engine.model.architectures import ONNX
from UNetSegmenterLib.engine.model.card import Card
from UNetSegmenterLib.engine.model.checkpoint import Checkpoint, load_checkpoint
from UNetSegmenterLib.engine.model.normalisation import Normalisation

from ..data.seen_cases import TRAINED, VALIDATED, seen_cases, to_json, without_duplicates

CROSS_VALIDATED = "each network alone, on patients that it was not trained on; others of the ensemble were"


def load_checkpoints(paths: Sequence[Path]) -> Checkpoint:
    """One checkpoint, or the ensemble of several.

    Args:
        paths: the files; their order does not matter, except that texts of the card are those of the first.

    Raises:
        InputError: a file can't be used, is named twice, or differs from the first in its network, structures,
            preprocessing or postprocessing.
    """
    members = [load_checkpoint(path) for path in paths]
    first = members[0]
    if len(members) == 1:
        return first
    for number, other in enumerate(members):
        if other.card.network.architecture == ONNX:
            raise InputError(f"{other.path} is an ONNX file, which can't be one of several; name it alone.")
        if twin := next((one for one in members[:number] if one.sha256 == other.sha256), None):
            raise InputError(f"{twin.path} and {other.path} are the same checkpoint; name each once.")
        if twin := next((one for one in members[:number] if _shared_network(one, other)), None):
            raise InputError(
                f"{twin.path} and {other.path} hold the same network, which would count twice; name one of them."
            )
        if found := differences(first.card, other.card):
            raise InputError(
                f"{first.path} and {other.path} are no ensemble: they differ in {'; '.join(found)}. Name checkpoints of the "
                "same network, structures and preprocessing."
            )
    ordered = sorted(members, key=lambda member: member.sha256)  # a sum of other order would be another in its last bit
    return Checkpoint(
        ensemble_card(members),
        tuple(chain.from_iterable(member.weights for member in ordered)),
        first.path,
        hashlib.sha256("".join(member.sha256 for member in ordered).encode()).hexdigest(),
        tuple(member.path for member in members[1:]),
    )


def _shared_network(one: Checkpoint, other: Checkpoint) -> bool:
    """Whether two files have a network in common, as a released checkpoint has with that of its run."""
    import torch

    return any(
        ours.keys() == theirs.keys() and all(torch.equal(ours[name], theirs[name]) for name in ours)
        for ours in one.weights
        for theirs in other.weights
    )


def differences(one: Card, other: Card) -> list[str]:
    """In what two cards differ that an ensemble must have in common, in words; texts and colours may differ."""
    sides = [_in_common(card) for card in (one, other)]
    names = dict.fromkeys(chain(*sides))
    return [
        f"{name} ({_text(sides[0].get(name))} and {_text(sides[1].get(name))})"
        for name in names
        if sides[0].get(name) != sides[1].get(name)
    ]


def _in_common(card: Card) -> dict[str, Any]:
    network, preprocessing = card.network, card.preprocessing
    structures = sorted(card.structures, key=lambda structure: structure.index)
    return {
        "architecture": network.architecture,
        **network.parameters,
        "structures": [f"{one.name} {'+'.join(map(str, one.values))}" for one in structures],
        **{field.name: getattr(preprocessing, field.name) for field in fields(preprocessing)},
        "postprocessing": list(card.postprocessing),
        "training cases": "named" if any(one.role == TRAINED for one in seen_cases(card)) else "not named",
    }


def _text(value: Any) -> str:
    if isinstance(value, Normalisation):
        return value.text()
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value)) or "none"
    return "none" if value is None else str(value)


def ensemble_card(members: Sequence[Checkpoint]) -> Card:
    """The card of an ensemble: texts of the first member, and of training what all have in common, and each one's own.

    `training.cases` and `training.seen_cases` are those of all members together; statistics are those of the member with
    the most cases, because quantiles can't be joined.
    """
    cards = [member.card for member in members]
    first = cards[0]
    titles = dict.fromkeys(card.title for card in cards)
    title = first.title if len(titles) == 1 else f"{first.title} and {len(cards) - 1} more"
    return replace(
        first,
        title=title[:300],
        training=_training(members),
        validation=_validation(cards),
        statistics=max((card.statistics for card in cards), key=lambda statistics: statistics.get("cases", 0)),
    )


def _training(members: Sequence[Checkpoint]) -> dict[str, Any]:
    each = [member.card.training for member in members]
    common = {name: value for name, value in each[0].items() if all(one.get(name) == value for one in each)}
    configs = [config if isinstance(config := one.get("recipe"), dict) else {} for one in each]
    config = {name: value for name, value in configs[0].items() if all(one.get(name) == value for one in configs)}
    joined: dict[str, Any] = {"recipe": config} if config else {}
    cases = [one.get("cases") for one in each]
    common.pop("cases", None)
    if all(isinstance(names, list) for names in cases):
        joined["cases"] = sorted({str(name) for names in cases for name in names or ()})
    seen = [seen_cases(member.card) for member in members]
    if any(seen):
        joined["seen_cases"] = to_json(without_duplicates(*chain.from_iterable(seen)))
    if all(isinstance(one.get("minutes"), int | float) for one in each):
        joined["minutes"] = round(sum(one["minutes"] for one in each), 1)
    dates = [str(one["date"]) for one in each if one.get("date")]
    if dates:
        joined["date"] = max(dates)
    return common | joined | {"ensemble": [_own(member, common, config) for member in members]}


def _own(member: Checkpoint, common: Mapping[str, Any], config: Mapping[str, Any]) -> dict[str, Any]:
    """What is a member's own: by whom its cases were seen stands in the ensemble's own list."""
    training = member.card.training
    own = {name: value for name, value in training.items() if name not in common and name != "seen_cases"}
    if isinstance(own.get("recipe"), dict):
        own["recipe"] = {name: value for name, value in own["recipe"].items() if name not in config}
    about = {"title": member.card.title, "sha256": member.sha256, "networks": len(member.weights)}
    return about | own | {"validation": member.card.validation}


def _validation(cards: Sequence[Card]) -> dict[str, Any]:
    """The results of a cross-validation, where the members were validated with patients of which no two had the same.

    Otherwise none: the ensemble itself was not measured, and figures over the same patients are no larger sample.
    """
    validated = [
        [one for one in seen_cases(card) if one.role == VALIDATED and one.generation == 0 and card.validation]
        for card in cards
    ]
    keys = [one.voxels_sha256 or one.name for one in chain.from_iterable(validated)]
    if not all(validated) or len(set(keys)) != len(keys) or any("all" in card.validation for card in cards):
        return {}
    names = [structure.name for structure in cards[0].structures]
    pooled = {name: {"dice": _pooled([_dice(card.validation.get(name)) for card in cards])} for name in names}
    cases = sorted(one.name for one in chain.from_iterable(validated))
    return pooled | {"all": {"cases": cases, "measured": CROSS_VALIDATED}}


def _dice(entry: Any) -> Mapping[str, Any]:
    """The Dice of a structure's validation entry; empty where it is none, as cards of other tools may have it."""
    dice = entry.get("dice") if isinstance(entry, dict) else None
    if not isinstance(dice, dict) or not isinstance(dice.get("n"), int):
        return {}
    figures = (dice.get("mean"), dice.get("sd") or 0.0)
    return dice if all(isinstance(figure, int | float) for figure in figures) else {}


def _pooled(parts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Mean, standard deviation and n of several samples taken together, from those of each."""
    known = [part for part in parts if part.get("n") and part.get("mean") is not None]
    n = sum(part["n"] for part in known)
    if not n:
        return {"n": 0}
    mean = sum(part["n"] * part["mean"] for part in known) / n
    squares = sum(
        (part["n"] - 1) * (part.get("sd") or 0.0) ** 2 + part["n"] * (part["mean"] - mean) ** 2 for part in known
    )
    return {"mean": mean, "sd": math.sqrt(squares / (n - 1)) if n > 1 else None, "n": n}
