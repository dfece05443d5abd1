"""Geometries, arrays and segmentations as Slicer and the worker exchange them: JSON, and raw files for the voxels.

Large arrays are written in blocks, so that Slicer's event loop can run between two of them.
"""

from __future__ import annotations

import hashlib
import json
import os
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import InputError
from ..io.geometry import Geometry
from ..labels.segmentation import Segmentation
from ..labels.structures import Structure
from ..stepwise import Steps

PIECE_BYTES = 8 << 20  # a few ms to write


def geometry_to_json(geometry: Geometry) -> dict[str, Any]:
    """A geometry as the protocol carries it."""
    return {
        "shape": list(geometry.shape),
        "spacing_mm": list(geometry.spacing_mm),
        "origin_lps": list(geometry.origin_lps),
        "direction": [list(row) for row in geometry.direction],
    }


def geometry_from_json(plain: dict[str, Any]) -> Geometry:
    """The geometry that `geometry_to_json` wrote."""
    return Geometry(
        tuple(plain["shape"]),
        tuple(plain["spacing_mm"]),
        tuple(plain["origin_lps"]),
        tuple(tuple(row) for row in plain["direction"]),  # type: ignore[arg-type]
    )


def array_steps(array: np.ndarray, path: Path, dtype: np.dtype | str) -> Steps:
    """Write a volume `(slices, rows, columns)` as a raw C-ordered file, one piece a step; returns {"path", "dtype", "crc32"}."""
    kind = np.dtype(dtype)
    count = max(1, PIECE_BYTES // max(1, array[0].nbytes if len(array) else 1))
    sum_so_far = 0
    try:
        with path.open("wb") as file:
            for start in range(0, len(array), count):
                piece = np.ascontiguousarray(array[start : start + count], dtype=kind)
                sum_so_far = zlib.crc32(piece.data, sum_so_far)
                file.write(piece.data)
                yield
    except OSError as error:
        error.filename = error.filename or str(path)  # a full disk does not say which
        raise
    return {"path": str(path), "dtype": kind.str, "crc32": sum_so_far}


def checksum(array: np.ndarray) -> int:
    """CRC-32 of the C-ordered voxels of `(slices, rows, columns)`."""
    total = 0
    for one_slice in array:
        total = zlib.crc32(np.ascontiguousarray(one_slice).data, total)
    return total


def scan_identity(geometry: Geometry, dtype: np.dtype | str, crc32: int) -> str:
    """Which scan an answer is of: 64 hexadecimal digits of its grid, the type of its voxels and their checksum."""
    plain = json.dumps([geometry_to_json(geometry), np.dtype(dtype).str, crc32], sort_keys=True)
    return hashlib.sha256(plain.encode("ascii")).hexdigest()


def reserve(path: Path) -> None:
    """Make sure that the disk has room for all of a file whose zeros it has not stored yet; raises InputError if not.

    Writing into a memory-mapped file on a full disk would end the process by a signal, without a word.
    """
    if not hasattr(os, "posix_fallocate"):
        return
    size = path.stat().st_size
    with path.open("r+b") as file:
        try:
            os.posix_fallocate(file.fileno(), 0, max(1, size))
        except OSError as error:
            raise InputError(
                f"{path.parent} has no room for the result ({error.strerror}); free {size / 1e6:.1f} MB there."
            ) from error


def segmentation_steps(segmentation: Segmentation, folder: Path, stem: str) -> Steps:
    """Write labels and overlaps below `folder`; returns what `segmentation_from_json` reads."""
    labels = yield from array_steps(segmentation.labels, folder / f"{stem}.raw", "|u1")
    overlaps = {}
    for index, places in segmentation.overlaps.items():
        path = folder / f"{stem}-overlap-{index}.raw"
        np.asarray(places, dtype="<i8").tofile(path)
        overlaps[str(index)] = str(path)
        yield
    return {
        "name": segmentation.name,
        "labels": labels["path"],
        "geometry": geometry_to_json(segmentation.geometry),
        "structures": [structure.to_json() for structure in segmentation.structures],
        "overlaps": overlaps,
        "confidence": {str(index): value for index, value in segmentation.confidence.items()},
        "notes": list(segmentation.notes),
    }


def segmentation_from_json(plain: dict[str, Any]) -> Segmentation:
    """The segmentation that `segmentation_steps` wrote, with its labels read from the file as they are needed."""
    geometry = geometry_from_json(plain["geometry"])
    return Segmentation(
        np.memmap(plain["labels"], dtype=np.uint8, mode="r", shape=geometry.shape),
        geometry,
        tuple(Structure.from_json(structure) for structure in plain["structures"]),
        plain["name"],
        overlaps={int(index): np.fromfile(path, dtype="<i8") for index, path in plain["overlaps"].items()},
        confidence={int(index): value for index, value in plain.get("confidence", {}).items()},
        notes=tuple(plain.get("notes", ())),
    )
