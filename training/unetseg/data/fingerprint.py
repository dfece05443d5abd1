"""The fingerprint of a data set: facts of every case that a plan is made from, and checks of them."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from UNetSegmenterLib.engine.errors import InputError
from UNetSegmenterLib.engine.io.geometry import grid_difference, same_grid_note
from UNetSegmenterLib.engine.io.image_reading import read_volume
from UNetSegmenterLib.engine.io.volume import SOFT_TISSUE_HU, Volume, check_volume
from UNetSegmenterLib.engine.labels.dicom_references import check_same_patient_space
from UNetSegmenterLib.engine.labels.segmentation import Segmentation
from UNetSegmenterLib.engine.labels.structures import Structure

from ..process_pool import WorkerDied, run_in_processes
from .dataset import Case, Dataset
from .seen_cases import voxels_sha256
from .source_checks import Ends, clipped_ends, clipped_text, default_spacing_text
from .splits import Splits
from .structure_selection import read_labels

HU_EVERY = 7  # every 7th voxel inside structures is kept, for percentiles
SPACING_RATIO = 10.0  # in-plane spacings that differ by this factor can't be right

# A jump: two neighbouring slices that differ more than those around them, as if one were missing. Image files hold one slice
# distance, so a series that lost slices before it was converted still looks even. What it shows does not: on fifteen CTs of
# the trunk the ratio stayed under 1.35; with one slice of 1 to 3 mm taken out it rose above 1.4 in 109 of 150 trials, with
# two in 147.
JUMP_RATIO = 1.4  # difference of two neighbouring slices over the median of those around it
JUMP_NEIGHBOURS = 5  # slices to both sides that it is compared with
JUMP_FEWEST_SLICES = 30
JUMP_LARGEST_DISTANCE_MM = 5.0  # beyond it, neighbouring slices differ for reasons of anatomy


@dataclass(frozen=True)
class CaseFacts:
    """Facts of one case.

    Attributes:
        name: name of the case.
        size: (slices, rows, columns) of the axial view.
        spacing_mm: (slice, row, column) of the axial view.
        orientation: how the voxels are stored, such as "LPS".
        oblique_degrees: angle between the stored axes and the patient's.
        range_hu: lowest and highest value.
        percentiles_hu: 0.5, 50 and 99.5 % inside structures; empty if nothing is labelled.
        structure_ml: volume of each structure by name.
        voxels_sha256: hash of what the image shows (`seen_cases.voxels_sha256`).
        warnings: messages of the checks of a scan.
        hu_sample: HU of some voxels inside structures, (n,); not written to files.
        index_sample: the structure of each of them, (n,); not written to files.
        clipped_hu: where the HU were cut off, below and above; None where they were not.
    """

    name: str
    size: tuple[int, int, int]
    spacing_mm: tuple[float, float, float]
    orientation: str
    oblique_degrees: float
    range_hu: tuple[float, float]
    percentiles_hu: tuple[float, ...]
    structure_ml: dict[str, float]
    voxels_sha256: str
    warnings: tuple[str, ...]
    hu_sample: np.ndarray
    index_sample: np.ndarray
    clipped_hu: Ends = (None, None)

    def to_json(self) -> dict[str, Any]:
        """What pack.json keeps of them."""
        return {key: value for key, value in asdict(self).items() if key not in ("hu_sample", "index_sample")}


@dataclass(frozen=True)
class UnusableCase:
    """A case that can't be used, and the reason in one sentence."""

    name: str
    reason: str


def read_case(case: Case, structures: tuple[Structure, ...]) -> tuple[Volume, Segmentation]:
    """Scan and labels of a case.

    Raises:
        InputError: one of them can't be read, or they do not share one grid.
    """
    volume = read_volume(case.image, case.resample)
    segmentation = read_labels(case, structures, volume.geometry, only_declared=True)
    return volume, check_same_grid(volume, segmentation, case.label)


