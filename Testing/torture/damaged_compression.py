"""Compressed voxels of every kind that are cut, flipped, doubled, followed by something, or bombs."""

from __future__ import annotations

import bz2
import gzip
import random
import zlib
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
from UNetSegmenterLib.engine.io import byte_stream
from UNetSegmenterLib.engine.io.image_reading import read_volume

from ..engine.dicom_files import RLE, enhanced_elements, rle, write_dicom
from ..engine.images import nifti_bytes, noise, write_metaimage, write_nrrd
from .harness import Bug, Tally, little_memory

NAME = "damaged compression"
TRIED = "gzip, zlib, bzip2, deflate and RLE, cut, flipped, doubled, followed by bytes; bombs; with isal and with zlib"
FULL, SHORT = 8_000, 110

HU = noise((6, 20, 24))
GEOMETRY = (
    "space: left-posterior-superior",
    "space directions: (3,0,0) (0,3,0) (0,0,5)",
    "space origin: (0,0,0)",
)
BOMB_BYTES = 3_000_000_000
"""What the bombs unpack to: more than the process may ask for."""


def run(tally: Tally, count: int) -> None:
    """Every kind as often, each with both decompressors of gzip."""
    draw = tally.random
    original = byte_stream._zlib
    makers = list(KINDS.items())
    with little_memory():
        for name, make in bombs(count).items():
            path = make(tally.folder)
            tally.try_one(partial(must_be_refused, path), name)
            path.unlink()
        for number in range(count):
            kind, make = makers[number % len(makers)]
            byte_stream._zlib = zlib if number // len(makers) % 2 else original
            path = make(tally.folder)
            whole = path.read_bytes()
            damage, content = damaged(whole, draw)
            path.write_bytes(content)
            tally.try_one(partial(read_right, path, kind not in UNCHECKED), f"{kind}, {damage}")
            path.unlink()
    byte_stream._zlib = original


def read_right(path: Path, checked: bool) -> None:
    """Read a damaged file; where its format has checksums, not a voxel may have changed."""
    array = read_volume(path).array
    if array.shape != HU.shape or (checked and not np.array_equal(array, HU)):
        raise Bug("damaged voxels were read")


def must_be_refused(path: Path) -> None:
    """Read a bomb, which is never a scan."""
    read_volume(path)
    raise Bug("a bomb was read")


def damaged(whole: bytes, draw: random.Random) -> tuple[str, bytes]:
    """The file with one kind of damage to its second half of bytes, mostly voxels, and the damage in words."""
    at = draw.randrange(len(whole) // 20, len(whole))
    length, bit = draw.randrange(1, 60), draw.randrange(8)
    flipped = bytearray(whole)
    flipped[at] ^= 1 << bit
    kinds = {
        f"bit {bit} of byte {at} flipped": bytes(flipped),
        f"cut off at {at}": whole[:at],
        f"cut off {length} bytes before its end": whole[:-length],
        f"{length} bytes at {at} lost": whole[:at] + whole[at + length :],
        f"{length} zeros at {at}": whole[:at] + bytes(length) + whole[at + length :],
        f"{length} bytes at {at} twice": whole[: at + length] + whole[at:],
        f"followed by {length} random bytes": whole + draw.randbytes(length),
        "followed by itself": whole + whole,
    }
    return draw.choice(list(kinds.items()))


def _nifti_gz(folder: Path) -> Path:
    path = folder / "case.nii.gz"
    path.write_bytes(gzip.compress(nifti_bytes(HU), 1, mtime=0))
    return path


def _nrrd(encoding: str, compress: Callable[[bytes], bytes]) -> Callable[[Path], Path]:
    return lambda folder: write_nrrd(
        folder / "case.nrrd", HU, *GEOMETRY, f"encoding: {encoding}", voxels=compress(HU.tobytes())
    )


def _metaimage(compress: Callable[[bytes], bytes]) -> Callable[[Path], Path]:
    return lambda folder: write_metaimage(folder / "case.mha", HU, compress(HU.tobytes()), CompressedData="True")


def _dicom_rle(folder: Path) -> Path:
    elements = enhanced_elements(HU, range(len(HU)))
    stored = (HU.astype(np.int32) + 1024).astype(np.uint16)
    return write_dicom(folder / "case.dcm", elements | {(0x7FE0, 0x0010): ("OB", [rle(part) for part in stored])}, RLE)


def _dicom_deflated(folder: Path) -> Path:
    path = write_dicom(folder / "case.dcm", enhanced_elements(HU, range(len(HU))), DEFLATED)
    whole = path.read_bytes()
    start = whole.index(DEFLATED.encode()) + len(DEFLATED)
    path.write_bytes(whole[:start] + raw_deflate(whole[start:]))
    return path


DEFLATED = "1.2.840.10008.1.2.1.99"
UNCHECKED = ("DICOM, RLE", "DICOM, deflate")  # neither has a checksum
KINDS: dict[str, Callable[[Path], Path]] = {
    "NIfTI, gzip": _nifti_gz,
    "NRRD, gzip": _nrrd("gzip", lambda data: gzip.compress(data, 1, mtime=0)),
    "NRRD, bzip2": _nrrd("bzip2", bz2.compress),
    "MetaImage, zlib": _metaimage(zlib.compress),
    "MetaImage, gzip": _metaimage(lambda data: gzip.compress(data, 1, mtime=0)),
    "DICOM, RLE": _dicom_rle,
    "DICOM, deflate": _dicom_deflated,
}


def raw_deflate(data: bytes) -> bytes:
    """Deflate without head and checksum."""
    compressor = zlib.compressobj(6, zlib.DEFLATED, -15)
    return compressor.compress(data) + compressor.flush()


# --- bombs ----------------------------------------------------------------------------------------------------------------


def zeros(compressor: object, size: int) -> bytes:
    """Zeros, compressed block by block."""
    block = bytes(10_000_000)
    parts = [compressor.compress(block) for _ in range(size // len(block))]  # type: ignore[attr-defined]
    return b"".join([*parts, compressor.flush()])  # type: ignore[attr-defined]


def bombs(count: int) -> dict[str, Callable[[Path], Path]]:
    """Small files that unpack to much; in the short version of what is quickest to make."""
    bzip2 = zeros(bz2.BZ2Compressor(), BOMB_BYTES if count >= 1000 else BOMB_BYTES // 100)
    found: dict[str, Callable[[Path], Path]] = {
        "bomb, NRRD bzip2": lambda folder: write_nrrd(
            folder / "bomb.nrrd", HU, *GEOMETRY, "encoding: bzip2", voxels=bzip2[:-10]
        ),
        "bomb, bytes claimed to be a terabyte": lambda folder: write_nrrd(
            folder / "bomb.nrrd", np.broadcast_to(np.uint8(0), (10_000,) * 3), *GEOMETRY, "encoding: bzip2", voxels=b"BZh9"
        ),
    }  # fmt: skip
    if count < 1000:
        return found
    deflated, gzipped = zeros(zlib.compressobj(9, 8, -15), BOMB_BYTES), zeros(zlib.compressobj(9, 8, 31), BOMB_BYTES)

    def dicom(folder: Path) -> Path:
        path = _dicom_deflated(folder)
        whole = path.read_bytes()
        start = whole.index(DEFLATED.encode()) + len(DEFLATED)
        path.write_bytes(whole[:start] + deflated)
        return path

    def nifti(folder: Path) -> Path:
        path = folder / "bomb.nii.gz"
        path.write_bytes(gzipped)
        return path

    return found | {"bomb, DICOM deflate": dicom, "bomb, NIfTI gzip": nifti}
