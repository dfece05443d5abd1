"""From a data set to a pack: decide the split and the plan, read every case, bring its slices to the network's grid."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from UNetSegmenterLib.engine.errors import InputError
from UNetSegmenterLib.engine.io.atomic_files import write_folder
from UNetSegmenterLib.engine.io.image_reading import read_geometry
from UNetSegmenterLib.engine.labels.structures import Structure
from UNetSegmenterLib.engine.model.preprocessing import Preprocessing, network_labels, network_slices
from UNetSegmenterLib.engine.plausibility.anatomy import Anatomy
from UNetSegmenterLib.engine.plausibility.training_statistics import (
    CaseQuantities,
    case_quantities_to_json,
    measure_case,
    statistics_from_cases,
)

from ..training.planning import Plan, make_plan, write_plan
from .dataset import Case, DataSet, some
from .fingerprint import (
    CaseFacts,
    case_facts,
    check_presence,
    check_spacings,
    dataset_facts,
    fingerprint,
    read_case,
)
from .preprocessed_dataset import PreprocessedCase, PreprocessedDataset, sha256, write_preprocessed_dataset
from .splits import Splits, refuse_leaks, split_cases

BODY_HU = -500  # what is above it is body, not air


@dataclass(frozen=True)
class _Slices:
    """One case at the network's grid: HU and labels (slices, rows, columns).

    looks: what plausibility asks of the labels; cut_off: what they lost to the size of the slices, in words.
    """

    case: Case
    hu: np.ndarray
    labels: np.ndarray
    facts: CaseFacts
    looks: CaseQuantities | None
    cut_off: str


def prepare(
    dataset: DataSet,
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
    """Write a pack of every case of a data set, with plan.yaml beside it, and return it.

    spacing_mm (in-plane pixel size), window_hu and slice_size (rows and columns at that pixel size, cut about the body;
    (0, 0) takes whole slices) win over `plan`. Without a plan, one is made that fits them, from the training cases alone,
    which are read once more for it; gpu_gb is the memory of the GPU that it is for, 0 for a CPU. test, validation: numbers
    of patients drawn by `seed`, or names of cases; a test set that the data set itself sets apart stays one. folds: deal
    the training patients into that many folds. Nothing is left in `folder` if a case can't be used (InputError says which
    and why).
    """
    if (folder / "pack.json").exists():
        raise InputError(f"{folder} already holds a pack; choose another folder or remove it first.")
    if folder.exists() and not (folder.is_dir() and next(folder.iterdir(), None) is None):
        raise InputError(f"{folder} is there and is no pack; choose a folder that is new or empty.")
    splits = splits_of(dataset, test, validation, seed, folds)
    warnings = check_spacings(
        {case.name: read_geometry(case.image, case.resample).axial_spacing_mm for case in dataset.cases}
    )
    if plan is None:
        training = replace(dataset, cases=tuple(case for case in dataset.cases if case.name in splits["train"]))
        plan = make_plan(fingerprint(dataset_facts(training)), gpu_gb, spacing_mm, window_hu, slice_size)
    warnings += _plan_warning(plan, splits)
    plan = plan.chosen(spacing_mm, window_hu, slice_size)
    preprocessing = Preprocessing(plan.spacing_mm, plan.window_hu, slice_distance_mm=plan.slice_distance_mm)
    size = plan.slice_size
    slices = []
    for done, case in enumerate(dataset.cases, start=1):
        slices.append(_read_slices(case, dataset, preprocessing, size, case.name in splits["train"]))
        if progress:
            progress(done, len(dataset.cases))
    known = [part.facts for part in slices]
    warnings += refuse_leaks(splits, {part.name: part.voxels_sha256 for part in known})
    warnings += check_presence(splits, known)
    warnings += [f"{part.case.name}: {part.cut_off}" for part in slices if part.cut_off]
    preprocessed = _assemble(dataset, slices, preprocessing, splits, size)
    warnings += _patch_warning(plan, preprocessed)
    for warning in warnings:
        logging.getLogger(__name__).warning("%s: %s", dataset.name, warning)
    statistics = statistics_from_cases([part.looks for part in slices if part.looks is not None])
    made = {"warnings": warnings, "plan": plan.to_json(), "label_statistics": statistics}
    if folds:  # a fold's card must not hold statistics of the patients that it is validated on
        made["label_facts"] = {
            part.case.name: case_quantities_to_json(part.looks) for part in slices if part.looks is not None
        }
    preprocessed = replace(preprocessed, fingerprint={**fingerprint(known), **made})
    _write(preprocessed, plan, folder)
    return preprocessed


def _plan_warning(plan: Plan, splits: Splits) -> list[str]:
    """What speaks against a plan that was made from cases which are held out now."""
    names = set(plan.made_from)
    held_out = [name for split in ("test", "validation") for name in splits[split] if name in names]
    if not held_out:
        return []
    return [
        f"the plan was made from test or validation cases too ({some(held_out)}), so they have a say in window and spacing; "
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
    dataset: DataSet, test: int | list[str], validation: int | list[str], seed: int, folds: int = 0
) -> Splits:
    """Who is trained on, validated and tested, as `prepare` draws it; raises InputError if the patients don't suffice."""
    patients = {case.name: case.person for case in dataset.cases}
    return split_cases(list(patients), _test(dataset, test), validation, seed, folds, patients)


