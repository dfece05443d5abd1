"""What every layout comes down to: cases, structures, and notes on what was found while reading."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from UNetSegmenterLib.engine.counting import counted
from UNetSegmenterLib.engine.errors import InputError
from UNetSegmenterLib.engine.io.file_names import refuse_undecodable
from UNetSegmenterLib.engine.labels.segmentation import Segmentation, paint
from UNetSegmenterLib.engine.labels.structures import Structure


@dataclass(frozen=True)
class StructureSelection:
    """How the structures of a data set become those that are chosen; all others become background.

    Attributes:
        declared: the structures that the data set declares.
        chosen: the structures that are chosen, with indices from 1.
        parts: for each of them the indices of the declared structures that it is made of.
    """

    declared: tuple[Structure, ...]
    chosen: tuple[Structure, ...]
    parts: tuple[tuple[int, ...], ...]

    def apply(self, segmentation: Segmentation) -> Segmentation:
        """The labels with the chosen structures; voxels that a left out structure hid are seen."""
        masks = [np.logical_or.reduce([segmentation.mask(part) for part in parts]) for parts in self.parts]
        labels, overlaps = paint(segmentation.labels.shape, masks)
        return replace(
            segmentation, labels=labels, structures=self.chosen, overlaps=overlaps, confidence={}, postprocessing={}
        )


@dataclass(frozen=True)
class Case:
    """One scan with its labels.

    Attributes:
        name: how tables and splits name the case.
        image: file or folder of the scan.
        label: file of the labels.
        patient: whose scan it is, empty where the layout does not say; scans of one patient stay in one split.
        resample: resample sheared voxels to a straight grid while reading, instead of refusing them.
        selection: which of the data set's structures are taken, None for all.
        ignore_value: label value of voxels that were left undecided, None if there is none.
    """

    name: str
    image: Path
    label: Path
    patient: str = ""
    resample: bool = False
    selection: StructureSelection | None = None
    ignore_value: int | None = None

    @property
    def patient_or_name(self) -> str:
        """The patient, or the name of the case where the patient is not known."""
        return self.patient or self.name


@dataclass(frozen=True)
class Dataset:
    """Cases and structures of a folder as its layout describes them.

    Attributes:
        name: name of the data set.
        layout: name of the layout it was found in.
        structures: what the label values mean.
        cases: all labelled cases, by name.
        licence: licence of the data, empty if not known.
        citation: publication to cite, empty if not known.
        locked_test: names of the cases that the layout itself sets apart for testing.
        notes: what a user should know, such as files that were left out.
        problems: what is wrong with single cases; they were left out. Empty unless problems were to be collected.
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
        patients = len({case.patient_or_name for case in self.cases})
        of_patients = f" of {counted(patients, 'patient')}" if patients != len(self.cases) else ""
        values = "; ".join(f"{one.name} {'+'.join(map(str, one.values))}" for one in self.structures)
        head = f"{self.name}: {self.layout} layout, {counted(len(self.cases), 'case')}{of_patients}{test}"
        return "\n".join([head, f"structures (label values): {values}", *(f"note: {note}" for note in self.notes)])


def resampled(dataset: Dataset) -> Dataset:
    """The data set whose sheared scans and labels are resampled to a straight grid while they are read."""
    return replace(dataset, cases=tuple(replace(case, resample=True) for case in dataset.cases))


class ProblemCollector:
    """What is wrong with single cases: raised at once, or collected so that the other cases can be read.

    Args:
        collect: collect the messages instead of raising the first one.
    """

    def __init__(self, collect: bool = False) -> None:
        self.collect = collect
        self.found: list[str] = []

    def add(self, *messages: str) -> None:
        """Collect the messages.

        Raises:
            InputError: messages are not to be collected; it has the first one and the number of the others.
        """
        if messages and not self.collect:
            more = f" ({len(messages) - 1} more like it.)" if len(messages) > 1 else ""
            raise InputError(messages[0] + more)
        self.found += messages


def unique_cases(folder: Path, cases: Iterable[Case], problems: ProblemCollector) -> tuple[Case, ...]:
    """The cases in the order of their names; a name that occurs twice is a problem, and the first case is kept."""
    by_name: dict[str, Case] = {}
    for case in cases:
        try:
            refuse_undecodable(case.image)
        except InputError as error:
            problems.add(str(error))
            continue
        if other := by_name.get(case.name):
            problems.add(
                f"{folder} holds the case {case.name} twice ({other.image} and {case.image}); rename or remove one."
            )
            continue
        by_name[case.name] = case
    return tuple(by_name[name] for name in sorted(by_name))


def ignoring(cases: tuple[Case, ...], value: int | None) -> tuple[Case, ...]:
    """The cases, in whose labels that value stands for undecided voxels."""
    return cases if value is None else tuple(replace(case, ignore_value=value) for case in cases)


def first_few(names: Iterable[str], most: int = 4) -> str:
    """The first few of the names, and how many more there are."""
    names = list(names)
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
