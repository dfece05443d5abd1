"""Writes a preprocessed data set some slices at a time: memory holds what `add` is given, and nothing is read for its hash."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict
from io import BytesIO
from pathlib import Path
from types import TracebackType

import numpy as np
from UNetSegmenterLib.engine.labels.structures import Structure

from .preprocessed_dataset import ARRAYS, FORMAT_VERSION, IMAGES, LABELS, PRESENCE, PreprocessedDataset, size_and_time
from .structure_presence import structure_presence


class ArrayFile:
    """A .npy file that is written slice by slice.

    Written, and not memory-mapped: a full disk is an error of the system then, and no signal that ends the process.

    Args:
        path: the file.
        dtype: type of the array.
        shape: shape of the whole array.
    """

    def __init__(self, path: Path, dtype: type[np.generic], shape: tuple[int, ...]) -> None:
        self.path, self.dtype, self.shape, self.count = path, dtype, shape, 0
        self._hash, self._file = hashlib.sha256(), path.open("wb")
        header = BytesIO()
        description = {"descr": np.dtype(dtype).str, "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(header, description)
        self._write(header.getvalue())

    @property
    def sha256(self) -> str:
        """Hash of what was written so far."""
        return self._hash.hexdigest()

    def add(self, part: np.ndarray) -> None:
        """Write the next slices (n, *the shape of one entry)."""
        assert part.shape[1:] == self.shape[1:], f"{self.path} gets {part.shape} and has {self.shape}"
        self.count += len(part)
        self._write(np.ascontiguousarray(part, dtype=self.dtype).data.cast("B"))

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _write(self, data: bytes | memoryview) -> None:
        self._file.write(data)
        self._hash.update(data)


class PreprocessedWriter:
    """The files of a preprocessed data set: `add` all slices in their order, then `finish`.

    Args:
        folder: an existing folder.
        shape: (slices, rows, columns) of the data set.
        structures: what the labels mean.
    """

    def __init__(self, folder: Path, shape: tuple[int, int, int], structures: Sequence[Structure]) -> None:
        self.folder, self.structures = folder, structures
        self.files = {
            name: ArrayFile(folder / name, dtype, (shape[0], len(structures)) if name == PRESENCE else shape)
            for name, dtype in ARRAYS.items()
        }

    @property
    def shape(self) -> tuple[int, ...]:
        """Slices, rows and columns of the data set."""
        return self.files[IMAGES].shape

    @property
    def count(self) -> int:
        """Slices that are written."""
        return self.files[IMAGES].count

    def __enter__(self) -> PreprocessedWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for file in self.files.values():
            file.close()

    def add(self, images: np.ndarray, labels: np.ndarray) -> None:
        """Write the next slices.

        Args:
            images: int16 HU (slices, rows, columns).
            labels: uint8 structure indices (slices, rows, columns).
        """
        presence = structure_presence(labels, self.structures)
        for name, part in ((IMAGES, images), (LABELS, labels), (PRESENCE, presence)):
            self.files[name].add(part)

    def arrays(self) -> tuple[np.ndarray, np.ndarray]:
        """Images and labels (slices, rows, columns) once all slices are written, memory-mapped; closes the files."""
        for file in self.files.values():
            assert file.count == file.shape[0], f"{file.path} has {file.count} of {file.shape[0]} slices"
            file.close()
        return np.load(self.folder / IMAGES, mmap_mode="r"), np.load(self.folder / LABELS, mmap_mode="r")

    def finish(self, preprocessed: PreprocessedDataset) -> None:
        """Write pack.json; it comes last, so a folder that has it is complete."""
        content = {
            "format": FORMAT_VERSION,
            "name": preprocessed.name,
            "preprocessing": preprocessed.preprocessing.to_training_json(),
            "structures": [structure.to_json() for structure in preprocessed.structures],
            "cases": [asdict(case) for case in preprocessed.cases],
            "splits": preprocessed.splits,
            "fingerprint": preprocessed.fingerprint,
            "licence": preprocessed.licence,
            "citation": preprocessed.citation,
            "arrays_sha256": {name: file.sha256 for name, file in self.files.items()},
            **({"has_ignored": True} if preprocessed.has_ignored else {}),
            "arrays_stored": {name: size_and_time(file.path) for name, file in self.files.items()},
        }
        (self.folder / "pack.json").write_text(json.dumps(content, indent=1), encoding="utf-8")


def write_preprocessed_dataset(preprocessed: PreprocessedDataset, folder: Path) -> None:
    """Write a data set whose arrays are in memory."""
    folder.mkdir(parents=True, exist_ok=True)
    slices, rows, columns = preprocessed.images.shape
    with PreprocessedWriter(folder, (slices, rows, columns), preprocessed.structures) as writer:
        writer.add(preprocessed.images, preprocessed.labels)
        writer.arrays()
        writer.finish(preprocessed)
