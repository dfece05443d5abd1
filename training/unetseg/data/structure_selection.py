"""A choice of a data set's structures, some of them merged, in place of all of them: `liver,left kidney+right kidney=kidneys`."""

from __future__ import annotations

from dataclasses import replace

from UNetSegmenterLib.engine.errors import InputError
from UNetSegmenterLib.engine.io.geometry import Geometry
from UNetSegmenterLib.engine.labels.ignored import ignored_structure
from UNetSegmenterLib.engine.labels.segmentation import Segmentation
from UNetSegmenterLib.engine.labels.segmentation_files import read_segmentation
from UNetSegmenterLib.engine.labels.structures import Structure, canonical_name, known_structure
from UNetSegmenterLib.engine.plain_data import did_you_mean

from .dataset import Case, Dataset, StructureSelection


def selected(dataset: Dataset, text: str) -> Dataset:
    """The data set with the structures that `text` chooses.

    Args:
        dataset: the data set.
        text: names, separated by commas; "left kidney+right kidney=kidneys" merges two.

    Raises:
        InputError: a name is not one of the data set's structures, or one is chosen twice.
    """
    known = {structure.name.lower(): structure for structure in dataset.structures}
    chosen: list[Structure] = []
    parts: list[tuple[int, ...]] = []
    for item in text.split(","):
        sources, _, name = item.partition("=")
        found = [_known(source.strip(), known) for source in sources.split("+")]
        values = tuple(value for structure in found for value in structure.values)
        name = name.strip() or " and ".join(structure.name for structure in found)
        index = len(chosen) + 1
        chosen.append(replace(found[0], index=index) if name == found[0].name else known_structure(name, index, values))
        parts.append(tuple(structure.index for structure in found))
    _check_once(
        [index for some in parts for index in some], [structure.name for structure in chosen], dataset.structures
    )
    selection = StructureSelection(dataset.structures, tuple(chosen), tuple(parts))
    used = {index for some in parts for index in some}
    left_out = [structure.name for structure in dataset.structures if structure.index not in used]
    note = f"left out, and background: {', '.join(left_out)}"
    return replace(
        dataset,
        structures=selection.chosen,
        cases=tuple(replace(case, selection=selection) for case in dataset.cases),
        notes=dataset.notes + ((note,) if left_out else ()),
    )


def _known(name: str, known: dict[str, Structure]) -> Structure:
    """The structure of that name, or of another spelling of it: the data set's own file may say "LV" for the left ventricle."""
    if name.lower() in known:
        return known[name.lower()]
    for structure in known.values():
        if canonical_name(structure.name) == canonical_name(name):
            return structure
    names = [structure.name for structure in known.values()]
    raise InputError(f'--structures names "{name}", which the data set does not have; {did_you_mean(name, names)}')


def _check_once(indices: list[int], names: list[str], declared: tuple[Structure, ...]) -> None:
    twice = [structure.name for structure in declared if indices.count(structure.index) > 1]
    twice += [name for name in dict.fromkeys(names) if names.count(name) > 1]
    if twice:
        raise InputError(f'--structures names "{twice[0]}" twice; a voxel belongs to one structure, so name it once.')


def read_labels(
    case: Case, structures: tuple[Structure, ...], grid: Geometry, only_declared: bool = False
) -> Segmentation:
    """The labels of a case, with the structures that were chosen of its data set.

    Args:
        case: the case.
        structures: structures of the data set.
        grid: the grid of the scan.
        only_declared: refuse structures that the data set does not declare.

    Raises:
        InputError: the file can't be read.
    """
    declared = case.selection.declared if case.selection else structures
    if case.ignore_value is not None:
        declared = (*declared, ignored_structure(case.ignore_value))
    labels = read_segmentation(case.label, declared, only_declared, resample=case.resample, grid=grid)
    return case.selection.apply(labels) if case.selection else labels
