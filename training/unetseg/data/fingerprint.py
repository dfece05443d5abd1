"""The fingerprint of a data set: the facts that a plan is made from, and what speaks against them."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
from UNetSegmenterLib.engine.errors import InputError
from UNetSegmenterLib.engine.io.geometry import grid_difference, same_grid_note
from UNetSegmenterLib.engine.io.image_reading import read_volume
from UNetSegmenterLib.engine.io.volume import SOFT_TISSUE_HU, Volume, check_volume
from UNetSegmenterLib.engine.labels.segmentation import Segmentation
from UNetSegmenterLib.engine.labels.segmentation_files import read_segmentation
from UNetSegmenterLib.engine.labels.structures import Structure

from .dataset import Case, DataSet
from .seen_cases import voxels_sha256
from .splits import Splits

HU_EVERY = 7  # of the voxels inside structures, for percentiles
SPACING_RATIO = 10.0  # in-plane spacings that differ by this are no one data set

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
    """One case: axial size (slices, rows, columns), spacing in the same order, how it is stored, its HU, its structures.

    range_hu are the lowest and the highest value; percentiles_hu are 0.5, 50 and 99.5 % inside structures, empty if nothing
    is labelled. warnings are what the checks of a scan say. hu_sample holds HU of some voxels inside structures and
    index_sample which structure each is of; both are not written to files.
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

    def to_json(self) -> dict[str, Any]:
        """What pack.json keeps of it."""
        return {key: value for key, value in asdict(self).items() if key not in ("hu_sample", "index_sample")}


@dataclass(frozen=True)
class Refused:
    """A case that can't be used, and why, in one sentence."""

    name: str
    reason: str


def read_case(case: Case, structures: tuple[Structure, ...]) -> tuple[Volume, Segmentation]:
    """Scan and labels of a case; raises InputError if they don't share one grid."""
    volume = read_volume(case.image, case.resample)
    segmentation = read_segmentation(case.label, structures, only_declared=True, resample=case.resample)
    return volume, check_same_grid(volume, segmentation, case.label)


def check_same_grid(volume: Volume, segmentation: Segmentation, label: Path) -> Segmentation:
    """The labels, if they lie voxel on voxel of the image; raises InputError if not, logs where only just.

    A file with nothing drawn in it and no grid of its own is empty on the image's.
    """
    segmentation = segmentation.with_known_grid(volume.geometry)
    difference = grid_difference(segmentation.geometry, volume.geometry)
    if not volume.geometry.is_close(segmentation.geometry):
        raise InputError(f"{label} has another grid than its image: {difference}; image and label must share one grid.")
    notes = (*segmentation.notes, same_grid_note(segmentation.geometry, volume.geometry, f"{label.name} and its image"))
    for note in filter(None, notes):
        logging.getLogger(__name__).warning("%s: %s", label, note)
    return segmentation


