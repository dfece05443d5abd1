"""Splits into training, validation and test cases: by patient, drawn once, and checked for leaks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from UNetSegmenterLib.engine.counting import counted
from UNetSegmenterLib.engine.errors import InputError

Splits = dict[str, list[str]]


def split_cases(
    names: Sequence[str],
    test: int | Sequence[str],
    validation: int | Sequence[str],
    seed: int,
    folds: int = 0,
    patients: Mapping[str, str] | None = None,
) -> Splits:
    """Cases of each split: those that are named, the others drawn by `seed`.

    Args:
        names: all cases.
        test: number of test patients, or names of cases.
        validation: number of validation patients, or names of cases.
        seed: seed of the draw.
        folds: number of folds; the training patients are also divided into "fold0", "fold1" and so on, each of which is the
            validation split of one run of a cross-validation.
        patients: name of a case to its patient, where that is known; all scans of a patient go into one split.

    Raises:
        InputError: there are too few patients, or the named cases would separate scans of one patient.
    """
    patient_of = {name: (patients or {}).get(name) or name for name in names}
    members: dict[str, list[str]] = {}
    for name in sorted(names):
        members.setdefault(patient_of[name], []).append(name)
    order = [str(patient) for patient in np.random.default_rng(seed).permutation(sorted(members))]
    chosen: Splits = {}
    for split, wanted in (("test", test), ("validation", validation)):
        if isinstance(wanted, int):
            drawn, order = order[:wanted], order[wanted:]
        else:
            free = {name for patient in order for name in members[patient]}
            if unknown := sorted(set(wanted) - free):
                raise InputError(f"{', '.join(unknown)} can't be {split} cases: no such case is left in the data set.")
            drawn = sorted({patient_of[name] for name in wanted})
            if separated := sorted({name for patient in drawn for name in members[patient]} - set(wanted)):
                raise InputError(
                    f"{separated[0]} is of the same patient as a {split} case ({patient_of[separated[0]]}) but would be trained "
                    f"on; name all scans of a patient as {split} cases."
                )
            order = [patient for patient in order if patient not in drawn]
        chosen[split] = sorted(name for patient in drawn for name in members[patient])
    if not order:
        raise InputError(
            f"Of {counted(len(members), 'patient')} none is left to train on; ask for fewer test and validation cases."
        )
    splits = {"train": sorted(name for patient in order for name in members[patient]), **chosen}
    return splits | _fold_members(order, members, folds)


def _fold_members(order: Sequence[str], members: Mapping[str, list[str]], folds: int) -> Splits:
    if not folds:
        return {}
    if not 2 <= folds <= len(order):
        raise InputError(
            f"{folds} folds were asked for; 2 to {len(order)} can be made of {counted(len(order), 'training patient')}."
        )
    return {
        f"fold{fold}": sorted(name for patient in order[fold::folds] for name in members[patient])
        for fold in range(folds)
    }


def fold_names(splits: Splits) -> list[str]:
    """Names of the folds, in their order; empty if the data set has none."""
    return [name for name in splits if name.startswith("fold")]


def count_folds(splits: Splits, where: Path) -> int:
    """How many folds the data set in `where` has; raises InputError if none."""
    if not (folds := fold_names(splits)):
        raise InputError(f"{where} has no folds; prepare the data set with --folds 5.")
    return len(folds)


def fold_splits(splits: Splits, fold: int) -> tuple[str, str]:
    """Training and validation split of one run of a cross-validation.

    Raises:
        InputError: there is no such fold.
    """
    folds = fold_names(splits)
    if f"fold{fold}" not in folds:
        there = f"0 to {len(folds) - 1}" if folds else "none: prepare the data set with --folds"
        raise InputError(f"There is no fold {fold}; the preprocessed data set has {there}.")
    return "+".join(name for name in folds if name != f"fold{fold}"), f"fold{fold}"


def refuse_leaks(splits: Splits, voxels_sha256: Mapping[str, str]) -> list[str]:
    """Warnings for images that occur twice within one split.

    Args:
        splits: names of the cases of each split.
        voxels_sha256: case name to the hash of its voxels, which recognises a scan under another name or in another file.

    Raises:
        InputError: two splits share an image.
    """
    notes = []
    folds = {name: members for name, members in splits.items() if name.startswith("fold")}
    others = {name: members for name, members in splits.items() if name not in folds}
    for disjoint in (others, folds):
        seen: dict[str, tuple[str, str]] = {}
        for split, names in disjoint.items():
            for name in names:
                other, where = seen.setdefault(voxels_sha256[name], (name, split))
                if other == name:
                    continue
                if where != split:
                    raise InputError(
                        f"{other} ({where}) and {name} ({split}) hold the very same voxels; a scan in two splits makes the "
                        "result look better than it is, so remove one of them or name both for one split."
                    )
                if not split.startswith("fold"):
                    notes.append(f"{other} and {name} hold the very same voxels (both in {split})")
    return notes
