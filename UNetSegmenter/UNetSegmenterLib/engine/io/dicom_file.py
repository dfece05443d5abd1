"""One DICOM file: the elements that give position and scale of its pixels, and the pixels (DICOM PS3.5 and PS3.10)."""

from __future__ import annotations

import mmap
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

from ..errors import InputError
from .dicom_tags import CHARACTER_SET, NUMBER_LISTS, NUMBERS, SEQUENCES, TEXTS, TRANSFER_SYNTAX

_PIXELS = (0x7FE00008, 0x7FE00009, 0x7FE00010)
_ITEM, _ITEM_END, _SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
_UNDEFINED = 0xFFFFFFFF
_MOST_INFLATED = 1 << 30
_MOST_ELEMENTS = 10_000_000  # a segmentation of 100,000 frames has half of it
_INFLATED_AT_ONCE = 1 << 22
_LONG_VR = (b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV")
_IMPLICIT, _BIG_ENDIAN, _DEFLATED = "1.2.840.10008.1.2", "1.2.840.10008.1.2.2", "1.2.840.10008.1.2.1.99"
_UNCOMPRESSED = (_IMPLICIT, "1.2.840.10008.1.2.1", _BIG_ENDIAN, _DEFLATED)

_CHARACTER_SETS = {
    "ISO_IR 192": "utf-8", "ISO_IR 100": "latin-1", "ISO_IR 101": "iso8859-2", "ISO_IR 109": "iso8859-3",
    "ISO_IR 110": "iso8859-4", "ISO_IR 144": "iso8859-5", "ISO_IR 127": "iso8859-6", "ISO_IR 126": "iso8859-7",
    "ISO_IR 138": "iso8859-8", "ISO_IR 148": "iso8859-9", "ISO_IR 13": "shift_jis", "ISO_IR 166": "tis-620",
    "GB18030": "gb18030", "GBK": "gbk",
}  # fmt: skip
"""Python's names of the defined terms for character sets (PS3.3, C.12.1.1.2)."""


@dataclass(frozen=True)
class DicomFile:
    """Elements of a file by tag, and its pixels: `pixel_tag` 0 if it has none.

    `fragments` are the parts of compressed pixels, the offset table first; `pixels` are the bytes of uncompressed ones.
    `announced` is the number of bytes that the pixel element announces, those up to the file's end if it has no length.
    """

    path: Path
    elements: dict[int, Any]
    order: str
    pixel_tag: int = 0
    pixels: bytes | memoryview = b""
    announced: int = 0
    fragments: tuple[bytes, ...] = field(default=())

    @property
    def transfer_syntax(self) -> str:
        """UID of how the pixels are encoded."""
        return self.elements.get(TRANSFER_SYNTAX, _IMPLICIT)

    @property
    def compressed(self) -> bool:
        """Whether the pixels are compressed (JPEG, RLE and the like)."""
        return self.transfer_syntax not in _UNCOMPRESSED

    def number(self, tag: int, default: int = 0) -> int:
        """The value of an element as a whole number, `default` if the file has no such element."""
        try:
            value = int(self.elements.get(tag, default))
        except ValueError as error:
            raise InputError(f"{self.path} is damaged: element {tag:08x} is no number; export it again.") from error
        if abs(value) >= 1 << 32:
            raise InputError(f"{self.path} is damaged: element {tag:08x} has more than ten digits; export it again.")
        return value

    def words(self, elements: dict[int, Any], tag: int) -> str:
        """The text of one of the file's `elements` in the character set that the file names; empty if there is none."""
        text = elements.get(tag, "")
        named = self.elements.get(CHARACTER_SET, "").split("\\")[-1].replace("ISO 2022 IR", "ISO_IR").strip()
        return text.encode("latin-1").decode(_CHARACTER_SETS.get(named, "latin-1"), errors="replace").strip()


def read_dicom_file(path: Path, pixels: bool = False) -> DicomFile | None:
    """The elements of a file, with its pixels on request; None for a file that isn't DICOM.

    Raises InputError where it begins as DICOM but is cut off.
    """
    try:
        with path.open("rb") as file:
            if file.seek(0, 2) < 132:
                return None
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
                return _parse(path, content, pixels)
    except (struct.error, IndexError, zlib.error, RecursionError) as error:
        raise InputError(f"{path} is cut off or damaged within its header; copy or export it again.") from error
    except OSError as error:
        raise InputError(f"{path} can't be read ({error.strerror}).") from error


def _parse(path: Path, content: Any, pixels: bool) -> DicomFile | None:
    elements: dict[int, Any] = {}
    start = 132
    if content[128:132] == b"DICM":
        meta = _Reader(path, content, "<", True)
        start = meta.elements(132, len(content), elements, only_meta=True)
    elif struct.unpack_from("<H", content)[0] == 8 and struct.unpack_from("<H", content, 2)[0] < 0x20:
        start = 0  # as before the standard had a preamble
        elements[TRANSFER_SYNTAX] = _IMPLICIT if content[4:6].isalpha() is False else _UNCOMPRESSED[1]
    else:
        return None
    syntax = elements.get(TRANSFER_SYNTAX, _IMPLICIT)
    if syntax == _DEFLATED:
        content = _inflated(path, content[start:])
        start = 0
    order = ">" if syntax == _BIG_ENDIAN else "<"
    reader = _Reader(path, content, order, syntax != _IMPLICIT)
    reader.elements(start, len(content), elements)
    return reader.finished(elements, pixels)


def _inflated(path: Path, compressed: bytes) -> mmap.mmap | bytes:
    """The content of a file that is compressed as a whole; raises InputError where it is cut off, or has no end.

    It is decompressed twice: counted first, so that a small file without end takes no memory.
    """
    size = sum(map(len, _inflated_parts(path, compressed)))
    if not size:
        return b""
    content = mmap.mmap(-1, size)  # its slices are bytes, like those of a file that is not compressed
    for part in _inflated_parts(path, compressed):
        content.write(part)
    return content


def _inflated_parts(path: Path, compressed: bytes) -> Iterator[bytes]:
    decompressor, size = zlib.decompressobj(-15), 0
    while not decompressor.eof:
        part = decompressor.decompress(compressed, _INFLATED_AT_ONCE)
        compressed = decompressor.unconsumed_tail
        size += len(part)
        if size > _MOST_INFLATED:
            raise InputError(
                f"{path} decompresses to more than {_MOST_INFLATED >> 30} GB, which no scan takes; export it uncompressed."
            )
        if not part and not compressed and not decompressor.eof:
            raise InputError(f"{path} is cut off within its compressed content; copy or export it again.")
        yield part


class _Reader:
    """Walks through the elements of one content, keeping those that are used."""

    def __init__(self, path: Path, content: Any, order: str, explicit: bool, numbers: Iterator[int] | None = None):
        self._path, self._content, self._order, self._explicit = path, content, order, explicit
        self._numbers = numbers or count(1)
        self._pixels: tuple[int, int, int] | None = None

    def elements(self, at: int, end: int, into: dict[int, Any], only_meta: bool = False) -> int:
        """Read elements until `end`, the end of an item or the pixels; returns where they ended."""
        while at + 8 <= end:
            group, element = struct.unpack_from(self._order + "HH", self._content, at)
            tag = group << 16 | element
            if only_meta and group != 2:
                return at
            self._check(group)
            if tag in (_ITEM_END, _SEQUENCE_END):
                return at + 8
            vr, length, at = self._length(at)
            if tag in _PIXELS and into is not None:
                self._pixels = (tag, at, length)
                return end
            if length == _UNDEFINED or tag in SEQUENCES:
                at = self._sequence(at, length, into, tag, vr)
                continue
            if at + length > end:
                raise InputError(f"{self._path} is cut off within its header; copy or export it again.")
            if tag in TEXTS:
                into[tag] = bytes(self._content[at : at + length]).decode("latin-1").strip(" \0")
            elif tag in NUMBERS and length >= 2:
                into[tag] = struct.unpack_from(self._order + "H", self._content, at)[0]
            elif tag in NUMBER_LISTS:
                into[tag] = struct.unpack_from(f"{self._order}{length // 2}H", self._content, at)
            at += length
        return at

    def _check(self, group: int) -> None:
        """Raise InputError at group 0, which no file has but one whose end was never written, and at elements without end."""
        if group == 0:
            raise InputError(
                f"{self._path} has zeros within its header, as an unfinished copy has; copy or export it again."
            )
        if next(self._numbers) > _MOST_ELEMENTS:
            raise InputError(
                f"{self._path} has more than {_MOST_ELEMENTS:,} elements, which no scan has; export it again."
            )

    def _length(self, at: int) -> tuple[bytes, int, int]:
        """Value representation and length of the element at `at`, and where its value begins."""
        if not self._explicit:
            return b"", struct.unpack_from(self._order + "I", self._content, at + 4)[0], at + 8
        vr = bytes(self._content[at + 4 : at + 6])
        if vr in _LONG_VR:
            return vr, struct.unpack_from(self._order + "I", self._content, at + 8)[0], at + 12
        return vr, struct.unpack_from(self._order + "H", self._content, at + 6)[0], at + 8

    def _sequence(self, at: int, length: int, into: dict[int, Any], tag: int, vr: bytes) -> int:
        end = len(self._content) if length == _UNDEFINED else at + length
        if end > len(self._content):
            raise InputError(f"{self._path} is cut off within its header; copy or export it again.")
        reader = _Reader(self._path, self._content, "<", False, self._numbers) if vr == b"UN" else self
        items: list[dict[int, Any]] = []
        while at + 8 <= end:
            group, element, size = struct.unpack_from(self._order + "HHI", self._content, at)
            at += 8
            if group << 16 | element == _SEQUENCE_END:
                break
            self._check(group)
            item: dict[int, Any] = {}
            at = reader.elements(at, len(self._content) if size == _UNDEFINED else at + size, item)
            items.append(item)
        if tag in SEQUENCES:
            into[tag] = items
        return at

    def finished(self, elements: dict[int, Any], pixels: bool) -> DicomFile:
        """The file with what was found of its pixels; raises InputError where they are cut off."""
        if self._pixels is None:
            return DicomFile(self._path, elements, self._order)
        tag, at, length = self._pixels
        if length == _UNDEFINED:
            fragments = self._fragments(at) if pixels else ()
            return DicomFile(
                self._path, elements, self._order, tag, announced=len(self._content) - at, fragments=fragments
            )
        if at + length > len(self._content):
            raise InputError(
                f"{self._path} is cut off: {len(self._content) - at:,} of {length:,} bytes of its pixels are there; copy or "
                "export it again."
            )
        found = bytes(self._content[at : at + length]) if pixels else b""
        return DicomFile(self._path, elements, self._order, tag, found, length)

    def _fragments(self, at: int) -> tuple[bytes, ...]:
        fragments: list[bytes] = []
        while True:
            if at + 8 > len(self._content):
                raise InputError(f"{self._path} is cut off within its compressed pixels; copy or export it again.")
            group, element, size = struct.unpack_from("<HHI", self._content, at)
            at += 8
            if group << 16 | element == _SEQUENCE_END:
                return tuple(fragments)
            if group << 16 | element != _ITEM or at + size > len(self._content):
                raise InputError(
                    f"{self._path} is cut off or damaged within its compressed pixels; copy or export it again."
                )
            fragments.append(bytes(self._content[at : at + size]))
            at += size
