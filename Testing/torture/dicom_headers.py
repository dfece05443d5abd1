"""DICOM series and multi-frame files made by hypothesis: whole ones with up to a few elements that are not."""

from __future__ import annotations

import struct
import warnings
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import strategies as st
from UNetSegmenterLib.engine.io.image_reading import read_geometry, read_volume

from ..engine.dicom_files import Elements, enhanced_elements, slice_elements, write_dicom
from .harness import Bug, Tally, little_memory
from .image_headers import check_geometry

NAME = "DICOM headers"
TRIED = (
    "series and multi-frame files with elements wrong, missing, nested a thousand deep, or claiming more than there is"
)
FULL, SHORT = 6_000, 40

SYNTAXES = (
    "1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.2", "1.2.840.10008.1.2.4.50",
    "1.2.840.10008.1.2.4.70", "1.2.840.10008.1.2.4.80", "1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.5", "1.2.3", "",
)  # fmt: skip
TEXTS = (
    "", " ", "0", "-1", "3", "3\\3", "0\\0", "-3\\3", "nan\\nan", "inf\\3", "1e400\\3", "1e300\\1e300",
    "1e-320\\1e-320", "3\\3\\3",
    "0\\0\\0", "0\\0\\nan", "0\\0\\1e300", "1e308\\1e308\\1e308", "-1e308\\0\\0", "1\\0\\0\\0\\1\\0", "1\\0\\0\\1\\0\\0",
    "0\\0\\0\\0\\0\\0", "nan\\0\\0\\0\\1\\0", "1e200\\0\\0\\0\\1e200\\0", "0\\1\\0\\1\\0\\0", "2000000000", "9" * 30,
    "9" * 5000,
    "1e300", "-1e300", "nan", "x", "MONOCHROME1", "RGB", "MR", "\u0663", "1_0", "\\" * 200, "1.2.3", "1.2.840.10008.1.3.10",
)  # fmt: skip
NUMBERS = (0, 1, 2, 3, 7, 8, 12, 15, 16, 17, 32, 64, 255, 4096, 32767, 65535, (1, 2), ())
TEXT_TAGS: dict[tuple[int, int], str] = {
    (0x0008, 0x0005): "CS", (0x0008, 0x0016): "UI", (0x0008, 0x0060): "CS", (0x0018, 0x0050): "DS", (0x0018, 0x0088): "DS",
    (0x0020, 0x000E): "UI", (0x0020, 0x0032): "DS", (0x0020, 0x0037): "DS", (0x0028, 0x0004): "CS", (0x0028, 0x0008): "IS",
    (0x0028, 0x0030): "DS", (0x0028, 0x1052): "DS", (0x0028, 0x1053): "DS",
}  # fmt: skip
NUMBER_TAGS = tuple((0x0028, low) for low in (0x0002, 0x0010, 0x0011, 0x0100, 0x0101, 0x0102, 0x0103))
SEQUENCE_TAGS = ((0x5200, 0x9229), (0x5200, 0x9230), (0x0028, 0x3000), (0x0020, 0x9116))
PIXELS = (0x7FE0, 0x0010)
HU = np.arange(4 * 8 * 9, dtype=np.int16).reshape(4, 8, 9) - 100


