"""A prediction and its reference on one grid, and what of them lies where the other has none."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..errors import InputError
from ..io.geometry import Geometry, grid_difference, same_grid_note
from ..labels.coverage import fraction_outside, labelled_ml, percent_text
from ..labels.segmentation import Segmentation, resample_labels, resample_segmentation

ALMOST_ALL = 0.95
SAME_SCAN = "check that both belong to the same scan and that no transform is missing"


def on_one_grid(
    prediction: Segmentation, reference: Segmentation
) -> tuple[Segmentation, Segmentation, list[str], list[str]]:
    """Both on the reference's grid; an empty side of unknown grid takes the other's.

    Returns:
        Prediction, reference, notes, and warnings of what lies outside the other's grid.

    Raises:
        InputError: the grids don't overlap, or no labelled voxel of the reference lies in the prediction's grid.
    """
    reference = reference.with_known_grid(prediction.geometry)
    prediction = prediction.with_known_grid(reference.geometry)
    if prediction.geometry.is_close(reference.geometry):
        note = same_grid_note(prediction.geometry, reference.geometry, "prediction and reference")
        return prediction, reference, [note] if note else [], []
    resampled = resample_to_reference(prediction, reference.geometry)
    notes = [
        f"The prediction has another grid than the reference ({grid_difference(prediction.geometry, reference.geometry)}): its "
        "labels were resampled onto the reference's grid with nearest neighbour."
    ]
    return resampled, reference, notes, _warnings_of_outside(prediction, reference)


def resample_to_reference(prediction: Segmentation, target: Geometry) -> Segmentation:
    """Resample the prediction to the reference's grid; raises InputError if the two don't overlap anywhere."""
    source = prediction.geometry
    if not resample_labels(np.ones(target.shape, dtype=np.uint8), target, source).any():
        raise InputError(
            f"The grids of prediction ({source.grid_text()}) and reference ({target.grid_text()}) don't overlap anywhere; "
            f"{SAME_SCAN}."
        )
    return resample_segmentation(prediction, target)


def _warnings_of_outside(prediction: Segmentation, reference: Segmentation) -> list[str]:
    """What of each side lies outside the other's grid; raises InputError where nothing of the reference could be found."""
    missed, lost = fraction_outside(reference, prediction.geometry), fraction_outside(prediction, reference.geometry)
    if missed == 1:
        raise InputError(
            f"No labelled voxel of the reference lies in the prediction's grid ({prediction.geometry.grid_text()}), so nothing "
            f"can be compared; {SAME_SCAN}."
        )
    warnings = []
    if missed:
        much = f"almost nothing was compared; {SAME_SCAN}" if missed >= ALMOST_ALL else "it counts as missed"
        ml = labelled_ml(reference) * missed
        warnings.append(
            f"{ml:.1f} ml of the reference ({percent_text(missed)}) lie outside the prediction's grid, where nothing could be "
            f"found: {much}."
        )
    if lost:
        ml = labelled_ml(prediction) * lost
        doubt = f"; {SAME_SCAN}" if lost >= ALMOST_ALL and missed < ALMOST_ALL else ""
        warnings.append(
            f"{ml:.1f} ml of the prediction ({percent_text(lost)}) lie outside the reference's grid and are not counted{doubt}."
        )
    return warnings


def warning_of_distance(prediction: Segmentation, reference: Segmentation, dice: Sequence[float]) -> str:
    """The warning that no structure meets its reference, as after a lost transform; empty where one does, or there is none.

    Args:
        prediction: labels on the reference's grid.
        reference: labels.
        dice: the Dice of every structure that both sides have.
    """
    if not dice or any(dice):
        return ""
    apart_mm = float(np.linalg.norm(np.subtract(_centre_mm(prediction), _centre_mm(reference))))
    shared = (
        "The one structure that both sides hold"
        if len(dice) == 1
        else f"Each of the {len(dice)} structures of both sides"
    )
    return (
        f"{shared} lies apart from its counterpart, and the centres of prediction and reference are {apart_mm:.0f} mm apart: "
        "check that both belong to the same scan, and that neither was moved or mirrored."
    )


def _centre_mm(segmentation: Segmentation) -> tuple[float, float, float]:
    """Centre of all labelled voxels (LPS, mm)."""
    labelled = segmentation.labels > 0
    counts = (np.count_nonzero(labelled, axis=axes) for axes in ((1, 2), (0, 2), (0, 1)))
    return segmentation.geometry.position_lps_mm([float(np.average(np.arange(len(n)), weights=n)) for n in counts])