def case_facts(name: str, volume: Volume, segmentation: Segmentation) -> CaseFacts:
    """Facts of one case."""
    labelled = segmentation.labels > 0
    inside, indices = volume.array[labelled], segmentation.labels[labelled]
    counts = np.bincount(indices, minlength=len(segmentation.structures) + 1)
    warnings = [note.text for note in check_volume(volume) if note.severity == "warning"]
    return CaseFacts(
        name,
        volume.geometry.axial_shape,
        volume.geometry.axial_spacing_mm,
        volume.geometry.orientation(),
        round(volume.geometry.obliqueness_degrees(), 1),
        (float(volume.array.min()), float(volume.array.max())),
        tuple(np.percentile(inside, [0.5, 50, 99.5]).tolist()) if inside.size else (),
        {part.name: round(float(counts[part.index] * volume.geometry.voxel_ml), 3) for part in segmentation.structures},
        voxels_sha256(volume),
        (*warnings, *(jump_text(after) for after in slice_jumps(volume))),
        np.asarray(inside[::HU_EVERY], dtype=np.float32),
        indices[::HU_EVERY],
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


def jump_text(after: int) -> str:
    """What to tell a person of a jump after axial slice `after`, counted from 0."""
    return (
        f"a jump between axial slices {after + 1} and {after + 2}, counted from the feet: they differ more than their "
        "neighbours do, as if slices were missing or the patient had moved."
    )


def dataset_facts(dataset: DataSet) -> list[CaseFacts]:
    """Facts of every case; reads every voxel once. Raises InputError for the first case that can't be used."""
    found = []
    for facts in inspect_cases(dataset):
        if isinstance(facts, Refused):
            raise InputError(facts.reason)
        found.append(facts)
    return found


def inspect_cases(dataset: DataSet, workers: int = 1) -> Iterator[CaseFacts | Refused]:
    """Facts of case after case, or why it can't be used; `workers` processes read."""
    with _mapping(workers) as each:
        yield from each(partial(_facts_or_reason, structures=dataset.structures), dataset.cases)


@contextmanager
def _mapping(workers: int) -> Iterator[Any]:
    """`map`, in this process or in several; SimpleITK reads one file at a time in a process, whatever its threads."""
    if workers <= 1:
        yield map
        return
    with ProcessPoolExecutor(workers, get_context("spawn")) as pool:
        yield pool.map


def _facts_or_reason(case: Case, structures: tuple[Structure, ...]) -> CaseFacts | Refused:
    try:
        return case_facts(case.name, *read_case(case, structures))
    except InputError as error:
        return Refused(case.name, str(error))


def fingerprint(facts: Sequence[CaseFacts]) -> dict[str, Any]:
    """What pack.json and the plan hold of a data set, JSON-ready."""
    samples = [part.hu_sample for part in facts if part.hu_sample.size]
    pooled = np.concatenate(samples) if samples else np.zeros(1, np.float32)
    return {
        "cases": len(facts),
        "slices": sum(part.size[0] for part in facts),
        "median_size": np.median([part.size for part in facts], axis=0).tolist(),
        "median_spacing_mm": np.median([part.spacing_mm for part in facts], axis=0).round(4).tolist(),
        "structure_hu_percentiles_0.5_50_99.5": np.percentile(pooled, [0.5, 50, 99.5]).round(1).tolist(),
        "by_case": [part.to_json() for part in facts],
    }


def check_spacings(spacings_mm: dict[str, tuple[float, float, float]]) -> list[str]:
    """Raise InputError if in-plane spacings differ tenfold; warnings for slice distances that do.

    spacings_mm: case name to (slice, row, column) of the axial view.
    """
    warnings = []
    for axis, what in ((1, "pixels"), (0, "slice distances")):
        low, high = (pick(spacings_mm, key=lambda name: spacings_mm[name][axis]) for pick in (min, max))
        smallest, largest = spacings_mm[low][axis], spacings_mm[high][axis]
        text = f"{what} run from {smallest:g} mm ({low}) to {largest:g} mm ({high})"
        if largest < SPACING_RATIO * smallest:
            continue
        if axis:
            raise InputError(f"The {text}; a file has lost its spacing, it seems: correct it or take it out.")
        warnings.append(f"{text}: neighbouring slices mean different things in them")
    return warnings


def check_presence(splits: Splits, facts: Sequence[CaseFacts]) -> list[str]:
    """Raise InputError for a structure that no training case has; warnings for those that another split lacks."""
    by_name = {part.name: part.structure_ml for part in facts}
    warnings = []
    for split, names in splits.items():
        if not names:
            continue
        for structure in by_name[names[0]]:
            if any(by_name[name][structure] > 0 for name in names):
                continue
            if split == "train":
                raise InputError(
                    f"No training case has any voxel of {structure}, so it can't be learned; add cases that have it, take "
                    "it out of the structures, or split in another way."
                )
            warnings.append(f"no case of the split {split} has {structure}: nothing will be known of it there")
    return warnings
