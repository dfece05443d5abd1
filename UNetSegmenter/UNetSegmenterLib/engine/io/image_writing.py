"""Volumes and other arrays written to image files, atomically."""

from __future__ import annotations

import secrets
from pathlib import Path

import numpy as np

from ..errors import InputError
from .atomic_files import write_atomically
from .geometry import Geometry
from .volume import Volume

_WRITTEN = (".nii.gz", ".nii", ".nrrd", ".mha")


def write_volume(volume: Volume, path: Path | str) -> None:
    """Write array and geometry to an image file; the format goes by the ending. Raises InputError if it can't."""
    write_image(volume.array, volume.geometry, path)


def write_image(
    array: np.ndarray, geometry: Geometry, path: Path | str, metadata: dict[str, str] | None = None
) -> None:
    """Write an array `(slices, rows, columns)` whole or not at all (a neighbour file is renamed into place).

    Raises InputError if it can't be written, also for endings that stand for two files or for none that is known.
    """
    import SimpleITK as sitk

    path = Path(path)
    ending = next((ending for ending in _WRITTEN if path.name.lower().endswith(ending)), None)
    if ending is None:
        raise InputError(
            f"{path} ends as no image that is written; name it {', '.join(_WRITTEN[:-1])} or {_WRITTEN[-1]}."
        )
    image = sitk.GetImageFromArray(np.ascontiguousarray(array))
    geometry.stamp(image)
    for key, value in (metadata or {}).items():
        image.SetMetaData(key, value)

    def write(partial: Path) -> None:
        # ITK takes .hdr and .img for endings wherever they stand in a name, and writes another file than it was told to.
        plain = partial.with_name(f".partial-{secrets.token_hex(4)}{ending}")
        try:
            sitk.WriteImage(image, str(plain), useCompression=True)
            plain.replace(partial)
        finally:
            plain.unlink(missing_ok=True)

    write_atomically(path, write)
