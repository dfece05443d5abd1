"""The error map: for every voxel, whether prediction and reference agree, and if not, which of the two has a structure there."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..errors import InputError
from ..labels.matching import Pair
from ..labels.segmentation import Segmentation
from ..labels.structures import Structure, canonical_name
from ..stepwise import Steps, run_to_end
from .common_grid import resample_to_reference

AGREEMENT, FALSE_POSITIVE, FALSE_NEGATIVE, CONFUSED = 1, 2, 3, 4
CLASSES = {
    AGREEMENT: ("agreement", (150, 170, 150)),
    FALSE_POSITIVE: ("false positive", (230, 159, 0)),
    FALSE_NEGATIVE: ("false negative", (86, 180, 233)),
    CONFUSED: ("confused", (170, 68, 153)),
}
"""Name and colour of each class; the errors' colours are those of M. Okabe and K. Ito, for all kinds of colour vision."""

STEP_VOXELS = 1 << 20  # about ten ms


def error_map(prediction: Segmentation, reference: Segmentation, pairs: Sequence[Pair]) -> Segmentation:
    """Classes of all voxels of the reference's grid, as a segmentation with one structure per class.

    A voxel is a *false positive* if the prediction has a structure there that the reference does not have there, a *false
    negative* the other way round, *confused* if it is both (another structure than the reference's), and *agreement* if
    both have the same structures there. Where structures overlap this holds for each of them.

    Args:
        prediction: Labels to compare; on another grid they are resampled with nearest neighbour.
        reference: Labels to compare with.
        pairs: The structures that are compared; all others count as background.

    Returns:
        A segmentation on the reference's grid. The structures' names contain the volumes in ml; with a single pair the
        class "confused" is left out.

    Raises:
        InputError: If the two grids do not overlap.
    """
    return run_to_end(error_map_steps(prediction, reference, pairs))


def error_map_steps(prediction: Segmentation, reference: Segmentation, pairs: Sequence[Pair]) -> Steps:
    """`error_map` in small steps, for an interface that must stay responsive."""
    if not prediction.geometry.is_close(reference.geometry):
        prediction = resample_to_reference(prediction, reference.geometry)
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
    _classify_overlaps(labels, prediction, reference, pairs)
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
    name = f"{prediction.name} errors"
    return Segmentation(labels, reference.geometry, tuple(structures), name, slicing_axis=prediction.slicing_axis)


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
    """Table from structure index to pair number, 0 for a structure without counterpart."""
    table = np.zeros(256, dtype=np.uint8)
    table[list(pair_of)] = list(pair_of.values())
    return table


def _classes(ours: np.ndarray, theirs: np.ndarray) -> np.ndarray:
    """Classes of voxels that belong to at most one pair on each side."""
    one_sided = np.array([0, FALSE_POSITIVE, FALSE_NEGATIVE, CONFUSED], dtype=np.uint8)
    classes = one_sided[(ours != 0) + 2 * (theirs != 0).view(np.uint8)]
    classes[(ours == theirs) & (ours != 0)] = AGREEMENT
    return classes


def _classify_overlaps(
    labels: np.ndarray, prediction: Segmentation, reference: Segmentation, pairs: Sequence[Pair]
) -> None:
    """Set the classes where structures overlap on either side, from all structures that have the voxel."""
    hidden = [voxels for side in (prediction, reference) for voxels in side.overlaps.values()]
    if not hidden:
        return
    voxels = np.unique(np.concatenate(hidden))
    only_prediction, only_reference, either = (np.zeros(len(voxels), dtype=bool) for _ in range(3))
    for pair in pairs:
        ours = _holds(prediction, pair.prediction.index, voxels)
        theirs = _holds(reference, pair.reference.index, voxels)
        only_prediction |= ours & ~theirs
        only_reference |= theirs & ~ours
        either |= ours | theirs
    errors = np.array([AGREEMENT, FALSE_POSITIVE, FALSE_NEGATIVE, CONFUSED], dtype=np.uint8)
    labels.reshape(-1)[voxels] = np.where(either, errors[only_prediction + 2 * only_reference.view(np.uint8)], 0)


def _holds(segmentation: Segmentation, index: int, voxels: np.ndarray) -> np.ndarray:
    """Which of these voxels (flat indices, sorted) belong to a structure, also where another one overlaps it."""
    visible = segmentation.labels.reshape(-1)[voxels] == index
    return visible | np.isin(voxels, segmentation.overlaps.get(index, ()))