def run(tally: Tally, count: int) -> None:
    """Half series of four slices, half multi-frame files; the whole folder is read."""
    with little_memory(), warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        tally.try_all(series(), count // 2, lambda case: attempt_series(tally.folder / "series", case))
        tally.try_all(frames(), count // 2, lambda case: attempt_frames(tally.folder / "frames.dcm", case))


def attempt_series(folder: Path, case: dict[str, Any]) -> None:
    """Four slices, of which one or all are changed."""
    for number, part in enumerate(HU):
        elements = slice_elements(part, (0, 0, 5 * number))
        hit = case["all"] or number == 1
        write_dicom(folder / f"{number}.dcm", elements | case["elements"] if hit else elements)
        if hit:
            finish(folder / f"{number}.dcm", case)
    read(folder, resample=case["resample"])


def attempt_frames(path: Path, case: dict[str, Any]) -> None:
    """A multi-frame file that is changed."""
    write_dicom(path, enhanced_elements(HU, range(4)) | case["elements"])
    finish(path, case)
    read(path, resample=case["resample"])


def finish(path: Path, case: dict[str, Any]) -> None:
    """What is done to the bytes of a file: another transfer syntax, damage, or a length that is none."""
    whole = path.read_bytes()
    syntax = case["syntax"].encode()
    if case["syntax"] != "1.2.840.10008.1.2.1":
        at = whole.index(b"\x02\x00\x10\x00UI")
        old = struct.unpack_from("<H", whole, at + 6)[0]
        padded = syntax + b"\0" * (len(syntax) % 2)
        head, rest = whole[:at], whole[at + 8 + old :]
        if syntax.endswith(b".99"):
            rest = zlib.compress(rest)[2:-4] if case["at"] % 2 else zlib.compress(bytes(3_000_000_000 // 1000))[2:-4]
        whole = head + struct.pack("<HH2sH", 2, 0x10, b"UI", len(padded)) + padded + rest
    at = case["at"] % (len(whole) + 1)
    whole = {
        "none": whole, "cut": whole[:at], "flip": whole[:at] + bytes([whole[at - 1] ^ 255]) + whole[at + 1 :],
        "long": whole[:at] + b"\xff\xff\xff\xff" + whole[at + 4 :], "nested": whole[:132] + case["nest"] + whole[132:],
        "nested after": whole[:-700] + case["nest"] + whole[-700:],
    }[case["damage"]]  # fmt: skip
    path.write_bytes(whole)


def read(path: Path, resample: bool) -> None:
    """Read a scan; it must be one."""
    volume = read_volume(path, resample=resample)
    check_geometry(volume.geometry)
    if volume.array.shape != volume.geometry.shape or not np.isfinite(volume.array).all():
        raise Bug(f"an array of {volume.array.shape} with a grid of {volume.geometry.shape}")
    if read_geometry(path, resample=resample) != volume.geometry:
        raise Bug("the header alone gives another grid")


@st.composite
def changes(draw: st.DrawFn) -> Elements:
    """Up to three elements that are not as they should be."""
    elements: Elements = {}
    for _ in range(draw(st.integers(0, 3))):
        kind = draw(st.sampled_from(("text", "text", "number", "number", "sequence", "pixels", "empty")))
        if kind == "text":
            tag = draw(st.sampled_from(sorted(TEXT_TAGS)))
            elements[tag] = (TEXT_TAGS[tag], draw(st.sampled_from(TEXTS)).encode("utf-8"))
        elif kind == "number":
            elements[draw(st.sampled_from(NUMBER_TAGS))] = ("US", draw(st.sampled_from(NUMBERS)))
        elif kind == "sequence":
            items = [{} for _ in range(draw(st.sampled_from((0, 1, 4, 5))))]
            elements[draw(st.sampled_from(SEQUENCE_TAGS))] = ("SQ", items)
        elif kind == "empty":
            elements[draw(st.sampled_from((*TEXT_TAGS, *NUMBER_TAGS, PIXELS)))] = ("OB", b"")
        else:
            parts = draw(st.lists(st.binary(max_size=80), max_size=5))
            elements[PIXELS] = ("OB", parts) if draw(st.booleans()) else ("OW", draw(st.binary(max_size=300)))
    return elements


NESTS = tuple(
    (struct.pack("<HH2sHI", 0x0040, 0x9096, b"SQ", 0, 0xFFFFFFFF) + struct.pack("<HHI", 0xFFFE, 0xE000, 0xFFFFFFFF))
    * depth
    for depth in (1, 50, 20_000)
)


def case_of(elements: st.SearchStrategy[Elements]) -> st.SearchStrategy[dict[str, Any]]:
    """Elements, and what is done to the bytes."""
    return st.fixed_dictionaries(
        {
            "elements": elements, "all": st.booleans(), "resample": st.booleans(), "at": st.integers(0, 3000),
            "syntax": st.just(SYNTAXES[1]) | st.sampled_from(SYNTAXES), "nest": st.sampled_from(NESTS),
            "damage": st.sampled_from(("none", "none", "none", "cut", "flip", "long", "nested", "nested after")),
        }
    )  # fmt: skip


def series() -> st.SearchStrategy[dict[str, Any]]:
    """Cases of a series of single slices."""
    return case_of(changes())


def frames() -> st.SearchStrategy[dict[str, Any]]:
    """Cases of a multi-frame file."""
    return case_of(changes())
