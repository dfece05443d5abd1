"""Pairs of structures that overlap, whatever their names: matches to propose, and matches to doubt."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from .dice import dice_coefficient
from .matching import BY_HAND, BY_VALUE, Matching, Pair, are_different
from .segmentation import Segmentation
from .structures import Structure

PROPOSED_DICE = 0.5
"""Two structures that overlap by less are not proposed as a match."""
CLEARLY_BETTER = 0.25
"""A match by label value is questioned if another structure overlaps by this much more."""
DOUBTFUL_DICE = 0.1
"""A match by name that overlaps by less is doubted if it overlaps another structure by `PROPOSED_DICE`."""


@dataclass(frozen=True)
class Proposal:
    """A match that overlap suggests and names do not: the names on both sides, and the Dice that the pair would have.

    `instead_of` is the name in the reference that label values alone pair the prediction's structure with, if any.
    """

    prediction: str
    reference: str
    dice: float
    instead_of: str = ""

    @property
    def text(self) -> str:
        """The question to the user."""
        other = f" (by label value it is compared with “{self.instead_of}”)" if self.instead_of else ""
        return (
            f"“{self.prediction}” of the prediction overlaps “{self.reference}” of the reference by Dice {self.dice:.2f}: "
            f"compare as one structure?{other}"
        )


def overlap_dice(prediction: Segmentation, reference: Segmentation) -> np.ndarray:
    """Dice (256, 256) of each structure index of the prediction with each of the reference, on one grid; 0 where empty.

    One pass over the voxels; voxels under another structure are counted, too.
    """
    common = np.zeros((256, 256), dtype=np.int64)
    for ours, theirs in zip(prediction.labels, reference.labels, strict=True):
        both = (ours.astype(np.uint16) << 8 | theirs).reshape(-1)
        common += np.bincount(both, minlength=65536).reshape(256, 256)
    volumes = common.sum(axis=1), common.sum(axis=0)
    flat = prediction.labels.reshape(-1), reference.labels.reshape(-1)
    for index, voxel_indices in prediction.overlaps.items():
        common[index] += np.bincount(flat[1][voxel_indices], minlength=256)
        volumes[0][index] += len(voxel_indices)
    for index, voxel_indices in reference.overlaps.items():
        common[:, index] += np.bincount(flat[0][voxel_indices], minlength=256)
        volumes[1][index] += len(voxel_indices)
        for ours, hidden in prediction.overlaps.items():
            common[ours, index] += len(np.intersect1d(voxel_indices, hidden))
    dice = dice_coefficient(common, volumes[0][:, None], volumes[1][None, :])
    dice[0], dice[:, 0] = 0.0, 0.0  # background
    return dice


def question_pairs(
    prediction: Segmentation,
    reference: Segmentation,
    matching: Matching,
    dice_of_pairs: Mapping[Pair, float],
    left_alone: Iterable[str] = (),
) -> tuple[tuple[Proposal, ...], tuple[str, ...]]:
    """Matches that overlap suggests, and doubts about matches that it contradicts.

    Two structures are proposed if each overlaps no other more than the partner, and if they are not known to be different.
    The voxels are read only if a proposal or a doubt is possible.

    Args:
        prediction: the prediction.
        reference: the reference, on the same grid.
        matching: the matches by name, code or value.
        dice_of_pairs: the Dice of those that were measured.
        left_alone: names of structures of the prediction that the user wants unmatched.

    Returns:
        Proposals, best first, and notes on doubtful matches.
    """
    by_value = {pair.prediction: pair for pair in matching.pairs if pair.how == BY_VALUE}
    named = [pair for pair in matching.pairs if pair.how not in (BY_VALUE, BY_HAND)]
    doubtful = [pair for pair in named if dice_of_pairs.get(pair, 1.0) < DOUBTFUL_DICE]
    alone = set(left_alone)
    ours = [*(one for one in matching.only_prediction if one.name not in alone), *by_value]
    theirs = [*matching.only_reference, *(pair.reference for pair in by_value.values())]
    if not doubtful and all(
        are_different(one, other) or _paired(one, other, by_value) for one in ours for other in theirs
    ):
        return (), ()
    dice = overlap_dice(prediction, reference)
    proposals = []
    for one in ours:
        for other in theirs:
            own = by_value.get(one)
            if are_different(one, other) or _paired(one, other, by_value) or not _each_others_best(dice, one, other):
                continue
            if own is None or dice[one.index, other.index] > dice[one.index, own.reference.index] + CLEARLY_BETTER:
                instead = own.reference.name if own else ""
                proposals.append(Proposal(one.name, other.name, float(dice[one.index, other.index]), instead))
    proposals.sort(key=lambda proposal: -proposal.dice)
    return tuple(proposals), tuple(_doubts(dice, doubtful, matching))


def _paired(one: Structure, other: Structure, by_value: Mapping[Structure, Pair]) -> bool:
    return one in by_value and by_value[one].reference == other


def _each_others_best(dice: np.ndarray, one: Structure, other: Structure) -> bool:
    found = dice[one.index, other.index]
    return bool(found >= PROPOSED_DICE and found == dice[one.index].max() and found == dice[:, other.index].max())


def _doubts(dice: np.ndarray, doubtful: Iterable[Pair], matching: Matching) -> Iterable[str]:
    """A note for each match by name that hardly overlaps while its reference overlaps another structure."""
    ours = [*(pair.prediction for pair in matching.pairs), *matching.only_prediction]
    for pair in doubtful:
        best = next((one for one in ours if _each_others_best(dice, one, pair.reference)), None)
        if best is not None and best != pair.prediction:
            yield (
                f"“{pair.reference.name}” of the reference was compared with “{pair.prediction.name}” of the prediction (matched "
                f"by {pair.how}), but lies on “{best.name}” (Dice {dice[best.index, pair.reference.index]:.2f}): check what "
                "the label values mean, and whether two structures are swapped."
            )
