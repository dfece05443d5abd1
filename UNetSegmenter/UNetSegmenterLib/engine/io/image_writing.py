"""Writes volumes and other arrays to image files, atomically, and pictures as PNG."""

from __future__ import annotations

import errno
import os
import tempfile
from pathlib import Path

import numpy as np

from ..errors import InputError
from .atomic_files import write_atomically
from .file_names import WRITABLE_ENDINGS, refuse_undecodable
from .geometry import Geometry
from .volume import Volume

NIFTI_HEADER_BYTES = 352


def write_volume(volume: Volume, path: Path | str) -> None:
    """Write array and geometry to an image file; its ending decides the format. Raises InputError if it can't be written."""
    write_image(volume.array, volume.geometry, path)


def write_image(
    array: np.ndarray, geometry: Geometry, path: Path | str, metadata: dict[str, str] | None = None
) -> None:
    """Write an array to an image file, atomically.

    Args:
        array: (slices, rows, columns), with a last axis if a voxel has several values.
        geometry: the grid of `array`.
        path: the file; its ending decides the format.
        metadata: keys and texts for the file's header.

    Raises:
        InputError: the file can't be written, or its ending is unknown or stands for a pair of files.
    """
    import SimpleITK as sitk

    path = Path(path)
    refuse_undecodable(path)
    ending = next((ending for ending in WRITABLE_ENDINGS if path.name.lower().endswith(ending)), None)
    if ending is None:
        endings = f"{', '.join(WRITABLE_ENDINGS[:-1])} or {WRITABLE_ENDINGS[-1]}"
        raise InputError(f"{path} has no ending of an image that can be written; name it {endings}.")
    image = sitk.GetImageFromArray(np.ascontiguousarray(array), isVector=array.ndim == 4)
    geometry.apply_to(image)
    for key, value in (metadata or {}).items():
        image.SetMetaData(key, value)

    def write(partial: Path) -> None:
        sitk.WriteImage(image, str(partial), useCompression=True)
        _check_whole(partial, ending, array.nbytes)

    # ITK takes .hdr and .img for endings wherever they stand in a name, and then writes another file.
    write_atomically(path, write, ending)


def _check_whole(path: Path, ending: str, voxel_bytes: int) -> None:
    """Raise OSError for an image that is not whole: ITK's writers do not notice that the last bytes found no space."""
    if ending not in (".nii", ".nii.gz", ".nrrd", ".seg.nrrd"):
        return
    expected = voxel_bytes + (NIFTI_HEADER_BYTES if ending.startswith(".nii") else 0)
    written = path.stat().st_size
    if ending != ".nii":
        with path.open("rb") as file:  # the last four bytes of gzip count what was compressed (RFC 1952)
            file.seek(-min(4, written), os.SEEK_END)
            written, expected = int.from_bytes(file.read(), "little"), expected % 2**32
    if written != expected:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def png_bytes(pixels: np.ndarray) -> bytes:
    """An RGB picture (height, width, 3), uint8, top row first, as the content of a PNG file."""
    import SimpleITK as sitk

    with tempfile.TemporaryDirectory() as folder:  # SimpleITK writes to files alone
        path = str(Path(folder, "picture.png"))
        image = sitk.GetImageFromArray(pixels, isVector=True)
        sitk.WriteImage(image, path, useCompression=True, compressionLevel=6)
        return Path(path).read_bytes()
