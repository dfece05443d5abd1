"""Matches the structures of a prediction with those of the reference, by their names and codes, not by their voxels."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass

from ..errors import InputError
from .structures import Structure, canonical_name, has_name, known_names, number_in_name

BY_HAND, BY_TERMINOLOGY, BY_NAME, BY_VALUE = "by hand", "terminology", "name", "label value"


@dataclass(frozen=True)
class Pair:
    """Two structures that are compared; `how` they were matched is `BY_HAND`, `BY_TERMINOLOGY`, `BY_NAME` or `BY_VALUE`."""

    prediction: Structure
    reference: Structure
    how: str

    @property
    def note(self) -> str:
        """What a reader should know about this pair; empty if names or codes agree."""
        if self.how == BY_VALUE:
            return (
                f"matched by label value only: “{self.prediction.name}” in the prediction, "
                f"“{self.reference.name}” in the reference"
            )
        if self.how == BY_HAND and canonical_name(self.prediction.name) != canonical_name(self.reference.name):
            return f"matched by hand: “{self.prediction.name}” in the prediction"
        return ""


@dataclass(frozen=True)
class Matching:
    """Pairs in the reference's order, and the structures of both sides that have no counterpart."""

    pairs: tuple[Pair, ...]
    only_prediction: tuple[Structure, ...]
    only_reference: tuple[Structure, ...]


def match_structures(
    prediction: Sequence[Structure],
    reference: Sequence[Structure],
    by_hand: Mapping[str, str | None] | None = None,
) -> Matching:
    """Pair structures by hand, then by terminology, then by canonical name, then by label value.

    A step leaves what is ambiguous in it (two segments with the same code) to the next step. Label values are a guess: they
    pair only structures that have no meaningful name on either side ("label 3" of two maps).

    Args:
        prediction: the structures of the prediction.
        reference: the structures of the reference.
        by_hand: name in the reference for names in the prediction, None to leave one unmatched.

    Raises:
        InputError: `by_hand` names a structure that one side does not have.
    """
    open_prediction, open_reference = list(prediction), list(reference)
    pairs: list[Pair] = []

    def take(ours: Structure, theirs: Structure, how: str) -> None:
        pairs.append(Pair(ours, theirs, how))
        open_prediction.remove(ours)
        open_reference.remove(theirs)

    left_alone: list[Structure] = []
    for name, other in (by_hand or {}).items():
        ours = _named(open_prediction, name, "prediction")
        if other is None:
            open_prediction.remove(ours)
            left_alone.append(ours)
        else:
            take(ours, _named(open_reference, other, "reference"), BY_HAND)
    for how, key in ((BY_TERMINOLOGY, _concept), (BY_NAME, _name), (BY_VALUE, _value)):
        for ours, theirs in _unique_matches(open_prediction, open_reference, key):
            take(ours, theirs, how)
    order = {id(structure): position for position, structure in enumerate(reference)}
    pairs.sort(key=lambda pair: order[id(pair.reference)])
    unmatched = {id(structure) for structure in (*open_prediction, *left_alone)}
    return Matching(tuple(pairs), tuple(s for s in prediction if id(s) in unmatched), tuple(open_reference))


def pair_by_hand(
    by_hand: Mapping[str, str | None], prediction: str | None, reference: str | None
) -> dict[str, str | None]:
    """`by_hand` with one more match of two names; None on one side leaves the name on the other side unmatched.

    The new match replaces earlier ones of the same names; each name has at most one partner.
    """
    kept = {ours: theirs for ours, theirs in by_hand.items() if ours != prediction and theirs != reference}
    kept |= {ours: None for ours, theirs in by_hand.items() if theirs is None and ours != prediction}
    return kept if prediction is None else {**kept, prediction: reference}


def remaining_matches(
    by_hand: Mapping[str, str | None], prediction: Sequence[Structure], reference: Sequence[Structure]
) -> dict[str, str | None]:
    """The matches by hand whose names both sides still have; segments may have been renamed or removed since."""
    ours, theirs = ({structure.name for structure in side} for side in (prediction, reference))
    return {name: other for name, other in by_hand.items() if name in ours and (other is None or other in theirs)}


def _named(structures: Sequence[Structure], name: str, side: str) -> Structure:
    for structure in structures:
        if structure.name == name:
            return structure
    there = ", ".join(structure.name for structure in structures) or "none left"
    raise InputError(f"The {side} has no structure “{name}” to match by hand; it has {there}.")


def _concept(structure: Structure) -> Hashable:
    return structure.terminology and structure.terminology.concept


def _name(structure: Structure) -> Hashable:
    return canonical_name(structure.name) if number_in_name(structure.name) is None else None


def _value(structure: Structure) -> Hashable:
    return None if has_name(structure) or not structure.values else structure.values[0]


def are_different(one: Structure, other: Structure) -> bool:
    """Whether both are known by code or by name, so that two structures that don't match are different ones."""
    return _is_known(one) and _is_known(other)


def _is_known(structure: Structure) -> bool:
    return structure.terminology is not None or canonical_name(structure.name) in known_names()


def _unique_matches(
    prediction: Sequence[Structure], reference: Sequence[Structure], key: Callable[[Structure], Hashable]
) -> list[tuple[Structure, Structure]]:
    """Pairs whose key occurs once on each side."""
    ours, theirs = Counter(map(key, prediction)), Counter(map(key, reference))
    by_key = {key(structure): structure for structure in reference}
    return [
        (structure, by_key[key(structure)])
        for structure in prediction
        if key(structure) is not None and ours[key(structure)] == 1 and theirs[key(structure)] == 1
    ]
