"""From a data set to a preprocessed one: decide splits and plan, read every case, resample its slices to the network's grid."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from UNetSegmenterLib.engine.errors import InputError
from UNetSegmenterLib.engine.io.atomic_files import write_folder
from UNetSegmenterLib.engine.io.image_reading import read_geometry
from UNetSegmenterLib.engine.labels.ignored import indices_with_ignored
from UNetSegmenterLib.engine.model.normalisation import window
from UNetSegmenterLib.engine.model.preprocessing import Preprocessing, network_labels, network_size, network_slices
from UNetSegmenterLib.engine.plausibility.anatomy import Anatomy
from UNetSegmenterLib.engine.plausibility.training_statistics import (
    CaseQuantities,
    case_quantities_to_json,
    measure_case,
    statistics_from_cases,
)

from ..data.dataset import Case, Dataset, first_few
from ..data.fingerprint import (
    CaseFacts,
    case_facts,
    check_presence,
    check_spacings,
    dataset_facts,
    fingerprint,
    read_case,
)
from ..data.preprocessed_dataset import (
    ARRAYS,
    PRESENCE,
    PreprocessedCase,
    PreprocessedDataset,
    read_preprocessed_dataset,
    sha256,
)
from ..data.preprocessed_writer import PreprocessedWriter
from ..data.splits import Splits, refuse_leaks, split_cases
from ..data.structure_presence import check_learnable
from .planning import Plan, make_plan, write_plan
from .preparation_warnings import ignored_warning, source_warnings
from .slice_size import body_region, cut_off_text


@dataclass(frozen=True)
class _ResampledCase:
    """One case at the network's grid.

    Attributes:
        hu: int16 (slices, rows, columns).
        labels: uint8 structure indices (slices, rows, columns).
        facts: facts of the case at its own grid.
        label_quantities: what the training statistics of the plausibility checks need; None for a case that is held out.
        cut_off: the warning on labels that were lost to the size of the slices, empty if none were.
        has_ignored: whether voxels are labelled to be ignored.
    """

    hu: np.ndarray
    labels: np.ndarray
    facts: CaseFacts
    label_quantities: CaseQuantities | None
    cut_off: str
    has_ignored: bool


@dataclass(frozen=True)
class _PreparedCase:
    """A case that is written: where it is in the arrays, and the entries of `_ResampledCase` without its arrays."""

    entry: PreprocessedCase
    facts: CaseFacts
    label_quantities: CaseQuantities | None
    cut_off: str
    has_ignored: bool


def prepare(
    dataset: Dataset,
    folder: Path,
    *,
    spacing_mm: float | None = None,
    window_hu: tuple[float, float] | None = None,
    slice_size: tuple[int, int] | None = None,
    test: int | list[str] = 0,
    validation: int | list[str] = 0,
    seed: int = 0,
    folds: int = 0,
    plan: Plan | None = None,
    gpu_gb: float = 0.0,
    progress: Callable[[int, int], None] | None = None,
) -> PreprocessedDataset:
    """Preprocess every case of a data set, write the result with its plan.yaml to a folder, and return it.

    Without a plan, one is made from the training cases alone, which are read once more for it. If a case can't be used,
    nothing is left in the folder.

    Args:
        dataset: the cases to read.
        folder: folder to write; new or empty.
        spacing_mm: in-plane pixel size; None takes the plan's.
        window_hu: HU range that the network sees; None takes the plan's.
        slice_size: rows and columns that slices are cut or padded to about the body, (0, 0) for whole slices; None takes the
            plan's.
        test: number of test patients to draw, or names of cases; a test set that the data set sets apart is kept.
        validation: number of validation patients to draw, or names of cases.
        seed: seed of the draw of patients.
        folds: number of folds that the training patients are divided into; 0 for none.
        plan: choices for everything that is not given; None makes a plan.
        gpu_gb: memory of the GPU that the plan is made for, 0 for a CPU.
        progress: called with the number of cases done and their total.

    Raises:
        InputError: a case can't be used, the splits can't be drawn, or the folder is not empty.
    """
    _check_folder(folder)
    splits = splits_of(dataset, test, validation, seed, folds)
    warnings = check_spacings(
        {case.name: read_geometry(case.image, case.resample).axial_spacing_mm for case in dataset.cases}
    )
    if plan is None:
        facts = _training_facts(dataset, splits)
        plan = make_plan(fingerprint(facts), gpu_gb, spacing_mm, window_hu, slice_size)
    warnings += _plan_warning(plan, splits)
    plan = plan.chosen(spacing_mm, window_hu, slice_size)
    pixels = (plan.spacing_mm, plan.spacing_mm)
    preprocessing = Preprocessing(pixels, window(*plan.window_hu), slice_distance_mm=plan.slice_distance_mm)
    shape = _shape(dataset, preprocessing, plan.slice_size)
    _check_free_space(folder, shape, len(dataset.structures))

    def write(partial: Path) -> None:
        with PreprocessedWriter(partial, shape, dataset.structures) as writer:
            prepared = _write_cases(dataset, splits["train"], preprocessing, plan.slice_size, writer, progress)
            warnings.extend(_case_warnings(prepared, dataset, splits, plan, shape))
            arrays = writer.arrays()  # closes the files, so that the presence can be read
            _check_learnable(prepared, np.load(partial / PRESENCE), dataset, splits, plan)
            stored = {"warnings": warnings, "plan": plan.to_json(), **_label_statistics(prepared, by_case=folds > 0)}
            writer.finish(
                PreprocessedDataset(
                    *arrays,
                    name=dataset.name,
                    preprocessing=preprocessing,
                    structures=dataset.structures,
                    cases=tuple(one.entry for one in prepared),
                    splits=splits,
                    fingerprint={**fingerprint([one.facts for one in prepared]), **stored},
                    licence=dataset.licence,
                    citation=dataset.citation,
                    has_ignored=any(one.has_ignored for one in prepared),
                )
            )
        write_plan(plan, partial / "plan.yaml", dataset.name)

    write_folder(folder, write)
    for warning in warnings:
        logging.getLogger(__name__).warning("%s: %s", dataset.name, warning)
    return read_preprocessed_dataset(folder)


def _training_facts(dataset: Dataset, splits: Splits) -> list[CaseFacts]:
    """Facts of the training cases alone, which a plan is made from."""
    training = replace(dataset, cases=tuple(case for case in dataset.cases if case.name in splits["train"]))
    facts = dataset_facts(training)
    check_presence({"train": splits["train"]}, facts)
    return facts


def _write_cases(
    dataset: Dataset,
    trained: Sequence[str],
    preprocessing: Preprocessing,
    size: tuple[int, int],
    writer: PreprocessedWriter,
    progress: Callable[[int, int], None] | None,
) -> list[_PreparedCase]:
    """Resample and write the cases one after the other, so that one at a time is in memory."""
    prepared = []
    for done, case in enumerate(dataset.cases, start=1):
        resampled = _resample(case, dataset, preprocessing, size, in_training=case.name in trained)
        prepared.append(_write_case(case, resampled, writer, preprocessing))
        if progress:
            progress(done, len(dataset.cases))
    return prepared


def _case_warnings(
    prepared: Sequence[_PreparedCase], dataset: Dataset, splits: Splits, plan: Plan, shape: tuple[int, int, int]
) -> list[str]:
    """Warnings on what was read; raises InputError if two splits share a scan or training lacks a structure."""
    all_facts = [one.facts for one in prepared]
    ignoring = [one.entry.name for one in prepared if one.has_ignored]
    return [
        *refuse_leaks(splits, {facts.name: facts.voxels_sha256 for facts in all_facts}),
        *check_presence(splits, all_facts),
        *(f"{one.entry.name}: {one.cut_off}" for one in prepared if one.cut_off),
        *_patch_warning(plan, shape),
        *ignored_warning(ignoring, splits["train"]),
        *source_warnings(dict(zip(dataset.cases, all_facts, strict=True)), plan.window_hu),
    ]


def _check_learnable(
    prepared: Sequence[_PreparedCase], presence: np.ndarray, dataset: Dataset, splits: Splits, plan: Plan
) -> None:
    """Raise InputError for a structure that no training slice holds; `presence` is (slices, structures)."""
    trained = [one.entry for one in prepared if one.entry.name in splits["train"]]
    present = np.stack([presence[case.start : case.stop].max(axis=0) for case in trained]).max(axis=0)
    check_learnable(present, dataset.structures, plan.slice_size, plan.spacing_mm)


def _label_statistics(prepared: Sequence[_PreparedCase], *, by_case: bool) -> dict[str, Any]:
    """Statistics of the training labels; `by_case` adds the quantities of each case.

    A fold's card must not hold statistics of the patients that it is validated on, so it is made from those of its own cases.
    """
    quantities = {one.entry.name: one.label_quantities for one in prepared if one.label_quantities is not None}
    stored: dict[str, Any] = {
        "label_statistics": statistics_from_cases(list(quantities.values())) if quantities else {}
    }
    if by_case:
        stored["label_facts"] = {name: case_quantities_to_json(own) for name, own in quantities.items()}
    return stored


def _check_folder(folder: Path) -> None:
    """Raise InputError unless the folder is new or empty."""
    if (folder / "pack.json").exists():
        raise InputError(f"{folder} already holds a preprocessed data set; choose another folder or remove it first.")
    if folder.exists() and not (folder.is_dir() and next(folder.iterdir(), None) is None):
        raise InputError(f"{folder} exists and holds no preprocessed data set; choose a folder that is new or empty.")


def _plan_warning(plan: Plan, splits: Splits) -> list[str]:
    """The warning for a plan that was made from cases which are held out now."""
    names = set(plan.made_from)
    held_out = [name for split in ("test", "validation") for name in splits[split] if name in names]
    if not held_out:
        return []
    return [
        f"the plan was made from test or validation cases too ({first_few(held_out)}), so they influence window and spacing; "
        "plan with the same --test, --validation and --seed, or leave --plan out"
    ]


def _patch_warning(plan: Plan, shape: tuple[int, int, int]) -> list[str]:
    patch, size = plan.config.patch, shape[1:]
    if all(wanted <= own for wanted, own in zip(patch, size, strict=True)):
        return []
    return [
        f"the plan's patch of {patch[0]} x {patch[1]} is larger than the slices of {size[0]} x {size[1]} pixels: the rest "
        "will be air, so correct it in plan.yaml"
    ]


def splits_of(
    dataset: Dataset, test: int | list[str], validation: int | list[str], seed: int, folds: int = 0
) -> Splits:
    """The splits as `prepare` draws them.

    Raises:
        InputError: there are too few patients, or the data set sets other test cases apart.
    """
    patients = {case.name: case.patient_or_name for case in dataset.cases}
    return split_cases(list(patients), _test_cases(dataset, test), validation, seed, folds, patients)


def _test_cases(dataset: Dataset, test: int | list[str]) -> int | Sequence[str]:
    if not dataset.locked_test:
        return test
    if test and sorted(test if isinstance(test, list) else []) != sorted(dataset.locked_test):
        raise InputError(
            f"{dataset.name} sets {len(dataset.locked_test)} test cases apart itself; leave --test out, so that they and "
            "no others are tested."
        )
    return dataset.locked_test


def _resample(
    case: Case, dataset: Dataset, preprocessing: Preprocessing, size: tuple[int, int], in_training: bool
) -> _ResampledCase:
    """Read a case and resample its slices to the network's grid, cut to `size` if that is not (0, 0)."""
    volume, segmentation = read_case(case, dataset.structures)
    between, *in_plane = volume.geometry.axial_spacing_mm
    in_plane_mm = (in_plane[0], in_plane[1])
    hu = network_slices(volume.geometry.to_axial(volume.array), in_plane_mm, preprocessing)
    labels = volume.geometry.to_axial(indices_with_ignored(segmentation))
    labels = network_labels(labels, in_plane_mm, preprocessing)
    cut_off = ""
    if all(size):
        rows, columns = body_region(hu, size, preprocessing.normalisation.lowest)
        kept = labels[:, rows, columns]
        pixel_mm2 = np.prod(preprocessing.spacing_mm or in_plane_mm)
        cut_off = cut_off_text(labels, kept, dataset.structures, between * float(pixel_mm2) / 1000, size)
        hu, labels = hu[:, rows, columns], kept
    decided = segmentation.ignored is None  # volumes and shapes of half-labelled structures would be wrong
    label_quantities = measure_case(Anatomy(segmentation, volume)) if in_training and decided else None
    facts = case_facts(case.name, volume, segmentation)
    return _ResampledCase(hu, labels, facts, label_quantities, cut_off, not decided)


