"""Headers of NIfTI, NRRD and MetaImage made by hypothesis: whole ones with up to a few entries that are not."""

from __future__ import annotations

import gzip
import math
import struct
import warnings
import zlib
from pathlib import Path

import numpy as np
from hypothesis import strategies as st
from UNetSegmenterLib.engine.io.geometry import Geometry
from UNetSegmenterLib.engine.io.image_reading import read_geometry, read_image_file, read_volume
from UNetSegmenterLib.engine.io.volume import check_volume

from ..engine.images import CODES, LPS, nifti_bytes
from .harness import Bug, Tally, little_memory

NAME = "image headers"
TRIED = "NIfTI-1 and -2, NRRD and MetaImage with sizes, spacings, directions, types and byte orders that are none"
FULL, SHORT = 12_000, 90

SHAPE = (3, 4, 5)
VOXELS = np.arange(60, dtype=np.int16).reshape(SHAPE) - 20
NUMBERS = (0.0, -0.0, -1.0, 3.0, 1e-30, 1e-320, 1e30, 1e300, 1.7e308, math.nan, math.inf, -math.inf)
SIZES = (0, 1, -1, 2, 3, 4, 5, 255, 32767, -32768, 2**31 - 1, 2**31, 2**40, 2**62, -(2**63))
WORDS = (
    "0", "-1", "3", "3.0", "0.5", "nan", "inf", "-inf", "1e400", "1e-320", "1e300", "", " ", "x", "0x10", "1_000", "\u0663",
    "9" * 30, "9" * 400, "9" * 4000, "9" * 5000, "%s", "%d", "\\", "\0", "(", "1,2", "none", "4 4 4", "1 2 3 4 5 6 7 8 9",
)  # fmt: skip


