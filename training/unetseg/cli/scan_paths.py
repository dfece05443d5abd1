"""The scans that a command gets as files, folders, DICOM series or lists; and the names of their results."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from UNetSegmenterLib.engine.errors import InputError
from UNetSegmenterLib.engine.io.file_names import IMAGE_ENDINGS, cases_by_name, refuse_undecodable

from ..evaluation.scan_prediction import volume_name
from ..output_folder import written_here
from .argument_types import home_expanded

_IMAGE_FOLDERS = ("imagesTr", "imagesTs", "imagesVal")
_LIST_EXPECTED = "a .txt file is read as a list, with the path of one scan or folder per line"


@dataclass(frozen=True)
class NamedScan:
    """An image file or the folder of one DICOM series, and the name of its results; "/" in the name stands for folders.

    `listed_in` is the list and the line that named it, such as "scans.txt, line 2"; empty for one of the command line.
    """

    path: Path
    name: str
    listed_in: str = ""


def find_scans(given: Iterable[Path]) -> list[NamedScan]:
    """Find the scans of files, folders and lists (.txt, one path per line), each with a different name.

    Missing files are refused later, when they are read. Scans with the same file name get the names of their folders too.
    Raises InputError for a folder or list without scans, and for a scan that is given twice.
    """
    found = [(path, listed_in) for one in given for path, listed_in in _expand(one)]
    paths = [path for path, _ in found]
    for path, count in Counter(map(os.path.abspath, paths)).items():
        if count > 1:
            raise InputError(f"{path} is given {count} times; give each scan once.")
    return [NamedScan(path, name, listed_in) for (path, listed_in), name in zip(found, _names(paths), strict=True)]


def is_data_set(folder: Path) -> bool:
    """Whether a folder is a data set in nnU-Net's layout, or the part of one that holds its images."""
    return folder.absolute().name in _IMAGE_FOLDERS or any((folder / name).is_dir() for name in _IMAGE_FOLDERS)


def _expand(path: Path) -> list[tuple[Path, str]]:
    """The scans that a file, folder or list stands for, each with the list and the line that named it."""
    if path.suffix.lower() != ".txt" or not path.is_file():
        return [(scan, "") for scan in (_in_folder(path) if path.is_dir() else [path])]
    found = []
    for number, entry in _lines(path):
        scans = _in_folder(entry) if entry.is_dir() else [entry]
        found += [(scan, f"{path}, line {number}") for scan in scans]
    return found


def _lines(path: Path) -> list[tuple[int, Path]]:
    """The paths of a list by line; relative ones start at the list's folder, or at the working folder.

    Raises InputError where no line names anything that is there.
    """
    try:
        lines = [line.strip() for line in path.read_text(encoding="utf-8-sig").splitlines()]
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is no text in UTF-8 ({error.reason}); {_LIST_EXPECTED}.") from error
    given = [(number, home_expanded(line)) for number, line in enumerate(lines, 1) if line and not line.startswith("#")]
    if not given:
        raise InputError(f"{path} lists no scan; {_LIST_EXPECTED}.")
    if not any((path.parent / one).exists() or one.exists() for _, one in given):
        number, first = given[0]
        raise InputError(
            f"{path} lists no scan that is there: line {number} is “{str(first)[:60]}”, and no such file exists; "
            f"{_LIST_EXPECTED}."
        )
    return [
        (number, beside if (beside := path.parent / one).exists() or not one.exists() else one) for number, one in given
    ]


def _in_folder(folder: Path) -> list[Path]:
    """The scans of a folder: its image files or its DICOM series, or those of the folders below it."""
    images = [folder / name for name in _IMAGE_FOLDERS if (folder / name).is_dir()]
    found = [scan for start in images or [folder] for scan in _below(start)]
    if not found:
        raise InputError(
            f"{folder} holds no scan; image files ({' '.join(IMAGE_ENDINGS)}), one DICOM series, or folders with either are "
            "expected."
        )
    roles = {file: role for _, role, file in cases_by_name(folder, [scan for scan in found if scan.is_file()])}
    scans = [scan for scan in found if roles.get(scan) != "label"]
    if not scans:
        raise InputError(f"{folder} holds only segmentations, by their names; choose the folder of the scans.")
    return scans


def _below(folder: Path, ours: frozenset[Path] = frozenset()) -> Iterator[Path]:
    """Scans of a folder and of those below it, without what a run of unetseg wrote there."""
    ours |= {folder / name for name in written_here(folder)}
    entries = sorted(entry for entry in folder.iterdir() if not entry.name.startswith(".") and entry not in ours)
    images = [entry for entry in entries if _is_image(entry)]
    yield from images
    if not images and _is_series(folder):
        yield folder
        return
    for entry in entries:
        if entry.is_dir():
            yield from _below(entry, ours)


def _is_image(path: Path) -> bool:
    """Whether this is an image by its name; a link to nothing is one too, which is refused when it is read."""
    name = path.name.lower()
    return name.endswith(IMAGE_ENDINGS) and not name.endswith(".seg.nrrd") and not path.is_dir()


def _is_series(folder: Path) -> bool:
    import SimpleITK as sitk

    refuse_undecodable(folder)
    sitk.ProcessObject.SetGlobalWarningDisplay(False)
    return bool(sitk.ImageSeriesReader.GetGDCMSeriesIDs(str(folder)))


def _names(paths: list[Path]) -> list[str]:
    """A name for each path: that of its file, with its folders where several files have the same name."""
    same_name: dict[str, list[Path]] = {}
    for path in paths:
        same_name.setdefault(_stem(path).casefold(), []).append(path)
    names = {path: name for group in same_name.values() for path, name in zip(group, _distinct(group), strict=True)}
    return [names[path] for path in paths]


def _distinct(paths: list[Path]) -> list[str]:
    """Different names for scans with the same file name; with the ending for two such as scan.nii.gz and scan.nrrd."""
    folders = [path.absolute().parent.parts[1:] for path in paths]
    for called in (_stem, lambda path: path.name):
        for count in range(max(map(len, folders)) + 1):
            names = [
                "/".join((*around[len(around) - count :], called(path)))
                for path, around in zip(paths, folders, strict=True)
            ]
            if len({name.casefold() for name in names}) == len(names):
                return names
    raise InputError(f"{paths[0]} and {paths[1]} can't be distinguished by their names; rename one.")


def _stem(path: Path) -> str:
    """Name of the results of this scan, without the channel's number of nnU-Net (0000)."""
    name = volume_name(path)
    return name.removesuffix("_0000") if name.endswith("_0000") and _is_nnunet(path.absolute().parent) else name


def _is_nnunet(folder: Path) -> bool:
    """Whether all images of a folder end with the number of the first channel; numbers of scans don't."""
    if folder.name in _IMAGE_FOLDERS:
        return True
    files = [entry for entry in folder.iterdir() if _is_image(entry)] if folder.is_dir() else []
    return all(volume_name(file).endswith("_0000") for file in files)
