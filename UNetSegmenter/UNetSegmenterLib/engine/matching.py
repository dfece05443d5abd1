"""Which structure of a prediction is which structure of the reference."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass

from .errors import InputError
from .structures import Structure, canonical_name, known_names


@dataclass(frozen=True)
class Pair:
    """Two structures that are compared; `how` is "by hand", "terminology", "name" or "label value"."""

    prediction: Structure
    reference: Structure
    how: str

    @property
    def note(self) -> str:
        """What a reader should know about this pair; empty where names or codes agree."""
        if self.how == "label value":
            return (
                f"matched by label value only: “{self.prediction.name}” in the prediction, "
                f"“{self.reference.name}” in the reference"
            )
        if self.how == "by hand" and canonical_name(self.prediction.name) != canonical_name(self.reference.name):
            return f"matched by hand: “{self.prediction.name}” in the prediction"
        return ""


@dataclass(frozen=True)
class Matching:
    """Pairs in the reference's order, and what has no counterpart on either side."""

    pairs: tuple[Pair, ...]
    only_prediction: tuple[Structure, ...]
    only_reference: tuple[Structure, ...]


def match_structures(
    prediction: Sequence[Structure],
    reference: Sequence[Structure],
    by_hand: Mapping[str, str | None] | None = None,
) -> Matching:
    """Pair structures by hand, then by terminology, then by canonical name, then by label value.

    `by_hand` maps names in the prediction to names in the reference, or to None to leave one unmatched. What is
    ambiguous in one step (two segments with the same code) is left to the next. Two structures that are both known by
    name and differ are never paired by value. Raises InputError if `by_hand` names a structure that isn't there.
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
            take(ours, _named(open_reference, other, "reference"), "by hand")
    for how, key in (("terminology", _concept), ("name", _name)):
        for ours, theirs in _unique_matches(open_prediction, open_reference, key):
            take(ours, theirs, how)
    for ours in list(open_prediction):
        same = [theirs for theirs in open_reference if set(ours.values) & set(theirs.values)]
        if len(same) == 1 and not (_is_known(ours) and _is_known(same[0])):
            take(ours, same[0], "label value")
    order = {id(structure): position for position, structure in enumerate(reference)}
    pairs.sort(key=lambda pair: order[id(pair.reference)])
    unmatched = {id(structure) for structure in (*open_prediction, *left_alone)}
    return Matching(tuple(pairs), tuple(s for s in prediction if id(s) in unmatched), tuple(open_reference))


def pair_by_hand(
    by_hand: Mapping[str, str | None], prediction: str | None, reference: str | None
) -> dict[str, str | None]:
    """`by_hand` with one more wish: these two names belong together, or the one that is given belongs to nothing.

    An earlier wish about either of them gives way; each name has at most one partner.
    """
    kept = {ours: theirs for ours, theirs in by_hand.items() if ours != prediction and theirs != reference}
    kept |= {ours: None for ours, theirs in by_hand.items() if theirs is None and ours != prediction}
    return kept if prediction is None else {**kept, prediction: reference}


def still_there(
    by_hand: Mapping[str, str | None], prediction: Sequence[Structure], reference: Sequence[Structure]
) -> dict[str, str | None]:
    """The wishes whose names both sides still have; segments may have been renamed or removed since."""
    ours, theirs = ({structure.name for structure in side} for side in (prediction, reference))
    return {name: other for name, other in by_hand.items() if name in ours and (other is None or other in theirs)}


def _named(structures: Sequence[Structure], name: str, side: str) -> Structure:
    for structure in structures:
        if structure.name == name:
            return structure
    there = ", ".join(structure.name for structure in structures) or "none left"
    raise InputError(f"The {side} has no structure “{name}” to match by hand; it has {there}.")


def _concept(structure: Structure) -> Hashable:
    terminology = structure.terminology
    if terminology is None:
        return None
    side = terminology.modifier
    return terminology.type.scheme, terminology.type.value, side and (side.scheme, side.value)


def _name(structure: Structure) -> Hashable:
    name = canonical_name(structure.name)
    return None if name.isdigit() else name  # "label 3" and "Segment_3" are numbers, not names


def _is_known(structure: Structure) -> bool:
    return structure.terminology is not None or canonical_name(structure.name) in known_names()


def _unique_matches(
    prediction: Sequence[Structure], reference: Sequence[Structure], key: Callable[[Structure], Hashable]
) -> list[tuple[Structure, Structure]]:
    """Pairs whose key is there once on either side."""
    ours, theirs = Counter(map(key, prediction)), Counter(map(key, reference))
    by_key = {key(structure): structure for structure in reference}
    return [
        (structure, by_key[key(structure)])
        for structure in prediction
        if key(structure) is not None and ours[key(structure)] == 1 and theirs[key(structure)] == 1
    ]
