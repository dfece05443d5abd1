"""Reads image files of every format: volumes, arrays and headers. The first bytes decide the format, not the name."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from ..errors import InputError
from .byte_stream import GZIP, RAW, ByteStream, is_gzip
from .dicom_objects import refuse_dicom_object
from .dicom_series import read_dicom, read_dicom_series
from .file_names import file_stem
from .geometry import Geometry
from .image_header import ImageHeader, StoredImage, read_voxels
from .metaimage import is_metaimage, read_metaimage_header
from .nifti import is_nifti, read_nifti_header
from .nrrd import MAGIC as NRRD_MAGIC
from .nrrd import read_nrrd_header
from .resampling import check_straight, straight_geometry, straightened
from .volume import Note, Volume, as_hu, check_volume

_HEAD = 1024
_EXPECTED = "NIfTI, NRRD, MetaImage or DICOM is expected"
_KNOWN_OTHERS = (
    (b"PK\x03\x04", "a zip archive"), (b"<", "a web page or XML, it seems"), (b"{", "JSON"), (b"\x89PNG", "a PNG picture"),
    (b"\xff\xd8\xff", "a JPEG picture"), (b"II*\0", "a TIFF picture"), (b"MM\0*", "a TIFF picture"),
    (b"# vtk", "a VTK file"), (b"%PDF", "a PDF page"), (b"\xfd7zXZ", "compressed by xz"), (b"BZh", "compressed by bzip2"),
    (b"version https://git-lfs", "a pointer of Git LFS, not the file itself"), (b"\x89HDF", "HDF5"),
)  # fmt: skip


def read_volume(path: Path | str, resample: bool = False) -> Volume:
    """Read a CT volume from an image file or from DICOM, a folder or one multi-frame file.

    Args:
        path: the file or folder.
        resample: resample sheared or unevenly spaced slices to a straight, even grid instead of refusing them.

    Returns:
        The volume, with HU as int16 where that is exact, else as float32.

    Raises:
        InputError: this is not one 3D scan, or it is damaged.
    """
    path = Path(path)
    if path.is_dir() or (path.is_file() and is_dicom(path)):
        refuse_dicom_object(path, scan=True)
        with _memory_error_explained(path):
            image = read_dicom(path, resample)
    else:
        image = read_scalar_file(path, resample)
    name = path.name if path.is_dir() else file_stem(path)
    modality = image.series.modality if image.series is not None else ""
    volume = Volume(as_hu(image.array), image.geometry, name, image.notes, series=image.series, modality=modality)
    for note in check_volume(volume):
        if note.severity == "error":
            raise InputError(f"{path}: {note.text}")
    return volume


def read_image(path: Path | str, resample: bool = False, labels: bool = False) -> tuple[np.ndarray, Geometry]:
    """Array and geometry of a 3D scalar image file (NIfTI, NRRD, MetaImage), values as they are stored.

    Contradictions within its header are logged.

    Args:
        path: the file.
        resample: resample sheared voxels to a straight grid instead of refusing them.
        labels: the values are labels, so that the nearest voxel is taken.

    Raises:
        InputError: the file is missing, damaged, sheared without `resample`, or has not one value per voxel in three
            dimensions.
    """
    image = read_scalar_file(path, resample, labels)
    log_notes(path, image.notes)
    return image.array, image.geometry


def read_geometry(path: Path | str, resample: bool = False) -> Geometry:
    """Geometry of a 3D image file or DICOM series from its header alone; raises InputError as `read_volume` does."""
    path = Path(path)
    if path.is_dir() or (path.is_file() and is_dicom(path)):
        refuse_dicom_object(path, scan=True)
        return read_dicom_series(path, resample).geometry
    header = read_image_header(path)
    if resample:
        return straight_geometry(header.geometry)
    check_straight(path, header.geometry, header.notes)
    return header.geometry


def log_notes(path: Path | str, notes: Iterable[Note]) -> None:
    """Log the warnings of a file's reader, where no user interface shows them."""
    for note in notes:
        if note.severity != "info":
            logging.getLogger(__name__).warning("%s: %s", path, note.text)


