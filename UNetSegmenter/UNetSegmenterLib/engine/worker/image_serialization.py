"""Geometries, arrays and segmentations as Slicer and the worker exchange them: JSON, and raw files for the voxels.

Large arrays are written in blocks, so that Slicer's event loop can run between two of them.
"""

from __future__ import annotations

import hashlib
import json
import os
import zlib
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import InputError
from ..io.geometry import Geometry
from ..io.slicing_axis import AXIAL
from ..io.volume import HU, Volume
from ..labels.postprocessing_change import PostprocessingChange
from ..labels.segmentation import Segmentation
from ..labels.structures import Structure
from ..stepwise import Steps

BLOCK_BYTES = 8 << 20  # a few ms to write


def geometry_to_json(geometry: Geometry) -> dict[str, Any]:
    """A geometry as JSON: `shape`, `spacing_mm`, `origin_lps` and `direction`."""
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
    """Write a volume (slices, rows, columns) as a raw C-ordered file, one block per step; returns {"path", "dtype", "crc32"}."""
    kind = np.dtype(dtype)
    count = max(1, BLOCK_BYTES // max(1, array[0].nbytes if len(array) else 1))
    checksum_so_far = 0
    try:
        with path.open("wb") as file:
            for start in range(0, len(array), count):
                block = np.ascontiguousarray(array[start : start + count], dtype=kind)
                checksum_so_far = zlib.crc32(block.data, checksum_so_far)
                file.write(block.data)
                yield
    except OSError as error:
        error.filename = error.filename or str(path)  # the error of a full disk does not name the file
        raise
    return {"path": str(path), "dtype": kind.str, "crc32": checksum_so_far}


def array_from_json(plain: dict[str, Any], shape: tuple[int, int, int]) -> np.ndarray:
    """The array that `array_steps` wrote, mapped from the file for reading."""
    return np.memmap(plain["path"], dtype=plain["dtype"], mode="r", shape=shape)


def volume_from_json(plain: dict[str, Any]) -> Volume:
    """A volume mapped from its raw file: what `array_steps` returned, with `geometry` and, if known, `name` and `intensities`."""
    geometry = geometry_from_json(plain["geometry"])
    array = array_from_json(plain, geometry.shape)
    return Volume(array, geometry, plain.get("name", ""), intensities=plain.get("intensities", HU))


def checksum(array: np.ndarray) -> int:
    """CRC-32 of the C-ordered voxels of a volume (slices, rows, columns)."""
    total = 0
    for one_slice in array:
        total = zlib.crc32(np.ascontiguousarray(one_slice).data, total)
    return total


def scan_identity(geometry: Geometry, dtype: np.dtype | str, crc32: int) -> str:
    """Identity of a scan, 64 hexadecimal digits: a hash of its grid, the type of its voxels and their checksum."""
    plain = json.dumps([geometry_to_json(geometry), np.dtype(dtype).str, crc32], sort_keys=True)
    return hashlib.sha256(plain.encode("ascii")).hexdigest()


def reserve_disk_space(path: Path) -> None:
    """Reserve disk space for a sparse file; raises InputError if the disk is too full.

    Writing into a memory-mapped file on a full disk would end the process by a signal, without a message.
    """
    if not hasattr(os, "posix_fallocate"):
        return
    size = path.stat().st_size
    with path.open("r+b") as file:
        try:
            os.posix_fallocate(file.fileno(), 0, max(1, size))
        except OSError as error:
            raise InputError(
                f"{path.parent} has not enough space for the result ({error.strerror}); free {size / 1e6:.1f} MB there."
            ) from error


def segmentation_steps(segmentation: Segmentation, folder: Path, stem: str) -> Steps:
    """Write labels and overlaps into `folder` as raw files; returns what `segmentation_from_json` reads."""
    labels = yield from array_steps(segmentation.labels, folder / f"{stem}.raw", "|u1")
    overlaps = {}
    for index, voxel_indices in segmentation.overlaps.items():
        path = folder / f"{stem}-overlap-{index}.raw"
        np.asarray(voxel_indices, dtype="<i8").tofile(path)
        overlaps[str(index)] = str(path)
        yield
    return {
        "name": segmentation.name,
        "labels": labels["path"],
        "geometry": geometry_to_json(segmentation.geometry),
        "structures": [structure.to_json() for structure in segmentation.structures],
        "overlaps": overlaps,
        "confidence": {str(index): value for index, value in segmentation.confidence.items()},
        "postprocessing": changes_to_json(segmentation.postprocessing),
        "notes": list(segmentation.notes),
        "slicing_axis": segmentation.slicing_axis,
    }


def segmentation_from_json(plain: dict[str, Any]) -> Segmentation:
    """The segmentation that `segmentation_steps` wrote; its labels are mapped from the file."""
    geometry = geometry_from_json(plain["geometry"])
    return Segmentation(
        np.memmap(plain["labels"], dtype=np.uint8, mode="r", shape=geometry.shape),
        geometry,
        tuple(Structure.from_json(structure) for structure in plain["structures"]),
        plain["name"],
        overlaps={int(index): np.fromfile(path, dtype="<i8") for index, path in plain["overlaps"].items()},
        confidence={int(index): value for index, value in plain.get("confidence", {}).items()},
        postprocessing=changes_from_json(plain.get("postprocessing", {})),
        notes=tuple(plain.get("notes", ())),
        slicing_axis=plain.get("slicing_axis", AXIAL),
    )


def changes_to_json(changes: Mapping[int, PostprocessingChange]) -> dict[str, dict[str, Any]]:
    """What postprocessing changed, by structure index, as `changes_from_json` reads it."""
    return {str(index): asdict(change) for index, change in changes.items()}


def changes_from_json(plain: Mapping[str, Mapping[str, Any]]) -> dict[int, PostprocessingChange]:
    """What `changes_to_json` wrote."""
    return {int(index): PostprocessingChange(**change) for index, change in plain.items()}