def run(tally: Tally, count: int) -> None:
    """A third of the cases for each format."""
    path = tally.folder / "case"
    with little_memory(), warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        for strategy in (nifti_files(), nrrd_files(), metaimage_files()):
            tally.try_all(strategy, max(1, count // 3), lambda content: attempt(path, content), shown)


def attempt(path: Path, content: bytes) -> None:
    """Read a file in all three ways; what comes out must be a scan."""
    path.write_bytes(content)
    image = read_image_file(path)
    check_geometry(image.geometry)
    if image.array.shape[:3] != image.geometry.shape or not image.array.dtype.isnative:
        raise Bug(f"an array {image.array.shape} of {image.array.dtype} with a grid {image.geometry.shape}")
    if read_geometry(path) != image.geometry:
        raise Bug("the header alone gives another grid")
    volume = read_volume(path)
    check_volume(volume)


def check_geometry(geometry: Geometry) -> None:
    """Raise Bug unless a grid can be measured and described."""
    numbers = (*geometry.spacing_mm, *geometry.origin_lps, *(value for row in geometry.direction for value in row))
    if not all(map(math.isfinite, numbers)) or min(geometry.spacing_mm) <= 0:
        raise Bug(f"a grid that is none: {geometry}")
    lengths = np.linalg.norm(np.asarray(geometry.direction), axis=0)
    if not np.allclose(lengths, 1, atol=1e-4) or not 0 < geometry.voxel_ml < math.inf:
        raise Bug(f"directions of length {lengths} and voxels of {geometry.voxel_ml} ml")
    for text in (geometry.grid_text(), geometry.orientation(), geometry.spacing_text()):
        if "nan" in text or "inf" in text:
            raise Bug(f"a grid described as {text}")


def shown(content: bytes) -> str:
    """The header of a file, for a user who looks for the reason."""
    return repr(content[:600])


def numbers(count: int) -> st.SearchStrategy[tuple[float, ...]]:
    """Some of the numbers that a header should not hold, and some that it may."""
    one = st.sampled_from(NUMBERS) | st.floats(width=32)
    return st.tuples(*[one] * count)


# --- NIfTI ----------------------------------------------------------------------------------------------------------------


@st.composite
def nifti_files(draw: st.DrawFn) -> bytes:
    """A file of either version and byte order; the voxels are whole unless it is cut."""
    version, order = draw(st.sampled_from((1, 2))), draw(st.sampled_from("<>"))
    dtype = draw(st.sampled_from([np.dtype(kind) for kind in CODES]))
    rows = (
        st.tuples(numbers(4), numbers(4), numbers(4)) | st.just(((0.0,) * 4,) * 3) | st.just((LPS[0], LPS[0], LPS[2]))
    )
    dims = st.lists(st.sampled_from(SIZES), min_size=0, max_size=7).map(lambda sizes: (len(sizes), *sizes))
    entries = {
        "sform": rows, "quatern": numbers(6), "codes": st.tuples(*[st.integers(-1, 5)] * 2), "pixdim": numbers(4),
        "scale": numbers(2), "units": st.integers(0, 255), "magic": st.sampled_from((b"n+", b"ni", b"xx")),
        "datatype": st.integers(-5, 2400) | st.sampled_from(list(CODES.values())),
        "dim": dims | st.tuples(st.integers(-3, 9), *[st.sampled_from(SIZES)] * 3),
        "offset": st.sampled_from(NUMBERS) if version == 1 else st.sampled_from(SIZES),
    }  # fmt: skip
    wrong = draw(st.lists(st.sampled_from(sorted(entries)), max_size=3, unique=True))
    chosen = {name: draw(entries[name]) for name in wrong}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            content = nifti_bytes(VOXELS.astype(dtype), order=order, version=version, **chosen)
    except (struct.error, OverflowError):  # a number that this version has no space for
        content = nifti_bytes(VOXELS.astype(dtype), order=order, version=version)
    return draw(cut(content))


@st.composite
def cut(draw: st.DrawFn, content: bytes) -> bytes:
    """Mostly the content itself; else cut off, with bytes behind it, compressed, or compressed and cut off."""
    change = draw(st.sampled_from(("none", "none", "none", "cut", "more", "gzip", "gzip cut")))
    if "gzip" in change:
        content = gzip.compress(content, 1, mtime=0)
    if "cut" in change:
        return content[: draw(st.integers(0, len(content)))]
    return content + draw(st.binary(max_size=40)) if change == "more" else content


# --- NRRD and MetaImage ---------------------------------------------------------------------------------------------------

NRRD_FIELDS = {
    "type": "short", "dimension": "3", "sizes": "5 4 3", "endian": "little", "encoding": "raw",
    "space": "left-posterior-superior", "space directions": "(3,0,0) (0,3,0) (0,0,5)", "space origin": "(0,0,0)",
}  # fmt: skip
NRRD_VALUES = (
    *WORDS, "big", "little", "gzip", "bzip2", "hex", "ascii", "float", "double", "uint64", "uchar", "block", "5 4 3 1",
    "5 4",
    "1 5 4 3", "-5 4 3", "5 4 1e18", "99999999 99999999 99999999", "(3,0,0) (0,3,0) (0,0,0)", "(3,0,0) (3,0,0) (0,0,5)",
    "(nan,0,0) (0,3,0) (0,0,5)", "(1e300,0,0) (0,1e300,0) (0,0,1e300)", "none (3,0,0) (0,3,0) (0,0,5)", "(3,0) (0,3) (0,0)",
    "(-3,0,0) (0,-3,0) (0,0,-5)", "right-anterior-superior", "--superior", "a-b-superior", "scanner-xyz", "LIST",
    "case", ".", "/dev/zero", "a%03d.raw 1 3 1",
    "a%d.raw 0 99999999999 1", "a%09999999d.raw 1 2 1", "100%_%d 1 3 1", "%s%d 1 3 1", "3 3 5", "0 3 5", "-3 3 5",
    "nan nan nan",
    "3 3", '"mm" "mm" "mm"', '"um" "um" "um"', '"m" "m" "m"', "1e18",
)  # fmt: skip
NRRD_NAMES = (
    *NRRD_FIELDS, "spacings", "kinds", "space units", "data file", "byte skip", "line skip", "content", "thicknesses",
    "measurement frame", "space dimension", "old min",
)  # fmt: skip


@st.composite
def changed(draw: st.DrawFn, fields: dict[str, str], names: tuple[str, ...], values: tuple[str, ...]) -> dict[str, str]:
    """The fields of a header with up to three of them changed, added or left out."""
    made = dict(fields)
    for name in draw(st.lists(st.sampled_from(names), max_size=3, unique=True)):
        value = draw(st.none() | st.sampled_from(values))
        made.pop(name, None)
        if value is not None:
            made[name] = value
    return made


@st.composite
def nrrd_files(draw: st.DrawFn) -> bytes:
    """A file whose fields were changed, added or left out."""
    fields = draw(changed(NRRD_FIELDS, NRRD_NAMES, NRRD_VALUES))
    voxels = {"gzip": gzip.compress, "hex": lambda data: data.hex().encode()}.get(fields.get("encoding", ""), bytes)
    end = draw(st.sampled_from(("\n\n", "\n\n", "\r\n\r\n", "\n", "")))
    text = "NRRD0005\n" + "\n".join(f"{name}: {value}" for name, value in fields.items()) + end
    return draw(cut(text.encode("utf-8", "replace") + voxels(VOXELS.tobytes())))


META_FIELDS = {
    "ObjectType": "Image", "NDims": "3", "BinaryData": "True", "BinaryDataByteOrderMSB": "False",
    "TransformMatrix": "1 0 0 0 1 0 0 0 1", "Offset": "0 0 0", "ElementSpacing": "3 3 5", "DimSize": "5 4 3",
    "ElementType": "MET_SHORT",
}  # fmt: skip
META_VALUES = (
    *WORDS, "True", "False", "MET_USHORT", "MET_DOUBLE", "MET_ULONG_LONG", "MET_OTHER", "5 4 3 1", "5 4", "5 4 1e18",
    "-5 4 3",
    "1e300 1e300 1e300", "1 0 0 1", "0 0 0 0 0 0 0 0 0", "1 0 0 1 0 0 0 0 1", "nan 0 0 0 1 0 0 0 1",
    "1e300 0 0 0 1e300 0 0 0 1e300", "2", "-3", "4", "0 3 5", "-3 3 5", "nan nan nan", "1e308 1e308 1e308", "1 2",
    "LIST", "case", "/dev/zero", "a%03d.raw 1 3 1",
    "a%d.raw 0 99999999999 1", "a%09999999d.raw 1 2 1", "%s%d 1 3 1", "RAI", "1 0 0 0 0 1 0 0 0 0 1 0 0 0 0 1",
)  # fmt: skip
META_NAMES = (
    *META_FIELDS, "ElementNumberOfChannels", "CompressedData", "CompressedDataSize", "HeaderSize", "AnatomicalOrientation",
    "ElementByteOrderMSB", "ElementSize", "Position", "CenterOfRotation",
)  # fmt: skip


@st.composite
def metaimage_files(draw: st.DrawFn) -> bytes:
    """A file whose entries were changed, added or left out."""
    fields = draw(changed(META_FIELDS, META_NAMES, META_VALUES))
    target = draw(st.sampled_from(("LOCAL", "LOCAL", "LOCAL", *META_VALUES)))
    voxels = zlib.compress(VOXELS.tobytes()) if fields.get("CompressedData") == "True" else VOXELS.tobytes()
    text = "".join(f"{name} = {value}\n" for name, value in fields.items()) + f"ElementDataFile = {target}\n"
    return draw(cut(text.encode("utf-8", "replace") + voxels))
