"""From a data set to a pack: decide the split and the plan, read every case, bring its slices to the network's grid."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from UNetSegmenterLib.engine.errors import InputError
from UNetSegmenterLib.engine.findings.anatomy import Anatomy
from UNetSegmenterLib.engine.findings.reference import Facts, facts, statistics_of
from UNetSegmenterLib.engine.preprocessing import Preprocessing, network_labels, network_slices
from UNetSegmenterLib.engine.volume import read_geometry

from .datasets import Case, DataSet
from .fingerprint import (
    CaseFacts,
    case_facts,
    check_presence,
    check_spacings,
    dataset_facts,
    fingerprint,
    read_case,
)
from .pack import Pack, PackedCase, sha256, write_pack
from .plan import Plan, make_plan, write_plan
from .slice_size import body_region, cut_off_text
from .splits import Splits, refuse_leaks, split_cases

__all__ = ["prepare", "split_cases"]


@dataclass(frozen=True)
class _Slices:
    """One case at the network's grid: HU and labels (slices, rows, columns).

    looks: what plausibility asks of the labels; cut_off: what they lost to the size of the slices, in words.
    """

    case: Case
    hu: np.ndarray
    labels: np.ndarray
    facts: CaseFacts
    looks: Facts | None
    cut_off: str


def prepare(
    dataset: DataSet,
    folder: Path,
    spacing_mm: float | None = None,
    window_hu: tuple[float, float] | None = None,
    test: int | list[str] = 0,
    validation: int | list[str] = 0,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
    plan: Plan | None = None,
    folds: int = 0,
    slice_size: tuple[int, int] | None = None,
) -> Pack:
    """Write a pack of every case of a data set, with plan.yaml beside it, and return it.

    spacing_mm (in-plane pixel size), window_hu and slice_size (rows and columns at that pixel size, cut about the body;
    (0, 0) takes whole slices) win over `plan`; what neither says is planned from the data, for which every case is read once
    more. test, validation: numbers of patients drawn by `seed`, or names of cases; a test set that
    the data set itself sets apart stays one. folds: deal the training patients into that many folds. Nothing is left in
    `folder` if a case can't be used (InputError says which and why).
    """
    if (folder / "pack.json").exists():
        raise InputError(f"{folder} already holds a pack; choose another folder or remove it first.")
    patients = {case.name: case.person for case in dataset.cases}
    splits = split_cases(list(patients), _test(dataset, test), validation, seed, folds, patients)
    warnings = check_spacings({case.name: read_geometry(case.image).axial_spacing_mm for case in dataset.cases})
    if plan is None and (spacing_mm is None or window_hu is None):
        plan = make_plan(fingerprint(dataset_facts(dataset)), _gpu_gb())
    preprocessing = Preprocessing(
        spacing_mm or plan.spacing_mm,  # type: ignore[union-attr]
        window_hu or plan.window_hu,  # type: ignore[union-attr]
        slice_distance_mm=plan.slice_distance_mm if plan else _median_distance(dataset),
    )
    size = slice_size or (plan.slice_size if plan else (0, 0))
    slices = []
    for done, case in enumerate(dataset.cases, start=1):
        slices.append(_read_slices(case, dataset, preprocessing, size, case.name in splits["train"]))
        if progress:
            progress(done, len(dataset.cases))
    known = [part.facts for part in slices]
    warnings += refuse_leaks(splits, {part.name: part.pixels_sha256 for part in known})
    warnings += check_presence(splits, known)
    warnings += [f"{part.case.name}: {part.cut_off}" for part in slices if part.cut_off]
    for warning in warnings:
        logging.getLogger(__name__).warning("%s: %s", dataset.name, warning)
    found = fingerprint(known)
    plan = replace(
        plan or make_plan(found, _gpu_gb()),
        spacing_mm=preprocessing.spacing_mm,
        window_hu=preprocessing.window_hu,
        slice_distance_mm=preprocessing.slice_distance_mm,
    ).with_slice_size(size)
    pack = _assemble(dataset, slices, preprocessing, splits, size)
    statistics = statistics_of([part.looks for part in slices if part.looks is not None])
    made = {"warnings": warnings, "plan": plan.to_json(), "label_statistics": statistics}
    pack = replace(pack, fingerprint={**found, **made})
    _write(pack, plan, folder)
    return pack


def _test(dataset: DataSet, test: int | list[str]) -> int | Sequence[str]:
    if not dataset.locked_test:
        return test
    if test and sorted(test if isinstance(test, list) else []) != sorted(dataset.locked_test):
        raise InputError(
            f"{dataset.name} sets {len(dataset.locked_test)} test cases apart itself; leave --test out, so that they and "
            "no others are tested."
        )
    return dataset.locked_test


def _write(pack: Pack, plan: Plan, folder: Path) -> None:
    partial = folder.with_name(f".partial-{folder.name}")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        write_pack(pack, partial)
        write_plan(plan, partial / "plan.yaml", pack.name)
        folder.parent.mkdir(parents=True, exist_ok=True)
        partial.replace(folder)
    except OSError as error:
        raise InputError(
            f"{folder} could not be written ({error.strerror}); check the folder's rights and free space."
        ) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


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
    looks = facts(Anatomy(segmentation, volume)) if trains else None
    return _Slices(case, hu, labels, case_facts(case.name, volume, segmentation), looks, cut_off)


def _assemble(
    dataset: DataSet, slices: list[_Slices], preprocessing: Preprocessing, splits: Splits, size: tuple[int, int]
) -> Pack:
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
        case = PackedCase(
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
        )
        case.region(images)[:] = part.hu
        case.region(labels)[:] = part.labels
        cases.append(case)
        start = case.stop
    return Pack(
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


def _gpu_gb() -> float:
    """Memory of the GPU that would train, 0 without one."""
    import torch

    return torch.cuda.get_device_properties(0).total_memory / 2**30 if torch.cuda.is_available() else 0.0


def _median_distance(dataset: DataSet) -> float:
    distances = [read_geometry(case.image).axial_spacing_mm[0] for case in dataset.cases]
    return round(float(np.median(distances)), 3)
