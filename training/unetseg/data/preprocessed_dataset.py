"""The preprocessed data set: the folder that a run trains on, arrays and a JSON file that numpy alone can read.

The JSON file is called pack.json. `preprocessed_writer.py` writes the folder.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from UNetSegmenterLib.engine.errors import InputError
from UNetSegmenterLib.engine.labels.structures import Structure
from UNetSegmenterLib.engine.model.preprocessing import Preprocessing

FORMAT_VERSION = 1
IMAGES, LABELS, PRESENCE = "images.npy", "labels.npy", "presence.npy"
ARRAYS: dict[str, type[np.generic]] = {IMAGES: np.int16, LABELS: np.uint8, PRESENCE: np.bool_}
_PLAIN_ENTRIES = ("name", "splits", "fingerprint", "licence", "citation", "arrays_sha256")


@dataclass(frozen=True)
class PreprocessedCase:
    """One case: its position in the arrays and where it came from.

    Attributes:
        name: name of the case.
        start: first slice in the arrays.
        stop: the slice after the last one.
        top: first row of the case's own pixels; what is outside them is air.
        left: first column of the case's own pixels.
        rows: number of own rows.
        columns: number of own columns.
        spacing_mm: (slice, row, column) of the source.
        image_sha256: hash of the image file.
        label_sha256: hash of the label file.
        patient: whose scan it is; empty where the data set does not say, and in folders of earlier versions.
        voxels_sha256: hash of what the image shows (`seen_cases.voxels_sha256`); empty in folders of earlier versions.
    """

    name: str
    start: int
    stop: int
    top: int
    left: int
    rows: int
    columns: int
    spacing_mm: tuple[float, float, float]
    image_sha256: str
    label_sha256: str
    patient: str = ""
    voxels_sha256: str = ""

    def region(self, array: Any) -> Any:
        """This case's own pixels of one of the arrays (slices, rows, columns)."""
        return array[self.start : self.stop, self.top : self.top + self.rows, self.left : self.left + self.columns]


@dataclass(frozen=True)
class PreprocessedDataset:
    """A data set at the network's grid.

    Attributes:
        images: int16 HU (slices, rows, columns) at the network's in-plane spacing.
        labels: uint8 structure indices (slices, rows, columns).
        name: name of the data set.
        preprocessing: how the slices were made.
        structures: what the indices mean.
        cases: where each case is in the arrays.
        splits: names of the cases of each split.
        fingerprint: facts of the data set, its plan, and statistics of its labels.
        licence: licence of the data.
        citation: publication to cite.
        arrays_sha256: hashes of the array files when they were opened; empty if never written.
        presence: bool (slices, structures), which slices hold which structures, as it was written with these labels; None in
            folders of earlier versions, and in what `dataclasses.replace` makes.
    """

    images: np.ndarray
    labels: np.ndarray
    name: str
    preprocessing: Preprocessing
    structures: tuple[Structure, ...]
    cases: tuple[PreprocessedCase, ...]
    splits: dict[str, list[str]]
    fingerprint: dict[str, Any]
    licence: str = ""
    citation: str = ""
    arrays_sha256: dict[str, str] = field(default_factory=dict)
    has_ignored: bool = False
    presence: np.ndarray | None = field(default=None, init=False)

    def of_split(self, split: str) -> tuple[PreprocessedCase, ...]:
        """Cases of "train", "validation", "test", a sum such as "train+validation", or "all".

        Raises:
            InputError: there are none.
        """
        if split == "all":
            return self.cases
        names = {name for part in split.split("+") for name in self.splits.get(part, ())}
        if not names:
            known = ", ".join(name for name, members in self.splits.items() if members)
            raise InputError(
                f'The preprocessed data set has no cases in the split "{split}"; it has {known}, or "all".'
            )
        return tuple(case for case in self.cases if case.name in names)


