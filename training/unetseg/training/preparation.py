"""From a data set to a preprocessed one: decide splits and plan, read every case, resample its slices to the network's grid."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from UNetSegmenterLib.engine.errors import InputError
from UNetSegmenterLib.engine.io.atomic_files import write_folder
from UNetSegmenterLib.engine.io.image_reading import read_geometry
from UNetSegmenterLib.engine.labels.structures import Structure
from UNetSegmenterLib.engine.model.normalisation import window
from UNetSegmenterLib.engine.model.preprocessing import Preprocessing, network_labels, network_slices
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
    IMAGES,
    LABELS,
    PreprocessedCase,
    PreprocessedDataset,
    read_preprocessed_dataset,
    sha256,
    write_preprocessed_dataset,
)
from ..data.splits import Splits, refuse_leaks, split_cases
from .planning import Plan, make_plan, write_plan

BODY_HU = -500  # what is above it is body, not air


@dataclass(frozen=True)
class _ResampledCase:
    """One case at the network's grid.

    Attributes:
        case: the case of the data set.
        hu: int16 (slices, rows, columns).
        labels: uint8 structure indices (slices, rows, columns).
        facts: facts of the case at its own grid.
        label_quantities: what the training statistics of the plausibility checks need; None for a case that is held out.
        cut_off: the warning on labels that were lost to the size of the slices, empty if none were.
    """

    case: Case
    hu: np.ndarray
    labels: np.ndarray
    facts: CaseFacts
    label_quantities: CaseQuantities | None
    cut_off: str

    def on_disk(self, path: Path) -> _ResampledCase:
        """The case with its arrays in files, so that memory holds one case at a time; `path` is how their names begin."""
        arrays = {}
        for name, array in (("hu", self.hu), ("labels", self.labels)):
            file = path.with_name(f"{path.name}.{name}.npy")
            np.save(file, array)
            arrays[name] = np.load(file, mmap_mode="r")
        return replace(self, **arrays)

    def remove(self) -> None:
        """Remove the files of `on_disk`."""
        for array in (self.hu, self.labels):
            assert isinstance(array, np.memmap) and array.filename is not None
            Path(array.filename).unlink()


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
        training = replace(dataset, cases=tuple(case for case in dataset.cases if case.name in splits["train"]))
        plan = make_plan(fingerprint(dataset_facts(training)), gpu_gb, spacing_mm, window_hu, slice_size)
    warnings += _plan_warning(plan, splits)
    plan = plan.chosen(spacing_mm, window_hu, slice_size)
    pixels = (plan.spacing_mm, plan.spacing_mm)
    preprocessing = Preprocessing(pixels, window(*plan.window_hu), slice_distance_mm=plan.slice_distance_mm)

    def write(partial: Path) -> None:
        resampled_cases = []
        for done, case in enumerate(dataset.cases, start=1):
            one = _resample(case, dataset, preprocessing, plan.slice_size, in_training=case.name in splits["train"])
            resampled_cases.append(one.on_disk(partial / f"case{done}"))
            if progress:
                progress(done, len(dataset.cases))
        all_facts = [one.facts for one in resampled_cases]
        warnings.extend(refuse_leaks(splits, {facts.name: facts.voxels_sha256 for facts in all_facts}))
        warnings.extend(check_presence(splits, all_facts))
        warnings.extend(f"{one.case.name}: {one.cut_off}" for one in resampled_cases if one.cut_off)
        preprocessed = _assemble(dataset, resampled_cases, preprocessing, splits, plan.slice_size, folder=partial)
        warnings.extend(_patch_warning(plan, preprocessed))
        stored = {"warnings": warnings, "plan": plan.to_json(), **_label_statistics(resampled_cases, by_case=folds > 0)}
        preprocessed = replace(preprocessed, fingerprint={**fingerprint(all_facts), **stored})
        write_preprocessed_dataset(preprocessed, partial)
        write_plan(plan, partial / "plan.yaml", preprocessed.name)

    write_folder(folder, write)
    for warning in warnings:
        logging.getLogger(__name__).warning("%s: %s", dataset.name, warning)
    return read_preprocessed_dataset(folder)


def _label_statistics(resampled_cases: Sequence[_ResampledCase], *, by_case: bool) -> dict[str, Any]:
    """Statistics of the training labels; `by_case` adds the quantities of each case.

    A fold's card must not hold statistics of the patients that it is validated on, so it is made from those of its own cases.
    """
    quantities = {one.case.name: one.label_quantities for one in resampled_cases if one.label_quantities is not None}
    stored: dict[str, Any] = {"label_statistics": statistics_from_cases(list(quantities.values()))}
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


def _patch_warning(plan: Plan, preprocessed: PreprocessedDataset) -> list[str]:
    patch, size = plan.config.patch, preprocessed.images.shape[1:]
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
    labels = volume.geometry.to_axial(segmentation.labels)
    labels = network_labels(labels, in_plane_mm, preprocessing)
    cut_off = ""
    if all(size):
        rows, columns = body_region(hu, size, preprocessing.normalisation.lowest)
        kept = labels[:, rows, columns]
        pixel_mm2 = np.prod(preprocessing.spacing_mm or in_plane_mm)
        cut_off = cut_off_text(labels, kept, dataset.structures, between * float(pixel_mm2) / 1000, size)
        hu, labels = hu[:, rows, columns], kept
    label_quantities = measure_case(Anatomy(segmentation, volume)) if in_training else None
    return _ResampledCase(case, hu, labels, case_facts(case.name, volume, segmentation), label_quantities, cut_off)


def _assemble(
    dataset: Dataset,
    resampled_cases: list[_ResampledCase],
    preprocessing: Preprocessing,
    splits: Splits,
    size: tuple[int, int],
    *,
    folder: Path,
) -> PreprocessedDataset:
    """Two array files of all cases in `folder`, each case in the middle of slices of one size, with air around it.

    The files of the single cases are removed.
    """
    multiple = preprocessing.size_multiple
    rows, columns = (
        size
        if all(size)
        else (-(-max(one.hu.shape[axis] for one in resampled_cases) // multiple) * multiple for axis in (1, 2))
    )
    total = sum(len(one.hu) for one in resampled_cases)
    shape, air = (total, rows, columns), preprocessing.normalisation.lowest
    images = np.lib.format.open_memmap(folder / IMAGES, mode="w+", dtype=np.int16, shape=shape)
    labels = np.lib.format.open_memmap(folder / LABELS, mode="w+", dtype=np.uint8, shape=shape)
    cases, start = [], 0
    for one in resampled_cases:
        own_rows, own_columns = one.hu.shape[1:]
        case = PreprocessedCase(
            name=one.case.name,
            start=start,
            stop=start + len(one.hu),
            top=(rows - own_rows) // 2,
            left=(columns - own_columns) // 2,
            rows=own_rows,
            columns=own_columns,
            spacing_mm=one.facts.spacing_mm,
            image_sha256=sha256(one.case.image),
            label_sha256=sha256(one.case.label),
            patient=one.case.patient,
            voxels_sha256=one.facts.voxels_sha256,
        )
        images[case.start : case.stop] = air
        case.region(images)[:] = one.hu
        case.region(labels)[:] = one.labels
        one.remove()
        cases.append(case)
        start = case.stop
    return PreprocessedDataset(
        images=images,
        labels=labels,
        name=dataset.name,
        preprocessing=preprocessing,
        structures=dataset.structures,
        cases=tuple(cases),
        splits=splits,
        fingerprint={},
        licence=dataset.licence,
        citation=dataset.citation,
    )


def body_region(hu: np.ndarray, size: tuple[int, int], window_low_hu: float) -> tuple[slice, slice]:
    """Rows and columns that stay when slices are cut to `size` about the median of the body's pixels.

    They never reach beyond the slice; a side that is shorter than `size` stays whole.

    Args:
        hu: (slices, rows, columns), clipped to the window.
        size: rows and columns that are wanted.
        window_low_hu: lower end of the window; what is above it and above air is body.
    """
    body = hu > max(BODY_HU, window_low_hu)
    counts_by_axis = (body.sum(axis=(0, 2)), body.sum(axis=(0, 1)))
    rows, columns = (
        _about(_median(counts), own, wanted)
        for counts, own, wanted in zip(counts_by_axis, hu.shape[1:], size, strict=True)
    )
    return rows, columns


def _median(counts: np.ndarray) -> float:
    """The index with as many counts before it as after it; the middle if there are no counts."""
    total = counts.sum()
    return float(np.searchsorted(np.cumsum(counts), total / 2, side="right")) if total else len(counts) / 2


def _about(middle: float, own: int, wanted: int) -> slice:
    """`wanted` of `own` pixels about a middle, moved inwards at the border."""
    if own <= wanted:
        return slice(0, own)
    start = min(max(round(middle - wanted / 2), 0), own - wanted)
    return slice(start, start + wanted)


def cut_off_text(
    whole: np.ndarray, kept: np.ndarray, structures: Sequence[Structure], voxel_ml: float, size: tuple[int, int]
) -> str:
    """The warning on labels that are lost by cutting `whole` to `kept`, in ml and %; empty if none are."""
    before, after = (np.bincount(labels.ravel(), minlength=len(structures) + 1) for labels in (whole, kept))
    lost = [
        f"{(before[one.index] - after[one.index]) * voxel_ml:.3g} ml "
        f"({100 * (1 - after[one.index] / before[one.index]):.2g} %) of {one.name}"
        for one in structures
        if after[one.index] < before[one.index]
    ]
    return f"slices of {size[0]} x {size[1]} pixels cut off {', '.join(lost)}" if lost else ""


def check_sources(preprocessed: PreprocessedDataset, dataset: Dataset) -> None:
    """Check that a preprocessed data set was made from exactly the files of a data set, by name and by SHA-256.

    Raises:
        InputError: the cases, or the files of a case, differ.
    """
    before, now = ([one.name for one in owner.structures] for owner in (preprocessed, dataset))
    if before != now:
        raise InputError(
            f"The preprocessed data set has the structures {', '.join(before)}, not {', '.join(now)}: prepare the data "
            "set into another folder."
        )
    recorded = {case.name: case for case in preprocessed.cases}
    present = {case.name: case for case in dataset.cases}
    if recorded.keys() != present.keys():
        names = ", ".join(sorted(recorded.keys() ^ present.keys())[:5])
        raise InputError(
            f"The preprocessed data set holds {len(recorded)} cases and {dataset.name} {len(present)}; they differ in {names}: "
            "prepare the data set into another folder."
        )
    for name, case in present.items():
        hashes = ((case.image, recorded[name].image_sha256), (case.label, recorded[name].label_sha256))
        for path, recorded_sha256 in hashes:
            if sha256(path) != recorded_sha256:
                raise InputError(
                    f"The preprocessed data set was made from another {path.name} than {path} (its SHA-256 differs from "
                    "pack.json): prepare the data set into another folder."
                )


def check_choices(
    preprocessed: PreprocessedDataset,
    folder: Path,
    *,
    plan: Plan | None,
    spacing_mm: float | None,
    window_hu: tuple[float, float] | None,
    slice_size: tuple[int, int] | None,
    splits: Splits | None,
) -> None:
    """Check that the preprocessed data set in `folder` was made with these choices, named as those of `prepare`.

    Raises:
        InputError: a choice that is not None differs.
    """
    wanted = {"spacing_mm": spacing_mm, "window_hu": window_hu, "slice_size": slice_size}
    if plan:
        wanted = {name: getattr(plan, name) if value is None else value for name, value in wanted.items()}
    stored_plan = preprocessed.fingerprint.get("plan", {})
    found = {
        "spacing_mm": preprocessed.preprocessing.pixel_mm,
        "window_hu": preprocessed.preprocessing.window_hu,
        "slice_size": tuple(stored_plan.get("slice_size", (0, 0))),
    }
    if splits is not None:
        wanted["split"], found["split"] = splits, preprocessed.splits  # type: ignore[assignment]
    for name, value in wanted.items():
        if value is not None and value != found[name]:
            shown = f"another {name}" if name == "split" else f"{name} {found[name]}, not {value}"
            raise InputError(f"{folder} was prepared with {shown}; choose another folder, or leave the option out.")
