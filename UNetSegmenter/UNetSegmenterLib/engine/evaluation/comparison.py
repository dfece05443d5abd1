"""Comparison of a prediction with a reference in one case: all structures, all measures, and where to look."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from ..counting import counted
from ..errors import InputError
from ..io.geometry import SHEAR_MM, sheared_text
from ..io.slicing_axis import AXIAL
from ..labels.bounding_boxes import Box, grown, joint_box, structure_boxes
from ..labels.distinct_colors import distinct_colors
from ..labels.ignored import without_voxels
from ..labels.matching import Matching, Pair, match_structures
from ..labels.matching_by_overlap import Proposal, question_pairs
from ..labels.segmentation import Segmentation
from ..labels.structures import Structure, refuse_two_spellings
from .common_grid import on_one_grid, warning_of_distance
from .measures import DEFAULT_TOLERANCE_MM, Measures, check_tolerance, measure_with_position
from .slice_measures import SliceCurve, slice_curve


@dataclass(frozen=True)
class StructureComparison:
    """Comparison of one structure of one case.

    Attributes:
        case: Name of the case.
        structure: Name of the structure, the reference's where the two differ.
        status: "ok" both sides have voxels; "missed" only the reference has; "spurious" only the prediction has; "absent"
            neither has; "unmatched" only one side defines the structure.
        measures: All measures; None for "absent" and "unmatched".
        note: Text beside the numbers.
        color: Colour of the structure (red, green, blue), 0 to 255.
        tolerance_mm: Tolerance of the normalised surface distance.
        prediction: The prediction's structure, None where it has none.
        reference: The reference's structure, None where it has none.
        curve: Dice and areas slice by slice, None without measures.
        largest_error_ras: Position of the largest error (RAS, mm), None without measures.
        matched: How the two structures were paired, as in `Pair.how`.
    """

    case: str
    structure: str
    status: str
    measures: Measures | None = None
    note: str = ""
    color: tuple[int, int, int] = (128, 128, 128)
    tolerance_mm: float = DEFAULT_TOLERANCE_MM
    prediction: Structure | None = None
    reference: Structure | None = None
    curve: SliceCurve | None = None
    largest_error_ras: tuple[float, float, float] | None = None
    matched: str = ""


@dataclass(frozen=True)
class Comparison:
    """Comparison of all structures of one case.

    Attributes:
        case: Name of the case.
        rows: One entry per structure.
        notes: Texts that belong beside the numbers.
        matching: Which structures were paired.
        prediction_name: Name of the prediction.
        reference_name: Name of the reference.
        complete: False if the comparison was cancelled; `rows` then holds the structures that were measured before.
        proposals: Structures that overlap, but were not paired because their names differ.
        slicing_axis: What the slices of the curves follow each other along: the axis of the network that predicted.
        warnings: Those of the notes that make the numbers doubtful: what lies outside the other's grid, or far from it.
    """

    case: str
    rows: tuple[StructureComparison, ...]
    notes: tuple[str, ...] = ()
    matching: Matching = field(default_factory=lambda: Matching((), (), ()))
    prediction_name: str = ""
    reference_name: str = ""
    complete: bool = True
    proposals: tuple[Proposal, ...] = ()
    slicing_axis: str = AXIAL
    warnings: tuple[str, ...] = ()


def with_distinct_colors(comparison: Comparison) -> Comparison:
    """The same comparison with colours that one can tell apart, for what is shown of it; its structures keep their own."""
    colors = distinct_colors([row.structure for row in comparison.rows])
    rows = (replace(row, color=color) for row, color in zip(comparison.rows, colors, strict=True))
    return replace(comparison, rows=tuple(rows))


def compare(
    prediction: Segmentation,
    reference: Segmentation,
    case: str = "",
    *,
    progress: Callable[[int, int], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
    tolerance_mm: float = DEFAULT_TOLERANCE_MM,
    by_hand: Mapping[str, str | None] | None = None,
) -> Comparison:
    """Measure every structure of a prediction and its reference, in 3D and in the reference's grid.

    Args:
        prediction: Labels to compare; on another grid they are resampled with nearest neighbour, and a note says so.
        reference: Labels to compare with.
        case: Name of the case.
        progress: Called as `progress(done, total)` after each structure.
        cancelled: Called before each structure; the comparison ends where it returns True.
        tolerance_mm: Tolerance of the normalised surface distance.
        by_hand: Structures paired by the user, prediction's to reference's name; None for "not this one".

    Returns:
        One row per structure, and notes.

    Raises:
        InputError: If the two grids do not overlap, the reference lies outside the prediction's, or they are sheared
            (distances in mm would be wrong), if one side holds a structure twice, or for a negative tolerance.
    """
    check_tolerance(tolerance_mm)
    notes = _checked_notes("prediction", prediction) + _checked_notes("reference", reference)
    matching = match_structures(prediction.structures, reference.structures, by_hand)
    prediction, reference, of_grids, warnings = on_one_grid(prediction, reference)
    notes += [*of_grids, *warnings]
    prediction, reference = _where_decided(prediction, reference, notes)
    notes += _notes(prediction, reference, matching)
    rows = _measured_rows(prediction, reference, matching, case, tolerance_mm, progress=progress, cancelled=cancelled)
    complete = len(rows) == len(matching.pairs)
    measured = {pair: row.measures.dice for pair, row in zip(matching.pairs, rows, strict=False) if row.measures}
    not_paired = [name for name, other in (by_hand or {}).items() if other is None]
    proposals: tuple[Proposal, ...] = ()
    if complete:
        proposals, doubts = question_pairs(prediction, reference, matching, measured, not_paired)
        notes += [*(proposal.text for proposal in proposals), *doubts]
    dice = [row.measures.dice for row in rows if row.status == "ok" and row.measures]
    if not warnings and (apart := warning_of_distance(prediction, reference, dice)):
        notes, warnings = [*notes, apart], [*warnings, apart]
    rows += [_unmatched(one, reference, "reference", case, tolerance_mm, proposals) for one in matching.only_reference]
    rows += [
        _unmatched(one, prediction, "prediction", case, tolerance_mm, proposals) for one in matching.only_prediction
    ]
    return Comparison(
        case, tuple(rows), tuple(notes), matching, prediction.name, reference.name, complete, proposals,
        prediction.slicing_axis, tuple(warnings),
    )  # fmt: skip


def _checked_notes(side: str, segmentation: Segmentation) -> list[str]:
    """Notes of one side; raises InputError if it holds a structure twice or its grid is sheared."""
    refuse_two_spellings((structure.name for structure in segmentation.structures), f"The {side}")
    if segmentation.geometry.shear_mm() > SHEAR_MM:
        raise InputError(f"The {side}: {sheared_text(segmentation.geometry)}")
    return [f"{side.capitalize()}: {note}" for note in segmentation.notes]


def _where_decided(
    prediction: Segmentation, reference: Segmentation, notes: list[str]
) -> tuple[Segmentation, Segmentation]:
    """Both without the voxels that one of them leaves undecided, which `reference.ignored` holds afterwards."""
    masks = [one.ignored for one in (prediction, reference) if one.ignored is not None and one.ignored.any()]
    if not masks:
        return prediction, replace(reference, ignored=None)
    ignored = np.logical_or.reduce(masks)
    voxels = int(np.count_nonzero(ignored))
    notes.append(
        f"{voxels * reference.geometry.voxel_ml:.1f} ml ({100 * voxels / ignored.size:.2g} %) are labelled to be ignored: no "
        "voxel there counts, volumes are those outside, and surfaces end there, so distances near it can be too large."
    )
    prediction, reference = (without_voxels(one, ignored) for one in (prediction, reference))
    return prediction, replace(reference, ignored=ignored)


def _measured_rows(
    prediction: Segmentation,
    reference: Segmentation,
    matching: Matching,
    case: str,
    tolerance_mm: float,
    *,
    progress: Callable[[int, int], None] | None,
    cancelled: Callable[[], bool] | None,
) -> list[StructureComparison]:
    """One row per pair of structures, in their order; fewer where the comparison was cancelled."""
    ours, theirs = structure_boxes(prediction), structure_boxes(reference)
    rows: list[StructureComparison] = []
    for pair in matching.pairs:
        if cancelled is not None and cancelled():
            break
        box = joint_box(ours.get(pair.prediction.index), theirs.get(pair.reference.index))
        rows.append(_compare_pair(prediction, reference, pair, box, case, tolerance_mm))
        if progress is not None:
            progress(len(rows), len(matching.pairs))
    return rows


def _compare_pair(
    prediction: Segmentation, reference: Segmentation, pair: Pair, box: Box | None, case: str, tolerance_mm: float
) -> StructureComparison:
    name = pair.reference.name
    empty = StructureComparison(
        case,
        name,
        "absent",
        note=pair.note,
        color=pair.prediction.color,
        tolerance_mm=tolerance_mm,
        prediction=pair.prediction,
        reference=pair.reference,
        matched=pair.how,
    )
    if box is None:
        return empty
    geometry = reference.geometry
    box = box if reference.ignored is None else grown(box, geometry.shape)
    predicted = _cropped(prediction, pair.prediction.index, box)
    referred = _cropped(reference, pair.reference.index, box)
    ignored = None if reference.ignored is None else reference.ignored[box]
    measures, voxel_index = measure_with_position(predicted, referred, geometry.spacing_mm, tolerance_mm, ignored)
    assert measures is not None and voxel_index is not None
    index = np.array([extent.start for extent in box]) + voxel_index
    return replace(
        empty,
        status="spurious" if not measures.reference_ml else "missed" if not measures.prediction_ml else "ok",
        measures=measures,
        curve=slice_curve(predicted, referred, box, geometry, prediction.slicing_axis),
        largest_error_ras=geometry.position_ras_mm(index),
    )


def _unmatched(
    structure: Structure,
    segmentation: Segmentation,
    side: str,
    case: str,
    tolerance_mm: float,
    proposals: Sequence[Proposal],
) -> StructureComparison:
    volume_ml = np.count_nonzero(segmentation.mask(structure.index)) * segmentation.geometry.voxel_ml
    note = f"only in the {side} ({volume_ml:.1f} ml), so not compared"
    other = "prediction" if side == "reference" else "reference"
    if proposal := next((one for one in proposals if getattr(one, side) == structure.name), None):
        note = (
            f"no counterpart by name ({volume_ml:.1f} ml), so not compared; overlaps “{getattr(proposal, other)}” of the "
            f"{other} by Dice {proposal.dice:.2f}: compare as one structure?"
        )
    return StructureComparison(
        case,
        structure.name,
        "unmatched",
        note=note,
        color=structure.color,
        tolerance_mm=tolerance_mm,
        prediction=structure if side == "prediction" else None,
        reference=structure if side == "reference" else None,
    )


def _cropped(segmentation: Segmentation, index: int, box: Box) -> np.ndarray:
    if index in segmentation.overlaps:
        return segmentation.mask(index)[box]
    return segmentation.labels[box] == index


def _notes(prediction: Segmentation, reference: Segmentation, matching: Matching) -> list[str]:
    notes = []
    for side, segmentation in (("prediction", prediction), ("reference", reference)):
        if not segmentation.labels.any():
            notes.append(f"The {side} is empty.")
        if segmentation.overlaps:
            notes.append(
                f"Structures of the {side} overlap in {segmentation.overlap_ml():.2f} ml; each is measured whole."
            )
    if not matching.pairs:
        notes.append("No structure of the prediction has a counterpart in the reference, so nothing was compared.")
    for side, structures in (("reference", matching.only_reference), ("prediction", matching.only_prediction)):
        if structures and matching.pairs:
            notes.append(
                f"{counted(len(structures), 'structure')} only in the {side}, shown but not counted: "
                f"{', '.join(structure.name for structure in structures[:12])}{' ...' if len(structures) > 12 else ''}."
            )
    return notes
