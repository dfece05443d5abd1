"""The error map: for every voxel, whether prediction and reference agree on it, and if not, which of the two claims it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..errors import InputError
from ..labels.matching import Pair
from ..labels.segmentation import Segmentation
from ..labels.structures import Structure, canonical_name
from ..stepwise import Steps, run_to_end
from .comparison import onto_reference

AGREEMENT, FALSE_POSITIVE, FALSE_NEGATIVE, CONFUSED = 1, 2, 3, 4
CLASSES = {
    AGREEMENT: ("agreement", (150, 170, 150)),
    FALSE_POSITIVE: ("false positive", (230, 159, 0)),
    FALSE_NEGATIVE: ("false negative", (86, 180, 233)),
    CONFUSED: ("confused", (204, 121, 167)),
}
"""Name and colour of each class; the errors' colours are M. Okabe and K. Ito's, who chose them for all kinds of colour vision."""

STEP_VOXELS = 1 << 20  # some ten ms


def error_map(prediction: Segmentation, reference: Segmentation, pairs: Sequence[Pair]) -> Segmentation:
    """Classes of all voxels of the reference's grid, as a segmentation with one structure a class.

    Over the structures that are paired; what has no counterpart counts as background on its side. A voxel is a *false
    positive* if the prediction gives it to a structure that the reference doesn't give it to, a *false negative* the
    other way round, *confused* if it is both (another structure than the reference's), and *agreement* if both give it
    to the same ones. Where structures overlap this holds for each of them. The names carry the volumes in ml. With one
    pair nothing can be confused, and the class is left out. A prediction on another grid is resampled with nearest
    neighbour; raises InputError if the two grids don't meet.
    """
    return run_to_end(error_map_steps(prediction, reference, pairs))


def error_map_steps(prediction: Segmentation, reference: Segmentation, pairs: Sequence[Pair]) -> Steps:
    """`error_map` in small steps, for a face that must not stand still."""
    if not prediction.geometry.is_close(reference.geometry):
        prediction = onto_reference(prediction, reference.geometry, [])
        yield
    ours = _numbers({pair.prediction.index: number for number, pair in enumerate(pairs, start=1)})
    theirs = _numbers({pair.reference.index: number for number, pair in enumerate(pairs, start=1)})
    slices, rows, columns = reference.geometry.shape
    labels = np.zeros((slices, rows, columns), dtype=np.uint8)
    step = max(1, STEP_VOXELS // (rows * columns))
    for start in range(0, slices, step):
        part = slice(start, start + step)
        labels[part] = _classes(ours[prediction.labels[part]], theirs[reference.labels[part]])
        yield
    _put_right_overlaps(labels, prediction, reference, pairs)
    yield
    counts = np.zeros(len(CLASSES) + 1, dtype=np.int64)
    for start in range(0, slices, step):
        counts += np.bincount(labels[start : start + step].reshape(-1), minlength=len(counts))
        yield
    volumes_ml = counts * reference.geometry.voxel_ml
    structures = [
        Structure(f"{name} ({volumes_ml[index]:.1f} ml)", index, (index,), color)
        for index, (name, color) in CLASSES.items()
        if index != CONFUSED or len(pairs) > 1
    ]
    return Segmentation(labels, reference.geometry, tuple(structures), f"{prediction.name} errors")


def pairs_of(pairs: Sequence[Pair], structure: str | None) -> list[Pair]:
    """All pairs, or the one of the structure with this name on either side. Raises InputError if no pair has it."""
    if structure is None:
        return list(pairs)
    wanted = canonical_name(structure)
    for side in ("reference", "prediction"):
        found = [pair for pair in pairs if canonical_name(getattr(pair, side).name) == wanted]
        if found:
            return found[:1]
    there = ", ".join(pair.reference.name for pair in pairs) or "none"
    raise InputError(f"“{structure}” is not on both sides, so there is no error to show; on both sides: {there}.")


def _numbers(pair_of: dict[int, int]) -> np.ndarray:
    """Table from structure index to pair number, 0 for what has no counterpart."""
    table = np.zeros(256, dtype=np.uint8)
    table[list(pair_of)] = list(pair_of.values())
    return table


def _classes(ours: np.ndarray, theirs: np.ndarray) -> np.ndarray:
    """Classes of voxels that belong to at most one pair on each side."""
    one_sided = np.array([0, FALSE_POSITIVE, FALSE_NEGATIVE, CONFUSED], dtype=np.uint8)
    classes = one_sided[(ours != 0) + 2 * (theirs != 0).view(np.uint8)]
    classes[(ours == theirs) & (ours != 0)] = AGREEMENT
    return classes


def _put_right_overlaps(
    labels: np.ndarray, prediction: Segmentation, reference: Segmentation, pairs: Sequence[Pair]
) -> None:
    """Classes where a structure lies under another one on either side, counted over all that claim the voxel."""
    hidden = [places for side in (prediction, reference) for places in side.overlaps.values()]
    if not hidden:
        return
    places = np.unique(np.concatenate(hidden))
    too_much, too_little, claimed = (np.zeros(len(places), dtype=bool) for _ in range(3))
    for pair in pairs:
        ours = _claims(prediction, pair.prediction.index, places)
        theirs = _claims(reference, pair.reference.index, places)
        too_much |= ours & ~theirs
        too_little |= theirs & ~ours
        claimed |= ours | theirs
    errors = np.array([AGREEMENT, FALSE_POSITIVE, FALSE_NEGATIVE, CONFUSED], dtype=np.uint8)
    labels.reshape(-1)[places] = np.where(claimed, errors[too_much + 2 * too_little.view(np.uint8)], 0)


def _claims(segmentation: Segmentation, index: int, places: np.ndarray) -> np.ndarray:
    """At which of these voxels (flat, sorted) a structure is, those under another one included."""
    shown = segmentation.labels.reshape(-1)[places] == index
    return shown | np.isin(places, segmentation.overlaps.get(index, ()))
