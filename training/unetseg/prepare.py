"""From a data set to a pack: read every case, bring its slices to the network's grid, decide the split."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from UNetSegmenterLib.engine.errors import InputError
from UNetSegmenterLib.engine.preprocessing import Preprocessing, network_labels, network_slices
from UNetSegmenterLib.engine.segmentation import read_segmentation
from UNetSegmenterLib.engine.structures import Structure
from UNetSegmenterLib.engine.volume import read_volume

from .datasets import Case, DataSet
from .pack import Pack, PackedCase, sha256, write_pack


@dataclass(frozen=True)
class _Slices:
    """One case at the network's grid: HU and labels (slices, rows, columns), spacing (slice, row, column) in mm."""

    case: Case
    hu: np.ndarray
    labels: np.ndarray
    spacing_mm: tuple[float, float, float]
    percentiles_hu: list[float]


def prepare(
    dataset: DataSet,
    folder: Path,
    spacing_mm: float | None = None,
    window_hu: tuple[float, float] = (-160.0, 240.0),
    test: int | list[str] = 0,
    validation: int | list[str] = 0,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> Pack:
    """Write a pack of every case of a data set and return it.

    spacing_mm: in-plane pixel size (default: the median of the data set); test, validation: numbers of patients drawn by
    `seed`, or their names. Nothing is left in `folder` if a case can't be used (InputError says which and why).
    """
    if (folder / "pack.json").exists():
        raise InputError(f"{folder} already holds a pack; choose another folder or remove it first.")
    splits = split_cases([case.name for case in dataset.cases], test, validation, seed)
    spacing_mm = spacing_mm or _median_spacing(dataset)
    preprocessing = Preprocessing(spacing_mm, window_hu, slice_distance_mm=_median_distance(dataset))
    slices = []
    for done, case in enumerate(dataset.cases, start=1):
        slices.append(_read_case(case, dataset.structures, preprocessing))
        if progress:
            progress(done, len(dataset.cases))
    pack = _assemble(dataset, slices, preprocessing, splits)
    partial = folder.with_name(f".partial-{folder.name}")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        write_pack(pack, partial)
        folder.parent.mkdir(parents=True, exist_ok=True)
        partial.replace(folder)
    except OSError as error:
        raise InputError(
            f"{folder} could not be written ({error.strerror}); check the folder's rights and free space."
        ) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return pack


def split_cases(
    names: list[str], test: int | list[str], validation: int | list[str], seed: int
) -> dict[str, list[str]]:
    """Patients of each split: named ones as named, the others drawn by `seed`; raises InputError if they don't suffice."""
    order = list(np.random.default_rng(seed).permutation(sorted(names)))
    chosen: dict[str, list[str]] = {}
    for split, wanted in (("test", test), ("validation", validation)):
        if isinstance(wanted, int):
            members, order = order[:wanted], order[wanted:]
        else:
            if unknown := sorted(set(wanted) - set(order)):
                raise InputError(f"{', '.join(unknown)} can't be {split} cases: no such case is left in the data set.")
            members, order = wanted, [name for name in order if name not in wanted]
        chosen[split] = sorted(map(str, members))
    if not order:
        raise InputError(f"{len(names)} case(s) leave none to train on; ask for fewer test and validation cases.")
    return {"train": sorted(map(str, order)), **chosen}


def _read_case(case: Case, structures: tuple[Structure, ...], preprocessing: Preprocessing) -> _Slices:
    volume = read_volume(case.image)
    segmentation = read_segmentation(case.label, structures)
    if not volume.geometry.is_close(segmentation.geometry):
        raise InputError(
            f"{case.label} has a grid of {segmentation.geometry.shape} at {segmentation.geometry.origin_lps} mm, its image "
            f"{volume.geometry.shape} at {volume.geometry.origin_lps} mm; image and label must share one grid."
        )
    spacing = volume.geometry.axial_spacing_mm
    labels = volume.geometry.to_axial(segmentation.labels)
    inside = volume.array[segmentation.labels > 0]
    return _Slices(
        case,
        network_slices(volume.geometry.to_axial(volume.array), spacing[1:], preprocessing),
        network_labels(labels, spacing[1:], preprocessing, len(structures) + 1),
        spacing,
        np.percentile(inside, [0.5, 50, 99.5]).tolist() if inside.size else [],
    )


def _assemble(
    dataset: DataSet, slices: list[_Slices], preprocessing: Preprocessing, splits: dict[str, list[str]]
) -> Pack:
    multiple = preprocessing.size_multiple
    rows = -(-max(part.hu.shape[1] for part in slices) // multiple) * multiple
    columns = -(-max(part.hu.shape[2] for part in slices) // multiple) * multiple
    total = sum(len(part.hu) for part in slices)
    images = np.full((total, rows, columns), preprocessing.window_hu[0], dtype=np.int16)
    labels = np.zeros((total, rows, columns), dtype=np.uint8)
    cases, start = [], 0
    for part in slices:
        top, left = (rows - part.hu.shape[1]) // 2, (columns - part.hu.shape[2]) // 2
        hashes = sha256(part.case.image), sha256(part.case.label)
        case = PackedCase(
            part.case.name, start, start + len(part.hu), top, left, *part.hu.shape[1:], part.spacing_mm, *hashes
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
        _fingerprint(slices),
        dataset.licence,
        dataset.citation,
    )


def _fingerprint(slices: list[_Slices]) -> dict[str, Any]:
    return {
        "cases": len(slices),
        "slices": sum(len(part.hu) for part in slices),
        "median_spacing_mm": np.median([part.spacing_mm for part in slices], axis=0).tolist(),
        "structure_hu_percentiles_0.5_50_99.5": {part.case.name: part.percentiles_hu for part in slices},
    }


def _geometries(dataset: DataSet) -> list[tuple[float, float, float]]:
    from UNetSegmenterLib.engine.volume import read_geometry

    return [read_geometry(case.image).axial_spacing_mm for case in dataset.cases]


def _median_spacing(dataset: DataSet) -> float:
    return round(float(np.median([spacing[1] for spacing in _geometries(dataset)])), 3)


def _median_distance(dataset: DataSet) -> float:
    return round(float(np.median([spacing[0] for spacing in _geometries(dataset)])), 3)
