"""Slices read from the arrays of a preprocessed data set into memory that the caller provides."""

from __future__ import annotations

import mmap
import os
from pathlib import Path
from typing import BinaryIO

import numpy as np
from UNetSegmenterLib.engine.errors import InputError


class SliceReader:
    """Reads slices of one array; of a memory-mapped one it reads the file, and several threads may do so at once.

    The mapping itself is not used: memory would seem to hold the whole file, and a file that is cut off meanwhile would end
    the process with a signal.

    Args:
        array: (slices, rows, columns).
    """

    def __init__(self, array: np.ndarray) -> None:
        self.array = array
        self.dtype, self.size = array.dtype, array.shape[1:]
        whole = isinstance(array, np.memmap) and isinstance(array.base, mmap.mmap) and array.flags.c_contiguous
        self.path = Path(str(array.filename)) if whole else None  # type: ignore[attr-defined]
        self._stored = self.path and _size_and_time(self.path.stat())

    def read(self, numbers: np.ndarray, into: np.ndarray) -> None:
        """Read slices in the given order.

        Args:
            numbers: (n,) slice numbers in the array.
            into: (n, rows, columns), contiguous and of the array's type.

        Raises:
            InputError: the file was changed since this reader was made.
        """
        if self.path is None:
            for place, number in enumerate(numbers):
                into[place] = self.array[number]
            return
        runs = np.split(np.arange(len(numbers)), np.flatnonzero(np.diff(numbers) != 1) + 1)  # of consecutive numbers
        bytes_per_slice = self.dtype.itemsize * int(np.prod(self.size))
        with self.path.open("rb", buffering=0) as file:
            if _size_and_time(os.fstat(file.fileno())) != self._stored:
                raise self._changed()
            for run in runs:
                if len(run):
                    file.seek(self.array.offset + int(numbers[run[0]]) * bytes_per_slice)  # type: ignore[attr-defined]
                    self._fill(file, into[run[0] : run[-1] + 1].data.cast("B"))

    def _fill(self, file: BinaryIO, view: memoryview) -> None:
        while len(view):
            count = file.readinto(view)  # type: ignore[attr-defined]
            if not count:
                raise self._changed()
            view = view[count:]

    def _changed(self) -> InputError:
        return InputError(
            f"{self.path} was changed while it was trained on; prepare or copy it again, into another folder."
        )


def _size_and_time(status: os.stat_result) -> tuple[int, int]:
    return status.st_size, status.st_mtime_ns
