"""What every layout comes down to: cases, structures, and what was found on the way."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from UNetSegmenterLib.engine.errors import InputError
from UNetSegmenterLib.engine.labels.structures import Structure


@dataclass(frozen=True)
class Case:
    """One scan with its label map; `name` is what tables and splits call it.

    `patient` says whose scan it is where a layout knows; scans of one patient never go into different splits. `resample`
    asks for sheared voxels to be resampled to a straight grid as they are read, instead of refusing them.
    """

    name: str
    image: Path
    label: Path
    patient: str = ""
    resample: bool = False

    @property
    def person(self) -> str:
        """The patient, or the case itself where nothing else is known."""
        return self.patient or self.name


@dataclass(frozen=True)
class DataSet:
    """Cases and structures of a folder, and in which layout they were found.

    locked_test: names of the cases that the layout itself sets apart for testing; notes: what a person should know, such
    as files that were left out; problems: what is wrong with single cases, which were left out, if that was to be collected.
    """

    name: str
    layout: str
    structures: tuple[Structure, ...]
    cases: tuple[Case, ...]
    licence: str = ""
    citation: str = ""
    locked_test: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()

    def describe(self) -> str:
        """What was found, in a few lines."""
        test = f", {len(self.locked_test)} of them set apart for testing" if self.locked_test else ""
        patients = len({case.person for case in self.cases})
        of_patients = f" of {patients} patients" if patients != len(self.cases) else ""
        values = "; ".join(f"{part.name} {'+'.join(map(str, part.values))}" for part in self.structures)
        head = f"{self.name}: {self.layout} layout, {len(self.cases)} cases{of_patients}{test}"
        return "\n".join([head, f"structures (label values): {values}", *(f"note: {note}" for note in self.notes)])


def resampled(dataset: DataSet) -> DataSet:
    """The data set whose sheared scans and labels are resampled to a straight grid as they are read."""
    return replace(dataset, cases=tuple(replace(case, resample=True) for case in dataset.cases))


class Problems:
    """What is wrong with single cases: raised at once, or collected where the other cases are to be read all the same."""

    def __init__(self, collect: bool = False) -> None:
        self.collect = collect
        self.found: list[str] = []

    def add(self, *sentences: str) -> None:
        """Raise InputError with the first of the sentences, and how many more there are, unless they are collected."""
        if sentences and not self.collect:
            more = f" ({len(sentences) - 1} more like it.)" if len(sentences) > 1 else ""
            raise InputError(sentences[0] + more)
        self.found += sentences


def check_cases(folder: Path, cases: Iterable[Case], problems: Problems) -> tuple[Case, ...]:
    """The cases in the order of their names; a name that two of them have is a problem, and the first one is kept."""
    by_name: dict[str, Case] = {}
    for case in cases:
        if other := by_name.get(case.name):
            problems.add(
                f"{folder} holds the case {case.name} twice ({other.image} and {case.image}); rename or remove one."
            )
            continue
        by_name[case.name] = case
    return tuple(by_name[name] for name in sorted(by_name))


def some(names: Iterable[str], most: int = 4) -> str:
    """The first few of some names, and how many more there are."""
    names = list(names)
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