def read_image_file(path: Path | str, resample: bool = False, labels: bool = False) -> StoredImage:
    """A 3D image, its values as they are stored, read to its last byte.

    Args:
        path: the file.
        resample: resample sheared voxels to a straight grid instead of refusing them.
        labels: the values are labels, so that the nearest voxel is taken instead of interpolating linearly.

    Raises:
        InputError: the file is missing, damaged, sheared without `resample`, or no 3D image.
    """
    path = Path(path)
    header = read_image_header(path)
    if not resample:
        check_straight(path, header.geometry, header.notes)
    with _memory_error_explained(path):
        image = read_voxels(header)
        return straightened(image, labels) if resample else image


def read_scalar_file(path: Path | str, resample: bool = False, labels: bool = False) -> StoredImage:
    """`read_image_file` for one value per voxel; raises InputError if there are several."""
    image = read_image_file(path, resample, labels)
    if image.array.ndim != 3:
        raise InputError(
            f"{path} has {image.array.shape[3]} values per voxel; a single 3D scan with one value per voxel is expected, so "
            "extract one first."
        )
    return image


def read_image_header(path: Path | str) -> ImageHeader:
    """Header of a NIfTI, NRRD or MetaImage file; raises InputError for any other file and names what it seems to be."""
    path = Path(path)
    head = _head(path)
    if path.suffix.lower() == ".img" or path.name.lower().endswith(".img.gz"):
        path, head = _header_of_pair(path, head)
    if head[128:132] == b"DICM":
        refuse_dicom_object(path, scan=False)
        raise InputError(
            f"{path} is a DICOM image, which is read as a scan; as labels a DICOM segmentation or structure set, NIfTI or NRRD "
            "is expected."
        )
    if is_nifti(head):
        return read_nifti_header(path)
    if head.startswith(NRRD_MAGIC) and not is_gzip(path):
        return read_nrrd_header(path)
    if is_metaimage(head) and not is_gzip(path):
        return read_metaimage_header(path)
    raise InputError(f"{path} is not an image that can be read: it is {_guessed_format(path, head)}; {_EXPECTED}.")


def is_dicom(path: Path) -> bool:
    """Whether a file begins as DICOM files do."""
    with path.open("rb") as file:
        return file.read(132)[128:] == b"DICM"


@contextmanager
def _memory_error_explained(path: Path) -> Iterator[None]:
    try:
        yield
    except MemoryError as error:
        raise InputError(
            f"{path} does not fit into this machine's memory; read it on a larger one, or crop it."
        ) from error


def _head(path: Path) -> bytes:
    if not path.exists():
        link = f" (it is a link to {os.readlink(path)})" if path.is_symlink() else ""
        raise InputError(f"{path} does not exist{link}; choose an image file or a DICOM folder.")
    if path.is_dir():
        raise InputError(f"{path} is a folder; choose an image file.")
    if not path.is_file():  # reading a pipe would wait for ever
        raise InputError(f"{path} is a pipe or a device; choose an image file.")
    try:
        is_compressed = is_gzip(path)
    except OSError as error:
        raise InputError(f"{path} can't be read ({error.strerror}).") from error
    with ByteStream(path, GZIP if is_compressed else RAW) as stream:
        return stream.read(_HEAD)


def _header_of_pair(path: Path, head: bytes) -> tuple[Path, bytes]:
    """The .hdr beside an .img; an .img that is a complete image is returned unchanged."""
    if is_nifti(head):
        return path, head
    stem = path.name.lower().split(".img")[0]
    for other in sorted(path.parent.iterdir()):
        if other.name.lower() in (f"{stem}.hdr", f"{stem}.hdr.gz"):
            return other, _head(other)
    raise InputError(f"{path} holds voxels without their header; copy the .hdr of the pair beside it.")


def _guessed_format(path: Path, head: bytes) -> str:
    if not head:
        return "empty"
    if head[:4] in (b"\x5c\x01\0\0", b"\0\0\x01\x5c"):
        return "Analyze 7.5, which does not give left and right (convert it to NIfTI)"
    if is_gzip(path) and (head.startswith(NRRD_MAGIC) or is_metaimage(head)):
        return "compressed by gzip as a whole (decompress it)"
    if not any(head):
        return "nothing but zeros"
    return next((name for start, name in _KNOWN_OTHERS if head.lstrip().startswith(start)), "none of the known formats")