def _test(dataset: DataSet, test: int | list[str]) -> int | Sequence[str]:
    if not dataset.locked_test:
        return test
    if test and sorted(test if isinstance(test, list) else []) != sorted(dataset.locked_test):
        raise InputError(
            f"{dataset.name} sets {len(dataset.locked_test)} test cases apart itself; leave --test out, so that they and "
            "no others are tested."
        )
    return dataset.locked_test


def _write(preprocessed: PreprocessedDataset, plan: Plan, folder: Path) -> None:
    def write(partial: Path) -> None:
        write_preprocessed_dataset(preprocessed, partial)
        write_plan(plan, partial / "plan.yaml", preprocessed.name)

    write_folder(folder, write)


def _read_slices(
    case: Case, dataset: DataSet, preprocessing: Preprocessing, size: tuple[int, int], trains: bool
) -> _Slices:
    volume, segmentation = read_case(case, dataset.structures)
    between, *in_plane = volume.geometry.axial_spacing_mm
    in_plane_mm = (in_plane[0], in_plane[1])
    hu = network_slices(volume.geometry.to_axial(volume.array), in_plane_mm, preprocessing)
    labels = volume.geometry.to_axial(segmentation.labels)
    labels = network_labels(labels, in_plane_mm, preprocessing, len(dataset.structures) + 1)
    cut_off = ""
    if all(size):
        rows, columns = body_region(hu, size, preprocessing.window_hu[0])
        kept = labels[:, rows, columns]
        voxel_ml = between * preprocessing.spacing_mm**2 / 1000
        cut_off = cut_off_text(labels, kept, dataset.structures, voxel_ml, size)
        hu, labels = hu[:, rows, columns], kept
    looks = measure_case(Anatomy(segmentation, volume)) if trains else None
    return _Slices(case, hu, labels, case_facts(case.name, volume, segmentation), looks, cut_off)