def _write_case(
    case: Case, resampled: _ResampledCase, writer: PreprocessedWriter, preprocessing: Preprocessing
) -> _PreparedCase:
    """Write a case into the middle of slices of the data set's size, with air around it."""
    _, rows, columns = writer.shape
    slices, own_rows, own_columns = resampled.hu.shape
    entry = PreprocessedCase(
        name=case.name,
        start=writer.count,
        stop=writer.count + slices,
        top=(rows - own_rows) // 2,
        left=(columns - own_columns) // 2,
        rows=own_rows,
        columns=own_columns,
        spacing_mm=resampled.facts.spacing_mm,
        image_sha256=sha256(case.image),
        label_sha256=sha256(case.label),
        patient=case.patient,
        voxels_sha256=resampled.facts.voxels_sha256,
    )
    around = [
        (0, 0),
        *(
            (first, side - first - own)
            for first, side, own in ((entry.top, rows, own_rows), (entry.left, columns, own_columns))
        ),
    ]
    writer.add(
        np.pad(resampled.hu, around, constant_values=int(preprocessing.normalisation.lowest)),
        np.pad(resampled.labels, around),
    )
    return _PreparedCase(entry, resampled.facts, resampled.label_quantities, resampled.cut_off, resampled.has_ignored)


def _shape(dataset: Dataset, preprocessing: Preprocessing, size: tuple[int, int]) -> tuple[int, int, int]:
    """Slices, rows and columns of the arrays, by the headers of the images."""
    multiple = preprocessing.size_multiple
    slices, sizes = 0, []
    for case in dataset.cases:
        geometry = read_geometry(case.image, case.resample)
        own_slices, *in_plane = geometry.axial_shape
        _, *in_plane_mm = geometry.axial_spacing_mm
        slices += own_slices
        sizes.append(network_size((in_plane[0], in_plane[1]), (in_plane_mm[0], in_plane_mm[1]), preprocessing))
    rows, columns = size if all(size) else (-(-max(side) // multiple) * multiple for side in zip(*sizes, strict=True))
    return slices, rows, columns


def _check_free_space(folder: Path, shape: tuple[int, int, int], structures: int) -> None:
    """Raise InputError unless the arrays fit on the folder's disk."""
    slices, rows, columns = shape
    pixels = slices * rows * columns
    needed = sum(
        np.dtype(kind).itemsize * (slices * structures if name == PRESENCE else pixels) for name, kind in ARRAYS.items()
    )
    existing = next(parent for parent in (folder, *folder.absolute().parents) if parent.exists())
    if needed > (free := shutil.disk_usage(existing).free):
        raise InputError(
            f"{folder} would take {needed / 2**30:.1f} GB ({slices} slices of {rows} x {columns} pixels), and "
            f"{free / 2**30:.1f} GB of its disk are free; free some space, choose another folder, or take a coarser "
            "--spacing or a smaller --size."
        )
