"""NIfTI-1 and NIfTI-2, one file or a pair of .hdr and .img, compressed or not, of either byte order.

Standard: https://nifti.nimh.nih.gov/nifti-1/documentation/nifti1fields and the header file nifti2.h.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import InputError
from .byte_stream import GZIP, RAW, ByteStream, is_gzip
from .geometry import LPS_TO_RAS, largest_shift_mm, sizes_text
from .header_geometry import (
    FARTHEST_MM,
    SAME_POSITION_MM,
    SAME_SIZE,
    check_affine,
    check_sizes,
    check_spacing,
    header_geometry,
    no_orientation_note,
)
from .image_header import DataLocation, ImageHeader
from .volume import Note

_TYPES = {
    2: "u1", 4: "i2", 8: "i4", 16: "f4", 64: "f8", 256: "i1", 512: "u2", 768: "u4", 1024: "i8", 1280: "u8",
}  # fmt: skip
_OTHER_TYPES = {
    0: "of unknown type", 1: "single bits", 32: "complex", 128: "RGB colours", 1536: "128-bit floats", 1792: "complex",
    2048: "complex", 2304: "RGBA colours",
}  # fmt: skip
_UNITS_MM = {1: ("metres", 1000.0), 3: ("micrometres", 0.001)}


_LAYOUT = {  # field: struct format and first byte in NIfTI-1, the same in NIfTI-2
    "magic": (("4s", 344), ("8s", 4)),
    "dim": (("8h", 40), ("8q", 16)),
    "datatype": (("h", 70), ("h", 12)),
    "pixdim": (("8f", 76), ("8d", 104)),
    "offset": (("f", 108), ("q", 168)),
    "scale": (("2f", 112), ("2d", 176)),
    "codes": (("2h", 252), ("2i", 344)),
    "quatern": (("6f", 256), ("6d", 352)),
    "srow": (("12f", 280), ("12d", 400)),
    "units": (("B", 123), ("i", 500)),
}


@dataclass(frozen=True, kw_only=True)
class _NiftiFields:
    """The fields of a header that are used, unchanged; dim and pixdim have eight entries."""

    order: str
    magic: bytes
    dim: tuple[int, ...]
    datatype: int
    pixdim: tuple[float, ...]
    offset: float
    scale: tuple[float, float]
    codes: tuple[int, int]
    quatern: tuple[float, ...]
    srow: tuple[float, ...]
    units: int


def is_nifti(head: bytes) -> bool:
    """Whether the first bytes (decompressed) are a NIfTI header, in either byte order."""
    return head[344:347] in (b"n+1", b"ni1") or head[4:7] in (b"n+2", b"ni2")


def read_nifti_header(path: Path) -> ImageHeader:
    """Header of a NIfTI file; the sform gives the grid if its code is above 0, else the qform.

    nibabel, FSL and the programs that build on them do the same. The notes name contradictions within the header. Raises
    InputError for a file that is no scan of one value per voxel, and for a header without voxel sizes.
    """
    compression = GZIP if is_gzip(path) else RAW
    with ByteStream(path, compression) as stream:
        raw = _parse(path, stream.read(540))
    notes = _compression_note(path, compression)
    shape, component_axis = _shape(path, raw)
    size = shape[::-1][:3]
    if raw.datatype not in _TYPES:
        kind = _OTHER_TYPES.get(raw.datatype, f"of the unknown type {raw.datatype}")
        raise InputError(
            f"{path} holds voxels that are {kind}; one number per voxel is expected, such as HU or labels."
        )
    affine, spacing, affine_notes = _affine(path, raw, size)
    units, factor = _UNITS_MM.get(raw.units & 7, ("", 1.0))
    if units:
        affine[:3] *= factor
        spacing = [value * factor for value in spacing]
        notes.append(Note("warning", f"the header gives lengths in {units}; they were converted to mm."))
    geometry = header_geometry(path, size, LPS_TO_RAS @ affine, spacing)
    single = raw.magic[1:2] == b"+"
    least = (352 if raw.magic.endswith(b"1") else 544) if single else 0
    if not np.isfinite(raw.offset) or raw.offset < 0:
        raise InputError(f"{path} is damaged: its voxels begin at byte {raw.offset:g}; copy or export it again.")
    files, compression = ((path,), compression) if single else _detached(path)
    return ImageHeader(
        path=path,
        stored_shape=shape,
        component_axis=component_axis,
        dtype=np.dtype(_TYPES[raw.datatype]).newbyteorder(raw.order),  # type: ignore[arg-type]
        geometry=geometry,
        data=DataLocation(files, compression, skip=max(int(raw.offset), least)),
        notes=(*notes, *affine_notes),
        scale=_scale(path, raw),
    )


def _compression_note(path: Path, compression: str) -> list[Note]:
    called_gz = path.suffix.lower() == ".gz"
    if called_gz == (compression == GZIP) or path.suffix.lower() in (".hdr", ".img"):
        return []
    text = "is called .gz but is not compressed" if called_gz else "is compressed by gzip but not called .gz"
    return [Note("info", f"the file {text}; it was read, but other programs may not read it.")]


def _parse(path: Path, head: bytes) -> _NiftiFields:
    try:
        order = "<" if struct.unpack_from("<i", head)[0] in (348, 540) else ">"
        version = 0 if struct.unpack_from(order + "i", head)[0] == 348 else 1
        fields: dict[str, Any] = {}
        for name, layouts in _LAYOUT.items():
            form, start = layouts[version]
            values = struct.unpack_from(order + form, head, start)
            fields[name] = values if len(values) > 1 else values[0]
        return _NiftiFields(order=order, **fields | {"magic": fields["magic"][:3]})
    except struct.error as error:
        raise InputError(f"{path} is cut off within its header; copy or export it again.") from error


def _shape(path: Path, raw: _NiftiFields) -> tuple[tuple[int, ...], int | None]:
    """Stored shape, slowest axis first, and the axis of components, if there is one; a single time point is dropped."""
    count = raw.dim[0]
    dim = raw.dim[1 : 1 + max(0, min(7, count))]
    if not 1 <= count <= 7 or any(size < 1 for size in dim):
        raise InputError(f"{path} is damaged: its header gives the sizes {dim or count}; copy or export it again.")
    check_sizes(path, dim)
    size = list(dim)
    while len(size) > 3 and size[-1] == 1:
        size.pop()
    if len(size) == 5 and size[3] == 1:
        return (size[4], *size[2::-1]), 0
    if len(size) != 3:
        what = f"{size[3]} time points" if len(size) > 3 else f"{len(size)} dimensions"
        raise InputError(
            f"{path} is {sizes_text(size)} ({what}); a single 3D scan with one value per voxel is expected, so "
            "extract one first."
        )
    return tuple(size[::-1]), None


def _scale(path: Path, raw: _NiftiFields) -> tuple[float, float]:
    """Slope and intercept; a slope of 0 or NaN means that there is none, by the standard and in nibabel."""
    slope, intercept = raw.scale
    if slope == 0 or not np.isfinite(slope):
        return 1.0, 0.0
    if not np.isfinite(intercept):
        raise InputError(
            f"{path} has the slope {slope:g} but the intercept {intercept}; correct scl_inter in its header."
        )
    return float(slope), float(intercept)


def _affine(path: Path, raw: _NiftiFields, size: tuple[int, ...]) -> tuple[np.ndarray, list[float], list[Note]]:
    """4x4 affine from (column, row, slice) to RAS in mm, the spacing that pixdim gives, and notes."""
    qcode, scode = raw.codes
    pixdim = [float(value) for value in raw.pixdim[1:4]]
    sizes = all(0 < value <= FARTHEST_MM for value in pixdim)
    sform = np.vstack([np.reshape(raw.srow, (3, 4)), [0, 0, 0, 1]]).astype(float)
    qform = _qform(raw) if qcode > 0 and sizes else None
    if scode > 0 and np.isfinite(sform).all():
        check_affine(path, sform)
    if scode > 0 and _spans_volume(sform):
        return sform, pixdim, _sform_notes(sform, qform, pixdim, size)
    check_spacing(path, pixdim, "voxel size")
    notes = []
    if scode > 0:
        if qform is None:
            raise InputError(f"{path} has an sform that spans no volume, and no qform; export it again.")
        notes.append(Note("warning", "the sform spans no volume (all zeros or NaN); the qform was taken."))
    if qform is not None:
        return qform, pixdim, notes
    if qcode > 0:
        raise InputError(f"{path} has a qform that is no rotation (NaN or a quaternion above 1); export it again.")
    flipped = np.diag([-pixdim[0], pixdim[1], pixdim[2], 1.0])
    flipped[:3, 3] = -flipped[:3, :3] @ (np.asarray(size) - 1) / 2
    return flipped, pixdim, [no_orientation_note("front", " (qform and sform have the code 0), as nibabel does")]


def _sform_notes(sform: np.ndarray, qform: np.ndarray | None, pixdim: list[float], size: tuple[int, ...]) -> list[Note]:
    notes = []
    if qform is not None and np.abs(qform).max() > FARTHEST_MM:
        qform = None  # it would place nothing anywhere, and is not taken
    if qform is not None and (apart := largest_shift_mm(size[::-1], sform, qform)) > SAME_POSITION_MM:
        notes.append(
            Note(
                "warning",
                f"qform and sform place voxels up to {apart:.3g} mm apart; the sform was taken, as nibabel and FSL do "
                "(a program that takes the qform shows the result elsewhere).",
            )
        )
    lengths = np.linalg.norm(sform[:3, :3], axis=0)
    if not np.allclose(pixdim, lengths, rtol=10 * SAME_SIZE, atol=0):
        theirs, ours = (sizes_text(part, ".6g") for part in (pixdim, lengths))
        notes.append(Note("warning", f"pixdim gives voxels of {theirs} mm, the sform {ours} mm; the sform was taken."))
    return notes


def _spans_volume(affine: np.ndarray) -> bool:
    return bool(np.isfinite(affine).all() and abs(np.linalg.det(affine[:3, :3])) > 0)


def _qform(raw: _NiftiFields) -> np.ndarray | None:
    """4x4 affine to RAS of the quaternion (nifti1.h, method 2), None if it is none."""
    b, c, d, *origin = (float(value) for value in raw.quatern)
    square = b * b + c * c + d * d
    if not np.isfinite([b, c, d, *origin]).all() or square > 1 + 1e-5:
        return None
    a = np.sqrt(max(0.0, 1 - square))
    if square > 1:
        b, c, d = (value / np.sqrt(square) for value in (b, c, d))
    rotation = np.array(
        [
            [a * a + b * b - c * c - d * d, 2 * (b * c - a * d), 2 * (b * d + a * c)],
            [2 * (b * c + a * d), a * a + c * c - b * b - d * d, 2 * (c * d - a * b)],
            [2 * (b * d - a * c), 2 * (c * d + a * b), a * a + d * d - b * b - c * c],
        ]
    )
    affine = np.eye(4)
    hand = -1.0 if raw.pixdim[0] < 0 else 1.0
    affine[:3, :3] = rotation * (np.asarray(raw.pixdim[1:4], float) * [1, 1, hand])
    affine[:3, 3] = origin
    return affine


def _detached(path: Path) -> tuple[tuple[Path, ...], str]:
    """The file that holds the voxels of a pair, and its compression."""
    stem = path.name[: -len(path.suffix)]
    if path.suffix.lower() == ".gz":
        stem = Path(stem).stem
    for other in sorted(path.parent.iterdir()):
        if other.name.lower() in (f"{stem}.img".lower(), f"{stem}.img.gz".lower()) and other.stem.startswith(stem):
            return (other,), GZIP if is_gzip(other) else RAW
    raise InputError(f"{path} is the header of a pair, and {stem}.img is not there; copy it beside the header.")
