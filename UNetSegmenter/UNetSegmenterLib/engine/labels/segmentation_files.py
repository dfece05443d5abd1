"""Segmentations read from files and folders of every kind, and written as label maps.

A `.seg.nrrd` holds what 3D Slicer's segmentation node holds (names, colours, terminology), and so do a DICOM segmentation and a
DICOM structure set. A label map holds values whose meaning has to be declared. A folder with one binary file per structure has
the names as file names.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from ..errors import InputError
from ..io.dicom_objects import STRUCTURE_SET, label_object, refuse_dicom_object, sop_class
from ..io.file_names import IMAGE_ENDINGS, file_stem
from ..io.geometry import Geometry, grid_difference, same_grid_note
from ..io.image_reading import read_image
from ..io.image_writing import write_image
from .dicom_references import grid_of_series_beside
from .dicom_seg import read_dicom_seg
from .ignored import IGNORED, with_ignored_apart
from .label_values import MAX_STRUCTURES, as_labels, to_indices, undeclared_structures
from .matching import match_structures
from .rt_structure_set import read_structure_set
from .seg_nrrd import (
    read_seg_nrrd,
    seg_nrrd_header,
)
from .segmentation import Segmentation, paint
from .structures import Structure, known_structure, number_in_name, refuse_two_spellings


def read_segmentation(
    path: Path | str,
    structures: Sequence[Structure] | None = None,
    only_declared: bool = False,
    named_ones: bool = False,
    resample: bool = False,
    grid: Geometry | None = None,
) -> Segmentation:
    """Read a `.seg.nrrd`, a DICOM segmentation or structure set, a label map, or a folder with one binary file per structure.

    All but label maps have names: a declared structure that is found there by terminology or name gets its declared
    index, name and values; others get the indices after those.

    Args:
        path: the file or folder.
        structures: the declared structures, which give the values of a label map their meaning, and `ignored_structure` to
            voxels that were left undecided. Without them each value
            becomes a structure of its own ("label 3"), or, if there is one value, the structure that the file is named after.
        only_declared: refuse structures of Slicer's files and folders that are not declared.
        named_ones: a label map of ones, or of one value that is not declared, is the structure that its file is named after:
            "liver.nii.gz" is the liver, whatever value 1 is declared to mean.
        resample: resample sheared voxels to the straight grid that `read_volume` makes of their scan, instead of refusing
            them.
        grid: the grid of the scan. On it the contours of a structure set are drawn, and a file that describes no grid, or not
            where it ends, gets it.

    Raises:
        InputError: the path is none of these, holds label values that are not declared, or one structure under two spellings.
    """
    found = _read(Path(path), structures, only_declared, named_ones, resample, grid)
    return with_ignored_apart(found if grid is None else found.with_known_grid(grid))


def _read(
    path: Path,
    structures: Sequence[Structure] | None,
    only_declared: bool,
    named_ones: bool,
    resample: bool,
    grid: Geometry | None,
) -> Segmentation:
    if (file := label_object(path)) is not None:
        named = _read_dicom(file, resample, grid)
        return named if structures is None else _as_declared(named, structures, path if only_declared else None)
    refuse_dicom_object(path, scan=False)
    header = None if path.is_dir() else seg_nrrd_header(path)
    if path.is_dir() or header is not None:
        named = _read_folder(path, resample) if header is None else read_seg_nrrd(path, header, resample)
        if header is not None:
            refuse_two_spellings([structure.name for structure in named.structures], path)
        return named if structures is None else _as_declared(named, structures, path if only_declared else None)
    array, geometry = read_image(path, resample, labels=True)
    labels = as_labels(array, path)
    values, counts = np.unique(labels, return_counts=True)
    found = {int(value): int(count) for value, count in zip(values, counts, strict=True) if value}
    undeclared = not any(set(structure.values) & set(found) for structure in structures or ())
    if named_ones and structures is not None and len(found) == 1 and (undeclared or set(found) == {1}):
        (own,) = undeclared_structures(path, found, file_stem(path))
        if match_structures([replace(own, values=())], structures).pairs:
            ones = Segmentation(to_indices(labels, found, [own], path), geometry, (own,), file_stem(path))
            return _as_declared(ones, structures, None)
    if structures is None:
        structures = undeclared_structures(path, found, file_stem(path))
    return Segmentation(to_indices(labels, found, structures, path), geometry, tuple(structures), file_stem(path))


def is_label_map(path: Path | str) -> bool:
    """Whether a file is a label map, whose values have no names; segments and the files of a folder have names."""
    path = Path(path)
    return not path.is_dir() and seg_nrrd_header(path) is None and label_object(path) is None


def need_of_grid(path: Path | str) -> int:
    """How much `read_segmentation` needs the grid of the scan: 0 not at all, 1 to know where the file's grid ends, 2 it has none.

    The first are all files but DICOM segmentations (1) and structure sets (2).
    """
    file = label_object(Path(path))
    return 0 if file is None else 2 if sop_class(file) == STRUCTURE_SET else 1


def _read_dicom(file: Path, resample: bool, grid: Geometry | None) -> Segmentation:
    """A DICOM segmentation or structure set; one beside the series that it was drawn on gets the grid of that."""
    if sop_class(file) == STRUCTURE_SET:
        return read_structure_set(file, grid, resample)
    found = read_dicom_seg(file, grid, resample)
    if grid is None and found.drawn_on is not None:
        grid = grid_of_series_beside(file, found.drawn_on.series_uid, resample)
    return found if grid is None else found.with_known_grid(grid)


def _as_declared(segmentation: Segmentation, declared: Sequence[Structure], strict: Path | None) -> Segmentation:
    """The segmentation with the indices of `declared`; other structures are refused if `strict`, the source, is given."""
    nameless = [
        replace(structure, values=()) for structure in segmentation.structures
    ]  # their values have no meaning here
    matching = match_structures(nameless, declared)
    new = {pair.prediction.index: pair.reference for pair in matching.pairs}
    others = [structure for structure in segmentation.structures if structure.index not in new]
    if others and strict is not None:
        raise InputError(
            f"{strict} holds structures that are not declared: {', '.join(other.name for other in others)}; declared are "
            f"{', '.join(structure.name for structure in declared)}: declare them or remove them."
        )
    after = max((structure.index for structure in declared if structure.index != IGNORED), default=0)
    if after + len(others) > MAX_STRUCTURES:
        raise InputError(
            f"{segmentation.name} has {after + len(others)} structures; at most {MAX_STRUCTURES} are expected."
        )
    new |= {other.index: replace(other, index=after + number) for number, other in enumerate(others, start=1)}
    table = np.zeros(256, dtype=np.uint8)
    for index, structure in new.items():
        table[index] = structure.index
    return replace(
        segmentation,
        labels=table[segmentation.labels],
        structures=tuple(sorted(new.values(), key=lambda structure: structure.index)),
        overlaps={new[index].index: voxel_indices for index, voxel_indices in segmentation.overlaps.items()},
        confidence={new[index].index: value for index, value in segmentation.confidence.items()},
        postprocessing={new[index].index: change for index, change in segmentation.postprocessing.items()},
    )


def _read_folder(folder: Path, resample: bool) -> Segmentation:
    files = sorted(
        file
        for file in folder.iterdir()
        if file.name.lower().endswith(IMAGE_ENDINGS) and not file.name.startswith(".") and file.is_file()
    )
    if not files:
        raise InputError(
            f"{folder} holds no image file; one binary file per structure is expected, such as liver.nii.gz."
        )
    if len(files) > MAX_STRUCTURES:
        raise InputError(f"{folder} holds {len(files)} images; at most {MAX_STRUCTURES} structures are expected.")
    names = [file_stem(file) for file in files]
    refuse_two_spellings(names, folder)
    masks = [_binary(file, resample) for file in files]
    first = next((number for number, mask in enumerate(masks) if mask.grid_is_known), 0)
    geometry, notes = masks[first].geometry, []
    for file, mask in zip(files, masks, strict=True):
        own = mask.with_known_grid(geometry).geometry
        if not own.is_close(geometry):
            raise InputError(
                f"{file} has another grid than {files[first].name}: {grid_difference(own, geometry)}; all files of a folder "
                "must share one."
            )
        notes += [*mask.notes, same_grid_note(own, geometry, f"{file.name} and {files[first].name}")]
    labels, overlaps = paint(geometry.shape, [mask.with_known_grid(geometry).labels != 0 for mask in masks])
    # Every file has the value 1: the number that is its whole name distinguishes it, or its position in the folder.
    numbers = [number_in_name(name) for name in names]
    own_numbers = all(numbers) and len(set(numbers)) == len(numbers)
    structures = tuple(
        known_structure(name, index, number if number and own_numbers else index)
        for index, (name, number) in enumerate(zip(names, numbers, strict=True), start=1)
    )
    return Segmentation(labels, geometry, structures, folder.name, overlaps=overlaps, notes=tuple(filter(None, notes)))


def _binary(file: Path, resample: bool) -> Segmentation:
    """The one structure of a file, whatever its value."""
    header = seg_nrrd_header(file)
    if header is not None:
        one = read_seg_nrrd(file, header, resample)
    else:
        array, geometry = read_image(file, resample, labels=True)
        labels = as_labels(array, file)
        one = Segmentation((labels != 0).view(np.uint8), geometry, ())
        if len(values := np.unique(labels[labels != 0])) > 1:
            raise InputError(
                f"{file} holds {len(values)} values besides 0; one binary file per structure is expected, so give the label "
                "map itself instead of its folder."
            )
    if len(one.structures) > 1:
        raise InputError(
            f"{file} holds {len(one.structures)} segments; one per file is expected, so give the file itself."
        )
    return one


def write_labelmap(segmentation: Segmentation, path: Path | str) -> None:
    """Write one label map (NIfTI by its ending) whose values are the first source value of each structure.

    Where structures overlap, the later one is written. Raises InputError if the file can't be written.
    """
    values = [structure.values[0] for structure in segmentation.structures]
    table = np.zeros(256, dtype=np.uint8 if max(values, default=0) <= 255 else np.uint16)
    for structure in segmentation.structures:
        table[structure.index] = structure.values[0]
    write_image(table[segmentation.labels], segmentation.geometry, path)