def check_same_grid(volume: Volume, segmentation: Segmentation, label: Path) -> Segmentation:
    """The labels, checked to have the image's grid; a difference within the tolerance is logged.

    A file without a grid of its own and without labels counts as empty on the image's grid.

    Args:
        volume: the scan.
        segmentation: its labels.
        label: file of the labels, for messages.

    Raises:
        InputError: the grids differ, or the frames of reference.
    """
    check_same_patient_space(segmentation, volume)
    segmentation = segmentation.with_known_grid(volume.geometry)
    difference = grid_difference(segmentation.geometry, volume.geometry)
    if not volume.geometry.is_close(segmentation.geometry):
        raise InputError(f"{label} has another grid than its image: {difference}; image and label must share one grid.")
    notes = (*segmentation.notes, same_grid_note(segmentation.geometry, volume.geometry, f"{label.name} and its image"))
    for note in filter(None, notes):
        logging.getLogger(__name__).warning("%s: %s", label, note)
    return segmentation


def case_facts(name: str, volume: Volume, segmentation: Segmentation) -> CaseFacts:
    """Facts of one case, from its scan and labels on one grid."""
    labelled = segmentation.labels > 0
    inside, indices = volume.array[labelled], segmentation.labels[labelled]
    counts = np.bincount(indices, minlength=len(segmentation.structures) + 1)
    warnings = [note.text for note in check_volume(volume) if note.severity == "warning"]
    voxel_ml = volume.geometry.voxel_ml
    clipped = clipped_ends(volume)
    warnings += filter(
        None,
        (clipped_text(clipped), default_spacing_text(volume.geometry.axial_spacing_mm, volume.geometry.axial_shape)),
    )
    return CaseFacts(
        name=name,
        size=volume.geometry.axial_shape,
        spacing_mm=volume.geometry.axial_spacing_mm,
        orientation=volume.geometry.orientation(),
        oblique_degrees=round(volume.geometry.obliqueness_degrees(), 1),
        range_hu=(float(volume.array.min()), float(volume.array.max())),
        percentiles_hu=tuple(np.percentile(inside, [0.5, 50, 99.5]).tolist()) if inside.size else (),
        structure_ml={one.name: round(float(counts[one.index] * voxel_ml), 3) for one in segmentation.structures},
        voxels_sha256=voxels_sha256(volume),
        warnings=(*warnings, *(slice_jump_text(after) for after in slice_jumps(volume))),
        hu_sample=np.asarray(inside[::HU_EVERY], dtype=np.float32),
        index_sample=indices[::HU_EVERY],
        clipped_hu=clipped,
    )


