"""Who is trained on, who is validated and who is tested: by patient, drawn once, and checked for leaks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
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
    """Cases of each split: named ones as named, the others drawn by `seed`.

    test, validation: numbers of patients, or names of cases; patients: whose scan a case is, where that is known (all scans
    of a patient go into one split). folds: the patients that are left for training are also dealt into "fold0", "fold1"
    and so on, each of which is the validation split of one run of a cross-validation. Raises InputError if the patients
    don't suffice, or if named cases tear a patient apart.
    """
    person = {name: (patients or {}).get(name) or name for name in names}
    members: dict[str, list[str]] = {}
    for name in sorted(names):
        members.setdefault(person[name], []).append(name)
    order = [str(patient) for patient in np.random.default_rng(seed).permutation(sorted(members))]
    chosen: Splits = {}
    for split, wanted in (("test", test), ("validation", validation)):
        if isinstance(wanted, int):
            drawn, order = order[:wanted], order[wanted:]
        else:
            free = {name for patient in order for name in members[patient]}
            if unknown := sorted(set(wanted) - free):
                raise InputError(f"{', '.join(unknown)} can't be {split} cases: no such case is left in the data set.")
            drawn = sorted({person[name] for name in wanted})
            if torn := sorted({name for patient in drawn for name in members[patient]} - set(wanted)):
                raise InputError(
                    f"{torn[0]} is of the same patient as a {split} case ({person[torn[0]]}) but would be trained on; name "
                    f"all scans of a patient as {split} cases."
                )
            order = [patient for patient in order if patient not in drawn]
        chosen[split] = sorted(name for patient in drawn for name in members[patient])
    if not order:
        raise InputError(f"{len(members)} case(s) leave none to train on; ask for fewer test and validation cases.")
    splits = {"train": sorted(name for patient in order for name in members[patient]), **chosen}
    return splits | _deal(order, members, folds)


def _deal(order: Sequence[str], members: Mapping[str, list[str]], folds: int) -> Splits:
    if not folds:
        return {}
    if not 2 <= folds <= len(order):
        raise InputError(
            f"{folds} folds were asked for; 2 to {len(order)} can be made of {len(order)} training patients."
        )
    return {
        f"fold{place}": sorted(name for patient in order[place::folds] for name in members[patient])
        for place in range(folds)
    }


def fold_splits(splits: Splits, fold: int) -> tuple[str, str]:
    """Training and validation split of one run of a cross-validation; raises InputError if there is no such fold."""
    folds = [name for name in splits if name.startswith("fold")]
    if f"fold{fold}" not in folds:
        there = f"0 to {len(folds) - 1}" if folds else "none: prepare the pack with --folds"
        raise InputError(f"There is no fold {fold}; the pack has {there}.")
    return "+".join(name for name in folds if name != f"fold{fold}"), f"fold{fold}"


def refuse_leaks(splits: Splits, voxels_sha256: Mapping[str, str]) -> list[str]:
    """Raise InputError if two splits share an image; say which images lie twice within one.

    voxels_sha256: case name to the hash of its voxels, so that a scan is known under another name or in another file.
    """
    notes = []
    for part in ({name: of for name, of in splits.items() if not name.startswith("fold")}, _folds(splits)):
        seen: dict[str, tuple[str, str]] = {}
        for split, names in part.items():
            for name in names:
                other, where = seen.setdefault(voxels_sha256[name], (name, split))
                if other == name:
                    continue
                if where != split:
                    raise InputError(
                        f"{other} ({where}) and {name} ({split}) hold the very same voxels; a scan in two splits makes the "
                        "result look better than it is, so take one of them out or name both for one split."
                    )
                if not split.startswith("fold"):
                    notes.append(f"{other} and {name} hold the very same voxels (both in {split})")
    return notes


def _folds(splits: Splits) -> Splits:
    return {name: of for name, of in splits.items() if name.startswith("fold")}
