"""The cases that a checkpoint and its ancestors have seen, and whether a given case is one of them.

A case is recognised by its voxels, so that a file that was renamed, compressed or reoriented is the same scan; by its patient,
where the data set says whose scan it is; and by its name, where the voxels are not known on both sides.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

import numpy as np
from UNetSegmenterLib.engine.io.volume import Volume
from UNetSegmenterLib.engine.model.card import Card

from .dataset import first_few
from .preprocessed_dataset import PreprocessedCase

TRAINED, VALIDATED = "trained", "validated"
_SAME_VOXELS = "the same voxels"


@dataclass(frozen=True)
class CaseIdentity:
    """What a case is recognised by; `patient` and `voxels_sha256` are empty where they are not known."""

    name: str
    data_set: str
    patient: str = ""
    voxels_sha256: str = ""


@dataclass(frozen=True)
class SeenCase(CaseIdentity):
    """A case that a network was trained on, or validated with; generation 0 is the checkpoint itself, 1 its parent."""

    role: str = TRAINED
    generation: int = 0


def case_identity(case: PreprocessedCase, data_set: str) -> CaseIdentity:
    """What a preprocessed case is recognised by."""
    return CaseIdentity(case.name, data_set, case.patient, case.voxels_sha256)


def seen_by_run(case: CaseIdentity, role: str = TRAINED) -> SeenCase:
    """The case as one that the run itself sees."""
    return SeenCase(case.name, case.data_set, case.patient, case.voxels_sha256, role)


def voxels_sha256(volume: Volume) -> str:
    """Hash of a scan's whole HU in the patient's axial order, and of their number along each axis.

    The same whatever the file's format, name, compression, data type and orientation. Spacing and origin are left out: a
    scan with a corrected header is still of the same patient.
    """
    array = volume.geometry.to_axial(volume.array)
    with_voxel_hashes = hashlib.sha256(repr(array.shape).encode())
    for axial_slice in array:
        is_int16 = axial_slice.dtype == np.int16
        whole = axial_slice if is_int16 else np.clip(np.rint(axial_slice), -32768, 32767).astype(np.int16)
        with_voxel_hashes.update(np.ascontiguousarray(whole).data)
    return with_voxel_hashes.hexdigest()


def seen_cases(card: Card) -> tuple[SeenCase, ...]:
    """All cases that, by its card, a network or one of its ancestors has seen.

    A card that was written before images were hashed has names, its own and those of its parent.
    """
    training = card.training
    if "seen_cases" in training:
        known = {field.name for field in fields(SeenCase)}
        return tuple(SeenCase(**{k: v for k, v in one.items() if k in known}) for one in training["seen_cases"])
    data_set = str(training.get("data_set", ""))
    return without_duplicates(
        *(SeenCase(name, data_set) for name in _names(training)),
        *(SeenCase(name, "", generation=1) for name in _names(training.get("started_from"))),
    )


def _names(facts: Any) -> list[str]:
    """Names of cases; none where a card of another origin has only their number, or nothing."""
    cases = facts.get("cases") if isinstance(facts, dict) else None
    return [str(name) for name in cases] if isinstance(cases, list) else []


def without_duplicates(*seen: SeenCase) -> tuple[SeenCase, ...]:
    """Every case once: as trained on if it ever was, in the nearest generation."""
    first: dict[str, SeenCase] = {}
    for one in sorted(seen, key=lambda one: (one.role != TRAINED, one.generation)):
        first.setdefault(one.voxels_sha256 or one.name, one)
    return tuple(first.values())


def with_voxel_hashes(seen: Iterable[SeenCase], data_set: str, voxels: Mapping[str, str]) -> tuple[SeenCase, ...]:
    """The cases of that data set with the hashes of their images, by name, where they had none."""
    return without_duplicates(
        *(
            replace(one, voxels_sha256=voxels[one.name])
            if not one.voxels_sha256 and one.name in voxels and one.data_set in ("", data_set)
            else one
            for one in seen
        )
    )


def as_ancestors(seen: Iterable[SeenCase]) -> tuple[SeenCase, ...]:
    """The same cases, one generation further away."""
    return tuple(replace(one, generation=one.generation + 1) for one in seen)


def to_json(seen: Iterable[SeenCase]) -> list[dict[str, Any]]:
    """What the card keeps."""
    return [asdict(one) for one in seen]


def lacks_hashes(seen: Iterable[SeenCase]) -> bool:
    """Whether some of the cases are known by name alone."""
    return any(not one.voxels_sha256 for one in seen)


def find_overlap(seen: Sequence[SeenCase], cases: Iterable[CaseIdentity], role: str = TRAINED) -> dict[str, str]:
    """Those of `cases` that were seen in that role: name to how each was recognised."""
    of_role = [one for one in seen if one.role == role]
    found = {}
    for case in cases:
        ways = [how for one in of_role if (how := _recognised(one, case))]
        if ways:
            found[case.name] = next((how for how in ways if how.startswith(_SAME_VOXELS)), ways[0])
    return found


def _recognised(seen: SeenCase, case: CaseIdentity) -> str:
    same_set = seen.data_set == case.data_set
    if case.voxels_sha256 and seen.voxels_sha256 == case.voxels_sha256:
        return _SAME_VOXELS + (f" as {seen.name}" if seen.name != case.name else "")
    if case.patient and same_set and seen.patient == case.patient:
        return f"the same patient as {seen.name} ({case.patient})"
    if seen.name != case.name:
        return ""
    if not (case.voxels_sha256 and seen.voxels_sha256):
        return "the same name"
    return "the same name in the same data set, though other voxels" if same_set else ""


def overlap_text(found: Mapping[str, str]) -> str:
    """The first few names of an overlap, with how they were recognised."""
    return first_few(f"{name} ({how})" for name, how in found.items())
