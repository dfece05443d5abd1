"""Data leakage: evaluated cases that the checkpoint, or an ancestor of it, has seen in training."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ..data.dataset import first_few
from ..data.seen_cases import TRAINED, VALIDATED, CaseIdentity, SeenCase, find_overlap, lacks_hashes, overlap_text


@dataclass(frozen=True)
class SeenInTraining:
    """Evaluated cases that were seen in training.

    Attributes:
        trained: cases that were trained on, each with how it was recognised.
        validated: cases that the training was validated with, each with how it was recognised.
        cases: number of evaluated cases.
        by_name: whether the card has cases without hashes of their images.
        one_patient: groups of cases of the same patient.
        unknown: whether the card names no training case at all.
    """

    trained: dict[str, str]
    validated: dict[str, str]
    cases: int
    by_name: bool
    one_patient: tuple[tuple[str, ...], ...] = ()
    unknown: bool = False

    @property
    def text(self) -> str:
        """The cases that were trained on, for the provenance; "none" only where images were compared."""
        if self.trained:
            return ", ".join(self.trained)
        if self.unknown:
            return "not known (the card names no training cases)"
        return "none by name (the card has no hashes of the images)" if self.by_name else "none"

    @property
    def notes(self) -> list[str]:
        """What a reader of the results must know, one sentence each."""
        found = []
        if self.trained:
            rest = self.cases - len(self.trained)
            found.append(
                f"{len(self.trained)} of {self.cases} cases were trained on by the checkpoint or its ancestors: "
                f"{overlap_text(self.trained)}. "
                + (f"They are counted apart; the results are over the other {rest}." if rest else _NOTHING_NEW)
            )
        if only := {name: how for name, how in self.validated.items() if name not in self.trained}:
            found.append(
                f"{len(only)} of {self.cases} cases were validated with while the checkpoint was trained: {first_few(only)}. "
                "Choices that were made by them make their results too good."
            )
        if self.unknown:
            found.append("The card names no training cases, so whether one of these was trained on is not known.")
        if self.by_name:
            found.append(
                "The card has cases without hashes of their images; these were compared by name, so the same patient under "
                "another name would not be noticed."
            )
        found += [
            f"{', '.join(group)} are of one patient; intervals take them for independent cases."
            for group in self.one_patient
        ]
        return found


_NOTHING_NEW = "No other case was evaluated, so the results say nothing about new patients."


def seen_in_training(seen: Sequence[SeenCase], identities: Iterable[CaseIdentity]) -> SeenInTraining:
    """Which of these cases are among those that a checkpoint's card names."""
    identities = list(identities)
    patients: dict[str, list[str]] = {}
    for one in identities:
        if one.patient:
            patients.setdefault(one.patient, []).append(one.name)
    return SeenInTraining(
        find_overlap(seen, identities),
        find_overlap(seen, identities, VALIDATED),
        len(identities),
        lacks_hashes(seen),
        tuple(tuple(names) for names in patients.values() if len(names) > 1),
        unknown=not any(one.role == TRAINED for one in seen),
    )