def read_preprocessed_dataset(folder: Path | str, verify: bool = False) -> PreprocessedDataset:
    """Open a preprocessed data set memory-mapped.

    Args:
        folder: what `prepare` wrote, or a copy of it.
        verify: compare the arrays with their hashes even where their sizes and times are those they were written with.

    Raises:
        InputError: it is incomplete or damaged, or its arrays are not the ones it was written with.
    """
    folder = Path(folder)
    if not (folder / "pack.json").is_file():
        found = "is no preprocessed data set (pack.json is missing)" if folder.exists() else "does not exist"
        raise InputError(f"{folder} {found}; write one with: unetseg prepare DATASET {folder}")
    try:
        content = json.loads((folder / "pack.json").read_text(encoding="utf-8"))
        arrays = _arrays(folder, content["arrays_sha256"], {} if verify else content.get("arrays_stored", {}))
        preprocessed = PreprocessedDataset(
            images=arrays[IMAGES],
            labels=arrays[LABELS],
            preprocessing=Preprocessing.from_json(content["preprocessing"]),
            structures=tuple(Structure.from_json(one) for one in content["structures"]),
            cases=tuple(PreprocessedCase(**one | {"spacing_mm": tuple(one["spacing_mm"])}) for one in content["cases"]),
            has_ignored=content.get("has_ignored", False),
            **{name: content[name] for name in _PLAIN_ENTRIES},
        )
        object.__setattr__(preprocessed, "presence", arrays.get(PRESENCE))
        _check_cases(preprocessed, folder)
        return preprocessed
    except InputError:
        raise
    except (OSError, KeyError, TypeError, AttributeError, ValueError) as error:
        what = f"pack.json lacks {error}" if isinstance(error, KeyError) else str(error)
        raise InputError(
            f"{folder} is a damaged preprocessed data set ({what}); write it again with: unetseg prepare"
        ) from error


def size_and_time(path: Path) -> dict[str, int]:
    """Size and time of a file, which tell without reading it whether it was changed."""
    status = path.stat()
    return {"bytes": status.st_size, "mtime_ns": status.st_mtime_ns}


def _is_as_stored(path: Path, stored: dict[str, int] | None) -> bool:
    """Whether a file has the size and the time it was written with; some copies keep times to the second alone."""
    if stored is None:
        return False
    found = size_and_time(path)
    second, nanoseconds = divmod(found["mtime_ns"], 10**9)
    return found == stored or (
        found["bytes"] == stored["bytes"] and not nanoseconds and second == stored["mtime_ns"] // 10**9
    )


def _arrays(folder: Path, hashes: dict[str, str], stored: dict[str, dict[str, int]]) -> dict[str, np.ndarray]:
    """The arrays, memory-mapped; a file whose size or time is not as `stored` says is compared with its hash.

    Raises:
        InputError: a file has another hash than pack.json says, or another shape or type than it should.
    """
    arrays = {}
    for name, kind in ARRAYS.items():
        if name == PRESENCE and name not in hashes:  # a folder of an earlier version
            continue
        path, expected = folder / name, hashes[name]
        if not _is_as_stored(path, stored.get(name)) and sha256(path) != expected:
            raise InputError(f"{path} is not the array that pack.json was written with; prepare or copy it again.")
        array = arrays[name] = np.load(path, mmap_mode="r")
        dimensions = 2 if name == PRESENCE else 3
        if array.ndim != dimensions or array.dtype != kind:
            raise InputError(
                f"{path} holds {array.ndim} dimensions of {array.dtype}; {dimensions} of {np.dtype(kind)} are expected: prepare "
                "the data set again."
            )
        if len(array) != len(arrays[IMAGES]) or (array.shape[1:] != arrays[IMAGES].shape[1:] and name != PRESENCE):
            raise InputError(
                f"{path} has the shape {array.shape}, and {IMAGES} {arrays[IMAGES].shape}: they belong to different data "
                "sets, so prepare the data set again."
            )
    return arrays


def _check_cases(preprocessed: PreprocessedDataset, folder: Path) -> None:
    """Check that all cases are inside the arrays and that all splits name cases of the data set.

    Raises:
        InputError: one does not.
    """
    slices, rows, columns = preprocessed.images.shape
    for case in preprocessed.cases:
        inside = 0 <= case.start < case.stop <= slices and min(case.top, case.left) >= 0
        if not inside or case.top + case.rows > rows or case.left + case.columns > columns:
            raise InputError(
                f"{folder} has the case {case.name} at slices {case.start} to {case.stop}, {case.rows} x {case.columns} pixels, "
                f"outside its arrays of {slices} x {rows} x {columns}; prepare the data set again."
            )
    names = {case.name for case in preprocessed.cases}
    if strangers := sorted({name for members in preprocessed.splits.values() for name in members} - names):
        raise InputError(
            f"{folder} has splits that name {strangers[0]}, which it does not hold; prepare the data set again."
        )


def sha256(path: Path) -> str:
    """Hash of a file's bytes; of a folder that of its files, whatever their order and names."""
    if path.is_dir():
        hashes = sorted(sha256(file) for file in path.iterdir() if file.is_file() and not file.name.startswith("."))
        return hashlib.sha256("".join(hashes).encode()).hexdigest()
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