def slice_jumps(volume: Volume) -> list[int]:
    """Numbers of the axial slices (from 0, at the feet) after which the scan jumps; none if it is too coarse to tell."""
    axial = volume.geometry.to_axial(volume.array)
    if len(axial) < JUMP_FEWEST_SLICES or volume.geometry.axial_spacing_mm[0] > JUMP_LARGEST_DISTANCE_MM:
        return []
    rows, columns = (max(1, size // 64) for size in axial.shape[1:])
    small = axial[:, ::rows, ::columns].astype(np.float32).clip(*SOFT_TISSUE_HU)
    change = np.abs(np.diff(small, axis=0)).mean(axis=(1, 2))
    usual = [np.median(change[max(0, i - JUMP_NEIGHBOURS) : i + JUMP_NEIGHBOURS + 1]) for i in range(len(change))]
    return np.flatnonzero(change > JUMP_RATIO * np.maximum(usual, 1.0)).tolist()


def slice_jump_text(after: int) -> str:
    """The warning for a jump after axial slice `after`, counted from 0."""
    return (
        f"a jump between axial slices {after + 1} and {after + 2}, counted from the feet: they differ more than their "
        "neighbours do, as if slices were missing or the patient had moved."
    )


def dataset_facts(dataset: Dataset) -> list[CaseFacts]:
    """Facts of every case; reads every voxel once.

    Raises:
        InputError: a case can't be used; the first one is named.
    """
    found = []
    for facts in inspect_cases(dataset):
        if isinstance(facts, UnusableCase):
            raise InputError(facts.reason)
        found.append(facts)
    return found


def inspect_cases(dataset: Dataset, workers: int = 1) -> Iterator[CaseFacts | UnusableCase]:
    """Facts of case after case, or why it can't be used; `workers` processes read the files.

    Within one process SimpleITK reads one file at a time.
    """
    if workers <= 1:
        for case in dataset.cases:
            yield _facts_or_reason(case, dataset.structures)
        return
    early: dict[int, Any] = {}
    answers = run_in_processes(_reader, dataset.structures, dataset.cases, workers=workers, threads=None)
    for index in range(len(dataset.cases)):
        while index not in early:
            early.update([next(answers)])
        facts = early.pop(index)
        yield UnusableCase(dataset.cases[index].name, str(facts)) if isinstance(facts, WorkerDied) else facts


def _reader(structures: tuple[Structure, ...]) -> Callable[[Case], CaseFacts | UnusableCase]:
    return partial(_facts_or_reason, structures=structures)


def _facts_or_reason(case: Case, structures: tuple[Structure, ...]) -> CaseFacts | UnusableCase:
    try:
        return case_facts(case.name, *read_case(case, structures))
    except InputError as error:
        return UnusableCase(case.name, str(error))


def fingerprint(facts: Sequence[CaseFacts]) -> dict[str, Any]:
    """What pack.json and the plan keep of a data set, ready for JSON."""
    samples = [one.hu_sample for one in facts if one.hu_sample.size]
    pooled = np.concatenate(samples) if samples else np.zeros(1, np.float32)
    return {
        "cases": len(facts),
        "slices": sum(one.size[0] for one in facts),
        "median_size": np.median([one.size for one in facts], axis=0).tolist(),
        "median_spacing_mm": np.median([one.spacing_mm for one in facts], axis=0).round(4).tolist(),
        "structure_hu_percentiles_0.5_50_99.5": np.percentile(pooled, [0.5, 50, 99.5]).round(1).tolist(),
        "by_case": [one.to_json() for one in facts],
    }


def check_spacings(spacings_mm: dict[str, tuple[float, float, float]]) -> list[str]:
    """Warnings for slice distances that differ tenfold.

    Args:
        spacings_mm: case name to (slice, row, column) of the axial view.

    Raises:
        InputError: in-plane spacings differ tenfold.
    """
    warnings = []
    for axis, what in ((1, "pixels"), (0, "slice distances")):
        low, high = (pick(spacings_mm, key=lambda name: spacings_mm[name][axis]) for pick in (min, max))
        smallest, largest = spacings_mm[low][axis], spacings_mm[high][axis]
        text = f"{what} run from {smallest:g} mm ({low}) to {largest:g} mm ({high})"
        if largest < SPACING_RATIO * smallest:
            continue
        if axis:
            raise InputError(f"The {text}; a file seems to have lost its spacing: correct it or remove it.")
        warnings.append(f"{text}: neighbouring slices mean different things in them")
    return warnings


def check_presence(splits: Splits, facts: Sequence[CaseFacts]) -> list[str]:
    """Warnings for structures that a split other than the training split lacks.

    Raises:
        InputError: no training case has a structure.
    """
    by_name = {one.name: one.structure_ml for one in facts}
    warnings = []
    for split, names in splits.items():
        if not names:
            continue
        for structure in by_name[names[0]]:
            if any(by_name[name][structure] > 0 for name in names):
                continue
            if split == "train":
                raise InputError(
                    f"No training case has any voxel of {structure}, so it can't be learned; add cases that have it, "
                    "remove it from the structures, or split in another way."
                )
            warnings.append(f"no case of the split {split} has {structure}: it can't be measured there")
    return warnings