def _assemble(
    dataset: DataSet, slices: list[_Slices], preprocessing: Preprocessing, splits: Splits, size: tuple[int, int]
) -> PreprocessedDataset:
    multiple = preprocessing.size_multiple
    rows, columns = (
        size
        if all(size)
        else (-(-max(part.hu.shape[axis] for part in slices) // multiple) * multiple for axis in (1, 2))
    )
    total = sum(len(part.hu) for part in slices)
    images = np.full((total, rows, columns), preprocessing.window_hu[0], dtype=np.int16)
    labels = np.zeros((total, rows, columns), dtype=np.uint8)
    cases, start = [], 0
    for part in slices:
        top, left = (rows - part.hu.shape[1]) // 2, (columns - part.hu.shape[2]) // 2
        case = PreprocessedCase(
            part.case.name,
            start,
            start + len(part.hu),
            top,
            left,
            part.hu.shape[1],
            part.hu.shape[2],
            part.facts.spacing_mm,
            sha256(part.case.image),
            sha256(part.case.label),
            part.case.patient,
            part.facts.voxels_sha256,
        )
        case.region(images)[:] = part.hu
        case.region(labels)[:] = part.labels
        cases.append(case)
        start = case.stop
    return PreprocessedDataset(
        images,
        labels,
        dataset.name,
        preprocessing,
        dataset.structures,
        tuple(cases),
        splits,
        {},
        dataset.licence,
        dataset.citation,
    )


def body_region(hu: np.ndarray, size: tuple[int, int], window_low_hu: float) -> tuple[slice, slice]:
    """Rows and columns that stay when slices (slices, rows, columns) of HU, clipped to the window, are cut to `size`.

    They lie about the median of the body's pixels, those above air, and never reach beyond the slice; a side that is
    shorter than `size` stays whole.
    """
    body = hu > max(BODY_HU, window_low_hu)
    places = zip((body.sum(axis=(0, 2)), body.sum(axis=(0, 1))), hu.shape[1:], size, strict=True)
    rows, columns = (_about(_median(counts), own, wanted) for counts, own, wanted in places)
    return rows, columns


def _median(counts: np.ndarray) -> float:
    """The place that has as many counts before it as after it; the middle if there are none."""
    total = counts.sum()
    return float(np.searchsorted(np.cumsum(counts), total / 2, side="right")) if total else len(counts) / 2


def _about(middle: float, own: int, wanted: int) -> slice:
    if own <= wanted:
        return slice(0, own)
    start = min(max(round(middle - wanted / 2), 0), own - wanted)
    return slice(start, start + wanted)


def cut_off_text(
    whole: np.ndarray, kept: np.ndarray, structures: Sequence[Structure], voxel_ml: float, size: tuple[int, int]
) -> str:
    """What labels lose when they are cut from `whole` to `kept`, in ml and %; empty if nothing."""
    before, after = (np.bincount(labels.ravel(), minlength=len(structures) + 1) for labels in (whole, kept))
    lost = [
        f"{(before[part.index] - after[part.index]) * voxel_ml:.3g} ml "
        f"({100 * (1 - after[part.index] / before[part.index]):.2g} %) of {part.name}"
        for part in structures
        if after[part.index] < before[part.index]
    ]
    return f"slices of {size[0]} x {size[1]} pixels cut off {', '.join(lost)}" if lost else ""


def check_sources(preprocessed: PreprocessedDataset, dataset: DataSet) -> None:
    """Raise InputError unless the pack holds just the cases of the data set, and from the very same files.

    Names, then the SHA-256 of every image and label that pack.json recorded, are compared.
    """
    packed = {case.name: case for case in preprocessed.cases}
    there = {case.name: case for case in dataset.cases}
    if packed.keys() != there.keys():
        names = ", ".join(sorted(packed.keys() ^ there.keys())[:5])
        raise InputError(
            f"The pack holds {len(packed)} cases and {dataset.name} {len(there)}; they differ in {names}: prepare the data "
            "set into another folder."
        )
    for name, case in there.items():
        for path, recorded in ((case.image, packed[name].image_sha256), (case.label, packed[name].label_sha256)):
            if sha256(path) != recorded:
                raise InputError(
                    f"The pack was built from another {path.name} than {path} (its SHA-256 differs from pack.json): "
                    "prepare the data set into another folder."
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
    """Raise InputError if the pack in `folder` was prepared otherwise than these choices say; None stands for no choice."""
    wanted = {"spacing_mm": spacing_mm, "window_hu": window_hu, "slice_size": slice_size}
    if plan:
        wanted = {name: getattr(plan, name) if value is None else value for name, value in wanted.items()}
    made = preprocessed.fingerprint.get("plan", {})
    found = {
        "spacing_mm": preprocessed.preprocessing.spacing_mm,
        "window_hu": preprocessed.preprocessing.window_hu,
        "slice_size": tuple(made.get("slice_size", (0, 0))),
    }
    if splits is not None:
        wanted["split"], found["split"] = splits, preprocessed.splits  # type: ignore[assignment]
    for name, value in wanted.items():
        if value is not None and value != found[name]:
            shown = f"another {name}" if name == "split" else f"{name} {found[name]}, not {value}"
            raise InputError(f"{folder} was prepared with {shown}; choose another folder, or leave the option out.")
